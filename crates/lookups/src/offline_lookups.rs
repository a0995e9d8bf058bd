//! Answers what decisions ask, without a running relay: for `relay check`, `route show` and
//! `test delivery`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use authentication::{Authentication, Results, Step};
use config::Config;
use mail::{Domain, Mailbox, ReversePath};
use relay_policy::{Answer, Question, Rules};
use route::{Hop, Plan, Site, TlsDemand};
use scanner::{Content, InMemory, Subject};
use screening::Scan;
use sign_in::{Account, Found, prepare_name};
use tls::Connector;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::answers::Answers;
use crate::next_hop::{Trial, Try, attempt};
use crate::purpose::Purpose;
use crate::resolver::Lookup;
use crate::resolvers::Resolvers;
use crate::route_sign_in::RouteSignIns;
use crate::users::UserSources;
use crate::way;

/// How long DNS is asked for one round of answers about a sender.
const SENDER_CHECKED_MAX: Duration = Duration::from_secs(20);

/// Asks DNS, directories and next hops as a relay of this configuration would.
pub struct OfflineLookups {
    runtime: Runtime,
    config: Arc<Config>,
    connector: Arc<Connector>,
    answers: Answers,
}

/// The way to a site.
pub struct Way {
    /// How much encryption the configuration demands there.
    pub demand: TlsDemand,
    /// Where to connect, or why nowhere.
    pub plan: Plan,
    /// What that follows from.
    pub answers: route::Answers,
}

impl OfflineLookups {
    /// Reads what `config` names for that.
    ///
    /// # Errors
    /// What cannot be read, or why nobody can be asked.
    pub fn new(config: Config) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| format!("nobody can be asked: {error}"))?;
        let _within = runtime.enter();
        let (answers, connector) = answers(&config)?;
        drop(_within);
        Ok(Self {
            runtime,
            config: Arc::new(config),
            connector,
            answers,
        })
    }

    /// The configuration that these look-ups were made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Finds out what a decision by `rules` asks.
    pub fn find_out(&self, rules: &Rules, question: Question) -> Answer {
        let answer = self.answers.find_out(&self.config, rules, question);
        self.runtime.block_on(answer)
    }

    /// What is known about the way of mail for `recipient` to `site`.
    pub fn way(&self, site: &Site, recipient: &Mailbox) -> Way {
        let demand = way::demand(&self.config, site, recipient);
        let (resolvers, routes) = (self.answers.resolvers(), &self.config.routes);
        let work = way::plan_with_answers(resolvers, routes, site, demand);
        let (plan, answers) = self.runtime.block_on(work);
        Way {
            demand,
            plan,
            answers,
        }
    }

    /// Finds out what routing asks.
    pub fn route_answer(&self, question: &route::Question) -> route::Answer {
        let (resolvers, routes) = (self.answers.resolvers(), &self.config.routes);
        self.runtime
            .block_on(resolvers.route_answer(routes, question))
    }

    /// What the checks of a sender come to.
    pub fn authenticate(&self, mut authentication: Authentication) -> Results {
        loop {
            let questions = match authentication.step() {
                Step::Ask(_, questions) => questions,
                Step::Done(results) => return *results,
            };
            let deadline = Instant::now() + SENDER_CHECKED_MAX;
            let work = self.answers.resolvers().about_sender(questions, deadline);
            for (question, answer) in self.runtime.block_on(work) {
                authentication.on_answer(&question, &answer);
            }
        }
    }

    /// What a scanner says of a message in memory.
    pub fn scan(&self, scanner: &config::Scanner, subject: &Subject, message: &[u8]) -> Scan {
        let size = message.len() as u64;
        let finding = match scanner.too_large(size) {
            Some(too_large) => too_large,
            None => {
                let content: Arc<dyn Content> = Arc::new(InMemory(message.to_vec()));
                let asked = self
                    .answers
                    .scanners()
                    .ask(&scanner.name, subject, &content);
                self.runtime.block_on(asked).finding
            }
        };
        Scan {
            scanner: Arc::clone(&scanner.name),
            finding: Some(finding),
        }
    }

    /// The texts (TXT) of a name; none where it has none or does not exist.
    ///
    /// # Errors
    /// Nobody can tell; why.
    pub fn texts(&self, name: &str) -> Result<Vec<Box<str>>, Box<str>> {
        let resolver = self.answers.resolvers().resolver();
        match self.runtime.block_on(resolver.texts(name)).found {
            Lookup::Found(texts) => Ok(texts),
            Lookup::NoData | Lookup::NoSuchName => Ok(Vec::new()),
            Lookup::Failed(why) => Err(why),
        }
    }

    /// The name to which `address` points and that points back.
    ///
    /// # Errors
    /// Nobody can tell; why.
    pub fn confirmed_name(&self, address: IpAddr) -> Result<Option<Domain>, Box<str>> {
        let resolver = self.answers.resolvers().resolver();
        self.runtime.block_on(resolver.confirmed_name(address))
    }

    /// Why no server can be held to its TLSA records; `None`: they can.
    pub fn without_dnssec(&self) -> Option<&'static str> {
        let resolvers = self.answers.resolvers();
        self.runtime.block_on(resolvers.without_dnssec())
    }

    /// Tries `hops` of `site` side by side as mail from `sender` for `recipient` would, and sends
    /// none. In the order of `hops`.
    pub fn try_hosts(
        &self,
        site: &Site,
        hops: &[Hop],
        sender: &ReversePath,
        recipient: &Mailbox,
    ) -> Vec<Trial> {
        let work = async {
            let how = Try {
                config: Arc::clone(&self.config),
                connector: Arc::clone(&self.connector),
                site: site.clone(),
                sender: sender.clone(),
                recipient: recipient.clone(),
                identity: self.identity(site).await,
            };
            let mut trials = JoinSet::new();
            for (at, hop) in hops.iter().enumerate() {
                let trial = attempt(how.clone(), hop.clone());
                trials.spawn(async move { (at, trial.await) });
            }
            let mut trials = trials.join_all().await;
            trials.sort_by_key(|(at, _)| *at);
            trials.into_iter().map(|(_, trial)| trial).collect()
        };
        self.runtime.block_on(work)
    }

    /// As whom to sign in at hosts of `site`. Its secret alone is read.
    async fn identity(&self, site: &Site) -> Result<Option<delivery::Identity>, String> {
        let resolver = self.answers.resolvers().resolver();
        let sign_ins = RouteSignIns::of_site(&self.config, &site.name, resolver);
        sign_ins
            .map_err(|why| why.join("\n"))?
            .identity(&site.name)
            .await
    }

    /// Who the user of this name is, and what it may do, once signed in; `None`: there is no such
    /// user.
    ///
    /// # Errors
    /// Nobody can tell; why.
    pub fn user(&self, user: &str) -> Result<Option<Account>, String> {
        let _within = self.runtime.enter();
        let users = UserSources::read(&self.config, &self.answers, Purpose::Look)
            .map_err(|problems| problems.join("\n"))?;
        let Some(name) = prepare_name(user) else {
            return Ok(None);
        };
        match users.sources.find(&name).map_err(|why| why.why)? {
            Found::User(account) => Ok(Some(account)),
            Found::Barred | Found::Nobody => Ok(None),
        }
    }
}

/// Reads what answers are made of; must be called within the runtime.
fn answers(config: &Config) -> Result<(Answers, Arc<Connector>), String> {
    let resolvers = Resolvers::of(config, None)?;
    let lines = |wrong: Vec<tls::TlsProblem>| {
        let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let connector = Connector::configured(config).map_err(lines)?;
    let connector = Arc::new(connector);
    let answers = Answers::new(config, resolvers, Arc::clone(&connector));
    let answers = answers.map_err(|wrong| wrong.join("\n"))?;
    Ok((answers, connector))
}
