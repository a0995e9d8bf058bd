//! What the queue is tested with: a spool in memory, agents, servers, a clock that only moves when
//! told.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mail::{
    Delivery, Failure, MailParameters, Mailbox, Notify, Outcome, Place, QueueId, Reply,
    ReversePath, Scope, Timestamp,
};
use queue::{
    Action, AgentId, Decided, Disposition, Event, Job, JobReport, Occurrence, Queue, RateCount,
    Reach, Settings, SiteHost,
};
use relay_policy::{Admitted, Grounds, Requested};
use route::{DomainPattern, HopAddress, HostSpec, Routes, SenderPattern, Via};
use spool::{
    DuePage, DuePlace, Filed, HoldReason, Message, Page, Pause, Recipient, RecipientState, Waiting,
    Wanted,
};

pub type Key = (QueueId, u32);
/// How a server answers an agent with this job; told how many others of its site were let in,
/// unless it was let in itself.
pub type MailAnswers = Box<dyn FnMut(&Job, Option<usize>) -> MailAnswer>;
pub type Servers = Box<dyn FnMut(&Job, Timestamp) -> Option<Vec<(u32, Outcome)>>>;

/// How a server answers an agent that connects and sends MAIL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailAnswer {
    /// MAIL is taken: the agent is let in.
    Taken,
    /// The connection is refused.
    Refused,
    /// MAIL is put off.
    PutOff,
    /// MAIL is put off, because it comes too fast.
    TooFast,
    /// It is connected, and hears nothing.
    Silent,
}

pub const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Of every message.
const CONTENT: Bytes = Bytes::from_static(b"0123456789");

pub fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

pub fn hours(n: u64) -> Duration {
    minutes(60 * n)
}

/// Settings without jitter, so that times can be asserted; and one sender may fill everything.
pub fn exact() -> Settings {
    Settings {
        jitter_percent: 0,
        sender_percent: 100,
        ..Settings::default()
    }
}

pub fn id(n: u128) -> QueueId {
    QueueId::new(START, n)
}

/// One message from ann@sender.example (or nobody) to these addresses.
pub fn message(
    n: u128,
    from: &str,
    arrived: Timestamp,
    to: &[&str],
) -> (Arc<Message>, Vec<Recipient>) {
    let message = Message {
        id: id(n),
        arrived,
        reverse_path: ReversePath::parse(from).unwrap(),
        parameters: MailParameters::default(),
        client: "192.0.2.1".into(),
        user: None,
        from_stranger: false,
        head: Bytes::new(),
        size: 10,
    };
    let recipient = |(number, address): (usize, &&str)| {
        Recipient::waiting(
            number as u32,
            Admitted::from_stored(Mailbox::parse(address).unwrap(), Grounds::ListedClient),
            arrived,
        )
    };
    (
        Arc::new(message),
        to.iter().enumerate().map(recipient).collect(),
    )
}

pub fn delivered() -> Outcome {
    Outcome::Delivered(Delivery {
        reply: Reply::new(250, 0, 0, "taken"),
        host: Some("mx.test [192.0.2.9]:25".into()),
    })
}

pub fn deferred(scope: Scope) -> Outcome {
    Outcome::Deferred(Failure {
        scope,
        reply: Reply::new(451, 7, 1, "greylisted"),
        host: Some("mx.test [192.0.2.9]:25".into()),
    })
}

/// The server's word that mail comes too fast.
pub fn too_fast() -> Outcome {
    Outcome::Deferred(Failure {
        scope: Scope::Message,
        reply: Reply::from_peer(450, Some((7, 1)), "too much mail").unwrap(),
        host: Some("mx.test [192.0.2.9]:25".into()),
    })
}

/// The connection was lost after MAIL.
pub fn lost_within() -> Outcome {
    Outcome::Deferred(Failure {
        scope: Scope::Message,
        reply: Reply::new(
            451,
            4,
            2,
            "Connection lost while the message was being sent",
        ),
        host: Some("mx.test [192.0.2.9]:25".into()),
    })
}

fn reach(results: &[(u32, Outcome)]) -> Reach {
    let mut reach = Reach::ToTheEnd;
    for (_, outcome) in results {
        match outcome {
            Outcome::Deferred(failure) if failure.scope >= Scope::Host => return Reach::BeforeMail,
            outcome if *outcome == lost_within() => reach = Reach::AfterMail,
            Outcome::Deferred(_) | Outcome::Delivered(_) | Outcome::Failed(_) => {}
        }
    }
    reach
}

/// Trouble of our own, before or while a server was asked.
pub fn unreadable() -> Outcome {
    Outcome::Deferred(Failure {
        scope: Scope::Message,
        reply: Reply::new(451, 3, 0, "The message could not be read"),
        host: None,
    })
}

pub fn failed() -> Outcome {
    let reply = Reply::new(550, 1, 1, "no such user");
    Outcome::Failed(Failure {
        scope: Scope::Recipient,
        reply,
        host: None,
    })
}

/// The same answer for every recipient.
pub fn all(job: &Job, outcome: &Outcome) -> Option<Vec<(u32, Outcome)>> {
    Some(
        job.recipients
            .iter()
            .map(|r| (r.number, outcome.clone()))
            .collect(),
    )
}

pub fn by_mx() -> Arc<Routes> {
    Arc::new(Routes::builder().build().unwrap())
}

/// Every `*.one` host by one smart host.
pub fn by_smart_host() -> Arc<Routes> {
    let host = mail::Host::parse("[192.0.2.7]").unwrap();
    let via = Via::SmartHosts(vec![HostSpec::new(host, true)]);
    let pattern = DomainPattern::parse("*.one").unwrap();
    Arc::new(
        Routes::builder()
            .add_domain(pattern, via, Place::Default)
            .build()
            .unwrap(),
    )
}

/// By MX first, and by one smart host where that is of no use.
pub fn by_mx_first() -> Arc<Routes> {
    let host = mail::Host::parse("[192.0.2.7]").unwrap();
    let via = Via::SmartHosts(vec![HostSpec::new(host, true)]);
    let mut builder = Routes::builder();
    builder.outbound(via, Place::Default);
    Arc::new(builder.direct_first(Place::Default).build().unwrap())
}

/// What the disk holds.
#[derive(Default)]
pub struct Disk {
    pub messages: BTreeMap<QueueId, (Arc<Message>, BTreeMap<u32, Recipient>)>,
    /// Waiting recipients by host and due time, as the spool indexes them.
    index: BTreeSet<(String, Timestamp, QueueId, u32)>,
    /// Messages that a pending operation keeps from going out.
    pub withheld: BTreeSet<QueueId>,
}

/// Messages that are read at one moment in any test.
const READ_AT_ONCE_MAX: usize = 1_000_000;

/// So many withheld messages end a page.
const PASSED_OVER_MAX: usize = 3;

fn host_of(recipient: &Recipient) -> String {
    recipient.filed_under().into_owned()
}

/// All mail of these senders by one smart host each, beside `mx`.
pub fn by_senders(senders: &[(&str, &str)]) -> Arc<Routes> {
    let mut builder = Routes::builder();
    for (sender, host) in senders {
        let via = match *host {
            "mx" => Via::Mx,
            host => {
                let host = mail::Host::parse(host).unwrap();
                Via::SmartHosts(vec![HostSpec::new(host, true)])
            }
        };
        let pattern = match sender.contains('@') {
            true => SenderPattern::Mailbox(Mailbox::parse(sender).unwrap()),
            false => SenderPattern::Domain(DomainPattern::parse(sender).unwrap()),
        };
        builder.add_sender(pattern, via, Place::Default);
    }
    Arc::new(builder.build().unwrap())
}

/// Filed as these routes have it.
pub fn filed(message: &Message, mut recipients: Vec<Recipient>, routes: &Routes) -> Vec<Recipient> {
    for recipient in &mut recipients {
        let host = recipient.admitted.recipient().host();
        let site = queue::own_way(routes, &message.reverse_path, &recipient.admitted);
        recipient.filed = site.map(|site| site.filed_name(host));
    }
    recipients
}

impl Disk {
    pub fn store(&mut self, message: &Arc<Message>, recipients: &[Recipient]) {
        let rows = recipients.iter().map(|r| (r.number, r.clone())).collect();
        self.messages
            .insert(message.id, (Arc::clone(message), rows));
        for r in recipients {
            self.index.insert((host_of(r), r.due, message.id, r.number));
        }
    }

    pub fn due(&self, host: &str, wanted: &Wanted) -> DuePage {
        let first = DuePlace {
            due: Timestamp::default(),
            id: id(0),
            number: 0,
        };
        let from = wanted.behind.unwrap_or(first);
        let from = (host.to_owned(), from.due, from.id, from.number);
        let rows = self.index.range(from..).take_while(|(h, ..)| h == host);
        let mut page = DuePage::default();
        let (mut ids, mut passed_over) = (BTreeSet::new(), 0);
        for (_, due, id, number) in rows {
            let (due, number) = (*due, *number);
            let place = DuePlace {
                due,
                id: *id,
                number,
            };
            let is_seen = ids.contains(id) && due <= wanted.before;
            let is_first = Some(place) == wanted.behind;
            if is_seen || is_first || wanted.except.contains(&(*id, number)) {
                continue;
            }
            let is_full = page.messages.len() == wanted.limit || passed_over == PASSED_OVER_MAX;
            if due > wanted.before || is_full {
                page.next = Some(due);
                break;
            }
            ids.insert(*id);
            page.read_to = Some(place);
            if self.withheld.contains(id) {
                passed_over += 1;
                continue;
            }
            let (message, recipients) = &self.messages[id];
            let due = |r: &&Recipient| r.state == RecipientState::Waiting && r.due <= wanted.before;
            let recipients = recipients.values().filter(due).cloned().collect();
            page.messages.push(Waiting {
                message: Arc::clone(message),
                recipients,
                content: (wanted.content > 0).then_some(CONTENT),
            });
        }
        page
    }

    /// Messages with all their recipients.
    pub fn all(&self, page: Page) -> Vec<Waiting> {
        let all = self.messages.values().map(|(message, recipients)| Waiting {
            message: Arc::clone(message),
            recipients: recipients.values().cloned().collect(),
            content: None,
        });
        let is_behind = |waiting: &Waiting| Some(waiting.message.id) > page.after;
        all.filter(is_behind).take(page.limit).collect()
    }

    pub fn file(&mut self, filed: &[Filed]) {
        for Filed { id, number, name } in filed {
            let message = self.messages.get_mut(id);
            let Some(recipient) = message.and_then(|(_, rows)| rows.get_mut(number)) else {
                continue;
            };
            let waited = self
                .index
                .remove(&(host_of(recipient), recipient.due, *id, *number));
            recipient.file_under(name);
            if waited {
                self.index
                    .insert((host_of(recipient), recipient.due, *id, *number));
            }
        }
    }

    /// Whether everybody is filed as these routes have it.
    pub fn is_filed_by(&self, routes: &Routes) -> bool {
        self.messages.values().all(|(message, recipients)| {
            let recipients: Vec<Recipient> = recipients.values().cloned().collect();
            filed(message, recipients.clone(), routes) == recipients
        })
    }

    /// Messages with those whom an operator gave up.
    pub fn bouncing(&self, page: Page) -> Vec<Waiting> {
        let bounces = |r: &&Recipient| r.state == RecipientState::Held(HoldReason::Bouncing);
        let all = self.messages.values().map(|(message, recipients)| Waiting {
            message: Arc::clone(message),
            recipients: recipients.values().filter(bounces).cloned().collect(),
            content: None,
        });
        let is_behind = |waiting: &Waiting| Some(waiting.message.id) > page.after;
        all.filter(|waiting| is_behind(waiting) && !waiting.recipients.is_empty())
            .take(page.limit)
            .collect()
    }

    /// An operator gives up all recipients.
    pub fn bounce_all(&mut self, last: &str) {
        for recipient in self.messages.values_mut().flat_map(|(_, r)| r.values_mut()) {
            recipient.state = RecipientState::Held(HoldReason::Bouncing);
            recipient.last = Some(last.into());
        }
        self.index.clear();
    }

    pub fn domains(&self) -> Vec<(String, Timestamp)> {
        let mut first: BTreeMap<String, Timestamp> = BTreeMap::new();
        for (host, due, ..) in &self.index {
            first.entry(host.clone()).or_insert(*due);
        }
        first.into_iter().collect()
    }

    pub fn settle(&mut self, decided: &Decided) {
        for judged in &decided.recipients {
            let key = (decided.message.id, judged.recipient.number);
            let Some(recipient) = self.forget(key) else {
                continue;
            };
            let changed = match &judged.disposition {
                Disposition::Delivered(_) | Disposition::GiveUp(_) | Disposition::Dropped(_) => {
                    continue;
                }
                Disposition::TryAgain {
                    due,
                    tries,
                    last,
                    delay_notice,
                    ..
                } => Recipient {
                    due: *due,
                    tries: *tries,
                    last: match recipient.state {
                        RecipientState::Held(HoldReason::Bouncing) => recipient.last.clone(),
                        _ => Some(last.clone()),
                    },
                    delay_told: recipient.delay_told || *delay_notice,
                    ..recipient
                },
                Disposition::Badmail(_) => Recipient {
                    state: RecipientState::Held(HoldReason::Badmail),
                    ..recipient
                },
            };
            if changed.state == RecipientState::Waiting {
                self.index
                    .insert((host_of(&changed), changed.due, key.0, key.1));
            }
            let message = Arc::clone(&decided.message);
            let place = self
                .messages
                .entry(key.0)
                .or_insert((message, BTreeMap::new()));
            place.1.insert(key.1, changed);
        }
    }

    /// Takes a recipient out, with its message when it was the last.
    pub fn forget(&mut self, key: Key) -> Option<Recipient> {
        let (_, recipients) = self.messages.get_mut(&key.0)?;
        let recipient = recipients.remove(&key.1)?;
        if recipients.is_empty() {
            self.messages.remove(&key.0);
        }
        self.index
            .remove(&(host_of(&recipient), recipient.due, key.0, key.1));
        Some(recipient)
    }

    pub fn waiting(&self) -> usize {
        self.index.len()
    }
}

/// Everything around the queue, at once and in order; a job takes `latency`.
pub struct Harness {
    pub queue: Queue,
    /// By which new mail is filed.
    pub routes: Arc<Routes>,
    pub now: Timestamp,
    pub disk: Disk,
    pub servers: Servers,
    /// When there are none, an agent is let in when its job ends with an answer.
    pub mail_answers: Option<MailAnswers>,
    /// The hosts of every site, in order, and which of them is down when; none: all sites have one.
    pub hosts: Vec<SocketAddr>,
    pub host_down: Box<dyn Fn(SocketAddr, Timestamp) -> bool>,
    /// Every host that an agent tried to connect to.
    pub tried: Vec<(Timestamp, AgentId, SocketAddr)>,
    /// Agents that were let in.
    pub let_in: BTreeSet<AgentId>,
    /// Agents that will not be.
    turned_away: BTreeMap<AgentId, MailAnswer>,
    pub refusals: usize,
    /// What was said for the log.
    pub occurred: Vec<(Timestamp, Occurrence)>,
    pub latency: Duration,
    /// Whether settlements can be written.
    pub disk_works: bool,
    pub busy: BTreeMap<(Timestamp, AgentId), Job>,
    /// Every attempt: when, whom, over which agent.
    pub sent: Vec<(Timestamp, Key, AgentId)>,
    pub decided: Vec<(Timestamp, Arc<Decided>)>,
    pub agents: HashMap<AgentId, Arc<str>>,
    /// The same, of those that are gone, too.
    pub site_of: HashMap<AgentId, Arc<str>>,
    /// The most that was seen.
    pub agents_most: usize,
    pub busy_most: usize,
    pub ready_most: usize,
    pub loads: usize,
    /// Messages that they brought.
    pub read: usize,
    /// The same at the last moment.
    read_at: (Timestamp, usize),
    /// Pages of all that waits, in search of what is filed under another name than it should be.
    pub filed_read: usize,
    pub hires: usize,
}

impl Harness {
    pub fn new(settings: Settings, routes: Arc<Routes>) -> Self {
        Self {
            queue: Queue::new(settings, Arc::clone(&routes)),
            routes,
            now: START,
            disk: Disk::default(),
            servers: Box::new(|job, _| all(job, &delivered())),
            mail_answers: None,
            hosts: Vec::new(),
            host_down: Box::new(|_, _| false),
            tried: Vec::new(),
            let_in: BTreeSet::new(),
            turned_away: BTreeMap::new(),
            refusals: 0,
            occurred: Vec::new(),
            latency: Duration::from_millis(10),
            disk_works: true,
            busy: BTreeMap::new(),
            sent: Vec::new(),
            decided: Vec::new(),
            agents: HashMap::new(),
            site_of: HashMap::new(),
            agents_most: 0,
            busy_most: 0,
            ready_most: 0,
            loads: 0,
            read: 0,
            read_at: (START, 0),
            filed_read: 0,
            hires: 0,
        }
    }

    pub fn servers(
        &mut self,
        servers: impl FnMut(&Job, Timestamp) -> Option<Vec<(u32, Outcome)>> + 'static,
    ) {
        self.servers = Box::new(servers);
    }

    pub fn mail_answers(
        &mut self,
        mail_answers: impl FnMut(&Job, Option<usize>) -> MailAnswer + 'static,
    ) {
        self.mail_answers = Some(Box::new(mail_answers));
    }

    /// An operator's pause from now on, of a site or of all.
    pub fn pause(&self, site: Option<&str>, lasting: Option<Duration>) -> Pause {
        Pause {
            site: site.map(Into::into),
            by: "root".into(),
            reason: None,
            since: self.now,
            until: lasting.map(|lasting| self.now + lasting),
        }
    }

    /// These are all pauses that there are.
    pub fn set_pauses(&mut self, pauses: Vec<Pause>) {
        self.event(Event::Paused { pauses });
    }

    /// A new queue on the same disk, as after a restart.
    pub fn restart(&mut self, settings: Settings, routes: Arc<Routes>) {
        self.restart_with(settings, routes, Vec::new());
    }

    /// The same, with what was counted before.
    pub fn restart_with(
        &mut self,
        settings: Settings,
        routes: Arc<Routes>,
        counted: Vec<RateCount>,
    ) {
        self.queue = Queue::new(settings, Arc::clone(&routes));
        self.routes = routes;
        self.busy.clear();
        self.agents.clear();
        self.let_in.clear();
        self.turned_away.clear();
        let domains = self.disk.domains();
        self.event(Event::Counted(counted));
        self.event(Event::Started { domains });
    }

    /// Other routes, by a reload.
    pub fn reload(&mut self, settings: Settings, routes: Arc<Routes>) {
        self.routes = Arc::clone(&routes);
        self.event(Event::Reloaded(routes, Box::new(settings)));
    }

    pub fn store(&mut self, n: u128, from: &str, to: &[&str]) {
        let (message, recipients) = message(n, from, self.now, to);
        self.store_message(message, recipients);
    }

    pub fn store_with(&mut self, n: u128, notify: Notify, to: &[&str]) {
        let (message, mut recipients) = message(n, "ann@sender.example", self.now, to);
        recipients
            .iter_mut()
            .for_each(|r| r.parameters.notify = Some(notify));
        self.store_message(message, recipients);
    }

    pub fn store_on(&mut self, n: u128, from: &str, grounds: Grounds, to: &[&str]) {
        let (message, mut recipients) = message(n, from, self.now, to);
        for recipient in &mut recipients {
            let address = recipient.admitted.recipient().clone();
            recipient.admitted = Admitted::from_stored(address, grounds);
        }
        self.store_message(message, recipients);
    }

    pub fn store_message(&mut self, message: Arc<Message>, recipients: Vec<Recipient>) {
        let recipients = filed(&message, recipients, &self.routes);
        self.disk.store(&message, &recipients);
        self.event(Event::Stored {
            message,
            recipients,
            content: Some(CONTENT),
        });
    }

    /// Feeds an event, and all that follows from it at once.
    pub fn event(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut actions = Vec::new();
            self.queue.handle(self.now, event, &mut actions);
            for action in actions {
                self.act(action, &mut events);
            }
        }
        let counts = self.queue.counts();
        self.ready_most = self.ready_most.max(counts.ready);
        self.agents_most = self.agents_most.max(counts.agents);
    }

    /// Somebody asks for mail that waits for that; whether any did.
    pub fn ask(&mut self, wanted: &Requested) -> bool {
        let (mut actions, mut events) = (Vec::new(), VecDeque::new());
        let waits = self.queue.ask(self.now, wanted, &mut actions);
        for action in actions {
            self.act(action, &mut events);
        }
        for event in events {
            self.event(event);
        }
        waits
    }

    /// Somebody of this name fetches mail; by which agent, if any waits.
    pub fn call(&mut self, requested: &Requested, by: &str) -> Option<AgentId> {
        let (mut actions, mut events) = (Vec::new(), VecDeque::new());
        let called = self.queue.call(self.now, requested, by, &mut actions);
        if let Some((agent, site)) = &called {
            self.agents.insert(*agent, Arc::clone(&site.name));
        }
        for action in actions {
            self.act(action, &mut events);
        }
        for event in events {
            self.event(event);
        }
        called.map(|(agent, _)| agent)
    }

    /// An agent and its connection are gone from one moment to the next.
    pub fn lose(&mut self, agent: AgentId) {
        self.agents.remove(&agent);
        self.let_in.remove(&agent);
        self.busy.retain(|(_, id), _| *id != agent);
        self.event(Event::AgentGone { agent });
    }

    /// Whoever reads the same pages over and over would never come to an end.
    fn note_read(&mut self, messages: usize) {
        self.read += messages;
        if self.read_at.0 != self.now {
            self.read_at = (self.now, 0);
        }
        self.read_at.1 += messages;
        assert!(
            self.read_at.1 < READ_AT_ONCE_MAX,
            "the same is read over and over"
        );
    }

    fn act(&mut self, action: Action, events: &mut VecDeque<Event>) {
        match action {
            Action::Load { host, wanted } => {
                self.loads += 1;
                let page = self.disk.due(&host, &wanted);
                self.note_read(page.messages.len());
                let result = Ok(page);
                events.push_back(Event::Loaded { host, result });
            }
            Action::LoadBouncing(page) => {
                let result = Ok(self.disk.bouncing(page));
                events.push_back(Event::BouncingLoaded { result });
            }
            Action::LoadFiled(page) => {
                self.filed_read += 1;
                let result = Ok(self.disk.all(page));
                events.push_back(Event::FiledLoaded { result });
            }
            Action::File(filed) => {
                let ok = self.disk_works;
                if ok {
                    self.disk.file(&filed);
                }
                events.push_back(Event::Filed { ok });
            }
            Action::Hire { agent, job } => {
                assert!(
                    self.agents
                        .insert(agent, Arc::clone(&job.site.name))
                        .is_none()
                );
                self.site_of.insert(agent, Arc::clone(&job.site.name));
                self.hires += 1;
                self.walk(agent, &job, events);
                self.begin(agent, job, events);
            }
            Action::Give { agent, job } => {
                assert_eq!(self.agents[&agent], job.site.name);
                self.begin(agent, job, events);
            }
            Action::Hurry { agent } => self.hurry(agent),
            Action::Log(occurrence) => self.occurred.push((self.now, occurrence)),
            Action::Dismiss { agent } => {
                assert!(self.agents.remove(&agent).is_some());
                self.let_in.remove(&agent);
                events.push_back(Event::AgentGone { agent });
            }
            Action::Settle(decided) => {
                let (id, numbers, ok) = (decided.message.id, decided.numbers(), self.disk_works);
                if ok {
                    self.disk.settle(&decided);
                    self.decided.push((self.now, decided));
                }
                events.push_back(Event::Settled { id, numbers, ok });
            }
        }
    }

    fn first_host(&self, agent: AgentId) -> SiteHost {
        let address = SocketAddr::from(([192, 0, 2, 1], 25));
        SiteHost {
            site: self.agents.get(&agent).cloned().unwrap_or_default(),
            address: self.hosts.first().copied().unwrap_or(address).into(),
        }
    }

    /// A new connection to the first host that is not down, those that rest last.
    fn walk(&mut self, agent: AgentId, job: &Job, events: &mut VecDeque<Event>) {
        let mut hosts = self.hosts.clone();
        hosts.sort_by_key(|address| job.resting.contains(&HopAddress::Tcp(*address)));
        for address in hosts {
            self.tried.push((self.now, agent, address));
            let site = Arc::clone(&job.site.name);
            let host = SiteHost {
                site,
                address: address.into(),
            };
            if !(self.host_down)(address, self.now) {
                self.let_in.insert(agent);
                return events.push_back(Event::Begun { agent, host });
            }
            let failure = Failure {
                scope: Scope::Host,
                reply: Reply::new(451, 4, 1, "Could not connect"),
                host: Some(address.to_string().into()),
            };
            events.push_back(Event::HostDown {
                agent,
                host,
                failure,
            });
        }
        if !self.hosts.is_empty() {
            self.turned_away.insert(agent, MailAnswer::Refused);
        }
    }

    /// One that nobody has let in gives up at once.
    fn hurry(&mut self, agent: AgentId) {
        let busy = self.busy.keys().find(|(_, id)| *id == agent).copied();
        if let Some(key) = busy.filter(|_| self.turned_away.contains_key(&agent)) {
            let job = self.busy.remove(&key).unwrap();
            self.busy.insert((self.now, agent), job);
        }
    }

    /// When the job will end.
    fn answer_mail(
        &mut self,
        agent: AgentId,
        job: &Job,
        events: &mut VecDeque<Event>,
    ) -> Timestamp {
        let site = &self.agents[&agent];
        let of_site = |id: &&AgentId| self.agents.get(id) == Some(site);
        let let_in = self.let_in.iter().filter(of_site).count();
        let others = (!self.let_in.contains(&agent)).then_some(let_in);
        let Some(mail_answers) = &mut self.mail_answers else {
            return self.now + self.latency;
        };
        let answer = mail_answers(job, others);
        match answer {
            MailAnswer::Taken => {
                self.let_in.insert(agent);
                let host = self.first_host(agent);
                events.push_back(Event::Begun { agent, host });
                return self.now + self.latency;
            }
            MailAnswer::Refused | MailAnswer::PutOff | MailAnswer::TooFast | MailAnswer::Silent => {
                self.turned_away.insert(agent, answer);
            }
        }
        let silent = answer == MailAnswer::Silent;
        self.now
            + if silent {
                minutes(5)
            } else {
                Duration::from_millis(1)
            }
    }

    fn begin(&mut self, agent: AgentId, job: Job, events: &mut VecDeque<Event>) {
        for r in &job.recipients {
            assert!(self.queue.is_active(job.message.id, r.number));
            self.sent
                .push((self.now, (job.message.id, r.number), agent));
        }
        let ends = self.answer_mail(agent, &job, events);
        self.busy.insert((ends, agent), job);
        self.busy_most = self.busy_most.max(self.busy.len());
    }

    /// What a job ended with; `None`: its agent is lost.
    fn end(&mut self, agent: AgentId, job: &Job) -> Option<Event> {
        let (results, reach) = match self.turned_away.remove(&agent) {
            Some(answer) => {
                self.refusals += 1;
                let outcome = match answer {
                    MailAnswer::TooFast => too_fast(),
                    MailAnswer::PutOff => deferred(Scope::Message),
                    MailAnswer::Taken | MailAnswer::Refused | MailAnswer::Silent => {
                        deferred(Scope::Site)
                    }
                };
                (all(job, &outcome)?, Reach::BeforeMail)
            }
            None => {
                let results = (self.servers)(job, self.now)?;
                let reach = reach(&results);
                (results, reach)
            }
        };
        if reach != Reach::BeforeMail && self.let_in.insert(agent) {
            let host = self.first_host(agent);
            self.event(Event::Begun { agent, host });
        }
        Some(Event::JobEnded {
            agent,
            report: JobReport {
                results,
                reach,
                reusable: true,
                dsn_passed: Vec::new(),
            },
        })
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let job = self.busy.first_key_value().map(|((at, _), _)| *at);
            let tick = self.queue.deadline();
            let Some(next) = [job, tick]
                .into_iter()
                .flatten()
                .min()
                .filter(|at| *at <= end)
            else {
                break;
            };
            self.now = self.now.max(next);
            if tick.is_some_and(|at| at <= self.now) {
                self.tick();
                let later = self.queue.deadline().is_none_or(|at| at > self.now);
                assert!(later, "the queue asks to be woken for what it did");
            }
            while let Some(entry) = self.busy.first_entry().filter(|e| e.key().0 <= self.now) {
                let ((_, agent), job) = entry.remove_entry();
                match self.end(agent, &job) {
                    Some(ended) => self.event(ended),
                    None => {
                        self.agents.remove(&agent);
                        self.let_in.remove(&agent);
                        self.event(Event::AgentGone { agent });
                    }
                }
            }
        }
        self.now = end;
    }

    fn tick(&mut self) {
        let mut actions = Vec::new();
        self.queue.on_tick(self.now, &mut actions);
        let mut events = VecDeque::new();
        for action in actions {
            self.act(action, &mut events);
        }
        for event in events {
            self.event(event);
        }
    }

    /// When each attempt began, in minutes since the start.
    pub fn attempt_minutes(&self) -> Vec<u64> {
        self.sent
            .iter()
            .map(|(at, ..)| at.since(START).as_secs() / 60)
            .collect()
    }

    /// The dispositions, one word each with the minute.
    pub fn dispositions(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (at, decided) in &self.decided {
            for judged in &decided.recipients {
                let word = match &judged.disposition {
                    Disposition::Delivered(_) => "delivered".to_owned(),
                    Disposition::TryAgain {
                        delay_notice: true, ..
                    } => "delayed".to_owned(),
                    Disposition::TryAgain { .. } => "again".to_owned(),
                    Disposition::GiveUp(end) => {
                        let why = if end.expired { "expired" } else { "failed" };
                        format!("{why} {}", end.reason().status())
                    }
                    Disposition::Badmail(_) => "badmail".to_owned(),
                    Disposition::Dropped(_) => "dropped".to_owned(),
                };
                words.push(format!("{} {word}", at.since(START).as_secs() / 60));
            }
        }
        words
    }
}
