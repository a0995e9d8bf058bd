use std::fmt;
use std::sync::Arc;

use mail::{Domain, Place};
use relay_policy::{Party, Rules};

/// A way by which mail of strangers leaves for other domains without anybody relaying: whom it goes
/// to is not for the client to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Which way.
    pub way: Way,
    /// The line that opens it; of several, the first.
    pub place: Place,
}

/// Which way mail of strangers may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To targets of `[forward]`.
    Forwards {
        /// How many entries lead elsewhere.
        entries: usize,
    },
    /// To senders of forwarded messages, when bounces to their addresses at this domain are turned
    /// back.
    TurnedBack(Domain),
    /// To whomever a scanner adds as a recipient.
    AddedBy(Arc<str>),
}

impl Passage {
    /// All that the rules have.
    pub(crate) fn of(rules: &Rules) -> Vec<Self> {
        let forwards = forwards(rules);
        let turned_back = rules.rewriting.as_ref().map(|rewriting| Self {
            way: Way::TurnedBack(rewriting.domain.clone()),
            place: rewriting.place.clone(),
        });
        forwards.into_iter().chain(turned_back).collect()
    }
}

fn forwards(rules: &Rules) -> Option<Passage> {
    let leads_elsewhere = |to: &Party| rules.domains.at(&to.host()).is_none();
    let entries = rules.forwards.entries();
    let elsewhere = entries.filter(|entry| entry.to.iter().any(leads_elsewhere));
    let mut places: Vec<&Place> = elsewhere.map(|entry| &entry.place).collect();
    places.sort_by_key(|place| match place {
        Place::Default | Place::Preset => (None, 0),
        Place::Line { file, line, .. } => (Some(file), *line),
    });
    places.first().map(|first| Passage {
        way: Way::Forwards {
            entries: places.len(),
        },
        place: (*first).clone(),
    })
}

/// `2 forwards to other domains (gatepost.toml:40)`
impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Forwards { entries: 1 } => f.write_str("1 forward leads to other domains")?,
            Way::Forwards { entries } => write!(f, "{entries} forwards lead to other domains")?,
            Way::TurnedBack(domain) => {
                write!(f, "bounces to SRS addresses at {domain} are turned back")?;
            }
            Way::AddedBy(scanner) => write!(f, "the scanner {scanner} may add any recipient")?,
        }
        write!(f, " ({})", self.place)
    }
}
