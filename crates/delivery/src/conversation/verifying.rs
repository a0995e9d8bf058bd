//! Asking whether the server takes a recipient: MAIL and RCPT, and no message behind them.

use mail::{Failure, Mailbox, Reply};

use super::{Conversation, State};
use crate::commands::write;
use crate::transmission::Stage;
use crate::{Again, fitness, trouble};

/// A question under way.
#[derive(Debug)]
pub(super) struct Verifying {
    recipient: Mailbox,
    /// MAIL was taken, and the answer to RCPT is awaited.
    asked: bool,
}

impl Verifying {
    /// Whether RCPT was said.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    /// Where it stands, for the text of a failure.
    pub(super) fn stage(&self) -> Stage {
        if self.asked {
            Stage::Recipient
        } else {
            Stage::Mail
        }
    }
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What the server said of the recipient; or why it was not asked.
    pub reply: Result<Reply, Failure>,
    /// The same host deserves another connection before it is given up.
    pub again: Option<Again>,
}

impl Conversation {
    /// Asks whether the server takes mail for `recipient`, from the null sender, and sends none.
    /// May be called before the greeting, or when [`Conversation::is_idle`]; on a connection that
    /// is closing the question ends at once with [`Again::Fresh`]. One question or message at a
    /// time.
    pub fn verify(&mut self, recipient: Mailbox) {
        match &self.state {
            State::Idle => self.begin_verifying(recipient),
            State::Quitting | State::Closed => self.turn_question_away(),
            State::Greeting
            | State::Hello { .. }
            | State::Securing
            | State::Handshaking
            | State::SigningIn(_)
            | State::Transmitting(_)
            | State::Verifying(_)
            | State::Resetting => {
                if self.is_free() && !self.quit_wanted {
                    self.question = Some(recipient);
                } else {
                    self.turn_question_away();
                }
            }
        }
    }

    /// What became of the question asked last, once it is known; told once.
    pub fn take_verified(&mut self) -> Option<Verified> {
        self.verified.take()
    }

    /// Whether nothing is under way: the next message or question may begin.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    pub(super) fn begin_verifying(&mut self, recipient: Mailbox) {
        self.ready_told = true;
        self.advance();
        let smtputf8 = self.offers.smtputf8 && recipient.needs_smtputf8();
        if !smtputf8 && recipient.in_ascii().is_none() {
            let failure = trouble::of_host(fitness::no_smtputf8(), &self.hop);
            self.tell_verified(Err(failure), None);
            return self.on_idle();
        }
        let parameter: &[u8] = if smtputf8 { b" SMTPUTF8" } else { b"" };
        self.output.extend_from_slice(b"MAIL FROM:<>");
        self.output.extend_from_slice(parameter);
        self.output.extend_from_slice(b"\r\n");
        self.state = State::Verifying(Verifying {
            recipient,
            asked: false,
        });
    }

    pub(super) fn on_verifying(&mut self, reply: Reply) {
        let State::Verifying(verifying) = &mut self.state else {
            return;
        };
        let refused = reply.is_transient() || reply.is_permanent();
        // RFC 5321 section 3.8: 421 says that the server closes the connection, whatever was asked.
        if reply.code() == 421 {
            return self.broken(reply, false, None);
        }
        if !refused && !reply.is_positive() {
            let reply = trouble::nonsense(&reply, verifying.stage().words());
            return self.broken(reply, false, None);
        }
        if verifying.asked {
            return self.on_verified(reply);
        }
        if refused {
            return self.on_null_sender_refused(reply);
        }
        let recipient = &verifying.recipient;
        let ascii = (recipient.in_ascii()).filter(|_| !self.offers.smtputf8);
        let address = ascii.as_deref().unwrap_or(recipient.as_str());
        write(&mut self.output, format_args!("RCPT TO:<{address}>\r\n"));
        verifying.asked = true;
    }

    /// There is no transaction to end, and the server would answer no further question either. A
    /// kept connection may simply have carried enough.
    fn on_null_sender_refused(&mut self, reply: Reply) {
        let again = (reply.is_transient() && self.carried > 0).then_some(Again::Fresh);
        let failure = trouble::of_host(reply, &self.hop);
        self.tell_verified(Err(failure), again);
        self.quit_wanted = true;
        self.on_idle();
    }

    /// The server has answered; the transaction is undone.
    fn on_verified(&mut self, reply: Reply) {
        self.tell_verified(Ok(reply), None);
        self.carried += 1;
        let max = self.offers.messages_max;
        self.quit_wanted |= max.is_some_and(|max| self.carried >= max);
        if self.quit_wanted {
            return self.on_idle();
        }
        self.output.extend_from_slice(b"RSET\r\n");
        self.state = State::Resetting;
    }

    /// A question that is still open gets this answer.
    pub(super) fn give_question_up(&mut self, failure: &Failure, again: Option<Again>) {
        let waits = self.question.take().is_some();
        if waits || matches!(self.state, State::Verifying(_)) {
            self.tell_verified(Err(failure.clone()), again);
        }
    }

    /// A question that came too late for this connection.
    pub(super) fn turn_question_away(&mut self) {
        let reply = trouble::dropped("before the recipient was asked for");
        let failure = trouble::of_host(reply, &self.hop);
        self.tell_verified(Err(failure), Some(Again::Fresh));
    }

    fn tell_verified(&mut self, reply: Result<Reply, Failure>, again: Option<Again>) {
        self.verified = Some(Verified { reply, again });
    }
}
