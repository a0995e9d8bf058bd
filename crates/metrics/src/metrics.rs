use std::sync::Arc;
use std::time::Duration;

use ::route::Site;
use admission::Reaction;
use engine::dispatch::Fact;
use engine::{Acceptance, Report, TurnedAway};
use mail::{Client, Outcome};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use reception::SessionFact;
use relay_policy::Greylisted;
use screening::{Finding, Matched};

use crate::DnsAnswer;
use crate::each::{Counters, Labels, Table, counters, observe};
use crate::listener::{ListenerCounters, ListenerFamilies};
use crate::page::{self, Format};
use crate::relay::RelayCounters;
use crate::route::{self, RouteCounters, RouteFamilies};
use crate::scanner::{ScannerCounters, ScannerFamilies};
use crate::snapshot::Snapshot;
use crate::words::{
    AskedBy, AtConsole, AtTheDoor, Fate, Group, Met, NotForThem, NotTaken, Ordered, PickedUp,
};
use crate::words::{SignIn, Tried, Version};

/// The label by which rules of screening are told apart: a rule's name.
const SCREEN: &str = "screen";

/// Counts what happens. To be asked from any thread, and quick.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    relay: RelayCounters,
    listener_families: ListenerFamilies,
    listeners: Table<ListenerCounters>,
    route_families: RouteFamilies,
    routes: Table<RouteCounters>,
    screen_families: Counters,
    screens: Table<Counter>,
    scanner_families: ScannerFamilies,
    scanners: Table<ScannerCounters>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let metrics = Self {
            listener_families: ListenerFamilies::register(&mut registry),
            route_families: RouteFamilies::register(&mut registry),
            relay: RelayCounters::register(&mut registry),
            screen_families: counters(
                &mut registry,
                "gatepost_messages_screened",
                "Messages that a rule of screening matched, those that only try included",
            ),
            screens: Table::default(),
            scanner_families: ScannerFamilies::register(&mut registry),
            scanners: Table::default(),
            listeners: Table::default(),
            routes: Table::default(),
            registry,
        };
        metrics.know_routes(route::CLASSES.into_iter().map(Arc::from));
        metrics
    }
}

impl Metrics {
    /// Begins to count for these listeners and routes (`route:isp`), each series at 0. What is
    /// known already goes on.
    pub fn know(
        &self,
        listeners: impl Iterator<Item = Arc<str>>,
        routes: impl Iterator<Item = Arc<str>>,
    ) {
        let make = |name: &str| ListenerCounters::new(&self.listener_families, name);
        self.listeners.know(listeners, make);
        self.know_routes(routes);
    }

    /// Begins to count for these rules of screening.
    pub fn know_screens(&self, names: impl Iterator<Item = Arc<str>>) {
        self.screens.know(names, |name| {
            let labels: Labels = vec![(SCREEN, name.into())];
            self.screen_families.get_or_create_owned(&labels)
        });
    }

    /// Begins to count for these scanners.
    pub fn know_scanners(&self, names: impl Iterator<Item = Arc<str>>) {
        let make = |name: &str| ScannerCounters::new(&self.scanner_families, name);
        self.scanners.know(names, make);
    }

    fn know_routes(&self, routes: impl Iterator<Item = Arc<str>>) {
        let make = |name: &str| RouteCounters::new(&self.route_families, name);
        self.routes.know(routes, make);
    }

    fn listener(&self, client: &Client, count: impl FnOnce(&ListenerCounters)) {
        self.listeners.count(&client.listener, count);
    }

    fn route(&self, site: &Site, count: impl FnOnce(&RouteCounters)) {
        let class = route::class(&site.name, |name| self.routes.knows(name));
        self.routes.count(class, count);
    }

    /// A client connected.
    pub fn connected(&self, client: &Client) {
        self.listener(client, |of| {
            of.connections.inc();
        });
    }

    /// It is turned away in place of the greeting.
    pub fn turned_away(&self, client: &Client, why: &TurnedAway) {
        self.listener(client, |of| of.turned_away.inc(AtTheDoor::from(why)));
    }

    /// No encryption came about with it.
    pub fn handshake_failed(&self, client: &Client) {
        self.listener(client, |of| {
            of.handshakes_failed.inc();
        });
    }

    /// What happened in its session.
    pub fn session(&self, client: &Client, fact: &SessionFact) {
        self.listener(client, |of| match fact {
            SessionFact::RefusedRecipient(refused) => {
                of.recipients_refused.inc(NotForThem::from(&**refused));
            }
            SessionFact::RefusedFor(_) => of.recipients_refused.inc(NotForThem::Content),
            SessionFact::RefusedMessage(refused) => {
                of.messages_refused.inc(NotTaken::from(&**refused));
            }
            SessionFact::Complaint(_) => {
                of.complaints.inc();
            }
            SessionFact::Encrypted(tls) => {
                of.tls_sessions.inc(Version::from(tls));
                self.relay.groups.inc(Group::from(tls));
                self.relay.handshakes.inc(tls.handshake);
            }
            SessionFact::SignedIn(_) => of.sign_ins.inc(SignIn::Succeeded),
            SessionFact::SignInFailed(failed) => of.sign_ins.inc(SignIn::from(failed)),
            SessionFact::AskedForMail(verb, _) => self.asked_for(*verb),
            SessionFact::Ended(summary) => {
                of.ends.inc(summary.end);
                of.commands.inc_by(u64::from(summary.commands));
            }
            // Counted by `accepted`, which comes first.
            SessionFact::Accepted(_) => {}
        });
    }

    /// A rule of screening matched a message.
    pub fn screened(&self, matched: &Matched) {
        self.screens.count(&matched.name, |of| {
            of.inc();
        });
    }

    /// What a scanner came to of a message, and after what time, where it was asked.
    pub fn scanned(&self, scanner: &str, finding: &Finding, took: Option<Duration>) {
        self.scanners.count(scanner, |of| {
            for class in &finding.classes {
                of.results.inc(*class);
            }
            if let Some(took) = took {
                of.times.observe(took.as_secs_f64());
            }
        });
    }

    /// Its session is over, which had a greeting, and lasted so long.
    pub fn session_over(&self, client: &Client, lasted: Duration) {
        self.listener(client, |of| of.lengths.observe(lasted.as_secs_f64()));
    }

    /// A message is on stable storage.
    pub fn accepted(&self, acceptance: &Acceptance) {
        let (message, recipients) = (&acceptance.message.message, &acceptance.message.recipients);
        self.relay.sizes.observe(message.size as f64);
        self.listener(&acceptance.client, |of| {
            of.messages.inc();
            of.octets.inc_by(message.size);
            for recipient in recipients {
                of.recipients.inc(recipient.admitted.grounds());
            }
        });
    }

    /// A message is one of those with which somebody sends too much.
    pub fn sent_too_much(&self, reaction: Reaction) {
        self.relay.too_much.inc(reaction);
    }

    /// What greylisting made of a recipient.
    pub fn greylisted(&self, greylisted: &Greylisted) {
        self.relay.greylisted.inc(Met::from(greylisted));
    }

    /// Somebody came in at the console, or was refused.
    pub fn at_console(&self, how: AtConsole) {
        self.relay.at_console.inc(how);
    }

    /// What one attempt did.
    pub fn attempt(&self, report: &Report) {
        let id = report.job.message.id;
        self.route(&report.site, |of| {
            let results = &report.ended.results;
            for (_, outcome) in results {
                of.recipients.inc(Tried::from(outcome));
            }
            let delivered = |outcome: &Outcome| matches!(outcome, Outcome::Delivered(_));
            if results.iter().any(|(_, outcome)| delivered(outcome)) {
                of.messages.inc();
                of.octets.inc_by(report.job.message.size);
                observe(&of.in_queue, report.age, id);
            }
            if report.unknown {
                of.unconfirmed.inc();
            }
            if let Some(assurance) = report.assurance {
                of.assurance.inc(assurance);
            }
            if let Some(took) = report.connecting {
                observe(&of.connecting, took, id);
            }
            if let Some(took) = report.answering {
                observe(&of.answering, took, id);
            }
        });
    }

    /// A host was of no use, before the next one of the site is tried.
    pub fn host_failed(&self, site: &Site) {
        self.route(site, |of| {
            of.hosts_failed.inc();
        });
    }

    /// What became of the outcomes of attempts.
    pub fn dispatched(&self, fact: &Fact) {
        match fact {
            Fact::Settled { decided, .. } => {
                let all = decided.recipients.iter();
                for fate in all.filter_map(|judged| Fate::of(&judged.disposition)) {
                    self.relay.fates.inc(fate);
                }
            }
            Fact::Notice { .. } => {
                self.relay.notices.inc();
            }
            Fact::Shortened(_)
            | Fact::Untold(_)
            | Fact::Unreadable(..)
            | Fact::NotComposed(_)
            | Fact::Occurred(_)
            | Fact::NotSettled(..)
            | Fact::NoticesCutOff => {}
        }
    }

    /// So many recipients that were badmail or in quarantine are kept no longer.
    pub fn kept_no_longer(&self, recipients: usize) {
        for _ in 0..recipients {
            self.relay.fates.inc(Fate::Dropped);
        }
    }

    /// The message of a file of the pickup directory was accepted.
    pub fn picked_up(&self) {
        self.relay.pickup.inc(PickedUp::Accepted);
    }

    /// An order of a certificate by ACME has ended.
    pub fn certificate_ordered(&self, is_issued: bool) {
        let ended = if is_issued {
            Ordered::Issued
        } else {
            Ordered::Failed
        };
        self.relay.ordered.inc(ended);
    }

    /// A file of the pickup directory is tried again.
    pub fn pickup_postponed(&self) {
        self.relay.pickup.inc(PickedUp::Postponed);
    }

    /// So many files of the pickup directory lie among the bad ones now.
    pub fn pickup_refused(&self, files: u64) {
        for _ in 0..files {
            self.relay.pickup.inc(PickedUp::Refused);
        }
    }

    /// Name servers were asked a question, and it took so long.
    pub fn asked_dns(&self, answer: DnsAnswer, took: Duration) {
        self.relay.dns.inc(answer);
        self.relay.dns_times.observe(took.as_secs_f64());
    }

    /// A transaction of the spool took so long.
    pub fn committed(&self, took: Duration) {
        self.relay.commits.observe(took.as_secs_f64());
    }

    fn asked_for(&self, verb: smtp::Verb) {
        match verb {
            smtp::Verb::Atrn => self.relay.asked_for.inc(AskedBy::Atrn),
            _ => self.relay.asked_for.inc(AskedBy::Etrn),
        }
    }

    /// What was counted, and what is so at this moment, as a page.
    pub fn page(&self, format: Format, now: &Snapshot) -> String {
        let mut at_this_moment = Registry::default();
        let class = |site| route::class(site, |name| self.routes.knows(name));
        now.register(
            &mut at_this_moment,
            &self.listeners.names(),
            &self.routes.names(),
            class,
        );
        page::written(format, &[&self.registry, &at_this_moment])
    }
}
