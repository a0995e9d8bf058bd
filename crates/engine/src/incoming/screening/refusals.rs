//! For whom a message is refused, and how its client hears of it.

use std::collections::BTreeSet;

use reception::{Named, Refusal, RefusedBy};
use screening::{End, Verdict};

/// Whether and for whom a message is refused.
#[derive(Default)]
pub(super) struct Refusals {
    /// It is refused for everybody.
    pub(super) whole: Option<Refusal>,
    /// Where its client takes a reply for each whom it named, and they differ: why it is refused for
    /// it, if it is.
    pub(super) each: Vec<Option<Refusal>>,
    /// The places of those of whom the client hears so that they get nothing.
    pub(super) told: BTreeSet<usize>,
}

impl Refusals {
    /// By what the rules say of each recipient.
    pub(super) fn of(named: Option<&Named>, verdicts: &[Verdict]) -> Self {
        let all: Option<Vec<Refusal>> = verdicts.iter().map(refusal).collect();
        let all = all.unwrap_or_default();
        // While it may be taken for one of them later, it is not refused for good.
        let whole = all.iter().find(|one| one.reply.is_transient());
        let whole = whole.or(all.first()).cloned();
        // Whoever takes one reply for all sends it to all of them again: nothing is lost by that.
        let postponed = verdicts.iter().filter_map(refusal);
        let postponed = postponed
            .filter(|_| named.is_none())
            .find(|one| one.reply.is_transient());
        if postponed.is_some() {
            return Self {
                whole: postponed,
                ..Self::default()
            };
        }
        let each = named.map(|named| named.refusals(|at| verdicts.get(at).and_then(refusal)));
        let each = each.unwrap_or_default();
        let alike = match &whole {
            Some(first) => all.iter().all(|one| one.reply == first.reply),
            None => each.iter().all(Option::is_none),
        };
        if alike {
            return Self {
                whole,
                ..Self::default()
            };
        }
        let told = named.map(|named| named.refused(&each)).unwrap_or_default();
        Self { whole, each, told }
    }
}

fn refusal(verdict: &Verdict) -> Option<Refusal> {
    let End::Refuse(reply) = &verdict.end else {
        return None;
    };
    let by = verdict.by.as_ref();
    Some(Refusal {
        reply: reply.clone(),
        by: RefusedBy {
            place: by.map(|by| by.place.clone()).unwrap_or_default(),
            why: by.map(|by| by.to_string().into()).unwrap_or_default(),
        },
    })
}
