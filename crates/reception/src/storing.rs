//! The two answers of the spool: there is room for a message, and the message is on stable storage.

use std::collections::BTreeSet;

use mail::{QueueId, Reply};
use smtp::write_reply;
use spool::Receipt;

use crate::phase::{Committing, Opening, Phase, Waiting};
use crate::session::FollowUps;
use crate::transaction::Transaction;
use crate::{
    AcceptedFact, Admission, Named, Refusal, RefusedMessage, Session, SessionFact, StoreTrouble,
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
        let Opening {
            hello,
            envelope,
            prdr,
        } = opening;
        self.phase = Phase::Addressing(Box::new(Transaction {
            hello,
            id,
            envelope,
            named: 0,
            each: prdr.then(Named::default),
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
        let reply = match stored {
            Ok(receipt) if receipt.id() == committing.id => {
                self.stored(&receipt, *committing);
                return self.after_step();
            }
            // A receipt for another message proves nothing about this one.
            Ok(_) => StoreTrouble::Failed.reply(),
            Err(reply) => reply,
        };
        let Committing {
            hello,
            id,
            reverse_path,
            recipients,
            size,
            ..
        } = *committing;
        self.phase = Phase::Ready(hello);
        self.refuse_message(Some(id), reverse_path, reply, size, recipients);
        self.after_step();
    }

    /// Goes before an answer to [`crate::Event::Message`], where its client takes a reply for each of
    /// those whom it named ([`crate::Accepted::named`]): one for each, in their order. The answer is
    /// about the others.
    pub fn refuse_for_some(&mut self, refused: Vec<Option<Refusal>>) {
        match self.take_phase() {
            Phase::Waiting(Waiting::Receipt(mut committing)) => {
                committing.refused = refused;
                self.phase = Phase::Waiting(Waiting::Receipt(committing));
            }
            other => self.out_of_place(other, "a message was screened"),
        }
    }

    /// Another answer to [`crate::Event::Message`]: it is refused for what is in it.
    pub fn on_screened_out(&mut self, Refusal { reply, by }: Refusal) {
        let committing = match self.take_phase() {
            Phase::Waiting(Waiting::Receipt(committing)) => committing,
            other => return self.out_of_place(other, "a message was screened"),
        };
        self.renew_time_limit();
        if !committing.refused.is_empty() {
            self.say_for_each(&committing);
            self.phase = Phase::Ready(committing.hello);
            self.say(&reply);
            self.follow_ups = FollowUps::of_refused_message();
            return self.after_step();
        }
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
        self.taken(*committing);
        self.after_step();
    }

    /// A 250 needs the receipt of the spool.
    fn stored(&mut self, _: &Receipt, committing: Committing) {
        self.taken(committing);
    }

    /// The only place that tells a client that its message is taken.
    fn taken(&mut self, committing: Committing) {
        self.counts.accepted += 1;
        self.counts.idle_commands = 0;
        let refused = self.say_for_each(&committing);
        let Committing {
            hello,
            id,
            recipients,
            size,
            ..
        } = committing;
        let taken_for = (0..).zip(recipients);
        let taken_for = taken_for.filter(|(at, _)| !refused.contains(at));
        let recipients = taken_for.map(|(_, recipient)| recipient).collect();
        self.phase = Phase::Ready(hello);
        self.say(&taken(id));
        self.log(SessionFact::Accepted(AcceptedFact {
            id,
            recipients,
            size,
        }));
    }

    /// Where it is refused for some, says for each whom the client named, in their order, what
    /// becomes of it (draft-hall-prdr-00); the reply about the message as a whole follows. Gives the
    /// places of the recipients that are refused so.
    fn say_for_each(&mut self, committing: &Committing) -> BTreeSet<usize> {
        let (Some(named), Some(first)) = (
            &committing.named,
            committing.refused.iter().flatten().next(),
        ) else {
            return BTreeSet::new();
        };
        let mut replies = Vec::new();
        let begins = Reply::plain(353, "A reply for each recipient, then one for all");
        write_reply(&begins, &mut replies);
        let ok = Reply::new(250, 1, 5, "Ok");
        for refusal in &committing.refused {
            let reply = refusal.as_ref().map_or(&ok, |refusal| &refusal.reply);
            write_reply(reply, &mut replies);
        }
        // In one: to those who record the session they are what goes before the reply.
        self.say_raw(&replies);
        self.count_refusal(&first.reply);
        for (places, refusal) in named.places().zip(&committing.refused) {
            let Some(Refusal { reply, by }) = refusal else {
                continue;
            };
            self.counts.refused += 1;
            let recipients = places
                .iter()
                .filter_map(|at| committing.recipients.get(*at));
            self.log(SessionFact::RefusedFor(Box::new(RefusedMessage {
                id: Some(committing.id),
                reverse_path: committing.reverse_path.clone(),
                reply: reply.clone(),
                octets: committing.size,
                recipients: recipients.cloned().collect(),
                by: Some(by.clone()),
            })));
        }
        named.refused(&committing.refused)
    }
}

/// What a client hears once its message is on stable storage.
pub fn taken(id: QueueId) -> Reply {
    Reply::new(250, 0, 0, format!("Ok: queued as {id}"))
}
