//! Who is connected, and the end of it by the administrator's hand.

use std::net::{TcpListener, TcpStream};

use serde_json::Value;
use socket2::SockRef;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::route_to;
use crate::wait::{seconds, until_true};

fn sessions(relay: &Relay) -> Vec<Value> {
    let listed = relay.command(&["session", "list", "--json"]).expect_code(0);
    serde_json::from_str(&listed.out).expect("a list")
}

fn in_state(relay: &Relay, state: &str) -> Option<Value> {
    sessions(relay)
        .into_iter()
        .find(|session| session["state"] == state)
}

#[test]
fn a_client_that_is_killed_hears_421_and_the_others_go_on() {
    let relay = Relay::start(Network::new(), "[domain.\"hosted.test\"]\nroute = \"mx\"\n");
    let mut first = Dialogue::ready(relay.network.stranger(), relay.address());
    let mut second = Dialogue::ready(relay.network.permitted(), relay.address());
    first.ask("MAIL FROM:<ann@client.test>", 250);
    until_true("both to be seen", seconds(20), || {
        in_state(&relay, "naming recipients").is_some() && in_state(&relay, "ready").is_some()
    });
    let seen = in_state(&relay, "naming recipients").expect("a session");
    assert_eq!(seen["way"], "internet");
    assert_eq!(seen["peer"], relay.network.stranger().to_string());
    assert!(seen["received"].as_u64() > Some(20) && seen["sent"].as_u64() > Some(20));
    let id = seen["id"].as_str().expect("an id");
    relay.command(&["session", "kill", id]).expect_code(0);
    let replies = first.replies_until_closed();
    assert_eq!(replies.iter().map(|r| r.code).collect::<Vec<_>>(), [421]);
    second.ask("NOOP", 250);
    until_true("it to be gone", seconds(20), || sessions(&relay).len() == 1);
    assert_ne!(relay.command(&["session", "kill", id]).code, 0);
    assert_ne!(relay.command(&["session", "kill", "7"]).code, 0);
}

/// It never says anything, so that whoever connects waits.
#[test]
fn an_attempt_that_is_killed_counts_as_one_that_failed() {
    let network = Network::new();
    let address = network.mail_server();
    let server = TcpListener::bind(address).expect("an address");
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[queue]\nretry = [\"1h\"]\n",
        route_to(address)
    );
    let relay = Relay::start(network, &config);
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    let reply = dialogue.submit("ann@client.test", &["bob@hosted.test"], &message("kept"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    let (_silent, _) = server.accept().expect("a connection");
    until_true("the attempt to be seen", seconds(20), || {
        in_state(&relay, "delivering").is_some()
    });
    let seen = in_state(&relay, "delivering").expect("an attempt");
    assert_eq!(seen["message"], relay.queue()[0]["id"]);
    assert!(
        seen["peer"]
            .as_str()
            .is_some_and(|peer| peer.contains(&address.port().to_string()))
    );
    let id = seen["id"].as_str().expect("an id");
    relay.command(&["session", "kill", id]).expect_code(0);
    until_true("its end", seconds(20), || {
        relay.queue()[0]["tries"].as_u64() == Some(1)
    });
    assert!(in_state(&relay, "delivering").is_none());
    assert_eq!(relay.queued(), 1);
}

/// Takes connections and says nothing on them: a scanner that hangs.
fn silent(network: Network) -> TcpListener {
    TcpListener::bind((network.mail_server().ip(), 0)).expect("a port")
}

/// Whoever waits for a program that hangs is killed, goes away, and is sent away when the relay
/// stops; nothing was taken of what it brought.
#[test]
fn a_session_that_waits_for_a_scanner_ends_with_its_client_and_with_the_relay() {
    let network = Network::new();
    let scanner = silent(network);
    let at = scanner.local_addr().expect("its address");
    let mut relay = Relay::start(
        network,
        &format!(
            "[domain.\"hosted.test\"]\nroute = \"mx\"\n\
             [scanner.clam]\nkind = \"clamd\"\naddress = \"{at}\"\ntimeout = \"9m\"\n\
             [scanner.policy]\nkind = \"policy\"\naddress = \"{at}\"\ntimeout = \"90s\"\n\
             direction = \"out\"\n"
        ),
    );
    let waiting = |relay: &Relay, state: &str| {
        until_true("it to wait", seconds(20), || {
            in_state(relay, state).is_some()
        });
        let id = in_state(relay, state).expect("a session")["id"].clone();
        id.as_str().expect("an id").to_owned()
    };
    let stranger = |relay: &Relay| Dialogue::ready(relay.network.stranger(), relay.address());
    let with_content = |mut client: Dialogue| {
        client.ask("MAIL FROM:<ann@client.test>", 250);
        client.ask("RCPT TO:<bob@hosted.test>", 250);
        client.ask("DATA", 354);
        client.send(format!("{}.\r\n", message("waits")).as_bytes());
        client
    };
    let codes = |client: &mut Dialogue| -> Vec<u16> {
        let replies = client.replies_until_closed();
        replies.into_iter().map(|reply| reply.code).collect()
    };

    // For the scanner of messages, and for one of recipients.
    let mut client = with_content(stranger(&relay));
    let id = waiting(&relay, "being stored");
    relay.command(&["session", "kill", &id]).expect_code(0);
    assert_eq!(codes(&mut client), [421]);
    let mut client = Dialogue::ready(relay.network.permitted(), relay.address());
    client.ask("MAIL FROM:<ann@client.test>", 250);
    client.send(b"RCPT TO:<bob@hosted.test>\r\n");
    let id = waiting(&relay, "naming recipients");
    relay.command(&["session", "kill", &id]).expect_code(0);
    assert_eq!(codes(&mut client), [421]);

    let socket = TcpStream::connect(relay.address()).expect("a connection");
    SockRef::from(&socket)
        .set_linger(Some(seconds(0)))
        .expect("a reset in place of an end");
    let mut client = Dialogue::over(socket);
    client.expect(220);
    client.ask("EHLO client.test", 250);
    let client = with_content(client);
    waiting(&relay, "being stored");
    drop(client);
    until_true("it to be gone", seconds(20), || sessions(&relay).is_empty());

    let config = std::fs::read_to_string(relay.config()).expect("the configuration");
    relay.write_whole_config(&format!("stop_timeout = \"1s\"\n{config}"));
    relay.command(&["reload"]).expect_code(0);
    let mut client = with_content(stranger(&relay));
    waiting(&relay, "being stored");
    assert!(relay.stop().success());
    assert_eq!(codes(&mut client), [421]);
    relay.run();
    assert_eq!(relay.queued(), 0);
}
