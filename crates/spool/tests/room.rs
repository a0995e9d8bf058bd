//! The local store on a small disk of its own (a tmpfs in a name space of its own, so only root
//! may): new mail leaves the floor free, however much of it is on its way, and a disk that somebody
//! else has filled keeps no outcome from being written.

mod sample;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use sample::{Scratch, at, content, done, facts, id, message, recipient, store};
use spool::{
    BodyWriter, Change, Commit, Content, Health, Local, LocalOptions, NewMessage, Settled, Spool,
    SpoolError, Wanted,
};

const DISK: &str = "GATEPOST_TEST_DISK";
const MEGABYTES: &str = "120m";
const FLOOR: u64 = 20 << 20;

/// Runs these ignored tests one after the other, each as a process of its own, on one small disk.
fn on_a_small_disk(tests: &[&str]) {
    let scratch = Scratch::new();
    let disk = scratch.0.join("disk");
    fs::create_dir(&disk).unwrap();
    // With the last process the name space ends, and the disk with it.
    let script = format!(
        "mount -t tmpfs -o size={MEGABYTES} none \"${DISK}\" || exit 1
         for name; do \"$0\" --ignored --exact --nocapture \"$name\" || exit 1; done"
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(tests)
        .env(DISK, &disk)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn disk() -> PathBuf {
    std::env::var_os(DISK).expect("run by another test").into()
}

fn free() -> u64 {
    let facts = rustix::fs::statvfs(disk()).unwrap();
    facts.f_bavail * facts.f_frsize
}

fn open_with(min_free: u64) -> Local {
    let directory = disk().join("spool");
    Local::open(LocalOptions {
        directory,
        min_free,
    })
    .unwrap()
}

/// Somebody else writes until nothing is free.
fn fill_the_disk() {
    let mut options = OpenOptions::new();
    let mut file = options
        .append(true)
        .create(true)
        .open(disk().join("somebody-elses"))
        .unwrap();
    let piece = vec![0; 4096];
    while file.write_all(&piece).is_ok() {}
    assert_eq!(free(), 0);
}

fn with_content(n: u64, octets: usize) -> NewMessage {
    NewMessage {
        content: Content::Inline(content(n, octets)),
        ..message(n, &["bob@x.example"])
    }
}

#[test]
fn bodies_on_their_way_leave_the_floor_free() {
    on_a_small_disk(&["bodies_grow_until_there_is_no_room"]);
}

#[test]
#[ignore = "run on a small disk by `bodies_on_their_way_leave_the_floor_free`"]
fn bodies_grow_until_there_is_no_room() {
    let spool = open_with(FLOOR);
    store(&spool, message(1, &["bob@x.example"]));
    let mut bodies: Vec<Box<dyn BodyWriter>> = (100..110)
        .map(|n| spool.open_body(id(n)).unwrap())
        .collect();
    let piece = vec![b'a'; 300_000];
    let mut written = 0;
    let mut growing: Vec<&mut Box<dyn BodyWriter>> = bodies.iter_mut().collect();
    while !growing.is_empty() {
        growing.retain_mut(|body| match body.write(&piece) {
            Ok(()) => {
                written += piece.len() as u64;
                true
            }
            Err(error) => {
                assert_eq!(error, SpoolError::Full);
                false
            }
        });
        assert!(free() >= FLOOR, "{} are free", free());
    }
    assert!(written > 40 << 20, "{written}: the room was not used");
    // More of them find no room, nor does small mail take the rest; outcomes do.
    let more: Vec<_> = (200..300)
        .map_while(|n| spool.open_body(id(n)).ok())
        .collect();
    assert!(more.len() < 2, "what is left is less than a piece");
    for n in 300..500 {
        spool.commit(vec![Change::Store(with_content(n, 60_000))]);
        assert!(free() >= FLOOR, "{} are free", free());
    }
    let answers = spool.commit(vec![
        Change::Store(with_content(500, 60_000)),
        Change::Settle(done(1, &[0])),
    ]);
    assert_eq!(answers[0], Commit::Rejected(SpoolError::Full));
    assert!(matches!(answers[1], Commit::Applied { recipients: 1, .. }));
    // What they give up others may take.
    drop((bodies, more));
    assert_eq!(spool.heal(), Health::Accepting);
    store(&spool, with_content(500, 60_000));
    spool.open_body(id(200)).unwrap();
    // Of many that come together some have room.
    let together = (600..1200).map(|n| Change::Store(with_content(n, 250_000)));
    let answers = spool.commit(together.collect());
    let full = Commit::Rejected(SpoolError::Full);
    let rejected = answers.iter().filter(|answer| **answer == full).count();
    assert!((300..550).contains(&rejected), "{rejected} were rejected");
    assert!(free() >= FLOOR, "{} are free", free());
    assert_eq!(spool.failures(), 0);
}

#[test]
fn outcomes_are_written_on_a_disk_that_somebody_else_has_filled() {
    on_a_small_disk(&["outcomes_on_a_full_disk", "a_start_on_a_full_disk"]);
}

const MESSAGES: u64 = 400;

fn outcome(n: u64) -> Change {
    let mut notice = with_content(n + 1000, 4000);
    notice.message = facts(n + 1000, "", 4000);
    notice.recipients = vec![recipient(0, "ann@y.example", at(0))];
    let mut settlement = done(n, &[0]);
    if n.is_multiple_of(2) {
        settlement.notices.push(notice);
    } else {
        settlement.recipients[0].1 = Settled::Again {
            due: at(10_000),
            tries: 1,
            last: "451 4.3.0 Not now".into(),
            delay_told: false,
        };
    }
    Change::Settle(settlement)
}

fn all_applied(answers: &[Commit]) -> bool {
    let applied = |answer: &Commit| matches!(answer, Commit::Applied { recipients: 1, .. });
    answers.iter().all(applied)
}

#[test]
#[ignore = "run on a small disk by `outcomes_are_written_on_a_disk_that_somebody_else_has_filled`"]
fn outcomes_on_a_full_disk() {
    let spool = open_with(0);
    for n in 0..MESSAGES {
        store(&spool, with_content(n, 20_000));
    }
    fill_the_disk();
    // One by one, and nothing that becomes free stays so.
    for n in 0..100 {
        let answers = spool.commit(vec![outcome(n)]);
        assert!(all_applied(&answers), "{n}: {answers:?}");
        if n % 10 == 0 {
            fill_the_disk();
        }
    }
    let answers = spool.commit(vec![Change::Store(with_content(5000, 20_000))]);
    assert_eq!(answers, [Commit::Rejected(SpoolError::Full)]);
    assert!(!matches!(spool.heal(), Health::Failed(_)));
    assert_eq!(spool.failures(), 0);
    fill_the_disk();
    // Nothing is closed or finished.
    std::process::exit(0);
}

#[test]
#[ignore = "run on a small disk by `outcomes_are_written_on_a_disk_that_somebody_else_has_filled`"]
fn a_start_on_a_full_disk() {
    assert_eq!(free(), 0);
    let spool = open_with(FLOOR);
    assert!(matches!(spool.health(), Health::LowSpace { .. }));
    let due = spool.due("x.example", &Wanted::due(at(1), 1000)).unwrap();
    assert_eq!(due.messages.len() as u64, MESSAGES - 100);
    for n in 100..200 {
        let answers = spool.commit(vec![outcome(n)]);
        assert!(all_applied(&answers), "{n}: {answers:?}");
    }
    let answers = spool.commit((200..MESSAGES).map(outcome).collect());
    assert!(all_applied(&answers), "{answers:?}");
    assert!(matches!(spool.heal(), Health::LowSpace { .. }));
    assert_eq!(spool.failures(), 0);
    let notices = spool.due("y.example", &Wanted::due(at(1), 1000)).unwrap();
    assert_eq!(notices.messages.len() as u64, MESSAGES / 2);
    fs::remove_file(disk().join("somebody-elses")).unwrap();
    assert_eq!(spool.heal(), Health::Accepting);
    store(&spool, with_content(5000, 20_000));
    // The next full disk finds a reserve again.
    let reserve = File::open(disk().join("spool/reserve")).unwrap();
    assert_eq!(reserve.metadata().unwrap().len(), 32 << 20);
}
