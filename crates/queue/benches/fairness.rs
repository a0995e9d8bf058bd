//! How long fresh mail waits beside one site with a backlog, in virtual time: the queue manager with
//! and without that backlog, and the algorithm of Postfix's queue manager as SCHEDULER_README and
//! QSHAPE_README describe it, played on the same load. It exits with 1 where ours is worse in the
//! worst wait or in Jain's index.
//!
//! `cargo bench -p queue --bench fairness`

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::process::ExitCode;
use std::time::Duration;

use harness::{Harness, START, by_mx, exact};
use mail::{QueueId, Timestamp};
use queue::Settings;

/// Sites that get mail.
const SITES: usize = 5_000;
/// Connections at one time: Postfix's `default_process_limit`.
const CONNECTIONS: usize = 100;
/// Of these so many to one site: Postfix's `default_destination_concurrency_limit`.
const PER_SITE: usize = 20;
/// With so many a site begins: Postfix's `initial_destination_concurrency`.
const PER_SITE_FIRST: usize = 5;
/// Messages in memory: Postfix's `qmgr_message_active_limit`.
const ACTIVE: usize = 20_000;
/// How long the delivery of a message takes, which is one slot.
const SLOT: Duration = Duration::from_millis(500);
/// How long it is looked at.
const SPAN: Duration = Duration::from_secs(120);

/// What comes.
struct Load {
    words: &'static str,
    /// Messages for the first of the sites, all at once.
    backlog: usize,
    /// The others get a message each in this time.
    fresh_every: Duration,
}

const LOADS: [Load; 3] = [
    Load {
        words: "connections for all",
        backlog: 100_000,
        fresh_every: Duration::from_secs(60),
    },
    Load {
        words: "too few connections",
        backlog: 100_000,
        fresh_every: Duration::from_secs(30),
    },
    Load {
        words: "too few connections, and all fits in memory",
        backlog: 15_000,
        fresh_every: Duration::from_secs(30),
    },
];

/// A message: when it comes, and for which site.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    at: Duration,
    site: usize,
}

fn main() -> ExitCode {
    println!(
        "{SITES} sites; {CONNECTIONS} connections, {PER_SITE} to a site; a delivery takes {} ms, \
         which is a slot; {} s",
        SLOT.as_millis(),
        SPAN.as_secs()
    );
    // All of them are played, whatever the first comes to.
    match LOADS.iter().filter(|load| !compare(load)).count() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Whether Gatepost is no worse.
fn compare(load: &Load) -> bool {
    let fresh = load.arrivals();
    let mut all = vec![
        Arrival {
            at: Duration::ZERO,
            site: 0,
        };
        load.backlog
    ];
    all.extend(&fresh);
    println!(
        "\n{}: {} messages for one site, a message in {} s for each other",
        load.words,
        load.backlog,
        load.fresh_every.as_secs()
    );
    println!(
        "{:<34}{:>10}{:>10}{:>12}",
        "", "gatepost", "postfix", "no backlog"
    );
    let (ours, theirs, alone) = (gatepost(&all), postfix(&all), gatepost(&fresh));
    let rows: [Row; 6] = [
        ("worst wait of fresh mail, slots", |of| of.worst),
        ("99th percentile, slots", |of| of.percentile_99),
        ("mean, slots", |of| of.mean),
        ("fresh mail begun, of 1", |of| of.begun),
        ("Jain index over the other sites", |of| of.jain),
        ("messages per second to the one", |of| of.to_the_one),
    ];
    for (words, figure) in rows {
        let (ours, theirs, alone) = (figure(&ours), figure(&theirs), figure(&alone));
        println!("{words:<34}{ours:>10.3}{theirs:>10.3}{alone:>12.3}");
    }
    let judged = [
        ("worst wait", ours.worst <= theirs.worst),
        ("Jain index", ours.jain >= theirs.jain),
    ];
    for (words, holds) in judged {
        let answer = if holds { "yes" } else { "NO" };
        println!("{words} no worse than Postfix's: {answer}");
    }
    judged.iter().all(|(_, holds)| *holds)
}

impl Load {
    /// Fresh mail in the order in which it comes.
    fn arrivals(&self) -> Vec<Arrival> {
        let others = SITES - 1;
        let step = self.fresh_every / u32::try_from(others).unwrap_or(u32::MAX);
        let mut all = Vec::new();
        let mut now = step;
        while now < SPAN {
            // Neighbours in time are no neighbours in the table.
            let site = 1 + all.len() * 1_009 % others;
            all.push(Arrival { at: now, site });
            now += step;
        }
        all
    }
}

/// When each arrival was begun to be delivered, as far as it was.
fn gatepost(arrivals: &[Arrival]) -> Figures {
    let settings = Settings {
        connections_max: CONNECTIONS as u32,
        site_connections_max: PER_SITE as u32,
        ready_max: ACTIVE,
        // Of this load everything is of one kind.
        reserved_percent: 0,
        ..exact()
    };
    let mut world = Harness::new(settings, by_mx());
    world.latency = SLOT;
    for (number, arrival) in arrivals.iter().enumerate() {
        let wait = (START + arrival.at).since(world.now);
        world.run(wait);
        let to = format!("bob@site{}.test", arrival.site);
        world.store(number as u128, "ann@sender.example", &[&to]);
    }
    world.run((START + SPAN).since(world.now));
    let begun: HashMap<QueueId, Timestamp> = world
        .sent
        .iter()
        .rev()
        .map(|(at, (id, _), _)| (*id, *at))
        .collect();
    let begun = (0..arrivals.len()).map(|number| {
        let at = begun.get(&harness::id(number as u128))?;
        Some(at.since(START))
    });
    Figures::of(arrivals, &begun.collect::<Vec<_>>())
}

/// Messages enter the active queue in the order in which they come, while it has room. Of those in
/// it the first goes out whose destination is below its limit, which begins low and rises by one
/// with each delivery (`default_destination_concurrency_positive_feedback`). No destination fails,
/// so that no limit falls.
///
/// That jobs preempt others is left out, as it cannot happen here: a job earns a slot for others by
/// five of its own recipients (`default_delivery_slot_cost`), and one that can never earn three
/// (`default_minimum_delivery_slots`) is not preempted at all, whatever is lent to it
/// (`default_delivery_slot_loan`, `_discount`). These have a recipient each; so it is that a
/// job has one destination, and there is nobody to go round.
fn postfix(arrivals: &[Arrival]) -> Figures {
    let mut play = Played {
        by_site: HashMap::new(),
        open: BTreeMap::new(),
        busy: HashMap::new(),
        limits: HashMap::new(),
        ends: VecDeque::new(),
        active: 0,
        begun: vec![None; arrivals.len()],
    };
    let (mut incoming, mut arrived) = (VecDeque::new(), 0);
    let mut now = Duration::ZERO;
    while now < SPAN {
        while arrivals.get(arrived).is_some_and(|next| next.at <= now) {
            incoming.push_back(arrived);
            arrived += 1;
        }
        play.end(now);
        while play.active < ACTIVE
            && let Some(number) = incoming.pop_front()
        {
            play.enter(number, arrivals[number].site);
        }
        play.begin(now);
        let next_arrival = arrivals.get(arrived).map(|next| next.at);
        let next_end = play.ends.front().map(|(at, _)| *at);
        now = [next_arrival, next_end]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(SPAN);
    }
    Figures::of(arrivals, &play.begun)
}

/// The active queue.
struct Played {
    /// Messages that wait, in order.
    by_site: HashMap<usize, VecDeque<usize>>,
    /// The first message of each site that may have another connection.
    open: BTreeMap<usize, usize>,
    /// Connections.
    busy: HashMap<usize, usize>,
    /// How many connections a site may have by now, where that is not what it begins with.
    limits: HashMap<usize, usize>,
    /// When they end: all take the same time.
    ends: VecDeque<(Duration, usize)>,
    active: usize,
    begun: Vec<Option<Duration>>,
}

impl Played {
    fn enter(&mut self, number: usize, site: usize) {
        self.active += 1;
        self.by_site.entry(site).or_default().push_back(number);
        self.look_at(site);
    }

    fn look_at(&mut self, site: usize) {
        let limit = self.limits.get(&site).copied().unwrap_or(PER_SITE_FIRST);
        let has_room = self.busy.get(&site).is_none_or(|busy| *busy < limit);
        if let Some(first) = self.by_site.get(&site).and_then(|waiting| waiting.front())
            && has_room
        {
            self.open.insert(*first, site);
        }
    }

    fn begin(&mut self, now: Duration) {
        while self.ends.len() < CONNECTIONS
            && let Some((number, site)) = self.open.pop_first()
        {
            self.begun[number] = Some(now);
            self.ends.push_back((now + SLOT, site));
            *self.busy.entry(site).or_default() += 1;
            if let Some(waiting) = self.by_site.get_mut(&site) {
                waiting.pop_front();
            }
            self.look_at(site);
        }
    }

    fn end(&mut self, now: Duration) {
        while let Some((_, site)) = self.ends.pop_front_if(|(at, _)| *at <= now) {
            self.active -= 1;
            if let Some(busy) = self.busy.get_mut(&site) {
                *busy -= 1;
            }
            let limit = self.limits.entry(site).or_insert(PER_SITE_FIRST);
            *limit = PER_SITE.min(*limit + 1);
            self.look_at(site);
        }
    }
}

/// A line of the table.
type Row = (&'static str, fn(&Figures) -> f64);

/// Waits in slots.
struct Figures {
    worst: f64,
    percentile_99: f64,
    mean: f64,
    begun: f64,
    jain: f64,
    to_the_one: f64,
}

impl Figures {
    /// What had not begun by the end waited until then, at least.
    fn of(arrivals: &[Arrival], begun: &[Option<Duration>]) -> Self {
        let (mut waits, mut by_site) = (Vec::new(), vec![(0.0, 0.0); SITES]);
        let mut to_the_one = 0.0;
        for (arrival, begun) in arrivals.iter().zip(begun) {
            if arrival.site == 0 {
                to_the_one += f64::from(u8::from(begun.is_some()));
                continue;
            }
            let wait = begun.unwrap_or(SPAN).saturating_sub(arrival.at);
            waits.push(wait.as_secs_f64() / SLOT.as_secs_f64());
            let (offered, taken) = &mut by_site[arrival.site];
            *offered += 1.0;
            *taken += f64::from(u8::from(begun.is_some()));
        }
        waits.sort_by(f64::total_cmp);
        let count = waits.len() as f64;
        let shares = by_site.iter().filter(|(offered, _)| *offered > 0.0);
        let shares: Vec<f64> = shares.map(|(offered, taken)| taken / offered).collect();
        let (sum, squares): (f64, f64) = (
            shares.iter().sum(),
            shares.iter().map(|share| share * share).sum(),
        );
        let taken: f64 = by_site.iter().map(|(_, taken)| taken).sum();
        Self {
            worst: waits.last().copied().unwrap_or_default(),
            percentile_99: waits[(waits.len() - 1) * 99 / 100],
            mean: waits.iter().sum::<f64>() / count,
            begun: taken / count,
            // With nothing taken everybody is served alike, and badly.
            jain: sum * sum / (shares.len() as f64 * squares).max(f64::MIN_POSITIVE),
            to_the_one: to_the_one / SPAN.as_secs_f64(),
        }
    }
}
