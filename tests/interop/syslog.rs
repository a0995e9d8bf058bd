//! The log and protocol logs at rsyslog and syslog-ng, by every way; and what becomes of them, and
//! of mail, while a server is away.

use std::io::Read;
use std::net::TcpListener;

use crate::client::{Dialogue, message, submit};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::syslog_servers::{SyslogServer, UDP_BYTES};
use crate::wait::{seconds, until, until_true};

const WAYS: [&str; 5] = ["local", "udp", "tcp", "lf", "tls"];

/// A relay whose log goes to these servers, and nowhere else.
fn relay_with(network: Network, logs: &str) -> Relay {
    let relay = Relay::prepare(network, "");
    let listener = format!(
        "[listener.internet]\nbind = \"{}:0\"\nbanner = \"ready\"\n[relay]\nallow = [\"{}\"]\n",
        network.relay(),
        network.permitted(),
    );
    relay.write_bare_config("", &format!("{listener}{logs}"));
    relay
}

fn refuse(relay: &Relay, hello: &str) {
    let mut stranger = Dialogue::open(relay.network.stranger(), relay.address());
    stranger.ask(&format!("EHLO {hello}"), 250);
    // Long enough to be cut where that is wished.
    let long = "b".repeat(60);
    stranger.ask(&format!("MAIL FROM:<{long}@client.test>"), 250);
    stranger.ask(&format!("RCPT TO:<{long}@elsewhere.test>"), 550);
    stranger.ask("QUIT", 221);
}

fn comes_whole_by_every_way(server: &SyslogServer, network: Network) {
    let logs = "[log]\nstdout = false\nsyslog = [\"local\", \"udp\", \"tcp\", \"lf\", \"tls\"]\n\
                [log.mail]\nformat = \"maillog\"\nprogram = \"postfix\"\nsyslog = \"tcp\"\n\
                [log.rows]\nformat = \"json\"\nsyslog = \"local\"\n";
    let mut relay = relay_with(network, &format!("{logs}{}", server.sections()));
    let tried = relay.command(&["log", "test-syslog"]).expect_code(0);
    for way in WAYS {
        assert!(
            tried.out.contains(&format!("ok {way} (")),
            "{}",
            tried.text()
        );
        server.wait_for(way, "a test message of gatepost");
    }
    relay.run();
    refuse(&relay, "stranger.test");
    let pid = relay.pid().to_string();
    for way in WAYS {
        let fields = server.wait_for(way, "recipient refused");
        assert_eq!(fields[1..3], ["gatepost".to_owned(), pid.clone()], "{way}");
        // Who has a message by a socket knows the machine itself.
        assert!(way == "local" || fields[3] == "relay.test", "{fields:?}");
        let facility = if way == "udp" { "local3" } else { "mail" };
        assert_eq!(fields[4..6], [facility, "info"], "{fields:?}");
        let text = fields[6].trim();
        if way == "udp" {
            assert!(text.len() < UDP_BYTES && text.ends_with(" [...]"), "{text}");
        } else {
            let end = format!("place={}", relay.place_of("allow"));
            assert!(text.starts_with("recipient refused session=1 "), "{text}");
            assert!(text.ends_with(&end), "{text}");
        }
    }
    let fields = server.wait_for("tcp", "NOQUEUE: reject: RCPT from unknown[");
    assert_eq!(fields[1], "postfix/smtpd");
    let fields = server.wait_for("local", "\"verb\":\"RCPT\"");
    let row: serde_json::Value = serde_json::from_str(fields[6].trim()).expect("a row");
    assert_eq!(
        (&row["status"], &row["hello"]),
        (&550.into(), &"stranger.test".into())
    );
    assert!(relay.stop().success());
    for way in WAYS {
        server.wait_for(way, "stopped");
    }
    assert!(
        !relay.log().contains("recipient refused"),
        "{}",
        relay.log()
    );
}

#[test]
fn rsyslog_takes_the_log_by_every_way() {
    let network = Network::new();
    comes_whole_by_every_way(&SyslogServer::rsyslog(&network), network);
}

#[test]
fn syslog_ng_takes_the_log_by_every_way_and_the_wrong_framing_is_told() {
    let network = Network::new();
    let server = SyslogServer::syslog_ng(&network);
    comes_whole_by_every_way(&server, network);
    let nobody = network.free_port(network.host(21));
    let away =
        format!("[syslog.away]\nto = \"tcp://{nobody}\"\n[syslog.udp]\nto = \"udp://{nobody}\"\n");
    let relay = relay_with(network, &format!("{}{away}", server.wrongly_framed()));
    let tried = relay.command(&["log", "test-syslog"]).expect_code(1);
    let line = |name: &str| {
        let line = tried.out.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{}", tried.text()))
    };
    let wrong = line("FAIL wrong");
    assert!(wrong.contains("the server closed the connection") && wrong.contains("`framing`"));
    assert!(line("FAIL away").contains("cannot be reached: Connection refused"));
    assert!(line("FAIL udp").contains("Connection refused"));
}

#[test]
fn mail_goes_on_while_a_server_is_away_and_what_waits_comes_later() {
    let network = Network::new();
    let mail_server = RecordingServer::start(network.mail_server());
    let address = network.free_port(network.host(20));
    let logs = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n\
         [log]\nsyslog = \"central\"\n[syslog.central]\nto = \"tcp://{address}\"\nframing = \"lf\"\n",
        mail_server.route()
    );
    let mut relay = relay_with(network, &logs);
    relay.run();
    let (client, to) = (network.permitted(), &["bob@hosted.test"]);
    let text = message("unsent-log");
    submit(client, relay.address(), "ann@client.test", to, &text);
    mail_server.wait_for("unsent-log");
    relay.wait_for_log(&["the syslog server takes no messages", "Connection refused"]);
    let attention = || relay.status().expect("a status")["attention"].to_string();
    assert!(
        attention().contains("a log does not go out at present"),
        "{}",
        attention()
    );

    let listener = TcpListener::bind(address).expect("the server, up");
    let (first, _) = listener.accept().expect("a connection");
    // It goes without a word, and nobody knows what it has taken.
    drop(first);
    let (mut second, _) = listener.accept().expect("another connection");
    let mut text = Vec::new();
    let mut read_until = |words: &str| {
        until(words, seconds(20), || {
            let mut buffer = [0; 4096];
            let octets = second.read(&mut buffer).expect("lines");
            text.extend_from_slice(&buffer[..octets]);
            let text = String::from_utf8_lossy(&text).into_owned();
            text.contains(words).then_some(text)
        })
    };
    let text = read_until("takes messages again");
    assert!(
        text.contains("message accepted") && text.contains("[sent again] "),
        "{text}"
    );
    let order = [
        "listening",
        "message accepted",
        "delivered",
        "takes messages again",
    ];
    let places = order.map(|words| {
        text.find(words)
            .unwrap_or_else(|| panic!("{words}: {text}"))
    });
    assert!(places.is_sorted(), "{text}");
    until_true("nothing to look after", seconds(10), || attention() == "[]");
    assert!(relay.stop().success());
}
