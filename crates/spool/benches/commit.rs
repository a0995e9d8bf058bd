//! What the spool's one writer does in a second: messages stored and settled, by how many are in a transaction, and
//! what of that is waiting for the disk. The temporary folder has to be on a real disk.
//!
//! `cargo bench -p spool --bench commit`

#![allow(clippy::disallowed_methods, reason = "it is the clock that is asked")]

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::time::{Duration, Instant};

use sample::{Scratch, done, message};
use spool::{Change, Commit, Spool};

/// For each size of a transaction.
const MESSAGES: u64 = 4_000;

fn main() {
    for batch in [1, 10, 50, 200] {
        let scratch = Scratch::new();
        let spool = scratch.open();
        let (mut stored, mut settled) = (Duration::ZERO, Duration::ZERO);
        let messages = MESSAGES.min(batch * 400);
        for first in (0..messages).step_by(usize::try_from(batch).unwrap_or(1)) {
            let numbers = first..first + batch;
            let new = numbers
                .clone()
                .map(|n| Change::Store(message(n, &["bob@hosted.test"])));
            stored += timed(&spool, new.collect());
            let ended = numbers.map(|n| Change::Settle(done(n, &[0])));
            settled += timed(&spool, ended.collect());
        }
        let rate = |took: Duration| messages as f64 / took.as_secs_f64();
        println!(
            "{batch} in a transaction: {:.0} stored a second, {:.0} settled, {:.0} both",
            rate(stored),
            rate(settled),
            rate(stored + settled)
        );
    }
}

fn timed(spool: &dyn Spool, changes: Vec<Change>) -> Duration {
    let began = Instant::now();
    let answers = spool.commit(changes);
    let took = began.elapsed();
    let taken = |answer: &Commit| matches!(answer, Commit::Stored(_) | Commit::Applied { .. });
    assert!(answers.iter().all(taken), "{answers:?}");
    took
}
