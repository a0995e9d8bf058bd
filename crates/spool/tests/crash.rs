//! The local store killed at any moment, and its write-ahead log cut or damaged at any place: what
//! was acknowledged is there, what was not is whole or absent, and the store opens without help.

mod sample;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use filter::Filter;
use rusqlite::Connection;
use sample::{Scratch, assert_counts, at, content, done, id, message, open, store};
use spool::{
    Body, Change, Commit, Content, Health, Local, NewMessage, Page, Settled, Settlement, Spool,
    SpoolError,
};

const DIRECTORY: &str = "GATEPOST_TEST_SPOOL";

/// Runs one of the ignored tests below as a process of its own, which may be killed or limited.
fn process(name: &str, directory: &Path) -> Child {
    // The shell makes the process outlive SIGXFSZ: a write past the limit then fails instead of
    // killing.
    let script = "trap '' XFSZ; exec \"$0\" --ignored --exact --nocapture \"$1\"";
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(program)
        .arg(name)
        .env(DIRECTORY, directory);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

fn directory() -> std::path::PathBuf {
    std::env::var_os(DIRECTORY)
        .expect("run by another test")
        .into()
}

fn ids(spool: &Local) -> BTreeSet<mail::QueueId> {
    let found = spool
        .find(
            &Filter::everything(),
            Page {
                after: None,
                limit: 1_000_000,
            },
        )
        .unwrap();
    found.iter().map(|waiting| waiting.message.id).collect()
}

fn is_sound(directory: &Path) -> bool {
    let connection = Connection::open(directory.join("spool.db")).unwrap();
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .unwrap();
    verdict == "ok"
}

/// Octets of message `n`: some in rows, some in segments, some in files of their own.
fn octets(n: u64) -> usize {
    match n % 16 {
        0 => 80_000,
        1..=4 => 40_000,
        _ => 2000,
    }
}

#[test]
#[ignore = "run and killed by `killed_at_any_moment`"]
fn writes_until_killed() {
    let spool = open(&directory());
    let first = 1 + ids(&spool)
        .last()
        .map_or(0, |id| (id.made().as_millis() - at(0).as_millis()) + 1000);
    let mut out = std::io::stdout();
    let mut stored: Vec<u64> = Vec::new();
    for n in (first..).step_by(8) {
        let settled: Vec<u64> = stored
            .iter()
            .copied()
            .filter(|n| n.is_multiple_of(2))
            .collect();
        settled
            .iter()
            .for_each(|n| writeln!(out, "settling {n}").unwrap());
        let mut changes: Vec<Change> = settled
            .iter()
            .map(|n| Change::Settle(done(*n, &[0])))
            .collect();
        stored = (n..n + 8).collect();
        let together = |all: &[u64]| all.iter().map(|n| new_message(&spool, *n)).collect();
        changes.extend(stored.chunks(3).map(|all| Change::StoreAll(together(all))));
        for answer in spool.commit(changes) {
            assert!(
                matches!(answer, Commit::Stored(_) | Commit::Applied { .. }),
                "{answer:?}"
            );
        }
        settled
            .iter()
            .for_each(|n| writeln!(out, "settled {n}").unwrap());
        stored
            .iter()
            .for_each(|n| writeln!(out, "stored {n}").unwrap());
    }
}

fn new_message(spool: &Local, n: u64) -> NewMessage {
    let mut new = message(n, &["bob@x.example"]);
    new.content = Content::Inline(content(n, octets(n)));
    if octets(n) > 65_536 {
        let mut writer = spool.open_body(id(n)).unwrap();
        writer.write(&content(n, octets(n))).unwrap();
        new.content = writer.finish().unwrap();
    }
    new
}

#[test]
fn killed_at_any_moment() {
    let scratch = Scratch::new();
    let mut expected: BTreeSet<u64> = BTreeSet::new();
    for round in 0..6u64 {
        let mut unsure: BTreeSet<u64> = BTreeSet::new();
        let mut child = process("writes_until_killed", &scratch.spool());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Where it is in its work when this many lines have come is a matter of chance.
        let mut seen = 0;
        for line in lines.map_while(Result::ok) {
            let Some((word, n)) = line.split_once(' ') else {
                continue;
            };
            let Ok(n) = n.parse::<u64>() else { continue };
            match word {
                "stored" => drop(expected.insert(n)),
                "settling" => drop(unsure.insert(n)),
                "settled" => {
                    expected.remove(&n);
                    unsure.remove(&n);
                    unsure.insert(n + 1_000_000_000);
                }
                _ => continue,
            }
            seen += 1;
            if seen == 200 + round * 137 {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success(), "it ended by itself");
        check(&scratch.spool(), &mut expected, &unsure);
    }
}

/// Everything acknowledged is there; what was acknowledged as settled is not. Takes over what was
/// in doubt.
fn check(directory: &Path, expected: &mut BTreeSet<u64>, unsure: &BTreeSet<u64>) {
    let spool = open(directory);
    let found = ids(&spool);
    for n in expected.iter() {
        assert!(
            found.contains(&id(*n)) || unsure.contains(n),
            "message {n} was lost"
        );
    }
    for n in unsure.iter().filter(|n| **n > 1_000_000_000) {
        assert!(
            !found.contains(&id(n - 1_000_000_000)),
            "a settled message came back"
        );
    }
    expected.retain(|n| found.contains(&id(*n)));
    for n in expected.iter() {
        let mut read = Vec::new();
        match spool.body(id(*n)).unwrap().unwrap() {
            Body::Memory(bytes) => read.extend_from_slice(&bytes),
            Body::Stream(mut stream) => drop(stream.read_to_end(&mut read).unwrap()),
        }
        assert!(
            read == content(*n, octets(*n)),
            "message {n} is not what it was"
        );
    }
    spool.sweep().unwrap();
    assert_counts(&spool);
    let shared = expected.iter().filter(|n| octets(**n) == 40_000).count() as u64;
    let kept: u64 = fs::read_dir(directory.join("segments"))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(
        kept >= shared * 40_000,
        "{kept} octets of {shared} messages"
    );
    assert!(shared > 0 || kept == 0, "segments without a message");
    let files = fs::read_dir(directory.join("bodies")).unwrap().count();
    let page = Page {
        after: None,
        limit: 1_000_000,
    };
    let large = spool.find(&Filter::everything(), page).unwrap();
    let large = large
        .iter()
        .filter(|waiting| matches!(spool.body(waiting.message.id), Ok(Some(Body::Stream(_)))));
    assert_eq!(files, large.count(), "body files without a message");
    drop(spool);
    assert!(is_sound(directory));
}

/// A store whose log was never copied back: after commit `i` the log has `ends[i]` octets.
struct Logged {
    database: Vec<u8>,
    log: Vec<u8>,
    ends: Vec<usize>,
}

/// Stored together with message `n` is the one of so much more.
const BESIDE: u64 = 100;

fn logged() -> Logged {
    let scratch = Scratch::new();
    let spool = scratch.open();
    drop(spool);
    let spool = scratch.open();
    let file = |name| scratch.spool().join(name);
    let mut ends = Vec::new();
    for n in 0..8 {
        let answers = spool.commit(vec![
            Change::StoreAll(vec![
                message(n, &["a@x.example", "b@y.example"]),
                message(BESIDE + n, &["c@x.example"]),
            ]),
            Change::Settle(Settlement {
                recipients: vec![(0, Settled::Done), (1, Settled::Done)],
                ..done(n.saturating_sub(1), &[])
            }),
        ]);
        assert!(matches!(answers[0], Commit::Stored(_)));
        ends.push(fs::metadata(file("spool.db-wal")).unwrap().len() as usize);
    }
    let database = fs::read(file("spool.db")).unwrap();
    let log = fs::read(file("spool.db-wal")).unwrap();
    assert_eq!(ends.last(), Some(&log.len()));
    Logged {
        database,
        log,
        ends,
    }
}

/// Opens a copy with this log, and answers which messages are there.
fn messages_with(logged: &Logged, log: &[u8]) -> Vec<mail::QueueId> {
    let scratch = Scratch::new();
    fs::create_dir(scratch.spool()).unwrap();
    fs::write(scratch.spool().join("spool.db"), &logged.database).unwrap();
    fs::write(scratch.spool().join("spool.db-wal"), log).unwrap();
    let spool = scratch.open();
    assert_eq!(spool.health(), Health::Accepting);
    let found = ids(&spool).into_iter().collect();
    drop(spool);
    assert!(is_sound(&scratch.spool()));
    found
}

/// What is there when so many commits are: each stores a message and one beside it, and settles the
/// one before (the first settles itself).
fn after(commits: usize) -> Vec<mail::QueueId> {
    let commits = commits as u64;
    let last = commits.checked_sub(1).filter(|last| *last > 0);
    let beside = (0..commits).map(|n| BESIDE + n);
    last.into_iter().chain(beside).map(id).collect()
}

#[test]
fn a_log_cut_anywhere_keeps_the_commits_before_the_cut() {
    const HEADER: usize = 32;
    let logged = logged();
    let frame = 24 + 8192;
    assert_eq!((logged.log.len() - HEADER) % frame, 0);
    for boundary in (HEADER..=logged.log.len()).step_by(frame) {
        for cut in [boundary.saturating_sub(1), boundary, boundary + 25] {
            let cut = cut.min(logged.log.len());
            let whole = logged.ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(
                messages_with(&logged, &logged.log[..cut]),
                after(whole),
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn a_log_damaged_anywhere_keeps_the_commits_before_the_damage() {
    let logged = logged();
    for place in (0..logged.log.len()).step_by(7919) {
        let mut log = logged.log.clone();
        log[place] ^= 0x10;
        let whole = logged.ends.iter().filter(|end| **end <= place).count();
        assert_eq!(
            messages_with(&logged, &log),
            after(whole),
            "damaged at {place}"
        );
    }
}

#[test]
fn a_failed_write_stops_everything_until_it_is_healed() {
    let scratch = Scratch::new();
    let output = process("writes_until_the_limit", &scratch.spool())
        .wait_with_output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(is_sound(&scratch.spool()));
}

fn limit_files(octets: Option<u64>) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: octets.or(maximum),
            maximum,
        },
    )
    .unwrap();
}

#[test]
#[ignore = "run with a limit of its own by `a_failed_write_stops_everything_until_it_is_healed`"]
fn writes_until_the_limit() {
    let spool = open(&directory());
    limit_files(Some(1_000_000));
    let mut stored = BTreeSet::new();
    let (n, answer) = (0..10_000)
        .find_map(|n| {
            let mut new = message(n, &["bob@x.example"]);
            new.content = Content::Inline(content(n, 20_000));
            match spool.commit(vec![Change::Store(new), Change::Settle(done(9999, &[0]))]) {
                answers if matches!(answers[0], Commit::Stored(_)) => {
                    stored.insert(id(n));
                    None
                }
                answers => Some((n, answers)),
            }
        })
        .expect("the limit is reached");
    let not_done = |answer: &Commit| matches!(answer, Commit::Rejected(_) | Commit::Unknown(_));
    assert!(answer.iter().all(not_done), "{answer:?}");
    assert!(matches!(
        spool.health(),
        Health::Failed(SpoolError::Io(_) | SpoolError::Full)
    ));
    assert!(stored.len() > 10);
    assert_eq!(spool.failures(), 1);

    // Nothing more is written, not even what would make room; reading goes on.
    let answers = spool.commit(vec![
        Change::Store(message(20_000, &["bob@x.example"])),
        Change::Settle(done(0, &[0])),
    ]);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Commit::Rejected(_))),
        "{answers:?}"
    );
    assert!(ids(&spool).is_superset(&stored));

    // No room to heal in: it stays as it is.
    limit_files(Some(4096));
    assert!(matches!(spool.heal(), Health::Failed(_)));
    limit_files(None);
    // As a commit leaves it of which nobody knows whether it was done.
    let left = directory().join("bodies").join(id(20_002).to_string());
    std::fs::write(&left, b"left").unwrap();
    assert_eq!(spool.heal(), Health::Accepting);
    assert!(!left.exists());
    // Seen by whoever looks only now, and counted once.
    let notes = spool.notes();
    let told = |note: &String| {
        note.starts_with("the spool failed: ") && note.ends_with("it was reopened and works again")
    };
    assert!(notes.iter().any(told), "{notes:?}");
    assert_eq!(spool.failures(), 1);
    let mut found = ids(&spool);
    assert!(found.is_superset(&stored));
    found.remove(&id(n));
    assert_eq!(found, stored);
    store(&spool, message(20_001, &["bob@x.example"]));
}
