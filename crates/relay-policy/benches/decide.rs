//! What a decision costs: about a domain of ours among many, a client that may relay, and a stranger who may not.
//!
//! `cargo bench -p relay-policy --bench decide`

#[path = "../tests/sample/mod.rs"]
#[allow(dead_code, reason = "only a part of it is used")]
mod sample;

use std::hint::black_box;

use criterion::Criterion;
use mail::ReversePath;
use relay_policy::{Decision, Facts, decide};
use sample::{ABROAD, FRIEND, STRANGER, client, domains, mailbox, remote, rules};

const DOMAINS: usize = 10_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut rules = rules();
    rules.domains = domains((0..DOMAINS).map(|n| remote(&format!("d{n}.test"))));
    let (from, facts) = (
        ReversePath::parse("ann@client.test").unwrap(),
        Facts::default(),
    );
    let mut group = criterion.benchmark_group(format!("a decision, {DOMAINS} domains"));
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
        group.bench_function(words, |bencher| {
            bencher.iter(|| decide(&rules, black_box(&client), &from, &to, &facts));
        });
    }
    group.finish();
    criterion.final_summary();
}
