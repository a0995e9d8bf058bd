//! Mail that waits until somebody asks for it.

mod harness;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use harness::{Harness, all, by_mx, by_smart_host, deferred, delivered, exact, hours, minutes};
use mail::{Client, Domain, Notify, Place, Scope};
use queue::{Condition, Event, OnDemand, Settings};
use relay_policy::{
    AskedBy, DomainRule, DomainTable, Facts, List, NameMap, NamePattern, NamedDomain, Request,
    Requested, Rules, request,
};

const ANN: &str = "ann@sender.example";
const DAY: Duration = Duration::from_secs(86_400);

fn settings(entries: &[&str]) -> Settings {
    let mut on_demand = NameMap::default();
    for text in entries {
        let entry = NamePattern::parse(text).unwrap();
        let here = OnDemand {
            entry: entry.clone(),
            expire: 7 * DAY,
            place: Place::Default,
        };
        on_demand.insert(entry, Some(here));
    }
    Settings {
        on_demand: Arc::new(on_demand),
        ..exact()
    }
}

/// What a client asks for that may have the mail of all these entries.
fn wanted(entries: &[&str], domain: &str, with_subdomains: bool) -> Requested {
    let mut domains = DomainTable::default();
    for text in entries {
        let pattern = NamePattern::parse(text).unwrap();
        let mut rule = DomainRule::remote(pattern, Place::Default);
        rule.on_demand = Some(relay_policy::OnDemand {
            clients: List::from_texts(&["192.0.2.7"]).unwrap(),
            has_route: true,
            ..relay_policy::OnDemand::default()
        });
        domains.insert(rule);
    }
    let mut rules = Rules::closed("internet");
    rules.domains = Arc::new(domains);
    let peer = "192.0.2.7:4000".parse().unwrap();
    let client = Client::new(peer, "192.0.2.1:25".parse().unwrap(), "internet".into());
    let named = NamedDomain {
        domain: Domain::parse(domain).unwrap(),
        with_subdomains,
    };
    let facts = Facts::default();
    match request(&rules, &client, &facts, AskedBy::Etrn, vec![named]) {
        Request::Granted(wanted) => wanted,
        other => panic!("{other:?}"),
    }
}

fn office() -> Requested {
    wanted(&["office.one"], "office.one", false)
}

#[test]
fn it_waits_for_an_ask_and_goes_once_then() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    assert!(!harness.ask(&office()), "nothing waits");
    for n in 0..50 {
        harness.store(n, ANN, &["bob@office.one", "eve@home.one"]);
    }
    harness.run(DAY);
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (50, 50));
    let counts = harness.queue.counts();
    assert_eq!((counts.agents, counts.ready, counts.sites), (0, 0, 0));
    assert!(harness.loads < 30, "{} loads", harness.loads);
    assert!(harness.queue.alarms(harness.now).is_empty());
    let shape = harness.queue.shape(harness.now);
    assert_eq!(&*shape[0].name, "on-demand:office.one");
    assert_eq!(shape[0].condition, Condition::Unasked(Place::Default));

    assert!(harness.ask(&office()));
    // What comes behind the ask waits for the next one.
    harness.now = harness.now + Duration::from_millis(1);
    harness.store(99, ANN, &["bob@office.one"]);
    harness.run(minutes(1));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (100, 1));
    assert!(harness.ask(&office()));
    harness.run(minutes(1));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (101, 0));
    let said = harness.dispositions();
    assert!(
        said.iter().all(|word| word.ends_with("delivered")),
        "{said:?}"
    );
}

#[test]
fn what_is_put_off_waits_for_the_next_ask() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    harness.servers(|job, _| all(job, &deferred(Scope::Message)));
    for n in 0..20 {
        harness.store(n, ANN, &["bob@office.one"]);
    }
    for round in 1..=3 {
        assert!(harness.ask(&office()));
        harness.run(hours(20));
        assert_eq!(harness.sent.len(), 20 * round, "each once");
    }
    assert_eq!(harness.disk.waiting(), 20);
}

/// Asking at every moment costs no more than asking now and then.
#[test]
fn who_asks_again_at_once_gets_what_he_has_asked_for() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    harness.servers(|job, _| all(job, &deferred(Scope::Message)));
    harness.store(1, ANN, &["bob@office.one"]);
    for _ in 0..100 {
        assert!(harness.ask(&office()));
        harness.run(Duration::from_millis(50));
    }
    assert_eq!(harness.sent.len(), 1);
}

#[test]
fn who_asks_again_soon_gets_what_has_come_since() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    harness.servers(|job, _| match job.message.id == harness::id(1) {
        true => all(job, &deferred(Scope::Message)),
        false => all(job, &delivered()),
    });
    harness.store(1, ANN, &["bob@office.one"]);
    assert!(harness.ask(&office()));
    for n in 2..=3 {
        harness.run(Duration::from_secs(3));
        harness.store(n, ANN, &["bob@office.one"]);
        assert!(harness.ask(&office()));
    }
    harness.run(Duration::from_secs(1));
    harness.store(4, ANN, &["bob@office.one"]);
    assert_eq!(harness.sent.len(), 1);
    harness.run(minutes(1));
    // What was put off waited when he asked again, and has one more try.
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (4, 2));
}

#[test]
fn a_site_that_is_down_is_tried_no_more_often_however_often_somebody_asks() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    harness.servers(|job, _| all(job, &deferred(Scope::Site)));
    for n in 0..200 {
        harness.store(n, ANN, &["bob@office.one"]);
    }
    assert!(harness.ask(&office()));
    harness.run(Duration::from_secs(1));
    let (tried, loads) = (harness.sent.len(), harness.loads);
    for _ in 0..100 {
        assert!(harness.ask(&office()));
        harness.run(Duration::from_millis(50));
    }
    assert_eq!((harness.sent.len(), harness.loads), (tried, loads));
    // All of them together are heeded once.
    harness.run(hours(1));
    assert_eq!(harness.sent.len(), tried + 1);
}

#[test]
fn an_attempt_that_began_before_an_ask_does_not_end_it() {
    for is_back in [true, false] {
        let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
        harness.latency = minutes(1);
        harness.servers(move |job, now| {
            let is_up = is_back && now.since(harness::START) > minutes(1);
            all(
                job,
                &if is_up {
                    delivered()
                } else {
                    deferred(Scope::Site)
                },
            )
        });
        for n in 0..200 {
            harness.store(n, ANN, &["bob@office.one"]);
        }
        assert!(harness.ask(&office()));
        let tried = harness.sent.len();
        harness.run(Duration::from_secs(30));
        assert!(harness.ask(&office()));
        harness.run(hours(3));
        // Those that were out have had their try; where nobody is there still, one more tells.
        let left = if is_back { tried } else { 200 };
        let more = if is_back { 200 - tried } else { 1 };
        let sent = harness.sent.len();
        assert_eq!((sent, harness.disk.waiting()), (tried + more, left));
    }
}

#[test]
fn what_is_asked_for_in_a_pause_goes_when_that_ends() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    let pause = harness.pause(None, Some(hours(1)));
    harness.set_pauses(vec![pause]);
    harness.store(1, ANN, &["bob@office.one"]);
    assert!(harness.ask(&office()));
    harness.run(minutes(59));
    assert_eq!(harness.sent.len(), 0);
    harness.run(minutes(2));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (1, 0));
}

#[test]
fn when_nobody_is_there_all_waits_for_the_next_ask() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    let is_up = Rc::new(Cell::new(false));
    let sees = Rc::clone(&is_up);
    harness.servers(move |job, _| match sees.get() {
        true => all(job, &delivered()),
        false => all(job, &deferred(Scope::Site)),
    });
    for n in 0..200 {
        harness.store(n, ANN, &["bob@office.one"]);
    }
    assert!(harness.ask(&office()));
    harness.run(hours(5));
    let tried = harness.sent.len();
    assert!((1..=20).contains(&tried), "{tried} attempts");
    assert_eq!(harness.disk.waiting(), 200);
    assert!(harness.queue.alarms(harness.now).is_empty());
    // It is back, and asks: the site is not left alone any longer.
    is_up.set(true);
    assert!(harness.ask(&office()));
    harness.run(minutes(1));
    assert_eq!(harness.disk.waiting(), 0);
}

#[test]
fn it_is_given_up_at_its_own_age_and_nobody_hears_of_a_delay() {
    for with_restart in [false, true] {
        let mut harness = Harness::new(settings(&["*.one"]), by_smart_host());
        let (message, recipients) = harness::message(1, ANN, harness.now, &["bob@office.one"]);
        harness.store_message(message, recipients);
        let told = Notify {
            delay: true,
            failure: true,
            ..Notify::default()
        };
        harness.store_with(2, told, &["bob@office.one", "eve@x.test"]);
        if with_restart {
            harness.run(DAY);
            harness.restart(settings(&["*.one"]), by_smart_host());
        }
        harness.run(8 * DAY);
        let day = 24 * 60;
        let said: Vec<_> = harness.dispositions();
        let expired: Vec<_> = said
            .iter()
            .filter(|word| word.contains("expired"))
            .collect();
        assert_eq!(
            expired,
            [&format!("{} expired 5.4.7", 7 * day); 2],
            "{said:?}"
        );
        assert!(
            !said.iter().any(|word| word.contains("delayed")),
            "{said:?}"
        );
        assert_eq!(harness.disk.waiting(), 0);
    }
}

#[test]
fn many_that_are_too_old_are_all_given_up() {
    let settings = Settings {
        load_batch: 10,
        ..settings(&["office.one"])
    };
    let mut harness = Harness::new(settings, by_smart_host());
    for n in 0..300 {
        harness.store(n, ANN, &["bob@office.one"]);
    }
    harness.run(7 * DAY + minutes(5));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (0, 0));
}

#[test]
fn an_ask_is_for_those_who_are_named() {
    let entries = ["office.one", "*.office.one", "home.one"];
    let mut harness = Harness::new(settings(&entries), by_smart_host());
    let to = ["a@office.one", "b@x.office.one", "c@home.one"];
    harness.store(1, ANN, &to);
    assert!(harness.ask(&wanted(&entries, "office.one", false)));
    harness.run(minutes(1));
    assert_eq!(harness.sent.len(), 1);
    harness.store(2, ANN, &to);
    assert!(harness.ask(&wanted(&entries, "office.one", true)));
    harness.run(minutes(1));
    // Of the first message the second domain, of the second both.
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (4, 2));
    assert!(!harness.ask(&wanted(&entries, "office.one", true)));
}

#[test]
fn a_reload_lets_go_and_takes_back() {
    let mut harness = Harness::new(settings(&["x.test"]), by_mx());
    harness.store(1, ANN, &["bob@x.test"]);
    harness.run(hours(1));
    assert_eq!(harness.sent.len(), 0);
    harness.event(Event::Reloaded(by_mx(), Box::new(exact())));
    harness.run(minutes(1));
    assert_eq!(harness.sent.len(), 1);
    harness.event(Event::Reloaded(by_mx(), Box::new(settings(&["x.test"]))));
    harness.store(2, ANN, &["bob@x.test"]);
    harness.run(hours(1));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (1, 1));
}

/// A word of the operator's that makes all due at once is no ask.
#[test]
fn a_retry_does_not_bring_it_out() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    harness.store(1, ANN, &["bob@office.one"]);
    harness.run(hours(1));
    let domains = harness.disk.domains();
    harness.event(Event::Changed { domains });
    harness.run(hours(1));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (0, 1));
}

#[test]
fn whoever_fetches_it_gets_all_that_waits_and_is_sent_away() {
    let entries = ["office.one", "home.one"];
    let mut harness = Harness::new(settings(&entries), by_smart_host());
    assert_eq!(harness.call(&office(), "branch"), None);
    for n in 0..300 {
        harness.store(
            n,
            ANN,
            &["bob@office.one", "eve@office.one", "ann@home.one"],
        );
    }
    let agent = harness.call(&office(), "branch").expect("mail waits");
    assert_eq!(harness.queue.counts().agents, 1);
    harness.now = harness.now + Duration::from_millis(1);
    harness.store(999, ANN, &["bob@office.one"]);
    harness.run(minutes(5));
    assert!(harness.sent.iter().all(|(_, _, by)| *by == agent));
    assert_eq!((harness.sent.len(), harness.hires), (600, 0));
    assert_eq!(harness.disk.waiting(), 300 + 1, "and what came later");
    let counts = harness.queue.counts();
    assert_eq!((counts.agents, counts.ready, counts.sites), (0, 0, 0));
    // It went by no site of the configuration, and is asked for again as ever.
    assert!(harness.ask(&office()));
    harness.run(minutes(1));
    assert_eq!((harness.sent.len(), harness.hires), (601, 1));
}

#[test]
fn what_was_not_fetched_waits_when_the_connection_is_cut() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    harness.latency = Duration::from_secs(1);
    for n in 0..10 {
        harness.store(n, ANN, &["bob@office.one"]);
    }
    let agent = harness.call(&office(), "branch").expect("mail waits");
    harness.run(Duration::from_millis(3_500));
    harness.lose(agent);
    harness.run(hours(1));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (4, 7));
    let counts = harness.queue.counts();
    assert_eq!((counts.agents, counts.ready, counts.sites), (0, 0, 0));
    assert!(harness.queue.alarms(harness.now).is_empty());
    assert!(harness.call(&office(), "branch").is_some());
    harness.run(hours(1));
    assert_eq!(harness.disk.waiting(), 0);
}

/// The same when the agent has told so, and another call comes at once.
#[test]
fn who_was_cut_off_may_fetch_at_once() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    harness.servers(|job, now| match now.since(harness::START) < minutes(1) {
        true => all(job, &deferred(Scope::Site)),
        false => all(job, &delivered()),
    });
    for n in 0..10 {
        harness.store(n, ANN, &["bob@office.one"]);
    }
    let agent = harness.call(&office(), "branch").expect("mail waits");
    harness.run(Duration::from_millis(15));
    harness.lose(agent);
    harness.run(minutes(2));
    assert_eq!(harness.disk.waiting(), 10);
    assert!(harness.call(&office(), "branch").is_some());
    harness.run(minutes(1));
    assert_eq!((harness.hires, harness.disk.waiting()), (0, 0));
}

#[test]
fn what_whoever_fetches_puts_off_or_refuses_is_settled_for_each() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    harness.servers(|job, _| {
        let outcomes = [delivered(), harness::failed(), deferred(Scope::Recipient)];
        let numbers = job.recipients.iter().map(|one| one.number);
        Some(numbers.zip(outcomes).collect())
    });
    harness.store(1, ANN, &["a@office.one", "b@office.one", "c@office.one"]);
    harness.call(&office(), "branch").expect("mail waits");
    harness.run(hours(1));
    let mut said = harness.dispositions();
    said.sort();
    assert_eq!(said, ["0 again", "0 delivered", "0 failed 5.1.1"]);
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (3, 1));
}

/// Those who fetch at one time share what waits, whoever they are.
#[test]
fn two_who_fetch_at_one_time_get_each_message_once() {
    for names in [["branch", "branch"], ["branch", "other"]] {
        let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
        for n in 0..700 {
            harness.store(n, ANN, &["bob@office.one"]);
        }
        let agents = names.map(|name| harness.call(&office(), name));
        assert!(agents[0].is_some() && agents[0] != agents[1]);
        harness.run(minutes(1));
        assert_eq!((harness.sent.len(), harness.disk.waiting()), (700, 0));
        assert_eq!((harness.hires, harness.queue.counts().agents), (0, 0));
    }
}

#[test]
fn a_reload_ends_what_is_being_fetched() {
    let mut harness = Harness::new(settings(&["office.one"]), by_smart_host());
    harness.latency = Duration::from_secs(1);
    for n in 0..10 {
        harness.store(n, ANN, &["bob@office.one"]);
    }
    harness.call(&office(), "branch").expect("mail waits");
    harness.run(Duration::from_millis(1_500));
    let anew = Box::new(settings(&["office.one"]));
    harness.event(Event::Reloaded(by_smart_host(), anew));
    harness.run(hours(1));
    assert_eq!((harness.sent.len(), harness.disk.waiting()), (2, 8));
    assert_eq!(harness.queue.counts().agents, 0);
    // Without the connection it must not go by the route either.
    assert_eq!(harness.hires, 0);
}
