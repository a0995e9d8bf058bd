//! What an operator gives up.

mod harness;

use std::time::Duration;

use harness::{Harness, all, by_mx, deferred, delivered, exact, hours};
use mail::Scope;
use queue::{Disposition, Event, Settings};

const ANN: &str = "ann@sender.example";

/// An operator gives up all that is there.
fn bounce_all(harness: &mut Harness) {
    harness
        .disk
        .bounce_all("given up by the administrator: 550 5.7.1 closed");
    let domains = harness.disk.domains();
    harness.event(Event::Changed { domains });
}

#[test]
fn what_waits_bounces_at_once_in_pages_and_goes_out_no_more() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| all(job, &deferred(Scope::Message)));
    for n in 0..450 {
        harness.store(n, ANN, &["bob@x.test", "eve@y.test"]);
    }
    harness.run(Duration::from_secs(30));
    let sent = harness.sent.len();
    let before = harness.decided.len();
    bounce_all(&mut harness);
    harness.run(Duration::from_secs(5));
    assert!(harness.disk.messages.is_empty());
    assert_eq!(harness.sent.len(), sent);
    let decided = &harness.decided[before..];
    let judged: Vec<_> = decided.iter().flat_map(|(_, d)| &d.recipients).collect();
    assert_eq!(judged.len(), 900);
    for one in judged {
        let Disposition::GiveUp(end) = &one.disposition else {
            panic!("{one:?}");
        };
        assert!(!one.tried && !end.expired);
        let reply = end.reason().to_string();
        assert_eq!(
            reply,
            "554 5.3.0 given up by the administrator: 550 5.7.1 closed"
        );
    }
    harness.run(hours(24));
    assert_eq!(harness.queue.deadline(), None, "nothing is looked for");
}

#[test]
fn what_an_agent_has_in_hand_is_delivered_or_bounces_and_never_both() {
    for outcome in [delivered(), deferred(Scope::Message)] {
        let mut harness = Harness::new(exact(), by_mx());
        harness.latency = Duration::from_secs(20);
        let ends = outcome.clone();
        harness.servers(move |job, _| all(job, &ends));
        harness.store(1, ANN, &["bob@x.test"]);
        harness.run(Duration::from_secs(5));
        bounce_all(&mut harness);
        harness.run(Duration::from_secs(10));
        assert!(harness.decided.is_empty(), "it is still out");
        harness.run(Duration::from_secs(20));
        let last = harness.dispositions().pop();
        let expected = match outcome == delivered() {
            true => "0 delivered",
            false => "0 failed 5.3.0",
        };
        assert_eq!(last.as_deref(), Some(expected));
        assert!(harness.disk.messages.is_empty());
        assert_eq!(harness.sent.len(), 1);
    }
}

/// A server that holds its connections open holds up nobody's bounce but those of its own mail.
#[test]
fn what_agents_have_in_hand_holds_up_no_other_bounce() {
    let settings = Settings {
        site_connections_max: 300,
        ..exact()
    };
    let mut harness = Harness::new(settings, by_mx());
    harness.latency = hours(1);
    harness.servers(|job, _| all(job, &deferred(Scope::Message)));
    for n in 0..300 {
        harness.store(n, ANN, &["bob@tarpit.test"]);
    }
    assert_eq!(harness.busy.len(), 300);
    // It is in the spool alone.
    let (message, recipients) = harness::message(300, ANN, harness.now, &["bob@x.test"]);
    harness.disk.store(&message, &recipients);
    bounce_all(&mut harness);
    harness.run(Duration::from_secs(10));
    assert_eq!(harness.dispositions(), ["0 failed 5.3.0"]);
}

#[test]
fn nobody_is_told_of_a_bounce_of_mail_from_nobody() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| all(job, &deferred(Scope::Message)));
    harness.store(1, "", &["bob@x.test"]);
    harness.run(Duration::from_secs(5));
    bounce_all(&mut harness);
    harness.run(Duration::from_secs(5));
    assert_eq!(harness.dispositions(), ["0 again", "0 dropped"]);
}

#[test]
fn a_start_goes_on_with_the_bounces_of_the_run_before() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| all(job, &deferred(Scope::Message)));
    harness.store(1, ANN, &["bob@x.test"]);
    harness.run(Duration::from_secs(5));
    harness.disk.bounce_all("given up by the administrator");
    harness.restart(exact(), by_mx());
    harness.run(Duration::from_secs(5));
    assert_eq!(harness.dispositions(), ["0 again", "0 failed 5.3.0"]);
}
