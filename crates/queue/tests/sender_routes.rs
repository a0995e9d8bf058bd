//! Mail that leaves by its sender's route, beside all other mail for the same domain.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{
    Harness, all, by_mx, by_senders, deferred, delivered, exact, filed, hours, message, minutes,
};
use mail::{Host, Place, Scope, Timestamp};
use queue::{AgentId, Settings};
use relay_policy::Grounds;
use route::{HostSpec, Routes, SiteOptions};

const ANN: &str = "ann@sender.example";
const BRAND: &str = "news@brand.example";
const BOB: &[&str] = &["bob@x.test"];
/// Where mail of the brand goes, and everybody's.
const OUT: &str = "[192.0.2.1]:25";
const MX: &str = "mx:x.test";

fn brand() -> Arc<Routes> {
    by_senders(&[("brand.example", "[192.0.2.1]")])
}

/// To which site each attempt went.
fn sites(harness: &Harness) -> Vec<&str> {
    let site = |(_, _, agent): &(Timestamp, harness::Key, AgentId)| &*harness.site_of[agent];
    harness.sent.iter().map(site).collect()
}

#[test]
fn mail_goes_by_its_senders_route_and_that_of_anybody_and_from_nobody_does_not() {
    let mut harness = Harness::new(exact(), brand());
    harness.store(1, ANN, BOB);
    harness.store(2, BRAND, BOB);
    harness.store(3, "", BOB);
    // Anybody may have named the sender, or somebody who may send to domains of ours alone.
    harness.store_on(4, BRAND, Grounds::Forwarded, BOB);
    harness.store_on(5, BRAND, Grounds::SignedInUser, BOB);
    harness.run(minutes(1));
    assert_eq!(sites(&harness), [MX, OUT, MX, MX, OUT]);
    assert_eq!(harness.queue.counts().hosts, 0);
}

/// A sender's route is one site, and its domains have their turns there as those of any other site.
#[test]
fn thousands_for_one_domain_of_a_senders_route_hold_up_no_other_domain_there() {
    let mut harness = Harness::new(exact(), brand());
    harness.latency = Duration::from_secs(1);
    let waits = |harness: &mut Harness, n, to| {
        let (message, recipients) = message(n, BRAND, harness.now, to);
        let recipients = filed(&message, recipients, &brand());
        harness.disk.store(&message, &recipients);
    };
    for n in 0..5000 {
        waits(&mut harness, n, BOB);
    }
    waits(&mut harness, 5000, &["eve@y.test"]);
    harness.restart(exact(), brand());
    harness.run(minutes(2));
    let is_eve = |(_, key, _): &(Timestamp, harness::Key, AgentId)| *key == (harness::id(5000), 0);
    let before = harness.sent.iter().position(is_eve).unwrap();
    assert!(before < 1000, "{before} went before it");
}

/// Thousands that wait for one site of a domain hold up nobody who goes to the other, neither after
/// a failure nor from the spool.
#[test]
fn neither_site_of_a_domain_holds_up_the_other() {
    for (stuck, stuck_site, free, free_site) in [(BRAND, OUT, ANN, MX), (ANN, MX, BRAND, OUT)] {
        for is_paused in [false, true] {
            let mut harness = Harness::new(exact(), brand());
            if is_paused {
                let pause = harness.pause(Some(stuck_site), None);
                harness.set_pauses(vec![pause]);
            }
            let (down, mut tried) = (stuck_site, 0);
            harness.servers(move |job, _| {
                if &*job.site.name == down {
                    return all(job, &deferred(Scope::Site));
                }
                // Each of the others has to come from the spool at least once.
                tried += 1;
                let outcome = match tried {
                    ..=20 => deferred(Scope::Recipient),
                    _ => delivered(),
                };
                all(job, &outcome)
            });
            for n in 0..6_000 {
                harness.store(n, stuck, BOB);
            }
            for n in 6_000..6_020 {
                harness.store(n, free, BOB);
            }
            harness.run(minutes(20));
            assert_eq!(harness.disk.waiting(), 6_000, "{stuck}");
            let to_free = sites(&harness).into_iter().filter(|to| *to == free_site);
            assert_eq!(to_free.count(), 40, "{stuck}");
            assert!(harness.ready_most <= 2 * Settings::default().ready_per_site_max);
        }
    }
}

#[test]
fn what_waits_goes_by_other_routes_from_the_next_reload_and_is_filed_anew() {
    let mut harness = Harness::new(exact(), brand());
    let pause = harness.pause(Some(OUT), None);
    harness.set_pauses(vec![pause]);
    for n in 0..2_998 {
        harness.store(n, if n % 2 == 0 { BRAND } else { ANN }, BOB);
    }
    // One with many recipients is filed in parts.
    let many: Vec<String> = (0..1_200).map(|n| format!("r{n}@x.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    harness.store(2_998, BRAND, &many);
    harness.run(minutes(1));
    assert_eq!(harness.disk.waiting(), 2_699);
    // The site is still paused under which they are filed.
    let other = by_senders(&[("*", "[192.0.2.2]"), (BRAND, "mx")]);
    harness.servers(|job, _| all(job, &deferred(Scope::Recipient)));
    harness.reload(exact(), Arc::clone(&other));
    harness.run(minutes(1));
    assert_eq!(harness.sent.len(), 1_499 + 2_699);
    assert!(sites(&harness)[1_499..].iter().all(|site| *site == MX));
    assert!(harness.disk.is_filed_by(&other));
    // And back to their host when there are no such routes any more.
    harness.servers(|job, _| all(job, &delivered()));
    harness.reload(exact(), by_mx());
    harness.run(minutes(1));
    assert!(harness.disk.is_filed_by(&by_mx()));
    harness.run(hours(1));
    assert_eq!(
        (harness.disk.waiting(), harness.sent.len()),
        (0, 1_499 + 2 * 2_699)
    );
}

/// So does what was filed by routes that have changed while the relay was not running.
#[test]
fn a_start_with_other_routes_finds_all_that_waits() {
    for routes in [by_mx(), by_senders(&[("brand.example", "[192.0.2.2]")])] {
        let mut harness = Harness::new(exact(), brand());
        let pause = harness.pause(Some(OUT), None);
        harness.set_pauses(vec![pause]);
        for n in 0..500 {
            harness.store(n, BRAND, BOB);
        }
        assert_eq!(harness.disk.waiting(), 500);
        harness.restart(exact(), routes);
        harness.run(minutes(1));
        assert_eq!(harness.disk.waiting(), 0);
    }
}

/// All that waits is looked through after a start, page by page and when what is due has begun to go.
#[test]
fn a_start_looks_for_what_is_misfiled_after_the_first_deliveries_and_a_page_at_a_time() {
    let mut harness = Harness::new(exact(), by_mx());
    let pause = harness.pause(Some(MX), None);
    harness.set_pauses(vec![pause]);
    for n in 0..10_000 {
        harness.store(n, BRAND, BOB);
    }
    harness.store(10_000, BRAND, &["eve@y.test"]);
    harness.disk_works = false;
    harness.restart(exact(), brand());
    harness.disk_works = true;
    harness.run(Duration::from_secs(2));
    assert!(!harness.sent.is_empty());
    assert_eq!(harness.filed_read, 0);
    harness.run(Duration::from_secs(4));
    // One every twenty milliseconds, and no more.
    assert!(harness.filed_read <= 60, "{}", harness.filed_read);
    harness.run(minutes(2));
    assert_eq!(harness.disk.waiting(), 0);
}

#[test]
fn what_could_not_be_filed_anew_is_after_a_while() {
    let mut harness = Harness::new(exact(), brand());
    let pause = harness.pause(Some(OUT), None);
    harness.set_pauses(vec![pause]);
    harness.store(1, BRAND, BOB);
    harness.disk_works = false;
    let other = by_senders(&[("brand.example", "mx")]);
    let pause = harness.pause(Some(MX), None);
    harness.set_pauses(vec![pause]);
    harness.reload(exact(), Arc::clone(&other));
    harness.run(minutes(1));
    assert!(!harness.disk.is_filed_by(&other));
    harness.disk_works = true;
    harness.run(minutes(1));
    assert!(harness.disk.is_filed_by(&other));
}

/// What has been at the filter, and notices of ours, go on; all else goes there first, whoever sent it.
#[test]
fn mail_goes_to_the_filter_before_all_other_routes_and_once() {
    let mut builder = Routes::builder();
    let host = HostSpec::new(Host::parse("[192.0.2.5]").unwrap(), true);
    builder.add_route("scan", vec![host], SiteOptions::default(), Place::Default);
    builder.filter("scan", Place::Default);
    let mut harness = Harness::new(exact(), Arc::new(builder.build().unwrap()));
    for (n, grounds) in [
        (1, Grounds::OurDomain),
        (2, Grounds::SignedInUser),
        (3, Grounds::Forwarded),
        (4, Grounds::LocalSubmission),
        (5, Grounds::Filtered),
        (6, Grounds::FilteredOfStrangers),
        (7, Grounds::OwnNotice),
    ] {
        harness.store_on(n, ANN, grounds, BOB);
    }
    harness.run(minutes(1));
    let scan = "route:scan";
    assert_eq!(sites(&harness), [scan, scan, scan, scan, MX, MX, MX]);
    assert_eq!(harness.queue.counts().hosts, 0);
}
