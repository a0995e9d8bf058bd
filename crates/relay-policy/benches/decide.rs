//! What a decision costs: about a domain of ours among many, a client that may relay, and a stranger who may not.
//!
//! `cargo bench -p relay-policy --bench decide`

#![allow(clippy::disallowed_methods, reason = "it is the clock that is asked")]

#[path = "../tests/sample/mod.rs"]
#[allow(dead_code, reason = "only a part of it is used")]
mod sample;

use std::hint::black_box;
use std::time::Instant;

use mail::ReversePath;
use relay_policy::{Decision, Facts, decide};
use sample::{ABROAD, FRIEND, STRANGER, client, domains, mailbox, remote, rules};

const ROUNDS: u32 = 200_000;
const DOMAINS: usize = 10_000;

fn main() {
    let mut rules = rules();
    rules.domains = domains((0..DOMAINS).map(|n| remote(&format!("d{n}.test"))));
    let (from, facts) = (
        ReversePath::parse("ann@client.test").unwrap(),
        Facts::default(),
    );
    for (words, address, to, carried) in [
        ("a domain of ours", STRANGER, "bob@d5000.test", true),
        ("a client that may relay", FRIEND, ABROAD, true),
        ("a stranger who may not", STRANGER, ABROAD, false),
    ] {
        let (client, to) = (client(address), mailbox(to));
        let decision = decide(&rules, &client, &from, &to, &facts);
        assert_eq!(
            matches!(decision, Decision::Carry { .. }),
            carried,
            "{decision:?}"
        );
        let began = Instant::now();
        for _ in 0..ROUNDS {
            black_box(decide(&rules, black_box(&client), &from, &to, &facts));
        }
        let each = began.elapsed().as_nanos() / u128::from(ROUNDS);
        println!("{words}, of {DOMAINS} domains: {each} ns");
    }
}
