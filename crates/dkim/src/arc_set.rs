use message::{RawField, sealed_results};

use crate::chain::{ChainReason, INSTANCES_MAX};
use crate::header::Header;
use crate::tag_list::TagList;

/// The three fields that one instance has added (RFC 8617 section 4.2).
pub(crate) struct ArcSet<'h, 'a> {
    /// `ARC-Authentication-Results`
    pub results: &'h RawField<'a>,
    /// What stands in it behind the instance.
    pub said: &'a [u8],
    /// `ARC-Message-Signature`
    pub message: &'h RawField<'a>,
    /// Where that stands among the fields.
    pub message_place: usize,
    pub message_tags: TagList<'a>,
    /// `ARC-Seal`
    pub seal: &'h RawField<'a>,
    pub seal_tags: TagList<'a>,
}

/// What is there of a set so far.
struct Parts<'h, 'a> {
    results: Option<(&'h RawField<'a>, &'a [u8])>,
    message: Option<(usize, &'h RawField<'a>, TagList<'a>)>,
    seal: Option<(&'h RawField<'a>, TagList<'a>)>,
}

/// The names of the fields, in lower case.
const RESULTS: &str = "arc-authentication-results";
const MESSAGE: &str = "arc-message-signature";
const SEAL: &str = "arc-seal";

const NO_INSTANCE: ChainReason = ChainReason::Disordered("a field of the chain has no instance");
const TWICE: ChainReason = ChainReason::Disordered("an instance has two fields of one name");
const PART: ChainReason = ChainReason::Disordered("an instance lacks a field");
const NO_LIST: ChainReason = ChainReason::Disordered("a field of the chain is no list of tags");

/// All sets of a header, from the first instance on.
pub(crate) fn arc_sets<'h, 'a>(header: &'h Header<'a>) -> Result<Vec<ArcSet<'h, 'a>>, ChainReason> {
    let count = [RESULTS, MESSAGE, SEAL]
        .map(|name| header.count(name))
        .into_iter()
        .max()
        .unwrap_or_default();
    if count > INSTANCES_MAX {
        return Err(ChainReason::TooLong);
    }
    let empty = || Parts {
        results: None,
        message: None,
        seal: None,
    };
    let mut sets: Vec<Parts> = std::iter::repeat_with(empty).take(count).collect();
    for (_, field) in header.all(RESULTS) {
        let (instance, said) = sealed_results(field.value).ok_or(NO_INSTANCE)?;
        let set = of(&mut sets, instance)?;
        fill(&mut set.results, (field, said))?;
    }
    for (place, field) in header.all(MESSAGE) {
        let (instance, tags) = numbered(field)?;
        fill(&mut of(&mut sets, instance)?.message, (place, field, tags))?;
    }
    for (_, field) in header.all(SEAL) {
        let (instance, tags) = numbered(field)?;
        fill(&mut of(&mut sets, instance)?.seal, (field, tags))?;
    }
    sets.into_iter().map(whole).collect()
}

fn numbered<'a>(field: &RawField<'a>) -> Result<(usize, TagList<'a>), ChainReason> {
    let tags = TagList::parse(field.value).ok_or(NO_LIST)?;
    let digits = tags.value("i").ok_or(NO_INSTANCE)?;
    let text = std::str::from_utf8(digits).map_err(|_| NO_INSTANCE)?;
    let is_number = text.bytes().all(|octet| octet.is_ascii_digit());
    let instance = text.parse().ok().filter(|_| is_number).ok_or(NO_INSTANCE)?;
    Ok((instance, tags))
}

/// The set of an instance. Where one is beyond the number of fields, another is missing.
fn of<'s, 'h, 'a>(
    sets: &'s mut [Parts<'h, 'a>],
    instance: usize,
) -> Result<&'s mut Parts<'h, 'a>, ChainReason> {
    let at = instance.checked_sub(1).ok_or(NO_INSTANCE)?;
    sets.get_mut(at).ok_or(PART)
}

fn fill<T>(part: &mut Option<T>, with: T) -> Result<(), ChainReason> {
    match part.replace(with) {
        None => Ok(()),
        Some(_) => Err(TWICE),
    }
}

fn whole<'h, 'a>(parts: Parts<'h, 'a>) -> Result<ArcSet<'h, 'a>, ChainReason> {
    let (results, said) = parts.results.ok_or(PART)?;
    let (message_place, message, message_tags) = parts.message.ok_or(PART)?;
    let (seal, seal_tags) = parts.seal.ok_or(PART)?;
    Ok(ArcSet {
        results,
        said,
        message,
        message_place,
        message_tags,
        seal,
        seal_tags,
    })
}
