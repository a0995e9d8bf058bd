use bytes::Bytes;
use mail::{Client, Domain, Place, QueueId, ReversePath, Timestamp};
use message::TraceParent;
use reception::{Accepted, StoreTrouble};
use relay_policy::{Decision, Facts, Grounds, Question, Reason, Rules, Why, check_redirected};
use route::Routes;
use smtp::Origin;
use spool::{Change, Commit, Content, HoldReason, NewMessage, Receipt, RecipientState, Spool};

use super::Coming;
use crate::{new_message, stored, stored_event};

/// A whole message, to be committed.
pub struct Storing {
    pub(super) coming: Option<Coming>,
    pub(crate) accepted: Accepted,
    /// For each of its recipients why it is held, where it is; empty: none is.
    pub(crate) held: Vec<Option<(HoldReason, Box<str>)>>,
    /// The guardian has judged it.
    pub(crate) judged: bool,
    /// The message of which rules of screening made it.
    pub(super) parted_from: Option<QueueId>,
    pub(super) content: Content,
    /// It is taken before it is looked at.
    pub(crate) unscreened: Option<PutOff>,
    pub(crate) client: Client,
    pub(super) client_name: Option<Domain>,
    /// Whether it said EHLO.
    pub(super) is_extended: bool,
    pub(super) session: u64,
}

/// What is stored with a message that is taken before it is looked at.
#[derive(Debug, Clone)]
pub(crate) struct PutOff {
    /// What is to be known for that.
    pub facts: Bytes,
    /// The line of the configuration that says so.
    pub by: Place,
}

/// Messages whose commit is under way. They go where the commit goes, not with the session: the
/// queue learns of a stored message even if its session has ended.
pub struct Pending(Vec<Acceptance>);

/// A message that is on stable storage: for the log, and then for the queue.
pub struct Acceptance {
    /// Who sent it.
    pub client: Client,
    /// In which session.
    pub session: u64,
    /// What the client called itself.
    pub hello: Box<str>,
    /// The client's host name, where it was asked for and leads back to its address.
    pub client_name: Option<Domain>,
    /// Where it came from before the filter that gives it back, as that says.
    pub origin: Option<Box<Origin>>,
    /// Why each of its recipients was let in, in their order.
    pub reasons: Vec<Reason>,
    /// The message of which rules of screening made it, which its client heard of.
    pub parted_from: Option<QueueId>,
    /// Its Message-ID, without brackets.
    pub message_id: Box<str>,
    /// Its subject as written.
    pub subject: Box<str>,
    /// The trace that it belonged to before it came.
    pub trace_parent: Option<TraceParent>,
    /// The line of the configuration by which it has yet to be looked at, if it has.
    pub unscreened_by: Option<Place>,
    /// What was stored.
    pub message: NewMessage,
}

impl Storing {
    /// The name that it is to have.
    pub fn id(&self) -> QueueId {
        self.accepted.id
    }

    /// Its sender.
    pub fn reverse_path(&self) -> &ReversePath {
        &self.accepted.envelope.reverse_path
    }

    /// It is not stored after all: what is on disk of it goes.
    pub fn abandon(self, spool: &dyn Spool) {
        if let Content::Large(_) = self.content {
            spool.abandon(self.accepted.id);
        }
    }

    /// What has to be known of those to whom rules of screening send it, as far as `facts` go; once
    /// nothing is left to be asked, those who do not exist are held.
    pub fn check_targets(&mut self, rules: &Rules, facts: &Facts) -> Option<Question> {
        let recipients = &self.accepted.envelope.recipients;
        self.held.resize(recipients.len(), None);
        for (recipient, held) in recipients.iter().zip(&mut self.held) {
            if held.is_some() || !matches!(recipient.why.why, Why::ByRule { .. }) {
                continue;
            }
            match check_redirected(rules, recipient.admitted.recipient(), facts) {
                Some(Decision::Ask(question)) => return Some(question),
                Some(Decision::Refuse { reply, .. }) => {
                    let why = format!(
                        "{}, by {}: {}",
                        recipient.why,
                        recipient.why.place,
                        reply.text()
                    );
                    let why = mail::escaped(&why).to_string().into();
                    *held = Some((HoldReason::Screening, why));
                }
                Some(Decision::Carry { .. } | Decision::Postpone { .. }) | None => {}
            }
        }
        None
    }

    /// How many recipients it has: they count against what the client may send.
    pub fn recipients(&self) -> u32 {
        u32::try_from(self.accepted.envelope.recipients.len()).unwrap_or(u32::MAX)
    }

    /// To how many of them a bounce is turned back.
    pub fn bounces(&self) -> u32 {
        let recipients = self.accepted.envelope.recipients.iter();
        let turned_back =
            recipients.filter(|one| one.admitted.grounds() == Grounds::ForwardedSender);
        u32::try_from(turned_back.count()).unwrap_or(u32::MAX)
    }

    pub(super) fn into_acceptance(self, now: Timestamp, routes: &Routes) -> Acceptance {
        let Self {
            coming,
            mut accepted,
            held,
            judged: _,
            parted_from,
            content,
            unscreened,
            client,
            client_name,
            is_extended: _,
            session,
        } = self;
        drop(coming);
        let hello = std::mem::take(&mut accepted.hello);
        let origin = accepted.origin.clone();
        let message_id = std::mem::take(&mut accepted.message_id);
        let subject = std::mem::take(&mut accepted.subject);
        let trace_parent = accepted.trace_parent;
        let recipients = accepted.envelope.recipients.iter();
        let reasons = recipients.map(|recipient| recipient.why.clone()).collect();
        let mut message = new_message(accepted, &client, content, now, routes);
        for (recipient, held) in message.recipients.iter_mut().zip(held) {
            if let Some((reason, why)) = held {
                recipient.state = RecipientState::Held(reason);
                recipient.last = Some(why);
            }
        }
        for recipient in message
            .recipients
            .iter_mut()
            .filter(|_| unscreened.is_some())
        {
            recipient.state = RecipientState::Held(HoldReason::Unscreened);
            recipient.last = Some(BEING_SCREENED.into());
        }
        Acceptance {
            client,
            session,
            hello,
            client_name,
            origin,
            reasons,
            parted_from,
            message_id,
            subject,
            trace_parent,
            unscreened_by: unscreened.map(|put_off| put_off.by),
            message,
        }
    }
}

/// What stands with recipients whose message is yet to be looked at.
pub(crate) const BEING_SCREENED: &str = "being screened";

impl Pending {
    /// The change for the spool that stores these messages, all or none of them, arrived `now` (on
    /// the queue's line) and filed as `routes` have it; and what is to hear the answer.
    pub fn new(messages: Vec<Storing>, now: Timestamp, routes: &Routes) -> (Change, Self) {
        let put_off = messages.first().and_then(|first| first.unscreened.as_ref());
        let facts = put_off.map(|put_off| put_off.facts.clone());
        let messages = messages.into_iter();
        let acceptances: Vec<Acceptance> = messages
            .map(|storing| storing.into_acceptance(now, routes))
            .collect();
        let change = match (&acceptances[..], facts) {
            ([one], Some(facts)) => Change::StoreUnscreened(one.message.clone(), facts),
            ([one], None) => Change::Store(one.message.clone()),
            (all, _) => Change::StoreAll(all.iter().map(|one| one.message.clone()).collect()),
        };
        (change, Self(acceptances))
    }

    /// What there will be to tell once they are stored.
    pub fn acceptances(&self) -> &[Acceptance] {
        &self.0
    }

    /// The spool has answered: what the session is to hear, and what the queue is, if anything.
    pub fn on_commit(self, commit: Commit) -> (Result<Receipt, StoreTrouble>, Vec<Acceptance>) {
        let stored = stored(commit);
        let acceptances = if stored.is_ok() { self.0 } else { Vec::new() };
        (stored, acceptances)
    }
}

impl Acceptance {
    /// What the queue manager is to hear.
    pub fn into_event(self) -> queue::Event {
        stored_event(self.message)
    }
}
