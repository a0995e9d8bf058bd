//! What it costs to count all that happens to one message, alone and with others at the same time.
//!
//! `cargo bench -p metrics --bench cost`

#![allow(clippy::disallowed_methods, reason = "it is the clock that is asked")]

#[path = "../tests/facts/mod.rs"]
mod facts;

use std::thread;
use std::time::Instant;

use facts::{Facts, metrics};

/// Messages of each thread.
const MESSAGES: u32 = 1_000_000;

fn main() {
    for threads in [1, 2, 4] {
        let metrics = metrics();
        let began = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let facts = Facts::new();
                    for _ in 0..MESSAGES {
                        facts.tell(&metrics);
                    }
                });
            }
        });
        let nanoseconds = began.elapsed().as_nanos() / u128::from(MESSAGES * threads);
        println!("{threads} threads: {nanoseconds} ns for each message");
    }
}
