use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mail::{Failure, Timestamp};
use route::{HopAddress, Site};

use crate::AgentId;

/// Sites of which this is kept at one time. Hosts of further ones are tried in their order, as if
/// none had failed.
const SITES_MAX: usize = 10_000;
/// So long after its rest it is kept that a host failed, so that the next rest is longer.
const KEPT: Duration = Duration::from_secs(3600);

/// A host of a site, by where it is tried. What is wrong with it there need
/// not be wrong where another site demands less of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteHost {
    /// The name of the site.
    pub site: Arc<str>,
    /// Where the host is.
    pub address: HopAddress,
}

/// A host that let nobody in when it was tried last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestingHost {
    /// As `mx1.example.com [192.0.2.1]:25`.
    pub host: Box<str>,
    /// It is tried last until then; from then on one message tries it in its turn.
    pub until: Timestamp,
    /// What was wrong.
    pub why: Failure,
}

/// Which hosts rest: where a site has several, one that failed gets no mail for a growing pause, as
/// long as another takes it. After that a single attempt may try it; the first MAIL that it takes
/// ends it all.
#[derive(Debug, Default)]
pub(crate) struct Rests {
    sites: BTreeMap<Arc<str>, BTreeMap<HopAddress, Rest>>,
}

#[derive(Debug)]
struct Rest {
    until: Timestamp,
    /// Before the last one.
    failures: usize,
    why: Failure,
    /// Whose attempt may try it, once the pause is over.
    probe: Option<AgentId>,
}

impl Rests {
    /// A host let `agent` not in. `pause` is how long one rests that has failed so often before.
    pub(crate) fn on_failed(
        &mut self,
        host: SiteHost,
        why: Failure,
        agent: AgentId,
        pause: impl Fn(usize) -> Duration,
        now: Timestamp,
    ) {
        if !self.has_room(&host.site, now) {
            return;
        }
        let hosts = self.sites.entry(host.site).or_default();
        hosts.retain(|_, rest| rest.is_kept(now));
        let failures = match hosts.get(&host.address) {
            None => 0,
            // A word of an attempt from before, or of one that had no other host left.
            Some(rest) if rest.until > now => return,
            Some(rest) if rest.probe.is_some_and(|probe| probe != agent) => return,
            Some(rest) => rest.failures + 1,
        };
        let rest = Rest {
            until: now + pause(failures),
            failures,
            why,
            probe: None,
        };
        hosts.insert(host.address, rest);
    }

    fn has_room(&mut self, site: &str, now: Timestamp) -> bool {
        if self.sites.len() < SITES_MAX || self.sites.contains_key(site) {
            return true;
        }
        self.sites.retain(|_, hosts| {
            hosts.retain(|_, rest| rest.is_kept(now));
            !hosts.is_empty()
        });
        self.sites.len() < SITES_MAX
    }

    /// A host took MAIL.
    pub(crate) fn on_served(&mut self, host: &SiteHost) {
        if let Some(hosts) = self.sites.get_mut(&host.site) {
            hosts.remove(&host.address);
            if hosts.is_empty() {
                self.sites.remove(&host.site);
            }
        }
    }

    /// The hosts that a new attempt at `site` is to try last: all that rest, and those that another
    /// attempt tries already. The others whose rest is over are left to this one, where it is of an
    /// agent that has yet to connect.
    pub(crate) fn resting(
        &mut self,
        site: &Site,
        connects: Option<AgentId>,
        now: Timestamp,
    ) -> Arc<[HopAddress]> {
        let mut resting = Vec::new();
        for name in names(site) {
            for (address, rest) in self.sites.get_mut(name).into_iter().flatten() {
                let is_free = rest.until <= now && rest.probe.is_none();
                match connects.filter(|_| is_free) {
                    Some(agent) => rest.probe = Some(agent),
                    None => resting.push(address.clone()),
                }
            }
        }
        resting.into()
    }

    /// The attempt is over, or another host took its MAIL: what it left untried another may try.
    pub(crate) fn release(&mut self, site: &Site, agent: AgentId) {
        for name in names(site) {
            for rest in self
                .sites
                .get_mut(name)
                .into_iter()
                .flat_map(BTreeMap::values_mut)
            {
                rest.probe.take_if(|probe| *probe == agent);
            }
        }
    }

    /// All hosts may be tried again.
    pub(crate) fn clear(&mut self) {
        self.sites.clear();
    }

    /// The hosts of a site that failed of late, for people.
    pub(crate) fn of(&self, site: &str, now: Timestamp) -> Vec<RestingHost> {
        let hosts = self.sites.get(site).into_iter().flatten();
        let hosts = hosts.filter(|(_, rest)| rest.is_kept(now));
        let shown = |(address, rest): (&HopAddress, &Rest)| RestingHost {
            host: match &rest.why.host {
                Some(host) => host.clone(),
                None => address.to_string().into(),
            },
            until: rest.until,
            why: rest.why.clone(),
        };
        hosts.map(shown).collect()
    }

    /// The sites that have some, in the order of their names.
    pub(crate) fn sites(&self, now: Timestamp) -> impl Iterator<Item = &Arc<str>> {
        let has_some =
            move |hosts: &BTreeMap<_, Rest>| hosts.values().any(|rest| rest.is_kept(now));
        let sites = self.sites.iter().filter(move |(_, hosts)| has_some(hosts));
        sites.map(|(name, _)| name)
    }

    /// The name of a site as it is shared, if it has some.
    pub(crate) fn name(&self, site: &str) -> Option<&Arc<str>> {
        self.sites.get_key_value(site).map(|(name, _)| name)
    }
}

impl Rest {
    fn is_kept(&self, now: Timestamp) -> bool {
        self.until + KEPT > now
    }
}

/// The site, and where its mail goes otherwise.
fn names(site: &Site) -> impl Iterator<Item = &str> {
    let otherwise = site.otherwise.iter().map(|site| &*site.name);
    std::iter::once(&*site.name).chain(otherwise)
}

#[cfg(test)]
mod tests {
    use mail::{Domain, Place, Reply, Scope};
    use route::NextHop;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1000 * seconds)
    }

    fn site() -> Site {
        let domain = Domain::parse("x.test").unwrap();
        Site {
            name: "mx:x.test".into(),
            next_hop: Arc::new(NextHop::Mx(domain)),
            place: Place::Default,
            otherwise: None,
            despite_policies: false,
        }
    }

    fn host(n: u8) -> SiteHost {
        SiteHost {
            site: site().name,
            address: HopAddress::Tcp(([192, 0, 2, n], 25).into()),
        }
    }

    fn fail(rests: &mut Rests, n: u8, agent: AgentId, now: Timestamp) {
        let failure = Failure {
            scope: Scope::Host,
            reply: Reply::new(451, 4, 1, "refused"),
            host: None,
        };
        let pause = |failures: usize| Duration::from_secs([10, 100][failures.min(1)]);
        rests.on_failed(host(n), failure, agent, pause, now);
    }

    #[test]
    fn one_attempt_at_a_time_tries_a_host_whose_rest_is_over() {
        let mut rests = Rests::default();
        let tried_last =
            |rests: &mut Rests, agent, now| rests.resting(&site(), agent, at(now)).len();
        fail(&mut rests, 1, 1, at(0));
        assert_eq!(tried_last(&mut rests, Some(2), 9), 1);
        // Whoever has a connection leaves the turn to one that has none.
        assert_eq!(tried_last(&mut rests, None, 10), 1);
        assert_eq!(tried_last(&mut rests, Some(3), 10), 0);
        assert_eq!(tried_last(&mut rests, Some(4), 11), 1);
        // Another host took its MAIL: the next one may.
        rests.release(&site(), 3);
        assert_eq!(tried_last(&mut rests, Some(5), 12), 0);
        // Only its own failure counts, and its rest is longer then.
        fail(&mut rests, 1, 4, at(13));
        assert_eq!(rests.of("mx:x.test", at(13))[0].until, at(10));
        fail(&mut rests, 1, 5, at(14));
        assert_eq!(rests.of("mx:x.test", at(14))[0].until, at(114));
        // Late words of others change nothing.
        fail(&mut rests, 1, 6, at(15));
        assert_eq!(rests.of("mx:x.test", at(15))[0].until, at(114));
        rests.on_served(&host(1));
        assert_eq!(rests.of("mx:x.test", at(16)), []);
    }

    #[test]
    fn what_is_long_over_is_forgotten_and_no_more_is_kept_than_the_named_number() {
        let mut rests = Rests::default();
        fail(&mut rests, 1, 1, at(0));
        assert_eq!(rests.sites(at(10 + 3599)).count(), 1);
        assert_eq!(rests.sites(at(10 + 3600)).count(), 0);
        for n in 0..SITES_MAX + 5 {
            let failure = Failure {
                scope: Scope::Host,
                reply: Reply::new(451, 4, 1, "refused"),
                host: None,
            };
            let host = SiteHost {
                site: format!("mx:{n}.test").into(),
                ..host(1)
            };
            rests.on_failed(host, failure, 1, |_| KEPT, at(5000));
        }
        assert_eq!(rests.sites.len(), SITES_MAX);
    }
}
