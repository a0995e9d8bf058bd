//! The queue where everything takes its own time: no recipient is ever with two agents,
//! none goes out after it was delivered, and none is forgotten.

mod harness;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use harness::{
    Disk, Key, START, by_mx, by_senders, by_smart_host, deferred, delivered, failed, filed, message,
};
use mail::{Outcome, Scope, Timestamp};
use proptest::prelude::*;
use queue::{Action, AgentId, Decided, Event, Job, JobReport, Queue, Reach, Settings, SiteHost};
use route::Routes;
use spool::{DuePage, Filed, Message, Page, Pause, Recipient, Waiting, Wanted};

enum Write {
    Store(Arc<Message>, Vec<Recipient>),
    Settle(Arc<Decided>),
    File(Vec<Filed>),
}

/// Routes that reloads bring, one after the other.
fn routes(which: u8) -> Arc<Routes> {
    match which % 6 {
        0 => by_mx(),
        1 => by_smart_host(),
        2 => by_senders(&[("brand.example", "[192.0.2.1]")]),
        3 => by_senders(&[
            ("brand.example", "[192.0.2.2]"),
            ("ann@sender.example", "mx"),
        ]),
        4 => by_senders(&[("*", "[192.0.2.1]"), ("bob@brand.example", "[192.0.2.2]")]),
        _ => by_senders(&[
            ("bob@brand.example", "mx"),
            ("sender.example", "[192.0.2.2]"),
        ]),
    }
}

/// Nothing answers by itself: each step picks what happens next.
struct Slow {
    queue: Queue,
    now: Timestamp,
    disk: Disk,
    writes: VecDeque<Write>,
    /// Answers of the spool's one writer come in its order.
    written: VecDeque<Event>,
    loads: Vec<(Arc<str>, Wanted, Option<DuePage>)>,
    /// A page of all there is, once it is read.
    walk: Option<(Page, Option<Vec<Waiting>>)>,
    routes: Arc<Routes>,
    /// By which sessions file that began before a reload.
    old_routes: Arc<Routes>,
    busy: BTreeMap<AgentId, Job>,
    leaving: Vec<AgentId>,
    active: BTreeSet<Key>,
    delivered: BTreeSet<Key>,
    deleted: BTreeSet<Key>,
    stored: u128,
    settings: Settings,
}

impl Slow {
    fn new() -> Self {
        let settings = Settings {
            site_connections_max: 2,
            connections_max: 4,
            messages_per_connection: 3,
            ready_per_site_max: 4,
            ready_max: 12,
            load_batch: 3,
            ..Settings::default()
        };
        Self {
            queue: Queue::new(settings.clone(), by_mx()),
            now: START,
            disk: Disk::default(),
            writes: VecDeque::new(),
            written: VecDeque::new(),
            loads: Vec::new(),
            walk: None,
            routes: by_mx(),
            old_routes: by_mx(),
            busy: BTreeMap::new(),
            leaving: Vec::new(),
            active: BTreeSet::new(),
            delivered: BTreeSet::new(),
            deleted: BTreeSet::new(),
            stored: 0,
            settings,
        }
    }

    fn event(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.queue.handle(self.now, event, &mut actions);
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Load { host, wanted } => self.loads.push((host, wanted, None)),
                Action::LoadFiled(page) => assert!(self.walk.replace((page, None)).is_none()),
                Action::File(filed) => self.writes.push_back(Write::File(filed)),
                // Nobody bounces here.
                Action::LoadBouncing(_) => {}
                Action::Hire { agent, job } => {
                    assert!(!self.leaving.contains(&agent));
                    self.begin(agent, job);
                }
                Action::Give { agent, job } => self.begin(agent, job),
                Action::Dismiss { agent } => {
                    assert!(!self.busy.contains_key(&agent));
                    self.leaving.push(agent);
                }
                // It ends as every job does, in its own time.
                Action::Hurry { .. } | Action::Log(_) => {}
                Action::Settle(decided) => self.writes.push_back(Write::Settle(decided)),
            }
        }
        let counts = self.queue.counts();
        assert!(
            // What was turned away comes back beyond the limit.
            counts.agents <= 4 && counts.ready <= 12 + 3 * 3 + 4,
            "{counts:?}"
        );
    }

    fn begin(&mut self, agent: AgentId, job: Job) {
        assert!(!job.recipients.is_empty());
        for r in &job.recipients {
            let key = (job.message.id, r.number);
            assert!(self.active.insert(key), "with two agents");
            assert!(
                !self.delivered.contains(&key),
                "sent after it was delivered"
            );
            assert!(!self.deleted.contains(&key), "sent after it was deleted");
        }
        assert!(self.busy.insert(agent, job).is_none());
    }

    fn end(&mut self, which: usize, say: u8) {
        let Some((&agent, _)) = self.busy.iter().nth(which % self.busy.len().max(1)) else {
            return;
        };
        let Some(job) = self.busy.remove(&agent) else {
            return;
        };
        let outcome = |n: u32| match (say, (u32::from(say) + n) % 5) {
            (0..=2, _) => deferred(Scope::Site),
            (_, 0) => failed(),
            (_, 1) => deferred(Scope::Recipient),
            (_, _) => delivered(),
        };
        let mut results = Vec::new();
        for r in &job.recipients {
            let key = (job.message.id, r.number);
            self.active.remove(&key);
            let outcome = outcome(r.number);
            if matches!(outcome, Outcome::Delivered(_)) && say != 15 {
                self.delivered.insert(key);
            }
            results.push((r.number, outcome));
        }
        if say == 15 {
            self.event(Event::AgentGone { agent });
        } else {
            self.event(Event::JobEnded {
                agent,
                report: JobReport {
                    results,
                    reach: match say {
                        0..=3 => Reach::BeforeMail,
                        4 => Reach::AfterMail,
                        _ => Reach::ToTheEnd,
                    },
                    reusable: say % 4 != 3,
                    dsn_passed: Vec::new(),
                },
            });
        }
    }

    fn let_in(&mut self, which: usize) {
        if let Some((&agent, _)) = self.busy.iter().nth(which % self.busy.len().max(1)) {
            let host = SiteHost {
                site: "mx:any.test".into(),
                address: std::net::SocketAddr::from(([192, 0, 2, 1], 25)).into(),
            };
            self.event(Event::Begun { agent, host });
        }
    }

    fn store(&mut self, hosts: u8) {
        self.stored += 1;
        let address = |n| format!("r{n}@h{}.one", (hosts / 3 + n) % 4);
        let addresses: Vec<String> = (0..=hosts % 3).map(address).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let sender = [
            "ann@sender.example",
            "bob@brand.example",
            "eve@brand.example",
        ];
        let sender = sender[usize::from(hosts / 12) % 3];
        let (message, recipients) = message(self.stored, sender, self.now, &addresses);
        let routes = match hosts % 7 {
            0 => &self.old_routes,
            _ => &self.routes,
        };
        let recipients = filed(&message, recipients, routes);
        self.writes.push_back(Write::Store(message, recipients));
    }

    fn write(&mut self, ok: bool) {
        match self.writes.pop_front() {
            Some(Write::Store(message, recipients)) => {
                self.disk.store(&message, &recipients);
                self.written.push_back(Event::Stored {
                    message,
                    recipients,
                    content: None,
                });
            }
            Some(Write::Settle(decided)) => {
                if ok {
                    self.disk.settle(&decided);
                }
                let (id, numbers) = (decided.message.id, decided.numbers());
                self.written.push_back(Event::Settled { id, numbers, ok });
            }
            Some(Write::File(filed)) => {
                if ok {
                    self.disk.file(&filed);
                }
                self.written.push_back(Event::Filed { ok });
            }
            None => {}
        }
    }

    fn read(&mut self, which: usize) {
        let n = which % self.loads.len().max(1);
        if let Some((host, wanted, page @ None)) = self.loads.get_mut(n) {
            *page = Some(self.disk.due(host, wanted));
        }
    }

    /// The walk through all there is goes on: a page is read, or its answer arrives.
    fn walk(&mut self) {
        match self.walk.take() {
            Some((page, None)) => self.walk = Some((page, Some(self.disk.all(page)))),
            Some((_, Some(all))) => self.event(Event::FiledLoaded { result: Ok(all) }),
            None => {}
        }
    }

    /// An operator pauses some of the sites, or none.
    fn pause(&mut self, which: u8) {
        let sites = [
            "[192.0.2.1]:25",
            "[192.0.2.2]:25",
            "mx:h0.one",
            "[192.0.2.7]:25",
        ];
        let sites = sites.into_iter().enumerate();
        let paused = sites.filter(|(n, _)| which & (1 << n) != 0);
        let pause = |(_, site): (usize, &str)| Pause {
            site: Some(site.into()),
            by: "root".into(),
            since: self.now,
            until: None,
            reason: None,
        };
        let pauses = paused.map(pause).collect();
        self.event(Event::Paused { pauses });
    }

    fn answer(&mut self, which: usize) {
        let Some(n) = self.loads.iter().position(|load| load.2.is_some()) else {
            return;
        };
        let n = (n..self.loads.len())
            .filter(|i| self.loads[*i].2.is_some())
            .nth(which)
            .unwrap_or(n);
        if let (host, _, Some(page)) = self.loads.remove(n) {
            self.event(Event::Loaded {
                host,
                result: Ok(page),
            });
        }
    }

    fn tick(&mut self) {
        self.now = self.now.max(self.queue.deadline().unwrap_or(self.now));
        let mut actions = Vec::new();
        self.queue.on_tick(self.now, &mut actions);
        self.act(actions);
    }

    /// An operator's bulk verb; sometimes it deletes what no agent has.
    fn change(&mut self, which: usize) {
        let keys = self
            .disk
            .messages
            .iter()
            .flat_map(|(id, (_, r))| r.keys().map(|n| (*id, *n)));
        let keys: Vec<Key> = keys.filter(|key| !self.active.contains(key)).collect();
        if self.written.is_empty() && which.is_multiple_of(2) {
            for key in keys.into_iter().skip(which % 5).take(4) {
                self.disk.forget(key);
                self.deleted.insert(key);
            }
        }
        let domains = self.disk.domains();
        self.event(Event::Changed { domains });
    }

    /// An operation withholds some of what is there, or was stopped and withholds nothing.
    fn withhold(&mut self, which: usize) {
        if which.is_multiple_of(3) {
            self.disk.withheld.clear();
            let domains = self.disk.domains();
            self.event(Event::MoreDue { domains });
        } else {
            let ids = self.disk.messages.keys().skip(which % 5).take(which % 16);
            self.disk.withheld.extend(ids);
            self.written.push_back(Event::Withheld);
        }
    }

    fn step(&mut self, kind: u8, a: u8) {
        let which = usize::from(a);
        match kind {
            0..=2 => self.store(a),
            3..=5 => self.write(!a.is_multiple_of(16)),
            6..=8 => {
                if let Some(event) = self.written.pop_front() {
                    self.event(event);
                }
            }
            9..=11 => self.read(which),
            12..=13 => self.answer(which),
            14..=17 => self.end(which, a % 16),
            18 => {
                if let Some(agent) = self.leaving.pop() {
                    self.event(Event::AgentGone { agent });
                }
            }
            19..=20 => self.tick(),
            21 => self.now = self.now + Duration::from_millis(u64::from(a) * 50),
            22 if a < 60 => {
                let routes = routes(a);
                self.old_routes = std::mem::replace(&mut self.routes, Arc::clone(&routes));
                self.event(Event::Reloaded(routes, Box::new(self.settings.clone())));
            }
            23 if a < 120 => self.change(which),
            24..=25 => self.let_in(which),
            26..=28 => self.walk(),
            29 => self.pause(a % 16),
            30 => self.withhold(which),
            _ => {}
        }
    }

    /// From now on everything works: in the end nobody waits.
    fn settle_down(&mut self) {
        self.pause(0);
        self.withhold(0);
        for _ in 0..20_000 {
            while !self.writes.is_empty() {
                self.write(true);
            }
            while let Some(event) = self.written.pop_front() {
                self.event(event);
            }
            let mut pages = 0;
            while !self.loads.is_empty() {
                pages += 1;
                assert!(pages < 5000, "the spool is asked without end");
                self.read(0);
                self.answer(0);
            }
            while self.walk.is_some() {
                self.walk();
            }
            while let Some(agent) = self.leaving.pop() {
                self.event(Event::AgentGone { agent });
            }
            while !self.busy.is_empty() {
                self.end(0, 5);
            }
            if self.writes.is_empty() && self.queue.deadline().is_none() {
                return;
            }
            self.tick();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 1000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_recipient_twice_and_none_forgotten(
        steps in prop::collection::vec((0u8..31, any::<u8>()), 0..400),
    ) {
        let mut slow = Slow::new();
        for (kind, a) in steps {
            slow.step(kind, a);
        }
        slow.settle_down();
        prop_assert_eq!(slow.disk.waiting(), 0);
        prop_assert_eq!(slow.queue.counts(), queue::Counts::default());
        prop_assert_eq!(slow.queue.counts().sites, 0);
    }
}
