//! A staging system that may write to our own people alone, by its address or as a user: what swaks
//! hears, and what a Postfix behind the relay gets.

use std::net::{IpAddr, SocketAddr};

use crate::network::Network;
use crate::postfix::Postfix;
use crate::program::{Ran, run};
use crate::relay::Relay;
use crate::server::route_to;
use crate::submission_setup::{PASSWORD, SubmissionSetup, USER};
use crate::wait::{seconds, until_true};

/// Whom it may write to, and whom not, in whatever way it names him.
const PERMITTED: [&str; 2] = ["bob@hosted.test", "ops@partner.test"];
const REFUSED: [&str; 5] = [
    "bob@elsewhere.test",
    "bob@partner.test",
    "bob%elsewhere.test@hosted.test",
    "elsewhere.test!bob@hosted.test",
    "@hosted.test:bob@elsewhere.test",
];

fn send(from: IpAddr, to: &[&str], subject: &str, more: &[&str]) -> Ran {
    let (from, to) = (from.to_string(), to.join(","));
    let header = format!("Subject: {subject}");
    let mut words = vec!["--local-interface", &from, "--helo", "staging.test"];
    words.extend(["--from", USER, "--to", &to, "--header", &header]);
    words.extend(more);
    run("swaks", &words)
}

/// The recipients of the messages with this subject that the Postfix has stored, each of its own.
fn arrived(postfix: &Postfix, subject: &str) -> Vec<String> {
    let header = format!("\nSubject: {subject}\n");
    let stored = postfix.mailbox("all").into_iter();
    let stored = stored.filter(|message| message.contains(&header));
    let mut recipients: Vec<String> = stored
        .filter_map(|message| {
            let mut lines = message.lines();
            lines.find_map(|line| line.strip_prefix("X-Original-To: ").map(str::to_owned))
        })
        .collect();
    recipients.sort();
    recipients
}

/// Sends to each of these, and to all in one message, as `with` has it.
fn assert_bound(postfix: &Postfix, relay: &Relay, words: &str, from: IpAddr, with: &[&str]) {
    let name = words.split(' ').next().unwrap_or_default();
    for to in PERMITTED {
        let sent = send(from, &[to], &format!("{name}-{to}"), with);
        sent.expect_code(0);
    }
    for to in REFUSED {
        let refused = send(from, &[to], &format!("{name}-{to}"), with);
        assert_ne!(refused.code, 0, "{to}: {}", refused.text());
        // Whom a route names is nobody's concern: no source route is taken.
        let replies = ["550 5.7.1", "501 5.1.3 Source routes"];
        let is_refused = replies.iter().any(|reply| refused.out.contains(reply));
        assert!(is_refused, "{to}: {}", refused.out);
    }
    let why = send(from, &[REFUSED[0]], "why", with);
    assert!(
        why.out.contains(&format!("550 5.7.1 {words}")),
        "{}",
        why.out
    );
    let all = [&PERMITTED[..], &REFUSED].concat();
    let mixed = format!("{name}-mixed");
    send(from, &all, &mixed, with).expect_code(0);
    relay.wait_until_empty();
    // It stores what it took in a moment of its own.
    until_true("the mixed one to be stored", seconds(30), || {
        arrived(postfix, &mixed).len() >= PERMITTED.len()
    });
    assert_eq!(arrived(postfix, &mixed), PERMITTED);
    for to in PERMITTED {
        postfix.wait_for(&format!("Subject: {name}-{to}\n"));
    }
}

fn postfix(address: SocketAddr) -> Postfix {
    let domains = ["hosted.test", "partner.test", "elsewhere.test"];
    Postfix::start(address, &Postfix::one_mailbox(&domains))
}

#[test]
fn a_client_that_may_write_to_some_alone_reaches_nobody_else() {
    let network = Network::new();
    let behind = postfix(network.mail_server());
    let route = route_to(behind.address);
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{route}\"\n[outbound]\nroute = \"{route}\"\n\
         [[send_only_to]]\nclients = [\"{}\"]\nrecipients = [\"hosted\", \"ops@partner.test\"]\n",
        network.permitted()
    );
    let relay = Relay::start(network, &config);
    let server = relay.address().to_string();
    let words = format!("client {} may send only to", network.permitted());
    let with = ["--server", &*server];
    assert_bound(&behind, &relay, &words, network.permitted(), &with);
    let place = relay.place_of("recipients = [\"hosted\"");
    relay.wait_for_log(&["recipient refused", REFUSED[0], &place]);
    let stored = behind.mailbox("all").len();
    assert_eq!(stored, 2 * PERMITTED.len(), "and nothing else arrived");
}

#[test]
fn a_user_who_may_write_to_some_alone_reaches_nobody_else_and_others_do() {
    let setup = SubmissionSetup::prepare("");
    let staging = ["--recipient", "hosted", "--recipient", "ops@partner.test"];
    setup.add_user("staging", PASSWORD, &staging);
    let network = setup.relay.network;
    let behind = postfix(network.free_port(network.host(12)));
    let SubmissionSetup {
        mut relay,
        server,
        authority,
    } = setup;
    // In the place of the one that only writes down.
    let config = std::fs::read_to_string(relay.config()).expect("a configuration");
    relay.write_whole_config(&config.replace(&server.route(), &route_to(behind.address)));
    relay.run();
    let server = relay.listener("submission").to_string();
    let trust = authority.certificate().display().to_string();
    let as_user = |user| {
        [
            "--server",
            &*server,
            "--tls",
            "--tls-verify",
            "--tls-ca-path",
            &*trust,
            "--auth-user",
            user,
            "--auth-password",
            PASSWORD,
        ]
    };
    let words = "user staging may send only to";
    let stranger = network.stranger();
    assert_bound(&behind, &relay, words, stranger, &as_user("staging"));
    let elsewhere = [REFUSED[0]];
    send(stranger, &elsewhere, "unbound", &as_user(USER)).expect_code(0);
    behind.wait_for("Subject: unbound\n");
    let stored = behind.mailbox("all").len();
    assert_eq!(stored, 2 * PERMITTED.len() + 1, "and nothing else arrived");
}
