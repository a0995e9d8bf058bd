//! Sites, and whole queues, to which an operator lets nothing go.

mod harness;

use std::time::Duration;

use harness::{Harness, all, by_mx, by_mx_first, deferred, delivered, exact, hours, minutes};
use mail::Scope;
use queue::{Condition, Event, Occurrence, Settings};

const ANN: &str = "ann@sender.example";
const X: &str = "mx:x.test";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn nothing_goes_to_a_paused_site_until_it_is_resumed() {
    let mut harness = Harness::new(exact(), by_mx());
    let paused = harness.pause(Some(X), None);
    harness.set_pauses(vec![paused.clone()]);
    for n in 0..100 {
        harness.store(n, ANN, &["bob@x.test", "eve@y.test"]);
    }
    harness.run(hours(3));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (100, 100));
    let shape = harness.queue.shape_of(X, harness.now).expect("a shape");
    assert_eq!(shape.condition, Condition::Paused(paused));
    let counts = harness.queue.counts();
    assert_eq!((counts.agents, counts.ready), (0, 0), "it holds nothing");
    assert!(harness.loads < 300, "{} loads", harness.loads);
    // A retry of the operator does not go past it.
    let domains = harness.disk.domains();
    harness.event(Event::Changed { domains });
    harness.run(minutes(5));
    assert_eq!(harness.sent.len(), 100);
    harness.set_pauses(Vec::new());
    harness.run(minutes(1));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (200, 0));
    let again = |word: &String| word.contains("again");
    assert!(!harness.dispositions().iter().any(again), "no try counted");
}

#[test]
fn a_pause_with_an_end_ends_by_itself() {
    for site in [None, Some(X)] {
        let mut harness = Harness::new(exact(), by_mx());
        harness.store(1, ANN, &["bob@x.test"]);
        let paused = harness.pause(site, Some(minutes(90)));
        harness.set_pauses(vec![paused.clone()]);
        harness.store(2, ANN, &["bob@x.test"]);
        harness.run(minutes(89));
        assert_eq!(harness.sent.len(), 1, "what was in hand is finished");
        harness.run(minutes(2));
        assert_eq!(harness.attempt_minutes(), [0, 90]);
        let over = Occurrence::PauseOver(paused);
        assert_eq!(harness.occurred, [(harness::START + minutes(90), over)]);
        assert!(harness.queue.shape_of("mx:z.test", harness.now).is_none());
    }
}

#[test]
fn a_pause_of_the_whole_queue_stops_every_site_and_leaves_pauses_of_sites() {
    let mut harness = Harness::new(exact(), by_mx());
    let one = harness.pause(Some(X), None);
    let whole = harness.pause(None, None);
    harness.set_pauses(vec![whole, one.clone()]);
    harness.store(1, ANN, &["bob@x.test", "eve@y.test", "joe@z.test"]);
    harness.run(hours(1));
    assert!(harness.sent.is_empty());
    harness.set_pauses(vec![one]);
    harness.run(minutes(1));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (2, 1));
}

#[test]
fn what_would_turn_to_a_paused_smart_host_waits_without_a_try() {
    let one_at_a_time = Settings {
        site_connections_max: 1,
        ..exact()
    };
    let mut harness = Harness::new(one_at_a_time, by_mx_first());
    harness.servers(|job, _| match job.shut {
        Some(_) => all(job, &deferred(Scope::Site)),
        None => all(job, &delivered()),
    });
    let paused = harness.pause(Some("[192.0.2.7]:25"), None);
    harness.set_pauses(vec![paused]);
    for n in 0..10 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(hours(3));
    // The site by MX is down, and is tried as every one that is: by one message now and then.
    assert!(harness.sent.len() < 40, "{}", harness.sent.len());
    assert_eq!(harness.dispositions(), [""; 0], "no try counted");
    let shape = harness.queue.shape_of(X, harness.now).expect("a shape");
    let left_alone = matches!(shape.condition, Condition::Suspended { .. });
    assert!(left_alone || shape.condition == Condition::Probing);
    harness.set_pauses(Vec::new());
    harness.run(hours(1));
    assert_eq!(harness.disk.waiting(), 0);
    let (_, decided) = &harness.decided[0];
    assert_eq!(decided.recipients[0].recipient.tries, 0);
}

#[test]
fn what_waits_for_a_paused_site_is_told_of_and_expires_by_its_age_once_it_was_tried() {
    let settings = Settings {
        delay_notice: Some(hours(4)),
        expire: hours(48),
        ..exact()
    };
    let mut harness = Harness::new(settings, by_mx());
    harness.servers(|job, _| all(job, &deferred(Scope::Message)));
    for n in 0..3 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(Duration::from_secs(1));
    harness.decided.clear();
    let paused = harness.pause(None, None);
    harness.set_pauses(vec![paused]);
    for n in 10..13 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(hours(50));
    assert_eq!(harness.sent.len(), 3);
    let words = harness.dispositions();
    let of = |wanted: &str| words.iter().filter(|word| word.contains(wanted)).count();
    assert_eq!((of("delayed"), of("expired 5.4.7")), (6, 3), "{words:?}");
    assert!(words.iter().all(|word| {
        let minute: u64 = word.split(' ').next().unwrap().parse().unwrap();
        let wanted = if word.contains("delayed") { 240 } else { 2880 };
        (wanted..=wanted + 1).contains(&minute)
    }));
    // Nobody is given up without an attempt; that follows when the pause is over.
    assert_eq!(harness.disk.waiting(), 3);
    harness.set_pauses(Vec::new());
    harness.run(minutes(10));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (6, 0));
}

#[test]
fn a_pause_outlasts_a_reload_and_a_restart() {
    let mut harness = Harness::new(exact(), by_mx());
    let paused = harness.pause(Some(X), Some(hours(2)));
    harness.set_pauses(vec![paused.clone()]);
    harness.store(1, ANN, &["bob@x.test"]);
    harness.event(Event::Reloaded(by_mx(), Box::new(exact())));
    harness.run(minutes(30));
    assert!(harness.sent.is_empty());
    harness.queue = queue::Queue::new(exact(), by_mx());
    harness.set_pauses(vec![paused]);
    let domains = harness.disk.domains();
    harness.event(Event::Started { domains });
    harness.run(minutes(80));
    assert!(harness.sent.is_empty());
    harness.run(minutes(11));
    assert_eq!(harness.attempt_minutes(), [120]);
}

#[test]
fn an_idle_connection_is_given_up_and_a_job_in_hand_is_finished() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.latency = seconds(10);
    harness.store(1, ANN, &["bob@x.test"]);
    harness.run(seconds(5));
    let paused = harness.pause(Some(X), None);
    harness.set_pauses(vec![paused]);
    harness.store(2, ANN, &["bob@x.test"]);
    harness.run(minutes(10));
    assert_eq!(harness.dispositions(), ["0 delivered"]);
    assert!(harness.agents.is_empty());
    harness.set_pauses(Vec::new());
    harness.run(minutes(1));
    assert_eq!(harness.disk.waiting(), 0);
}
