//! Connections are few and mail is much: who has to wait, and for how long. `benches/fairness.rs`
//! measures the same on a larger scale.

mod harness;

use std::collections::HashMap;
use std::time::Duration;

use harness::{Harness, by_mx, exact};
use mail::Timestamp;
use queue::Settings;

const SLOT: Duration = Duration::from_millis(500);

fn world(connections_max: u32, site_connections_max: u32) -> Harness {
    let settings = Settings {
        connections_max,
        site_connections_max,
        ..exact()
    };
    let mut world = Harness::new(settings, by_mx());
    world.latency = SLOT;
    world
}

/// Messages for a site, numbered from `first` on, from a sender of their own.
fn store(world: &mut Harness, first: u128, count: u128, site: &str) {
    for n in first..first + count {
        let from = format!("ann@{site}.example");
        world.store(n, &from, &[&format!("bob@{site}.test")]);
    }
}

/// When each message was tried first, by its number.
fn begun(world: &Harness) -> HashMap<u128, Timestamp> {
    let mut begun = HashMap::new();
    let numbers = (0..20_000).map(|n| (harness::id(n), n));
    let numbers: HashMap<_, _> = numbers.collect();
    for (at, (id, _), _) in &world.sent {
        begun.entry(numbers[id]).or_insert(*at);
    }
    begun
}

#[test]
fn a_site_with_much_mail_delays_no_other_by_more_than_a_slot() {
    let mut world = world(10, 8);
    store(&mut world, 0, 2_000, "large");
    let mut stored = HashMap::new();
    for n in 10_000..10_400 {
        stored.insert(n, world.now);
        store(&mut world, n, 1, &format!("small{}", n % 40));
        world.run(Duration::from_millis(60));
    }
    let begun = begun(&world);
    let waits = stored.iter().map(|(n, at)| begun[n].since(*at));
    assert!(waits.max().unwrap() <= SLOT);
    // And what nobody else needs is used.
    assert_eq!(world.busy_most, 10);
}

/// Connecting is work: it is not done for nothing.
#[test]
fn sites_that_want_alike_keep_their_connections() {
    let mut world = world(10, 8);
    store(&mut world, 0, 1_000, "one");
    store(&mut world, 5_000, 1_000, "other");
    world.run(Duration::from_secs(120));
    assert_eq!(world.disk.waiting(), 0);
    // Each carries 100 messages at most, as `messages_per_connection` says.
    assert!((20..30).contains(&world.hires), "{}", world.hires);
}

#[test]
fn where_connections_are_fewer_than_sites_each_has_its_turn() {
    let mut world = world(2, 2);
    for site in 0..6 {
        store(&mut world, site * 100, 100, &format!("site{site}"));
    }
    world.run(Duration::from_secs(60));
    let begun = begun(&world);
    // Two at a time, ten messages each.
    for site in 0..6 {
        let waited = begun[&(100 * site)].since(harness::START);
        assert!(waited <= 2 * 10 * SLOT + 3 * SLOT, "{site}: {waited:?}");
    }
}

/// A backlog that is tried again does not hold up new mail, nor does new mail hold it up.
#[test]
fn new_mail_goes_before_retries_and_these_have_their_turns() {
    let mut world = world(10, 1);
    world.servers(|job, now| {
        let is_down = now.since(harness::START) < Duration::from_secs(30);
        let outcome = if is_down {
            harness::deferred(mail::Scope::Message)
        } else {
            harness::delivered()
        };
        harness::all(job, &outcome)
    });
    store(&mut world, 0, 40, "site");
    world.run(Duration::from_secs(61));
    let before = world.sent.len();
    assert!(before > 40, "retries have begun");
    store(&mut world, 10_000, 20, "site");
    world.run(Duration::from_secs(20));
    let order: Vec<bool> = world.sent[before..]
        .iter()
        .map(|(_, (id, _), _)| *id >= harness::id(10_000))
        .take(25)
        .collect();
    let new = order.iter().filter(|is_new| **is_new).count();
    assert_eq!(new, 20, "{order:?}");
    assert!(
        order
            .chunks(5)
            .all(|five| five.iter().any(|is_new| !is_new))
    );
}

/// The turn of the retries is that of the one that has waited longest, whatever its number.
#[test]
fn one_of_five_is_the_oldest_retry() {
    const RETRIES: u128 = 20;
    let mut world = world(10, 1);
    world.servers(|job, now| {
        let is_down = now.since(harness::START) < Duration::from_secs(30);
        let outcome = if is_down {
            harness::deferred(mail::Scope::Message)
        } else {
            harness::delivered()
        };
        harness::all(job, &outcome)
    });
    // Tried again after a minute; the oldest has the highest number.
    for n in (0..RETRIES).rev() {
        store(&mut world, n, 1, "site");
        world.run(SLOT);
    }
    world.run(Duration::from_secs(40));
    assert_eq!(world.sent.len(), RETRIES as usize, "each was tried once");
    // More than goes while the retries have their turns, so that most of them wait side by side.
    store(&mut world, 10_000, 200, "site");
    world.run(Duration::from_secs(150));
    let order = world.sent[RETRIES as usize..]
        .iter()
        .map(|(_, (id, _), _)| *id);
    let order: Vec<mail::QueueId> = order.collect();
    let is_new = |id: &mail::QueueId| *id >= harness::id(10_000);
    let retries: Vec<_> = order.iter().filter(|id| !is_new(id)).copied().collect();
    let oldest_first: Vec<_> = (0..RETRIES).rev().map(harness::id).collect();
    assert_eq!(retries, oldest_first);
    // From the first on, four new ones stand between two of them.
    let first = order.iter().position(|id| !is_new(id)).unwrap();
    let turns = order[first..].chunks(5).take(RETRIES as usize);
    for turn in turns {
        let kinds: Vec<bool> = turn.iter().map(is_new).collect();
        assert_eq!(kinds, [false, true, true, true, true]);
    }
}
