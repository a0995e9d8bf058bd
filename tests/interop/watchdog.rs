//! What comes to a stand by itself is told in the status, the log and the metrics of the running
//! relay, each with its reason, and so is its end. The hours that it takes are given to all clocks of
//! the relay at once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::Value;

use crate::client::{message, submit};
use crate::faketime::{Clocks, SetClock};
use crate::network::Network;
use crate::program::run;
use crate::relay::Relay;
use crate::server::{RecordingServer, route_to};
use crate::wait::{seconds, until, until_true};

/// A server that is asked for one recipient after the other, and answers each when it is told to: an
/// attempt that takes long, and at no point too long.
struct Slow {
    asked: Receiver<()>,
    answer: Sender<()>,
}

impl Slow {
    fn start(address: SocketAddr) -> Slow {
        let socket = TcpListener::bind(address).expect("an address");
        let ((tell, asked), (answer, may)) = (channel(), channel());
        thread::spawn(move || {
            if let Ok((stream, _)) = socket.accept() {
                let _relay_gone = converse(&stream, &tell, &may);
            }
        });
        Slow { asked, answer }
    }

    fn wait_until_asked(&self) {
        let asked = self.asked.recv_timeout(seconds(20));
        asked.expect("a question for a recipient");
    }
}

fn converse(mut to: &TcpStream, tell: &Sender<()>, may: &Receiver<()>) -> std::io::Result<()> {
    let from = BufReader::new(to);
    to.write_all(b"220 slow.test ESMTP\r\n")?;
    for line in from.lines() {
        if line?.starts_with("RCPT ") && (tell.send(()).is_err() || may.recv().is_err()) {
            return Ok(());
        }
        to.write_all(b"250 slow.test\r\n")?;
    }
    Ok(())
}

/// A relay of which all clocks can be set, whose metrics can be read, and which has one connection
/// for all sites together.
fn watched(network: Network, config: &str) -> (Relay, SetClock, SocketAddr) {
    let metrics = network.free_port(network.relay());
    let config =
        format!("[metrics]\nbind = \"{metrics}\"\n[outbound]\nmax_connections = 1\n{config}");
    let mut relay = Relay::prepare(network, &config);
    let clock = SetClock::of(&mut relay, Clocks::All);
    relay.run();
    (relay, clock, metrics)
}

/// Threads wait by the kernel's clock, which is not set: one that would be done by now goes on with the
/// next change, and the log with the next line. This change has one, and nothing else follows from it.
fn wake(relay: &Relay) {
    let pause = ["queue", "pause", "mx:nowhere.test", "--for", "1h"];
    relay.command(&pause).expect_code(0);
}

fn alarms(relay: &Relay) -> Vec<String> {
    let status = relay.status().expect("a status");
    let alarms = status["alarms"].as_array().expect("alarms");
    let texts = alarms.iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// How many alarms of a kind the metrics have.
fn counted(metrics: SocketAddr, kind: &str) -> u64 {
    let page = run("curl", &["-s", &format!("http://{metrics}/metrics")]).expect_code(0);
    let series = format!("gatepost_alarms{{kind=\"{kind}\"}} ");
    let mut lines = page.out.lines();
    let value = lines.find_map(|line| line.strip_prefix(&series));
    let value = value.unwrap_or_else(|| panic!("no {series}: {}", page.out));
    value.parse().expect("a number")
}

/// The alarm with all these words, wherever it is told: in the log when the watchdog looks again, in a
/// minute from what the clock shows, which `later` is.
fn assert_told(
    relay: &Relay,
    metrics: SocketAddr,
    kind: &str,
    words: &[&str],
    later: (&SetClock, &str),
) {
    let has_all = |text: &str| words.iter().all(|word| text.contains(word));
    until_true(kind, seconds(20), || {
        alarms(relay).iter().any(|alarm| has_all(alarm))
    });
    let text = relay.command(&["status"]).expect_code(0).out;
    let mut lines = text.lines();
    let is_told = lines.any(|line| line.starts_with("alarm ") && has_all(line));
    assert!(is_told, "{text}");
    let (clock, offset) = later;
    clock.set(offset);
    let line = until("the line of the log", seconds(20), || {
        wake(relay);
        let log = relay.log();
        let mut lines = log.lines();
        let found = lines.find(|line| line.contains("\"message\":\"alarm\"") && has_all(line));
        found.map(str::to_owned)
    });
    assert!(line.contains("ERROR"), "{line}");
    assert_eq!(counted(metrics, kind), 1);
}

/// That it is over, with its words in the log.
fn assert_over(relay: &Relay, metrics: SocketAddr, kind: &str, words: &str) {
    until_true("the end in the log", seconds(20), || {
        wake(relay);
        let log = relay.log();
        log.lines()
            .any(|line| line.contains("\"alarm over\"") && line.contains(words))
    });
    until_true("no alarm", seconds(20), || {
        counted(metrics, kind) == 0 && alarms(relay).is_empty()
    });
}

#[test]
fn mail_that_is_not_tried_and_an_agent_that_keeps_its_message_are_told_of() {
    /// A server has five minutes for each answer.
    const STEP: usize = 4;
    let network = Network::new();
    let slow_at = network.free_port(network.host(20));
    let slow = Slow::start(slow_at);
    let server = RecordingServer::start(network.mail_server());
    let config = format!(
        "[domain.\"slow.test\"]\nroute = \"{}\"\n[domain.\"waits.test\"]\nroute = \"{}\"\n",
        route_to(slow_at),
        server.route(),
    );
    let (relay, clock, metrics) = watched(network, &config);
    let send = |to: &[&str], subject: &str| {
        let from = "ann@waits.test";
        let stranger = relay.network.stranger();
        submit(stranger, relay.address(), from, to, &message(subject));
    };
    let names: Vec<String> = (0..20).map(|n| format!("r{n}@slow.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    send(&names, "slow");
    slow.wait_until_asked();
    send(&["bob@waits.test"], "waits");
    let id = relay.queue()[0]["id"].as_str().map(str::to_owned);
    let id = id.expect("an id");
    let mut passed = 0;
    let mut pass = |minutes: usize| {
        while passed < minutes {
            passed += STEP;
            clock.set(&format!("+{passed}m"));
            slow.answer.send(()).expect("the server");
            slow.wait_until_asked();
        }
    };
    pass(28);
    assert_eq!(alarms(&relay), Vec::<String>::new());
    pass(32);
    let not_tried = "mail is due and was not tried";
    let reason = "its kind of traffic has its share of the connections";
    assert_told(
        &relay,
        metrics,
        "not-tried",
        &[not_tried, reason, &server.route()],
        (&clock, "+33m"),
    );
    assert_eq!(counted(metrics, "stuck"), 0);
    pass(60);
    let in_hand = format!("still has {id} in hand");
    let words = ["out-", &*in_hand];
    assert_told(&relay, metrics, "stuck", &words, (&clock, "+61m"));
    // As the documents say, this ends it: the other mail has a connection then.
    let alarms = alarms(&relay);
    let alarm = alarms.iter().find(|alarm| alarm.contains(&in_hand));
    let mut words = alarm.expect("the alarm").split(' ');
    let agent = words
        .find(|word| word.starts_with("out-"))
        .expect("its agent");
    relay.command(&["session", "kill", agent]).expect_code(0);
    server.wait_for("waits");
    clock.set(&format!("+{}m", passed + STEP));
    assert_over(&relay, metrics, "not-tried", not_tried);
    assert_over(&relay, metrics, "stuck", &in_hand);
}

#[test]
fn a_site_at_which_nothing_gets_on_for_hours_is_told_of_until_it_does() {
    let network = Network::new();
    let address = network.mail_server();
    let config = format!(
        "[domain.\"down.test\"]\nroute = \"{}\"\n",
        route_to(address)
    );
    let (relay, clock, metrics) = watched(network, &config);
    let stranger = relay.network.stranger();
    let to = ["bob@down.test"];
    submit(
        stranger,
        relay.address(),
        "ann@down.test",
        &to,
        &message("waits"),
    );
    let mut attempts = 0;
    let mut failed = || {
        attempts += 1;
        until_true("another attempt", seconds(30), || {
            wake(&relay);
            let is_settled = relay.queue()[0]["state"] == "waiting";
            relay.log().matches("\"message\":\"deferred\"").count() == attempts && is_settled
        });
    };
    failed();
    clock.set("+230m");
    failed();
    assert_eq!(alarms(&relay), Vec::<String>::new());
    clock.set("+250m");
    failed();
    let words = "no attempt has reached a server that works";
    let reason = "451 4.4.1 Could not connect";
    assert_told(
        &relay,
        metrics,
        "no-progress",
        &[words, reason, &route_to(address)],
        (&clock, "+251m"),
    );
    // An hour later it is there.
    let server = RecordingServer::start(address);
    clock.set("+310m");
    until_true("it to arrive", seconds(20), || {
        wake(&relay);
        server.count() == 1
    });
    clock.set("+312m");
    assert_over(&relay, metrics, "no-progress", words);
}
