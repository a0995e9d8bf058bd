//! Sites that take fewer connections than we would make, and messages that break the connections
//! they are on.

mod world;

use std::time::Duration;

use mail::Scope;
use queue::{Disposition, Event, JobReport, Judged, Reach};
use world::{Door, World, all, by_mx, deferred, delivered, exact, hours, id, lost_within, minutes};

const ANN: &str = "ann@sender.example";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Sixty messages at once for a site that lets so many in, 150 ms a message.
fn sixty(lets_in: usize, otherwise: Door) -> World {
    let mut world = World::new(exact(), by_mx());
    world.latency = Duration::from_millis(150);
    world.doors(move |_, inside| {
        if inside.is_none_or(|inside| inside < lets_in) {
            Door::Open
        } else {
            otherwise
        }
    });
    for n in 0..60 {
        world.store(n, ANN, &["bob@x.test"]);
    }
    world
}

fn tries(world: &World) -> usize {
    let dispositions = world.decided.iter().flat_map(|(_, d)| &d.recipients);
    dispositions
        .filter(|judged| matches!(judged.disposition, Disposition::TryAgain { .. }))
        .count()
}

#[test]
fn a_connection_too_many_costs_no_message_its_try() {
    for otherwise in [Door::Refused, Door::PutOff] {
        let mut world = sixty(3, otherwise);
        world.run(seconds(5));
        assert_eq!((world.disk.waiting(), tries(&world)), (0, 0));
        assert!(world.refusals <= 20, "{}", world.refusals);
        let limit = world.queue.present_limit("mx:x.test");
        assert_eq!(limit, Some(3));
    }
}

#[test]
fn a_site_that_turned_connections_away_gets_more_again_later() {
    let mut world = sixty(3, Door::Refused);
    world.run(seconds(5));
    world.doors(|_, _| Door::Open);
    for n in 100..2500 {
        world.store(n, ANN, &["bob@x.test"]);
    }
    world.run(seconds(20));
    assert_eq!(world.agents.len(), 3);
    world.run(seconds(70));
    let limit = world.queue.present_limit("mx:x.test");
    assert!((4..20).contains(&limit.unwrap()), "{limit:?}");
    world.run(minutes(4));
    assert_eq!((world.disk.waiting(), world.queue.counts().sites), (0, 0));
}

#[test]
fn a_site_that_lets_nobody_in_is_left_alone_and_one_message_has_tried() {
    let mut world = sixty(0, Door::Refused);
    world.run(seconds(30));
    assert_eq!((world.refusals, tries(&world)), (20, 1));
    assert_eq!(world.queue.counts().suspended_sites, 1);
    // A connection that hangs does not speak for its site for long.
    let mut world = World::new(exact(), by_mx());
    world.doors(|job, _| {
        if job.message.id == id(0) {
            Door::Silent
        } else {
            Door::Refused
        }
    });
    for n in 0..60 {
        world.store(n, ANN, &["bob@x.test"]);
    }
    world.run(seconds(35));
    assert_eq!(world.queue.counts().suspended_sites, 1);
}

#[test]
fn a_message_that_was_delivered_to_some_is_not_put_back_for_them() {
    let mut world = World::new(exact(), by_mx());
    world.latency = seconds(1);
    world.doors(|_, _| Door::Open);
    world.store(0, ANN, &["bob@x.test"]);
    world.store(1, ANN, &["bob@x.test", "cat@x.test"]);
    let out = |world: &World, number| {
        let sent = world
            .sent
            .iter()
            .filter(|(_, key, _)| *key == (id(1), number));
        sent.map(|(_, _, agent)| *agent).collect::<Vec<_>>()
    };
    let agent = out(&world, 0)[0];
    world.event(Event::JobEnded {
        agent,
        report: JobReport {
            results: vec![(0, delivered()), (1, deferred(Scope::Message))],
            reach: Reach::BeforeMail,
            reusable: false,
            dsn_passed: Vec::new(),
        },
    });
    world.run(hours(1));
    assert_eq!(world.disk.waiting(), 0);
    assert_eq!((out(&world, 0).len(), out(&world, 1).len()), (1, 2));
}

#[test]
fn a_message_that_was_deleted_while_it_was_turned_away_does_not_go_out_again() {
    let mut world = World::new(exact(), by_mx());
    world.latency = seconds(1);
    world.doors(|job, _| {
        if job.message.id == id(1) {
            Door::PutOff
        } else {
            Door::Open
        }
    });
    world.store(0, ANN, &["bob@x.test"]);
    world.store(1, ANN, &["bob@x.test"]);
    world.disk.forget((id(1), 0));
    let domains = world.disk.domains();
    world.event(Event::Changed { domains });
    world.run(hours(1));
    let sent = world.sent.iter().filter(|(_, key, _)| key.0 == id(1));
    assert_eq!((sent.count(), world.disk.waiting()), (1, 0));
}

#[test]
fn a_message_that_is_always_put_off_at_mail_is_tried_by_its_own_schedule() {
    let mut world = World::new(exact(), by_mx());
    world.doors(|job, _| {
        if job.message.id == id(7) {
            Door::PutOff
        } else {
            Door::Open
        }
    });
    for n in 0..2000 {
        world.store(n, ANN, &["bob@x.test"]);
        world.run(Duration::from_millis(10));
    }
    assert_eq!(tries(&world), 1);
    assert!(world.refusals <= 6, "{}", world.refusals);
    world.run(hours(1));
    assert_eq!(world.disk.waiting(), 1);
    assert!(world.refusals < 20, "{}", world.refusals);
}

#[test]
fn messages_that_break_connections_hold_up_nobody_else() {
    let mut world = World::new(exact(), by_mx());
    world.servers(|job, _| {
        let bad = job.message.id < id(12);
        all(job, &if bad { lost_within() } else { delivered() })
    });
    for n in 0..12 {
        world.store(n, ANN, &["bob@x.test"]);
        world.run(seconds(1));
    }
    assert_eq!(
        (tries(&world), world.queue.counts().suspended_sites),
        (12, 0)
    );
    let before = world.now;
    world.store(100, ANN, &["bob@x.test"]);
    world.run(seconds(1));
    let (at, decided) = world.decided.last().unwrap();
    assert_eq!(decided.message.id, id(100));
    assert!(at.since(before) < seconds(1), "{:?}", at.since(before));
}

#[test]
fn a_site_is_probed_with_a_message_that_has_not_failed_there() {
    let mut world = World::new(exact(), by_mx());
    // Twelve bad messages have failed, and then the site goes down.
    world.servers(|job, _| all(job, &lost_within()));
    for n in 0..12 {
        world.store(n, ANN, &["bob@x.test"]);
    }
    world.run(seconds(50));
    world.servers(|job, _| all(job, &deferred(Scope::Site)));
    world.store(50, ANN, &["bob@x.test"]);
    world.run(minutes(20));
    assert_eq!(world.queue.counts().suspended_sites, 1);
    world.store(100, ANN, &["bob@x.test"]);
    let sent = world.sent.len();
    world.servers(|job, _| {
        let bad = job.message.id < id(12);
        all(job, &if bad { lost_within() } else { delivered() })
    });
    world.run(minutes(6));
    let (_, (probe, _), _) = world.sent[sent];
    assert_eq!(probe, id(100));
    assert_eq!(world.queue.counts().suspended_sites, 0);
}

#[test]
fn a_probe_that_breaks_its_connection_is_followed_by_another_message_at_once() {
    let mut world = World::new(exact(), by_mx());
    world.servers(|job, _| all(job, &deferred(Scope::Site)));
    for n in 0..13 {
        world.store(n, ANN, &["bob@x.test"]);
    }
    world.run(seconds(30));
    world.servers(|job, _| {
        let bad = job.message.id < id(12);
        all(job, &if bad { lost_within() } else { delivered() })
    });
    // The first pause is a minute, and none of the twelve adds another.
    world.run(seconds(35));
    let good = world.decided.iter().rfind(|(_, d)| d.message.id == id(12));
    let delivered = |judged: &Judged| matches!(judged.disposition, Disposition::Delivered(_));
    assert!(good.is_some_and(|(_, d)| d.recipients.iter().all(delivered)));
}

#[test]
fn a_site_that_loses_every_message_gets_fewer_connections() {
    let mut world = World::new(exact(), by_mx());
    world.servers(|job, _| all(job, &lost_within()));
    for n in 0..200 {
        world.store(n, ANN, &["bob@x.test"]);
    }
    world.run(seconds(5));
    assert_eq!(tries(&world), 200);
    assert_eq!(world.queue.present_limit("mx:x.test"), Some(1));
}
