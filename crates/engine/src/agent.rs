mod load;
mod step;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use delivery::{Again, Attempt, Conversation, Ended, HandshakeFault, Identity};
use mail::{Delivery, Failure, Outcome, QueueId, Reply, Scope, TlsFacts};
use message::EightBitUse;
use queue::{AgentId, Job, Reach};
use route::{
    Answer, Answers, Assurance, HOPS_MAX, Hop, Plan, Question, Routes, Security, Site, TlsDemand,
    resolve,
};
use spool::Message;

use self::load::Load;
pub use self::step::{Report, Step};

use crate::DeliverySettings;

/// One agent: finds the way to a site, holds one connection there, and carries one message after
/// the other over it.
///
/// Joins routing, the walk over hosts and the conversation with each. Without I/O: ask
/// [`Agent::next_step`], do it, say how it went.
pub struct Agent {
    id: AgentId,
    site: Site,
    routes: Arc<Routes>,
    delivery: DeliverySettings,
    stage: Stage,
    /// A host was passed over, and nobody was told yet.
    passed_over: Option<(Hop, Failure)>,
    load: Option<Load>,
    /// What the content of this message, read for it, turned out to hold.
    seen: Option<(QueueId, EightBitUse)>,
    /// How much encryption the message under way demands.
    demand: TlsDemand,
    /// How much was demanded when the hops were found: that much the connection gives.
    promised: TlsDemand,
    /// Hosts that offered encryption which then did not come about, and where nobody demands it.
    in_clear: Vec<SocketAddr>,
    /// The last connection, as it is told with a job.
    bond: Option<Bond>,
    /// It was told that a server has taken MAIL.
    begun_told: bool,
    /// Others need its connection: it tries nothing further for the job under way.
    hurried: bool,
    random: u64,
}

/// What a connection turned out to be.
struct Bond {
    tls: Option<Arc<TlsFacts>>,
    assurance: Assurance,
}

/// Reconnections to a host that drops kept connections, for one message.
const FRESH_STARTS_MAX: u32 = 2;

enum Stage {
    Asking {
        answers: Answers,
        asked: Option<Vec<Question>>,
    },
    Connecting {
        attempt: Attempt,
        hop: Hop,
        helo: bool,
        told: bool,
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
    /// An agent with its first job. `random` orders hosts of equal preference.
    pub fn new(
        id: AgentId,
        job: Job,
        routes: Arc<Routes>,
        delivery: DeliverySettings,
        random: u64,
    ) -> Self {
        let site = job.site.clone();
        let mut agent = Self {
            id,
            site,
            routes,
            delivery,
            stage: Stage::Gone,
            passed_over: None,
            load: None,
            seen: None,
            demand: TlsDemand::Off,
            promised: TlsDemand::Off,
            in_clear: Vec::new(),
            bond: None,
            begun_told: false,
            hurried: false,
            random,
        };
        agent.take_load(job);
        agent.stage = agent.fresh_start();
        agent
    }

    /// Its number.
    pub fn id(&self) -> AgentId {
        self.id
    }

    /// Where it goes.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The job under way.
    pub fn job(&self) -> Option<&Job> {
        self.load.as_ref().map(|load| &load.job)
    }

    /// The connection's other end, while there is a connection.
    pub fn conversation(&mut self) -> Option<&mut Conversation> {
        match &mut self.stage {
            Stage::Talking { conversation, .. } => Some(conversation),
            Stage::Asking { .. } | Stage::Connecting { .. } => None,
            Stage::Filing { .. } | Stage::Done { .. } | Stage::Gone => None,
        }
    }

    /// The next job for an agent whose last report said that it can take one.
    pub fn give(&mut self, job: Job) {
        self.take_load(job);
        match &mut self.stage {
            // Another domain of the site may demand more than this connection gives: it has one of
            // its own.
            Stage::Talking { conversation, .. } if self.demand > self.promised => {
                conversation.quit();
            }
            Stage::Talking {
                conversation,
                attempt,
                ..
            } => {
                attempt.renew();
                if let Some(load) = &self.load {
                    conversation.start(load.transaction(&self.delivery, self.seen));
                }
            }
            Stage::Asking { .. } | Stage::Connecting { .. } | Stage::Filing { .. } => {}
            Stage::Done { .. } | Stage::Gone => self.stage = self.fresh_start(),
        }
    }

    /// The message whose start is to be read from the spool for [`Agent::on_content_start`] before
    /// this job is given (the first one: before the first step). The client declared SMTPUTF8, and
    /// whether a server must offer that depends on the header.
    pub fn is_to_be_looked_into(job: &Job) -> Option<Arc<Message>> {
        let unknown = job.content.is_none() && job.message.parameters.smtputf8;
        unknown.then(|| Arc::clone(&job.message))
    }

    /// The `start` of the content of `message`, as far as it was read. False when the header goes
    /// on behind it: read on, and say all of it again. Until the end of the header is seen, what
    /// the client declared is taken for true.
    pub fn on_content_start(&mut self, message: &Message, start: &[u8]) -> bool {
        let used = EightBitUse::of_start(&message.head, start);
        self.seen = used.map(|used| (message.id, used));
        used.is_some()
    }

    /// As whom to sign in at the next host that is connected to; with a token, as long as that is
    /// fresh.
    pub fn sign_in_as(&mut self, identity: Identity) {
        Arc::make_mut(&mut self.delivery.settings).credentials = Some(identity);
    }

    /// Others need its connection. Unless a server has let it in, it is as if none had answered in
    /// time, and the job is given up for now.
    pub fn hurry(&mut self) {
        if self.begun_told || self.load.is_none() {
            return;
        }
        self.hurried = true;
        match &mut self.stage {
            Stage::Asking { .. } => {
                let text = "No answer from the DNS in time, and others wait for a connection";
                self.close_load(&Outcome::Deferred(Failure {
                    scope: Scope::Site,
                    reply: Reply::new(451, 4, 3, text),
                    host: None,
                }));
                self.stage = Stage::Done {
                    open: None,
                    reusable: false,
                };
            }
            Stage::Connecting { .. } => self.on_connect_failed("no answer in time"),
            Stage::Talking { conversation, .. } if !conversation.has_begun() => {
                conversation.on_timeout();
            }
            Stage::Talking { .. } | Stage::Filing { .. } | Stage::Done { .. } | Stage::Gone => {}
        }
    }

    /// No more jobs: say QUIT and go.
    pub fn dismiss(&mut self) {
        match &mut self.stage {
            Stage::Talking { conversation, .. } => conversation.quit(),
            Stage::Asking { .. } | Stage::Connecting { .. } | Stage::Filing { .. } => {}
            Stage::Done { .. } | Stage::Gone => self.stage = Stage::Gone,
        }
    }

    /// What is to be done now. The same step is given again until it was answered, but for `Ask`,
    /// `Connect`, `StartTls`, `Begun`, `HostFailed` and `Report`, which are given once.
    pub fn next_step(&mut self) -> Option<Step> {
        loop {
            if let Some((hop, failure)) = self.passed_over.take() {
                return Some(Step::HostFailed { hop, failure });
            }
            match std::mem::replace(&mut self.stage, Stage::Gone) {
                Stage::Asking { answers, asked } => {
                    if asked.is_some() {
                        self.stage = Stage::Asking { answers, asked };
                        return None;
                    }
                    if let Some(step) = self.plan(answers) {
                        return Some(step);
                    }
                }
                Stage::Connecting {
                    attempt,
                    hop,
                    helo,
                    told,
                } => {
                    let step = (!told).then(|| self.connect(&hop));
                    self.stage = Stage::Connecting {
                        attempt,
                        hop,
                        helo,
                        told: true,
                    };
                    return step;
                }
                talking @ Stage::Talking { .. } => {
                    self.stage = talking;
                    if let Some(step) = self.take_event() {
                        return Some(step);
                    }
                }
                Stage::Filing { directory } => {
                    self.stage = Stage::Filing {
                        directory: directory.clone(),
                    };
                    return Some(Step::File(directory));
                }
                Stage::Done { open, reusable } => {
                    return Some(Step::Report(self.report(open, reusable)));
                }
                Stage::Gone => return Some(Step::Leave),
            }
        }
    }

    /// The answers to [`Step::Ask`].
    pub fn on_answers(&mut self, found: Vec<(Question, Answer)>) {
        if let Stage::Asking { answers, asked } = &mut self.stage {
            for (question, answer) in found {
                answers.insert(question, answer);
            }
            *asked = None;
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
        self.bond = Some(Bond {
            tls: None,
            assurance: hop.assurance(None),
        });
        let settings = Arc::clone(&self.delivery.settings);
        let mut conversation = Box::new(if helo {
            Conversation::with_helo(settings, hop.clone())
        } else {
            Conversation::new(settings, hop.clone())
        });
        if let Some(load) = &self.load {
            conversation.start(load.transaction(&self.delivery, self.seen));
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
        if let Stage::Talking {
            conversation, hop, ..
        } = &mut self.stage
        {
            conversation.on_encrypted(facts, exporter);
            if let Some(tls) = conversation.tls() {
                self.bond = Some(Bond {
                    assurance: hop.assurance(Some(tls)),
                    tls: Some(Arc::clone(tls)),
                });
            }
        }
    }

    /// It did not; why.
    pub fn on_handshake_failed(&mut self, fault: &HandshakeFault) {
        if let Some(conversation) = self.conversation() {
            conversation.on_handshake_failed(fault);
        }
    }

    /// No connection to the hop asked for; why.
    pub fn on_connect_failed(&mut self, why: &str) {
        if let Stage::Connecting {
            mut attempt, hop, ..
        } = std::mem::replace(&mut self.stage, Stage::Gone)
        {
            attempt.on_connect_failed(&hop, why);
            self.stage = self.next_host(attempt, Some(hop));
        }
    }

    /// The file of [`Step::File`] is on stable storage, or why not.
    pub fn on_filed(&mut self, result: Result<(), String>) {
        let outcome = match result {
            Ok(()) => Outcome::Delivered(Delivery {
                reply: Reply::new(250, 0, 0, "Filed"),
                host: None,
            }),
            Err(why) => Outcome::Deferred(Failure {
                scope: Scope::Site,
                reply: Reply::new(451, 3, 0, format!("Could not write the file: {why}")),
                host: None,
            }),
        };
        self.close_load(&outcome);
        self.stage = Stage::Done {
            open: None,
            reusable: false,
        };
    }

    /// The content of the job cannot be read, for a connection or for a file: it is tried again
    /// later, and the place where it was to go is not to blame.
    pub fn on_content_failed(&mut self, why: &str) {
        match &mut self.stage {
            Stage::Talking { conversation, .. } => conversation.content_failed(why),
            Stage::Filing { .. } => {
                self.close_load(&Outcome::Deferred(Failure {
                    scope: Scope::Message,
                    reply: Reply::new(451, 3, 0, format!("The message could not be read: {why}")),
                    host: None,
                }));
                self.stage = Stage::Done {
                    open: None,
                    reusable: false,
                };
            }
            Stage::Asking { .. } | Stage::Connecting { .. } | Stage::Done { .. } | Stage::Gone => {}
        }
    }

    fn take_load(&mut self, job: Job) {
        let domains = self.delivery.tls(&job.recipients);
        self.demand = self.routes.demand(&self.site.name, domains);
        self.hurried = false;
        self.load = Some(Load::new(job));
    }

    fn fresh_start(&self) -> Stage {
        Stage::Asking {
            answers: Answers::default(),
            asked: None,
        }
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
        match plan {
            Plan::Ask(questions) => {
                self.stage = Stage::Asking {
                    answers,
                    asked: Some(questions.clone()),
                };
                return Some(Step::Ask(questions));
            }
            Plan::Hops(hops) => {
                if let Some(load) = &mut self.load {
                    load.walks = true;
                }
                self.stage = self.next_host(Attempt::new(hops), None);
            }
            Plan::Directory(directory) => self.stage = Stage::Filing { directory },
            Plan::Stop(outcome) => {
                self.close_load(&outcome);
                self.stage = Stage::Done {
                    open: None,
                    reusable: false,
                };
            }
        }
        None
    }

    fn connect(&self, hop: &Hop) -> Step {
        let fits = |source: &IpAddr| source.is_ipv4() == hop.address.is_ipv4();
        Step::Connect {
            hop: hop.clone(),
            source: self.delivery.source.filter(fits),
        }
    }

    fn next_host(&mut self, mut attempt: Attempt, failed: Option<Hop>) -> Stage {
        let why = attempt.last_failure().cloned();
        match attempt.next_hop().filter(|_| !self.hurried) {
            Some(mut hop) => {
                self.passed_over = failed.zip(why);
                if hop.security == Security::Opportunistic && self.in_clear.contains(&hop.address) {
                    hop.security = Security::None;
                }
                Stage::Connecting {
                    attempt,
                    hop,
                    helo: false,
                    told: false,
                }
            }
            None => {
                let outcome = attempt.give_up();
                if let Some(load) = &mut self.load {
                    let outcome = load.end_walk(outcome);
                    self.close_load(&outcome);
                }
                Stage::Done {
                    open: None,
                    reusable: false,
                }
            }
        }
    }

    /// Gives every recipient that is still open this outcome.
    fn close_load(&mut self, outcome: &Outcome) {
        if let Some(load) = &mut self.load {
            let open = std::mem::take(&mut load.open);
            load.results
                .extend(open.into_iter().map(|number| (number, outcome.clone())));
        }
    }

    /// Takes one event of the conversation; none of them leaves the talking to go on. `None`: the
    /// stage may have changed.
    fn take_event(&mut self) -> Option<Step> {
        let Stage::Talking { conversation, .. } = &mut self.stage else {
            return None;
        };
        match conversation.next_event() {
            None if conversation.has_begun() && !self.begun_told => {
                self.begun_told = true;
                Some(Step::Begun)
            }
            None => Some(Step::Talk),
            Some(delivery::Event::Ready) => None,
            Some(delivery::Event::StartTls) if conversation.wants_handshake() => {
                Some(Step::StartTls(conversation.hop().clone()))
            }
            // Overtaken by trouble.
            Some(delivery::Event::StartTls) => None,
            Some(delivery::Event::Content) => Some(Step::Content),
            Some(delivery::Event::Ended(ended)) => {
                self.on_ended(ended);
                None
            }
            Some(delivery::Event::Closed) => {
                self.on_closed();
                None
            }
        }
    }

    fn on_ended(&mut self, ended: Ended) {
        let Stage::Talking {
            mut attempt,
            hop,
            mut conversation,
            ..
        } = std::mem::replace(&mut self.stage, Stage::Gone)
        else {
            return;
        };
        let Some(load) = &mut self.load else { return };
        load.unknown |= ended.unknown;
        load.begun |= ended.begun;
        let host_failure = ended.host_failure().cloned();
        if let Some(again) = ended.again.filter(|_| !self.hurried)
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
        // Where another host has taken MAIL before, some of it may be delivered: that it was at the
        // door alone would send it out again.
        load.reach = match (ended.put_off && !load.begun, ended.unknown) {
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
            Again::Fresh => return self.fresh_start(),
            Again::WithHelo => true,
            // It ends there: a hop in clear shakes no hands.
            Again::InClear => {
                self.passed_over = failure.map(|failure| (hop.clone(), failure));
                hop.security = Security::None;
                if self.in_clear.len() < HOPS_MAX {
                    self.in_clear.push(hop.address);
                }
                false
            }
        };
        Stage::Connecting {
            attempt,
            hop,
            helo,
            told: false,
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
                self.fresh_start()
            };
        }
    }

    fn report(
        &mut self,
        open: Option<(Attempt, Hop, Box<Conversation>)>,
        reusable: bool,
    ) -> Report {
        if let Some((attempt, hop, conversation)) = open {
            self.stage = Stage::Talking {
                attempt,
                hop,
                conversation,
                failed: false,
            };
        }
        let mut report = Report {
            agent: self.id,
            job: None,
            results: Vec::new(),
            reach: Reach::ToTheEnd,
            reusable,
            dsn_passed: Vec::new(),
            unknown: false,
            tls: None,
            assurance: None,
        };
        if let Some(bond) = &self.bond {
            report.tls.clone_from(&bond.tls);
            report.assurance = Some(bond.assurance);
        }
        if let Some(load) = self.load.take() {
            report.job = Some(load.job);
            report.results = load.results;
            report.reach = load.reach;
            report.dsn_passed = load.dsn_passed;
            report.unknown = load.unknown;
        }
        report
    }
}

/// A step of SplitMix64: enough to spread load over hosts of equal preference.
fn next_random(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
