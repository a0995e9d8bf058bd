//! Who may hold how many of the connections, and of the room in memory.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{Harness, MailAnswer, by_mx, exact, id, message, minutes};
use mail::{Place, ReversePath};
use queue::Settings;
use relay_policy::{Admitted, Grounds};
use route::{DomainPattern, HostSpec, Routes, Via};

const ANN: &str = "ann@sender.example";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Mail for `hosted.test` goes to a smart host, all other by MX.
fn hosted() -> Arc<Routes> {
    let host = HostSpec::new(mail::Host::parse("[192.0.2.7]").unwrap(), true);
    let pattern = DomainPattern::parse("hosted.test").unwrap();
    let mut routes = Routes::builder();
    routes.add_domain(pattern, Via::SmartHosts(vec![host]), Place::Default);
    Arc::new(routes.build().unwrap())
}

fn settings() -> Settings {
    Settings {
        connections_max: 100,
        ..exact()
    }
}

/// A queue for which everybody answers but for those whose site's name says so.
fn harness(settings: Settings, routes: Arc<Routes>) -> Harness {
    let mut harness = Harness::new(settings, routes);
    harness.mail_answers(|job, _| {
        if job.site.name.contains("silent") {
            MailAnswer::Silent
        } else {
            MailAnswer::Taken
        }
    });
    harness
}

/// A message from `from` on these grounds.
fn store(harness: &mut Harness, n: u128, from: &str, grounds: Grounds, to: &str) {
    harness.store_on(n, from, grounds, &[to]);
}

/// Notices to so many sites that connect and say nothing.
fn notices(harness: &mut Harness, count: u128) {
    for n in 0..count {
        let to = format!("a@s{n}.silent.test");
        store(harness, n, "", Grounds::OwnNotice, &to);
    }
}

/// How long a message takes that comes now.
fn delay(harness: &mut Harness, n: u128, to: &str) -> Duration {
    let before = harness.now;
    store(harness, n, ANN, Grounds::OurDomain, to);
    harness.run(minutes(5));
    let sent = |(_, decided): &&(_, Arc<queue::Decided>)| decided.message.id == id(n);
    let (at, _) = harness.decided.iter().find(sent).unwrap();
    at.since(before)
}

#[test]
fn notices_to_sites_that_say_nothing_hold_no_more_than_their_share() {
    let mut harness = harness(settings(), hosted());
    notices(&mut harness, 1200);
    assert_eq!(harness.agents.len(), 20);
    // Everybody else's mail goes as if there were no notices.
    assert_eq!(
        delay(&mut harness, 5000, "bob@hosted.test"),
        harness.latency
    );
    assert_eq!(
        delay(&mut harness, 5001, "bob@elsewhere.test"),
        harness.latency
    );
}

#[test]
fn slots_and_room_in_memory_are_kept_for_sites_that_the_configuration_names() {
    let full = Settings {
        ready_max: 200,
        notices_percent: 100,
        ..settings()
    };
    let mut harness = harness(full, hosted());
    for n in 0..1000 {
        harness.store(n, ANN, &[&format!("a@s{n}.silent.test")]);
    }
    assert_eq!(harness.agents.len(), 75);
    assert!(harness.queue.counts().ready <= 150);
    assert_eq!(
        delay(&mut harness, 5000, "bob@hosted.test"),
        harness.latency
    );
    // A configuration that names none keeps nothing.
    let mut harness = self::harness(settings(), by_mx());
    for n in 0..1000 {
        harness.store(n, ANN, &[&format!("a@s{n}.silent.test")]);
    }
    assert_eq!(harness.agents.len(), 100);
}

#[test]
fn no_senders_domain_and_no_mail_of_strangers_holds_everything() {
    let shares = Settings {
        sender_percent: 50,
        strangers_percent: 60,
        ..settings()
    };
    let mut harness = harness(shares.clone(), by_mx());
    for n in 0..200 {
        harness.store(n, ANN, &[&format!("a@s{n}.silent.test")]);
    }
    assert_eq!(harness.agents.len(), 50);
    store(
        &mut harness,
        900,
        "eve@other.example",
        Grounds::ListedClient,
        "bob@y.test",
    );
    harness.run(seconds(1));
    assert_eq!(harness.decided.len(), 1);
    let mut harness = self::harness(shares, by_mx());
    for n in 0..200 {
        let (from, to) = (format!("a@s{n}.example"), format!("a@s{n}.silent.test"));
        store(&mut harness, n, &from, Grounds::OurDomain, &to);
    }
    assert_eq!(harness.agents.len(), 60);
}

#[test]
fn a_kind_that_has_its_share_waits_for_its_own_and_all_of_it_goes() {
    let mut harness = harness(settings(), hosted());
    for n in 0..500 {
        store(
            &mut harness,
            n,
            "",
            Grounds::OwnNotice,
            &format!("a@d{n}.test"),
        );
    }
    // At one site, others go past notices that wait.
    for n in 500..600 {
        store(&mut harness, n, "", Grounds::OwnNotice, "a@busy.test");
    }
    let delay = delay(&mut harness, 5000, "bob@busy.test");
    assert_eq!(delay, harness.latency);
    harness.run(minutes(1));
    assert_eq!(harness.disk.waiting(), 0);
    // The notices' share, and the one other.
    assert_eq!(harness.busy_most, 21);
}

/// A queue that starts with so many notices in the spool to silent sites and to one that answers,
/// and behind them a message for that one.
fn behind_notices(silent: u128, count: u128) -> Harness {
    let small = Settings {
        ready_max: 200,
        load_batch: 20,
        ..settings()
    };
    let mut harness = harness(small.clone(), hosted());
    notices(&mut harness, silent);
    for n in 0..count {
        let to = "a@busy.test";
        store(&mut harness, 10_000 + n, "", Grounds::OwnNotice, to);
    }
    let (message, recipients) = message(50_000, ANN, harness.now, &["bob@busy.test"]);
    harness.disk.store(&message, &recipients);
    (harness.ready_most, harness.loads) = (0, 0);
    harness.restart(small, hosted());
    harness
}

#[test]
fn mail_in_the_spool_goes_past_notices_that_have_their_share_of_memory() {
    for (silent, count) in [(0, 400), (1000, 400), (1000, 3000)] {
        let mut harness = behind_notices(silent, count);
        let before = harness.now;
        harness.run(minutes(2));
        let sent = harness.sent.iter().find(|(_, key, _)| key.0 == id(50_000));
        let delay = sent.map(|(at, ..)| at.since(before));
        let in_time = delay.is_some_and(|delay| delay < seconds(1));
        assert!(in_time, "{silent} and {count}: {delay:?}");
        assert!(harness.ready_most <= 200, "{}", harness.ready_most);
        if silent == 0 {
            // Those that were passed over go as well, and no page is read again and again.
            assert_eq!(harness.disk.waiting(), 0);
            assert!(harness.loads < 200, "{}", harness.loads);
        }
    }
}

#[test]
fn a_connection_that_nobody_lets_in_is_given_up_sooner_when_others_wait() {
    let mut harness = harness(settings(), hosted());
    notices(&mut harness, 20);
    harness.run(seconds(60));
    assert_eq!((harness.refusals, harness.agents.len()), (0, 20));
    // The twenty-first waits for no more than a second, since they have had their time.
    store(&mut harness, 100, "", Grounds::OwnNotice, "a@d.test");
    harness.run(seconds(2));
    assert_eq!(harness.disk.waiting(), 20);
    // No more are given up than are needed; what is not wanted stays.
    assert_eq!(harness.refusals, 1);
    let mut harness = self::harness(settings(), hosted());
    notices(&mut harness, 40);
    harness.run(seconds(19));
    assert_eq!(harness.refusals, 0);
    harness.run(seconds(3));
    assert_eq!(harness.refusals, 20);
}

#[test]
fn strangers_get_a_limited_number_of_notices_of_success() {
    let limited = Settings {
        success_notices: Some((10, minutes(1))),
        ..settings()
    };
    let mut harness = harness(limited, hosted());
    let wants = mail::Notify {
        success: true,
        failure: true,
        delay: false,
    };
    for n in 0..30 {
        let (message, mut recipients) = message(n, ANN, harness.now, &["bob@hosted.test"]);
        assert_ne!(message.reverse_path, ReversePath::Null);
        for recipient in &mut recipients {
            let address = recipient.admitted.recipient().clone();
            recipient.admitted = Admitted::from_stored(address, Grounds::OurDomain);
            recipient.parameters.notify = Some(wants);
        }
        harness.store_message(message, recipients);
    }
    harness.run(seconds(1));
    let untold = harness
        .decided
        .iter()
        .filter(|(_, d)| d.untold == [0])
        .count();
    assert_eq!((harness.decided.len(), untold), (30, 20));
    // Those who may relay are told whatever strangers ask for.
    harness.store_with(100, wants, &["bob@hosted.test"]);
    harness.run(seconds(1));
    assert!(harness.decided.last().unwrap().1.untold.is_empty());
}
