//! Sites to which mail goes at some hours only.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{Harness, all, deferred, delivered, exact, hours, message, minutes};
use mail::{Domain, Host, Place, Scope, Zone};
use queue::{Condition, Event, Settings};
use route::{DomainPattern, HostSpec, Hours, LargeHours, Routes, SiteOptions, Via};

const ANN: &str = "ann@sender.example";
const NIGHT: &str = "route:night";

/// Mail for n.test goes by a route with these hours, in UTC; all other mail by MX.
fn routes(spans: &[&str]) -> Arc<Routes> {
    with_large(spans, &[])
}

/// The same with hours for messages of more than 100 octets.
fn with_large(spans: &[&str], large: &[&str]) -> Arc<Routes> {
    let hours = |spans: &[&str]| {
        let spans: Vec<_> = spans.iter().map(|text| text.parse().unwrap()).collect();
        (!spans.is_empty()).then(|| Hours::new(spans, Zone::utc()))
    };
    let host = Host::parse("[192.0.2.7]").unwrap();
    let options = SiteOptions {
        hours: hours(spans),
        large: hours(large).map(|hours| LargeHours { over: 100, hours }),
        ..SiteOptions::default()
    };
    let mut builder = Routes::builder();
    builder.add_route(
        "night",
        vec![HostSpec::new(host, true)],
        options,
        Place::Default,
    );
    for domain in ["n.test", "m.test"] {
        let pattern = DomainPattern::Exact(Domain::parse(domain).unwrap());
        builder.add_domain(pattern, Via::Named("night".into()), Place::Default);
    }
    Arc::new(builder.build().unwrap())
}

fn closed(harness: &Harness) -> bool {
    let shape = harness.queue.shape_of(NIGHT, harness.now);
    shape.is_some_and(|shape| matches!(shape.condition, Condition::Closed { .. }))
}

/// A harness that begins at eight on a Friday.
fn at_eight(spans: &[&str]) -> Harness {
    let mut harness = Harness::new(exact(), routes(spans));
    harness.restart(exact(), routes(spans));
    harness
}

#[test]
fn outside_its_hours_mail_waits_in_order_counts_as_no_try_and_holds_nothing() {
    let mut harness = at_eight(&["Mon-Fri 18:00-07:00"]);
    for n in 0..300 {
        harness.store(n, ANN, &["bob@n.test", "eve@x.test"]);
    }
    harness.run(hours(9));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (300, 300));
    assert!(closed(&harness));
    let counts = harness.queue.counts();
    assert_eq!((counts.agents, counts.ready), (0, 0));
    assert!(harness.loads < 30, "{} loads", harness.loads);
    assert!(harness.queue.alarms(harness.now).is_empty());
    // At six in the evening; what comes new just then goes behind.
    harness.run(minutes(60));
    harness.store(300, ANN, &["bob@n.test"]);
    assert!(harness.queue.alarms(harness.now).is_empty());
    harness.run(minutes(1));
    assert_eq!(harness.disk.waiting(), 0);
    let night = &harness.sent[300..];
    assert!(
        night
            .iter()
            .all(|(at, ..)| at.since(harness::START) >= hours(10))
    );
    let order: Vec<_> = night.iter().map(|(_, key, _)| key.0).collect();
    assert!(order.is_sorted(), "in order");
    assert!(
        harness
            .dispositions()
            .iter()
            .all(|word| word.contains("delivered"))
    );
    assert!(!closed(&harness));
    // At seven in the morning it closes again, and no connection stays.
    harness.run(hours(13));
    assert!(closed(&harness));
    assert_eq!(harness.queue.counts().agents, 0);
}

#[test]
fn a_route_that_opens_hides_nothing_at_other_sites() {
    let hours_of_both = with_large(&["08:20-07:00"], &["08:20-07:00"]);
    let settings = Settings {
        connections_max: 1,
        ..exact()
    };
    let mut harness = Harness::new(settings.clone(), Arc::clone(&hours_of_both));
    harness.restart(settings, hours_of_both);
    harness.latency = hours(2);
    harness.store(1, ANN, &["bob@x.test"]);
    harness.store(2, "joe@other.example", &["bob@y.test"]);
    harness.store(3, "eve@third.example", &["bob@n.test"]);
    harness.run(minutes(40));
    assert!(!closed(&harness));
    let alarms = harness.queue.alarms(harness.now);
    let sites: Vec<_> = alarms.iter().map(|alarm| &*alarm.site).collect();
    assert_eq!(sites, ["mx:y.test"]);
}

#[test]
fn what_was_due_when_it_closed_waits_and_what_was_in_hand_is_finished() {
    let mut harness = at_eight(&["08:00-09:00"]);
    harness.latency = minutes(10);
    harness.servers(|job, _| all(job, &delivered()));
    for n in 0..200 {
        harness.store(n, ANN, &["bob@n.test"]);
    }
    harness.run(minutes(59));
    let before = harness.sent.len();
    assert!(harness.queue.counts().active_recipients > 0);
    harness.run(minutes(10));
    let late = harness.sent[before..].iter();
    assert_eq!(
        late.filter(|(at, ..)| at.since(harness::START) >= hours(1))
            .count(),
        0
    );
    assert_eq!(harness.queue.counts().agents, 0);
    for n in 200..230 {
        harness.store(n, ANN, &["bob@n.test"]);
    }
    harness.run(hours(1));
    assert_eq!(harness.disk.waiting(), 80 + 30);
    harness.run(hours(24));
    assert_eq!(harness.disk.waiting(), 0);
}

/// The closed hours are neither a reason to give up nor news of a delay: the first attempt tells.
#[test]
fn nobody_is_given_up_or_told_of_a_delay_before_a_try_at_the_next_opening() {
    let mut settings = exact();
    settings.expire = hours(10);
    settings.delay_notice = Some(hours(4));
    let spans = ["Sat 12:00-13:00"];
    let mut harness = Harness::new(settings.clone(), routes(&spans));
    harness.restart(settings.clone(), routes(&spans));
    harness.servers(|job, _| all(job, &deferred(Scope::Recipient)));
    harness.store(1, ANN, &["bob@n.test"]);
    harness.run(hours(20));
    harness.store(2, ANN, &["bob@n.test"]);
    harness.run(hours(7));
    assert_eq!(harness.dispositions(), Vec::<String>::new());
    harness.run(hours(1) + minutes(1));
    // At noon on Saturday the first is too old, and the second late.
    let words = harness.dispositions();
    assert_eq!(words[0], format!("{} expired 5.4.7", 28 * 60));
    assert_eq!(words[1], format!("{} delayed", 28 * 60));
    // One that was tried already waits for the next opening, too.
    harness.run(hours(48));
    assert_eq!(harness.disk.waiting(), 1);
}

#[test]
fn hours_go_by_the_systems_clock_and_by_the_routes_of_the_last_reload() {
    let mut harness = at_eight(&["18:00-19:00"]);
    harness.store(1, ANN, &["bob@n.test"]);
    let clock = |hours: i64| Event::Clock {
        ahead: hours * 3_600_000,
    };
    harness.event(clock(9));
    harness.run(minutes(59));
    assert_eq!(harness.disk.waiting(), 1);
    harness.run(minutes(2));
    assert_eq!(harness.disk.waiting(), 0);
    // The clock is set back.
    harness.event(clock(0));
    assert!(closed(&harness));
    harness.store(2, ANN, &["bob@n.test"]);
    harness.store(3, ANN, &["bob@m.test"]);
    harness.reload(exact(), routes(&["09:00-09:30"]));
    harness.run(minutes(1));
    assert_eq!(harness.disk.waiting(), 0);
    harness.store(4, ANN, &["bob@n.test"]);
    harness.run(minutes(30));
    assert!(closed(&harness));
    harness.store(5, ANN, &["bob@n.test"]);
    harness.reload(exact(), routes(&[]));
    harness.run(minutes(1));
    assert_eq!((harness.disk.waiting(), closed(&harness)), (0, false));
}

#[test]
fn a_pause_and_closed_hours_both_have_to_end() {
    let mut harness = at_eight(&["10:00-11:00"]);
    let pause = harness.pause(Some(NIGHT), None);
    harness.set_pauses(vec![pause]);
    harness.store(1, ANN, &["bob@n.test"]);
    harness.run(hours(2) + minutes(1));
    assert_eq!(harness.disk.waiting(), 1, "it is open, and paused");
    harness.run(hours(1));
    harness.set_pauses(Vec::new());
    harness.run(Duration::from_secs(600));
    assert_eq!(harness.disk.waiting(), 1, "it is closed again");
    harness.run(hours(23));
    assert_eq!(harness.disk.waiting(), 0);
}

fn store_large(harness: &mut Harness, n: u128) {
    let (mut large, recipients) = message(n, ANN, harness.now, &["bob@n.test"]);
    Arc::make_mut(&mut large).size = 101;
    harness.store_message(large, recipients);
}

/// Recipients that were tried, by whether their message is large.
fn tried(harness: &Harness, large: std::ops::Range<u128>) -> (usize, usize) {
    let large: Vec<_> = large.map(harness::id).collect();
    let of_large = harness
        .sent
        .iter()
        .filter(|(_, key, _)| large.contains(&key.0));
    let of_large = of_large.count();
    (of_large, harness.sent.len() - of_large)
}

#[test]
fn large_messages_wait_for_hours_of_their_own_and_hold_up_no_other() {
    let routes = with_large(&[], &["18:00-19:00"]);
    let mut harness = Harness::new(exact(), Arc::clone(&routes));
    harness.restart(exact(), routes);
    let mut count = 0;
    harness.servers(move |job, _| {
        // Each of the others comes from the spool once.
        count += 1;
        let outcome = if count <= 50 {
            deferred(Scope::Recipient)
        } else {
            delivered()
        };
        all(job, &outcome)
    });
    for n in 0..6_000 {
        store_large(&mut harness, n);
    }
    for n in 6_000..6_050 {
        harness.store(n, ANN, &["bob@n.test"]);
    }
    harness.run(minutes(30));
    assert_eq!(harness.attempt_minutes(), [[0; 50], [1; 50]].concat());
    assert_eq!(tried(&harness, 0..6_000), (0, 100));
    let loads = harness.loads;
    let shape = harness.queue.shape_of(NIGHT, harness.now).unwrap();
    let large = shape.large.unwrap();
    assert_eq!((large.over, large.until), (100, harness::START + hours(10)));
    harness.run(hours(9));
    assert_eq!(harness.disk.waiting(), 6_000);
    assert!(
        harness.loads < loads + 100,
        "{} loads",
        harness.loads - loads
    );
    assert!(harness.queue.alarms(harness.now).is_empty());
    harness.run(minutes(31));
    assert_eq!(harness.disk.waiting(), 0);
    assert!(
        harness
            .queue
            .shape_of(NIGHT, harness.now)
            .is_none_or(|shape| shape.large.is_none())
    );
}

#[test]
fn what_is_ready_when_the_hours_of_its_size_end_waits_and_a_reload_lets_it_go() {
    let routes = with_large(&[], &["08:00-08:30"]);
    let mut harness = Harness::new(exact(), Arc::clone(&routes));
    harness.restart(exact(), routes);
    harness.latency = minutes(20);
    for n in 0..100 {
        store_large(&mut harness, n);
    }
    harness.run(minutes(29));
    harness.store(100, ANN, &["bob@n.test"]);
    harness.run(minutes(60));
    assert_eq!(tried(&harness, 0..100), (40, 1));
    harness.reload(exact(), with_large(&[], &["08:00-08:30", "09:00-11:00"]));
    harness.run(minutes(120));
    assert_eq!(harness.disk.waiting(), 0);
    // Hours of their size do not open the site itself.
    harness.reload(exact(), with_large(&["12:00-13:00"], &["00:00-24:00"]));
    store_large(&mut harness, 101);
    harness.run(minutes(1));
    assert_eq!(harness.disk.waiting(), 1);
    // A clock that is set opens both.
    harness.event(Event::Clock { ahead: 3_600_000 });
    harness.run(minutes(25));
    assert_eq!(harness.disk.waiting(), 0);
}
