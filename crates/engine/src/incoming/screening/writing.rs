//! The content of messages that rules made of one, written from what came.

use std::collections::BTreeSet;
use std::io::Read as _;

use ::screening::{Change, Verdict};
use contents::edit::apply;
use contents::{Contents, Limits, Octets, Reader, Rope};
use mail::QueueId;
use spool::{Content, HoldReason, Spool, SpoolError};

use super::edits::{Edits, Unadded, edits};
use super::head::divided;
use super::source::Source;
use super::{UNREADABLE, unharmed};
use crate::Storing;
use crate::signing::Signing;

/// What is read and written at one time.
pub(super) const PIECE_OCTETS: usize = 64 << 10;

/// Of what the messages for all recipients are made, beside what came.
pub(super) struct Letters<'a> {
    pub(super) cleaned: Option<Cleaned>,
    pub(super) contents: Option<&'a Contents>,
    pub(super) verdicts: &'a [Verdict],
    /// Who gets nothing, by place, since the client hears so.
    pub(super) told: &'a BTreeSet<usize>,
    pub(super) limits: &'a Limits,
}

/// Another beginning than the message came with: without what somebody else wrote in our name, and as
/// milters made it.
pub(super) struct Cleaned {
    pub(super) start: Vec<u8>,
    /// Where what is left of the message goes on in what came.
    pub(super) rest: usize,
}

/// The content as it is looked at and goes on.
pub(super) fn content<'a>(source: &'a Source, cleaned: Option<&'a Cleaned>) -> Rope<'a> {
    let mut content = Rope::default();
    let rest = cleaned.map_or(0, |cleaned| {
        content.push_from(&cleaned.start, 0..cleaned.start.len());
        cleaned.rest
    });
    content.push_from(source, rest..source.size());
    content
}

/// Head and content in one.
pub(super) fn whole<'a>(head: &[u8], content: &'a dyn Octets) -> Rope<'a> {
    let mut whole = Rope::default();
    whole.push(head);
    whole.push_from(content, 0..content.size());
    whole
}

impl Letters<'_> {
    /// Makes the content of a message, with these changes: what was its head is part of it then. It is
    /// held where what was to be taken out is still in it. Returns the footer that could not be added.
    pub(super) fn write(
        &self,
        source: &Source,
        message: &mut Storing,
        changes: &[Change],
        signing: &Signing<'_>,
        spool: &dyn Spool,
    ) -> Result<Option<Unadded>, SpoolError> {
        let accepted = &mut message.accepted;
        let content = content(source, self.cleaned.as_ref());
        // Its own name may stand in its head by now.
        let whole = whole(&accepted.head, &content);
        let mut head_before = Vec::new();
        let (before, made): (&dyn Octets, Edits) = match self.contents {
            Some(contents) if !changes.is_empty() => {
                head_before = std::mem::take(&mut accepted.head);
                let made = unharmed(|| edits(&whole, contents, changes, self.limits));
                let failed = || Edits {
                    left_in: Some(UNREADABLE.to_owned()),
                    ..Edits::default()
                };
                (&whole, made.unwrap_or_else(failed))
            }
            Some(_) | None => (&content, Edits::default()),
        };
        let new = apply(before, made.edits);
        let (head, new) = divided(&head_before, &new);
        accepted.head.extend(head);
        accepted.size = (accepted.head.len() + new.size()) as u64;
        signing.sign(accepted, Reader::new(&new))?;
        message.content = written(&new, source, accepted.id, spool)?;
        if let Some(why) = made.left_in {
            let why: Box<str> = mail::escaped(&why).to_string().into();
            for held in &mut message.held {
                held.get_or_insert_with(|| (HoldReason::Screening, why.clone()));
            }
        }
        Ok(made.without)
    }
}

/// Stores the content of a message that is made of what came.
pub(super) fn written(
    new: &Rope<'_>,
    source: &Source,
    id: QueueId,
    spool: &dyn Spool,
) -> Result<Content, SpoolError> {
    if new.size() <= spool::INLINE_OCTETS_MAX {
        let octets = new.copy(0..new.size());
        source.check()?;
        return Ok(Content::Inline(octets.into()));
    }
    let mut body = spool.open_body(id)?;
    let mut piece = vec![0; PIECE_OCTETS];
    let mut reader = Reader::new(new);
    loop {
        match reader.read(&mut piece)? {
            0 => break,
            octets => body.write(&piece[..octets])?,
        }
    }
    source.check()?;
    body.finish()
}
