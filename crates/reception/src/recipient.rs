//! RCPT: puts each recipient to the relay policy, and asks what the policy must know first.

use mail::{Mailbox, OriginalRecipient, Reply, ReversePath};
use relay_policy::{
    Admitted, Answer, Decision, EnvelopeRecipient, Grounds, Question, Reason, Why, addressee,
    decide, forwarded,
};
use smtp::{Rcpt, RcptPath, Verb};

use crate::command::needs_smtputf8;
use crate::phase::{Deciding, Phase, Waiting};
use crate::transaction::Transaction;
use crate::{Event, RefusedRecipient, Session, SessionFact};

impl Session {
    pub(crate) fn on_rcpt(&mut self, rcpt: Rcpt) {
        match self.take_phase() {
            Phase::Addressing(transaction) => {
                self.facts.forget_recipient();
                self.decide(transaction, rcpt, None);
            }
            other => {
                self.phase = other;
                self.out_of_order(Verb::Rcpt, "Send MAIL first");
            }
        }
    }

    /// The answer to [`Event::Ask`].
    pub fn on_fact(&mut self, answer: Answer) {
        let phase = self.take_phase();
        self.renew_time_limit();
        self.facts.answer(answer);
        match phase {
            Phase::Waiting(Waiting::Fact(deciding)) => {
                let asked = Some(&deciding.question);
                self.decide(deciding.transaction, deciding.rcpt, asked);
            }
            Phase::Waiting(Waiting::Right(asking)) => {
                let asked = Some(&asking.question);
                self.request(asking.hello, asking.asked_for, asked);
            }
            other => return self.out_of_place(other, "a fact was found out"),
        }
        self.after_step();
    }

    /// Puts one recipient to the relay policy. Comes back here when a fact that was `asked` for has
    /// been found.
    pub(crate) fn decide(
        &mut self,
        mut transaction: Box<Transaction>,
        rcpt: Rcpt,
        asked: Option<&Question>,
    ) {
        let recipient = match self.recipient(&transaction, &rcpt) {
            Ok(recipient) => recipient,
            Err(reply) => return self.refuse_recipient(transaction, &rcpt, reply, None),
        };
        let reverse_path = &transaction.envelope.reverse_path;
        let rules = &self.settings.rules;
        match decide(rules, &self.client, reverse_path, &recipient, &self.facts) {
            Decision::Carry { admitted, why } if has_enough(&transaction, &admitted) => {
                let text = "Too many bounces from you, try again later";
                self.refuse_recipient(transaction, &rcpt, Reply::new(451, 7, 1, text), Some(why));
            }
            Decision::Carry { admitted, why } => {
                let all = forwarded(rules, &self.client, &self.facts, admitted, why);
                transaction.is_bounce = self.is_bounce(&transaction, &recipient);
                self.admit(&mut transaction, all, rcpt);
                self.phase = Phase::Addressing(transaction);
            }
            Decision::Refuse { reply, why } | Decision::Postpone { reply, why } => {
                self.refuse_recipient(transaction, &rcpt, reply, Some(why));
            }
            // The answer did not fit the question; asking for ever would hold the client for ever.
            Decision::Ask(question) if asked == Some(&question) => {
                let reply = Reply::new(
                    451,
                    3,
                    0,
                    "The recipient cannot be checked now, try again later",
                );
                self.refuse_recipient(transaction, &rcpt, reply, None);
            }
            Decision::Ask(question) => {
                let deciding = Deciding {
                    transaction,
                    rcpt,
                    question: question.clone(),
                };
                self.phase = Phase::Waiting(Waiting::Fact(Box::new(deciding)));
                self.events.push_back(Event::Ask(question));
            }
        }
    }

    /// Who is meant, or why nobody can be named now.
    fn recipient(&self, transaction: &Transaction, rcpt: &Rcpt) -> Result<Mailbox, Reply> {
        let named = transaction.named;
        // RFC 5321 section 4.5.3.1.10: 452 for too many recipients; the client sends the rest in a
        // further message.
        if named >= self.recipients_max() {
            return Err(Reply::new(
                452,
                5,
                3,
                "Too many recipients, send the rest again",
            ));
        }
        let for_now = transaction.recipients_for_now;
        if for_now.is_some_and(|most| named >= most) {
            let text = "Too many recipients for now, try again later";
            return Err(Reply::new(452, 7, 1, text));
        }
        let mailbox = match &rcpt.path {
            RcptPath::Mailbox(mailbox) => {
                let (rules, names) = (&self.settings.rules, &self.settings.own_names);
                addressee(rules, names, self.settings.postmaster.as_ref(), mailbox).clone()
            }
            RcptPath::Postmaster => {
                let nobody = || Reply::new(550, 1, 1, "Nobody is postmaster here");
                self.settings.postmaster.clone().ok_or_else(nobody)?
            }
        };
        // A message to one is a bounce, which goes to the one sender of what bounced.
        if named > 0 && (transaction.is_bounce || self.is_bounce(transaction, &mailbox)) {
            return Err(Reply::new(
                452,
                5,
                3,
                "A bounce has one recipient, send the rest again",
            ));
        }
        if mailbox.needs_smtputf8() && !transaction.envelope.parameters.smtputf8 {
            return Err(needs_smtputf8());
        }
        Ok(mailbox)
    }

    /// Whether a message to this recipient is a bounce of one that we forwarded.
    fn is_bounce(&self, transaction: &Transaction, recipient: &Mailbox) -> bool {
        let rewriting = self.settings.rules.rewriting.as_deref();
        transaction.envelope.reverse_path == ReversePath::Null
            && rewriting.is_some_and(|rewriting| rewriting.is_for(recipient))
    }

    /// How many recipients a message of this client may have.
    pub(crate) fn recipients_max(&self) -> u32 {
        let limits = &self.settings.limits;
        if self.is_stranger() {
            limits.recipients_of_strangers
        } else {
            limits.recipients
        }
    }

    /// Takes the recipient, or all to whom it is forwarded, into the envelope.
    fn admit(&mut self, transaction: &mut Transaction, all: Vec<(Admitted, Reason)>, rcpt: Rcpt) {
        let mut parameters = rcpt.parameters;
        if let Some(notify) = &mut parameters.notify
            && notify.success
            && !self.settings.success_to_strangers
        {
            // A notice to an address that a stranger chose, about mail that arrived: it can be had
            // from us as often as anybody likes.
            notify.success = !self.is_stranger();
        }
        transaction.named += 1;
        let mut places = Vec::with_capacity(all.len());
        for (admitted, why) in all {
            let mut parameters = parameters.clone();
            let (admitted, original) = admitted.back_from_filter(parameters.original.take());
            parameters.original = original;
            if let Why::Forwarded { from, .. } = &why.why {
                // What a notice says of it has to mean something to the sender.
                parameters.original = parameters.original.or_else(|| OriginalRecipient::of(from));
            }
            self.counts.recipients += 1;
            places.push(add(
                &mut transaction.envelope.recipients,
                EnvelopeRecipient {
                    admitted,
                    why,
                    parameters,
                },
            ));
        }
        if let Some(each) = &mut transaction.each {
            each.push(places.into());
        }
        self.say(&Reply::new(250, 1, 5, "Ok"));
    }

    fn refuse_recipient(
        &mut self,
        mut transaction: Box<Transaction>,
        rcpt: &Rcpt,
        reply: Reply,
        reason: Option<Reason>,
    ) {
        self.counts.refused += 1;
        self.counts.unknown += u32::from(is_unknown(&reply));
        self.say(&reply);
        self.count_refusal(&reply);
        let recipient = match &rcpt.path {
            RcptPath::Mailbox(mailbox) => mailbox.as_str().into(),
            RcptPath::Postmaster => "postmaster".into(),
        };
        let reverse_path = transaction.envelope.reverse_path.clone();
        let id = transaction.id;
        self.log(SessionFact::RefusedRecipient(Box::new(RefusedRecipient {
            id,
            reverse_path,
            recipient,
            reply,
            reason,
        })));
        transaction.refused = true;
        self.phase = Phase::Addressing(transaction);
    }
}

/// Several addresses of ours may go to one person, or to somebody who is named as well, who wants
/// the message once; but twice where the sender wants to hear of one and not of the other.
/// Gives the place of who gets it.
fn add(recipients: &mut Vec<EnvelopeRecipient>, new: EnvelopeRecipient) -> usize {
    let is_same = |one: &EnvelopeRecipient| {
        one.admitted.is_same_mailbox(&new.admitted)
            && one.parameters.notify == new.parameters.notify
    };
    let is_forwarded = |one: &EnvelopeRecipient| one.admitted.forwarded_from().is_some();
    match recipients.iter().position(is_same) {
        Some(at) if is_forwarded(&new) => at,
        Some(at) if is_forwarded(&recipients[at]) => {
            recipients[at] = new;
            at
        }
        Some(_) | None => {
            recipients.push(new);
            recipients.len() - 1
        }
    }
}

/// Whether a bounce is to be turned back in a message that has as many of these as it may.
fn has_enough(transaction: &Transaction, admitted: &Admitted) -> bool {
    let is_bounce = |one: &Admitted| one.grounds() == Grounds::ForwardedSender;
    let Some(most) = transaction.bounces_for_now.filter(|_| is_bounce(admitted)) else {
        return false;
    };
    let named = transaction.envelope.recipients.iter();
    named.filter(|one| is_bounce(&one.admitted)).count() >= most as usize
}

/// RFC 3463 section 3.2: X.1.1 is a mailbox that does not exist.
fn is_unknown(reply: &Reply) -> bool {
    let status = reply.status();
    (status.class, status.subject, status.detail) == (5, 1, 1)
}
