mod content;
mod encryption;
mod load;
mod outward;
mod record;
mod step;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use delivery::{Again, Attempt, Conversation, Ended, HandshakeFault, Identity};
use mail::{Client, Delivery, Failure, Outcome, Reply, Scope, Timestamp, TlsFacts};
use queue::{AgentId, Job, Moment, Reach, SiteHost};
use route::{
    Answer, Answers, Assurance, HOPS_MAX, Hop, HopAddress, NextHop, Plan, Question, Routes,
    Security, Site, TlsDemand, resolve,
};
use smtp::Said;

use self::content::{Feed, Look, Seen};
pub use self::content::{Piece, StoredContent};
use self::load::Load;
pub use self::step::{NotFiled, Order, Report, Step};

use crate::DeliverySettings;

/// One agent: finds the way to a site, holds one connection there, and carries one message after
/// the other over it.
///
/// Joins routing, the walk over hosts, the conversation with each, and the content that is sent.
/// Without I/O: ask [`Agent::next_step`], do it, say how it went. What the queue manager says
/// ([`Agent::on_order`]) may come at any time.
pub struct Agent {
    id: AgentId,
    /// The time that was told last.
    now: Timestamp,
    /// What the system's clock showed when a step was asked for last.
    wall: Timestamp,
    site: Site,
    /// How to talk there.
    delivery: DeliverySettings,
    /// Both for the site of its jobs, once that was of no use.
    left: Option<Box<(Site, DeliverySettings)>>,
    routes: Arc<Routes>,
    stage: Stage,
    /// What is to be told before anything else is done.
    told: VecDeque<Step>,
    load: Option<Load>,
    /// The content of a stored message, as far as it was read for its header.
    look: Option<Look>,
    /// The content on its way to the server.
    feed: Feed,
    /// The phase of the conversation, and when its time is over.
    phase: Option<(u32, Timestamp)>,
    /// When it was told to connect, until it knows that the connection is open.
    dialled: Option<Timestamp>,
    /// When the end of the message under way was written.
    dot_written: Option<Timestamp>,
    /// What the content of this message, read for it, turned out to hold.
    seen: Option<Seen>,
    /// How much encryption the message under way demands.
    demand: TlsDemand,
    /// How much was demanded when the hops were found: that much the connection gives.
    promised: TlsDemand,
    /// Hosts that offered encryption which then did not come about, and where nobody demands it.
    in_clear: Vec<HopAddress>,
    /// What was known of the domain's MTA-STS policy when the hops were found.
    sts: Option<encryption::Sts>,
    /// The last connection, as it is told with a job.
    bond: Option<Bond>,
    /// Of which server it was told last that it has taken MAIL.
    begun_told: Option<HopAddress>,
    /// Others need its connection: it tries nothing further for the job under way.
    hurried: bool,
    /// It goes as soon as it has no job.
    dismissed: bool,
    random: u64,
    /// What is said is told ([`Step::Said`]).
    records: bool,
    /// What happened since a step was asked for last.
    remarks: Vec<Said>,
}

/// What a connection turned out to be.
struct Bond {
    /// Where it leads.
    host: String,
    tls: Option<Arc<TlsFacts>>,
    /// `None` when it did not come about.
    assurance: Option<Assurance>,
}

/// Reconnections to a host that drops kept connections, for one message.
const FRESH_STARTS_MAX: u32 = 2;
/// The subject and detail of a refused sign-in (RFC 4954 section 6).
const SIGN_IN_REFUSED: (u16, u16) = (7, 8);

enum Stage {
    Asking {
        answers: Answers,
    },
    Connecting {
        attempt: Attempt,
        hop: Hop,
        helo: bool,
        /// It is known as whom to sign in, where somebody has to.
        identified: bool,
    },
    Talking {
        attempt: Attempt,
        hop: Hop,
        conversation: Box<Conversation>,
        /// The host was of no use; it hears QUIT, and then the next one has its turn.
        failed: bool,
    },
    Filing {
        directory: PathBuf,
    },
    /// The report is to be taken, then the agent goes or stays as it says.
    Done {
        open: Option<(Attempt, Hop, Box<Conversation>)>,
        reusable: bool,
    },
    Gone,
}

impl Agent {
    /// An agent with its first job, which it has since `now`. `random` orders hosts of equal
    /// preference.
    pub fn new(
        id: AgentId,
        job: Job,
        routes: Arc<Routes>,
        delivery: DeliverySettings,
        random: u64,
        now: Timestamp,
    ) -> Self {
        let mut agent = Self::idle(id, job.site.clone(), routes, delivery, random, now);
        agent.take_load(job);
        agent
    }

    /// An agent for whoever fetches mail on a connection of its own, which is open and where the
    /// client is the server from now on. It waits for its first job, and goes when the connection
    /// does: it never opens another one.
    pub fn of_caller(
        id: AgentId,
        site: Site,
        caller: &Client,
        routes: Arc<Routes>,
        delivery: DeliverySettings,
        now: Timestamp,
    ) -> Self {
        let hop = Hop {
            // It is encrypted as far as it will be.
            security: Security::None,
            ..Hop::new(format!("[{}]", caller.address()), caller.peer)
        };
        let mut attempt = Attempt::new(vec![hop.clone()]);
        let _walked = attempt.next_hop();
        let settings = Arc::clone(&delivery.settings);
        let tls = caller.tls.clone().map(Arc::new);
        let encrypted = tls.as_ref().map(|_| Assurance::Encrypted);
        Self {
            bond: Some(Bond {
                host: hop.to_string(),
                tls,
                assurance: encrypted.or(Some(Assurance::Clear)),
            }),
            // Whoever is at the other end has signed in, which proves more than a certificate.
            promised: TlsDemand::Verify,
            stage: Stage::Talking {
                attempt,
                conversation: Box::new(Conversation::new(settings, hop.clone())),
                hop,
                failed: false,
            },
            ..Self::idle(id, site, routes, delivery, 0, now)
        }
    }

    fn idle(
        id: AgentId,
        site: Site,
        routes: Arc<Routes>,
        delivery: DeliverySettings,
        random: u64,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            now,
            wall: now,
            site,
            delivery,
            left: None,
            routes,
            stage: fresh_start(),
            told: VecDeque::new(),
            load: None,
            look: None,
            feed: Feed::Nothing,
            phase: None,
            dialled: None,
            dot_written: None,
            seen: None,
            demand: TlsDemand::Off,
            promised: TlsDemand::Off,
            in_clear: Vec::new(),
            sts: None,
            bond: None,
            begun_told: None,
            hurried: false,
            dismissed: false,
            random,
            records: false,
            remarks: Vec::new(),
        }
    }

    /// The number of this agent, by which the queue manager knows it.
    pub fn id(&self) -> AgentId {
        self.id
    }

    /// Where it goes now: where its mail goes otherwise, once the site of its job was of no use.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Where its connection leads, as it is told with a job; empty before there was one.
    pub fn peer(&self) -> &str {
        self.bond.as_ref().map_or("", |bond| &bond.host)
    }

    /// The job under way.
    pub fn job(&self) -> Option<&Job> {
        self.load.as_ref().map(|load| &load.job)
    }

    /// What the queue manager says, at any time. True when the driver is to leave off what it is
    /// doing for this agent: its result is not wanted any more.
    #[must_use]
    pub fn on_order(&mut self, order: Order, now: Timestamp) -> bool {
        self.now = now;
        match order {
            Order::Give(job) => self.give(*job),
            Order::Hurry => return self.hurry(),
            Order::Dismiss => self.dismiss(),
        }
        false
    }

    /// The next job for an agent whose last report said that it can take one.
    fn give(&mut self, job: Job) {
        self.take_load(job);
        self.remark_on_bond();
        if self.look.is_none() {
            self.begin_load();
        }
    }

    /// All is known of the job that must be before it begins.
    fn begin_load(&mut self) {
        match &mut self.stage {
            // Another domain of the site may demand more than this connection gives: it has one of
            // its own.
            Stage::Talking { conversation, .. }
                if self.demand > self.promised || conversation.is_quitting() =>
            {
                conversation.quit();
            }
            Stage::Talking {
                conversation,
                attempt,
                ..
            } => {
                attempt.renew();
                if let Some(load) = &mut self.load {
                    conversation.start(load.transaction(
                        &self.delivery,
                        self.seen.as_ref(),
                        self.wall,
                    ));
                }
            }
            Stage::Asking { .. } | Stage::Connecting { .. } | Stage::Filing { .. } => {}
            Stage::Done { .. } | Stage::Gone => self.stage = fresh_start(),
        }
    }

    /// Others need its connection. Unless a server has let it in, it is as if none had answered in
    /// time, and the job is given up for now.
    fn hurry(&mut self) -> bool {
        if self.begun_told.is_some() || self.load.is_none() {
            return false;
        }
        self.hurried = true;
        match &mut self.stage {
            Stage::Asking { .. } => {
                let text = "No answer from the DNS in time, and others wait for a connection";
                self.end(Outcome::Deferred(Failure {
                    scope: Scope::Site,
                    reply: Reply::new(451, 4, 3, text),
                    host: None,
                }));
            }
            Stage::Connecting { .. } => self.pass_over("no answer in time"),
            Stage::Talking { conversation, .. } if !conversation.has_begun() => {
                conversation.on_timeout();
            }
            Stage::Talking { .. } | Stage::Filing { .. } | Stage::Done { .. } | Stage::Gone => {
                return false;
            }
        }
        true
    }

    /// No more jobs: it says QUIT and goes, once it has none.
    fn dismiss(&mut self) {
        self.dismissed = true;
        if self.load.is_some() {
            return;
        }
        match &mut self.stage {
            Stage::Talking { conversation, .. } => conversation.quit(),
            Stage::Asking { .. } | Stage::Connecting { .. } | Stage::Filing { .. } => {}
            Stage::Done { .. } | Stage::Gone => self.stage = Stage::Gone,
        }
    }

    /// What is to be done now. The same step is given again until it was answered, but for those
    /// that only tell something ([`Step::Begun`], [`Step::HostDown`], [`Step::HostFailed`], [`Step::SignInRefused`], [`Step::Encryption`],
    /// [`Step::Said`], [`Step::Unreadable`], [`Step::Report`]), which are given once.
    pub fn next_step(&mut self, now: Moment) -> Step {
        (self.now, self.wall) = (now.line, now.wall);
        self.tell_said();
        loop {
            if let Some(told) = self.told.pop_front() {
                return told;
            }
            if let Some(look) = &self.look {
                return look.step();
            }
            if let Some(step) = self.next_of_stage() {
                return step;
            }
        }
    }

    /// The step of this stage, or `None` when another stage was reached.
    fn next_of_stage(&mut self) -> Option<Step> {
        match std::mem::replace(&mut self.stage, Stage::Gone) {
            Stage::Asking { answers } => self.plan(answers),
            connecting @ Stage::Connecting { .. } => {
                self.stage = connecting;
                self.connect()
            }
            talking @ Stage::Talking { .. } => {
                self.stage = talking;
                self.talk()
            }
            Stage::Filing { directory } => {
                let step = Step::File(directory.clone());
                self.stage = Stage::Filing { directory };
                Some(step)
            }
            Stage::Done { open, reusable } => self.report(open, reusable),
            Stage::Gone => Some(Step::Leave),
        }
    }

    /// The answers to [`Step::Ask`].
    pub fn on_answers(&mut self, found: Vec<(Question, Answer)>) {
        if let Stage::Asking { answers } = &mut self.stage {
            for (question, answer) in found {
                answers.insert(question, answer);
            }
        }
    }

    /// As whom to sign in at the host that is connected to next ([`Step::Identify`]), or as
    /// nobody; or why that cannot be known now.
    pub fn on_identity(&mut self, found: Result<Option<Identity>, String>) {
        match (found, &mut self.stage) {
            (Ok(identity), Stage::Connecting { identified, .. }) => {
                *identified = true;
                if identity.is_some() {
                    Arc::make_mut(&mut self.delivery.settings).credentials = identity;
                }
            }
            (Err(why), Stage::Connecting { .. }) => self.pass_over(&why),
            (Ok(_) | Err(_), _) => {}
        }
    }

    /// A connection to the hop asked for is open.
    pub fn on_connected(&mut self) {
        let (attempt, hop, helo) = match std::mem::replace(&mut self.stage, Stage::Gone) {
            Stage::Connecting {
                attempt, hop, helo, ..
            } => (attempt, hop, helo),
            other => {
                self.stage = other;
                return;
            }
        };
        if let Some(bond) = &mut self.bond {
            bond.assurance = Some(hop.assurance(None));
        }
        self.remark(format_args!("connected to {hop}"));
        let settings = Arc::clone(&self.delivery.settings);
        let mut conversation = Box::new(if helo {
            Conversation::with_helo(settings, hop.clone())
        } else {
            Conversation::new(settings, hop.clone())
        });
        if self.records {
            conversation.record();
        }
        if let Some(load) = &mut self.load {
            conversation.start(load.transaction(&self.delivery, self.seen.as_ref(), self.wall));
        }
        self.stage = Stage::Talking {
            attempt,
            hop,
            conversation,
            failed: false,
        };
    }

    /// The handshake of [`Step::StartTls`] gave what the hop demands; `exporter` is its channel
    /// binding (RFC 9266), if it has one.
    pub fn on_encrypted(&mut self, facts: TlsFacts, exporter: Option<[u8; 32]>) {
        self.remark(format_args!("{} {}", facts.version, facts.cipher));
        let flaw = match &self.stage {
            Stage::Talking { hop, .. } => encryption::flaw(hop, &facts),
            _ => None,
        };
        self.tell_encryption(flaw);
        if let Stage::Talking {
            conversation, hop, ..
        } = &mut self.stage
        {
            conversation.on_encrypted(facts, exporter);
            if let Some((tls, bond)) = conversation.tls().zip(self.bond.as_mut()) {
                bond.assurance = Some(hop.assurance(Some(tls)));
                bond.tls = Some(Arc::clone(tls));
            }
        }
    }

    /// It did not; why.
    pub fn on_handshake_failed(&mut self, fault: &HandshakeFault) {
        let (HandshakeFault::Certificate(_, why) | HandshakeFault::Broken(why)) = fault;
        self.remark(format_args!("no encryption: {why}"));
        self.tell_encryption(Some(encryption::flaw_of(fault)));
        if let Some(conversation) = self.conversation() {
            conversation.on_handshake_failed(fault);
        }
    }

    /// No connection to the hop asked for; why.
    pub fn on_connect_failed(&mut self, why: &str) {
        if let Stage::Connecting { attempt, hop, .. } = &self.stage
            && !attempt.is_lone()
        {
            let host = site_host(&self.site, hop);
            let failure = Attempt::not_connected(hop, why);
            self.told.push_back(Step::HostDown { host, failure });
        }
        if let Stage::Connecting { hop, .. } = &self.stage {
            self.remarks.extend(
                self.records
                    .then(|| Said::remark(format_args!("no connection to {hop}: {why}"))),
            );
        }
        self.pass_over(why);
    }

    /// The hop that was to be connected to is given up, for this reason.
    fn pass_over(&mut self, why: &str) {
        if let Stage::Connecting {
            mut attempt, hop, ..
        } = std::mem::replace(&mut self.stage, Stage::Gone)
        {
            attempt.on_connect_failed(&hop, why);
            self.stage = self.next_host(attempt, Some(hop));
        }
    }

    /// What is to be written to the server. What was written is to be told at once
    /// ([`Agent::on_written`]): by what is left the conversation knows a reply that came too early.
    pub fn output(&mut self) -> &[u8] {
        self.conversation()
            .map_or(&[], |conversation| conversation.output())
    }

    /// So many octets of [`Agent::output`] were written.
    pub fn on_written(&mut self, octets: usize) {
        if let Some(conversation) = self.conversation() {
            conversation.output().drain(..octets);
        }
    }

    /// What the server sent, cut anywhere.
    pub fn receive(&mut self, octets: &[u8]) {
        if let Some(conversation) = self.conversation() {
            conversation.receive(octets);
        }
    }

    /// An operator ended its connection. What the server said before counts; a job without an answer is
    /// tried again as after a lost connection.
    pub fn on_killed(&mut self) {
        let text = "The attempt was ended by an operator";
        match &mut self.stage {
            Stage::Asking { .. } => self.end(Outcome::Deferred(Failure {
                scope: Scope::Site,
                reply: Reply::new(451, 4, 0, text),
                host: None,
            })),
            Stage::Connecting { .. } => self.pass_over("ended by an operator"),
            Stage::Talking { conversation, .. } => conversation.on_disconnected(),
            Stage::Filing { .. } | Stage::Done { .. } | Stage::Gone => {}
        }
    }

    /// The connection was closed by the server, or it broke.
    pub fn on_disconnected(&mut self) {
        if let Some(conversation) = self.conversation() {
            conversation.on_disconnected();
        }
    }

    /// When the server has had its time, while there is a connection.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.phase.map(|(_, deadline)| deadline)
    }

    /// [`Agent::deadline`] may have come; harmless when it has not.
    pub fn on_time(&mut self, now: Timestamp) {
        self.now = now;
        if self.deadline().is_some_and(|deadline| deadline <= now)
            && let Some(conversation) = self.conversation()
        {
            conversation.on_timeout();
        }
    }

    /// The file of [`Step::File`] is on stable storage, or why not.
    pub fn on_filed(&mut self, result: Result<(), NotFiled>) {
        let outcome = match result {
            Ok(()) => Outcome::Delivered(Delivery {
                reply: Reply::new(250, 0, 0, "Filed"),
                host: None,
            }),
            Err(NotFiled::Unwritable(why)) => Outcome::Deferred(Failure {
                scope: Scope::Site,
                reply: Reply::new(451, 3, 0, format!("Could not write the file: {why}")),
                host: None,
            }),
            // A smaller one may fit.
            Err(NotFiled::Full(why)) => Outcome::Deferred(Failure {
                scope: Scope::Message,
                reply: Reply::new(452, 2, 2, format!("Mailbox full: {why}")),
                host: None,
            }),
            // RFC 3463 section 3.3: X.2.3, message length exceeds administrative limit.
            Err(NotFiled::TooLarge(why)) => Outcome::Failed(Failure {
                scope: Scope::Message,
                reply: Reply::new(552, 2, 3, format!("Message too large: {why}")),
                host: None,
            }),
            // The place where it was to go is not to blame.
            Err(NotFiled::Unreadable(why)) => {
                let text = format!("The message could not be read: {why}");
                self.tell_unreadable(why);
                Outcome::Deferred(Failure {
                    scope: Scope::Message,
                    reply: Reply::new(451, 3, 0, text),
                    host: None,
                })
            }
        };
        self.end(outcome);
    }

    fn conversation(&mut self) -> Option<&mut Conversation> {
        match &mut self.stage {
            Stage::Talking { conversation, .. } => Some(conversation),
            Stage::Asking { .. } | Stage::Connecting { .. } => None,
            Stage::Filing { .. } | Stage::Done { .. } | Stage::Gone => None,
        }
    }

    fn take_load(&mut self, job: Job) {
        if job.shut.is_some() {
            self.turn_back();
        }
        self.demand = self.demand_of(&job);
        self.hurried = false;
        self.look = Look::into(&job, self.delivery.reads(&job.message));
        self.load = Some(Load::new(job, self.now));
    }

    fn demand_of(&self, job: &Job) -> TlsDemand {
        let domains = self.delivery.tls(&job.recipients);
        self.routes.demand(&self.site.name, domains)
    }

    /// Asks routing what to do with what is known; sets the stage that follows.
    fn plan(&mut self, answers: Answers) -> Option<Step> {
        let mut random = self.random;
        let mut next = || {
            random = next_random(random);
            random
        };
        let (site, routes) = (&self.site, &self.routes);
        let plan = resolve(site, routes, self.demand, &answers, &mut next);
        self.random = random;
        self.promised = self.demand;
        self.sts = match &*self.site.next_hop {
            NextHop::Mx(domain) => encryption::sts(domain, &answers).cloned(),
            _ => None,
        };
        match plan {
            Plan::Ask(questions) => {
                self.stage = Stage::Asking { answers };
                return Some(Step::Ask(questions));
            }
            Plan::Hops(mut hops) => {
                if let Some(load) = &mut self.load {
                    load.walks = true;
                    hops.sort_by_key(|hop| load.job.resting.contains(&hop.address));
                }
                self.stage = self.next_host(Attempt::new(hops), None);
            }
            Plan::Directory(directory) => {
                self.bond = Some(Bond {
                    host: directory.display().to_string(),
                    tls: None,
                    assurance: None,
                });
                self.stage = Stage::Filing { directory };
            }
            Plan::Otherwise(outcome) => match self.turn(outcome) {
                None => self.stage = fresh_start(),
                Some(outcome) => self.end(outcome),
            },
            Plan::Stop(outcome) => {
                self.tell_shut_out(&answers);
                self.end(outcome);
            }
        }
        None
    }

    fn connect(&mut self) -> Option<Step> {
        let Stage::Connecting {
            hop, identified, ..
        } = &self.stage
        else {
            return None;
        };
        // Also where the route signed in nowhere when the agent began: it may do so since.
        if !identified {
            return Some(Step::Identify);
        }
        let hop = hop.clone();
        self.phase = None;
        self.dialled = Some(self.now);
        self.bond = Some(Bond {
            host: hop.to_string(),
            tls: None,
            assurance: None,
        });
        let fits = |source: &IpAddr| match &hop.address {
            HopAddress::Tcp(address) => source.is_ipv4() == address.is_ipv4(),
            HopAddress::Unix(_) => false,
        };
        Some(Step::Connect {
            source: self.delivery.source.filter(fits),
            within: self.delivery.connect_timeout,
            hop,
        })
    }

    fn next_host(&mut self, mut attempt: Attempt, failed: Option<Hop>) -> Stage {
        let why = attempt.last_failure().cloned();
        let next = attempt.next_hop();
        let is_cut_short = self.hurried && next.is_some();
        match next.filter(|_| !self.hurried) {
            Some(mut hop) => {
                if let Some((failed, why)) = failed.zip(why) {
                    self.tell_failed(self.site.clone(), failed, why);
                }
                if hop.security == Security::Opportunistic && self.in_clear.contains(&hop.address) {
                    hop.security = Security::None;
                }
                Stage::Connecting {
                    attempt,
                    hop,
                    helo: false,
                    identified: false,
                }
            }
            None => {
                let mut outcome = attempt.give_up();
                if is_cut_short && matches!(outcome, Outcome::Failed(_)) {
                    // Another host might have taken it.
                    let text = "Another host is to be tried, and others wait for a connection";
                    outcome = Outcome::Deferred(Failure {
                        scope: Scope::Message,
                        reply: Reply::new(451, 4, 0, text),
                        host: None,
                    });
                }
                if is_unreachable(&outcome) {
                    let site = self.site.clone();
                    let Some(ends_as) = self.turn(outcome) else {
                        if let Some((failed, why)) = failed.zip(why) {
                            self.tell_failed(site, failed, why);
                        }
                        return fresh_start();
                    };
                    outcome = ends_as;
                }
                if let Some(load) = &mut self.load {
                    let outcome = load.end_walk(outcome);
                    load.close(&outcome);
                }
                Stage::Done {
                    open: None,
                    reusable: false,
                }
            }
        }
    }

    /// The site is of no use: from here on the mail goes where it goes otherwise, if anywhere. Not
    /// once a server took MAIL, which may have the message and not have said so. If it goes nowhere,
    /// gives what it ends as in place of `outcome`.
    fn turn(&mut self, outcome: Outcome) -> Option<Outcome> {
        let Some(load) = self.load.as_ref().filter(|load| !load.begun) else {
            return Some(outcome);
        };
        let behind = self
            .site
            .otherwise
            .clone()
            .zip(self.delivery.otherwise.clone());
        let Some((site, delivery)) = behind.filter(|_| !self.hurried) else {
            return Some(outcome);
        };
        if let Some(reply) = &load.job.shut {
            return Some(Outcome::Deferred(Failure {
                scope: Scope::Site,
                reply: reply.clone(),
                host: None,
            }));
        }
        let site = std::mem::replace(&mut self.site, Site::clone(&site));
        let delivery = std::mem::replace(&mut self.delivery, DeliverySettings::clone(&delivery));
        self.left = Some(Box::new((site, delivery)));
        self.demand = self
            .load
            .as_ref()
            .map_or(self.demand, |load| self.demand_of(&load.job));
        None
    }

    /// The mail goes by the site of its jobs again, and a connection elsewhere ends.
    fn turn_back(&mut self) {
        let Some(left) = self.left.take() else {
            return;
        };
        (self.site, self.delivery) = *left;
        if let Stage::Talking { conversation, .. } = &mut self.stage {
            conversation.quit();
        }
    }

    /// Every recipient that is still open has this outcome, and the agent no connection.
    fn end(&mut self, outcome: Outcome) {
        if let Some(load) = &mut self.load {
            load.close(&outcome);
        }
        self.stage = Stage::Done {
            open: None,
            reusable: false,
        };
    }

    /// For the log: a host was of no use. A token that it did not take is not tried again.
    fn tell_failed(&mut self, site: Site, hop: Hop, failure: Failure) {
        let refused = is_sign_in_refused(&failure);
        self.told.push_back(Step::HostFailed { site, hop, failure });
        if refused {
            self.told.push_back(Step::SignInRefused);
        }
    }

    /// Takes one event of the conversation, or goes on with it. `None`: the stage may have changed.
    fn talk(&mut self) -> Option<Step> {
        let Stage::Talking {
            conversation, hop, ..
        } = &mut self.stage
        else {
            return None;
        };
        if let Some(said) = conversation.take_no_starttls() {
            let said = said.map(|reply| reply.to_string());
            self.tell_encryption(Some(encryption::no_starttls(said)));
            return None;
        }
        match conversation.next_event() {
            None if conversation.has_begun() && self.begun_told.as_ref() != Some(&hop.address) => {
                self.begun_told = Some(hop.address.clone());
                return Some(Step::Begun(site_host(&self.site, hop)));
            }
            None => return Some(self.go_on()),
            Some(delivery::Event::Ready) => {}
            Some(delivery::Event::StartTls) if conversation.wants_handshake() => {
                return Some(Step::StartTls {
                    hop: conversation.hop().clone(),
                    within: conversation.time_limit().limit,
                });
            }
            // Overtaken by trouble.
            Some(delivery::Event::StartTls) => {}
            Some(delivery::Event::Content) => self.feed = self.content_from_start(),
            Some(delivery::Event::Ended(ended)) => self.on_ended(ended),
            Some(delivery::Event::Closed) => self.on_closed(),
        }
        None
    }

    /// Feeds content, where it is wanted and at hand, and keeps time.
    fn go_on(&mut self) -> Step {
        if let Some(step) = self.feed_content() {
            return step;
        }
        if let Stage::Talking { conversation, .. } = &self.stage {
            let dialled = self.dialled.take();
            if let (Some(dialled), Some(load)) = (dialled, &mut self.load) {
                load.connecting = Some(self.now.since(dialled));
            }
            if self.dot_written.is_none() && conversation.awaits_verdict() {
                self.dot_written = Some(self.now);
            }
            let time_limit = conversation.time_limit();
            if self
                .phase
                .is_none_or(|(phase, _)| phase != time_limit.phase)
            {
                self.phase = Some((time_limit.phase, self.now + time_limit.limit));
            }
        }
        Step::Talk
    }

    fn on_ended(&mut self, mut ended: Ended) {
        let Stage::Talking {
            mut attempt,
            hop,
            mut conversation,
            ..
        } = std::mem::replace(&mut self.stage, Stage::Gone)
        else {
            return;
        };
        let answering = self.dot_written.take().map(|at| self.now.since(at));
        let Some(load) = &mut self.load else { return };
        load.answering = answering.filter(|_| !ended.unknown);
        load.unknown |= ended.unknown;
        load.begun |= ended.begun;
        let host_failure = ended.host_failure().cloned();
        let may_begin_anew = !self.hurried && *self.site.next_hop != NextHop::Caller;
        if let Some(again) = ended.again.filter(|_| may_begin_anew)
            && (again == Again::InClear || load.fresh_starts < FRESH_STARTS_MAX)
        {
            load.fresh_starts += u32::from(again != Again::InClear);
            if ended.put_off {
                // It says QUIT; then the message begins anew.
                self.stage = Stage::Talking {
                    attempt,
                    hop,
                    conversation,
                    failed: false,
                };
                return;
            }
            self.stage = self.once_more(again, attempt, hop, host_failure);
            return;
        }
        let down = host_failure.clone();
        if let Some(failure) = down.filter(|_| !ended.begun && !attempt.is_lone()) {
            let host = site_host(&self.site, &hop);
            self.told.push_back(Step::HostDown { host, failure });
        }
        if hop.address.is_ipv6() && attempt.has_ipv4() && ended.leave_to_ipv4() {
            attempt.keep_ipv4();
        }
        // Where another host has taken MAIL before, some of it may be delivered: that it was at the
        // door alone would send it out again.
        load.report.reach = match (ended.put_off && !load.begun, ended.unknown) {
            (true, _) => Reach::BeforeMail,
            (false, true) => Reach::AfterMail,
            (false, false) => Reach::ToTheEnd,
        };
        let unfit = ended.unfit().filter(|_| !attempt.is_lone()).cloned();
        let goes_on = host_failure.is_some() || unfit.is_some();
        load.settle(ended.outcomes, goes_on, ended.dsn_passed);
        if !goes_on {
            // One that takes no more messages still says QUIT.
            let open = Some((attempt, hop, conversation));
            self.stage = Stage::Done {
                open,
                reusable: ended.reusable,
            };
            return;
        }
        // A message that found the connection open has not asked the hosts before this one: it
        // walks over all of them.
        let failed = host_failure.is_some() || load.walks;
        if let Some(failure) = unfit {
            attempt.on_unfit(failure);
            conversation.quit();
        }
        if let Some(failure) = host_failure {
            attempt.on_host_failure(failure);
        }
        self.stage = Stage::Talking {
            attempt,
            hop,
            conversation,
            failed,
        };
    }

    /// The same host again, in another way.
    fn once_more(
        &mut self,
        again: Again,
        attempt: Attempt,
        mut hop: Hop,
        failure: Option<Failure>,
    ) -> Stage {
        let helo = match again {
            Again::Fresh => return fresh_start(),
            Again::WithHelo => true,
            // It ends there: a hop in clear shakes no hands.
            Again::InClear => {
                if let Some(failure) = failure {
                    self.tell_failed(self.site.clone(), hop.clone(), failure);
                }
                hop.security = Security::None;
                if self.in_clear.len() < HOPS_MAX {
                    self.in_clear.push(hop.address.clone());
                }
                false
            }
        };
        Stage::Connecting {
            attempt,
            hop,
            helo,
            identified: false,
        }
    }

    /// The connection is to be closed. A job that is still in hand goes to the next host, or came
    /// too late for this connection.
    fn on_closed(&mut self) {
        if let Stage::Talking {
            attempt,
            hop,
            failed,
            ..
        } = std::mem::replace(&mut self.stage, Stage::Gone)
            && self.load.is_some()
        {
            self.stage = if failed {
                self.next_host(attempt, Some(hop))
            } else {
                fresh_start()
            };
        }
    }

    /// Tells what became of the job; an agent without one leaves.
    fn report(
        &mut self,
        open: Option<(Attempt, Hop, Box<Conversation>)>,
        reusable: bool,
    ) -> Option<Step> {
        if let Some((attempt, hop, conversation)) = open {
            self.stage = Stage::Talking {
                attempt,
                hop,
                conversation,
                failed: false,
            };
        }
        self.feed = Feed::Nothing;
        (self.look, self.seen) = (None, None);
        let Some(mut load) = self.load.take() else {
            return Some(Step::Leave);
        };
        load.report.reusable = reusable;
        // The last host of a site fails in the report. The token that it did not take is forgotten
        // before: the report may bring the next attempt.
        if let Some((_, Outcome::Deferred(failure))) = load.report.results.first()
            && is_sign_in_refused(failure)
        {
            self.told.push_back(Step::SignInRefused);
        }
        if self.dismissed {
            self.dismiss();
        }
        let bond = self.bond.as_ref();
        let report = Report {
            agent: self.id,
            site: self.site.clone(),
            ended: load.report,
            unknown: load.unknown,
            host: bond.map(|bond| bond.host.clone()).unwrap_or_default(),
            took: self.now.since(load.began),
            age: self.now.since(load.job.message.arrived),
            connecting: load.connecting,
            answering: load.answering,
            job: load.job,
            tls: bond.and_then(|bond| bond.tls.clone()),
            rewritten: load.rewritten,
            sent_as: load.sent_as,
            assurance: bond.and_then(|bond| bond.assurance),
            dialogue: load.dialogue,
        };
        self.told.push_back(Step::Report(Box::new(report)));
        None
    }
}

fn site_host(site: &Site, hop: &Hop) -> SiteHost {
    SiteHost {
        site: Arc::clone(&site.name),
        address: hop.address.clone(),
    }
}

fn fresh_start() -> Stage {
    Stage::Asking {
        answers: Answers::default(),
    }
}

/// Whether all hosts of a site failed, rather than the message at one of them.
fn is_unreachable(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Deferred(failure) if failure.scope == Scope::Site)
}

/// Whether the host did not take our sign-in.
fn is_sign_in_refused(failure: &Failure) -> bool {
    let status = failure.reply.status();
    failure.scope >= Scope::Host && (status.subject, status.detail) == SIGN_IN_REFUSED
}

/// A step of SplitMix64: enough to spread load over hosts of equal preference.
pub(crate) fn next_random(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
