//! The local store on a disk that loses what a failed sync covered: whatever goes wrong with the
//! log, the database, a body file or a directory, and whenever the power is cut then, everything
//! that was acknowledged is there.

mod lossy;
mod sample;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use filter::Filter;
use lossy::{Chance, Cut, Failing, Fault, Held, Lossy, Target, WAIT_MAX};
use rusqlite::Connection;
use sample::{Scratch, assert_counts, content, done, id, message, open};
use spool::{Body, Change, Commit, Content, Health, Local, LocalOptions, NewMessage, Page, Spool};

const DIRECTORY: &str = "GATEPOST_TEST_SPOOL";
const FIRST: &str = "GATEPOST_TEST_FIRST";
const INLINE: &str = "GATEPOST_TEST_INLINE";
const DIES: &str = "GATEPOST_TEST_DIES";

/// Messages of one step of a worker, and of all its steps in one round.
const PER_STEP: u64 = 4;
const STEPS: u64 = 24;
const LARGE: usize = 80_000;
/// Octets of those that share a file.
const SHARED: usize = 20_000;
/// Octets of small messages with which the store copies the log while it is written.
const CHECKPOINTING: usize = 16_000;
/// Steps after which what is settled counts as old.
const OLD: usize = 6;

fn variable(name: &str) -> String {
    std::env::var(name).expect("run by another test")
}

/// A process that stores and settles, a step whenever it is told to go on, and heals what fails or
/// dies of it.
struct Worker {
    child: Child,
    orders: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Worker {
    fn start(directory: &Path, first: u64, plan: &Plan) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "--nocapture", "stores_and_settles"])
            .env(DIRECTORY, directory)
            .env(FIRST, first.to_string())
            .env(INLINE, plan.inline.to_string())
            .env(DIES, plan.dies.to_string());
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        Self {
            orders: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// One step; false when the worker has died of it.
    fn step(&mut self, told: &mut Told) -> bool {
        if self.orders.write_all(b"go\n").is_err() {
            return false;
        }
        for line in self.lines.by_ref().lines() {
            match line.unwrap().split_once(' ') {
                Some(("step", "")) => return true,
                Some((word, n)) => told.take(word, n),
                None => {}
            }
        }
        false
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// What was acknowledged.
#[derive(Clone, Default)]
struct Told {
    stored: BTreeSet<u64>,
    settled: BTreeSet<u64>,
    /// Being settled, the answer is not known.
    unsure: BTreeSet<u64>,
}

impl Told {
    fn take(&mut self, word: &str, n: &str) {
        let Ok(n) = n.parse() else { return };
        match word {
            "stored" => drop(self.stored.insert(n)),
            "settling" => drop(self.unsure.insert(n)),
            "settled" => drop(self.settled.insert(n)),
            _ => {}
        }
    }

    /// Holds what a cut has left against it. `later`: what had become of a step that was under way.
    fn check(&self, later: &Self, directory: &Path, inline: usize) {
        let spool = open(directory);
        let page = Page {
            after: None,
            limit: 1_000_000,
        };
        let found = spool.find(&Filter::everything(), page).unwrap();
        let found: BTreeSet<_> = found.iter().map(|waiting| waiting.message.id).collect();
        for n in self.stored.difference(&later.unsure) {
            assert!(found.contains(&id(*n)), "message {n} was lost");
        }
        // What was not acknowledged is whole, too, or not there.
        for n in found.iter().map(|id| number(*id)) {
            let is_whole = is_whole(&spool, n, octets(n, inline));
            assert!(is_whole, "message {n} is another");
        }
        for n in &self.settled {
            assert!(!found.contains(&id(*n)), "message {n} came back");
        }
        assert_eq!(spool.health(), Health::Accepting);
        assert_counts(&spool);
        drop(spool);
        let connection = Connection::open(directory.join("spool.db")).unwrap();
        let verdict: String = connection
            .query_row("PRAGMA integrity_check", (), |row| row.get(0))
            .unwrap();
        assert_eq!(verdict, "ok");
    }
}

/// Whether the content of message `n` is what was stored.
fn is_whole(spool: &Local, n: u64, octets: usize) -> bool {
    let mut read = Vec::new();
    match spool.body(id(n)).unwrap().unwrap() {
        Body::Memory(bytes) => read.extend_from_slice(&bytes),
        Body::Stream(mut stream) => drop(stream.read_to_end(&mut read).unwrap()),
    }
    read == content(n, octets)
}

/// Of each four one has a file of its own, and one shares a file with such as stay longer.
fn octets(n: u64, inline: usize) -> usize {
    match n % (2 * PER_STEP) {
        0 | 4 => LARGE,
        2 | 3 | 7 => SHARED,
        _ => inline,
    }
}

struct Plan {
    inline: usize,
    /// Dies of a failure instead of healing it, and starts again on the same disk.
    dies: bool,
    faults: Vec<Fault>,
}

impl Plan {
    fn new(round: u64, chance: &mut Chance) -> Self {
        let targets = [
            Target::Log,
            Target::Database,
            Target::Body,
            Target::Directory,
        ];
        let first = targets[(round % 4) as usize];
        let mut faults = vec![Fault::some(first, chance)];
        match chance.below(3) {
            0 => faults.push(Fault::some(targets[chance.below(4) as usize], chance)),
            // The next one fails as well, while the store heals.
            1 => faults.push(Fault {
                passed: 0,
                ..faults[0].clone()
            }),
            _ => {}
        }
        Self {
            // Enough for a checkpoint on the way, or not.
            inline: if round % 3 == 1 { CHECKPOINTING } else { 3_000 },
            dies: round % 8 >= 4,
            faults,
        }
    }
}

impl Fault {
    fn some(target: Target, chance: &mut Chance) -> Self {
        let writes = target != Target::Directory && chance.one_in(4);
        Self {
            target,
            failing: if writes {
                Failing::Write
            } else {
                Failing::Sync
            },
            passed: chance.below(match (target, writes) {
                (Target::Log, true) => 200,
                (Target::Log, false) => 30,
                (Target::Body | Target::Directory, _) => 15,
                (Target::Database | Target::Other, _) => 2,
            }) as u32,
        }
    }
}

/// What cuts have left, beside the disk itself.
fn images(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| !path.ends_with("disk")).collect()
}

/// Gives the faults that have happened.
fn round(number: u64) -> Vec<(Target, Failing)> {
    let mut chance = Chance(number);
    let plan = Plan::new(number, &mut chance);
    let scratch = Scratch::new();
    let lossy = Lossy::mount(&scratch.0.join("disk"));
    let directory = lossy.place().join("spool");
    let mut told = Told::default();
    let mut worker = Worker::start(&directory, 0, &plan);
    // A store that works, on a disk that does.
    assert!(worker.step(&mut told));
    plan.faults
        .iter()
        .for_each(|fault| lossy.plan(fault.clone()));
    let place = |name: String| scratch.0.join(name);
    // In the middle of what a fault sets off, and at any other time.
    let cut = |name, faults, soon: &[u64], chance: &mut Chance| {
        let most = soon[chance.below(soon.len() as u64) as usize];
        lossy.plan_cut(Cut {
            faults,
            operations: chance.below(most),
            place: place(name),
            chance: Chance(chance.below(u64::MAX)),
        });
    };
    for faults in 1..=4usize {
        cut(
            format!("fault-{faults}"),
            faults.div_ceil(2),
            &[12, 60],
            &mut chance,
        );
    }
    for step in 1..STEPS {
        if chance.one_in(2) {
            cut(format!("step-{step}"), 0, &[8, 40, 300], &mut chance);
        }
        let before = told.clone();
        if !worker.step(&mut told) {
            drop(worker);
            worker = Worker::start(&directory, step * PER_STEP + 1000, &plan);
        }
        lossy.finish_cuts();
        for image in images(&scratch.0) {
            before.check(&told, &image.join("spool"), plan.inline);
            fs::remove_dir_all(&image).unwrap();
        }
    }
    cut("end".into(), 0, &[1], &mut chance);
    lossy.finish_cuts();
    told.check(&told, &place("end".into()).join("spool"), plan.inline);
    assert!(told.stored.len() as u64 > STEPS);
    if plan.inline < CHECKPOINTING {
        assert_eq!(lossy.mixtures(), 0, "copied from a log with a hole");
    }
    lossy.happened()
}

#[test]
fn what_was_acknowledged_survives_lost_syncs_and_a_cut() {
    let rounds = std::env::var("GATEPOST_ROUNDS").map_or(0..24, |one| {
        let one: u64 = one.parse().expect("a number");
        one..one + 1
    });
    let whole = rounds.end - rounds.start > 1;
    let mut happened = Vec::new();
    for number in rounds {
        println!("round {number}");
        happened.extend(round(number));
    }
    println!("{happened:?}");
    for target in [
        Target::Log,
        Target::Database,
        Target::Body,
        Target::Directory,
    ] {
        let some = happened.contains(&(target, Failing::Sync));
        assert!(some || !whole, "{target:?}: no sync failed");
    }
}

/// One commit that fills more than a segment: each of them is synced before it.
#[test]
fn content_in_several_segments_survives_a_cut() {
    let scratch = Scratch::new();
    let lossy = Lossy::mount(&scratch.0.join("disk"));
    let spool = open(&lossy.place().join("spool"));
    let shared = |n| NewMessage {
        content: Content::Inline(content(n, 500_000)),
        ..message(n, &["bob@x.example"])
    };
    let answers = spool.commit((0..40).map(|n| Change::Store(shared(n))).collect());
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Commit::Stored(_)))
    );
    let image = scratch.0.join("image");
    lossy.plan_cut(Cut {
        faults: 0,
        operations: 0,
        place: image.clone(),
        chance: Chance(1),
    });
    lossy.finish_cuts();
    drop(spool);
    let spool = open(&image.join("spool"));
    assert_eq!(
        fs::read_dir(image.join("spool/segments")).unwrap().count(),
        2
    );
    for n in 0..40 {
        assert!(is_whole(&spool, n, 500_000), "message {n}");
    }
}

fn shared(n: u64, octets: usize) -> NewMessage {
    NewMessage {
        content: Content::Inline(content(n, octets)),
        ..message(n, &["bob@x.example"])
    }
}

/// Whatever cannot be read of the database while it is opened: no content goes for it.
#[test]
fn a_start_that_cannot_read_what_there_is_removes_nothing() {
    const MESSAGES: u64 = 600;
    let scratch = Scratch::new();
    let lossy = Lossy::mount(&scratch.0.join("disk"));
    let directory = lossy.place().join("spool");
    for part in 0..4 {
        let from = part * MESSAGES / 4;
        let all = (from..from + MESSAGES / 4).map(|n| Change::Store(shared(n, 16_384)));
        open(&directory).commit(all.collect());
    }
    let options = LocalOptions {
        directory: directory.clone(),
        min_free: 0,
    };
    let (mut reads, mut refused) = (0, 0);
    loop {
        lossy.readable(Some(reads));
        let opened = Local::open(options.clone());
        lossy.readable(None);
        refused += u32::from(opened.is_err());
        let spool = opened.unwrap_or_else(|_| open(&directory));
        for part in 0..4 {
            let n = part * MESSAGES / 4;
            assert!(
                is_whole(&spool, n, 16_384),
                "message {n} after {reads} reads"
            );
        }
        if refused < reads {
            break;
        }
        reads += 1;
    }
    assert!(refused > 3, "{refused}");
}

/// Runs this, which must not wait for what is held.
fn at_once(lossy: &Lossy, held: Held, slow: impl FnOnce() + Send, quick: impl FnOnce() + Send) {
    let (done, is_done) = channel();
    lossy.hold(held);
    thread::scope(|scope| {
        scope.spawn(slow);
        let is_held = lossy.until_held();
        scope.spawn(move || {
            quick();
            done.send(())
        });
        let waited = is_done.recv_timeout(WAIT_MAX);
        lossy.let_go();
        assert!(is_held, "{held:?} never came");
        assert_eq!(waited, Ok(()), "it waited for {held:?}");
    });
}

#[test]
fn who_reads_does_not_wait_for_the_sync_of_who_writes() {
    let scratch = Scratch::new();
    let lossy = Lossy::mount(&scratch.0.join("disk"));
    let spool = open(&lossy.place().join("spool"));
    spool.commit(vec![Change::Store(shared(0, 100_000))]);
    let store = || drop(spool.commit(vec![Change::Store(shared(1, 20_000))]));
    let read = || assert!(is_whole(&spool, 0, 100_000));
    at_once(&lossy, Held::Syncs, store, read);
    assert!(is_whole(&spool, 1, 20_000));
}

#[test]
fn nobody_waits_while_holes_are_made() {
    let scratch = Scratch::new();
    let lossy = Lossy::mount(&scratch.0.join("disk"));
    let directory = lossy.place().join("spool");
    let all = (0..3).map(|n| Change::Store(shared(n, 100_000)));
    open(&directory).commit(all.collect());
    let spool = open(&directory);
    spool.commit(vec![Change::Settle(done(1, &[0]))]);
    spool.heal();
    let heal = || drop(spool.heal());
    let store = || {
        let answers = spool.commit(vec![Change::Store(shared(3, 20_000))]);
        assert!(matches!(answers[0], Commit::Stored(_)));
        assert!(is_whole(&spool, 0, 100_000));
    };
    at_once(&lossy, Held::Holes, heal, store);
    for n in [0, 2] {
        assert!(is_whole(&spool, n, 100_000));
    }
}

#[test]
fn who_reads_reads_to_the_end_though_the_store_fails_meanwhile() {
    let scratch = Scratch::new();
    let lossy = Lossy::mount(&scratch.0.join("disk"));
    let directory = lossy.place().join("spool");
    let spool = open(&directory);
    let all = (0..2).map(|n| Change::Store(shared(n, 300_000)));
    spool.commit(all.collect());
    let Body::Stream(mut stream) = spool.body(id(0)).unwrap().unwrap() else {
        panic!("it is in memory");
    };
    lossy.plan(Fault {
        target: Target::Body,
        failing: Failing::Sync,
        passed: 0,
    });
    let answers = spool.commit(vec![Change::Store(shared(2, 20_000))]);
    assert!(matches!(answers[0], Commit::Rejected(_)));
    assert_eq!(spool.heal(), Health::Accepting);
    spool.commit(vec![Change::Settle(done(0, &[0]))]);
    (0..3).for_each(|_| drop(spool.heal()));
    let mut read = Vec::new();
    stream.read_to_end(&mut read).unwrap();
    assert!(read == content(0, 300_000));
    // Nothing is appended to that segment any more: it goes with the last message.
    let segments = || fs::read_dir(directory.join("segments")).unwrap().count();
    assert_eq!(segments(), 1);
    spool.commit(vec![Change::Settle(done(1, &[0]))]);
    assert_eq!(segments(), 0);
}

fn open_again(directory: &Path) -> Local {
    for _ in 0..20 {
        let options = LocalOptions {
            directory: directory.to_owned(),
            min_free: 0,
        };
        if let Ok(spool) = Local::open(options) {
            return spool;
        }
    }
    panic!("the store does not open");
}

#[test]
#[ignore = "run by `what_was_acknowledged_survives_lost_syncs_and_a_cut`"]
fn stores_and_settles() {
    let directory = PathBuf::from(variable(DIRECTORY));
    let first: u64 = variable(FIRST).parse().unwrap();
    let mut work = Work {
        inline: variable(INLINE).parse().unwrap(),
        dies: variable(DIES).parse().unwrap(),
        ahead: HashMap::new(),
        to_settle: Vec::new(),
        old: VecDeque::new(),
    };
    let mut spool = open_again(&directory);
    let orders = std::io::stdin().lines();
    for (step, _order) in (0u64..).zip(orders) {
        work.step(&spool, first + step * PER_STEP);
        if step % 4 == 3 {
            drop(spool);
            work.ahead.clear();
            spool = open_again(&directory);
        }
        println!("step ");
    }
}

struct Work {
    inline: usize,
    dies: bool,
    /// Bodies that are written, of messages that come in the next step.
    ahead: HashMap<u64, Content>,
    to_settle: Vec<u64>,
    /// Stored long ago: what is settled of these is elsewhere in the file.
    old: VecDeque<u64>,
}

impl Work {
    fn step(&mut self, spool: &Local, n: u64) {
        let next = n + PER_STEP;
        if let Some(content) = self.large(spool, next) {
            self.ahead.insert(next, content);
        }
        let ahead = self.ahead.remove(&n);
        self.commit(
            spool,
            ahead
                .map(|content| NewMessage {
                    content,
                    ..message(n, &["bob@x.example"])
                })
                .into_iter()
                .collect(),
        );
        let inline = (n + 1..next).map(|n| NewMessage {
            content: Content::Inline(content(n, octets(n, self.inline))),
            ..message(n, &["bob@x.example"])
        });
        self.commit(spool, inline.collect());
        self.to_settle = (n + 1..next).step_by(2).collect();
        self.old.push_back(n + 2);
        if self.old.len() > OLD {
            self.to_settle.extend(self.old.pop_front());
        }
    }

    fn large(&self, spool: &Local, n: u64) -> Option<Content> {
        let mut body = spool.open_body(id(n)).ok()?;
        body.write(&content(n, LARGE)).ok()?;
        body.finish().ok()
    }

    fn commit(&mut self, spool: &Local, new: Vec<NewMessage>) {
        let settled = std::mem::take(&mut self.to_settle);
        settled.iter().for_each(|n| println!("settling {n}"));
        let ids: Vec<_> = new.iter().map(|new| new.message.id).collect();
        let settle = settled.iter().map(|n| Change::Settle(done(*n, &[0])));
        let changes = settle.chain(new.into_iter().map(Change::Store));
        for answer in spool.commit(changes.collect()) {
            if let Commit::Stored(receipt) = answer {
                assert!(ids.contains(&receipt.id()));
                println!("stored {}", number(receipt.id()));
            }
        }
        self.heal(spool);
    }

    fn heal(&self, spool: &Local) {
        let failed = |health| matches!(health, Health::Failed(_));
        if !failed(spool.health()) {
            // What is not needed any more goes.
            spool.heal();
        } else if self.dies {
            // Nothing is closed or finished.
            std::process::exit(9);
        }
        let healed = (0..50).any(|_| !failed(spool.heal()));
        assert!(healed, "{:?}", spool.health());
    }
}

fn number(of: mail::QueueId) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = of.to_bytes();
    let n = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    assert_eq!(id(n), of);
    n
}
