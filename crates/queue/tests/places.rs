//! Who may hold how many of the connections, and of the room in memory.

mod world;

use std::sync::Arc;
use std::time::Duration;

use mail::{Place, ReversePath};
use queue::Settings;
use relay_policy::{Admitted, Grounds};
use route::{DomainPattern, HostSpec, Routes, Via};
use world::{Door, World, by_mx, exact, id, message, minutes};

const ANN: &str = "ann@sender.example";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Mail for `hosted.test` goes to a smart host, all other by MX.
fn hosted() -> Arc<Routes> {
    let host = HostSpec {
        host: mail::Host::parse("[192.0.2.7]").unwrap(),
        exact: true,
        port: None,
    };
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

/// A world in which everybody answers but for those whose site's name says so.
fn world(settings: Settings, routes: Arc<Routes>) -> World {
    let mut world = World::new(settings, routes);
    world.doors(|job, _| {
        if job.site.name.contains("silent") {
            Door::Silent
        } else {
            Door::Open
        }
    });
    world
}

/// A message from `from` on these grounds.
fn store(world: &mut World, n: u128, from: &str, grounds: Grounds, to: &str) {
    world.store_on(n, from, grounds, &[to]);
}

/// Notices to so many sites that connect and say nothing.
fn notices(world: &mut World, count: u128) {
    for n in 0..count {
        let to = format!("a@s{n}.silent.test");
        store(world, n, "", Grounds::OwnNotice, &to);
    }
}

/// How long a message takes that comes now.
fn delay(world: &mut World, n: u128, to: &str) -> Duration {
    let before = world.now;
    store(world, n, ANN, Grounds::OurDomain, to);
    world.run(minutes(5));
    let sent = |(_, decided): &&(_, Arc<queue::Decided>)| decided.message.id == id(n);
    let (at, _) = world.decided.iter().find(sent).unwrap();
    at.since(before)
}

#[test]
fn notices_to_sites_that_say_nothing_hold_no_more_than_their_share() {
    let mut world = world(settings(), hosted());
    notices(&mut world, 1200);
    assert_eq!(world.agents.len(), 20);
    // Everybody else's mail goes as if there were no notices.
    assert_eq!(delay(&mut world, 5000, "bob@hosted.test"), world.latency);
    assert_eq!(delay(&mut world, 5001, "bob@elsewhere.test"), world.latency);
}

#[test]
fn places_and_room_in_memory_are_kept_for_sites_that_the_configuration_names() {
    let full = Settings {
        ready_max: 200,
        notices_percent: 100,
        ..settings()
    };
    let mut world = world(full, hosted());
    for n in 0..1000 {
        world.store(n, ANN, &[&format!("a@s{n}.silent.test")]);
    }
    assert_eq!(world.agents.len(), 75);
    assert!(world.queue.counts().ready <= 150);
    assert_eq!(delay(&mut world, 5000, "bob@hosted.test"), world.latency);
    // A configuration that names none keeps nothing.
    let mut world = self::world(settings(), by_mx());
    for n in 0..1000 {
        world.store(n, ANN, &[&format!("a@s{n}.silent.test")]);
    }
    assert_eq!(world.agents.len(), 100);
}

#[test]
fn no_senders_domain_and_no_mail_of_strangers_holds_everything() {
    let shares = Settings {
        sender_percent: 50,
        strangers_percent: 60,
        ..settings()
    };
    let mut world = world(shares.clone(), by_mx());
    for n in 0..200 {
        world.store(n, ANN, &[&format!("a@s{n}.silent.test")]);
    }
    assert_eq!(world.agents.len(), 50);
    store(
        &mut world,
        900,
        "eve@other.example",
        Grounds::ListedClient,
        "bob@y.test",
    );
    world.run(seconds(1));
    assert_eq!(world.decided.len(), 1);
    let mut world = self::world(shares, by_mx());
    for n in 0..200 {
        let (from, to) = (format!("a@s{n}.example"), format!("a@s{n}.silent.test"));
        store(&mut world, n, &from, Grounds::OurDomain, &to);
    }
    assert_eq!(world.agents.len(), 60);
}

#[test]
fn a_kind_that_has_its_share_waits_for_its_own_and_all_of_it_goes() {
    let mut world = world(settings(), hosted());
    for n in 0..500 {
        store(
            &mut world,
            n,
            "",
            Grounds::OwnNotice,
            &format!("a@d{n}.test"),
        );
    }
    // At one site, others go past notices that wait.
    for n in 500..600 {
        store(&mut world, n, "", Grounds::OwnNotice, "a@busy.test");
    }
    let delay = delay(&mut world, 5000, "bob@busy.test");
    assert_eq!(delay, world.latency);
    world.run(minutes(1));
    assert_eq!(world.disk.waiting(), 0);
    // The notices' share, and the one other.
    assert_eq!(world.busy_most, 21);
}

/// A queue that starts with so many notices in the spool to silent sites and to one that answers,
/// and behind them a message for that one.
fn behind_notices(silent: u128, count: u128) -> World {
    let small = Settings {
        ready_max: 200,
        load_batch: 20,
        ..settings()
    };
    let mut world = world(small.clone(), hosted());
    notices(&mut world, silent);
    for n in 0..count {
        let to = "a@busy.test";
        store(&mut world, 10_000 + n, "", Grounds::OwnNotice, to);
    }
    let (message, recipients) = message(50_000, ANN, world.now, &["bob@busy.test"]);
    world.disk.store(&message, &recipients);
    (world.ready_most, world.loads) = (0, 0);
    world.restart(small, hosted());
    world
}

#[test]
fn mail_in_the_spool_goes_past_notices_that_have_their_share_of_memory() {
    for (silent, count) in [(0, 400), (1000, 400), (1000, 3000)] {
        let mut world = behind_notices(silent, count);
        let before = world.now;
        world.run(minutes(2));
        let sent = world.sent.iter().find(|(_, key, _)| key.0 == id(50_000));
        let delay = sent.map(|(at, ..)| at.since(before));
        let in_time = delay.is_some_and(|delay| delay < seconds(1));
        assert!(in_time, "{silent} and {count}: {delay:?}");
        assert!(world.ready_most <= 200, "{}", world.ready_most);
        if silent == 0 {
            // Those that were passed over go as well, and no page is read again and again.
            assert_eq!(world.disk.waiting(), 0);
            assert!(world.loads < 200, "{}", world.loads);
        }
    }
}

#[test]
fn a_connection_that_nobody_lets_in_is_given_up_sooner_when_others_wait() {
    let mut world = world(settings(), hosted());
    notices(&mut world, 20);
    world.run(seconds(60));
    assert_eq!((world.refusals, world.agents.len()), (0, 20));
    // The twenty-first waits for no more than a second, since they have had their time.
    store(&mut world, 100, "", Grounds::OwnNotice, "a@d.test");
    world.run(seconds(2));
    assert_eq!(world.disk.waiting(), 20);
    // No more are given up than are needed; what is not wanted stays.
    assert_eq!(world.refusals, 1);
    let mut world = self::world(settings(), hosted());
    notices(&mut world, 40);
    world.run(seconds(19));
    assert_eq!(world.refusals, 0);
    world.run(seconds(3));
    assert_eq!(world.refusals, 20);
}

#[test]
fn strangers_get_a_limited_number_of_notices_of_success() {
    let limited = Settings {
        success_notices: Some((10, minutes(1))),
        ..settings()
    };
    let mut world = world(limited, hosted());
    let wants = mail::Notify {
        success: true,
        failure: true,
        delay: false,
    };
    for n in 0..30 {
        let (message, mut recipients) = message(n, ANN, world.now, &["bob@hosted.test"]);
        assert_ne!(message.reverse_path, ReversePath::Null);
        for recipient in &mut recipients {
            let address = recipient.admitted.recipient().clone();
            recipient.admitted = Admitted::from_stored(address, Grounds::OurDomain);
            recipient.parameters.notify = Some(wants);
        }
        world.store_message(message, recipients);
    }
    world.run(seconds(1));
    let untold = world
        .decided
        .iter()
        .filter(|(_, d)| d.untold == [0])
        .count();
    assert_eq!((world.decided.len(), untold), (30, 20));
    // Those who may relay are told whatever strangers ask for.
    world.store_with(100, wants, &["bob@hosted.test"]);
    world.run(seconds(1));
    assert!(world.decided.last().unwrap().1.untold.is_empty());
}
