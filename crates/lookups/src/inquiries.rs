//! Answers what operators ask about decisions: what would become of mail, which is not sent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use authentication::{Authentication, Results, Step};
use config::Config;
use engine::Setup;
use mail::{Domain, Mailbox, Place, ReversePath};
use relay_policy::{Answer, Consultation, DnsList, DnsLists, Listing, Question, Rules};
use route::{Hop, Plan, Site, TlsDemand};
use scanner::policy::Request;
use scanner::{Content, InMemory, Subject};
use screening::Scan;
use sign_in::{Account, Found, Sources, prepare_name};
use tls::Connector;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::answers::Answers;
use crate::next_hop::{Trial, Try, attempt};
use crate::purpose::Purpose;
use crate::resolver::{Lookup, Transports};
use crate::route_sign_in::RouteSignIns;
use crate::users::UserSources;
use crate::way;
use crate::{Advice, Caller};

/// How long DNS is asked for one round of answers about a sender.
const SENDER_CHECKED_MAX: Duration = Duration::from_secs(20);

/// Asks DNS, directories, next hops and scanners as a relay of this configuration does.
pub struct Inquiries {
    setup: Arc<Setup>,
    connector: Arc<Connector>,
    answers: Arc<Answers>,
    users: Option<Arc<Sources>>,
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

impl Inquiries {
    /// By `answers` and `connector` that were made for this configuration. `users` are those who may
    /// sign in; `None`: they are read anew by each question.
    pub fn new(
        setup: Arc<Setup>,
        connector: Arc<Connector>,
        answers: Arc<Answers>,
        users: Option<Arc<Sources>>,
    ) -> Self {
        Self {
            setup,
            connector,
            answers,
            users,
        }
    }

    /// What the configuration was turned into.
    pub fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.setup.config
    }

    /// Finds out what a decision by `rules` asks.
    pub async fn find_out(&self, rules: &Rules, question: Question) -> Answer {
        self.answers.find_out(self.config(), rules, question).await
    }

    /// Asks policy services about a recipient.
    pub async fn consult(&self, asked: &Consultation, caller: Caller) -> Advice {
        self.answers.consult(asked, caller).await
    }

    /// What is known about the way of mail for `recipient` to `site`.
    pub async fn way(&self, site: &Site, recipient: &Mailbox) -> Way {
        let demand = way::demand(self.config(), site, recipient);
        let (resolvers, routes) = (self.answers.resolvers(), self.setup.routes());
        let work = way::plan_with_answers(resolvers, routes, site, demand);
        let (plan, answers) = work.await;
        Way {
            demand,
            plan,
            answers,
        }
    }

    /// Finds out what routing asks.
    pub async fn route_answer(&self, question: &route::Question) -> route::Answer {
        let (resolvers, routes) = (self.answers.resolvers(), self.setup.routes());
        resolvers.route_answer(routes, question).await
    }

    /// What the checks of a sender come to.
    pub async fn authenticate(&self, mut authentication: Authentication) -> Results {
        loop {
            let questions = match authentication.step() {
                Step::Ask(_, questions) => questions,
                Step::Done(results) => return *results,
            };
            let deadline = Instant::now() + SENDER_CHECKED_MAX;
            let work = self.answers.resolvers().about_sender(questions, deadline);
            for (question, answer) in work.await {
                authentication.on_answer(&question, &answer);
            }
        }
    }

    /// What a scanner says of a message in memory; a policy service is asked by the request.
    pub async fn scan(
        &self,
        scanner: &config::Scanner,
        asked: &(Subject, Request),
        message: &[u8],
    ) -> Scan {
        let size = message.len() as u64;
        let finding = match scanner.too_large(size) {
            Some(too_large) => too_large,
            None => {
                let content: Arc<dyn Content> = Arc::new(InMemory(message.to_vec()));
                let scanners = self.answers.scanners();
                let found = scanners.ask(&scanner.name, asked, &content).await;
                found.finding
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
    pub async fn texts(&self, name: &str) -> Result<Vec<Box<str>>, Box<str>> {
        let resolver = self.answers.resolvers().resolver();
        match resolver.texts(name).await.found {
            Lookup::Found(texts) => Ok(texts),
            Lookup::NoData | Lookup::NoSuchName => Ok(Vec::new()),
            Lookup::Failed(why) => Err(why),
        }
    }

    /// The name to which `address` points and that points back.
    ///
    /// # Errors
    /// Nobody can tell; why.
    pub async fn confirmed_name(&self, address: IpAddr) -> Result<Option<Domain>, Box<str>> {
        let resolver = self.answers.resolvers().resolver();
        resolver.confirmed_name(address).await
    }

    /// Whether each name server of the configuration answers, over UDP and over TCP.
    pub async fn transports(&self) -> Vec<Transports> {
        self.answers.resolvers().resolver().transports().await
    }

    /// Which of these DNS lists name `address`; lists that do not answer, or name everybody, have no
    /// say.
    pub async fn listings(&self, zones: &[Domain], address: IpAddr) -> Arc<[Listing]> {
        let list = |zone: &Domain| DnsList {
            zone: zone.clone(),
            codes: Vec::new(),
            weight: 1,
            reply: None,
            place: Place::Default,
        };
        let lists = DnsLists {
            lists: zones.iter().map(list).collect(),
            ..DnsLists::default()
        };
        let resolvers = self.answers.resolvers();
        resolvers.dns_lists().listings(&lists, address).await
    }

    /// Whether this DNS list tells us who is on it.
    pub async fn list_answers(&self, zone: &Domain) -> bool {
        let resolvers = self.answers.resolvers();
        resolvers.dns_lists().answers(zone).await
    }

    /// Why no server can be held to its TLSA records; `None`: they can.
    pub async fn without_dnssec(&self) -> Option<&'static str> {
        let resolvers = self.answers.resolvers();
        resolvers.without_dnssec().await
    }

    /// Tries `hops` of `site` side by side as mail from `sender` for `recipient` would, and sends
    /// none. In the order of `hops`; `on_end` hears of each as it ends, with its place among them.
    pub async fn try_hosts(
        &self,
        site: &Site,
        hops: &[Hop],
        (sender, recipient): (&ReversePath, &Mailbox),
        mut on_end: impl FnMut(usize, &Trial) + Send,
    ) -> Vec<Trial> {
        let how = Try {
            setup: Arc::clone(&self.setup),
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
        let mut ended = Vec::new();
        while let Some(trial) = trials.join_next().await {
            // A fault of ours is told by its own report.
            if let Ok((at, trial)) = trial {
                on_end(at, &trial);
                ended.push((at, trial));
            }
        }
        ended.sort_by_key(|(at, _)| *at);
        ended.into_iter().map(|(_, trial)| trial).collect()
    }

    /// As whom to sign in at hosts of `site`. Its secret alone is read.
    async fn identity(&self, site: &Site) -> Result<Option<delivery::Identity>, String> {
        let resolver = self.answers.resolvers().resolver();
        let sign_ins = RouteSignIns::of_site(self.config(), &site.name, resolver);
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
    pub async fn user(&self, user: &str) -> Result<Option<Account>, String> {
        let sources = match &self.users {
            Some(users) => Arc::clone(users),
            None => {
                let read = UserSources::read(self.config(), &self.answers, Purpose::Look);
                read.map_err(|problems| problems.join("\n"))?.sources
            }
        };
        let Some(name) = prepare_name(user) else {
            return Ok(None);
        };
        // Directories are waited for.
        let find = tokio::task::spawn_blocking(move || sources.find(&name));
        let found = find.await.map_err(|fault| fault.to_string())?;
        match found.map_err(|why| why.why)? {
            Found::User(account) => Ok(Some(account)),
            Found::Barred | Found::Nobody => Ok(None),
        }
    }
}
