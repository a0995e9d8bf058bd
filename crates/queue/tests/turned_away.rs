//! Sites that take fewer connections than we would make, and messages that break the connections
//! they are on.

mod harness;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use harness::{
    Harness, MailAnswer, all, by_mx, deferred, delivered, exact, hours, id, lost_within, minutes,
};
use mail::Scope;
use queue::{Disposition, Event, JobReport, Judged, Reach};

const ANN: &str = "ann@sender.example";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Sixty messages at once for a site that lets so many in, 150 ms a message.
fn sixty(lets_in: usize, otherwise: MailAnswer) -> Harness {
    let mut harness = Harness::new(exact(), by_mx());
    harness.latency = Duration::from_millis(150);
    harness.mail_answers(move |_, let_in| {
        if let_in.is_none_or(|let_in| let_in < lets_in) {
            MailAnswer::Taken
        } else {
            otherwise
        }
    });
    for n in 0..60 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness
}

fn tries(harness: &Harness) -> usize {
    let dispositions = harness.decided.iter().flat_map(|(_, d)| &d.recipients);
    dispositions
        .filter(|judged| matches!(judged.disposition, Disposition::TryAgain { .. }))
        .count()
}

#[test]
fn a_connection_too_many_costs_no_message_its_try() {
    for otherwise in [MailAnswer::Refused, MailAnswer::PutOff] {
        let mut harness = sixty(3, otherwise);
        harness.run(seconds(5));
        assert_eq!((harness.disk.waiting(), tries(&harness)), (0, 0));
        assert!(harness.refusals <= 20, "{}", harness.refusals);
        let limit = harness.queue.present_limit("mx:x.test");
        assert_eq!(limit, Some(3));
    }
}

#[test]
fn a_job_says_how_often_it_was_turned_away_before() {
    let mut harness = sixty(3, MailAnswer::Refused);
    let most = Rc::new(Cell::new(0));
    let seen = Rc::clone(&most);
    harness.mail_answers(move |job, let_in| {
        assert_eq!(job.recipients[0].tries, 0);
        seen.set(seen.get().max(job.excused));
        if let_in.is_none_or(|let_in| let_in < 3) {
            MailAnswer::Taken
        } else {
            MailAnswer::Refused
        }
    });
    harness.run(seconds(5));
    assert_eq!(harness.disk.waiting(), 0);
    assert!((1..=5).contains(&most.get()), "{}", most.get());
}

#[test]
fn a_site_that_turned_connections_away_gets_more_again_later() {
    let mut harness = sixty(3, MailAnswer::Refused);
    harness.run(seconds(5));
    harness.mail_answers(|_, _| MailAnswer::Taken);
    for n in 100..2500 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(seconds(20));
    assert_eq!(harness.agents.len(), 3);
    harness.run(seconds(70));
    let limit = harness.queue.present_limit("mx:x.test");
    assert!((4..20).contains(&limit.unwrap()), "{limit:?}");
    harness.run(minutes(4));
    assert_eq!(
        (harness.disk.waiting(), harness.queue.counts().sites),
        (0, 0)
    );
}

#[test]
fn a_site_that_lets_nobody_in_is_left_alone_and_one_message_has_tried() {
    let mut harness = sixty(0, MailAnswer::Refused);
    harness.run(seconds(30));
    assert_eq!((harness.refusals, tries(&harness)), (20, 1));
    assert_eq!(harness.queue.counts().suspended_sites, 1);
    // A connection that hangs does not speak for its site for long.
    let mut harness = Harness::new(exact(), by_mx());
    harness.mail_answers(|job, _| {
        if job.message.id == id(0) {
            MailAnswer::Silent
        } else {
            MailAnswer::Refused
        }
    });
    for n in 0..60 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(seconds(35));
    assert_eq!(harness.queue.counts().suspended_sites, 1);
}

#[test]
fn a_site_that_was_down_gets_all_its_connections_when_it_is_back() {
    let mut harness = sixty(0, MailAnswer::Refused);
    harness.run(seconds(1));
    assert_eq!(harness.queue.counts().suspended_sites, 1);
    harness.mail_answers(|_, _| MailAnswer::Taken);
    for n in 100..1000 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    while harness.queue.counts().suspended_sites > 0 {
        harness.run(seconds(1));
    }
    harness.run(seconds(1));
    assert_eq!(harness.agents.len(), 20);
    assert_eq!(harness.queue.present_limit("mx:x.test"), None);
    harness.run(seconds(10));
    assert_eq!(harness.disk.waiting(), 0);
}

#[test]
fn a_message_that_was_delivered_to_some_is_not_put_back_for_them() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.latency = seconds(1);
    harness.mail_answers(|_, _| MailAnswer::Taken);
    harness.store(0, ANN, &["bob@x.test"]);
    harness.store(1, ANN, &["bob@x.test", "cat@x.test"]);
    let out = |harness: &Harness, number| {
        let sent = harness
            .sent
            .iter()
            .filter(|(_, key, _)| *key == (id(1), number));
        sent.map(|(_, _, agent)| *agent).collect::<Vec<_>>()
    };
    let agent = out(&harness, 0)[0];
    harness.event(Event::JobEnded {
        agent,
        report: JobReport {
            results: vec![(0, delivered()), (1, deferred(Scope::Message))],
            reach: Reach::BeforeMail,
            reusable: false,
            dsn_passed: Vec::new(),
        },
    });
    harness.run(hours(1));
    assert_eq!(harness.disk.waiting(), 0);
    assert_eq!((out(&harness, 0).len(), out(&harness, 1).len()), (1, 2));
}

#[test]
fn a_message_that_was_deleted_while_it_was_turned_away_does_not_go_out_again() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.latency = seconds(1);
    harness.mail_answers(|job, _| {
        if job.message.id == id(1) {
            MailAnswer::PutOff
        } else {
            MailAnswer::Taken
        }
    });
    harness.store(0, ANN, &["bob@x.test"]);
    harness.store(1, ANN, &["bob@x.test"]);
    harness.disk.forget((id(1), 0));
    let domains = harness.disk.domains();
    harness.event(Event::Changed { domains });
    harness.run(hours(1));
    let sent = harness.sent.iter().filter(|(_, key, _)| key.0 == id(1));
    assert_eq!((sent.count(), harness.disk.waiting()), (1, 0));
}

#[test]
fn a_message_that_is_always_put_off_at_mail_is_tried_by_its_own_schedule() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.mail_answers(|job, _| {
        if job.message.id == id(7) {
            MailAnswer::PutOff
        } else {
            MailAnswer::Taken
        }
    });
    for n in 0..2000 {
        harness.store(n, ANN, &["bob@x.test"]);
        harness.run(Duration::from_millis(10));
    }
    assert_eq!(tries(&harness), 1);
    assert!(harness.refusals <= 6, "{}", harness.refusals);
    harness.run(hours(1));
    assert_eq!(harness.disk.waiting(), 1);
    assert!(harness.refusals < 20, "{}", harness.refusals);
}

#[test]
fn messages_that_break_connections_hold_up_nobody_else() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| {
        let bad = job.message.id < id(12);
        all(job, &if bad { lost_within() } else { delivered() })
    });
    for n in 0..12 {
        harness.store(n, ANN, &["bob@x.test"]);
        harness.run(seconds(1));
    }
    assert_eq!(
        (tries(&harness), harness.queue.counts().suspended_sites),
        (12, 0)
    );
    let before = harness.now;
    harness.store(100, ANN, &["bob@x.test"]);
    harness.run(seconds(1));
    let (at, decided) = harness.decided.last().unwrap();
    assert_eq!(decided.message.id, id(100));
    assert!(at.since(before) < seconds(1), "{:?}", at.since(before));
}

#[test]
fn a_site_is_probed_with_a_message_that_has_not_failed_there() {
    let mut harness = Harness::new(exact(), by_mx());
    // Twelve bad messages have failed, and then the site goes down.
    harness.servers(|job, _| all(job, &lost_within()));
    for n in 0..12 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(seconds(50));
    harness.servers(|job, _| all(job, &deferred(Scope::Site)));
    harness.store(50, ANN, &["bob@x.test"]);
    harness.run(minutes(20));
    assert_eq!(harness.queue.counts().suspended_sites, 1);
    harness.store(100, ANN, &["bob@x.test"]);
    let sent = harness.sent.len();
    harness.servers(|job, _| {
        let bad = job.message.id < id(12);
        all(job, &if bad { lost_within() } else { delivered() })
    });
    harness.run(minutes(6));
    let (_, (probe, _), _) = harness.sent[sent];
    assert_eq!(probe, id(100));
    assert_eq!(harness.queue.counts().suspended_sites, 0);
}

#[test]
fn a_probe_that_breaks_its_connection_is_followed_by_another_message_at_once() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| all(job, &deferred(Scope::Site)));
    for n in 0..13 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(seconds(30));
    harness.servers(|job, _| {
        let bad = job.message.id < id(12);
        all(job, &if bad { lost_within() } else { delivered() })
    });
    // The first pause is a minute, and none of the twelve adds another.
    harness.run(seconds(35));
    let good = harness
        .decided
        .iter()
        .rfind(|(_, d)| d.message.id == id(12));
    let delivered = |judged: &Judged| matches!(judged.disposition, Disposition::Delivered(_));
    assert!(good.is_some_and(|(_, d)| d.recipients.iter().all(delivered)));
}

#[test]
fn a_site_that_loses_every_message_gets_fewer_connections() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| all(job, &lost_within()));
    for n in 0..200 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(seconds(5));
    assert_eq!(tries(&harness), 200);
    assert_eq!(harness.queue.present_limit("mx:x.test"), Some(1));
}
