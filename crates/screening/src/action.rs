use std::fmt;
use std::sync::Arc;

use contents::edit::Footer;
use mail::{Mailbox, Reply};

/// What a rule has done with a message that it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Let it pass as it is by then: no rule behind this one is asked.
    Accept,
    /// Refuse it with this reply, in place of the 250.
    Refuse(Reply),
    /// Refuse it as this scanner wants it answered, or else with this reply.
    RefuseFor(Arc<str>, Reply),
    /// Take it and throw it away.
    Discard,
    /// Take it and keep it until somebody releases or deletes it.
    Hold,
    /// Send it to this address in place of the recipient.
    Redirect(Arc<Mailbox>),
    /// Send it to this address, too.
    Copy(Arc<Mailbox>),
    /// Take out the attachments that the rule matched; a text part says so.
    Strip,
    /// Put this in front of the subject.
    TagSubject(Arc<str>),
    /// Add a field to the header.
    AddField {
        /// Its name.
        name: Arc<str>,
        /// Its value, one line.
        value: Arc<str>,
    },
    /// Add this below the text.
    Footer(Arc<Footer>),
    /// Add so much to its score; may be negative.
    Score(i32),
}

/// Of these the first match counts; whatever else rules do adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    End,
    Tag,
    Footer,
}

impl Action {
    /// Whether it says what becomes of the message: a rule can say that once.
    pub fn ends(&self) -> bool {
        self.class() == Some(Class::End)
    }

    /// The class of which only the first match counts.
    pub(crate) fn class(&self) -> Option<Class> {
        match self {
            Self::Accept
            | Self::Refuse(_)
            | Self::RefuseFor(..)
            | Self::Discard
            | Self::Hold
            | Self::Redirect(_) => Some(Class::End),
            Self::TagSubject(_) => Some(Class::Tag),
            Self::Footer(_) => Some(Class::Footer),
            Self::Strip | Self::Copy(_) | Self::AddField { .. } | Self::Score(_) => None,
        }
    }
}

/// In a word or two, as the log has it: `refuse`, `redirect to abuse@example.com`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Refuse(_) | Self::RefuseFor(..) => f.write_str("refuse"),
            Self::Discard => f.write_str("discard"),
            Self::Hold => f.write_str("hold"),
            Self::Redirect(to) => write!(f, "redirect to {to}"),
            Self::Copy(to) => write!(f, "copy to {to}"),
            Self::Strip => f.write_str("strip"),
            Self::TagSubject(tag) => write!(f, "tag {tag:?}"),
            Self::AddField { name, .. } => write!(f, "header {name}"),
            Self::Footer(_) => f.write_str("footer"),
            Self::Score(score) => write!(f, "score {score:+}"),
        }
    }
}
