//! Several hosts of one site: one that lets nobody in rests, is tried again by one message, and
//! comes back; the others get its mail meanwhile.

mod harness;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use harness::{Harness, START, by_mx, exact, minutes};
use mail::Timestamp;
use queue::{Condition, Disposition, Event, Settings};

const ANN: &str = "ann@sender.example";
const SITE: &str = "mx:x.test";
const EVERY: Duration = Duration::from_secs(10);

fn host(n: u8) -> SocketAddr {
    ([192, 0, 2, n], 25).into()
}

/// Pauses of 1, 5 and then 20 minutes, to hosts as to sites.
fn settings() -> Settings {
    Settings {
        retry: vec![minutes(1), minutes(5), minutes(20)],
        probe: minutes(30),
        ..exact()
    }
}

/// Two hosts, of which these are down until the given minutes have passed.
fn world(down: &[(u8, u64)]) -> Harness {
    let mut harness = Harness::new(settings(), by_mx());
    harness.hosts = vec![host(1), host(2)];
    let down: Vec<(SocketAddr, Timestamp)> = down
        .iter()
        .map(|(n, until)| (host(*n), START + minutes(*until)))
        .collect();
    harness.host_down = Box::new(move |address, now| {
        let is_down = |(of, until): &(SocketAddr, Timestamp)| *of == address && now < *until;
        down.iter().any(is_down)
    });
    harness
}

/// A message every ten seconds, for so many minutes.
fn feed(harness: &mut Harness, for_minutes: u64) {
    let first = harness.now.as_millis() as u128;
    let steps = minutes(for_minutes).as_secs() / EVERY.as_secs();
    for n in 0..steps {
        harness.store(first + u128::from(n), ANN, &["bob@x.test"]);
        harness.run(EVERY);
    }
}

/// When a host was tried, in minutes from the start.
fn tries(harness: &Harness, n: u8) -> Vec<u64> {
    let of_host = harness.tried.iter().filter(|(_, _, at)| *at == host(n));
    let minute = |at: &Timestamp| at.since(START).as_secs() / 60;
    of_host.map(|(at, ..)| minute(at)).collect()
}

fn put_off(harness: &Harness) -> usize {
    let judged = harness.decided.iter().flat_map(|(_, d)| &d.recipients);
    let again = |disposition: &Disposition| matches!(disposition, Disposition::TryAgain { .. });
    judged.filter(|j| again(&j.disposition)).count()
}

#[test]
fn a_host_that_is_down_is_tried_ever_more_rarely_and_nobody_waits_for_it() {
    let mut harness = world(&[(1, 60)]);
    feed(&mut harness, 100);
    assert_eq!((put_off(&harness), harness.disk.waiting()), (0, 0));
    // Its pauses are 1, 5 and 20 minutes; then it takes mail again, and all of it.
    let of_first = tries(&harness, 1);
    assert_eq!(of_first[..6], [0, 1, 6, 26, 46, 66]);
    assert!(tries(&harness, 2).last() <= Some(&66));
    assert_eq!(of_first.last(), Some(&99));
    assert!(
        harness
            .queue
            .shape(harness.now)
            .iter()
            .all(|s| s.resting.is_empty())
    );
}

#[test]
fn of_many_messages_at_once_one_tries_a_host_whose_rest_is_over() {
    let mut harness = world(&[(1, 600)]);
    for n in 0..5 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(minutes(1));
    let before = tries(&harness, 1).len();
    // As long as it hears nothing, others do not try it.
    for n in 10..40 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(minutes(1));
    assert_eq!(tries(&harness, 1).len(), before + 1);
    assert_eq!((put_off(&harness), harness.disk.waiting()), (0, 0));
}

#[test]
fn a_site_all_of_whose_hosts_are_down_is_left_alone_as_a_whole() {
    let mut harness = world(&[(1, 60), (2, 60)]);
    feed(&mut harness, 2);
    let shape = harness.queue.shape_of(SITE, harness.now).unwrap();
    assert!(matches!(shape.condition, Condition::Suspended { .. }));
    assert_eq!(shape.resting.len(), 2);
    harness.run(minutes(120));
    assert_eq!(harness.disk.waiting(), 0);
    // One message at a time tried them, as one tries a site.
    let in_vain = tries(&harness, 1).into_iter().filter(|minute| *minute < 60);
    assert_eq!(in_vain.collect::<Vec<_>>(), [0, 1, 6, 26, 46]);
}

#[test]
fn a_host_that_rests_is_shown_and_forgotten_when_it_works_or_the_configuration_is_new() {
    let mut harness = world(&[(1, 60)]);
    harness.store(1, ANN, &["bob@x.test"]);
    harness.run(Duration::from_secs(1));
    let resting = |harness: &Harness| {
        let shape = harness.queue.shape_of(SITE, harness.now);
        shape.map(|shape| shape.resting).unwrap_or_default()
    };
    let [rests] = &resting(&harness)[..] else {
        panic!("{:?}", resting(&harness))
    };
    assert_eq!(&*rests.host, "192.0.2.1:25");
    assert_eq!(rests.until, START + minutes(1));
    assert!(rests.why.reply.text().contains("Could not connect"));
    let reloaded = Event::Reloaded(Arc::clone(&by_mx()), Box::new(settings()));
    harness.event(reloaded);
    assert_eq!(resting(&harness), []);
}

#[test]
fn a_host_that_serves_others_does_not_rest_for_those_that_it_turns_away() {
    let mut harness = world(&[]);
    harness.latency = minutes(1);
    harness.store(1, ANN, &["bob@x.test"]);
    // It has one connection and takes no second.
    harness.host_down = Box::new(|address, _| address == host(1));
    harness.store(2, ANN, &["bob@x.test"]);
    let shape = harness.queue.shape_of(SITE, harness.now).unwrap();
    assert_eq!(tries(&harness, 1).len(), 2);
    assert_eq!(shape.resting, []);
}
