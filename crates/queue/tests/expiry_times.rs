//! Retry schedule, notices of delay, expiry: in virtual time.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{
    Harness, START, all, by_mx, deferred, delivered, exact, failed, hours, message, minutes,
};
use mail::{Notify, Outcome, Scope};
use queue::{Disposition, Moment, Settings, TimeLine};
use relay_policy::{Admitted, Grounds, NameMap, NamePattern};
use spool::RecipientState;

const ANN: &str = "ann@sender.example";

fn harness(settings: Settings, outcome: Outcome) -> Harness {
    let mut harness = Harness::new(settings, by_mx());
    harness.servers(move |job, _| all(job, &outcome));
    harness
}

#[test]
fn a_deferred_recipient_is_tried_by_the_schedule_and_given_up_at_the_expiry() {
    let expire = hours(10);
    let mut harness = harness(
        Settings {
            expire,
            delay_notice: None,
            ..exact()
        },
        deferred(Scope::Recipient),
    );
    harness.store(1, ANN, &["bob@x.test"]);
    harness.run(hours(20));
    // 1, 5, 15, 30 min, 1, 2, 4 h after one another; the last attempt falls on the expiry
    assert_eq!(
        harness.attempt_minutes(),
        [0, 1, 6, 21, 51, 111, 231, 471, 600]
    );
    assert_eq!(harness.dispositions().last().unwrap(), "600 expired 5.4.7");
    assert_eq!(harness.disk.waiting(), 0);
    let (_, last) = harness.decided.last().unwrap();
    let Disposition::GiveUp(end) = &last.recipients[0].disposition else {
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
        let mut harness = harness(settings, deferred(Scope::Message));
        for n in 0..50 {
            harness.store(n, ANN, &["bob@x.test"]);
        }
        harness.run(minutes(2));
        let times: Vec<_> = harness.sent.iter().skip(50).map(|s| s.0).collect();
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
    let mut harness = harness(
        Settings {
            delay_notice: Some(hours(1)),
            ..exact()
        },
        deferred(Scope::Recipient),
    );
    harness.store(1, ANN, &["bob@x.test"]);
    harness.run(hours(12));
    let notices: Vec<_> = harness
        .dispositions()
        .into_iter()
        .filter(|v| v.contains("delayed"))
        .collect();
    assert_eq!(notices, ["60 delayed"]);
    assert_eq!(harness.attempt_minutes()[..7], [0, 1, 6, 21, 51, 60, 180]);
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
        let mut harness = harness(
            Settings {
                delay_notice: Some(hours(1)),
                ..exact()
            },
            deferred(Scope::Recipient),
        );
        harness.store_with(1, notify, &["bob@x.test"]);
        harness.store(2, "", &["bob@x.test"]);
        harness.run(hours(12));
        assert!(
            harness.dispositions().iter().all(|v| v.contains("again")),
            "{:?}",
            harness.dispositions()
        );
    }
}

#[test]
fn outcomes_are_judged_one_by_one() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| {
        let outcomes = [delivered(), failed(), deferred(Scope::Recipient)];
        let results = job.recipients.iter().zip(outcomes);
        // The fourth is left out: an attempt that says nothing about somebody has failed for them.
        Some(results.map(|(r, outcome)| (r.number, outcome)).collect())
    });
    harness.store(1, ANN, &["a@x.test", "b@x.test", "c@x.test", "d@x.test"]);
    harness.run(Duration::from_secs(1));
    assert_eq!(
        harness.dispositions(),
        ["0 delivered", "0 again", "0 again", "0 failed 5.1.1"]
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
            let mut harness = harness(settings.clone(), outcome);
            harness.store_on(1, "", grounds, &["ann@sender.example"]);
            harness.run(hours(50));
            let last = harness.dispositions().pop().unwrap();
            assert_eq!(last, format!("{minute} {end}"));
            let kept = usize::from(end == "badmail");
            assert_eq!(
                (harness.disk.waiting(), harness.disk.messages.len()),
                (0, kept)
            );
        }
    }
}

#[test]
fn what_strangers_send_to_known_recipients_is_held_where_that_is_wished() {
    let mut domains = NameMap::default();
    for (name, known) in [("*.hosted.test", true), ("open.hosted.test", false)] {
        domains.insert(NamePattern::parse(name).unwrap(), known);
    }
    let settings = Settings {
        strangers_to_badmail: Arc::new(domains),
        ..exact()
    };
    for (to, stranger, refused, late) in [
        ("a@mx.hosted.test", true, "0 badmail", None),
        (
            "a@open.hosted.test",
            true,
            "0 failed 5.1.1",
            Some("delayed"),
        ),
        ("a@else.test", true, "0 failed 5.1.1", Some("delayed")),
        ("a@mx.hosted.test", false, "0 failed 5.1.1", Some("delayed")),
        // Forwarded from there.
        ("b@mx.hosted.test>a@else.test", true, "0 badmail", None),
        (
            "b@open.hosted.test>a@mx.hosted.test",
            true,
            "0 badmail",
            None,
        ),
        (
            "b@open.hosted.test>a@else.test",
            true,
            "0 failed 5.1.1",
            Some("delayed"),
        ),
    ] {
        let run = |outcome, for_hours| {
            let mut harness = harness(settings.clone(), outcome);
            let (from, to) = to
                .split_once('>')
                .map_or((None, to), |(from, to)| (Some(from), to));
            let (mut message, mut recipients) = message(1, ANN, START, &[to]);
            Arc::make_mut(&mut message).from_stranger = stranger;
            if let Some(from) = from {
                let to = recipients[0].admitted.recipient().clone();
                let grounds = format!("forwarded {from}");
                recipients[0].admitted = Admitted::from_stored_text(to, &grounds).unwrap();
            }
            harness.store_message(message, recipients);
            harness.run(hours(for_hours));
            harness
        };
        assert_eq!(
            run(failed(), 1).dispositions(),
            [refused],
            "{to} {stranger}"
        );
        let told = notices(&run(deferred(Scope::Recipient), 13)).concat();
        assert_eq!(told.first().copied(), late, "{to} {stranger}");
    }
}

/// The settlements of which the sender hears, each as the dispositions in it.
fn notices(harness: &Harness) -> Vec<Vec<&'static str>> {
    let word = |disposition: &Disposition| match disposition {
        Disposition::GiveUp(end) if end.expired => Some("expired"),
        Disposition::GiveUp(_) => Some("failed"),
        Disposition::TryAgain {
            delay_notice: true, ..
        } => Some("delayed"),
        _ => None,
    };
    let of_one = |decided: &queue::Decided| -> Vec<_> {
        let dispositions = decided.recipients.iter().map(|judged| &judged.disposition);
        dispositions.filter_map(word).collect()
    };
    let all = harness.decided.iter().map(|(_, decided)| of_one(decided));
    all.filter(|words| !words.is_empty()).collect()
}

const SIX: [&str; 6] = [
    "a@a.test", "b@b.test", "c@c.test", "d@d.test", "e@e.test", "f@f.test",
];

#[test]
fn bad_news_of_one_moment_about_one_message_are_one_settlement() {
    let mut harness = harness(exact(), failed());
    harness.store(1, ANN, &SIX);
    // About another message they are another's news.
    harness.store(2, ANN, &["a@a.test"]);
    harness.run(Duration::from_secs(60));
    let mut sizes: Vec<_> = notices(&harness).iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 6]);
    assert_eq!(
        (harness.disk.waiting(), harness.queue.counts().settling),
        (0, 0)
    );

    // A delivery is never kept waiting.
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| match &*job.site.name {
        "mx:a.test" => all(job, &delivered()),
        _ => all(job, &failed()),
    });
    harness.latency = minutes(1);
    harness.store(1, ANN, &SIX);
    harness.run(minutes(3));
    assert_eq!(notices(&harness), [["failed"; 5]]);
    assert_eq!(harness.dispositions()[0], "1 delivered");
}

#[test]
fn bad_news_wait_for_a_slow_site_for_a_moment_only() {
    let settings = Settings {
        connections_max: 1,
        ..exact()
    };
    let mut harness = harness(settings, failed());
    harness.latency = minutes(1);
    harness.store(1, ANN, &SIX);
    harness.run(Duration::from_secs(66));
    assert_eq!(notices(&harness), [["failed"]]);
    harness.run(minutes(6));
    assert_eq!(notices(&harness), [["failed"]; 6]);
}

#[test]
fn the_delay_and_the_end_of_a_message_to_many_dead_sites_are_told_once_each() {
    let settings = Settings {
        delay_notice: Some(hours(1)),
        expire: hours(5),
        ..exact()
    };
    let mut harness = harness(settings, deferred(Scope::Site));
    harness.store(1, ANN, &SIX);
    harness.run(hours(6));
    assert_eq!(notices(&harness), [vec!["delayed"; 6], vec!["expired"; 6]]);
    assert_eq!(
        (harness.disk.waiting(), harness.queue.counts().settling),
        (0, 0)
    );
}

#[test]
fn a_message_that_brings_its_agents_down_keeps_to_the_schedule() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|_, _| None);
    harness.store(1, ANN, &["bob@x.test"]);
    harness.run(hours(1));
    assert_eq!(harness.attempt_minutes(), [0, 1, 6, 21, 51]);
    assert_eq!(harness.queue.counts().agents, 0);
}

#[test]
fn while_its_site_is_down_old_mail_expires_without_an_attempt_of_its_own() {
    let settings = Settings {
        delay_notice: Some(hours(2)),
        expire: hours(5),
        ..exact()
    };
    let mut harness = harness(settings, deferred(Scope::Site));
    for n in 0..2000 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(hours(1));
    harness.store(5000, ANN, &["carl@x.test"]);
    harness.run(hours(4) + minutes(6));
    // told at two hours, given up by the first attempt at the site after five, all of them; the
    // late one waits on
    let dispositions = harness.dispositions();
    let count = |word: &str| dispositions.iter().filter(|v| v.contains(word)).count();
    assert_eq!((count("delayed"), count("expired 5.4.7")), (2001, 2000));
    assert_eq!(harness.disk.waiting(), 1);
    assert!(harness.sent.len() < 100, "{}", harness.sent.len());
    let untried = harness
        .decided
        .iter()
        .find(|(_, d)| !d.recipients[0].tried)
        .unwrap();
    let Disposition::TryAgain {
        last,
        tries,
        failure,
        ..
    } = &untried.1.recipients[0].disposition
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
    harness.run(hours(1));
    assert_eq!(harness.disk.waiting(), 0);
}

/// A machine that slept or was off, and a server that took its time: however old the message is by
/// then, it is tried once more.
#[test]
fn nobody_is_given_up_for_age_before_an_attempt_after_that_age() {
    for (restarted, scope) in [
        (false, Scope::Recipient),
        (false, Scope::Site),
        (true, Scope::Recipient),
        (true, Scope::Site),
    ] {
        let mut harness = Harness::new(exact(), by_mx());
        let back = START + hours(100);
        harness.servers(move |job, now| {
            let outcome = if now < back {
                deferred(scope)
            } else {
                delivered()
            };
            all(job, &outcome)
        });
        for n in 0..600 {
            harness.store(n, ANN, &["bob@x.test"]);
        }
        harness.run(hours(1));
        harness.now = back;
        if restarted {
            harness.restart(exact(), by_mx());
        }
        harness.run(minutes(10));
        let given_up = harness.dispositions().iter().any(|v| v.contains("expired"));
        assert!(!given_up, "{restarted} {scope:?}");
        assert_eq!(harness.disk.waiting(), 0, "{restarted} {scope:?}");
    }
}

#[test]
fn an_attempt_that_began_too_early_is_followed_by_a_last_one() {
    let settings = Settings {
        expire: minutes(60),
        delay_notice: Some(minutes(50)),
        ..exact()
    };
    let mut harness = harness(settings, deferred(Scope::Recipient));
    harness.latency = minutes(12);
    harness.store(1, ANN, &["bob@x.test"]);
    harness.run(hours(3));
    // 12 minutes each; the one that began at 55 ends at 67
    assert_eq!(harness.attempt_minutes(), [0, 13, 30, 50, 62]);
    let dispositions = harness.dispositions();
    let again = [
        "12 again",
        "25 again",
        "42 again",
        "62 again",
        "74 expired 5.4.7",
    ];
    assert_eq!(dispositions, again);
}

/// After so long the site is not believed to be still down; one attempt there is enough for all who
/// wait for it.
#[test]
fn after_a_downtime_one_attempt_at_a_site_that_is_down_stands_for_all() {
    let mut harness = harness(exact(), deferred(Scope::Site));
    for n in 0..600 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(minutes(1));
    harness.now = START + hours(100);
    harness.sent.clear();
    harness.restart(exact(), by_mx());
    harness.run(minutes(6));
    let dispositions = harness.dispositions();
    let expired = dispositions
        .iter()
        .filter(|v| v.contains("expired"))
        .count();
    assert_eq!((expired, harness.disk.waiting()), (600, 0));
    // As many as there are connections.
    assert!(harness.sent.len() <= 20, "{}", harness.sent.len());
}

/// What a clock that went wrong has left in the spool.
#[test]
fn a_due_time_further_ahead_than_any_pause_counts_as_now() {
    let mut harness = Harness::new(exact(), by_mx());
    let wrong = START + hours(24 * 400);
    for (n, due) in [
        (1, START + hours(3)),
        (2, wrong),
        (3, wrong + hours(700)),
        (4, wrong + hours(2000)),
    ] {
        let (message, mut recipients) = harness::message(n, ANN, START, &["bob@x.test"]);
        recipients[0].due = due;
        assert_eq!(recipients[0].state, RecipientState::Waiting);
        harness.disk.store(&message, &recipients);
    }
    harness.restart(exact(), by_mx());
    harness.run(hours(2));
    assert_eq!(harness.attempt_minutes(), [] as [u64; 0]);
    harness.run(hours(2));
    // Seen once what was due before is out of the way.
    assert_eq!(harness.attempt_minutes(), [180; 4]);
    assert_eq!(harness.disk.waiting(), 0);
    assert!(harness.loads < 10, "{}", harness.loads);
}

/// The system's clock is set while the relay runs, and again while it is down.
#[test]
fn a_step_of_the_clock_expires_nothing_and_holds_nothing_up() {
    let days = |n: u64| hours(24 * n);
    let far = START + days(1000);
    for (running, down) in [
        (far + days(10), far + days(10) + hours(1)),
        (far - days(10), far - days(10) + hours(1)),
        (far - days(10), far - days(500)),
    ] {
        let mut harness = harness(exact(), deferred(Scope::Recipient));
        let line = TimeLine::resume(None, START);
        harness.store(1, ANN, &["bob@x.test"]);
        harness.run(hours(1));
        let last = line.moment(harness.now.since(START), running);
        assert_eq!(last.shown(last.line), running);
        harness.run(hours(1));
        assert_eq!(harness.attempt_minutes(), [0, 1, 6, 21, 51, 111]);
        let before = Moment {
            wall: running + hours(1),
            ..line.moment(harness.now.since(START), running)
        };
        harness.now = TimeLine::resume(Some(before), down)
            .moment(Duration::ZERO, down)
            .line;
        harness.restart(exact(), by_mx());
        harness.run(hours(3));
        let attempts = harness.attempt_minutes();
        assert!(attempts.len() == 7, "{attempts:?}");
        assert!(attempts[6] <= 231, "{attempts:?}");
        assert_eq!(harness.disk.waiting(), 1, "{:?}", harness.dispositions());
    }
}

/// However the mail for it ended: delivered, refused, given up after a time of deferrals, or while
/// its site was down.
#[test]
fn nothing_is_kept_of_a_host_for_which_nobody_waits() {
    let mut harness = Harness::new(exact(), by_mx());
    let mut tries = 0;
    harness.servers(move |job, _| {
        tries += 1;
        let outcomes = [
            delivered(),
            failed(),
            deferred(Scope::Recipient),
            deferred(Scope::Site),
        ];
        let site = job.site.name.len() + usize::from(job.site.name.as_bytes()[4]);
        let kind = if tries % 7 == 0 { 0 } else { site % 4 };
        all(job, &outcomes[kind])
    });
    for n in 0..400 {
        let host = format!("bob@h{n}.test");
        let notice = if n % 3 == 0 { "" } else { ANN };
        harness.store(n, notice, &[&host, "carl@shared.test"]);
    }
    let most = harness.queue.counts();
    assert!(most.hosts > 300 && most.sites > 300, "{most:?}");
    harness.run(hours(72));
    assert_eq!(harness.disk.waiting(), 0);
    assert_eq!(harness.queue.counts(), queue::Counts::default());
}
