//! Refusals that only follow from an earlier one. A client that sends ahead (RFC 2920) has sent
//! RCPT and DATA before it hears that MAIL was refused or put off, or none of its recipients taken.
//! That is no further fault of its own: it hears the answers at once, and they are not held against
//! it.

use mail::Reply;
use smtp::{Doubt, Verb};

use super::record::write_and_note;
use crate::phase::Phase;
use crate::{Complaint, Session, SessionFact};

/// Beside as many recipients as one message may have: DATA, or a few chunks.
const CONTENT_COMMANDS: u32 = 10;

/// What may still follow a refusal.
#[derive(Debug, Default)]
pub(crate) struct FollowUps {
    /// The message begun last was refused, at MAIL or later.
    message_refused: bool,
    /// Commands refused for that alone.
    refused: u32,
}

impl FollowUps {
    pub(crate) fn of_refused_message() -> Self {
        Self {
            message_refused: true,
            refused: 0,
        }
    }
}

impl Session {
    /// Refuses a command for its form or order, and counts that, unless the refusal only follows
    /// from an earlier one.
    pub(crate) fn complain(&mut self, verb: Option<Verb>, reply: Reply) {
        if self.only_follows(verb) {
            self.follow_ups.refused += 1;
            let records = self.is_recorded();
            let said = write_and_note(&reply, self.outlet_at_once(), records);
            self.events.extend(said);
        } else {
            self.say(&reply);
            self.count_refusal(&reply);
        }
        if verb == Some(Verb::Data) {
            self.doubt = Doubt::Content;
        }
        if verb == Some(Verb::Mail) && matches!(self.phase, Phase::Greeted | Phase::Ready(_)) {
            self.follow_ups = FollowUps::of_refused_message();
        }
        self.log(SessionFact::Complaint(Complaint { verb, reply }));
    }

    /// Whether the refusal of `verb` follows from an earlier one alone. No more of them than a
    /// client can have sent ahead.
    fn only_follows(&self, verb: Option<Verb>) -> bool {
        let most = self.recipients_max().saturating_add(CONTENT_COMMANDS);
        if self.follow_ups.refused >= most {
            return false;
        }
        match verb {
            Some(Verb::Rcpt) => self.follow_ups.message_refused,
            Some(Verb::Data | Verb::Bdat) => {
                self.follow_ups.message_refused || self.has_no_valid_recipient()
            }
            Some(_) | None => false,
        }
    }

    fn has_no_valid_recipient(&self) -> bool {
        match &self.phase {
            Phase::Addressing(transaction) => {
                transaction.refused && transaction.envelope.recipients.is_empty()
            }
            Phase::Greeted
            | Phase::Ready(_)
            | Phase::SigningIn(_)
            | Phase::Receiving(_)
            | Phase::Waiting(_)
            | Phase::Closed => false,
        }
    }
}
