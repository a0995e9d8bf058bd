//! Asking whether the server takes a recipient: MAIL and RCPT, and no message behind them.

use mail::{Failure, Mailbox, Reply, ReversePath};

use super::{Conversation, State};
use crate::{Again, Stage, fitness, trouble};

/// What the server is to be asked.
#[derive(Debug)]
pub(super) struct Question {
    sender: ReversePath,
    recipient: Mailbox,
    /// What it answered on the way there.
    heard: Vec<(Stage, Reply)>,
}

impl Question {
    /// Notes an answer, but for those that only ask us on in AUTH.
    pub(super) fn note(&mut self, stage: Stage, reply: &Reply) {
        if reply.code() != 334 {
            self.heard.push((stage, reply.clone()));
        }
    }
}

/// A question under way.
#[derive(Debug)]
pub(super) struct Verifying {
    question: Question,
    /// MAIL was taken, and the answer to RCPT is awaited.
    asked: bool,
}

impl Verifying {
    /// Whether RCPT was said.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    /// Where it stands.
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
    /// How far it came: where that was said.
    pub stage: Stage,
    /// What the server answered before MAIL on a connection that was made for the question, in
    /// order.
    pub heard: Vec<(Stage, Reply)>,
    /// The same host deserves another connection before it is given up.
    pub again: Option<Again>,
}

impl Conversation {
    /// Asks whether the server takes mail from `sender` for `recipient`, and sends none.
    /// May be called before the greeting, or when [`Conversation::is_idle`]; on a connection that
    /// is closing the question ends at once with [`Again::Fresh`]. One question or message at a
    /// time.
    pub fn verify(&mut self, sender: ReversePath, recipient: Mailbox) {
        let question = Question {
            sender,
            recipient,
            heard: Vec::new(),
        };
        match &self.state {
            State::Idle => self.begin_verifying(question),
            State::Quitting | State::Closed => self.turn_question_away(question),
            State::Greeting
            | State::Hello(_)
            | State::Securing
            | State::Handshaking
            | State::SigningIn(_)
            | State::Transmitting(_)
            | State::Verifying(_)
            | State::Resetting => {
                if self.is_free() && !self.quit_wanted {
                    self.question = Some(question);
                } else {
                    self.turn_question_away(question);
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

    pub(super) fn begin_verifying(&mut self, question: Question) {
        self.ready_told = true;
        self.advance();
        let (sender, recipient) = (&question.sender, &question.recipient);
        let beyond_ascii = !sender.as_str().is_ascii() || recipient.needs_smtputf8();
        let smtputf8 = self.offers.smtputf8 && beyond_ascii;
        let in_ascii = recipient.in_ascii().is_some() && sender.in_ascii().is_some();
        if !smtputf8 && !in_ascii {
            let failure = trouble::of_host(fitness::no_smtputf8(), &self.hop);
            self.tell_verified(question, Stage::Mail, Err(failure), None);
            return self.on_idle();
        }
        let ascii = sender.in_ascii().filter(|_| !smtputf8);
        let path = ascii.as_deref().unwrap_or(sender.as_str());
        let parameter = if smtputf8 { " SMTPUTF8" } else { "" };
        self.output
            .command(format_args!("MAIL FROM:<{path}>{parameter}"));
        self.state = State::Verifying(Verifying {
            question,
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
            return self.on_sender_refused(reply);
        }
        let recipient = &verifying.question.recipient;
        let ascii = (recipient.in_ascii()).filter(|_| !self.offers.smtputf8);
        let address = ascii.as_deref().unwrap_or(recipient.as_str());
        self.output.command(format_args!("RCPT TO:<{address}>"));
        verifying.asked = true;
    }

    /// There is no transaction to end, and the server would answer no further question either. A
    /// kept connection may simply have carried enough.
    fn on_sender_refused(&mut self, reply: Reply) {
        let again = (reply.is_transient() && self.carried > 0).then_some(Again::Fresh);
        let failure = trouble::of_host(reply, &self.hop);
        self.tell_verifying(Err(failure), again);
        self.quit_wanted = true;
        self.on_idle();
    }

    /// The server has answered; the transaction is undone.
    fn on_verified(&mut self, reply: Reply) {
        self.tell_verifying(Ok(reply), None);
        self.carried += 1;
        let max = self.offers.messages_max;
        self.quit_wanted |= max.is_some_and(|max| self.carried >= max);
        if self.quit_wanted {
            return self.on_idle();
        }
        self.output.command(format_args!("RSET"));
        self.state = State::Resetting;
    }

    /// A question that is still open gets this answer, since the conversation ends at this stage.
    pub(super) fn give_question_up(
        &mut self,
        stage: Stage,
        failure: &Failure,
        again: Option<Again>,
    ) {
        if let Some(question) = self.question.take() {
            self.tell_verified(question, stage, Err(failure.clone()), again);
        } else {
            self.tell_verifying(Err(failure.clone()), again);
        }
    }

    /// A question that came too late for this connection.
    pub(super) fn turn_question_away(&mut self, question: Question) {
        let reply = trouble::dropped("before the recipient was asked for");
        let failure = trouble::of_host(reply, &self.hop);
        self.tell_verified(question, Stage::Quit, Err(failure), Some(Again::Fresh));
    }

    /// Ends the question under way, if there is one.
    fn tell_verifying(&mut self, reply: Result<Reply, Failure>, again: Option<Again>) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Verifying(verifying) => {
                let stage = verifying.stage();
                self.tell_verified(verifying.question, stage, reply, again);
            }
            other => self.state = other,
        }
    }

    fn tell_verified(
        &mut self,
        question: Question,
        stage: Stage,
        reply: Result<Reply, Failure>,
        again: Option<Again>,
    ) {
        self.verified = Some(Verified {
            reply,
            stage,
            heard: question.heard,
            again,
        });
    }
}
