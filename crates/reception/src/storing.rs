//! The two answers of the spool: there is room for a message, and the message is on stable storage.

use mail::{QueueId, Reply};
use spool::Receipt;

use crate::phase::{Committing, Opening, Phase, Waiting};
use crate::session::FollowUps;
use crate::transaction::Transaction;
use crate::{
    AcceptedFact, Admission, RefusedBy, RefusedMessage, Session, SessionFact, StoreTrouble,
};

impl Session {
    /// The answer to [`crate::Event::Begin`].
    pub fn begin_message(&mut self, admission: Admission) {
        let opening = match self.take_phase() {
            Phase::Waiting(Waiting::Begin(opening)) => opening,
            other => return self.out_of_place(other, "a message was let in"),
        };
        self.renew_time_limit();
        match admission {
            Admission::Open {
                id,
                recipients,
                bounces,
            } => self.begin(*opening, id, recipients, bounces),
            Admission::TooFast(reply) => self.not_begun(*opening, reply),
            Admission::LowSpace => self.not_begun(*opening, StoreTrouble::Full.reply()),
            Admission::Failed => self.not_begun(*opening, StoreTrouble::Failed.reply()),
        }
        self.after_step();
    }

    fn begin(
        &mut self,
        opening: Opening,
        id: QueueId,
        recipients_for_now: Option<u32>,
        bounces_for_now: Option<u32>,
    ) {
        self.counts.messages += 1;
        self.follow_ups = FollowUps::default();
        let Opening { hello, envelope } = opening;
        self.phase = Phase::Addressing(Box::new(Transaction {
            hello,
            id,
            envelope,
            named: 0,
            is_bounce: false,
            recipients_for_now,
            bounces_for_now,
            refused: false,
        }));
        self.say(&Reply::new(250, 1, 0, "Ok"));
    }

    fn not_begun(&mut self, opening: Opening, reply: Reply) {
        self.phase = Phase::Ready(opening.hello);
        self.refuse_message(None, opening.envelope.reverse_path, reply, 0, Vec::new());
    }

    /// The answer to [`crate::Event::Message`]. A 250 needs the receipt: there is no other way to
    /// say it.
    pub fn on_stored(&mut self, stored: Result<Receipt, StoreTrouble>) {
        self.conclude(stored.map_err(StoreTrouble::reply));
    }

    /// The other answer to [`crate::Event::Message`]: it is not to be stored, and its client hears
    /// this reply, 4yz.
    pub fn postpone_message(&mut self, reply: Reply) {
        self.conclude(Err(reply));
    }

    fn conclude(&mut self, stored: Result<Receipt, Reply>) {
        let committing = match self.take_phase() {
            Phase::Waiting(Waiting::Receipt(committing)) => committing,
            other => return self.out_of_place(other, "a message was stored"),
        };
        self.renew_time_limit();
        let Committing {
            hello,
            id,
            reverse_path,
            recipients,
            size,
        } = *committing;
        self.phase = Phase::Ready(hello);
        let reply = match stored {
            Ok(receipt) if receipt.id() == id => {
                let fact = AcceptedFact {
                    id,
                    recipients,
                    size,
                };
                self.stored(&receipt, fact);
                return self.after_step();
            }
            // A receipt for another message proves nothing about this one.
            Ok(_) => StoreTrouble::Failed.reply(),
            Err(reply) => reply,
        };
        self.refuse_message(Some(id), reverse_path, reply, size, recipients);
        self.after_step();
    }

    /// Another answer to [`crate::Event::Message`]: it is refused for what is in it.
    pub fn on_screened_out(&mut self, reply: Reply, by: RefusedBy) {
        let committing = match self.take_phase() {
            Phase::Waiting(Waiting::Receipt(committing)) => committing,
            other => return self.out_of_place(other, "a message was screened"),
        };
        self.renew_time_limit();
        self.phase = Phase::Ready(committing.hello);
        self.say_refused(RefusedMessage {
            id: Some(committing.id),
            reverse_path: committing.reverse_path,
            reply,
            octets: committing.size,
            recipients: committing.recipients,
            by: Some(by),
        });
        self.after_step();
    }

    /// Another answer to [`crate::Event::Message`]: the configuration has it thrown away, for all of
    /// its recipients. Its client hears what it would hear otherwise: whoever sends such a message
    /// is not told what gives it away.
    pub fn on_discarded(&mut self) {
        let committing = match self.take_phase() {
            Phase::Waiting(Waiting::Receipt(committing)) => committing,
            other => return self.out_of_place(other, "a message was screened"),
        };
        self.renew_time_limit();
        let Committing {
            hello,
            id,
            recipients,
            size,
            ..
        } = *committing;
        self.phase = Phase::Ready(hello);
        self.taken(AcceptedFact {
            id,
            recipients,
            size,
        });
        self.after_step();
    }

    /// A 250 needs the receipt of the spool.
    fn stored(&mut self, _: &Receipt, fact: AcceptedFact) {
        self.taken(fact);
    }

    /// The only place that tells a client that its message is taken.
    fn taken(&mut self, fact: AcceptedFact) {
        self.counts.accepted += 1;
        self.counts.idle_commands = 0;
        self.say(&taken(fact.id));
        self.log(SessionFact::Accepted(fact));
    }
}

/// What a client hears once its message is on stable storage.
pub fn taken(id: QueueId) -> Reply {
    Reply::new(250, 0, 0, format!("Ok: queued as {id}"))
}
