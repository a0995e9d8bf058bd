//! Senders that others would not take go out as somebody whom they take.

use std::fs;

use serde_json::Value;

use crate::client::{message, submit};
use crate::dns::NameServer;
use crate::network::Network;
use crate::postfix::Postfix;
use crate::relay::Relay;
use crate::server::{RecordingServer, route_to};

#[test]
fn a_masquerade_hides_inner_senders_and_their_bounces_come_home() {
    let network = Network::new();
    let world = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    relay.write_config(&format!(
        "[outbound]\nroute = \"{0}\"\nmasquerade_domain = \"contoso.test\"\n\
         [domain.\"hosted.test\"]\nroute = \"{0}\"\n",
        world.route()
    ));
    relay.run();
    let send = |client, from: &str, to: &str, subject: &str| {
        submit(client, relay.address(), from, &[to], &message(subject));
    };
    let (permitted, stranger) = (network.permitted(), network.stranger());
    send(permitted, "root@localhost", "bob@elsewhere.test", "inner");
    assert_eq!(world.wait_for("inner").from, "root@contoso.test");
    let place = relay.place_of("masquerade_domain");
    let sender = format!("\"sender\":\"root@contoso.test, by {place}\"");
    relay.wait_for_log(&["delivered", &sender]);
    relay.wait_until_empty();
    let track = |filter: &str| -> Vec<Value> {
        let out = relay.command(&["--json", "track", "--events", filter]);
        serde_json::from_str(&out.expect_code(0).out).expect("JSON")
    };
    let results = |rows: &[Value]| -> Vec<String> {
        let results = rows.iter().map(|row| row["result"].as_str());
        results
            .map(|word| word.expect("a word").to_owned())
            .collect()
    };
    assert_eq!(
        results(&track("from:root@localhost to:bob@elsewhere.test")),
        ["delivered", "received"]
    );
    let rewritten = track("from:root@contoso.test");
    assert_eq!(results(&rewritten), ["rewritten"]);
    let became = "<root@localhost> became <root@contoso.test>";
    assert_eq!(rewritten[0]["note"], became);
    assert_eq!(rewritten[0]["place"], place);
    let id = rewritten[0]["id"].as_str().expect("an id");
    let traced = relay.command(&["trace", id]).expect_code(0).out;
    assert!(traced.contains(became), "{traced}");
    send(permitted, "ann@hosted.test", "bob@elsewhere.test", "known");
    assert_eq!(world.wait_for("known").from, "ann@hosted.test");
    send(stranger, "root@localhost", "bob@hosted.test", "strange");
    assert_eq!(world.wait_for("strange").from, "root@localhost");
    let shown = relay.command(&["route", "show", "bob@elsewhere.test"]);
    assert!(shown.out.contains(&place), "{}", shown.text());
}

/// Takes mail from one sender alone, in envelope and header, as Microsoft 365 does: it answers
/// others with 5.7.60, SendAsDenied.
fn suspicious_postfix(network: &Network) -> Postfix {
    let settings = Postfix::one_mailbox(&["elsewhere.test"])
        + "smtpd_sender_restrictions = check_sender_access inline:{ { scanner@contoso.test = OK } }, reject\n\
           header_checks = regexp:{ { /^(From|Sender):.*(localhost|client)/ REJECT 5.7.60 SendAsDenied } { /^Subject: lost/ REJECT } }\n";
    Postfix::start(network.mail_server(), &settings)
}

fn from_printer(subject: &str, more: &str) -> String {
    format!(
        "From: \"Hall printer\" <printer@localhost>\r\nTo: bob@elsewhere.test\r\nSubject: {subject}\r\n\
         Date: Mon, 06 Jul 2026 10:00:00 +0000\r\nMessage-ID: <{subject}@localhost>\r\n\r\n\
         From: printer@localhost\r\n{more}The end of {subject}.\r\n"
    )
}

#[test]
fn a_server_that_takes_one_sender_alone_takes_the_mail_of_a_device_that_is_sent_as_that_one() {
    let network = Network::new();
    let postfix = suspicious_postfix(&network);
    let mut relay = Relay::prepare(network, "");
    let route = format!(
        "[outbound]\nroute = \"cloud\"\n[route.cloud]\nhosts = \"{}\"\n",
        route_to(postfix.address)
    );
    relay.write_config(&route);
    relay.run();
    let send = |from: &str, text: &str| {
        let (client, to) = (network.permitted(), ["bob@elsewhere.test"]);
        submit(client, relay.address(), from, &to, text);
    };
    send("printer@localhost", &from_printer("before", ""));
    relay.wait_for_log(&["failed", "bob@elsewhere.test", "554"]);
    relay.write_config(&format!("{route}send_as = \"scanner@contoso.test\"\n"));
    relay.command(&["reload"]).expect_code(0);
    send("printer@localhost", &from_printer("after", ""));
    let taken = postfix.wait_for("The end of after.");
    let header =
        "From: \"Hall printer\" <scanner@contoso.test>\nTo: bob@elsewhere.test\nSubject: after\n";
    assert!(taken.contains(header), "{taken}");
    assert!(
        taken.contains("\n\nFrom: printer@localhost\nThe end"),
        "{taken}"
    );
    assert!(
        taken.contains("Return-Path: <scanner@contoso.test>"),
        "{taken}"
    );
    let sender = format!("scanner@contoso.test, by {}", relay.place_of("send_as"));
    relay.wait_for_log(&["delivered", &sender]);
    // Too large for memory: it goes out from the disk.
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef\r\n";
    send(
        "ann@client.test",
        &from_printer("large", &line.repeat(20_000)),
    );
    let taken = postfix.wait_for("The end of large.");
    assert!(taken.contains("From: \"Hall printer\" <scanner@contoso.test>\n"));
    assert_eq!(taken.matches("0123456789abcdef\n").count(), 20_000);
    assert_eq!(taken.matches("From: printer@localhost\n").count(), 1);
    // Answers to somebody who has a mailbox go there.
    send("ann@client.test", &message("answered"));
    let taken = postfix.wait_for("End of answered.");
    assert!(
        taken.contains("Reply-To: Ann <ann@client.test>\n"),
        "{taken}"
    );
}

#[test]
fn a_rule_names_clients_and_senders_and_the_notice_finds_somebody() {
    let network = Network::new();
    let postfix = suspicious_postfix(&network);
    let home = RecordingServer::start(network.free_port(network.host(20)));
    let mut relay = Relay::prepare(network, "");
    relay.write_config(&format!(
        "[outbound]\nroute = \"{}\"\n[domain.\"contoso.test\"]\nroute = \"{}\"\n\
         [domain.\"kept.test\"]\ntype = \"local\"\n\
         [[send_as]]\nas = \"scanner@contoso.test\"\nsenders = [\"localhost\"]\nclients = [\"{}\"]\n",
        route_to(postfix.address),
        home.route(),
        network.permitted(),
    ));
    relay.run();
    let send = |to: &str, subject: &str| {
        let (client, text) = (network.permitted(), from_printer(subject, ""));
        submit(client, relay.address(), "printer@localhost", &[to], &text);
    };
    let arguments = ["relay", "check", "--mail", "printer@localhost"];
    let client = network.permitted().to_string();
    let whom = ["--client", &client, "--rcpt", "bob@elsewhere.test"];
    let shown = relay.command(&[&arguments[..], &whom].concat());
    assert!(
        shown
            .out
            .contains("scanner@contoso.test, to bob@elsewhere.test"),
        "{}",
        shown.out
    );
    assert!(
        shown.out.contains(&relay.place_of("as = ")),
        "{}",
        shown.out
    );
    // What becomes a file here stays as it came.
    let whom = ["--client", &client, "--rcpt", "bob@kept.test"];
    let shown = relay
        .command(&[&arguments[..], &whom].concat())
        .expect_code(0);
    assert!(!shown.out.contains("sent as"), "{}", shown.out);
    send("bob@elsewhere.test", "taken");
    postfix.wait_for("The end of taken.");
    // The notice would be lost at localhost.
    send("bob@elsewhere.test", "lost");
    let notice = home.wait_where("the notice", |received| received.from.is_empty());
    assert_eq!(notice.to, ["scanner@contoso.test"]);
    assert!(notice.text().contains("Subject: lost"), "{}", notice.text());
}

/// It is verified by the relay itself, as it would verify mail of strangers.
#[test]
fn what_goes_out_as_somebody_else_is_signed_for_that_one() {
    let network = Network::new();
    let world = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let folder = relay.folder().display().to_string();
    let made = [
        "dkim",
        "keygen",
        "contoso.test",
        "--selector",
        "k",
        "--out",
        &folder,
    ];
    let made = relay.command(&made).expect_code(0).out;
    let (key, record) = made.split_once('\n').expect("a file and a record");
    let names = NameServer::start(relay.network.name_server(), record);
    relay.write_config(&format!(
        "{}[outbound]\nroute = \"cloud\"\n[route.cloud]\nhosts = \"{}\"\n\
         send_as = \"scanner@contoso.test\"\n[domain.\"hosted.test\"]\nroute = \"cloud\"\n\
         [dkim.\"contoso.test\"]\nselector = \"k\"\nkey = \"{key}\"\n\
         [authentication]\ndkim = true\n",
        names.config(),
        world.route(),
    ));
    relay.run();
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef\r\n";
    for (subject, more) in [("small", String::new()), ("large", line.repeat(20_000))] {
        let text = from_printer(subject, &more);
        let client = relay.network.permitted();
        let to = ["bob@elsewhere.test"];
        submit(client, relay.address(), "printer@localhost", &to, &text);
        let received = world.wait_for(subject);
        assert_eq!(received.headers("DKIM-Signature").len(), 1);
        let file = relay.folder().join("received.eml");
        fs::write(&file, received.text()).expect("a file");
        let (client, file) = (
            relay.network.stranger().to_string(),
            file.display().to_string(),
        );
        let checked = relay.command(&[
            "relay",
            "check",
            "--client",
            &client,
            "--mail",
            "scanner@contoso.test",
            "--rcpt",
            "bob@hosted.test",
            "--message",
            &file,
        ]);
        let checked = checked.expect_code(0).out;
        assert!(checked.contains("dkim pass by contoso.test"), "{checked}");
    }
}
