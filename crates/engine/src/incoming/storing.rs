use mail::{Client, Domain, Timestamp};
use reception::{Accepted, StoreTrouble};
use relay_policy::{Grounds, Reason};
use route::Routes;
use spool::{Change, Commit, Content, HoldReason, NewMessage, Receipt, RecipientState};

use super::Coming;
use crate::{new_message, stored, stored_event};

/// A whole message, to be committed.
pub struct Storing {
    pub(super) coming: Option<Coming>,
    /// Why it is kept, where it is.
    pub(crate) held: Option<Box<str>>,
    pub(crate) accepted: Accepted,
    pub(super) content: Content,
    pub(crate) client: Client,
    pub(super) client_name: Option<Domain>,
    pub(super) session: u64,
}

/// A message whose commit is under way. It goes where the commit goes, not with the session: the
/// queue learns of a stored message even if its session has ended.
pub struct Pending(Acceptance);

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
    /// Why each of its recipients was let in, in their order.
    pub reasons: Vec<Reason>,
    /// Its Message-ID, without brackets.
    pub message_id: Box<str>,
    /// Its subject as written.
    pub subject: Box<str>,
    /// What was stored.
    pub message: NewMessage,
}

impl Storing {
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

    /// The change for the spool, arrived `now` (on the queue's line) and filed as `routes` have it,
    /// and what is to hear the answer.
    pub fn at(self, now: Timestamp, routes: &Routes) -> (Change, Pending) {
        let Self {
            coming,
            held,
            mut accepted,
            content,
            client,
            client_name,
            session,
        } = self;
        let hello = std::mem::take(&mut accepted.hello);
        let message_id = std::mem::take(&mut accepted.message_id);
        let subject = std::mem::take(&mut accepted.subject);
        let recipients = accepted.envelope.recipients.iter();
        let reasons = recipients.map(|recipient| recipient.why.clone()).collect();
        let mut message = new_message(accepted, &client, content, now, routes);
        if let Some(why) = held {
            for recipient in &mut message.recipients {
                recipient.state = RecipientState::Held(HoldReason::Operator);
                recipient.last = Some(why.clone());
            }
        }
        let change = Change::Store(message.clone());
        drop(coming);
        let acceptance = Acceptance {
            client,
            session,
            hello,
            client_name,
            reasons,
            message_id,
            subject,
            message,
        };
        (change, Pending(acceptance))
    }
}

impl Pending {
    /// What there will be to tell once it is stored.
    pub fn acceptance(&self) -> &Acceptance {
        &self.0
    }

    /// The spool has answered: what the session is to hear, and what the queue is, if anything.
    pub fn on_commit(self, commit: Commit) -> (Result<Receipt, StoreTrouble>, Option<Acceptance>) {
        let stored = stored(commit);
        let acceptance = stored.is_ok().then_some(self.0);
        (stored, acceptance)
    }
}

impl Acceptance {
    /// What the queue manager is to hear.
    pub fn into_event(self) -> queue::Event {
        stored_event(self.message)
    }
}
