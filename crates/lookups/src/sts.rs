//! MTA-STS: what a domain demands of those who send to it (RFC 8461).
//!
//! Guarantees: a policy that was fetched binds until its age is over, whatever an attacker makes of
//! DNS and HTTPS meanwhile; it is fetched anew when its id in DNS changes; a policy host that does
//! not answer is asked again after minutes, not for each message. No message waits for a fetch
//! longer than one deadline, turns included, and one holder's domains do not take the turns of all
//! others. A stranger names the host, so nothing inside our network is connected to. What is kept
//! is in memory and bounded, so a restart forgets it, and the next message fetches it again.

mod policy;
#[cfg(test)]
mod tests;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::Domain;
use route::{Routes, StsFlaw, StsFlawKind, StsPolicy};

use crate::https::{Cost, Https, NoAnswer};
use crate::resolver::{Lookup, Resolver};

use turns::{Late, Turns};

/// Octets of all policies kept, roughly.
const CACHE_BYTES_MAX: u64 = 32 << 20;
/// What one kept policy costs beside its text.
const ENTRY_BYTES: usize = 256;
/// From the wish for a policy to the policy. RFC 8461 section 3.3 suggests up to a minute; mail
/// waits meanwhile, and a host that is well answers in less than a second.
const DEADLINE: Duration = Duration::from_secs(20);
/// RFC 8461 section 3.3 suggests 64 kilobytes.
const COST: Cost = Cost {
    timeout: DEADLINE,
    body_bytes_max: 64 << 10,
};
/// RFC 8461 section 3.3: after a failure "implementers SHOULD limit further attempts to a period of
/// five minutes or longer per version ID".
const FAILURE_TTL: Duration = Duration::from_secs(300);
/// For how long it is known that there was no turn: the host may be well, so only the messages of
/// one burst share this.
const NO_TURN_TTL: Duration = Duration::from_secs(5);
/// How many fetches are remembered at most, with what came of them.
const FETCHED_MAX: u64 = 1_000;
/// The shortest time a policy is kept, so that `max_age: 0` is not fetched for each message of a
/// burst.
const KEPT_MIN: Duration = Duration::from_secs(60);

/// What is known of a domain's policy.
#[derive(Debug, Clone)]
pub enum Sts {
    /// It has none.
    None,
    /// The domain has this policy.
    Policy(Arc<StsPolicy>),
    /// It has one that cannot be had, and none is remembered. RFC 8461 section 3.3: "senders MUST
    /// continue with delivery as though the domain has not implemented MTA-STS"; the domain may want
    /// to hear of it (RFC 8460 section 4.3.2.2).
    Flawed(StsFlaw),
    /// Whether it has one could not be found out, or there was no time to fetch it, and none is
    /// remembered; why, for the log.
    CannotTell(Box<str>),
}

/// Finds domains' policies.
pub struct MtaSts {
    resolver: Arc<Resolver>,
    https: Https,
    port: u16,
    kept: moka::future::Cache<Domain, Arc<Kept>>,
    /// Fetches under way and those that failed lately, by domain and id.
    fetches: moka::future::Cache<(Domain, Box<str>), Fetched>,
    turns: Turns,
}

/// A policy and the id it had in DNS.
#[derive(Debug)]
struct Kept {
    id: Box<str>,
    policy: Arc<StsPolicy>,
}

type Fetched = Result<Arc<StsPolicy>, NotFetched>;

#[derive(Debug, Clone)]
struct NotFetched {
    why: Sts,
    /// For how long it is not tried again.
    kept: Duration,
}

struct ByMaxAge;
struct ByResult;

impl moka::Expiry<Domain, Arc<Kept>> for ByMaxAge {
    fn expire_after_create(&self, _: &Domain, kept: &Arc<Kept>, _: Instant) -> Option<Duration> {
        Some(kept.policy.max_age.max(KEPT_MIN))
    }

    fn expire_after_update(
        &self,
        _: &Domain,
        kept: &Arc<Kept>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.policy.max_age.max(KEPT_MIN))
    }
}

impl moka::Expiry<(Domain, Box<str>), Fetched> for ByResult {
    fn expire_after_create(
        &self,
        _: &(Domain, Box<str>),
        fetched: &Fetched,
        _: Instant,
    ) -> Option<Duration> {
        Some(match fetched {
            Ok(_) => FAILURE_TTL,
            Err(not_fetched) => not_fetched.kept,
        })
    }
}

impl MtaSts {
    /// Finds policies with `https`.
    pub fn new(resolver: Arc<Resolver>, https: Https) -> Self {
        Self::at_port(resolver, https, 443)
    }

    fn at_port(resolver: Arc<Resolver>, https: Https, port: u16) -> Self {
        let weigh = |domain: &Domain, kept: &Arc<Kept>| {
            let text: usize = kept.policy.mx.iter().map(|mx| mx.len() + 16).sum();
            u32::try_from(ENTRY_BYTES + domain.as_str().len() + text).unwrap_or(u32::MAX)
        };
        Self {
            resolver,
            https,
            port,
            kept: moka::future::Cache::builder()
                .max_capacity(CACHE_BYTES_MAX)
                .weigher(weigh)
                .expire_after(ByMaxAge)
                .build(),
            fetches: moka::future::Cache::builder()
                .max_capacity(FETCHED_MAX)
                .expire_after(ByResult)
                .build(),
            turns: Turns::new(),
        }
    }

    /// The policy of a domain of recipients; `routes` say where the host of a policy may be.
    pub async fn policy(&self, domain: &Domain, routes: &Routes) -> Sts {
        let kept = self.kept.get(domain).await;
        let texts = self.resolver.texts(&format!("_mta-sts.{domain}")).await;
        let texts = match texts.found {
            Lookup::Found(texts) => texts,
            Lookup::NoData | Lookup::NoSuchName => return known(kept, Sts::None),
            Lookup::Failed(why) => return known(kept, Sts::CannotTell(why)),
        };
        let Some(id) = policy::record_id(texts.iter().map(|text| &**text)) else {
            return known(kept, Sts::None);
        };
        if let Some(kept) = kept.as_ref().filter(|kept| *kept.id == *id) {
            return Sts::Policy(Arc::clone(&kept.policy));
        }
        match self.fetched(domain, id, routes).await {
            Ok(policy) => Sts::Policy(policy),
            Err(not_fetched) => known(kept, not_fetched.why),
        }
    }

    /// Asks for everything anew from now on, but for the policies that bind.
    pub fn forget_failures(&self) {
        self.fetches.invalidate_all();
    }

    /// Fetches a policy once, however many wait for it, and keeps it.
    async fn fetched(&self, domain: &Domain, id: &str, routes: &Routes) -> Fetched {
        let key = (domain.clone(), id.into());
        let fetch = async {
            let fetched = self.fetch_in_turn(domain, routes).await;
            if let Ok(policy) = &fetched {
                let kept = Kept {
                    id: id.into(),
                    policy: Arc::clone(policy),
                };
                self.kept.insert(domain.clone(), Arc::new(kept)).await;
            }
            fetched
        };
        self.fetches.get_with(key, fetch).await
    }

    async fn fetch_in_turn(&self, domain: &Domain, routes: &Routes) -> Fetched {
        let fetch = self.fetch(domain, routes);
        let (why, kept) = match self.turns.within(DEADLINE, domain, fetch).await {
            Ok(Ok(policy)) => return Ok(policy),
            Ok(Err(flaw)) => (Sts::Flawed(flaw), FAILURE_TTL),
            Err(Late::NotDone) => {
                let why = format!("mta-sts.{domain}: no answer in time");
                (Sts::Flawed(flaw(StsFlawKind::Fetch, why)), FAILURE_TTL)
            }
            Err(Late::NoTurn) => {
                let why = "too many policies are being fetched";
                (Sts::CannotTell(why.into()), NO_TURN_TTL)
            }
        };
        Err(NotFetched { why, kept })
    }

    async fn fetch(&self, domain: &Domain, routes: &Routes) -> Result<Arc<StsPolicy>, StsFlaw> {
        // The port is 443 but in tests.
        let port = match self.port {
            443 => String::new(),
            port => format!(":{port}"),
        };
        let url = format!("https://mta-sts.{domain}{port}/.well-known/mta-sts.txt");
        let allowed = |address| routes.lets_strangers_name(address);
        let answer = self.https.get_where(&url, COST, &allowed).await;
        let answer = answer.map_err(|NoAnswer { why, untrusted }| match untrusted {
            true => flaw(StsFlawKind::Untrusted, why),
            false => flaw(StsFlawKind::Fetch, why),
        })?;
        // RFC 8461 section 3.3: "HTTP 3xx redirects MUST NOT be followed", and only 200 brings a
        // policy.
        if answer.status != 200 {
            let why = format!("mta-sts.{domain} answered {}", answer.status);
            return Err(flaw(StsFlawKind::Fetch, why));
        }
        // RFC 8461 section 3.2 wants it checked, so that files which users can upload to a web site
        // are no policy.
        if answer.media_type != "text/plain" {
            return Err(invalid(format!("the policy of {domain} is not text/plain")));
        }
        let text = str::from_utf8(&answer.body)
            .map_err(|_| invalid(format!("the policy of {domain} is no text")))?;
        let rules = policy::parse(text)
            .map_err(|why| invalid(format!("the policy of {domain} is invalid: {why}")))?;
        Ok(Arc::new(rules))
    }
}

fn flaw(kind: StsFlawKind, why: String) -> StsFlaw {
    let why = why.into();
    StsFlaw { kind, why }
}

fn invalid(why: String) -> StsFlaw {
    flaw(StsFlawKind::Invalid, why)
}

/// RFC 8461 section 5.1: what was fetched once holds while it has not expired, even when the record
/// is gone or the host does not answer.
fn known(kept: Option<Arc<Kept>>, otherwise: Sts) -> Sts {
    match kept {
        Some(kept) => Sts::Policy(Arc::clone(&kept.policy)),
        None => otherwise,
    }
}
