use std::time::Duration;

use bytes::Bytes;
use config::DomainSettings;
use delivery::{CertificateFlaw, SendAs, SentAs, SignInStart};
use dkim::{DomainSigner, PrivateKey, PublishedKey, Signer, Signers, Sought, Verifier};
use mail::{Domain, Host, Mailbox, Place};
use relay_policy::{NameMap, NamePattern};
use route::{DomainPattern, HopAddress, HostSpec, Via};

use super::*;
use crate::rows;
use crate::sample::job;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// All mail by two smart hosts, 192.0.2.1 before 192.0.2.2.
fn routes() -> Arc<Routes> {
    routes_by(&["[192.0.2.1]", "[192.0.2.2]"])
}

fn routes_by(hosts: &[&str]) -> Arc<Routes> {
    let host = |text: &str| HostSpec::new(Host::parse(text).unwrap(), true);
    let via = Via::SmartHosts(hosts.iter().map(|text| host(text)).collect());
    let pattern = DomainPattern::parse("*.example").unwrap();
    let mut routes = Routes::builder();
    routes.add_domain(pattern, via, Place::Default);
    Arc::new(routes.build().unwrap())
}

fn delivery() -> DeliverySettings {
    let mut domains = NameMap::default();
    let strict = DomainSettings {
        tls: None,
        eight_bit: config::EightBit::Bounce,
        helo_only: false,
        ..DomainSettings::default()
    };
    let pattern = NamePattern::parse("strict.example").unwrap();
    domains.insert(pattern, strict);
    let helo = Host::parse("relay.example").unwrap();
    DeliverySettings {
        settings: Arc::new(delivery::Settings::new(helo)),
        domains: Arc::new(domains),
        source: None,
        connect_timeout: Duration::from_secs(30),
        header_size: 1000,
        rewriting: None,
        ours: Arc::default(),
        send_as: Arc::default(),
        signers: Arc::default(),
        site: "".into(),
        otherwise: None,
        tells_encryption: false,
    }
}

fn site(routes: &Routes) -> Site {
    routes.site(&Host::parse("a.example").unwrap())
}

fn agent(addresses: &[&str]) -> Agent {
    let routes = routes();
    let job = job(1, addresses, &site(&routes));
    Agent::new(1, job, routes, delivery(), 5, NOW)
}

impl Agent {
    /// The next step of an agent whose route signs in nowhere, but for what the queue is told of
    /// hosts that are down.
    fn step_as_nobody(&mut self, now: Timestamp) -> Step {
        loop {
            match self.next_step(Moment::of(now)) {
                Step::Identify => self.on_identity(Ok(None)),
                Step::HostDown { .. } => {}
                step => return step,
            }
        }
    }
}

/// Walks on to the next connection; what was said of hosts on the way.
fn connect(agent: &mut Agent) -> Vec<(String, String)> {
    let mut failed = Vec::new();
    loop {
        match agent.step_as_nobody(NOW) {
            Step::HostFailed { hop, failure, .. } => {
                assert_eq!(failure.host.as_deref(), Some(&*hop.to_string()));
                failed.push((hop.address.host(), failure.reply.to_string()));
            }
            Step::Connect { .. } => {
                agent.on_connected();
                return failed;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Lets the server say this, as soon as everything before was written; content is fed when it is
/// asked for.
fn hear(agent: &mut Agent, replies: &[&str]) {
    for reply in replies {
        talk(agent);
        let conversation = agent.conversation().unwrap();
        conversation.output().clear();
        conversation.receive(format!("{reply}\r\n").as_bytes());
    }
}

/// Serves the conversation until it waits for the server.
fn talk(agent: &mut Agent) {
    loop {
        match agent.step_as_nobody(NOW) {
            Step::Begun(_) => {}
            Step::Talk => return,
            other => panic!("{other:?}"),
        }
    }
}

fn report(agent: &mut Agent) -> Report {
    match agent.step_as_nobody(NOW) {
        Step::Report(report) => *report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_report_says_how_long_connection_and_answer_took() {
    let at = |seconds| NOW + Duration::from_secs(seconds);
    let mut agent = agent(&["bob@a.example"]);
    assert!(matches!(agent.step_as_nobody(at(0)), Step::Connect { .. }));
    agent.on_connected();
    let replies = ["220 a", "250 a", "250 ok", "250 ok", "354 go", "250 taken"];
    for (reply, now) in replies.into_iter().zip([2, 3, 3, 3, 3, 8]) {
        let asked = if now == 8 { 4 } else { now };
        while let Step::Begun(_) | Step::Talk = agent.step_as_nobody(at(asked)) {
            match agent.output().len() {
                0 => break,
                octets => agent.on_written(octets),
            }
        }
        let _step = agent.step_as_nobody(at(now));
        agent.receive(format!("{reply}\r\n").as_bytes());
    }
    let Step::Report(report) = agent.step_as_nobody(at(9)) else {
        panic!("a report")
    };
    let seconds = |time: Duration| time.as_secs();
    assert_eq!(report.connecting.map(seconds), Some(2));
    assert_eq!(report.answering.map(seconds), Some(5));
    assert_eq!(report.age, at(9).since(report.job.message.arrived));
}

/// Two hosts, the first of them over IPv6.
fn over_both_families(addresses: &[&str]) -> Agent {
    let routes = routes_by(&["[IPv6:2001:db8::1]", "[IPv6:2001:db8::2]", "[192.0.2.2]"]);
    let job = job(1, addresses, &site(&routes));
    Agent::new(1, job, routes, delivery(), 7, NOW)
}

const NO_PTR: &str = "550 5.7.25 the sending IPv6 address has no reverse DNS";

#[test]
fn what_is_refused_for_our_ipv6_address_is_tried_over_ipv4_once() {
    for (answer, delivered) in [
        (&["250 ok", "354 go", "250 taken"][..], true),
        (&["550 5.7.1 not you"], false),
    ] {
        let mut agent = over_both_families(&["bob@a.example"]);
        connect(&mut agent);
        hear(&mut agent, &["220 a", "250 a", "250 ok", NO_PTR]);
        // The transaction is given up, then the connection.
        hear(&mut agent, &["250 ok", "221 bye"]);
        let failed = connect(&mut agent);
        assert_eq!(failed.len(), 1, "{failed:?}");
        let hop = agent.conversation().unwrap().hop().clone();
        assert_eq!(hop.address.host(), "192.0.2.2");
        hear(&mut agent, &["220 b", "250 b", "250 ok"]);
        hear(&mut agent, answer);
        let report = report(&mut agent);
        let [(0, outcome)] = &report.ended.results[..] else {
            panic!("{report:?}")
        };
        assert_eq!(matches!(outcome, Outcome::Delivered(_)), delivered);
        assert_eq!(matches!(outcome, Outcome::Failed(_)), !delivered);
    }
}

#[test]
fn a_refusal_of_the_recipient_itself_or_over_ipv4_is_the_last_word() {
    let unknown = "550 5.1.1 nobody at 2001:db8::1";
    for (mut agent, refusal) in [
        (over_both_families(&["bob@a.example"]), unknown),
        (agent(&["bob@a.example"]), NO_PTR),
    ] {
        connect(&mut agent);
        hear(&mut agent, &["220 a", "250 a", "250 ok", refusal]);
        let report = report(&mut agent);
        let [(0, Outcome::Failed(failure))] = &report.ended.results[..] else {
            panic!("{report:?}")
        };
        assert_eq!(failure.reply.to_string(), refusal);
    }
}

/// A reload may want a sign-in where there was none when the agent began.
#[test]
fn as_whom_to_sign_in_is_asked_before_each_connection() {
    let mut agent = agent(&["bob@a.example"]);
    assert!(matches!(agent.next_step(Moment::of(NOW)), Step::Identify));
    agent.on_identity(Ok(None));
    assert!(matches!(
        agent.next_step(Moment::of(NOW)),
        Step::Connect { .. }
    ));
    agent.on_connect_failed("connection refused");
    while let Step::HostDown { .. } | Step::HostFailed { .. } = agent.next_step(Moment::of(NOW)) {}
    assert!(matches!(agent.next_step(Moment::of(NOW)), Step::Identify));
}

/// All that the queue hears of hosts until the job is done: `down` and `begun`, with the address.
fn heard_by_the_queue(agent: &mut Agent, mut on_connect: impl FnMut(&mut Agent, &Hop)) -> String {
    let mut heard = Vec::new();
    loop {
        match agent.next_step(Moment::of(NOW)) {
            Step::Identify => agent.on_identity(Ok(None)),
            Step::Connect { hop, .. } => on_connect(agent, &hop),
            Step::HostDown { host, .. } => heard.push(format!("down {}", host.address.host())),
            Step::Begun(host) => heard.push(format!("begun {}", host.address.host())),
            Step::Talk | Step::Report(_) => return heard.join(", "),
            Step::HostFailed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_queue_hears_which_hosts_are_down_and_which_one_takes_mail() {
    let refuse = |agent: &mut Agent, _: &Hop| agent.on_connect_failed("connection refused");
    let mut both = agent(&["bob@a.example"]);
    assert_eq!(
        heard_by_the_queue(&mut both, refuse),
        "down 192.0.2.1, down 192.0.2.2"
    );
    // Where there is no other, this is the site's trouble.
    let routes = routes_by(&["[192.0.2.1]"]);
    let lone = job(1, &["bob@a.example"], &site(&routes));
    let mut lone = Agent::new(1, lone, routes, delivery(), 7, NOW);
    assert_eq!(heard_by_the_queue(&mut lone, refuse), "");
    // A greeting that puts us off is as good as none.
    let mut second = agent(&["bob@a.example"]);
    connect(&mut second);
    hear(&mut second, &["421 4.3.2 not now"]);
    let take = |agent: &mut Agent, _: &Hop| agent.on_connected();
    assert_eq!(heard_by_the_queue(&mut second, take), "down 192.0.2.1");
    for reply in ["220 b", "250 b"] {
        let conversation = second.conversation().unwrap();
        conversation.output().clear();
        conversation.receive(format!("{reply}\r\n").as_bytes());
        heard_by_the_queue(&mut second, take);
    }
    let conversation = second.conversation().unwrap();
    conversation.output().clear();
    conversation.receive(b"250 ok\r\n");
    assert_eq!(heard_by_the_queue(&mut second, take), "begun 192.0.2.2");
}

#[test]
fn a_host_that_rests_is_tried_after_all_others() {
    let routes = routes();
    let mut job = job(1, &["bob@a.example"], &site(&routes));
    job.resting = Arc::new([HopAddress::Tcp(([192, 0, 2, 1], 25).into())]);
    let mut agent = Agent::new(1, job, routes, delivery(), 7, NOW);
    let mut tried = Vec::new();
    heard_by_the_queue(&mut agent, |agent, hop| {
        tried.push(hop.address.host());
        agent.on_connect_failed("connection refused");
    });
    assert_eq!(tried, ["192.0.2.2", "192.0.2.1"]);
}

#[test]
fn every_host_that_is_passed_over_is_told_of() {
    let mut agent = agent(&["bob@a.example"]);
    assert!(matches!(agent.step_as_nobody(NOW), Step::Connect { .. }));
    agent.on_connect_failed("connection refused");
    let failed = connect(&mut agent);
    let [(host, reply)] = &failed[..] else {
        panic!("{failed:?}")
    };
    assert_eq!(host, "192.0.2.1");
    assert!(reply.ends_with("connection refused"), "{reply}");
    hear(
        &mut agent,
        &[
            "220 b",
            "250 b",
            "250 ok",
            "250 ok",
            "354 go on",
            "250 taken",
        ],
    );
    let report = report(&mut agent);
    assert!(matches!(
        report.ended.results[..],
        [(0, Outcome::Delivered(_))]
    ));
    assert!(matches!(agent.step_as_nobody(NOW), Step::Talk));
}

#[test]
fn a_host_that_refuses_to_serve_hears_quit_before_the_next_is_tried() {
    let mut agent = agent(&["bob@a.example"]);
    connect(&mut agent);
    hear(&mut agent, &["554 no service here"]);
    talk(&mut agent);
    assert_eq!(agent.conversation().unwrap().output(), b"QUIT\r\n");
    hear(&mut agent, &["221 bye"]);
    let failed = connect(&mut agent);
    assert_eq!(
        failed,
        [("192.0.2.1".to_owned(), "554 no service here".to_owned())]
    );
    hear(&mut agent, &["554 nor here"]);
    hear(&mut agent, &["221 bye"]);
    // The last one is in the report.
    let report = report(&mut agent);
    let [(0, Outcome::Deferred(failure))] = &report.ended.results[..] else {
        panic!("{report:?}")
    };
    assert_eq!(failure.scope, Scope::Site);
    assert!(failure.host.as_deref().unwrap().contains("192.0.2.2"));
    assert!(matches!(agent.step_as_nobody(NOW), Step::Leave));
}

/// A server that takes messages up to so many octets.
fn with_size(limit: &str) -> [String; 2] {
    [
        "220 here".to_owned(),
        format!("250-here\r\n250 SIZE {limit}"),
    ]
}

fn hear_all(agent: &mut Agent, replies: &[String]) {
    let replies: Vec<&str> = replies.iter().map(String::as_str).collect();
    hear(agent, &replies);
}

#[test]
fn a_message_too_large_for_one_host_goes_to_the_next() {
    let mut agent = agent(&["bob@a.example"]);
    connect(&mut agent);
    hear_all(&mut agent, &with_size("5"));
    talk(&mut agent);
    assert_eq!(agent.conversation().unwrap().output(), b"QUIT\r\n");
    hear(&mut agent, &["221 bye"]);
    let failed = connect(&mut agent);
    assert!(failed[0].1.starts_with("552 5.3.4"), "{failed:?}");
    hear_all(&mut agent, &with_size("5000"));
    let replies = ["250 ok", "250 ok", "354 go on", "250 taken"];
    hear(&mut agent, &replies);
    let report = report(&mut agent);
    let [(0, Outcome::Delivered(delivery))] = &report.ended.results[..] else {
        panic!("{report:?}")
    };
    assert!(delivery.reply.is_from_peer());
    assert!(delivery.host.as_deref().unwrap().contains("192.0.2.2"));
}

#[test]
fn a_message_too_large_for_every_host_fails_at_once() {
    // The second says so itself, at MAIL.
    let refused = "552 5.3.4 too large";
    for second in [None, Some(refused)] {
        let mut agent = agent(&["bob@a.example", "cat@a.example"]);
        connect(&mut agent);
        hear_all(&mut agent, &with_size("5"));
        hear(&mut agent, &["221 bye"]);
        connect(&mut agent);
        match second {
            None => hear_all(&mut agent, &with_size("6")),
            Some(refused) => {
                hear_all(&mut agent, &with_size(""));
                hear(&mut agent, &[refused]);
            }
        }
        hear(&mut agent, &["221 bye"]);
        let report = report(&mut agent);
        let failed = |outcome: &Outcome| match outcome {
            Outcome::Failed(failure) => failure.reply.status().to_string(),
            other => panic!("{other:?}"),
        };
        let statuses: Vec<_> = report
            .ended
            .results
            .iter()
            .map(|(_, o)| failed(o))
            .collect();
        assert_eq!(statuses, ["5.3.4", "5.3.4"]);
    }
}

#[test]
fn a_message_too_large_for_the_host_of_a_kept_connection_asks_all_hosts() {
    let mut agent = agent(&["bob@a.example"]);
    assert!(matches!(agent.step_as_nobody(NOW), Step::Connect { .. }));
    agent.on_connect_failed("connection refused");
    // The second host, with which the agent stays.
    connect(&mut agent);
    hear_all(&mut agent, &with_size("70"));
    hear(&mut agent, &["250 ok", "250 ok", "354 go on", "250 taken"]);
    assert!(report(&mut agent).ended.reusable);
    let mut large = job(2, &["cat@a.example"], agent.site());
    Arc::make_mut(&mut large.message).size = 100;
    agent.give(large);
    talk(&mut agent);
    hear(&mut agent, &["221 bye"]);
    // From the first again, which takes it.
    connect(&mut agent);
    hear_all(&mut agent, &with_size("200"));
    hear(&mut agent, &["250 ok", "550 5.1.1 nobody"]);
    let report = report(&mut agent);
    let [(0, Outcome::Failed(failure))] = &report.ended.results[..] else {
        panic!("{report:?}")
    };
    assert!(failure.host.as_deref().unwrap().contains("192.0.2.1"));
}

#[test]
fn a_message_too_large_for_one_host_waits_for_another_that_cannot_be_reached() {
    let mut agent = agent(&["bob@a.example"]);
    connect(&mut agent);
    hear_all(&mut agent, &with_size("5"));
    hear(&mut agent, &["221 bye"]);
    assert!(matches!(agent.step_as_nobody(NOW), Step::HostFailed { .. }));
    assert!(matches!(agent.step_as_nobody(NOW), Step::Connect { .. }));
    agent.on_connect_failed("connection refused");
    let report = report(&mut agent);
    let [(0, Outcome::Deferred(failure))] = &report.ended.results[..] else {
        panic!("{report:?}")
    };
    // The site works: other messages go on.
    assert_eq!(failure.scope, Scope::Message);
}

#[test]
fn a_lost_answer_to_the_dot_is_not_followed_by_another_host() {
    let mut agent = agent(&["bob@a.example"]);
    connect(&mut agent);
    hear(
        &mut agent,
        &["220 a", "250 a", "250 ok", "250 ok", "354 go on"],
    );
    talk(&mut agent);
    let conversation = agent.conversation().unwrap();
    conversation.output().clear();
    conversation.on_disconnected();
    let report = report(&mut agent);
    let [(0, Outcome::Deferred(failure))] = &report.ended.results[..] else {
        panic!("{report:?}")
    };
    assert_eq!(failure.scope, Scope::Message);
    assert!(failure.host.as_deref().unwrap().contains("192.0.2.1"));
    assert!(report.unknown && !report.ended.reusable);
    assert!(matches!(agent.step_as_nobody(NOW), Step::Leave));
}

/// The one outcome of a job.
fn failure(report: &Report) -> &Failure {
    match &report.ended.results[..] {
        [(0, Outcome::Deferred(failure))] => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn trouble_after_mail_was_taken_is_the_messages_own() {
    let mut agent = agent(&["bob@a.example"]);
    for closing in [None, Some("421 4.3.0 closing")] {
        connect(&mut agent);
        hear(&mut agent, &["220 a", "250 a", "250 ok"]);
        if let Some(closing) = closing {
            hear(&mut agent, &[closing]);
        } else {
            hear(&mut agent, &["250 ok", "354 go on"]);
            talk(&mut agent);
            agent.conversation().unwrap().output().push(b'.');
            agent.conversation().unwrap().on_disconnected();
        }
    }
    // Both hosts have had their turn.
    let report = report(&mut agent);
    assert_eq!(
        (failure(&report).scope, report.ended.reach),
        (Scope::Message, Reach::AfterMail)
    );
}

#[test]
fn trouble_before_mail_was_taken_is_the_sites() {
    let closing = "421 4.7.0 too many connections";
    for heard in [
        &[closing][..],
        &["220 a", closing],
        &["220 a", "250 a", closing],
    ] {
        let mut agent = agent(&["bob@a.example"]);
        for _ in 0..2 {
            connect(&mut agent);
            hear(&mut agent, heard);
        }
        let report = report(&mut agent);
        assert_eq!(
            (failure(&report).scope, report.ended.reach),
            (Scope::Site, Reach::BeforeMail)
        );
    }
}

#[test]
fn a_server_that_puts_mail_off_may_mean_the_connection() {
    for (said, reach) in [
        ("451 4.7.0 too many messages", Reach::BeforeMail),
        ("450 slow down", Reach::BeforeMail),
        ("450 4.1.8 no such domain", Reach::ToTheEnd),
        ("550 5.7.1 no", Reach::ToTheEnd),
    ] {
        let mut agent = agent(&["bob@a.example"]);
        connect(&mut agent);
        hear(&mut agent, &["220 a", "250 a", said]);
        let report = report(&mut agent);
        assert_eq!(
            (report.ended.reach, report.ended.reusable),
            (reach, reach == Reach::ToTheEnd),
            "{said}"
        );
    }
}

#[test]
fn a_kept_connection_that_takes_no_further_message_is_left_for_a_fresh_one() {
    let routes = routes();
    for said in [
        "451 4.7.0 too many messages in this session",
        "421 4.7.0 enough",
    ] {
        let mut agent = agent(&["bob@a.example"]);
        connect(&mut agent);
        hear(
            &mut agent,
            &[
                "220 a",
                "250 a",
                "250 ok",
                "250 ok",
                "354 go on",
                "250 taken",
            ],
        );
        assert!(report(&mut agent).ended.reusable);
        agent.give(job(2, &["cat@a.example"], &site(&routes)));
        hear(&mut agent, &[said]);
        if !said.starts_with("421") {
            talk(&mut agent);
            assert_eq!(agent.conversation().unwrap().output(), b"QUIT\r\n");
            hear(&mut agent, &["221 bye"]);
        }
        assert_eq!(connect(&mut agent), [], "{said}");
        hear(
            &mut agent,
            &[
                "220 a",
                "250 a",
                "250 ok",
                "250 ok",
                "354 go on",
                "250 taken",
            ],
        );
        assert!(matches!(
            report(&mut agent).ended.results[..],
            [(0, Outcome::Delivered(_))]
        ));
    }
}

#[test]
fn who_is_hurried_gives_up_unless_a_server_has_let_it_in() {
    for heard in [&[][..], &["220 a"], &["220 a", "250 a"]] {
        let mut agent = agent(&["bob@a.example"]);
        connect(&mut agent);
        hear(&mut agent, heard);
        agent.hurry();
        // The other host is left out.
        let report = report(&mut agent);
        assert_eq!(
            (failure(&report).scope, report.ended.reach),
            (Scope::Site, Reach::BeforeMail)
        );
        assert!(failure(&report).reply.to_string().contains("in time"));
    }
    let mut agent = agent(&["bob@a.example"]);
    assert!(matches!(agent.step_as_nobody(NOW), Step::Connect { .. }));
    agent.hurry();
    assert_eq!(failure(&report(&mut agent)).scope, Scope::Site);
    let mut agent = self::agent(&["bob@a.example"]);
    connect(&mut agent);
    hear(&mut agent, &["220 a", "250 a", "250 ok"]);
    agent.hurry();
    hear(&mut agent, &["250 ok", "354 go on", "250 taken"]);
    assert!(report(&mut agent).ended.reusable);
    agent.hurry();
    assert!(matches!(agent.step_as_nobody(NOW), Step::Talk));
}

/// An agent with a job whose content is in the spool alone, and what the server hears of it.
fn agent_that_reads() -> Agent {
    let routes = routes();
    let stored = Job {
        content: None,
        ..job(1, &["bob@a.example"], &site(&routes))
    };
    let mut agent = Agent::new(1, stored, routes, delivery(), 5, NOW);
    connect(&mut agent);
    hear(
        &mut agent,
        &["220 a", "250 a", "250 ok", "250 ok", "354 go on"],
    );
    agent
}

#[test]
fn unreadable_content_tries_no_other_host() {
    let mut agent = agent_that_reads();
    assert!(matches!(agent.step_as_nobody(NOW), Step::Read { .. }));
    agent.on_read(Err("disk error".to_owned()));
    assert!(matches!(agent.step_as_nobody(NOW), Step::Unreadable { .. }));
    let report = report(&mut agent);
    let failure = failure(&report);
    assert_eq!((failure.scope, &failure.host), (Scope::Message, &None));
    assert!(matches!(agent.step_as_nobody(NOW), Step::Leave));
}

#[test]
fn stored_content_is_read_on_until_its_end() {
    let mut agent = agent_that_reads();
    talk_until_read(&mut agent, true);
    agent.on_read(Ok(Piece::Next(b"Subject: x\r\n\r\n".to_vec())));
    talk_until_read(&mut agent, false);
    agent.on_read(Ok(Piece::Next(b".dot\r\n".to_vec())));
    talk_until_read(&mut agent, false);
    agent.on_read(Ok(Piece::Next(Vec::new())));
    assert!(matches!(agent.step_as_nobody(NOW), Step::Talk));
    let output = agent.output();
    assert!(
        output.ends_with(b"Subject: x\r\n\r\n..dot\r\n.\r\n"),
        "{}",
        output.escape_ascii()
    );
    hear(&mut agent, &["250 taken"]);
    assert!(report(&mut agent).ended.reusable);
}

/// Whatever the pieces in which a stored content is read: its header is looked at once, and left
/// out when the content goes out behind another one. Where somebody signs for the new author, all of
/// it is read before.
#[test]
fn a_stored_message_is_sent_as_somebody_else() {
    let content = b"Subject: x\r\nFrom: Hall <p@localhost>\r\n\r\nFrom: body\r\n";
    let expected =
        b"Received: here\r\nSubject: x\r\nFrom: Hall <scanner@contoso.example>\r\n\r\nFrom: body\r\n";
    for cut in 1..=content.len() {
        let (mail, written) = sent_as_somebody_else(content, Arc::default(), Some(cut));
        assert_eq!(written, expected, "{cut}: {}", written.escape_ascii());
        let size = expected.len();
        let command = format!("MAIL FROM:<scanner@contoso.example> SIZE={size}");
        assert!(
            mail.starts_with(command.as_bytes()),
            "{}",
            mail.escape_ascii()
        );
    }
    let (signers, record) = contoso();
    for cut in (0..=content.len()).map(|cut| (cut > 0).then_some(cut)) {
        let (mail, written) = sent_as_somebody_else(content, Arc::clone(&signers), cut);
        assert!(written.ends_with(expected), "{}", written.escape_ascii());
        let size = format!("SIZE={}\r\n", written.len());
        assert!(mail.ends_with(size.as_bytes()), "{}", mail.escape_ascii());
        let end = written.len() - b"\r\nFrom: body\r\n".len();
        let mut verifier = Verifier::new(&written[..end], Sought::SIGNATURES);
        verifier.push(b"From: body\r\n");
        let mut verification = verifier.finish(NOW);
        let name = Domain::parse("k._domainkey.contoso.example").unwrap();
        verification.on_answer(name, dkim::Answer::Texts([record.as_str().into()].into()));
        let dkim::Step::Done(verified) = verification.step() else {
            panic!("another key is asked for");
        };
        assert_eq!(verified.signatures.len(), 1, "{cut:?}");
        let reason = verified.signatures[0].reason;
        assert_eq!(reason, dkim::Reason::Good, "{cut:?}");
    }
}

/// Who signs for contoso.example, and the record of the key.
fn contoso() -> (Arc<Signers>, String) {
    let name = |text| Domain::parse(text).unwrap();
    let key = Arc::new(PrivateKey::generate(dkim::Algorithm::RsaSha256).unwrap());
    let record = PublishedKey::of(&name("contoso.example"), &name("k"), &key).unwrap();
    let signer = DomainSigner {
        signer: Signer::new(name("contoso.example"), name("k"), key),
        subdomains: false,
        place: Place::Default,
    };
    (Arc::new(Signers::new([signer])), record.text)
}

/// MAIL, and the message as it goes out; with a content in memory, or stored and read in pieces of
/// this size.
fn sent_as_somebody_else(
    content: &[u8],
    signers: Arc<Signers>,
    cut: Option<usize>,
) -> (Vec<u8>, Vec<u8>) {
    let routes = routes();
    let mut delivery = delivery();
    let sent_as = SentAs {
        sender: Mailbox::parse("scanner@contoso.example").unwrap(),
        author: true,
        place: Place::Default,
    };
    delivery.site = "route:cloud".into();
    delivery.send_as = Arc::new(SendAs {
        routes: [("route:cloud".into(), sent_as)].into(),
        ..SendAs::default()
    });
    delivery.signers = signers;
    let mut job = Job {
        content: cut.is_none().then(|| content.to_vec().into()),
        ..job(1, &["bob@a.example"], &site(&routes))
    };
    let message = Arc::make_mut(&mut job.message);
    message.size = (message.head.len() + content.len()) as u64;
    let mut agent = Agent::new(1, job, Arc::clone(&routes), delivery, 5, NOW);
    let pieces = || content.chunks(cut.unwrap_or(1));
    let (mut looked_at, mut is_first) = (pieces(), true);
    // Ends as soon as all that is needed is seen.
    while let Step::Read { from_start, .. } = agent.step_as_nobody(NOW) {
        assert_eq!(from_start, std::mem::take(&mut is_first));
        let piece = looked_at.next().unwrap_or_default();
        agent.on_read(Ok(Piece::Next(piece.to_vec())));
    }
    connect(&mut agent);
    hear(&mut agent, &["220 a", "250-a\r\n250 SIZE"]);
    talk(&mut agent);
    let mail = agent.output().to_vec();
    let end = mail.iter().position(|octet| *octet == b'\n').unwrap();
    let mail = mail[..=end].to_vec();
    hear(&mut agent, &["250 ok", "250 ok", "354 go on"]);
    let mut written = Vec::new();
    for piece in pieces().chain([&[][..]]) {
        if let Step::Read { .. } = agent.step_as_nobody(NOW) {
            agent.on_read(Ok(Piece::Next(piece.to_vec())));
        }
        let output = agent.output().to_vec();
        agent.on_written(output.len());
        written.extend(output);
    }
    let text = written.strip_suffix(b".\r\n").unwrap();
    // DATA may stand before it.
    let commands = text.strip_prefix(b"DATA\r\n").unwrap_or(text);
    (mail, commands.to_vec())
}

#[test]
fn content_that_is_cut_short_never_passes_for_the_whole() {
    let mut agent = agent_that_reads();
    talk_until_read(&mut agent, true);
    agent.on_read(Ok(Piece::Next(b"Subject: x\r\n\r\n".to_vec())));
    talk_until_read(&mut agent, false);
    agent.on_read(Ok(Piece::Next(Vec::new())));
    assert!(!agent.output().ends_with(b"\r\n.\r\n"));
    let report = report(&mut agent);
    assert_eq!(failure(&report).scope, Scope::Message);
}

fn talk_until_read(agent: &mut Agent, expected: bool) {
    match agent.step_as_nobody(NOW) {
        Step::Read { from_start, .. } => assert_eq!(from_start, expected),
        other => panic!("{other:?}"),
    }
}

/// A message of a client that declared SMTPUTF8, at a server without it; what it says is 7 bit.
#[test]
fn the_header_of_a_stored_message_is_read_before_it_goes_out() {
    let routes = routes();
    let mut stored = Job {
        content: None,
        ..job(1, &["bob@a.example"], &site(&routes))
    };
    Arc::make_mut(&mut stored.message).parameters.smtputf8 = true;
    let mut agent = Agent::new(1, stored, routes, delivery(), 5, NOW);
    talk_until_read(&mut agent, true);
    agent.on_read(Ok(Piece::Next(b"Subject: x\r\n".to_vec())));
    talk_until_read(&mut agent, false);
    agent.on_read(Ok(Piece::Next(b"\r\nplain\r\n".to_vec())));
    connect(&mut agent);
    hear(&mut agent, &["220 a", "250 a"]);
    assert!(matches!(agent.step_as_nobody(NOW), Step::Talk));
    assert!(agent.output().starts_with(b"MAIL FROM:"));
}

#[test]
fn a_server_that_says_nothing_has_its_time_and_no_more() {
    let mut agent = agent(&["bob@a.example"]);
    connect(&mut agent);
    talk(&mut agent);
    let deadline = agent.deadline().unwrap();
    agent.on_time(deadline - Duration::from_millis(1));
    assert!(matches!(agent.step_as_nobody(NOW), Step::Talk));
    agent.on_time(deadline);
    assert!(matches!(
        agent.step_as_nobody(deadline),
        Step::HostFailed { .. }
    ));
}

#[test]
fn who_is_dismissed_goes_when_its_job_is_done() {
    let mut agent = agent(&["bob@a.example"]);
    assert!(!agent.on_order(Order::Dismiss, NOW));
    connect(&mut agent);
    hear(&mut agent, &["220 a", "250 a"]);
    hear(&mut agent, &TAKEN);
    assert!(matches!(
        report(&mut agent).ended.results[..],
        [(0, Outcome::Delivered(_))]
    ));
    talk(&mut agent);
    assert_eq!(agent.output(), b"QUIT\r\n");
}

#[test]
fn a_file_that_is_not_written_is_the_trouble_of_the_message_or_of_the_site() {
    let directory = |name: &str| {
        let mut routes = Routes::builder();
        let pattern = DomainPattern::parse("*.example").unwrap();
        let via = Via::Directory(name.into());
        routes.add_domain(pattern, via, Place::Default);
        Arc::new(routes.build().unwrap())
    };
    let cases = [
        (NotFiled::Unreadable("bad spot".into()), Scope::Message),
        (NotFiled::Unwritable("disk full".into()), Scope::Site),
        (NotFiled::Full("over quota".into()), Scope::Message),
    ];
    for (fault, scope) in cases {
        let routes = directory("/drop");
        let job = job(1, &["bob@a.example"], &site(&routes));
        let mut agent = Agent::new(1, job, routes, delivery(), 5, NOW);
        assert!(matches!(agent.step_as_nobody(NOW), Step::File(_)));
        let unreadable = matches!(fault, NotFiled::Unreadable(_));
        agent.on_filed(Err(fault));
        if unreadable {
            assert!(matches!(agent.step_as_nobody(NOW), Step::Unreadable { .. }));
        }
        assert_eq!(failure(&report(&mut agent)).scope, scope);
    }
}

/// One recipient at a time; the first host takes one, breaks, and leaves the other to the second.
fn shared_by_two_hosts(first: &str, second: &str) -> Report {
    let mut agent = agent(&["bob@a.example", "cat@a.example"]);
    connect(&mut agent);
    let replies = [
        "250 ok",
        "250 ok",
        "452 4.5.3 too many",
        "354 go on",
        "250 taken",
    ];
    hear(&mut agent, &["220 a", first]);
    hear(&mut agent, &replies);
    talk(&mut agent);
    agent.conversation().unwrap().on_disconnected();
    assert_eq!(connect(&mut agent).len(), 1);
    hear(&mut agent, &["220 b", second]);
    hear(&mut agent, &["250 ok", "250 ok", "354 go on", "250 taken"]);
    let report = report(&mut agent);
    assert!(matches!(
        report.ended.results[..],
        [(0, Outcome::Delivered(_)), (1, Outcome::Delivered(_))]
    ));
    report
}

#[test]
fn who_was_delivered_to_by_one_host_is_not_out_again_when_another_puts_mail_off() {
    let mut agent = agent(&["bob@a.example", "cat@a.example"]);
    connect(&mut agent);
    hear(&mut agent, &["220 a", "250 a", "250 ok", "250 ok"]);
    hear(&mut agent, &["452 4.5.3 too many", "354 go on"]);
    hear(&mut agent, &["250 taken", "421 4.7.0 enough for today"]);
    connect(&mut agent);
    hear(&mut agent, &["220 b", "250 b", "451 4.7.0 slow down"]);
    let report = report(&mut agent);
    assert!(matches!(
        report.ended.results[..],
        [(0, Outcome::Delivered(_)), (1, Outcome::Deferred(_))]
    ));
    assert_eq!(report.ended.reach, Reach::ToTheEnd);
}

#[test]
fn what_was_delivered_before_an_operator_ends_the_connection_counts() {
    let mut agent = agent(&["bob@a.example", "cat@a.example"]);
    connect(&mut agent);
    hear(&mut agent, &["220 a", "250 a", "250 ok", "250 ok"]);
    hear(&mut agent, &["452 4.5.3 too many", "354 go on"]);
    hear(&mut agent, &["250 taken"]);
    talk(&mut agent);
    agent.on_killed();
    assert_eq!(connect(&mut agent).len(), 1);
    hear(&mut agent, &["220 b", "250 b"]);
    talk(&mut agent);
    agent.on_killed();
    let report = report(&mut agent);
    assert!(matches!(
        report.ended.results[..],
        [(0, Outcome::Delivered(_)), (1, Outcome::Deferred(_))]
    ));
}

#[test]
fn notices_of_success_are_passed_on_for_whom_the_host_that_took_them_promised() {
    let (plain, dsn) = ("250 a", "250-a\r\n250 DSN");
    assert_eq!(shared_by_two_hosts(dsn, plain).ended.dsn_passed, [0]);
    assert_eq!(shared_by_two_hosts(plain, dsn).ended.dsn_passed, [1]);
    assert_eq!(shared_by_two_hosts(dsn, dsn).ended.dsn_passed, [0, 1]);
}

#[test]
fn a_host_that_took_nobody_passes_nothing_on() {
    let mut agent = agent(&["bob@a.example"]);
    connect(&mut agent);
    hear(&mut agent, &["220 a", "250-a\r\n250 DSN", "550 no"]);
    assert_eq!(report(&mut agent).ended.dsn_passed, [0; 0]);
}

#[test]
fn each_message_on_a_connection_has_its_own_word_on_8_bit_content() {
    let routes = routes_by(&["[192.0.2.1]"]);
    let site = site(&routes);
    let first = job(1, &["bob@a.example"], &site);
    let mut agent = Agent::new(1, first, routes, delivery(), 5, NOW);
    connect(&mut agent);
    let taken = ["250 ok", "250 ok", "354 go on", "250 taken"];
    hear(&mut agent, &["220 a", "250 a"]);
    hear(&mut agent, &taken);
    assert!(report(&mut agent).ended.reusable);
    // One strict domain among them decides.
    agent.give(job(2, &["cat@a.example", "dan@strict.example"], &site));
    let refused = report(&mut agent);
    assert!(matches!(
        refused.ended.results[..],
        [(0, Outcome::Failed(_)), (1, Outcome::Failed(_))]
    ));
    agent.give(job(3, &["eve@a.example"], &site));
    hear(&mut agent, &taken);
    let report = report(&mut agent);
    assert!(matches!(
        report.ended.results[..],
        [(0, Outcome::Delivered(_))]
    ));
    // What has no 8-bit content concerns nobody.
    let seven_bit = Job {
        content: Some(Bytes::from_static(b"a: b\r\n\r\nc\r\n")),
        ..job(4, &["dan@strict.example"], &site)
    };
    agent.give(seven_bit);
    talk(&mut agent);
    let output = agent.conversation().unwrap().output();
    assert!(
        output.starts_with(b"MAIL FROM:"),
        "{}",
        output.escape_ascii()
    );
}

fn facts() -> TlsFacts {
    TlsFacts {
        version: "TLSv1.3",
        cipher: "TLS13_AES_128_GCM_SHA256".into(),
        group: "X25519",
        handshake: mail::Handshake::Full,
        certificate: None,
    }
}

const STARTTLS: &str = "250-a\r\n250 STARTTLS";
const TAKEN: [&str; 4] = ["250 ok", "250 ok", "354 go on", "250 taken"];

/// Hears the way to a handshake, and is about to shake hands.
fn to_handshake(agent: &mut Agent) {
    hear(agent, &["220 a", STARTTLS]);
    talk(agent);
    assert_eq!(agent.conversation().unwrap().output(), b"STARTTLS\r\n");
    hear(agent, &["220 go"]);
    match agent.step_as_nobody(NOW) {
        Step::StartTls { hop, .. } => assert_eq!(hop.address.host(), "192.0.2.1"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_encrypted_connection_is_reported_with_each_job() {
    let routes = routes();
    let mut agent = agent(&["bob@a.example"]);
    connect(&mut agent);
    to_handshake(&mut agent);
    agent.on_encrypted(facts(), None);
    hear(&mut agent, &["250 a"]);
    hear(&mut agent, &TAKEN);
    for number in [2, 3] {
        let report = report(&mut agent);
        assert_eq!(report.tls.as_deref(), Some(&facts()));
        assert_eq!(report.assurance, Some(Assurance::Encrypted));
        agent.give(job(number, &["cat@a.example"], &site(&routes)));
        hear(&mut agent, &TAKEN);
    }
}

/// A sign-in with a token.
struct Token;

impl delivery::Credentials for Token {
    fn begin(&self, _: &[Box<str>], _: Option<&[u8; 32]>) -> Result<SignInStart, Box<str>> {
        Ok(SignInStart {
            mechanism: "XOAUTH2",
            initial: Some(b"token".to_vec()),
            exchange: Box::new(Self),
        })
    }
}

impl delivery::SignIn for Token {
    fn step(&mut self, _: &[u8]) -> Result<Vec<u8>, Box<str>> {
        Ok(Vec::new())
    }

    fn finish(&mut self) -> Result<(), Box<str>> {
        Ok(())
    }
}

/// After the report the next attempt may begin, and ask for a token.
#[test]
fn a_token_that_was_refused_is_forgotten_before_the_report() {
    let routes = routes_by(&["[192.0.2.1]"]);
    let job = job(1, &["bob@a.example"], &site(&routes));
    let mut agent = Agent::new(1, job, routes, delivery(), 5, NOW);
    assert!(matches!(agent.next_step(Moment::of(NOW)), Step::Identify));
    agent.on_identity(Ok(Some(Identity(Arc::new(Token)))));
    connect(&mut agent);
    to_handshake(&mut agent);
    agent.on_encrypted(facts(), None);
    hear(
        &mut agent,
        &["250-a\r\n250 AUTH XOAUTH2", "535 5.7.8 no", "221 bye"],
    );
    assert!(matches!(
        agent.next_step(Moment::of(NOW)),
        Step::SignInRefused
    ));
    let report = report(&mut agent);
    assert!(is_sign_in_refused(failure(&report)));
    assert!(matches!(agent.next_step(Moment::of(NOW)), Step::Leave));
}

#[test]
fn a_failed_handshake_is_followed_by_one_connection_in_clear() {
    let routes = routes();
    let mut agent = agent(&["bob@a.example"]);
    connect(&mut agent);
    to_handshake(&mut agent);
    agent.on_handshake_failed(&HandshakeFault::Broken("alert".into()));
    let failed = connect(&mut agent);
    assert_eq!(failed.len(), 1, "it is told, and the host is the same");
    assert_eq!(failed[0].0, "192.0.2.1");
    hear(&mut agent, &["220 a", STARTTLS]);
    hear(&mut agent, &TAKEN);
    let first = report(&mut agent);
    assert!(matches!(
        first.ended.results[..],
        [(0, Outcome::Delivered(_))]
    ));
    assert_eq!((first.tls, first.assurance), (None, Some(Assurance::Clear)));
    // The connection is lost, and the next one to this host asks for no encryption any more.
    agent.give(job(2, &["cat@a.example"], &site(&routes)));
    agent.conversation().unwrap().on_disconnected();
    connect(&mut agent);
    hear(&mut agent, &["220 a", STARTTLS]);
    hear(&mut agent, &TAKEN);
    assert!(report(&mut agent).ended.reusable);
}

/// As [`agent`], for domains of which `verify.example` demands a verified certificate; hosts by
/// name.
fn demanding(addresses: &[&str]) -> (Agent, Site) {
    let host = HostSpec::new(Host::parse("s.test").unwrap(), true);
    let mut routes = Routes::builder();
    routes.outbound(Via::SmartHosts(vec![host]), Place::Default);
    let routes = Arc::new(routes.build().unwrap());
    let mut domains = NameMap::default();
    let strict = DomainSettings {
        tls: Some(TlsDemand::Verify),
        eight_bit: config::EightBit::Send,
        helo_only: false,
        ..DomainSettings::default()
    };
    domains.insert(NamePattern::parse("verify.example").unwrap(), strict);
    let delivery = DeliverySettings {
        domains: Arc::new(domains),
        source: Some("192.0.2.200".parse().unwrap()),
        ..delivery()
    };
    let site = site(&routes);
    let job = job(1, addresses, &site);
    (Agent::new(1, job, routes, delivery, 5, NOW), site)
}

/// Answers the question for addresses, and gives the hop that follows.
fn hop(agent: &mut Agent) -> Hop {
    let Step::Ask(questions) = agent.step_as_nobody(NOW) else {
        panic!("no question")
    };
    let list = vec!["192.0.2.1".parse().unwrap()];
    let answer = Answer::Addresses {
        list,
        secure: false,
    };
    agent.on_answers(questions.into_iter().map(|q| (q, answer.clone())).collect());
    let Step::Connect { hop, source, .. } = agent.step_as_nobody(NOW) else {
        panic!("no connection")
    };
    assert_eq!(source, Some("192.0.2.200".parse().unwrap()));
    hop
}

#[test]
fn the_strictest_domain_of_a_message_decides() {
    for (addresses, expected) in [
        (&["bob@a.example"][..], "Opportunistic"),
        (&["bob@a.example", "cat@verify.example"], "Verified"),
    ] {
        let (mut agent, _) = demanding(addresses);
        let security = format!("{:?}", hop(&mut agent).security);
        assert!(security.starts_with(expected), "{security}");
    }
}

#[test]
fn a_connection_that_gives_less_than_the_next_message_demands_is_left() {
    let (mut agent, site) = demanding(&["bob@a.example"]);
    hop(&mut agent);
    agent.on_connected();
    hear(&mut agent, &["220 a", "250 a"]);
    hear(&mut agent, &TAKEN);
    assert!(report(&mut agent).ended.reusable);
    agent.give(job(2, &["cat@verify.example"], &site));
    talk(&mut agent);
    assert_eq!(agent.conversation().unwrap().output(), b"QUIT\r\n");
    hear(&mut agent, &["221 bye"]);
    let security = hop(&mut agent).security;
    assert!(matches!(security, Security::Verified { .. }));
    agent.on_connected();
    // What is encrypted enough is good for those who demand less.
    to_handshake(&mut agent);
    agent.on_encrypted(facts(), None);
    hear(&mut agent, &["250 a"]);
    hear(&mut agent, &TAKEN);
    let second = report(&mut agent);
    assert_eq!(second.assurance, Some(Assurance::Verified));
    agent.give(job(3, &["bob@a.example"], &site));
    talk(&mut agent);
    let output = agent.conversation().unwrap().output();
    assert!(output.starts_with(b"MAIL FROM:"));
}

#[test]
fn a_handshake_that_is_demanded_and_fails_leads_to_no_clear_text() {
    let (mut agent, _) = demanding(&["cat@verify.example"]);
    hop(&mut agent);
    agent.on_connected();
    to_handshake(&mut agent);
    agent.on_handshake_failed(&HandshakeFault::Certificate(
        CertificateFlaw::Expired,
        "expired".into(),
    ));
    let report = report(&mut agent);
    let [(0, Outcome::Deferred(failure))] = &report.ended.results[..] else {
        panic!("{report:?}")
    };
    assert_eq!(failure.reply.status().to_string(), "4.7.5");
    assert!(failure.host.as_deref().unwrap().contains("192.0.2.1"));
    assert!(matches!(agent.step_as_nobody(NOW), Step::Leave));
}

/// By MX, and where that leads to nobody by the smart host 192.0.2.9, which is greeted otherwise.
fn direct_first(addresses: &[&str]) -> Agent {
    let (routes, delivery) = smart_host_behind();
    let job = job(1, addresses, &site(&routes));
    Agent::new(1, job, routes, delivery, 5, NOW)
}

fn smart_host_behind() -> (Arc<Routes>, DeliverySettings) {
    let host = HostSpec::new(Host::parse("[192.0.2.9]").unwrap(), true);
    let mut routes = Routes::builder();
    routes
        .outbound(Via::SmartHosts(vec![host]), Place::Default)
        .direct_first(Place::Default);
    let routes = Arc::new(routes.build().unwrap());
    let helo = Host::parse("behind.example").unwrap();
    let behind = DeliverySettings {
        settings: Arc::new(delivery::Settings::new(helo)),
        ..delivery()
    };
    let delivery = DeliverySettings {
        otherwise: Some(Arc::new(behind)),
        ..delivery()
    };
    (routes, delivery)
}

/// A job while the smart host behind its site is paused.
fn shut(n: u128, addresses: &[&str], routes: &Routes) -> Job {
    Job {
        shut: Some(Reply::new(451, 3, 2, "paused")),
        ..job(n, addresses, &site(routes))
    }
}

#[test]
fn attempts_that_counted_as_no_try_are_told_with_the_next() {
    let routes = routes();
    let job = Job {
        excused: 2,
        ..job(1, &["bob@a.example"], &site(&routes))
    };
    let mut agent = Agent::new(1, job, routes, delivery(), 5, NOW);
    connect(&mut agent);
    hear(&mut agent, &TAKES_ALL);
    let [row] = &rows::attempted(Moment::of(NOW), &report(&mut agent))[..] else {
        panic!("one recipient")
    };
    assert_eq!(row.tries, 1);
    assert_eq!(&*row.note, "the 2 attempts before counted as no try");
}

fn assert_waits_for_the_smart_host(report: &Report) {
    let [(0, Outcome::Deferred(failure))] = &report.ended.results[..] else {
        panic!("{report:?}")
    };
    assert_eq!(failure.scope, Scope::Site);
    assert_eq!(failure.reply.to_string(), "451 4.3.2 paused");
    assert_eq!(report.ended.reach, Reach::BeforeMail);
}

/// Answers what routing asks: this is the address of the domain, which has no MX records.
fn find(agent: &mut Agent, address: Option<IpAddr>) {
    for _ in 0..2 {
        let Step::Ask(questions) = agent.step_as_nobody(NOW) else {
            panic!("nothing is asked")
        };
        let answer = |question: Question| {
            let answer = match (&question, address) {
                (Question::Addresses(_), Some(address)) => Answer::Addresses {
                    list: vec![address],
                    secure: false,
                },
                _ => Answer::NoData { secure: false },
            };
            (question, answer)
        };
        agent.on_answers(questions.into_iter().map(answer).collect());
    }
}

const TAKES_ALL: [&str; 6] = [
    "220 b",
    "250 b",
    "250 ok",
    "250 ok",
    "354 go on",
    "250 taken",
];

#[test]
fn who_is_not_found_by_mx_gets_the_mail_by_the_smart_host() {
    let mut agent = direct_first(&["bob@a.example"]);
    find(&mut agent, None);
    assert!(connect(&mut agent).is_empty());
    hear(&mut agent, &["220 b"]);
    talk(&mut agent);
    let said = agent.conversation().unwrap().output().clone();
    assert_eq!(said, b"EHLO behind.example\r\n");
    hear(&mut agent, &TAKES_ALL[1..]);
    let report = report(&mut agent);
    assert!(report.host.contains("192.0.2.9"), "{report:?}");
    assert_eq!(report.ended.reach, Reach::ToTheEnd);
    assert_eq!(&*report.job.site.name, "mx:a.example");
    let [row] = &rows::attempted(Moment::of(NOW), &report)[..] else {
        panic!("{report:?}")
    };
    assert_eq!(&*row.route, "[192.0.2.9]:25");
}

#[test]
fn who_is_not_reached_by_mx_gets_the_mail_by_the_smart_host() {
    let mut agent = direct_first(&["bob@a.example"]);
    find(&mut agent, "192.0.2.1".parse().ok());
    assert!(matches!(agent.step_as_nobody(NOW), Step::Connect { .. }));
    agent.on_connect_failed("connection refused");
    let Step::HostFailed { site, hop, .. } = agent.step_as_nobody(NOW) else {
        panic!("no host failed")
    };
    assert_eq!(hop.address.host(), "192.0.2.1");
    assert_eq!(&*site.name, "mx:a.example");
    connect(&mut agent);
    hear(&mut agent, &TAKES_ALL);
    assert!(report(&mut agent).host.contains("192.0.2.9"));
}

#[test]
fn when_the_smart_host_is_not_reached_either_the_message_waits() {
    let mut agent = direct_first(&["bob@a.example"]);
    find(&mut agent, None);
    assert!(matches!(agent.step_as_nobody(NOW), Step::Connect { .. }));
    agent.on_connect_failed("connection refused");
    let report = report(&mut agent);
    let [(0, Outcome::Deferred(failure))] = &report.ended.results[..] else {
        panic!("{report:?}")
    };
    assert_eq!(failure.scope, Scope::Site);
    assert!(failure.host.as_deref().unwrap().contains("192.0.2.9"));
}

#[test]
fn nobody_turns_to_a_smart_host_to_which_nothing_may_go() {
    let (routes, delivery) = smart_host_behind();
    let agent = || {
        let job = shut(1, &["bob@a.example"], &routes);
        Agent::new(1, job, Arc::clone(&routes), delivery.clone(), 5, NOW)
    };
    let mut unfound = agent();
    find(&mut unfound, None);
    assert_waits_for_the_smart_host(&report(&mut unfound));
    let mut unreached = agent();
    find(&mut unreached, "192.0.2.1".parse().ok());
    assert!(matches!(
        unreached.step_as_nobody(NOW),
        Step::Connect { .. }
    ));
    unreached.on_connect_failed("connection refused");
    assert_waits_for_the_smart_host(&report(&mut unreached));
    // By MX it goes as ever.
    let mut found = agent();
    find(&mut found, "192.0.2.1".parse().ok());
    connect(&mut found);
    hear(&mut found, &TAKES_ALL);
    assert!(report(&mut found).host.contains("192.0.2.1"));
}

#[test]
fn once_nothing_may_go_to_the_smart_host_its_connection_ends_and_mail_goes_by_mx_again() {
    let mut agent = direct_first(&["bob@a.example"]);
    find(&mut agent, None);
    connect(&mut agent);
    hear(&mut agent, &TAKES_ALL);
    assert!(report(&mut agent).ended.reusable);
    let (routes, _) = smart_host_behind();
    let next = shut(2, &["bob@a.example"], &routes);
    let _nothing_to_leave_off = agent.on_order(Order::Give(Box::new(next)), NOW);
    talk(&mut agent);
    let said = agent.conversation().unwrap().output().clone();
    assert_eq!(said, b"QUIT\r\n");
    agent.on_disconnected();
    find(&mut agent, "192.0.2.1".parse().ok());
    assert_eq!(&*agent.site().name, "mx:a.example");
    connect(&mut agent);
    hear(&mut agent, &TAKES_ALL);
    assert!(report(&mut agent).host.contains("192.0.2.1"));
}

#[test]
fn what_an_mx_host_refuses_or_may_have_taken_does_not_go_to_the_smart_host() {
    let mut agent = direct_first(&["bob@a.example"]);
    find(&mut agent, "192.0.2.1".parse().ok());
    connect(&mut agent);
    hear(
        &mut agent,
        &["220 a", "250 a", "250 ok", "550 5.1.1 nobody"],
    );
    let refused = report(&mut agent);
    assert!(matches!(
        refused.ended.results[..],
        [(0, Outcome::Failed(_))]
    ));

    let mut agent = direct_first(&["bob@a.example"]);
    find(&mut agent, "192.0.2.1".parse().ok());
    connect(&mut agent);
    hear(&mut agent, &TAKES_ALL[..5]);
    talk(&mut agent);
    agent.on_disconnected();
    let lost = report(&mut agent);
    assert!(lost.host.contains("192.0.2.1"), "{lost:?}");
    assert!(matches!(
        lost.ended.results[..],
        [(0, Outcome::Deferred(_))]
    ));
}

#[test]
fn a_host_that_does_not_encrypt_is_told_of_where_somebody_asks() {
    let mut agent = direct_first(&["bob@a.example"]);
    agent.delivery.tells_encryption = true;
    find(&mut agent, "192.0.2.1".parse().ok());
    connect(&mut agent);
    for reply in ["220 a", "250 a"] {
        let conversation = agent.conversation().unwrap();
        conversation.output().clear();
        conversation.receive(format!("{reply}\r\n").as_bytes());
        if reply.starts_with("220") {
            talk(&mut agent);
        }
    }
    let Step::Encryption(told) = agent.step_as_nobody(NOW) else {
        panic!("it is not told");
    };
    let failure = &told.failures[0];
    assert_eq!(
        (&*failure.kind, failure.destination, &*told.policy.domain),
        (
            "starttls-not-supported",
            "192.0.2.1".parse().ok(),
            "a.example"
        )
    );
    // Once.
    hear(&mut agent, &TAKEN);
    report(&mut agent);
}
