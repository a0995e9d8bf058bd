//! What lists of restrictions let through whatever the client's address is: names of clients, certificates,
//! domains of recipients. It passes only where every list lets it through that would refuse a stranger.

use super::restrictions::List;
use crate::report::{Fate, Origin, Report};

/// By what something is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The client's name in DNS.
    Name,
    Certificate,
    /// The recipient's domain.
    Domain,
}

/// Something that one list lets through, before it refuses recipients elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    pub kind: Kind,
    /// As our options write it.
    pub entry: String,
    pub origin: Origin,
    /// The line with its key, as the table tells of it.
    pub told: Origin,
}

/// Those of `lists` that count; the table tells of all. Lists for which `refuses` holds refuse strangers.
pub(super) fn counted(
    lists: &[List],
    refuses: impl Fn(&List) -> bool,
    report: &mut Report,
) -> Vec<Opening> {
    let (refusing, others): (Vec<&List>, Vec<&List>) = lists.iter().partition(|list| refuses(list));
    let has = |list: &List, wanted: &Opening| {
        let mut all = list.openings.iter();
        all.any(|one| (one.kind, &one.entry) == (wanted.kind, &wanted.entry))
    };
    let mut counted: Vec<Opening> = Vec::new();
    for list in &refusing {
        for opening in &list.openings {
            match refusing.iter().find(|other| !has(other, opening)) {
                Some(other) => {
                    let why = format!("{} lets nothing through by it", other.name);
                    report.add(Fate::NotTranslated, &opening.told, "", why);
                }
                None => {
                    let (fate, option, why) = opening.kind.translated();
                    report.add(fate, &opening.told, option, why);
                    counted.push(opening.clone());
                }
            }
        }
    }
    for opening in others.iter().flat_map(|list| &list.openings) {
        let why = "an exception from what follows in its list, which has no counterpart";
        report.add(Fate::NotTranslated, &opening.told, "", why);
    }
    counted
}

impl Kind {
    fn translated(self) -> (Fate, &'static str, &'static str) {
        match self {
            Self::Name => (
                Fate::Changed,
                "relay.allow",
                "names below it alone, confirmed by DNS both ways",
            ),
            Self::Certificate => (Fate::Translated, "relay.certificates", ""),
            Self::Domain => (
                Fate::Changed,
                "[domain.NAME]",
                "taken from anyone, as a domain that is hosted",
            ),
        }
    }
}
