//! What comes to a stand is told of, and nothing else is.

mod harness;

use std::time::Duration;

use harness::{Harness, all, by_mx, deferred, delivered, exact, hours, minutes};
use mail::Scope;
use queue::{Event, Settings, Stuck};

const ANN: &str = "ann@sender.example";

/// Site, since which minute, and why, of every alarm.
fn alarms(harness: &mut Harness) -> Vec<(String, Stuck, u64, String)> {
    let alarms = harness.queue.alarms(harness.now).into_iter();
    alarms
        .map(|alarm| {
            let minute = alarm.since.since(harness::START).as_secs() / 60;
            (alarm.site.to_string(), alarm.what, minute, alarm.why)
        })
        .collect()
}

/// Started, with a connection for all sites together.
fn with_one_connection() -> Harness {
    let settings = Settings {
        connections_max: 1,
        ..exact()
    };
    let mut harness = Harness::new(settings, by_mx());
    harness.event(Event::Started {
        domains: Vec::new(),
    });
    harness
}

#[test]
fn mail_that_waits_for_a_connection_for_too_long_is_told_of() {
    let mut harness = with_one_connection();
    harness.latency = minutes(45);
    harness.store(1, ANN, &["bob@x.test"]);
    harness.run(minutes(1));
    harness.store(2, "joe@other.example", &["bob@y.test"]);
    harness.run(minutes(29));
    assert_eq!(alarms(&mut harness), []);
    harness.run(minutes(5));
    // Time passes for the harness only when something happens.
    harness.now = harness::START + minutes(40);
    let why = "all connections are in use by others".to_owned();
    let told = alarms(&mut harness);
    assert_eq!(told, [("mx:y.test".into(), Stuck::NotTried, 1, why)]);
    harness.run(minutes(10));
    assert_eq!(alarms(&mut harness), []);
}

#[test]
fn a_pause_of_one_site_hides_nothing_at_another() {
    let mut harness = with_one_connection();
    harness.latency = hours(2);
    harness.store(1, ANN, &["bob@x.test"]);
    harness.store(2, "joe@other.example", &["bob@y.test"]);
    harness.store(3, "eve@third.example", &["bob@z.test"]);
    harness.now = harness::START + minutes(20);
    let pause = harness.pause(Some("mx:z.test"), None);
    for pauses in [vec![pause], Vec::new()] {
        harness.set_pauses(pauses);
    }
    let sites = |harness: &mut Harness| -> Vec<String> {
        alarms(harness).into_iter().map(|(site, ..)| site).collect()
    };
    harness.now = harness::START + minutes(40);
    assert_eq!(sites(&mut harness), ["mx:y.test"]);
    harness.now = harness::START + minutes(50);
    assert_eq!(sites(&mut harness), ["mx:y.test", "mx:z.test"]);
}

#[test]
fn a_site_that_is_down_for_hours_is_told_of_until_it_is_back() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| all(job, &deferred(Scope::Site)));
    harness.store(1, ANN, &["bob@x.test"]);
    harness.run(minutes(230));
    assert_eq!(alarms(&mut harness), []);
    harness.run(hours(1));
    let told = alarms(&mut harness);
    assert_eq!(told.len(), 1, "{told:?}");
    let (site, what, minute, why) = &told[0];
    assert_eq!(
        (&**site, *what, *minute),
        ("mx:x.test", Stuck::NoProgress, 0)
    );
    assert!(!why.is_empty());
    // Nobody has to be told of what an operator has paused.
    let pause = harness.pause(None, None);
    harness.set_pauses(vec![pause]);
    assert_eq!(alarms(&mut harness), []);
    harness.set_pauses(Vec::new());
    assert_eq!(alarms(&mut harness), told);
    harness.servers(|job, _| all(job, &delivered()));
    harness.run(hours(5));
    assert_eq!(alarms(&mut harness), []);
    assert_eq!(harness.disk.waiting(), 0);
}

#[test]
fn an_agent_with_one_job_for_too_long_is_told_of() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.latency = hours(2);
    harness.store(1, ANN, &["bob@x.test"]);
    harness.now = harness::START + minutes(59);
    assert_eq!(alarms(&mut harness), []);
    harness.now = harness::START + minutes(61);
    let told = alarms(&mut harness);
    let (agent, id) = (1, harness::id(1));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].1, Stuck::Agent(agent, id));
}

#[test]
fn a_long_queue_that_moves_and_mail_that_waits_for_its_time_are_no_alarm() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.latency = Duration::from_secs(60);
    harness.servers(|job, _| {
        let later = job.recipients[0].admitted.recipient().as_str() == "bob@y.test";
        let outcome = if later {
            deferred(Scope::Message)
        } else {
            delivered()
        };
        all(job, &outcome)
    });
    for n in 0..2000 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.store(2000, ANN, &["bob@y.test"]);
    for _ in 0..20 {
        harness.run(minutes(3));
        assert_eq!(alarms(&mut harness), []);
    }
    assert!(harness.disk.waiting() > 1);
}
