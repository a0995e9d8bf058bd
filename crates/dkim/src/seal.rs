use std::ops::Range;

use mail::Domain;

use crate::signature::{algorithm, key_name, octets, value};
use crate::tag_list::TagList;
use crate::{Algorithm, Reason, Signatory};

/// What a seal says (RFC 8617 section 4.1.3), where all of it makes sense.
#[derive(Debug)]
pub(crate) struct Seal {
    pub algorithm: Algorithm,
    /// `b=`
    pub signed: Vec<u8>,
    /// Where the value of `b=` stands in the field's value.
    pub signed_place: Range<usize>,
    /// `cv=`
    pub status: Status,
    /// `d=`
    pub domain: Domain,
    /// Where the key stands in DNS.
    pub key_name: Domain,
}

/// What a seal says of the chain before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// There was none.
    None,
    /// It held.
    Pass,
    /// It did not.
    Fail,
}

impl Seal {
    /// Reads what a field says.
    ///
    /// # Errors
    /// Why it can be no good seal, whatever was signed.
    pub fn read(tags: &TagList<'_>) -> Result<Self, Reason> {
        if tags.value("h").is_some() {
            // RFC 8617 section 4.1.3: what it covers is not for the sealer to choose.
            return Err(Reason::BadSignature("it has h="));
        }
        let signatory = Signatory::of_chain(tags);
        let key_name = key_name(&signatory)?;
        Ok(Self {
            algorithm: algorithm(tags)?,
            signed: octets(tags, "b", "b= is missing", "b= is not base64")?,
            signed_place: tags.place("b").unwrap_or_default(),
            status: status(value(tags, "cv", "cv= is missing")?)?,
            domain: signatory
                .domain
                .ok_or(Reason::BadSignature("d= names no domain"))?,
            key_name,
        })
    }
}

fn status(text: &[u8]) -> Result<Status, Reason> {
    let known = [
        (&b"none"[..], Status::None),
        (b"pass", Status::Pass),
        (b"fail", Status::Fail),
    ];
    let found = known
        .iter()
        .find(|(word, _)| text.eq_ignore_ascii_case(word));
    found
        .map(|(_, status)| *status)
        .ok_or(Reason::BadSignature("cv= is unknown"))
}
