//! What is kept of past mail goes by age while the relay runs: rows of tracking, dialogues, and files
//! of a protocol log, the oldest first and nothing before its time. The hours that it takes are given
//! to all clocks of the relay, minutes at a time.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::client::Dialogue;
use crate::faketime::{Clocks, SetClock};
use crate::network::Network;
use crate::program::run;
use crate::relay::Relay;
use crate::wait::{seconds, until, until_true};

/// Minutes of one step.
const STEP: usize = 20;
/// So much is kept: what happened eight steps ago is a little younger, and nine a little older.
const KEEP: &str = "170m";
const KEPT_STEPS: usize = 8;
/// After so many the first file of an hour is too old, wherever in that hour the test began.
const STEPS: usize = 14;

/// A stranger who is refused, at one step of the clock.
struct Refused {
    step: usize,
    id: String,
    file: PathBuf,
}

fn victim(step: usize) -> String {
    format!("n{step}@elsewhere.test")
}

/// The ids of the refused by recipient, as tracking has them.
fn rows(relay: &Relay) -> Vec<(String, String)> {
    let words = ["--json", "track", "state:refused", "--events"];
    let ran = relay.command(&[&words[..], &["--limit", "0"]].concat());
    let rows: Vec<Value> = serde_json::from_str(&ran.expect_code(0).out).expect("JSON");
    let word = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let named = rows.iter().map(|row| (word(row, "to"), word(row, "id")));
    named.collect()
}

fn has_dialogue(relay: &Relay, id: &str) -> bool {
    let ran = relay.command(&["--json", "trace", id, "--transcript"]);
    let kept: Vec<Value> = serde_json::from_str(&ran.expect_code(0).out).expect("JSON");
    !kept.is_empty()
}

/// Dialogues in the store's file, whatever the relay says of them.
fn dialogues(relay: &Relay) -> usize {
    let file = relay.data_dir().join("tracking/tracking.db");
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n\
                  print(c.execute('SELECT count(*) FROM transcript').fetchone()[0])";
    let ran = run("python3", &["-c", script, &file.display().to_string()]).expect_code(0);
    ran.out.trim().parse().expect("a number")
}

/// The files of the protocol log.
fn files(relay: &Relay) -> BTreeSet<PathBuf> {
    let folder = relay.data_dir().join("log/w3c");
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// A stranger is refused now, which every writer has written when this comes back.
fn refuse(relay: &Relay, step: usize) -> Refused {
    let mut stranger = Dialogue::open(relay.network.stranger(), relay.address());
    stranger.ask(&format!("HELO s{step}.test"), 250);
    stranger.ask("MAIL FROM:<ann@client.test>", 250);
    stranger.ask(&format!("RCPT TO:<{}>", victim(step)), 550);
    stranger.ask("QUIT", 221);
    let id = until("its row", seconds(20), || {
        let found = rows(relay).into_iter().find(|(to, _)| *to == victim(step));
        found.map(|(_, id)| id)
    });
    until_true("its dialogue", seconds(20), || has_dialogue(relay, &id));
    let hello = format!("s{step}.test");
    let file = until("its last row in the log", seconds(20), || {
        let is_last = |line: &str| line.contains(" QUIT ") && line.contains(&hello);
        let has_it =
            |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.lines().any(is_last));
        files(relay).into_iter().find(has_it)
    });
    // The kernel stamps files by its own clock.
    let written = SystemTime::now() + Duration::from_secs((step * STEP * 60) as u64);
    let opened = File::options().append(true).open(&file);
    let stamped = opened.and_then(|opened| opened.set_modified(written));
    stamped.expect("the moment at which it was written");
    Refused { step, id, file }
}

/// Nothing else is left but what these are about.
fn wait_until_left(relay: &Relay, all: &[Refused], from: usize) {
    let young = &all[from..];
    let wanted: BTreeSet<String> = young.iter().map(|one| victim(one.step)).collect();
    until_true(&format!("the rows of {wanted:?}"), seconds(20), || {
        let left: BTreeSet<String> = rows(relay).into_iter().map(|(to, _)| to).collect();
        assert!(wanted.is_subset(&left), "{left:?} without {wanted:?}");
        left == wanted
    });
    let wanted: BTreeSet<PathBuf> = young.iter().map(|one| one.file.clone()).collect();
    until_true(&format!("the files {wanted:?}"), seconds(20), || {
        let left = files(relay);
        assert!(wanted.is_subset(&left), "{left:?} without {wanted:?}");
        left == wanted
    });
    until_true("the dialogues to go", seconds(20), || {
        let left = dialogues(relay);
        assert!(left >= young.len(), "{left} of {}", young.len());
        left == young.len()
    });
    for one in young {
        assert!(has_dialogue(relay, &one.id), "of step {}", one.step);
    }
}

#[test]
fn rows_dialogues_and_files_of_a_log_go_by_age_while_the_relay_runs_and_nothing_before_its_time() {
    let more = format!(
        "[tracking]\nkeep = \"{KEEP}\"\n[log.w3c]\nfields = \"all\"\nrotation = \"hourly\"\nkeep = \"{KEEP}\"\n"
    );
    let mut relay = Relay::prepare(Network::new(), &more);
    let clock = SetClock::of(&mut relay, Clocks::All);
    relay.run();
    let mut all = Vec::new();
    let mut first = BTreeSet::new();
    for step in 0..STEPS {
        clock.set(&format!("+{}m", step * STEP));
        all.push(refuse(&relay, step));
        wait_until_left(&relay, &all, step.saturating_sub(KEPT_STEPS));
        first = if step == 0 { files(&relay) } else { first };
    }
    assert!(
        first.is_disjoint(&files(&relay)),
        "{first:?} is still there"
    );

    // A day passes while it is stopped. Whether that is so shows within an hour, and before it
    // nothing goes.
    assert!(relay.stop().success());
    let kept = STEPS - 1 - KEPT_STEPS;
    for (step, gone) in [(72, kept), (74, kept), (76, STEPS)] {
        clock.set(&format!("+{}m", step * STEP));
        if relay.status().is_none() {
            relay.run();
        }
        all.push(refuse(&relay, step));
        wait_until_left(&relay, &all, gone);
    }
}
