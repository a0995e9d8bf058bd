//! A scanner's answer in the words of rules.

use std::time::Duration;

use ::scanner::{Answer, Class as Said, Edit, Wish};
use mail::Reply;
use screening::{Class, Finding};

/// Characters of names and symbols that are kept.
const WHAT_MAX: usize = 200;

/// What a scanner came to, and what it wants changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// For rules.
    pub finding: Finding,
    /// In its order.
    pub edits: Vec<Edit>,
    /// How long that took, waiting for its turn included; none where it was not asked.
    pub took: Option<Duration>,
}

impl From<Finding> for Found {
    fn from(finding: Finding) -> Self {
        Self {
            finding,
            ..Self::default()
        }
    }
}

impl From<Answer> for Found {
    fn from(answer: Answer) -> Self {
        let Answer::Finding(said) = answer else {
            return Finding::error("it answered something else").into();
        };
        let mut classes = Vec::new();
        classes.extend(match said.class {
            Said::Infected => Some(Class::Infected),
            Said::Spam => Some(Class::Spam),
            Said::Encrypted => Some(Class::Encrypted),
            Said::Limit => Some(Class::Limit),
            Said::Rejected => Some(Class::Reject),
            Said::Unscanned if said.wish == Wish::None => Some(Class::Error),
            Said::Unscanned => None,
            Said::Clean => None,
        });
        let wished = match said.wish {
            Wish::None => None,
            Wish::Mark => Some(Class::Spam),
            Wish::Hold => Some(Class::Quarantine),
            Wish::Postpone => Some(Class::Postpone),
            // What becomes of malware is an option of its own.
            Wish::Refuse if said.class == Said::Infected => None,
            Wish::Refuse => Some(Class::Reject),
            Wish::Discard => Some(Class::Discard),
        };
        classes.extend(wished.filter(|class| !classes.contains(class)));
        if classes.is_empty() {
            classes.push(Class::Clean);
        }
        let text = said.reply.clone().filter(|text| !text.is_empty());
        let reply = text.map(|text| match said.wish {
            Wish::Postpone => Reply::new(451, 7, 1, text),
            _ => Reply::new(550, 7, 1, text),
        });
        let finding = Finding {
            what: what(&said),
            classes,
            score: said.score,
            reply,
        };
        Self {
            finding,
            edits: said.edits,
            took: None,
        }
    }
}

/// Names of what was found, and rules that hit, the heaviest first.
fn what(said: &::scanner::Finding) -> String {
    let mut symbols: Vec<&(String, f64)> = said.symbols.iter().collect();
    symbols.sort_by(|one, other| other.1.abs().total_cmp(&one.1.abs()));
    let names = said.names.iter().map(String::as_str);
    let all = names.chain(symbols.into_iter().map(|(name, _)| name.as_str()));
    let mut what = String::new();
    for name in all {
        if what.len() + name.len() > WHAT_MAX {
            what.push_str(", ...");
            break;
        }
        if !what.is_empty() {
            what.push_str(", ");
        }
        what.push_str(name);
    }
    what
}
