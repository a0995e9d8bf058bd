use bytes::Bytes;
use config::DomainSettings;
use mail::{Host, Place};
use relay_policy::{NameMap, NamePattern};
use route::{DomainPattern, HostSpec, Via};

use super::*;
use crate::sample::{CONTENT, job};

/// All mail by two smart hosts, 192.0.2.1 before 192.0.2.2.
fn routes() -> Arc<Routes> {
    let host = |text: &str| HostSpec {
        host: Host::parse(text).unwrap(),
        exact: true,
        port: None,
    };
    let via = Via::SmartHosts(vec![host("[192.0.2.1]"), host("[192.0.2.2]")]);
    let pattern = DomainPattern::parse("*.example").unwrap();
    let mut routes = Routes::builder();
    routes.add_domain(pattern, via, Place::Default);
    Arc::new(routes.build().unwrap())
}

fn manners() -> Manners {
    let mut domains = NameMap::default();
    let strict = DomainSettings {
        eight_bit: config::EightBit::Bounce,
        helo_only: false,
    };
    let pattern = NamePattern::parse("strict.example").unwrap();
    domains.insert(pattern, strict);
    let helo = Host::parse("relay.example").unwrap();
    Manners {
        settings: Arc::new(delivery::Settings::new(helo)),
        domains: Arc::new(domains),
    }
}

fn site(routes: &Routes) -> Site {
    routes.site(&Host::parse("a.example").unwrap())
}

fn courier(addresses: &[&str]) -> Courier {
    let routes = routes();
    let job = job(1, addresses, &site(&routes));
    Courier::new(1, job, routes, manners(), 5)
}

/// Walks on to the next connection; what was said of hosts on the way.
fn connect(courier: &mut Courier) -> Vec<(String, String)> {
    let mut failed = Vec::new();
    loop {
        match courier.next_step() {
            Some(Step::HostFailed { hop, failure }) => {
                assert_eq!(failure.host.as_deref(), Some(&*hop.to_string()));
                failed.push((hop.address.ip().to_string(), failure.reply.to_string()));
            }
            Some(Step::Connect(_)) => {
                courier.on_connected();
                return failed;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Lets the server say this, as soon as everything before was written; content is fed when it is asked for.
fn hear(courier: &mut Courier, replies: &[&str]) {
    for reply in replies {
        talk(courier);
        let conversation = courier.conversation().unwrap();
        conversation.output().clear();
        conversation.receive(format!("{reply}\r\n").as_bytes());
    }
}

/// Serves the conversation until it waits for the server.
fn talk(courier: &mut Courier) {
    loop {
        match courier.next_step() {
            Some(Step::Content) => {
                let conversation = courier.conversation().unwrap();
                conversation.content(CONTENT);
                conversation.content_end();
            }
            Some(Step::Talk) => return,
            other => panic!("{other:?}"),
        }
    }
}

fn report(courier: &mut Courier) -> Report {
    match courier.next_step() {
        Some(Step::Report(report)) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_host_that_is_passed_over_is_told_of() {
    let mut courier = courier(&["bob@a.example"]);
    assert!(matches!(courier.next_step(), Some(Step::Connect(_))));
    courier.on_connect_failed("connection refused");
    let failed = connect(&mut courier);
    let [(host, reply)] = &failed[..] else {
        panic!("{failed:?}")
    };
    assert_eq!(host, "192.0.2.1");
    assert!(reply.ends_with("connection refused"), "{reply}");
    hear(
        &mut courier,
        &[
            "220 b",
            "250 b",
            "250 ok",
            "250 ok",
            "354 go on",
            "250 taken",
        ],
    );
    let report = report(&mut courier);
    assert!(matches!(report.results[..], [(0, Outcome::Delivered(_))]));
    assert!(matches!(courier.next_step(), Some(Step::Talk)));
}

#[test]
fn a_host_that_refuses_to_serve_hears_quit_before_the_next_is_tried() {
    let mut courier = courier(&["bob@a.example"]);
    connect(&mut courier);
    hear(&mut courier, &["554 no service here"]);
    talk(&mut courier);
    assert_eq!(courier.conversation().unwrap().output(), b"QUIT\r\n");
    hear(&mut courier, &["221 bye"]);
    let failed = connect(&mut courier);
    assert_eq!(
        failed,
        [("192.0.2.1".to_owned(), "554 no service here".to_owned())]
    );
    hear(&mut courier, &["554 nor here"]);
    hear(&mut courier, &["221 bye"]);
    // The last one is in the report.
    let report = report(&mut courier);
    let [(0, Outcome::Deferred(failure))] = &report.results[..] else {
        panic!("{report:?}")
    };
    assert_eq!(failure.scope, Scope::Site);
    assert!(failure.host.as_deref().unwrap().contains("192.0.2.2"));
    assert!(matches!(courier.next_step(), Some(Step::Leave)));
}

#[test]
fn a_lost_answer_to_the_dot_is_not_followed_by_another_host() {
    let mut courier = courier(&["bob@a.example"]);
    connect(&mut courier);
    hear(
        &mut courier,
        &["220 a", "250 a", "250 ok", "250 ok", "354 go on"],
    );
    talk(&mut courier);
    let conversation = courier.conversation().unwrap();
    conversation.output().clear();
    conversation.on_disconnected();
    let report = report(&mut courier);
    let [(0, Outcome::Deferred(failure))] = &report.results[..] else {
        panic!("{report:?}")
    };
    assert_eq!(failure.scope, Scope::Message);
    assert!(failure.host.as_deref().unwrap().contains("192.0.2.1"));
    assert!(report.unknown && !report.reusable);
    assert!(matches!(courier.next_step(), Some(Step::Leave)));
}

#[test]
fn unreadable_content_tries_no_other_host() {
    let mut courier = courier(&["bob@a.example"]);
    connect(&mut courier);
    hear(&mut courier, &["220 a", "250 a", "250 ok", "250 ok"]);
    talk(&mut courier);
    let conversation = courier.conversation().unwrap();
    conversation.output().clear();
    conversation.receive(b"354 go on\r\n");
    assert!(matches!(courier.next_step(), Some(Step::Content)));
    courier.on_content_failed("disk error");
    let report = report(&mut courier);
    let [(0, Outcome::Deferred(failure))] = &report.results[..] else {
        panic!("{report:?}")
    };
    assert_eq!((failure.scope, &failure.host), (Scope::Message, &None));
    assert!(matches!(courier.next_step(), Some(Step::Leave)));
}

/// One recipient at a time; the first host takes one, breaks, and leaves the other to the second.
fn shared_by_two_hosts(first: &str, second: &str) -> Report {
    let mut courier = courier(&["bob@a.example", "cat@a.example"]);
    connect(&mut courier);
    let replies = [
        "250 ok",
        "250 ok",
        "452 4.5.3 too many",
        "354 go on",
        "250 taken",
    ];
    hear(&mut courier, &["220 a", first]);
    hear(&mut courier, &replies);
    talk(&mut courier);
    courier.conversation().unwrap().on_disconnected();
    assert_eq!(connect(&mut courier).len(), 1);
    hear(&mut courier, &["220 b", second]);
    hear(
        &mut courier,
        &["250 ok", "250 ok", "354 go on", "250 taken"],
    );
    let report = report(&mut courier);
    assert!(matches!(
        report.results[..],
        [(0, Outcome::Delivered(_)), (1, Outcome::Delivered(_))]
    ));
    report
}

#[test]
fn notices_of_success_are_passed_on_for_whom_the_host_that_took_them_promised() {
    let (plain, dsn) = ("250 a", "250-a\r\n250 DSN");
    assert_eq!(shared_by_two_hosts(dsn, plain).dsn_passed, [0]);
    assert_eq!(shared_by_two_hosts(plain, dsn).dsn_passed, [1]);
    assert_eq!(shared_by_two_hosts(dsn, dsn).dsn_passed, [0, 1]);
}

#[test]
fn a_host_that_took_nobody_passes_nothing_on() {
    let mut courier = courier(&["bob@a.example"]);
    connect(&mut courier);
    hear(&mut courier, &["220 a", "250-a\r\n250 DSN", "550 no"]);
    assert_eq!(report(&mut courier).dsn_passed, [0; 0]);
}

#[test]
fn each_message_on_a_connection_has_its_own_word_on_8_bit_content() {
    let routes = routes();
    let site = site(&routes);
    let mut courier = courier(&["bob@a.example"]);
    connect(&mut courier);
    let taken = ["250 ok", "250 ok", "354 go on", "250 taken"];
    hear(&mut courier, &["220 a", "250 a"]);
    hear(&mut courier, &taken);
    assert!(report(&mut courier).reusable);
    // One strict domain among them decides.
    courier.give(job(2, &["cat@a.example", "dan@strict.example"], &site));
    let refused = report(&mut courier);
    assert!(matches!(
        refused.results[..],
        [(0, Outcome::Failed(_)), (1, Outcome::Failed(_))]
    ));
    courier.give(job(3, &["eve@a.example"], &site));
    hear(&mut courier, &taken);
    let report = report(&mut courier);
    assert!(matches!(report.results[..], [(0, Outcome::Delivered(_))]));
    // What has no 8-bit content concerns nobody.
    let seven_bit = Job {
        content: Some(Bytes::from_static(b"a: b\r\n\r\nc\r\n")),
        ..job(4, &["dan@strict.example"], &site)
    };
    courier.give(seven_bit);
    talk(&mut courier);
    let output = courier.conversation().unwrap().output();
    assert!(
        output.starts_with(b"MAIL FROM:"),
        "{}",
        output.escape_ascii()
    );
}
