//! Sites: grouping, limits, turns, being down and coming back.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use harness::{
    Harness, all, by_mx, by_smart_host, deferred, delivered, exact, hours, lost_within, message,
    minutes, unreadable,
};
use mail::{Place, Scope};
use queue::{Event, Settings};
use route::{Routes, SiteOptions, Via};
use spool::Verb;

const ANN: &str = "ann@sender.example";

#[test]
fn recipients_with_the_same_next_hop_share_a_job() {
    let mut harness = Harness::new(exact(), by_smart_host());
    harness.store(
        1,
        ANN,
        &[
            "a@x.one",
            "b@y.test",
            "c@z.one",
            "d@y.test",
            "e@[192.0.2.3]",
        ],
    );
    let jobs: BTreeSet<_> = harness
        .busy
        .values()
        .map(|j| (j.site.name.to_string(), j.recipients.len()))
        .collect();
    let expected = [
        ("[192.0.2.7]:25", 2),
        ("mx:y.test", 2),
        ("mx:[192.0.2.3]", 1),
    ];
    assert_eq!(jobs, expected.map(|(name, n)| (name.to_owned(), n)).into());
    assert!(harness.busy.values().all(|job| job.content.is_some()));
    harness.run(minutes(1));
    assert_eq!(harness.disk.waiting(), 0);
}

#[test]
fn a_connection_carries_many_messages_and_ends_when_idle() {
    let settings = Settings {
        site_connections_max: 1,
        messages_per_connection: 10,
        ..exact()
    };
    let mut harness = Harness::new(settings, by_mx());
    for n in 0..25 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(Duration::from_secs(1));
    assert_eq!(
        (
            harness.hires,
            harness.disk.waiting(),
            harness.queue.counts().idle
        ),
        (3, 0, 1)
    );
    harness.store(100, ANN, &["bob@x.test"]);
    harness.run(Duration::from_millis(1900));
    assert_eq!((harness.hires, harness.queue.counts().agents), (3, 1));
    harness.run(Duration::from_secs(2));
    assert_eq!(harness.queue.counts(), queue::Counts::default());
    assert_eq!(harness.queue.deadline(), None);
}

#[test]
fn limits_hold_per_site_and_in_all() {
    let settings = Settings {
        site_connections_max: 4,
        connections_max: 10,
        ..exact()
    };
    let mut builder = Routes::builder();
    let options = SiteOptions {
        connections_max: Some(2),
        ..SiteOptions::default()
    };
    builder.add_route("slow", vec![], options, Place::Default);
    builder.add_domain(
        route::DomainPattern::parse("slow.test").unwrap(),
        Via::Named("slow".into()),
        Place::Default,
    );
    let mut harness = Harness::new(settings, Arc::new(builder.build().unwrap()));
    for n in 0..300u128 {
        let host = ["slow.test", "a.test", "b.test", "c.test"][n as usize % 4];
        harness.store(n, ANN, &[&format!("bob@{host}")]);
        let mut per_site: BTreeMap<&str, usize> = BTreeMap::new();
        harness
            .agents
            .values()
            .for_each(|site| *per_site.entry(site).or_default() += 1);
        for (site, agents) in per_site {
            assert!(agents <= if site == "route:slow" { 2 } else { 4 }, "{site}");
        }
    }
    harness.run(minutes(1));
    assert_eq!((harness.agents_most, harness.disk.waiting()), (10, 0));
}

#[test]
fn sites_take_turns_when_connections_are_scarce() {
    let settings = Settings {
        connections_max: 4,
        messages_per_connection: 5,
        ..exact()
    };
    let mut harness = Harness::new(settings, by_mx());
    for n in 0..900 {
        harness.store(n, ANN, &["bob@flood.test"]);
    }
    for n in 0..30u128 {
        harness.store(1000 + n, ANN, &[&format!("bob@d{n}.test")]);
    }
    harness.run(minutes(1));
    let last_small = harness
        .sent
        .iter()
        .rposition(|(_, key, _)| key.0 >= harness::id(1000))
        .unwrap();
    // 30 small sites are through before a quarter of the flood is
    assert!(last_small < 250, "{last_small}");
    assert_eq!((harness.agents_most, harness.disk.waiting()), (4, 0));
}

#[test]
fn idle_connections_make_room() {
    let mut harness = Harness::new(
        Settings {
            connections_max: 2,
            ..exact()
        },
        by_mx(),
    );
    for (n, host) in ["a.test", "b.test", "c.test"].iter().enumerate() {
        harness.store(n as u128, ANN, &[&format!("bob@{host}")]);
        harness.run(Duration::from_millis(50));
    }
    assert_eq!(harness.disk.waiting(), 0);
}

#[test]
fn a_site_that_is_down_is_tried_with_one_message_at_growing_pauses() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| all(job, &deferred(Scope::Site)));
    for n in 0..100 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(Duration::from_secs(30));
    // one for each connection that was open; then silence, and nothing in memory
    assert_eq!((harness.sent.len(), harness.queue.counts().ready), (20, 0));
    assert_eq!(harness.queue.counts().suspended_sites, 1);
    harness.run(minutes(30));
    // 1 min, then 5 (the longest pause before a probe): one attempt each
    assert_eq!(harness.attempt_minutes()[20..], [1, 6, 11, 16, 21, 26]);
}

#[test]
fn a_message_that_cannot_be_read_says_nothing_of_its_site() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| all(job, &deferred(Scope::Site)));
    for n in 0..100 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(Duration::from_secs(30));
    let before = harness.sent.len();
    let mut first = true;
    harness.servers(move |job, _| {
        let outcome = if std::mem::take(&mut first) {
            unreadable()
        } else {
            deferred(Scope::Site)
        };
        all(job, &outcome)
    });
    // The first probe cannot be read: another message asks, alone, and the site is left alone
    // again.
    harness.run(minutes(2));
    assert_eq!(harness.sent.len() - before, 2);
    assert_eq!(harness.queue.counts().suspended_sites, 1);
    // Nor does it stop a site that works.
    harness.servers(|job, _| all(job, &unreadable()));
    harness.store(1000, ANN, &["bob@y.test"]);
    harness.run(Duration::from_secs(1));
    assert_eq!(harness.queue.counts().suspended_sites, 1);
}

#[test]
fn twenty_thousand_wait_for_a_site_and_all_go_when_it_is_back() {
    let settings = exact();
    let mut harness = Harness::new(settings.clone(), by_smart_host());
    harness.servers(|job, _| all(job, &deferred(Scope::Host)));
    for n in 0..20_000u128 {
        harness.store(n, ANN, &[&format!("bob@h{}.one", n % 50)]);
        if n % 1000 == 0 {
            harness.run(Duration::from_millis(100));
        }
    }
    harness.run(hours(1));
    assert_eq!(
        (harness.disk.waiting(), harness.queue.counts().ready),
        (20_000, 0)
    );
    // a restart in between, the site still down
    harness.restart(settings, by_smart_host());
    harness.run(hours(1));
    assert_eq!(harness.disk.waiting(), 20_000);
    harness.servers(|job, _| all(job, &delivered()));
    harness.run(minutes(5) + Duration::from_secs(30));
    assert_eq!(harness.disk.waiting(), 0);
    assert!(harness.ready_most <= 1000, "{}", harness.ready_most);
    // 20 connections, 10 ms each: 10 s when they are never idle
    let (first, last) = (
        harness.sent[harness.sent.len() - 19_000].0,
        harness.sent.last().unwrap().0,
    );
    assert!(
        last.since(first) < Duration::from_secs(11),
        "{:?}",
        last.since(first)
    );
}

#[test]
fn a_restart_with_many_hosts_reads_a_little_at_a_time() {
    let settings = Settings {
        ready_max: 200,
        connections_max: 50,
        ..exact()
    };
    let mut harness = Harness::new(settings.clone(), by_mx());
    for n in 0..3000u128 {
        let (message, recipients) = message(n, ANN, harness.now, &[&format!("bob@h{n}.test")]);
        harness.disk.store(&message, &recipients);
    }
    harness.restart(settings, by_mx());
    assert!(harness.queue.counts().ready <= 200);
    harness.run(minutes(1));
    assert_eq!(harness.disk.waiting(), 0);
    assert!(harness.ready_most <= 200, "{}", harness.ready_most);
}

#[test]
fn neither_old_mail_nor_new_starves_the_other() {
    let settings = Settings {
        site_connections_max: 2,
        ..exact()
    };
    let mut harness = Harness::new(settings.clone(), by_mx());
    for n in 0..3000u128 {
        let (message, recipients) = message(n, ANN, harness.now, &["bob@x.test"]);
        harness.disk.store(&message, &recipients);
    }
    harness.restart(settings, by_mx());
    // new mail comes twice as fast as it can go out
    for n in 0..2000u128 {
        harness.store(10_000 + n, ANN, &["bob@x.test"]);
        harness.store(20_000 + n, ANN, &["bob@x.test"]);
        harness.run(Duration::from_millis(10));
    }
    let old = harness
        .sent
        .iter()
        .filter(|(_, key, _)| key.0 < harness::id(10_000))
        .count();
    let new = harness.sent.len() - old;
    assert!(old > 1500 && new > 400, "{old} {new}");
}

#[test]
fn one_message_that_breaks_connections_does_not_stop_its_site() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| {
        let poison = job.message.id == harness::id(0);
        all(job, &if poison { lost_within() } else { delivered() })
    });
    for n in 0..3000u128 {
        harness.store(n, ANN, &["bob@x.test"]);
        harness.run(Duration::from_millis(100));
    }
    harness.run(minutes(2));
    assert_eq!(harness.disk.waiting(), 1);
    let poison = harness
        .sent
        .iter()
        .filter(|(_, key, _)| key.0 == harness::id(0))
        .count();
    assert!((2..=5).contains(&poison), "{poison}");
}

#[test]
fn nothing_goes_out_while_outcomes_cannot_be_written() {
    let mut harness = Harness::new(
        Settings {
            site_connections_max: 2,
            ..exact()
        },
        by_mx(),
    );
    harness.disk_works = false;
    for n in 0..50u128 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(minutes(10));
    // one job on each connection, and at most one more that was given before the disk's word came
    assert!(harness.sent.len() <= 4, "{}", harness.sent.len());
    harness.disk_works = true;
    harness.run(Duration::from_secs(10));
    // those were not sent again: their outcomes were kept, and written in the end
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (50, 0));
    assert_eq!(harness.queue.counts().settling, 0);
}

#[test]
fn a_reload_sends_what_waits_by_the_new_route() {
    let mut harness = Harness::new(
        Settings {
            site_connections_max: 1,
            ..exact()
        },
        by_mx(),
    );
    harness.servers(|job, _| {
        all(
            job,
            &if job.site.name.starts_with("mx:") {
                deferred(Scope::Site)
            } else {
                delivered()
            },
        )
    });
    for n in 0..1500u128 {
        harness.store(n, ANN, &["bob@x.one"]);
    }
    harness.run(minutes(20));
    assert_eq!(harness.disk.waiting(), 1500);
    harness.event(Event::Reloaded(by_smart_host(), Box::new(exact())));
    harness.run(Duration::from_secs(5));
    // those that were tried wait for their own time
    let tried: BTreeSet<_> = harness
        .sent
        .iter()
        .filter(|s| s.0 < harness.now - minutes(1))
        .map(|s| s.1)
        .collect();
    assert!(
        harness.disk.waiting() <= tried.len(),
        "{}",
        harness.disk.waiting()
    );
    harness.run(minutes(10));
    assert_eq!(harness.disk.waiting(), 0);
    assert!(harness.agents.is_empty());
}

#[test]
fn what_is_under_way_at_a_reload_ends_as_it_began() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.store(1, ANN, &["bob@x.one"]);
    harness.event(Event::Reloaded(by_smart_host(), Box::new(exact())));
    harness.store(2, ANN, &["carl@x.one"]);
    harness.run(Duration::from_millis(20));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (2, 0));
    // the old connection is not used for the new route
    assert_eq!(
        harness.agents.values().map(|s| &**s).collect::<Vec<_>>(),
        ["[192.0.2.7]:25"]
    );
}

#[test]
fn an_operator_retries_and_deletes() {
    let mut harness = Harness::new(
        Settings {
            site_connections_max: 1,
            ..exact()
        },
        by_mx(),
    );
    harness.servers(|job, _| all(job, &deferred(Scope::Site)));
    for n in 0..10u128 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(hours(1));
    harness.servers(|job, _| all(job, &delivered()));
    for n in 0..5u128 {
        harness.disk.forget((harness::id(n), 0));
    }
    let attempts = harness.sent.len();
    let mut domains = harness.disk.domains();
    domains.iter_mut().for_each(|(_, due)| *due = harness.now);
    harness.event(Event::Changed { domains });
    harness.run(Duration::from_secs(1));
    // at once, without waiting for the site's pause; what was deleted does not go out
    let later: BTreeSet<_> = harness.sent[attempts..].iter().map(|s| s.1).collect();
    assert!(later.iter().all(|key| key.0 >= harness::id(5)), "{later:?}");
    harness.run(minutes(10));
    assert_eq!(harness.disk.waiting(), 0);
}

#[test]
fn a_deletion_reaches_what_waits_in_memory() {
    let mut harness = Harness::new(
        Settings {
            site_connections_max: 1,
            ..exact()
        },
        by_mx(),
    );
    for n in 0..10u128 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    for n in 0..10u128 {
        harness.disk.forget((harness::id(n), 0));
    }
    harness.event(Event::Withheld);
    harness.run(minutes(1));
    assert_eq!(harness.sent.len(), 1);
    assert_eq!(harness.queue.deadline(), None);
}

#[test]
fn withheld_mail_hides_nobody_behind_it_and_goes_out_when_it_may() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| all(job, &deferred(Scope::Recipient)));
    for n in 0..50u128 {
        harness.store(n, ANN, &["bob@x.test"]);
        harness.now = harness.now + Duration::from_millis(10);
    }
    harness.run(Duration::from_secs(5));
    assert_eq!(harness.queue.counts().ready, 0);
    harness.servers(|job, _| all(job, &delivered()));
    harness.disk.withheld = (0..40).map(harness::id).collect();
    harness.event(Event::Withheld);
    // The operation makes no progress meanwhile, and yet all the others go.
    let loads = harness.loads;
    harness.run(minutes(10));
    assert_eq!(harness.disk.waiting(), 40);
    assert!(harness.loads - loads < 40, "{}", harness.loads - loads);
    // It is stopped, and they are due as before.
    harness.disk.withheld.clear();
    let domains = harness.disk.domains();
    harness.event(Event::MoreDue { domains });
    harness.run(minutes(1));
    assert_eq!(harness.disk.waiting(), 0);
}

#[test]
fn whoever_withholds_mail_does_not_knock_where_a_site_is_left_alone() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| all(job, &deferred(Scope::Site)));
    for n in 0..10u128 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    harness.run(hours(1));
    let attempts = harness.sent.len();
    for n in 0..5u128 {
        harness.disk.forget((harness::id(n), 0));
        harness.event(Event::Withheld);
        let domains = harness.disk.domains();
        harness.event(Event::of_operation(Verb::Delete, domains));
        harness.run(Duration::from_secs(1));
    }
    assert_eq!(harness.sent.len(), attempts);
    harness.servers(|job, _| all(job, &delivered()));
    harness.run(hours(1));
    assert_eq!(harness.disk.waiting(), 0);
}

#[test]
fn content_in_memory_is_bounded() {
    let settings = Settings {
        content_bytes_max: 35,
        site_connections_max: 1,
        ..exact()
    };
    let mut harness = Harness::new(settings, by_mx());
    for n in 0..10u128 {
        harness.store(n, ANN, &["bob@x.test"]);
    }
    let with = Arc::new(std::sync::Mutex::new(0));
    let seen = Arc::clone(&with);
    harness.servers(move |job, _| {
        *seen.lock().unwrap() += usize::from(job.content.is_some());
        all(job, &delivered())
    });
    harness.run(minutes(1));
    // the one that went out at once, and three of ten octets each
    assert_eq!((*with.lock().unwrap(), harness.disk.waiting()), (4, 0));
}

#[test]
fn a_backlog_is_read_once_and_with_its_content() {
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| {
        assert!(job.content.is_some());
        all(job, &delivered())
    });
    for n in 0..3000 {
        let (message, recipients) = message(n, ANN, harness.now, &["bob@x.test"]);
        harness.disk.store(&message, &recipients);
    }
    harness.restart(exact(), by_mx());
    harness.run(minutes(1));
    assert_eq!((harness.sent.len(), harness.read), (3000, 3000));
}

#[test]
fn a_spool_that_cannot_be_read_is_asked_again_later() {
    let mut queue = queue::Queue::new(exact(), by_mx());
    let mut actions = Vec::new();
    let domains = vec![("x.test".to_owned(), harness::START)];
    queue.handle(harness::START, Event::Started { domains }, &mut actions);
    for round in 1..=3u32 {
        let is_load = |action: &queue::Action| matches!(action, queue::Action::Load { .. });
        actions.retain(is_load);
        let Some(queue::Action::Load { host, .. }) = actions.pop() else {
            panic!("{round}")
        };
        let now = queue.deadline().unwrap_or(harness::START);
        let result = Err(spool::SpoolError::Full);
        queue.handle(now, Event::Loaded { host, result }, &mut actions);
        let at = queue.deadline().unwrap();
        assert!(actions.is_empty() && at.since(now) >= Duration::from_secs(1));
        queue.on_tick(at, &mut actions);
    }
}
