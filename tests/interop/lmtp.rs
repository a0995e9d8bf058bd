//! LMTP as a next hop: Dovecot with mailboxes, Mailman with a list, aiosmtpd, which answers once for
//! all recipients, and smtp-server, which does so for those that differ in case alone.

use std::net::SocketAddr;

use serde_json::Value;

use crate::client::{Dialogue, message, submit};
use crate::dovecot::Dovecot;
use crate::mailman::Mailman;
use crate::network::Network;
use crate::relay::Relay;
use crate::script::Script;
use crate::server::{RecordingServer, route_to};
use crate::wait::{seconds, until_true};

const ARRIVAL_SECONDS_MAX: u64 = 20;
const PLENTY: u64 = 1_000_000;

/// A domain whose mail goes to `host`, and a server for our own notices.
fn config(host: SocketAddr, notices: &RecordingServer, more: &str) -> String {
    format!(
        "[domain.\"box.test\"]\nroute = \"boxes\"\n[route.boxes]\nhosts = \"{}\"\n{more}\n\
         [outbound]\nroute = \"{}\"\n",
        route_to(host),
        notices.route()
    )
}

fn send(relay: &Relay, to: &[&str], id: &str) {
    let (permitted, address) = (relay.network.permitted(), relay.address());
    submit(permitted, address, "ann@client.test", to, &message(id));
}

#[test]
fn dovecot_answers_for_each_recipient() {
    let network = Network::new();
    let users = [("bob@box.test", PLENTY), ("full@box.test", 10)];
    let address = network.mail_server();
    let dovecot = Dovecot::lmtp(address, &users);
    let notices = RecordingServer::start(network.free_port(network.host(30)));
    let config = config(address, &notices, "protocol = \"lmtp\"");
    let relay = Relay::start(network, &config);
    let to = ["bob@box.test", "nobody@box.test", "full@box.test"];
    send(&relay, &to, "three");
    let bounce = notices.wait_where("a bounce", |received| {
        received.to == ["ann@client.test"] && received.text().contains("full@box.test")
    });
    let bounce = bounce.text();
    assert!(bounce.contains("552 5.2.2"), "{bounce}");
    assert!(
        bounce.contains("nobody@box.test") && bounce.contains("550 5.1.1"),
        "{bounce}"
    );
    relay.wait_until_empty();
    assert_eq!(dovecot.mailbox("bob@box.test").len(), 1);

    // Exact repeats are one, another spelling is another copy; Dovecot takes all for one mailbox.
    let to = ["bob@box.test", "BOB@box.test", "bob@box.test"];
    send(&relay, &to, "repeated");
    relay.wait_until_empty();
    let mailbox = dovecot.mailbox("bob@box.test");
    let repeated = mailbox.iter().filter(|text| text.contains("repeated"));
    assert_eq!(repeated.count(), 2, "{mailbox:?}");

    let test = |address: &str, code| {
        let ran = relay.command(&["test", "delivery", "--json", address]);
        let told: Value = serde_json::from_str(&ran.expect_code(code).out).expect("JSON");
        told["recipients"][0]["sites"][0]["hosts"][0].clone()
    };
    assert_eq!(test("bob@box.test", 0)["stages"]["EHLO"], "LHLO");
    assert_eq!(test("nobody@box.test", 1)["failed_at"], "RCPT");
}

/// Dovecot refuses a parameter that its LHLO does not offer, DSN's among them: what was wished for is
/// then kept here, and told of from here.
#[test]
fn dovecot_gets_no_parameter_that_it_does_not_offer() {
    let network = Network::new();
    let address = network.mail_server();
    let dovecot = Dovecot::lmtp(address, &[("bob@box.test", PLENTY)]);
    let mut direct = Dialogue::open(network.permitted(), address);
    let offered = direct.ask("LHLO client.test", 250).lines;
    assert!(!offered.iter().any(|line| line == "DSN"), "{offered:?}");
    let reply = direct.say("MAIL FROM:<ann@client.test> RET=HDRS");
    assert!(reply.is_refusal(), "{}", reply.text());

    let notices = RecordingServer::start(network.free_port(network.host(30)));
    let config = config(address, &notices, "protocol = \"lmtp\"");
    let relay = Relay::start(network, &config);
    let mut client = Dialogue::ready(relay.network.permitted(), relay.address());
    client.ask(
        "MAIL FROM:<ann@client.test> BODY=8BITMIME SIZE=200 RET=HDRS ENVID=a+2Bb",
        250,
    );
    client.ask(
        "RCPT TO:<bob@box.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2Bx@else.test",
        250,
    );
    client.ask("DATA", 354);
    client.send(message("wishes").as_bytes());
    client.ask(".", 250);
    let notice = notices.wait_where("a notice", |one| one.to == ["ann@client.test"]);
    let notice = notice.text();
    for line in [
        "Original-Envelope-Id: a+b\r\n",
        "Original-Recipient: rfc822;bob+x@else.test\r\n",
        "Action: relayed\r\n",
    ] {
        assert!(notice.contains(line), "{line:?} in {notice}");
    }
    relay.wait_until_empty();
    let mailbox = dovecot.mailbox("bob@box.test");
    assert_eq!(mailbox.len(), 1);
    assert!(mailbox[0].contains("Subject: wishes"), "{mailbox:?}");
}

/// With nobody left there is no DATA: the connection goes on with the next message.
#[test]
fn a_message_whose_only_recipient_dovecot_refuses_leaves_the_connection_usable() {
    let network = Network::new();
    let address = network.mail_server();
    let dovecot = Dovecot::lmtp(address, &[("bob@box.test", PLENTY)]);
    let notices = RecordingServer::start(network.free_port(network.host(30)));
    let more = "protocol = \"lmtp\"\nmax_connections = 1";
    let relay = Relay::start(network, &config(address, &notices, more));
    // All are there before the first of them goes.
    relay.command(&["queue", "pause"]).expect_code(0);
    send(&relay, &["nobody@box.test"], "refused");
    send(&relay, &["bob@box.test"], "next");
    send(&relay, &["noone@box.test"], "refused-too");
    send(&relay, &["bob@box.test"], "last");
    let before = dovecot.connections();
    relay.command(&["queue", "resume"]).expect_code(0);
    for nobody in ["nobody@box.test", "noone@box.test"] {
        let bounce = notices.wait_where("a bounce", |one| {
            one.to == ["ann@client.test"] && one.text().contains(nobody)
        });
        let bounce = bounce.text();
        assert!(bounce.contains("550 5.1.1"), "{bounce}");
    }
    relay.wait_until_empty();
    let mut subjects = dovecot.mailbox("bob@box.test");
    subjects.retain(|text| {
        ["next", "last"]
            .iter()
            .any(|one| text.contains(&format!("Subject: {one}\n")))
    });
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert_eq!(dovecot.connections() - before, 1);
}

#[test]
fn dovecot_takes_mail_at_a_socket_of_this_machine_and_what_is_there_waits_while_it_is_away() {
    let network = Network::new();
    let users = [("bob@box.test", PLENTY), ("full@box.test", 10)];
    let (dovecot, socket) = Dovecot::lmtp_socket(&users);
    let notices = RecordingServer::start(network.free_port(network.host(30)));
    // Whatever all others have to give: nothing of this crosses a network.
    let config = format!(
        "[domain.\"box.test\"]\nroute = \"boxes\"\n\
         [route.boxes]\nhosts = \"{socket}\"\nprotocol = \"lmtp\"\n[queue]\nretry = [\"1s\"]\n\
         [outbound]\nroute = \"{}\"\ntls = \"opportunistic\"\n",
        notices.route()
    );
    let relay = Relay::start(network, &config);
    send(&relay, &["bob@box.test", "full@box.test"], "first");
    notices.wait_where("a bounce", |received| {
        received.text().contains("552 5.2.2") && received.text().contains("full@box.test")
    });
    relay.wait_until_empty();
    assert_eq!(dovecot.mailbox("bob@box.test").len(), 1);

    let shown = relay.command(&["route", "show", "bob@box.test"]);
    let shown = shown.expect_code(0).out;
    let host = shown.lines().find(|line| line.contains(&socket));
    assert!(
        host.expect("its host").contains("socket of this machine"),
        "{shown}"
    );
    let tried = relay.command(&["test", "delivery", "--json", "bob@box.test"]);
    let tried: Value = serde_json::from_str(&tried.expect_code(0).out).expect("JSON");
    let tried = &tried["recipients"][0]["sites"][0]["hosts"][0];
    assert_eq!(
        (&tried["address"], &tried["port"], &tried["stages"]["EHLO"]),
        (&socket.clone().into(), &Value::Null, &"LHLO".into())
    );
    let found = relay.command(&["track", "--json", "to:bob@box.test"]);
    assert!(found.expect_code(0).out.contains(&socket));

    drop(dovecot);
    send(&relay, &["bob@box.test"], "away");
    let heard = relay.wait_for_deferral("bob@box.test");
    assert!(
        heard.contains(&format!("Could not connect to {socket}")),
        "{heard}"
    );
    let tried = relay.command(&["test", "delivery", "bob@box.test"]);
    assert!(tried.expect_code(75).out.contains(&socket));
}

#[test]
fn an_lmtp_port_is_told_for_what_it_is() {
    let network = Network::new();
    let address = network.mail_server();
    let _dovecot = Dovecot::lmtp(address, &[("bob@box.test", PLENTY)]);
    let notices = RecordingServer::start(network.free_port(network.host(30)));
    let relay = Relay::start(network, &config(address, &notices, ""));
    send(&relay, &["bob@box.test"], "smtp");
    let heard = relay.wait_for_deferral("bob@box.test");
    assert!(heard.contains("LMTP"), "{heard}");

    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = config(server.address, &server, "protocol = \"lmtp\"");
    let relay = Relay::start(network, &config);
    send(&relay, &["bob@box.test"], "lmtp");
    let heard = relay.wait_for_deferral("bob@box.test");
    assert!(heard.contains("not for LMTP"), "{heard}");
}

/// It refuses at RCPT, without an enhanced status code: none is made up that would say more.
#[test]
#[ignore = "needs Mailman: scripts/test browser"]
fn mailman_takes_mail_for_its_list_and_what_it_refuses_comes_back() {
    let network = Network::new();
    let address = network.mail_server();
    let mailman = Mailman::start(address, "staff@box.test");
    let notices = RecordingServer::start(network.free_port(network.host(30)));
    let relay = Relay::start(network, &config(address, &notices, "protocol = \"lmtp\""));
    send(&relay, &["absent@box.test", "staff@box.test"], "listed");
    let bounce = notices.wait_where("a bounce", |received| {
        received.text().contains("absent@box.test")
    });
    let bounce = bounce.text();
    assert!(bounce.contains("mailbox unavailable"), "{bounce}");
    assert!(bounce.contains("Status: 5.0.0\r\n"), "{bounce}");
    assert!(!bounce.contains("staff@box.test"), "{bounce}");
    relay.wait_until_empty();
    assert_eq!(mailman.taken(), 1);
}

/// It takes addresses that differ in case alone for one recipient, and answers once for all of them.
#[test]
#[ignore = "needs smtp-server: scripts/test browser"]
fn spellings_that_a_server_merges_go_apart_and_each_has_its_answer() {
    let network = Network::new();
    let server = Script::nodemailer_lmtp(network.mail_server());
    let notices = RecordingServer::start(network.free_port(network.host(30)));
    let config = config(server.address, &notices, "protocol = \"lmtp\"");
    let relay = Relay::start(network, &config);
    let to = [
        "bob@box.test",
        "BOB@box.test",
        "carol@box.test",
        "Bob@BOX.test",
    ];
    send(&relay, &to, "spelled");
    relay.wait_until_empty();
    let taken = server.entries("to");
    let of_one = |entry: &Value| -> Vec<String> {
        let to = entry["to"].as_array().expect("a list").iter();
        to.map(|one| one.as_str().expect("an address").to_lowercase())
            .collect()
    };
    let mut count = 0;
    for entry in &taken {
        let mut to = of_one(entry);
        count += to.len();
        to.sort();
        to.dedup();
        assert_eq!(to.len(), of_one(entry).len(), "{taken:?}");
    }
    assert_eq!(count, to.len(), "{taken:?}");
    assert_eq!(notices.count(), 0);
}

#[test]
fn one_recipient_a_transaction_for_a_server_that_answers_once() {
    let network = Network::new();
    let aiosmtpd = Script::lmtp(network.mail_server());
    let notices = RecordingServer::start(network.free_port(network.host(30)));
    let more = "protocol = \"lmtp\"\nrecipients_per_transaction = 1";
    let relay = Relay::start(network, &config(aiosmtpd.address, &notices, more));
    send(&relay, &["bob@box.test", "carol@box.test"], "apart");
    until_true("both to be taken", seconds(ARRIVAL_SECONDS_MAX), || {
        aiosmtpd.record().len() == 2
    });
    relay.wait_until_empty();
    let taken: Vec<Value> = aiosmtpd.entries("to");
    assert_eq!(taken.len(), 2, "{taken:?}");
}

/// Who has an answer is through as soon as the next one is late; the others are then sent alone, so
/// that each of them gets one.
#[test]
fn a_server_that_answers_once_is_not_waited_for_long_and_keeps_what_it_said() {
    let network = Network::new();
    let aiosmtpd = Script::lmtp(network.mail_server());
    let notices = RecordingServer::start(network.free_port(network.host(30)));
    let more = "protocol = \"lmtp\"\nreply_timeout = \"1s\"\n[queue]\nretry = [\"1h\"]";
    let relay = Relay::start(network, &config(aiosmtpd.address, &notices, more));
    let to = ["bob@box.test", "carol@box.test", "dora@box.test"];
    send(&relay, &to, "together");
    for unanswered in ["carol@box.test", "dora@box.test"] {
        let heard = relay.wait_for_deferral(unanswered);
        let words = "451 4.4.1 No answer in time after 1 of 3 replies";
        assert!(heard.contains(words), "{heard}");
    }
    let waiting = relay.queue();
    assert!(
        waiting.len() == 2 && waiting.iter().all(|row| row["to"] != "bob@box.test"),
        "{waiting:?}"
    );

    let id = waiting[0]["id"].as_str().expect("an id");
    relay.command(&["queue", "retry", id]).expect_code(0);
    relay.wait_until_empty();
    let taken: Vec<Value> = aiosmtpd.entries("to");
    let together = to.map(Value::from).to_vec();
    let alone = to[1..].iter().map(|one| Value::from(vec![*one]));
    let expected: Vec<Value> = std::iter::once(together.into()).chain(alone).collect();
    let told: Vec<Value> = taken.iter().map(|entry| entry["to"].clone()).collect();
    assert_eq!(told, expected);
    assert_eq!(notices.count(), 0);
}
