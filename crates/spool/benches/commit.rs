//! What the spool's one writer takes to store messages and to settle them, by how many are in a transaction. Most of it is
//! waiting for the disk: the temporary folder has to be on a real one.
//!
//! `cargo bench -p spool --bench commit`

#![allow(clippy::disallowed_methods, reason = "it is the clock that is asked")]

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use sample::{Scratch, done, message};
use spool::{Change, Commit, Spool};

/// What is measured of a round, in which a transaction stores messages and another settles them.
#[derive(Clone, Copy)]
enum Measured {
    Commit,
    Settle,
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    for batch in [1, 10, 50, 200] {
        let mut group = criterion.benchmark_group(format!("{batch} in a transaction"));
        group.throughput(Throughput::Elements(batch));
        let scratch = Scratch::new();
        let spool = scratch.open();
        let mut next = 0;
        for (words, measured) in [("commit", Measured::Commit), ("settle", Measured::Settle)] {
            group.bench_function(words, |bencher| {
                bencher.iter_custom(|rounds| {
                    let took = (0..rounds).map(|_| {
                        next += batch;
                        round(&spool, next..next + batch, measured)
                    });
                    took.sum::<Duration>()
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

/// Stores messages of these numbers, and settles them, so that the spool stays as it is; gives how long the one of both took.
fn round(spool: &dyn Spool, numbers: std::ops::Range<u64>, measured: Measured) -> Duration {
    let new = numbers
        .clone()
        .map(|n| Change::Store(message(n, &["bob@hosted.test"])));
    let stored = timed(spool, new.collect());
    let ended = numbers.map(|n| Change::Settle(done(n, &[0])));
    let settled = timed(spool, ended.collect());
    match measured {
        Measured::Commit => stored,
        Measured::Settle => settled,
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
