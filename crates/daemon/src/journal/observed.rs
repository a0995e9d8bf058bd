use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{Acceptance, Incoming, Report, TurnedAway};
use mail::{Client, Outcome, Place, Reply, ReversePath, Timestamp};
use reception::SessionFact;
use relay_policy::{Grounds, Why};

use crate::clock::Clock;
use crate::devices::{Devices, Seen};
use crate::rates::{Counted, Rates};
use crate::refusals::{Refusal, Refusals};
use crate::site_rates::SiteRates;

/// What an administrator sees at a glance: how much goes on, why clients are refused, how sites do,
/// who sends.
pub(crate) struct Observed {
    clock: Arc<Clock>,
    rates: Mutex<Rates>,
    refusals: Mutex<Refusals>,
    sites: Mutex<SiteRates>,
    pub(crate) devices: Devices,
}

impl Observed {
    /// Nothing has happened yet, but for the devices that are known.
    pub(crate) fn new(clock: Arc<Clock>, devices: Devices) -> Self {
        Self {
            clock,
            rates: Mutex::default(),
            refusals: Mutex::default(),
            sites: Mutex::default(),
            devices,
        }
    }

    pub(crate) fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sites(&self) -> MutexGuard<'_, SiteRates> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn accepted(&self, acceptance: &Acceptance) {
        let now = self.clock.line();
        let recipients = &acceptance.message.recipients;
        self.rates().count(now, Counted::Received, recipients.len());
        let mut grounds = recipients.iter().map(|one| one.admitted.grounds());
        let client = acceptance.client.to_string();
        let name = acceptance.client_name.as_ref().map(|name| name.as_str());
        let sender = &acceptance.message.message.reverse_path;
        let seen = seen(now, &acceptance.client, &client, name, Some(sender));
        self.devices.known().sent(seen, grounds.any(may_relay));
    }

    pub(super) fn session(&self, incoming: &Incoming, fact: &SessionFact) {
        match fact {
            SessionFact::RefusedRecipient(refused) => {
                let reason = refused.reason.as_ref();
                let why = reason.map(|reason| (reason.to_string(), &reason.place));
                let relaying = reason.is_some_and(|reason| is_for_relaying(&reason.why));
                let sender = Some(&refused.reverse_path);
                self.refused(incoming, sender, &refused.reply, why, 1, relaying);
            }
            SessionFact::RefusedMessage(refused) | SessionFact::RefusedFor(refused) => {
                let why = refused
                    .by
                    .as_ref()
                    .map(|by| (by.why.to_string(), &by.place));
                let (sender, count) = (Some(&refused.reverse_path), refused.recipients.len());
                self.refused(incoming, sender, &refused.reply, why, count.max(1), false);
            }
            SessionFact::SignInFailed(failed) => {
                let (now, client) = (self.clock.line(), incoming.client().to_string());
                let refusal = Refusal::new(now, &client, &failed.refusal.reply, None);
                self.refusals()
                    .count(status(&failed.refusal.reply), refusal);
            }
            SessionFact::Accepted(_)
            | SessionFact::Complaint(_)
            | SessionFact::Encrypted(_)
            | SessionFact::SignedIn(_)
            | SessionFact::AskedForMail(..)
            | SessionFact::Ended(_) => {}
        }
    }

    fn refused(
        &self,
        incoming: &Incoming,
        sender: Option<&ReversePath>,
        reply: &Reply,
        why: Option<(String, &Place)>,
        recipients: usize,
        for_relaying: bool,
    ) {
        let (now, client) = (self.clock.line(), incoming.client());
        let counted = match reply.is_transient() {
            true => Counted::Postponed,
            false => Counted::Refused,
        };
        self.rates().count(now, counted, recipients);
        let address = client.to_string();
        let refusal = Refusal::new(now, &address, reply, why);
        self.refusals().count(status(reply), refusal.clone());
        let name = incoming.client_name().map(|name| name.as_str());
        let seen = seen(now, client, &address, name, sender);
        self.devices.known().refused(seen, &refusal, for_relaying);
    }

    pub(super) fn turned_away(&self, client: &Client, why: &TurnedAway) {
        let (reply, why) = match why {
            TurnedAway::TooOften(reply, why) => (reply, (why.excess.to_string(), &why.place)),
            TurnedAway::ByRule(reply, why) => (reply, (why.to_string(), &why.place)),
            // Busy is nobody's fault, and whoever spoke too early is told of by his session.
            TurnedAway::Busy(..) | TurnedAway::Early => return,
        };
        let client = client.to_string();
        let refusal = Refusal::new(self.clock.line(), &client, reply, Some(why));
        self.refusals().count(status(reply), refusal);
    }

    pub(super) fn attempt(&self, report: &Report) {
        let now = self.clock.line();
        let (mut delivered, mut deferred, mut failed) = (0, 0, 0);
        for (_, outcome) in &report.ended.results {
            match outcome {
                Outcome::Delivered(_) => delivered += 1,
                Outcome::Deferred(_) => deferred += 1,
                Outcome::Failed(_) => failed += 1,
            }
        }
        let mut rates = self.rates();
        rates.count(now, Counted::Delivered, delivered);
        rates.count(now, Counted::Deferred, deferred);
        rates.count(now, Counted::Failed, failed);
        drop(rates);
        let (site, took) = (&report.site.name, report.took);
        self.sites().count(now, site, delivered, took);
    }
}

fn seen<'a>(
    at: Timestamp,
    client: &'a Client,
    address: &'a str,
    name: Option<&'a str>,
    sender: Option<&'a ReversePath>,
) -> Seen<'a> {
    Seen {
        at,
        client: address,
        name,
        user: client.user.as_deref(),
        tls: client.tls.as_ref().map(|tls| tls.version),
        sender: sender.map(ReversePath::as_str),
    }
}

/// `550 5.7.1`
fn status(reply: &Reply) -> String {
    format!("{} {}", reply.code(), reply.status())
}

/// Whoever is let in on these grounds may send to anybody.
fn may_relay(grounds: Grounds) -> bool {
    match grounds {
        Grounds::ListedClient
        | Grounds::SignedInUser
        | Grounds::CertificateHolder
        | Grounds::LocalSubmission => true,
        // What comes back from the filter was counted before it went there.
        Grounds::OurDomain
        | Grounds::OwnNotice
        | Grounds::Forwarded
        | Grounds::ForwardedSender
        | Grounds::Filtered
        | Grounds::FilteredOfStrangers => false,
    }
}

/// It would have gone through if the client, or the user, might relay.
fn is_for_relaying(why: &Why) -> bool {
    matches!(
        why,
        Why::Unlisted { .. } | Why::NoRelayRight(_) | Why::NotLocal { .. }
    )
}
