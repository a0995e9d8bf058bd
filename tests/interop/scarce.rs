//! Connections are scarce: a server takes fewer than the relay would make, messages break the
//! connections they are on, and strangers have notices sent to places that never answer. Nobody
//! else's mail waits for that.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Dialogue, message};
use crate::dns::NameServer;
use crate::network::Network;
use crate::postfix::Postfix;
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer, Stage, route_to};
use crate::wait::{seconds, side_by_side, until_true};

/// Far longer than anything here may take: who is deferred fails the test.
const LATE_RETRY: &str = "[queue]\nretry = [\"10m\"]\n";

fn relay_for(network: Network, route: &str) -> Relay {
    Relay::start(
        network,
        &format!("[domain.\"hosted.test\"]\nroute = \"{route}\"\n{LATE_RETRY}"),
    )
}

/// Messages of these names from a stranger, all over one connection.
fn send(relay: &Relay, names: &[String]) {
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    for name in names {
        let reply = dialogue.submit("ann@client.test", &["bob@hosted.test"], &message(name));
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
}

fn sixty() -> Vec<String> {
    (0..60).map(|n| format!("message-{n}")).collect()
}

#[test]
fn a_connection_too_many_defers_nothing() {
    let cases = [
        (Stage::Greeting, "421 4.7.0 too many connections"),
        (Stage::Hello, "421 4.7.0 too many connections"),
        (Stage::Hello, "450 4.7.0 too many connections"),
        (Stage::Mail, "421 4.7.0 too many connections"),
        (Stage::Mail, "451 4.7.0 too many connections"),
    ];
    side_by_side(&cases, |&too_many| {
        let network = Network::new();
        let conduct = Conduct {
            pause: Duration::from_millis(150),
            connections_max: 3,
            too_many,
            ..Conduct::default()
        };
        let server = RecordingServer::start_with(network.mail_server(), conduct);
        let relay = relay_for(network, &server.route());
        send(&relay, &sixty());
        until_true("60 messages to arrive", seconds(30), || {
            server.count() == 60
        });
        let refusals = server.refusals();
        assert!((1..=20).contains(&refusals), "{too_many:?}: {refusals}");
        relay.wait_until_empty();
    });
}

#[test]
fn a_server_that_takes_a_few_messages_a_session_gets_them_a_few_at_a_time() {
    for enough in [
        "451 4.7.0 too many messages in this session",
        "421 4.7.0 too many messages in this session",
    ] {
        let network = Network::new();
        let conduct = Conduct {
            messages_max: 4,
            enough,
            ..Conduct::default()
        };
        let server = RecordingServer::start_with(network.mail_server(), conduct);
        let relay = relay_for(network, &server.route());
        send(&relay, &sixty());
        until_true("60 messages to arrive", seconds(30), || {
            server.count() == 60
        });
        relay.wait_until_empty();
    }
}

#[test]
fn postfix_takes_everything_over_the_few_connections_it_allows() {
    let network = Network::new();
    let mailbox = Postfix::one_mailbox(&["hosted.test"]);
    let limit = "smtpd_client_connection_count_limit = 3\nsmtpd_client_event_limit_exceptions =\n";
    let postfix = Postfix::start(network.mail_server(), &format!("{mailbox}{limit}"));
    let relay = relay_for(network, &route_to(postfix.address));
    // All at once, however slowly they come in.
    relay.command(&["queue", "pause"]).expect_code(0);
    send(&relay, &sixty());
    relay.command(&["queue", "resume"]).expect_code(0);
    until_true("60 messages to arrive", seconds(60), || {
        postfix.mailbox("all").len() == 60
    });
    assert!(
        relay.log().contains("too many connections"),
        "its limit was met"
    );
    relay.wait_until_empty();
}

#[test]
fn messages_that_break_their_connection_hold_up_nobody_else() {
    let network = Network::new();
    let conduct = Conduct {
        at_line: |line| line.starts_with(b"Subject: bad"),
        at_recipient: |path| match path {
            "nobody@hosted.test" => Some("550 5.1.1 no such user"),
            "closing@hosted.test" => Some("421 4.3.0 closing"),
            _ => None,
        },
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let relay = relay_for(network, &server.route());
    let bad: Vec<String> = (0..6).map(|n| format!("bad-{n}")).collect();
    send(&relay, &bad);
    let mut dialogue = Dialogue::ready(network.stranger(), relay.address());
    for n in 0..6 {
        let to = ["nobody@hosted.test", "closing@hosted.test"];
        let reply = dialogue.submit("ann@client.test", &to, &message(&format!("421-{n}")));
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    until_true("all of them to be deferred", seconds(30), || {
        let rows = relay.queue();
        let tried = rows.iter().filter(|row| row["tries"].as_u64() >= Some(1));
        tried.count() >= 12
    });
    send(&relay, &["good".to_owned()]);
    server.wait_for("good");
}

/// Takes connections and says nothing. Counts them.
struct Silence {
    connections: Arc<AtomicUsize>,
}

impl Silence {
    fn at(address: SocketAddr) -> Silence {
        let listener = TcpListener::bind(address).expect("a free address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            // Kept, so that none is closed.
            let mut streams = Vec::new();
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                streams.push(stream);
            }
        });
        Silence { connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A relay for `hosted.test` with ten connections in all; strangers live at `sN.bad.test`, whose
/// server is silent.
fn with_silent_strangers(more: &str, queue: &str) -> (Relay, RecordingServer, Silence, NameServer) {
    let network = Network::new();
    let silent = network.free_port(network.host(66));
    let zone = format!("*.bad IN A {}\nbad IN A {}\n", silent.ip(), silent.ip());
    let names = NameServer::start(network.name_server(), &zone);
    let silence = Silence::at(silent);
    let server = RecordingServer::start(network.mail_server());
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n{}\
         [outbound]\nport = {}\nprivate_mx = [\"127.0.0.0/8\"]\nmta_sts = false\nmax_connections = 10\n{more}\
         [queue]\nretry = [\"10m\"]\nndr = {{ {queue} }}\n",
        server.route(),
        names.config(),
        silent.port(),
    );
    (Relay::start(network, &config), server, silence, names)
}

/// Mail of strangers who want to be told that it arrived, each from a domain of his own.
fn ask_for_notices(relay: &Relay, count: usize) {
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    for n in 0..count {
        dialogue.ask(&format!("MAIL FROM:<a@s{n}.bad.test>"), 250);
        dialogue.ask("RCPT TO:<bob@hosted.test> NOTIFY=SUCCESS", 250);
        dialogue.ask("DATA", 354);
        dialogue.send(message(&format!("asks-{n}")).as_bytes());
        dialogue.ask(".", 250);
    }
}

#[test]
fn notices_to_strangers_that_never_answer_hold_up_nobody() {
    let (relay, server, silence, _names) = with_silent_strangers(
        "silence_timeout = \"1s\"\nshare = { notices = 30 }\n",
        "success_rate = \"off\"",
    );
    let begin = Instant::now();
    ask_for_notices(&relay, 20);
    until_true("the notices' share to be taken", seconds(30), || {
        silence.connections() >= 3
    });
    send(&relay, &["meanwhile".to_owned()]);
    server.wait_for("meanwhile");
    // Three at one time, and each for a second at least.
    let most = 3 * (1 + begin.elapsed().as_secs() as usize);
    let seen = silence.connections();
    assert!(seen <= most, "{seen} instead of {most}");
    // All of them are tried, because each gives up its place while others wait; the last three need
    // not.
    until_true("every notice to be tried", seconds(60), || {
        let rows = relay.queue();
        let tried = rows.iter().filter(|row| row["tries"].as_u64() >= Some(1));
        tried.count() == 17
    });
}

#[test]
fn notices_of_success_to_strangers_are_limited_and_can_be_switched_off() {
    for (ndr, expected) in [
        ("success_rate = \"5/1h\"", 5),
        ("success_to_strangers = false", 0),
    ] {
        let (relay, server, _silence, _names) = with_silent_strangers("", ndr);
        ask_for_notices(&relay, 20);
        until_true("20 messages to arrive", seconds(30), || {
            server.count() == 20
        });
        until_true("the notices", seconds(30), || relay.queued() == expected);
    }
}
