//! Next hops that offer less than the sender's envelope uses, or understand it in ways of their
//! own: wishes for notices (RFC 3461), and addresses beyond ASCII (RFC 6531).

use std::net::TcpListener;
use std::thread;

use serde_json::json;

use crate::client::{Dialogue, message};
use crate::dns::NameServer;
use crate::exim::{Exim, sending_from};
use crate::network::Network;
use crate::postfix::Postfix;
use crate::relay::Relay;
use crate::script::Script;
use crate::server::route_to;

/// OpenSMTPD's package excludes Postfix's, so a server of the tests' own does what OpenSMTPD
/// 6.8.0p2 was seen to do: it takes NOTIFY of one recipient for that of the next ones in the
/// transaction, and refuses NEVER beside others with 553.
#[test]
fn recipients_of_whom_no_notice_is_wanted_reach_a_server_that_mixes_wishes() {
    let network = Network::new();
    let server = Script::smtp(network.mail_server(), json!({ "dsn": true }));
    let config = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let relay = Relay::start(network, &config);
    let mut client = Dialogue::ready(network.permitted(), relay.address());
    client.ask("MAIL FROM:<ann@client.test>", 250);
    for (name, wish) in [
        ("bob", " NOTIFY=SUCCESS,FAILURE"),
        ("eve", " NOTIFY=NEVER"),
        ("dan", ""),
        ("fay", " NOTIFY=NEVER ORCPT=rfc822;fay@hosted.test"),
        ("gil", " NOTIFY=DELAY"),
    ] {
        client.ask(&format!("RCPT TO:<{name}@hosted.test>{wish}"), 250);
    }
    client.ask("DATA", 354);
    client.send(message("wishes").as_bytes());
    client.ask(".", 250);
    relay.wait_until_empty();
    let commands: Vec<String> = server
        .entries("command")
        .iter()
        .filter_map(|entry| entry["command"].as_str().map(str::to_owned))
        .filter(|line| line.starts_with("RCPT") || line == "DATA")
        .collect();
    let expected = [
        "RCPT TO:<bob@hosted.test> NOTIFY=SUCCESS,FAILURE",
        "RCPT TO:<dan@hosted.test>",
        "RCPT TO:<gil@hosted.test> NOTIFY=DELAY",
        "DATA",
        "RCPT TO:<eve@hosted.test> NOTIFY=NEVER",
        "RCPT TO:<fay@hosted.test> NOTIFY=NEVER ORCPT=rfc822;fay@hosted.test",
        "DATA",
    ];
    assert_eq!(commands, expected);
    assert!(!relay.log().contains("NOTIFY option"), "nobody was refused");
}

#[test]
fn a_domain_beyond_ascii_goes_as_a_labels_to_a_server_without_smtputf8() {
    let network = Network::new();
    let server = Script::smtp(network.mail_server(), json!({}));
    let config = format!(
        "[domain.\"b\u{fc}cher.test\"]\nroute = \"{}\"\n",
        server.route()
    );
    let relay = Relay::start(network, &config);
    let mut client = Dialogue::ready(network.permitted(), relay.address());
    client.ask("MAIL FROM:<ann@k\u{e4}se.test> SMTPUTF8", 250);
    client.ask("RCPT TO:<bob@B\u{fc}cher.test>", 250);
    client.ask("DATA", 354);
    client.send(message("labels").as_bytes());
    client.ask(".", 250);
    server.wait_for("Subject: labels");
    for command in [
        "MAIL FROM:<ann@xn--kse-qla.test>",
        "RCPT TO:<bob@xn--bcher-kva.test>",
    ] {
        assert!(server.heard(command), "{command}");
    }
}

#[test]
fn a_domain_beyond_ascii_goes_as_a_labels_however_large_the_message_is() {
    let network = Network::new();
    let server = Script::smtp(network.mail_server(), json!({}));
    let config = format!(
        "[domain.\"b\u{fc}cher.test\"]\nroute = \"{0}\"\n[domain.\"client.test\"]\nroute = \"{0}\"\n",
        server.route()
    );
    let relay = Relay::start(network, &config);
    let mut client = Dialogue::ready(network.permitted(), relay.address());
    // Beyond what the queue keeps in memory. The second goes over the connection of the first.
    let body = "A line like many others.\r\n".repeat(4000);
    for subject in ["first", "second", "k\u{e4}se"] {
        client.ask("MAIL FROM:<ann@client.test> SMTPUTF8", 250);
        client.ask("RCPT TO:<bob@B\u{fc}cher.test>", 250);
        client.ask("DATA", 354);
        client.send(message(subject).as_bytes());
        client.send(body.as_bytes());
        client.ask(".", 250);
        relay.wait_until_empty();
    }
    let received = format!("{:?}", server.entries("message"));
    assert!(received.contains("Subject: first") && received.contains("Subject: second"));
    assert!(server.heard("RCPT TO:<bob@xn--bcher-kva.test>"));
    // With a header beyond ASCII there is no way.
    let refusal = "The next server does not take addresses or headers beyond ASCII";
    assert_eq!(relay.log().matches(refusal).count(), 1, "{}", relay.log());
}

#[test]
fn who_wants_no_notice_goes_with_the_null_path_by_mx_where_that_is_wished() {
    let network = Network::new();
    let server = Script::smtp(network.mail_server(), json!({}));
    let address = server.address;
    let records = format!("far MX 10 mx.far\nmx.far A {}", address.ip());
    let dns = NameServer::start(network.name_server(), &records);
    let config = format!(
        "{}[outbound]\nport = {}\nprivate_mx = [\"{}\"]\nmta_sts = false\nnever_as_null = true\n",
        dns.config(),
        address.port(),
        address.ip()
    );
    let relay = Relay::start(network, &config);
    let mut client = Dialogue::ready(network.permitted(), relay.address());
    client.ask("MAIL FROM:<ann@client.test>", 250);
    client.ask("RCPT TO:<bob@far.test>", 250);
    client.ask("RCPT TO:<eve@far.test> NOTIFY=NEVER", 250);
    client.ask("DATA", 354);
    client.send(message("never").as_bytes());
    client.ask(".", 250);
    relay.wait_until_empty();
    let commands: Vec<String> = server
        .entries("command")
        .iter()
        .filter_map(|entry| entry["command"].as_str().map(str::to_owned))
        .filter(|line| line.starts_with("MAIL") || line.starts_with("RCPT"))
        .collect();
    let expected = [
        "MAIL FROM:<ann@client.test>",
        "RCPT TO:<bob@far.test>",
        "MAIL FROM:<>",
        "RCPT TO:<eve@far.test>",
    ];
    assert_eq!(commands, expected);
}

/// What a sender may wish for, as it goes over the wire (RFC 3461 section 4).
const WISHES: [(&str, &[&str]); 3] = [
    ("MAIL FROM:<ann@client.test>", &["RET=HDRS", "ENVID=a+2Bb"]),
    (
        "RCPT TO:<bob@hosted.test>",
        &["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;bob+2Bx@else.test"],
    ),
    (
        "RCPT TO:<eve@hosted.test>",
        &["NOTIFY=FAILURE", "ORCPT=rfc822;eve@else.test"],
    ),
];

fn send_with_wishes(client: &mut Dialogue) {
    for (command, wishes) in WISHES {
        client.ask(&format!("{command} {}", wishes.join(" ")), 250);
    }
    client.ask("DATA", 354);
    client.send(message("wishes").as_bytes());
    client.ask(".", 250);
    client.ask("QUIT", 221);
}

/// Every wish has come through, whatever order the neighbour puts them in.
fn assert_wishes(server: &Script) {
    server.wait_for("Subject: wishes");
    let entries = server.entries("command");
    let commands: Vec<&str> = entries
        .iter()
        .filter_map(|one| one["command"].as_str())
        .collect();
    for (command, wishes) in WISHES {
        let found = commands.iter().find(|line| line.starts_with(command));
        let found = found.unwrap_or_else(|| panic!("{command} is not in {commands:?}"));
        for wish in wishes {
            assert!(
                found.split(' ').any(|word| word == *wish),
                "{wish} in {found:?}"
            );
        }
    }
}

fn relay_to(network: Network, next: &str) -> Relay {
    Relay::start(
        network,
        &format!("[domain.\"hosted.test\"]\nroute = \"{next}\"\n"),
    )
}

#[test]
fn wishes_for_notices_pass_postfix_us_and_another_postfix() {
    let network = Network::new();
    let server = Script::smtp(network.mail_server(), json!({ "dsn": true }));
    let behind = Postfix::start(
        network.free_port(network.host(13)),
        &format!("relayhost = {}", server.route()),
    );
    let relay = relay_to(network, &route_to(behind.address));
    let before = Postfix::start(
        relay.network.free_port(relay.network.host(14)),
        &format!("relayhost = {}", route_to(relay.address())),
    );
    send_with_wishes(&mut Dialogue::ready(
        relay.network.stranger(),
        before.address,
    ));
    assert_wishes(&server);
}

#[test]
fn wishes_for_notices_pass_exim_and_us() {
    let network = Network::new();
    let server = Script::smtp(network.mail_server(), json!({ "dsn": true }));
    let relay = relay_to(network, &server.route());
    let listener = TcpListener::bind((relay.network.host(13), 0)).expect("a port for Exim");
    let exim = Exim::prepare(&sending_from(relay.network.permitted(), relay.address()));
    let at = listener.local_addr().expect("its address");
    let (from, serving) = (relay.network.stranger(), &exim);
    thread::scope(|scope| {
        scope.spawn(|| send_with_wishes(&mut Dialogue::ready(from, at)));
        serving.serve_one(&listener);
    });
    assert_wishes(&server);
}

#[test]
fn wishes_for_notices_pass_us_and_exim() {
    let network = Network::new();
    let server = Script::smtp(network.mail_server(), json!({ "dsn": true }));
    let listener = TcpListener::bind((network.host(13), 0)).expect("a port for Exim");
    let at = listener.local_addr().expect("its address");
    let exim = Exim::prepare(&sending_from(network.host(13), server.address));
    let relay = relay_to(network, &route_to(at));
    send_with_wishes(&mut Dialogue::ready(
        relay.network.stranger(),
        relay.address(),
    ));
    exim.serve_one(&listener);
    assert_wishes(&server);
}
