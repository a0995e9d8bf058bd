//! Retry schedule, notices of delay, expiry: in virtual time.

mod world;

use std::time::Duration;

use mail::{Notify, Outcome, Scope};
use queue::{Settings, Verdict};
use relay_policy::Grounds;
use world::{World, all, by_mx, deferred, delivered, exact, failed, hours, minutes};

const ANN: &str = "ann@sender.example";

fn world(settings: Settings, outcome: Outcome) -> World {
    let mut world = World::new(settings, by_mx());
    world.servers(move |job, _| all(job, &outcome));
    world
}

#[test]
fn a_deferred_recipient_is_tried_by_the_schedule_and_given_up_at_the_expiry() {
    let expire = hours(10);
    let mut world = world(
        Settings {
            expire,
            delay_notice: None,
            ..exact()
        },
        deferred(Scope::Recipient),
    );
    world.store(1, ANN, &["bob@x.test"]);
    world.run(hours(20));
    // 1, 5, 15, 30 min, 1, 2, 4 h after one another; the last attempt falls on the expiry
    assert_eq!(
        world.attempt_minutes(),
        [0, 1, 6, 21, 51, 111, 231, 471, 600]
    );
    assert_eq!(world.verdicts().last().unwrap(), "600 expired 5.4.7");
    assert_eq!(world.disk.waiting(), 0);
    let (_, last) = world.decided.last().unwrap();
    let Verdict::GiveUp(end) = &last.recipients[0].verdict else {
        panic!("{last:?}")
    };
    let said = end.reason().to_string();
    assert_eq!(
        said,
        "554 5.4.7 delivery time expired; last: 451 4.7.1 greylisted"
    );
}

#[test]
fn jitter_lengthens_a_pause_a_little_and_always_alike() {
    let times = |percent| {
        let settings = Settings {
            jitter_percent: percent,
            ..Settings::default()
        };
        let mut world = world(settings, deferred(Scope::Message));
        for n in 0..50 {
            world.store(n, ANN, &["bob@x.test"]);
        }
        world.run(minutes(2));
        let times: Vec<_> = world.sent.iter().skip(50).map(|s| s.0).collect();
        assert_eq!(times.len(), 50);
        times
    };
    let (none, some) = (times(0), times(20));
    assert!(none.iter().max().unwrap().since(*none.first().unwrap()) < Duration::from_millis(100));
    let spread = some
        .iter()
        .max()
        .unwrap()
        .since(*some.iter().min().unwrap());
    assert!(
        spread > Duration::from_secs(3) && spread <= Duration::from_secs(12),
        "{spread:?}"
    );
    assert_eq!(some, times(20));
}

#[test]
fn the_sender_is_told_of_the_delay_once() {
    let mut world = world(
        Settings {
            delay_notice: Some(hours(1)),
            ..exact()
        },
        deferred(Scope::Recipient),
    );
    world.store(1, ANN, &["bob@x.test"]);
    world.run(hours(12));
    let notices: Vec<_> = world
        .verdicts()
        .into_iter()
        .filter(|v| v.contains("delayed"))
        .collect();
    assert_eq!(notices, ["60 delayed"]);
    assert_eq!(world.attempt_minutes()[..7], [0, 1, 6, 21, 51, 60, 180]);
}

#[test]
fn who_wants_no_notice_of_delay_gets_none() {
    let wishes = [
        Notify::NEVER,
        Notify {
            failure: true,
            ..Notify::NEVER
        },
        Notify {
            success: true,
            ..Notify::NEVER
        },
    ];
    for notify in wishes {
        let mut world = world(
            Settings {
                delay_notice: Some(hours(1)),
                ..exact()
            },
            deferred(Scope::Recipient),
        );
        world.store_with(1, notify, &["bob@x.test"]);
        world.store(2, "", &["bob@x.test"]);
        world.run(hours(12));
        assert!(
            world.verdicts().iter().all(|v| v.contains("again")),
            "{:?}",
            world.verdicts()
        );
    }
}

#[test]
fn outcomes_are_judged_one_by_one() {
    let mut world = World::new(exact(), by_mx());
    world.servers(|job, _| {
        let outcomes = [delivered(), failed(), deferred(Scope::Recipient)];
        let results = job.recipients.iter().zip(outcomes);
        // The fourth is left out: an attempt that says nothing about somebody has failed for them.
        Some(results.map(|(r, outcome)| (r.number, outcome)).collect())
    });
    world.store(1, ANN, &["a@x.test", "b@x.test", "c@x.test", "d@x.test"]);
    world.run(Duration::from_secs(1));
    assert_eq!(
        world.verdicts(),
        ["0 delivered", "0 failed 5.1.1", "0 again", "0 again"]
    );
}

#[test]
fn only_a_notice_of_our_own_that_fails_is_held_as_badmail() {
    let keep = exact();
    let discard = Settings {
        keep_badmail: false,
        ..exact()
    };
    let cases = [
        (Grounds::OwnNotice, &keep, "badmail"),
        (Grounds::OwnNotice, &discard, "dropped"),
        (Grounds::OurDomain, &keep, "dropped"),
        (Grounds::ListedClient, &discard, "dropped"),
    ];
    for (grounds, settings, end) in cases {
        for (outcome, minute) in [(failed(), 0), (deferred(Scope::Recipient), 2880)] {
            let mut world = world(settings.clone(), outcome);
            world.store_on(1, "", grounds, &["ann@sender.example"]);
            world.run(hours(50));
            let last = world.verdicts().pop().unwrap();
            assert_eq!(last, format!("{minute} {end}"));
            let kept = usize::from(end == "badmail");
            assert_eq!((world.disk.waiting(), world.disk.messages.len()), (0, kept));
        }
    }
}

#[test]
fn a_message_that_brings_its_couriers_down_keeps_to_the_schedule() {
    let mut world = World::new(exact(), by_mx());
    world.servers(|_, _| None);
    world.store(1, ANN, &["bob@x.test"]);
    world.run(hours(1));
    assert_eq!(world.attempt_minutes(), [0, 1, 6, 21, 51]);
    assert_eq!(world.queue.counts().couriers, 0);
}

#[test]
fn while_its_site_is_down_old_mail_expires_without_an_attempt() {
    let settings = Settings {
        delay_notice: Some(hours(2)),
        expire: hours(5),
        ..exact()
    };
    let mut world = world(settings, deferred(Scope::Site));
    for n in 0..2000 {
        world.store(n, ANN, &["bob@x.test"]);
    }
    world.run(hours(1));
    world.store(5000, ANN, &["carl@x.test"]);
    world.run(hours(4) + minutes(1));
    // told at two hours, given up at five, all of them; the late one waits on
    let verdicts = world.verdicts();
    let count = |word: &str| verdicts.iter().filter(|v| v.contains(word)).count();
    assert_eq!((count("delayed"), count("expired 5.4.7")), (2001, 2000));
    assert_eq!(world.disk.waiting(), 1);
    assert!(world.sent.len() < 100, "{}", world.sent.len());
    let untried = world
        .decided
        .iter()
        .find(|(_, d)| !d.recipients[0].tried)
        .unwrap();
    let Verdict::TryAgain {
        last,
        tries,
        failure,
        ..
    } = &untried.1.recipients[0].verdict
    else {
        panic!()
    };
    // The sender hears what is wrong although there was no attempt.
    let known = failure.as_ref().map(|f| f.reply.to_string());
    assert_eq!(known.as_deref(), Some("451 4.7.1 greylisted"));
    assert_eq!(
        (&**last, *tries),
        ("mx.test [192.0.2.9]:25: 451 4.7.1 greylisted", 0)
    );
    world.run(hours(1));
    assert_eq!(world.disk.waiting(), 0);
}
