//! Mail that an operator leads to a route, whatever its domain says.

mod harness;

use std::sync::Arc;

use harness::{Harness, all, deferred, delivered, exact, hours, minutes};
use mail::{Host, Place, Scope};
use queue::Event;
use route::{HostSpec, Routes, SiteOptions};
use spool::Filed;

const BOB: &[&str] = &["bob@x.test"];
const LED: &str = "rerouted:route:isp";

fn routes(names: &[&str]) -> Arc<Routes> {
    let mut builder = Routes::builder();
    let host = HostSpec::new(Host::parse("[192.0.2.1]").unwrap(), true);
    for name in names {
        let (hosts, options) = (vec![host.clone()], SiteOptions::default());
        builder.add_route(name, hosts, options, Place::Default);
    }
    Arc::new(builder.build().unwrap())
}

/// An operator has all that is on the disk filed under this name.
fn lead(harness: &mut Harness, name: &str) {
    let filed: Vec<Filed> = (harness.disk.messages.iter())
        .flat_map(|(id, (_, recipients))| recipients.keys().map(move |number| (*id, *number)))
        .map(|(id, number)| {
            let name = name.into();
            Filed { id, number, name }
        })
        .collect();
    harness.disk.file(&filed);
    let domains = harness.disk.domains();
    harness.event(Event::Changed { domains });
}

fn sites(harness: &Harness) -> Vec<&str> {
    let sent = harness.sent.iter();
    sent.map(|(_, _, agent)| &*harness.site_of[agent]).collect()
}

/// Also who was in an agent's hand when that was said: his copy in memory has the old place.
#[test]
fn whoever_is_led_elsewhere_and_back_is_forgotten_nowhere() {
    let mut harness = Harness::new(exact(), routes(&["isp"]));
    harness.servers(|job, _| all(job, &deferred(Scope::Recipient)));
    harness.latency = minutes(1);
    for n in 0..5 {
        harness.store(n, "ann@sender.example", BOB);
    }
    harness.run(minutes(1) / 2);
    assert_eq!(harness.busy.len(), 5);
    lead(&mut harness, LED);
    harness.run(hours(1));
    let before = harness.sent.len();
    lead(&mut harness, "x.test");
    harness.run(hours(4));
    let between = harness.sent.len();
    lead(&mut harness, LED);
    harness.servers(|job, _| all(job, &delivered()));
    harness.run(hours(12));
    assert_eq!(harness.disk.waiting(), 0);
    let sites = sites(&harness);
    let by_mx = sites.iter().filter(|site| **site == "mx:x.test").count();
    assert!(sites[..before].contains(&"route:isp"));
    assert!(sites[before..between].contains(&"mx:x.test"));
    assert!(
        by_mx < between && sites.ends_with(&["route:isp"]),
        "{sites:?}"
    );
    assert_eq!(harness.queue.counts().hosts, 0);
}

/// Not even where a reload takes the route away does it go another way.
#[test]
fn a_route_that_is_gone_keeps_its_mail() {
    let mut harness = Harness::new(exact(), routes(&["isp"]));
    harness.servers(|job, _| all(job, &deferred(Scope::Recipient)));
    harness.store(1, "ann@sender.example", BOB);
    harness.run(minutes(1));
    lead(&mut harness, LED);
    harness.reload(exact(), routes(&[]));
    harness.run(hours(2));
    assert!(sites(&harness)[1..].iter().all(|site| *site == "route:isp"));
    harness.restart(exact(), routes(&["isp"]));
    harness.servers(|job, _| all(job, &delivered()));
    harness.run(hours(6));
    assert_eq!(
        (harness.disk.waiting(), sites(&harness).last()),
        (0, Some(&"route:isp"))
    );
}
