//! How a message, or the whole conversation, comes to its end.

use mail::{Failure, Outcome, Reply};

use super::{Conversation, State};
use crate::{Again, Ended, Event, Stage, Transaction, trouble};

/// How a message ended, besides its outcomes; the fields are those of [`Ended`].
#[derive(Debug, Default)]
pub(super) struct Ending {
    pub(super) reusable: bool,
    pub(super) unknown: bool,
    pub(super) begun: bool,
    pub(super) put_off: bool,
    pub(super) dsn_passed: bool,
    pub(super) again: Option<Again>,
}

impl Conversation {
    /// The server will not serve us. A 5yz is deferred like a 4yz: it speaks of this host now, and
    /// the next may be of another mind.
    ///
    /// RFC 5321 section 4.1.1.10: the connection must not be closed before QUIT was sent, after
    /// errors too. 421 is the exception: that server closes by itself (section 3.8).
    pub(super) fn refused_by_host(&mut self, reply: Reply) {
        self.refused_at(self.stage(), reply);
    }

    /// The same, at a stage that was not reached: what it would take was not offered.
    pub(super) fn refused_at(&mut self, stage: Stage, reply: Reply) {
        let reply = if reply.is_transient() || reply.is_permanent() {
            reply
        } else {
            trouble::nonsense(&reply, stage.words())
        };
        if reply.code() == 421 {
            return self.broken(reply, false, None);
        }
        let failure = trouble::of_host(reply, &self.hop);
        if let Some(transaction) = self.next.take() {
            self.defer_all(&transaction, &failure, None);
        }
        self.give_question_up(stage, &failure, None);
        self.trouble = Some(failure);
        self.say_quit();
    }

    /// Trouble with the host: whoever has no outcome is deferred, and the connection is given up.
    pub(super) fn broken(&mut self, reply: Reply, unknown: bool, again: Option<Again>) {
        let failure = if unknown {
            trouble::unknown(reply, &self.hop)
        } else {
            trouble::of_host(reply, &self.hop)
        };
        self.give_up(
            &failure,
            Ending {
                unknown,
                again,
                ..Ending::default()
            },
        );
        self.trouble = Some(failure);
        self.close();
    }

    /// Trouble of our own with the message under way: nothing is held against the host, but it must
    /// not take what it has for the whole.
    pub(super) fn cut(&mut self, failure: &Failure) {
        self.give_up(failure, Ending::default());
        self.close();
    }

    /// Whoever has no outcome gets this one.
    pub(super) fn give_up(&mut self, failure: &Failure, ending: Ending) {
        // Half a message must not be followed by anything that the server could take for its end.
        self.output.clear();
        self.give_question_up(self.stage(), failure, ending.again);
        if matches!(self.state, State::Transmitting(_)) {
            self.end_transmission(Some(failure), ending);
        } else if let Some(transaction) = self.next.take() {
            self.defer_all(&transaction, failure, ending.again);
        }
    }

    /// Tells the outcomes of the message under way; `failure` for recipients that have none yet.
    pub(super) fn end_transmission(&mut self, failure: Option<&Failure>, ending: Ending) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Transmitting(mut transmission) => {
                if failure.is_none() {
                    transmission.defer_later(&self.hop);
                }
                let ending = Ending {
                    begun: transmission.has_begun(),
                    put_off: transmission.is_put_off(),
                    dsn_passed: transmission.dsn_passed(),
                    ..ending
                };
                self.push_ended(transmission.into_outcomes(failure), ending);
            }
            other @ (State::Greeting
            | State::Hello(_)
            | State::Securing
            | State::Handshaking
            | State::SigningIn(_)
            | State::Idle
            | State::Verifying(_)
            | State::Resetting
            | State::Quitting
            | State::Closed) => self.state = other,
        }
    }

    pub(super) fn push_ended(&mut self, outcomes: Vec<(u32, Outcome)>, ending: Ending) {
        let Ending {
            reusable,
            unknown,
            begun,
            put_off,
            dsn_passed,
            again,
        } = ending;
        self.events.push_back(Event::Ended(Ended {
            outcomes,
            reusable,
            unknown,
            begun,
            put_off,
            dsn_passed,
            again,
        }));
    }

    /// A message that came too late for this connection.
    pub(super) fn turn_away(&mut self, transaction: &Transaction) {
        let reply = trouble::dropped("before the message was begun");
        let failure = trouble::of_host(reply, &self.hop);
        self.defer_all(transaction, &failure, Some(Again::Fresh));
    }

    pub(super) fn defer_all(
        &mut self,
        transaction: &Transaction,
        failure: &Failure,
        again: Option<Again>,
    ) {
        let deferred = |number| (number, Outcome::Deferred(failure.clone()));
        let outcomes = transaction
            .recipients
            .iter()
            .map(|r| deferred(r.number))
            .collect();
        self.push_ended(
            outcomes,
            Ending {
                again,
                ..Ending::default()
            },
        );
    }
}
