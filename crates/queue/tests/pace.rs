//! How fast mail goes to a site: by the rates of the configuration, and by what the site can take.

mod harness;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use harness::{
    Harness, MailAnswer, all, by_mx, deferred, delivered, exact, hours, minutes, too_fast,
};
use mail::{Scope, Timestamp};
use queue::{Condition, Event, Occurrence, RateCount, Settings};
use route::{RateUnit, SendRate};

const ANN: &str = "ann@sender.example";
const SITE: &str = "mx:x.test";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn rate(count: u32, per: Duration) -> SendRate {
    let unit = RateUnit::Messages;
    SendRate { count, unit, per }
}

fn of_recipients(count: u32, per: Duration) -> SendRate {
    let unit = RateUnit::Recipients;
    SendRate { count, unit, per }
}

fn with_rates(rates: &[SendRate]) -> Settings {
    Settings {
        site_rates: rates.to_vec(),
        ..exact()
    }
}

fn store(harness: &mut Harness, numbers: std::ops::Range<u128>) {
    for n in numbers {
        harness.store(n, ANN, &["bob@x.test"]);
    }
}

/// The most recipients that arrived in any stretch of `per`.
fn most_in(harness: &Harness, per: Duration) -> usize {
    let times: Vec<Timestamp> = harness.sent.iter().map(|(at, ..)| *at).collect();
    let within = |first: &Timestamp| {
        let stretch = times
            .iter()
            .filter(|at| *at >= first && **at < *first + per);
        stretch.count()
    };
    times.iter().map(within).max().unwrap_or(0)
}

fn tries(harness: &Harness) -> usize {
    let dispositions = harness.dispositions();
    dispositions
        .iter()
        .filter(|word| word.ends_with("again"))
        .count()
}

#[test]
fn no_stretch_of_time_sees_more_than_the_rate_and_all_goes_in_order() {
    let mut harness = Harness::new(with_rates(&[rate(30, minutes(1))]), by_mx());
    harness.latency = Duration::from_millis(700);
    store(&mut harness, 0..100);
    harness.run(minutes(4));
    assert_eq!(harness.disk.waiting(), 0);
    assert_eq!(most_in(&harness, minutes(1)), 30);
    let order: Vec<_> = harness.sent.iter().map(|(_, key, _)| *key).collect();
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!((tries(&harness), harness.sent.len()), (0, 100));
    assert!(harness.loads < 40, "{}", harness.loads);
}

#[test]
fn the_strictest_of_several_rates_holds() {
    let rates = [rate(10, minutes(1)), rate(25, hours(1))];
    let mut harness = Harness::new(with_rates(&rates), by_mx());
    store(&mut harness, 0..60);
    harness.run(minutes(59));
    assert_eq!(most_in(&harness, minutes(1)), 10);
    assert_eq!(harness.sent.len(), 25);
    harness.run(hours(3));
    assert_eq!(most_in(&harness, hours(1)), 25);
    assert_eq!(harness.disk.waiting(), 0);
}

#[test]
fn a_rate_of_recipients_cuts_a_message_that_has_more() {
    let mut harness = Harness::new(with_rates(&[of_recipients(100, minutes(1))]), by_mx());
    let addresses: Vec<String> = (0..250).map(|n| format!("r{n}@x.test")).collect();
    let to: Vec<&str> = addresses.iter().map(String::as_str).collect();
    harness.store(1, ANN, &to[..40]);
    harness.store(2, ANN, &to[..40]);
    harness.store(3, ANN, &to[..40]);
    harness.run(seconds(5));
    // A message goes whole or not at all, unless it could never go whole.
    assert_eq!(harness.sent.len(), 80);
    let shape = harness.queue.shape_of(SITE, harness.now).unwrap();
    let why = "100 recipients/1m".to_owned();
    assert!(matches!(&shape.condition, Condition::Paced { why: said, .. } if *said == why));
    harness.store(4, ANN, &to);
    harness.run(minutes(6));
    assert_eq!(most_in(&harness, minutes(1)), 100);
    assert_eq!((harness.disk.waiting(), tries(&harness)), (0, 0));
}

#[test]
fn a_paced_site_holds_nothing_that_another_could_use() {
    let tight = Settings {
        connections_max: 1,
        ready_max: 20,
        ..with_rates(&[rate(5, minutes(1))])
    };
    let mut harness = Harness::new(tight, by_mx());
    store(&mut harness, 0..1000);
    harness.run(seconds(10));
    let counts = harness.queue.counts();
    assert_eq!((counts.agents, counts.ready), (0, 0));
    let before = harness.now;
    harness.store(5000, ANN, &["bob@y.test"]);
    harness.run(seconds(1));
    let (at, decided) = harness.decided.last().unwrap();
    assert_eq!(decided.message.id, harness::id(5000));
    assert_eq!(at.since(before), harness.latency);
}

#[test]
fn the_shape_says_that_a_site_is_paced_and_until_when() {
    let mut harness = Harness::new(with_rates(&[rate(5, minutes(1))]), by_mx());
    store(&mut harness, 0..20);
    harness.run(seconds(10));
    let shape = harness.queue.shape_of(SITE, harness.now).unwrap();
    let Condition::Paced { until, why } = shape.condition else {
        panic!("{shape:?}");
    };
    assert_eq!(why, "5 messages/1m");
    let left = until.since(harness.now);
    assert!(left > seconds(50) && left < seconds(53), "{left:?}");
    assert_eq!(harness.queue.shape(harness.now).len(), 1);
    // When all is gone nothing is left to be told.
    harness.run(minutes(5));
    assert_eq!(harness.disk.waiting(), 0);
    harness.run(minutes(5));
    assert_eq!(harness.queue.shape(harness.now), []);
}

#[test]
fn a_changed_rate_is_in_force_at_once_and_what_went_out_counts() {
    let mut harness = Harness::new(with_rates(&[rate(10, minutes(1))]), by_mx());
    store(&mut harness, 0..200);
    harness.run(seconds(10));
    assert_eq!(harness.sent.len(), 10);
    let wider = with_rates(&[rate(25, minutes(1))]);
    harness.event(Event::Reloaded(by_mx(), Box::new(wider)));
    harness.run(seconds(1));
    assert_eq!(harness.sent.len(), 25);
    let none = with_rates(&[]);
    harness.event(Event::Reloaded(by_mx(), Box::new(none)));
    harness.run(seconds(5));
    assert_eq!(harness.disk.waiting(), 0);
}

/// A rate that looks far back, for mail that waits as long as it takes.
fn daily(rates: &[SendRate]) -> Settings {
    Settings {
        expire: hours(1000),
        ..with_rates(rates)
    }
}

/// A restart as the relay makes it, which writes down what was counted.
fn restart(harness: &mut Harness, settings: Settings) {
    let counts = harness.queue.rate_counts(harness.now);
    let text = RateCount::written(&counts);
    let read = RateCount::read(&text).unwrap();
    assert_eq!(read, counts);
    harness.restart_with(settings, by_mx(), read);
}

#[test]
fn a_rate_of_a_day_holds_over_restarts() {
    let settings = daily(&[rate(100, hours(24)), of_recipients(70, hours(1))]);
    let mut harness = Harness::new(settings.clone(), by_mx());
    store(&mut harness, 0..350);
    for _ in 0..40 {
        harness.run(minutes(37));
        restart(&mut harness, settings.clone());
    }
    harness.run(hours(80));
    assert_eq!(most_in(&harness, hours(24)), 100);
    assert_eq!(most_in(&harness, hours(1)), 70);
    assert_eq!((harness.disk.waiting(), tries(&harness)), (0, 0));
    // A restart holds up nothing beyond its time either: a slice of the day late at most.
    let days = harness.sent.last().unwrap().0.since(harness::START);
    assert!(days < hours(3 * 25), "{days:?}");
    harness.run(hours(30));
    assert_eq!(harness.queue.rate_counts(harness.now), []);
}

#[test]
fn what_was_under_way_at_a_crash_counts() {
    let settings = daily(&[rate(30, hours(24))]);
    let mut harness = Harness::new(settings.clone(), by_mx());
    harness.latency = minutes(2);
    store(&mut harness, 0..100);
    harness.run(seconds(1));
    let under_way = harness.queue.counts().agents;
    assert!(under_way > 10, "{under_way}");
    // Servers may have all of it, and nobody hears of that any more.
    harness.sent.clear();
    restart(&mut harness, settings);
    harness.run(hours(23));
    assert_eq!(harness.sent.len(), 30 - under_way);
}

#[test]
fn another_rate_after_a_restart_goes_by_what_was_counted_for_the_same_time() {
    for (after, more) in [
        (rate(25, hours(24)), 15),
        (rate(5, hours(24)), 0),
        (rate(25, hours(12)), 25),
        (of_recipients(25, hours(24)), 25),
    ] {
        let mut harness = Harness::new(daily(&[rate(10, hours(24))]), by_mx());
        store(&mut harness, 0..100);
        harness.run(hours(1));
        assert_eq!(harness.sent.len(), 10);
        restart(&mut harness, daily(&[after]));
        harness.run(minutes(5));
        assert_eq!(harness.sent.len(), 10 + more, "{after}");
    }
}

#[test]
fn what_was_counted_on_a_line_of_time_that_is_gone_holds_for_its_time_and_no_longer() {
    let settings = daily(&[rate(10, hours(24))]);
    for ahead in [hours(1), hours(100_000)] {
        let mut harness = Harness::new(settings.clone(), by_mx());
        store(&mut harness, 0..30);
        harness.run(hours(1));
        let mut counts = harness.queue.rate_counts(harness.now);
        let slices = counts.iter_mut().flat_map(|count| &mut count.slices);
        slices.for_each(|(at, _)| *at = *at + ahead);
        harness.restart_with(settings.clone(), by_mx(), counts);
        harness.run(hours(23));
        assert_eq!(harness.sent.len(), 10);
        harness.run(hours(2));
        assert_eq!(harness.sent.len(), 20);
    }
}

#[test]
fn the_count_of_a_short_time_begins_anew_with_a_restart() {
    let settings = with_rates(&[rate(10, minutes(1))]);
    let mut harness = Harness::new(settings.clone(), by_mx());
    store(&mut harness, 0..40);
    harness.run(seconds(10));
    restart(&mut harness, settings);
    harness.run(seconds(1));
    assert_eq!(harness.sent.len(), 20);
}

#[test]
fn of_very_many_sites_those_are_kept_that_have_used_up_most() {
    let mut harness = Harness::new(daily(&[rate(10, hours(24))]), by_mx());
    for n in 0..1500 {
        harness.store(n, ANN, &[&format!("bob@d{n}.test")]);
    }
    store(&mut harness, 2000..2005);
    harness.run(minutes(10));
    let counts = harness.queue.rate_counts(harness.now);
    assert_eq!(counts.len(), 1000);
    assert!(counts.is_sorted_by_key(|count| count.site.clone()));
    let most = counts.iter().find(|count| *count.site == *SITE);
    let most = most.map(|count| count.slices.iter().map(|(_, number)| number).sum());
    assert_eq!(most, Some(5));
}

#[test]
fn mail_that_waits_for_its_pace_is_told_of_and_never_given_up_untried() {
    let settings = Settings {
        delay_notice: Some(hours(2)),
        expire: hours(5),
        ..with_rates(&[rate(10, hours(1))])
    };
    let mut harness = Harness::new(settings, by_mx());
    store(&mut harness, 0..100);
    harness.run(hours(4));
    let words = harness.dispositions();
    let delayed = words
        .iter()
        .filter(|word| word.ends_with("delayed"))
        .count();
    // Those that have gone by then need no notice.
    assert!((70..=80).contains(&delayed), "{delayed}");
    harness.run(hours(8));
    assert_eq!(harness.disk.waiting(), 0);
    let words = harness.dispositions();
    let done = words
        .iter()
        .filter(|word| word.ends_with("delivered"))
        .count();
    assert_eq!(done, 100);
}

/// A server that takes so many in any minute, and says at the final dot that more is too much.
fn takes(harness: &mut Harness, per_minute: Rc<RefCell<usize>>) -> Rc<RefCell<usize>> {
    let refused = Rc::new(RefCell::new(0));
    let (counter, mut taken) = (Rc::clone(&refused), VecDeque::new());
    harness.servers(move |job, now| {
        while taken
            .front()
            .is_some_and(|at: &Timestamp| *at + minutes(1) <= now)
        {
            taken.pop_front();
        }
        if taken.len() >= *per_minute.borrow() {
            *counter.borrow_mut() += 1;
            return all(job, &too_fast());
        }
        taken.push_back(now);
        all(job, &delivered())
    });
    refused
}

#[test]
fn a_site_that_says_too_fast_gets_half_and_slowly_more_again() {
    let mut harness = Harness::new(exact(), by_mx());
    let limit = Rc::new(RefCell::new(60));
    let refused = takes(&mut harness, Rc::clone(&limit));
    store(&mut harness, 0..2000);
    harness.run(seconds(5));
    let shape = harness.queue.shape_of(SITE, harness.now).unwrap();
    let slowed = shape.slowed.unwrap();
    assert_eq!(
        slowed,
        "30 messages/1m: mx.test [192.0.2.9]:25 said 450 4.7.1 too much mail"
    );
    // One burst meets the refusals of all connections under way, and later one or a few a time.
    harness.run(minutes(30));
    let done = harness.sent.len();
    assert!(done > 30 * 35, "{done} in half an hour");
    assert!(
        *refused.borrow() < done / 10,
        "{} refused",
        refused.borrow()
    );
    *limit.borrow_mut() = usize::MAX;
    harness.run(minutes(20));
    assert_eq!(harness.disk.waiting(), 0);
    harness.run(hours(2));
    assert_eq!(harness.queue.shape(harness.now), []);
    // The log heard of all of it.
    let site = || SITE.into();
    let told: Vec<&Occurrence> = harness.occurred.iter().map(|(_, what)| what).collect();
    let first = Occurrence::Slowed {
        site: site(),
        pace: slowed,
    };
    assert_eq!(told.first(), Some(&&first));
    assert_eq!(told.last(), Some(&&Occurrence::PaceBack(site())));
}

#[test]
fn a_refusal_at_mail_for_pace_is_a_try_like_any_other() {
    let mut harness = Harness::new(exact(), by_mx());
    store(&mut harness, 0..10);
    harness.run(seconds(1));
    let first = Rc::new(RefCell::new(true));
    let meets = Rc::clone(&first);
    harness.mail_answers(move |_, _| {
        if meets.replace(false) {
            MailAnswer::TooFast
        } else {
            MailAnswer::Taken
        }
    });
    harness.run(seconds(10));
    store(&mut harness, 10..11);
    harness.run(minutes(2));
    assert_eq!((harness.disk.waiting(), tries(&harness)), (0, 1));
    assert!(!*first.borrow());
    let shape = harness.queue.shape_of(SITE, harness.now).unwrap();
    assert!(shape.slowed.is_some());
}

#[test]
fn refusals_of_another_kind_slow_nothing_down() {
    for scope in [Scope::Recipient, Scope::Message] {
        let mut harness = Harness::new(exact(), by_mx());
        harness.servers(move |job, _| {
            let refused = job.message.id.to_bytes()[15].is_multiple_of(2);
            all(
                job,
                &if refused {
                    deferred(scope)
                } else {
                    delivered()
                },
            )
        });
        store(&mut harness, 0..50);
        harness.run(seconds(5));
        let shape = harness.queue.shape(harness.now);
        assert!(shape.iter().all(|site| site.slowed.is_none()), "{shape:?}");
    }
    // Too fast for one recipient, while another of the message passes.
    let mut harness = Harness::new(exact(), by_mx());
    harness.servers(|job, _| {
        let outcome = |number| if number == 0 { too_fast() } else { delivered() };
        let recipients = job.recipients.iter();
        Some(recipients.map(|r| (r.number, outcome(r.number))).collect())
    });
    for n in 0..20 {
        harness.store(n, ANN, &["a@x.test", "b@x.test"]);
    }
    harness.run(seconds(5));
    let shape = harness.queue.shape(harness.now);
    assert!(shape.iter().all(|site| site.slowed.is_none()), "{shape:?}");
}

#[test]
fn a_route_has_rates_of_its_own() {
    let options = |rates| route::SiteOptions {
        rates,
        ..route::SiteOptions::default()
    };
    for (rates, expected) in [
        (None, 3),
        (Some(vec![]), 20),
        (Some(vec![rate(7, minutes(1))]), 7),
    ] {
        let mut builder = route::Routes::builder();
        let host = route::HostSpec::new(mail::Host::parse("[192.0.2.7]").unwrap(), true);
        builder.add_route("r", vec![host], options(rates), mail::Place::Default);
        builder.outbound(route::Via::Named("r".into()), mail::Place::Default);
        let routes = Arc::new(builder.build().unwrap());
        let mut harness = Harness::new(with_rates(&[rate(3, minutes(1))]), routes);
        store(&mut harness, 0..20);
        harness.run(seconds(20));
        assert_eq!(harness.sent.len(), expected);
    }
}
