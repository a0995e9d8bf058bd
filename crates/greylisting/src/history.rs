use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use admission::Recent;
use ipnet::IpNet;
use mail::{Domain, Timestamp};
use relay_policy::{Approach, Familiar, Greylisted};
use serde::{Deserialize, Serialize};

use crate::reputation::Score;
use crate::settings::millis;
use crate::triplet::{Origin, Triplet};
use crate::{Deed, Reputation, Settings};

/// A network or domain gets no nearer to waiting no longer by more than one message in this time: a
/// program that comes back once could send any number.
const COUNTED_ONCE_IN: Duration = Duration::from_secs(3600);

/// Who was here before. Times are of any clock that goes on after a restart.
#[derive(Debug)]
pub struct History {
    /// Since when they wait. Apart from those that passed, so that a flood of new ones makes nobody
    /// wait again.
    pub(crate) waiting: Recent<Triplet, u64>,
    /// When they were seen last.
    pub(crate) passed: Recent<Triplet, u64>,
    pub(crate) networks: Recent<IpNet, Taken>,
    pub(crate) domains: Recent<Domain, Taken>,
    pub(crate) network_scores: Recent<IpNet, Score>,
    pub(crate) domain_scores: Recent<Domain, Score>,
    /// Since it was last asked for.
    changed: bool,
}

/// How often mail was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// Not more than once in an hour.
    pub times: u32,
    pub counted: u64,
    pub last: u64,
}

impl History {
    /// Nobody was here, and so many entries of a kind will be remembered.
    pub fn new(max_entries: u32) -> Self {
        let most = max_entries as usize;
        Self {
            waiting: Recent::new(most),
            passed: Recent::new(most),
            networks: Recent::new(most),
            domains: Recent::new(most),
            network_scores: Recent::new(most),
            domain_scores: Recent::new(most),
            changed: false,
        }
    }

    /// Whether this recipient would wait unless the client passes SPF for the sender's domain.
    pub fn needs_proof(&self, settings: &Settings, approach: &Approach, now: Timestamp) -> bool {
        let has_domain = approach.sender.domain().is_some();
        let waits = || self.look(settings, approach, false, now);
        has_domain && matches!(waits(), Greylisted::Waits { .. })
    }

    /// What comes of this recipient, which notes that it was named. `proven`: the client passes SPF
    /// for the sender's domain.
    pub fn ask(
        &mut self,
        settings: &Settings,
        approach: &Approach,
        proven: bool,
        now: Timestamp,
    ) -> Greylisted {
        self.put_in_force(settings);
        let (greylisted, triplet) = self.find(settings, approach, proven, now);
        let Some(triplet) = triplet else {
            return greylisted;
        };
        self.changed = true;
        match greylisted {
            Greylisted::Passes(_) => {
                self.waiting.remove(&triplet);
                *self.passed.touch(triplet) = now.as_millis();
            }
            Greylisted::Waits { since, .. } => {
                let first = self.waiting.touch(triplet);
                if since.is_none() {
                    *first = now.as_millis();
                }
            }
        }
        greylisted
    }

    /// The same, and notes nothing.
    pub fn look(
        &self,
        settings: &Settings,
        approach: &Approach,
        proven: bool,
        now: Timestamp,
    ) -> Greylisted {
        self.find(settings, approach, proven, now).0
    }

    /// With the triplet that decides, if one does.
    fn find(
        &self,
        settings: &Settings,
        approach: &Approach,
        proven: bool,
        now: Timestamp,
    ) -> (Greylisted, Option<Triplet>) {
        let now = now.as_millis();
        let network = settings.network(approach.client);
        let taken = known(&self.networks, &network, settings, now);
        let (times, most) = (taken.map_or(0, |taken| taken.times), settings.allow_after);
        if most.is_some_and(|most| times >= most) {
            let familiar = Familiar::Network { network, times };
            return (Greylisted::Passes(familiar), None);
        }
        let by_network = Triplet::new(Origin::Network(network), approach);
        let greylisted = self.triplet(settings, &by_network, now);
        let domain = approach.sender.domain().filter(|_| proven);
        let (Greylisted::Waits { .. }, Some(domain)) = (&greylisted, domain) else {
            return (greylisted, Some(by_network));
        };
        if known(&self.domains, domain, settings, now).is_some() {
            let familiar = Familiar::SenderDomain(domain.clone());
            return (Greylisted::Passes(familiar), None);
        }
        let by_sender = Triplet::new(Origin::Sender, approach);
        let greylisted = self.triplet(settings, &by_sender, now);
        (greylisted, Some(by_sender))
    }

    fn triplet(&self, settings: &Settings, triplet: &Triplet, now: u64) -> Greylisted {
        let age = |at: &u64| now.saturating_sub(*at);
        if let Some(last) = self.passed.get(triplet).map(age)
            && last <= millis(settings.keep)
        {
            return Greylisted::Passes(Familiar::Triplet);
        }
        let delay = millis(settings.delay);
        match self.waiting.get(triplet).map(age) {
            Some(waited) if waited < delay => Greylisted::Waits {
                seconds: seconds(delay - waited),
                since: Some(Duration::from_millis(waited)),
            },
            Some(waited) if waited <= millis(settings.retry_within) => {
                let after = Duration::from_millis(waited);
                Greylisted::Passes(Familiar::Retried { after })
            }
            Some(_) | None => Greylisted::Waits {
                seconds: seconds(delay),
                since: None,
            },
        }
    }

    /// A message of a stranger was taken, from a sender at this domain.
    pub fn taken(
        &mut self,
        settings: &Settings,
        client: IpAddr,
        domain: Option<&Domain>,
        now: Timestamp,
    ) {
        self.put_in_force(settings);
        self.changed = true;
        let now = now.as_millis();
        let keep = millis(settings.keep);
        let network = settings.network(client);
        self.networks.touch(network).count(now, keep);
        if let Some(domain) = domain {
            self.domains.touch(domain.clone()).count(now, keep);
        }
    }

    /// A stranger did this. `domain`: the sender's, where SPF vouches for it.
    pub fn did(
        &mut self,
        settings: &Settings,
        client: IpAddr,
        domain: Option<&Domain>,
        deed: Deed,
        now: Timestamp,
    ) {
        self.put_in_force(settings);
        self.changed = true;
        let (now, half_life) = (now.as_millis(), millis(settings.half_life));
        let after = |score: &mut Score| *score = score.after(deed.points(), now, half_life);
        after(self.network_scores.touch(settings.network(client)));
        if let Some(domain) = domain {
            after(self.domain_scores.touch(domain.clone()));
        }
    }

    /// What they are worth now; nothing is known of most, and that is 0.
    pub fn reputation(
        &self,
        settings: &Settings,
        client: IpAddr,
        domain: Option<&Domain>,
        now: Timestamp,
    ) -> Reputation {
        let points = |score: Option<&Score>| {
            let score = score.copied().unwrap_or_default();
            score.points(now.as_millis(), millis(settings.half_life))
        };
        let network = settings.network(client);
        Reputation {
            client: points(self.network_scores.get(&network)),
            domain: points(domain.and_then(|domain| self.domain_scores.get(domain))),
        }
    }

    /// Whether anything has to be written down; from now on only what happens next.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// It could not be written down.
    pub fn set_changed(&mut self) {
        self.changed = true;
    }

    fn put_in_force(&mut self, settings: &Settings) {
        let most = settings.max_entries as usize;
        self.waiting.limit(most);
        self.passed.limit(most);
        self.networks.limit(most);
        self.domains.limit(most);
        self.network_scores.limit(most);
        self.domain_scores.limit(most);
    }
}

impl Taken {
    fn count(&mut self, now: u64, keep: u64) {
        if now.saturating_sub(self.last) > keep {
            *self = Self::default();
        }
        if self.times == 0 || now.saturating_sub(self.counted) >= millis(COUNTED_ONCE_IN) {
            self.times = self.times.saturating_add(1);
            self.counted = now;
        }
        self.last = now;
    }
}

/// What is not forgotten yet.
fn known<'a, K: Hash + Eq>(
    all: &'a Recent<K, Taken>,
    key: &K,
    settings: &Settings,
    now: u64,
) -> Option<&'a Taken> {
    let is_kept = |taken: &&Taken| now.saturating_sub(taken.last) <= millis(settings.keep);
    all.get(key).filter(is_kept)
}

/// Whole seconds, none too few.
fn seconds(millis: u64) -> u32 {
    u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX)
}
