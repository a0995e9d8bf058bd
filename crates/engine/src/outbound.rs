//! What the guardian of [`admission`] is to see of mail that goes out: who sends it, as which domain,
//! to whom elsewhere.

use admission::{Sender, Subject};
use mail::{Client, Mailbox, Outcome};
use relay_policy::Admitted;
use spool::HoldReason;

use crate::{Incoming, Report, Storing};

impl Storing {
    /// To whom it goes out because its sender may send through us: nobody where all of it is for us,
    /// or would be forwarded for anybody.
    pub fn outward(&self) -> Vec<&Mailbox> {
        let recipients = self.accepted.envelope.recipients.iter();
        // What comes back from the filter was counted before it went there.
        let outward = recipients.map(|one| &one.admitted).filter(|admitted| {
            let grounds = admitted.grounds();
            !grounds.is_of_strangers() && !grounds.is_filtered()
        });
        outward.map(Admitted::recipient).collect()
    }

    /// Who sends it.
    pub fn sender(&self) -> Sender {
        Sender {
            who: of_client(&self.client),
            domain: self.reverse_path().domain().cloned(),
        }
    }

    /// Whether the guardian has judged it already, or the message of which rules made it; from now on
    /// it has.
    pub fn is_judged(&mut self) -> bool {
        std::mem::replace(&mut self.judged, true)
    }

    /// Has it kept until an operator releases it, for this reason.
    pub fn hold(&mut self, why: &str) {
        let why: Box<str> = mail::escaped(why).to_string().into();
        let recipients = self.accepted.envelope.recipients.len();
        self.held.resize(recipients, None);
        for held in &mut self.held {
            // Whom a rule of screening holds, it holds.
            held.get_or_insert_with(|| (HoldReason::Operator, why.clone()));
        }
    }
}

impl Incoming {
    /// Whoever sends, where it is known by now that it may send through us; none on the way back from
    /// a filter, who sends nothing itself.
    pub fn sender(&self) -> Option<Sender> {
        let client = self.client();
        let is_permitted = client.user.is_some() || self.standing().is_permitted();
        let is_sender = is_permitted && !self.is_way_back();
        is_sender.then(|| Sender {
            who: of_client(client),
            domain: None,
        })
    }
}

impl Report {
    /// Who sent the message, and for how many of those elsewhere it failed for good; `None` when for
    /// nobody.
    pub fn failed(&self) -> Option<(Sender, u32)> {
        let message = &self.job.message;
        let goes_out = |number: u32| {
            let mut recipients = self.job.recipients.iter();
            let one = recipients.find(|recipient| recipient.number == number);
            one.is_some_and(|one| !one.admitted.grounds().is_of_strangers())
        };
        let results = self.ended.results.iter();
        let failed = results
            .filter(|(number, outcome)| matches!(outcome, Outcome::Failed(_)) && goes_out(*number));
        let count = u32::try_from(failed.count()).unwrap_or(u32::MAX);
        let who = match &message.user {
            Some(user) => Some(Subject::User((**user).into())),
            None => shown(&message.client),
        };
        let domain = message.reverse_path.domain().cloned();
        (count > 0).then_some((Sender { who: who?, domain }, count))
    }
}

fn of_client(client: &Client) -> Subject {
    let user = client.user.clone().map(Subject::User);
    user.unwrap_or_else(|| Subject::of(client))
}

/// A client as a message shows it; none for a notice of ours.
fn shown(client: &str) -> Option<Subject> {
    match client.strip_prefix("uid:") {
        Some(uid) => Subject::named("account", uid),
        None => Subject::named("client", client),
    }
}
