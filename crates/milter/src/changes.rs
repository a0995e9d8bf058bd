use std::sync::Arc;

use mail::{Mailbox, RcptParameters, Reply, ReversePath};

use crate::answer::Answer;
use crate::edited::{Edit, Edited};

/// What the milters of a chain make of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Fields that go above our own trace.
    pub top: Vec<u8>,
    /// What has to be done to what came, below our own trace.
    pub edits: Vec<Edit>,
    /// From whom it is now, where that is somebody else.
    pub sender: Option<ReversePath>,
    /// What becomes of single recipients, in the order in which the milters said so.
    pub recipients: Vec<RecipientChange>,
}

/// What a milter makes of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientChange {
    /// The milter.
    pub by: Arc<str>,
    /// The recipient.
    pub mailbox: Mailbox,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The message is refused for it, with this reply.
    Refused(Reply),
    /// It gets nothing.
    Removed,
    /// It gets the message, too: nobody has decided yet whether we may send it there.
    Added(RcptParameters),
}

impl Changes {
    /// Makes the changes of a milter's answer in the message, and takes note of those of its envelope.
    pub fn make(&mut self, by: &Arc<str>, answer: &Answer, message: &mut Edited<'_>) {
        let before = message.envelope().clone();
        message.apply(answer);
        let after = message.envelope();
        if after.sender != before.sender {
            self.sender = Some(after.sender.clone());
        }
        let mut note = |mailbox: &Mailbox, fate| {
            self.recipients.push(RecipientChange {
                by: Arc::clone(by),
                mailbox: mailbox.clone(),
                fate,
            });
        };
        for (mailbox, reply) in &answer.refused {
            note(mailbox, Fate::Refused(reply.clone()));
        }
        for gone in &before.recipients {
            let is_there = after
                .recipients
                .iter()
                .any(|one| one.mailbox == gone.mailbox);
            let is_refused = answer.refused.iter().any(|(one, _)| *one == gone.mailbox);
            if !is_there && !is_refused {
                note(&gone.mailbox, Fate::Removed);
            }
        }
        for new in &after.recipients {
            if !before
                .recipients
                .iter()
                .any(|one| one.mailbox == new.mailbox)
            {
                note(&new.mailbox, Fate::Added(new.parameters.clone()));
            }
        }
        self.top = message.top();
        self.edits = message.edits();
    }

    /// Whether the message goes on as it came.
    pub fn is_unchanged(&self) -> bool {
        *self == Self::default()
    }
}
