//! Who is asked about the world outside, and what they remember of it. A reload that does not
//! change how they ask keeps them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authentication::{Authentication, Checks, Claims, Step};
use bytes::Bytes;
use config::{Config, Dns};
use mail::Domain;
use route::{Answer, Question, Routes};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::dns_lists::DnsListLookup;
use crate::https::{Cost, Https};
use crate::resolver::{Lookup, Resolver};
use crate::sts::{MtaSts, Sts};

/// What handing over a report may cost.
const REPORT_COST: Cost = Cost {
    timeout: Duration::from_secs(30),
    body_bytes_max: 64 << 10,
};

/// DNS, DNS lists, and the policies of MTA-STS.
pub struct Resolvers {
    /// How they ask: by other settings there are others.
    asked_by: (Dns, Option<PathBuf>),
    resolver: Arc<Resolver>,
    dns_lists: DnsListLookup,
    policies: MtaSts,
    https: Https,
}

impl Resolvers {
    /// Those that `config` asks for: those of `before` where they ask in the same way. Must be
    /// called within the runtime.
    ///
    /// # Errors
    /// The authorities for HTTPS cannot be read.
    pub fn of(config: &Config, before: Option<&Arc<Self>>) -> Result<Arc<Self>, String> {
        let asked_by = (config.dns.clone(), config.outbound.ca.clone());
        if let Some(before) = before.filter(|before| before.asked_by == asked_by) {
            return Ok(Arc::clone(before));
        }
        let resolver = Arc::new(Resolver::configured(config));
        let https = Https::new(Arc::clone(&resolver), config.outbound.ca.as_deref())?;
        Ok(Arc::new(Self {
            asked_by,
            dns_lists: DnsListLookup::new(Arc::clone(&resolver)),
            policies: MtaSts::new(Arc::clone(&resolver), https.clone()),
            https,
            resolver,
        }))
    }

    /// Who asks DNS.
    pub fn resolver(&self) -> &Arc<Resolver> {
        &self.resolver
    }

    /// What DNS says of a sender, all questions side by side; by the deadline it cannot be told.
    pub async fn about_sender(
        &self,
        questions: Vec<authentication::Question>,
        deadline: Instant,
    ) -> Vec<(authentication::Question, authentication::Answer)> {
        let mut asked = JoinSet::new();
        for question in questions {
            let resolver = Arc::clone(&self.resolver);
            asked.spawn(async move {
                let answer = resolver.authentication_answer(&question);
                let answer = timeout_at(deadline, answer).await;
                let late = |_| authentication::Answer::Failed("no answer in time".into());
                (question, answer.unwrap_or_else(late))
            });
        }
        asked.join_all().await
    }

    /// Whether the client passes SPF for its sender; what has no answer by the deadline makes nobody
    /// pass.
    pub async fn passes_spf(&self, claims: Claims, deadline: Instant) -> bool {
        let checks = Checks {
            spf: true,
            ..Checks::default()
        };
        // SPF is not about the content.
        let Ok(mut check) = Authentication::new(checks, claims, std::io::empty()) else {
            return false;
        };
        loop {
            let questions = match check.step() {
                Step::Ask(_, questions) => questions,
                Step::Done(results) => return results.summary().spf == "pass",
            };
            for (question, answer) in self.about_sender(questions, deadline).await {
                check.on_answer(&question, &answer);
            }
        }
    }

    /// The texts by which a domain asks for TLS reports (RFC 8460 section 3).
    ///
    /// # Errors
    /// DNS does not tell; why.
    pub async fn tls_report_texts(&self, domain: &Domain) -> Result<Vec<Box<str>>, Box<str>> {
        let texts = self.resolver.texts(&format!("_smtp._tls.{domain}")).await;
        match texts.found {
            Lookup::Found(texts) => Ok(texts),
            Lookup::NoData | Lookup::NoSuchName => Ok(Vec::new()),
            Lookup::Failed(why) => Err(why),
        }
    }

    /// Hands over a TLS report, in gzip, at a URL that its domain named; never to a host of the inner
    /// network.
    ///
    /// # Errors
    /// It was not taken; why.
    pub async fn post_tls_report(
        &self,
        routes: &Routes,
        url: &str,
        report: Vec<u8>,
    ) -> Result<(), String> {
        let allowed = |address| routes.lets_strangers_name(address);
        let sent = ("application/tlsrpt+gzip", Bytes::from(report));
        let posted = self.https.post_where(url, sent, REPORT_COST, &allowed);
        match posted.await?.status {
            200..300 => Ok(()),
            status => Err(format!("it answered {status}")),
        }
    }

    /// Who asks DNS lists.
    pub(crate) fn dns_lists(&self) -> &DnsListLookup {
        &self.dns_lists
    }

    /// Answers what routing by `routes` asks.
    pub async fn route_answer(&self, routes: &Routes, question: &Question) -> Answer {
        match question {
            Question::MtaSts(domain) => self.policy(routes, domain).await,
            Question::Mx(_) | Question::Addresses(_) | Question::Tlsa { .. } => {
                self.resolver.answer(question).await
            }
        }
    }

    /// RFC 8461 section 3.3: who cannot find out about a policy delivers as if there were none.
    async fn policy(&self, routes: &Routes, domain: &Domain) -> Answer {
        match self.policies.policy(domain, routes).await {
            Sts::None => Answer::NoData { secure: false },
            Sts::Policy(policy) => Answer::MtaSts(Ok(policy)),
            Sts::Flawed(flaw) => {
                tracing::info!(%domain, why = &*flaw.why, "the MTA-STS policy cannot be had");
                Answer::MtaSts(Err(flaw))
            }
            Sts::CannotTell(why) => {
                tracing::info!(%domain, why, "the MTA-STS policy cannot be found out");
                Answer::NoData { secure: false }
            }
        }
    }

    /// Why no server can be held to its TLSA records; `None`: they can.
    pub async fn without_dnssec(&self) -> Option<&'static str> {
        if !self.resolver.is_trusted() {
            Some(
                "a resolver is not on this machine, so nobody can trust what it says of DNSSEC: \
                 run a validating one here",
            )
        } else if !self.resolver.validates().await {
            Some("the resolver does not validate DNSSEC")
        } else {
            None
        }
    }

    /// What is wrong with DNS or a policy host may have been put right just now: nothing of it is
    /// remembered. Policies that were fetched bind on.
    pub fn ask_anew(&self) {
        self.resolver.forget();
        self.policies.forget_failures();
    }

    /// Gives back the room of answers that hold no longer. Cheap: called now and then.
    pub async fn forget_expired(&self) {
        self.resolver.forget_expired().await;
    }
}
