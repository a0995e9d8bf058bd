//! Where mail goes: a permitted client's message to the world by MX records that a real resolver
//! serves, a hosted domain's by its smart host. What cannot be delivered comes back to the sender
//! as a notice with the right status.

use std::net::SocketAddr;

use crate::client::{Dialogue, message, submit};
use crate::dns::{self, NameServer};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Conduct, Received, RecordingServer};
use crate::wait::{seconds, until_true};

/// A relay with a resolver, and the server of `hosted.test`, where senders live and notices go.
struct Setup {
    relay: Relay,
    home: RecordingServer,
    /// The port of every mail server; the tests' Internet does not use 25.
    port: u16,
    _names: NameServer,
}

impl Setup {
    /// `zone` may hold `NET`, which stands for the first three octets of the test's network.
    fn new(zone: &str) -> Setup {
        Setup::with(zone, "private_mx = [\"127.0.0.0/8\"]\n")
    }

    fn with(zone: &str, outbound: &str) -> Setup {
        let network = Network::new();
        let names = NameServer::start(
            network.name_server(),
            &zone.replace("NET", &prefix(network)),
        );
        let home = RecordingServer::start(network.mail_server());
        let port = network.free_port(network.host(20)).port();
        let config = format!(
            "[domain.\"hosted.test\"]\nroute = \"{}\"\n[outbound]\nport = {port}\n{outbound}{}\
             [queue]\nretry = [\"1s\"]\nexpire = \"1h\"\nprobe = \"1s\"\n",
            home.route(),
            names.config(),
        );
        Setup {
            relay: Relay::start(network, &config),
            home,
            port,
            _names: names,
        }
    }

    /// The address in which `last` differs from the network's others.
    fn address(&self, last: u8) -> SocketAddr {
        SocketAddr::new(self.relay.network.host(last), self.port)
    }

    fn server(&self, last: u8) -> RecordingServer {
        RecordingServer::start(self.address(last))
    }

    /// A message of `subject` from a user at home, handed over by the permitted client.
    fn send(&self, to: &str, subject: &str) {
        let network = self.relay.network;
        submit(
            network.permitted(),
            self.relay.address(),
            "ann@hosted.test",
            &[to],
            &message(subject),
        );
    }

    /// The notice that answers `subject`.
    fn notice_about(&self, subject: &str) -> Received {
        self.home
            .wait_where(&format!("a notice about {subject}"), |received| {
                received.from.is_empty() && received.text().contains(subject)
            })
    }

    fn assert_bounced(&self, subject: &str, status: &str) {
        let text = self.notice_about(subject).text();
        assert!(text.contains("\r\nAction: failed\r\n"), "{text}");
        assert!(
            text.contains(&format!("\r\nStatus: {status}\r\n")),
            "the status is not {status}: {text}"
        );
    }
}

fn prefix(network: Network) -> String {
    let address = network.host(0).to_string();
    address
        .strip_suffix(".0")
        .expect("a network address")
        .to_owned()
}

#[test]
fn the_best_mx_takes_the_message() {
    // The zone names the best one last.
    let setup = Setup::new(
        "far MX 30 c.far\nfar MX 20 b.far\nfar MX 10 a.far\na.far A NET.21\nb.far A NET.22\nc.far A NET.23",
    );
    let (best, second, third) = (setup.server(21), setup.server(22), setup.server(23));
    for number in 0..5 {
        setup.send("bob@far.test", &format!("best-{number}"));
    }
    until_true("five messages at the best MX", seconds(30), || {
        best.count() == 5
    });
    assert_eq!(best.received()[0].from, "ann@hosted.test");
    assert_eq!((second.count(), third.count()), (0, 0));
}

#[test]
fn the_next_mx_takes_over_from_one_that_is_down_and_one_that_is_busy() {
    let setup = Setup::new(
        "far MX 10 a.far\nfar MX 20 b.far\nfar MX 30 c.far\na.far A NET.21\nb.far A NET.22\nc.far A NET.23",
    );
    let conduct = Conduct {
        greeting: "421 4.3.2 too busy",
        ..Conduct::default()
    };
    let busy = RecordingServer::start_with(setup.address(22), conduct);
    let third = setup.server(23);
    setup.send("bob@far.test", "taken-over");
    third.wait_for("taken-over");
    assert!(
        busy.connections() >= 1,
        "the second MX was asked before the third"
    );
}

#[test]
fn a_refused_recipient_is_not_tried_at_the_next_mx() {
    let setup = Setup::new("far MX 10 a.far\nfar MX 20 b.far\na.far A NET.21\nb.far A NET.22");
    let refusing = |path: &str| {
        path.starts_with("nobody")
            .then_some("550 5.1.1 no such user")
    };
    let conduct = Conduct {
        at_recipient: refusing,
        ..Conduct::default()
    };
    let first = RecordingServer::start_with(setup.address(21), conduct);
    let second = setup.server(22);
    setup.send("nobody@far.test", "refused-recipient");
    setup.assert_bounced("refused-recipient", "5.1.1");
    assert_eq!((first.count(), second.connections()), (0, 0));
}

#[test]
fn a_domain_without_mx_gets_its_mail_at_its_own_address() {
    let setup = Setup::new("plain A NET.21");
    let server = setup.server(21);
    setup.send("bob@plain.test", "own-address");
    assert_eq!(server.wait_for("own-address").to, ["bob@plain.test"]);
}

#[test]
fn a_null_mx_bounces_at_once() {
    let setup = Setup::new("nomail MX 0 .\nnomail A NET.21");
    let server = setup.server(21);
    setup.send("bob@nomail.test", "null-mx");
    setup.assert_bounced("null-mx", "5.1.10");
    assert_eq!(
        server.connections(),
        0,
        "the address of a domain with a null MX is not used"
    );
}

#[test]
fn a_domain_that_does_not_exist_bounces_at_once() {
    let setup = Setup::new("");
    setup.send("bob@nosuch.test", "no-domain");
    setup.assert_bounced("no-domain", "5.1.2");
}

#[test]
fn aliases_are_followed() {
    let setup =
        Setup::new("alias CNAME real\nreal MX 10 mx.alias2\nmx.alias2 CNAME host\nhost A NET.21");
    let server = setup.server(21);
    setup.send("bob@alias.test", "by-alias");
    assert_eq!(
        server.wait_for("by-alias").to,
        ["bob@alias.test"],
        "the recipient keeps its domain"
    );
}

#[test]
fn a_truncated_answer_is_asked_for_again_over_tcp() {
    // The only host that lives has the worst preference and a long name among many.
    let hosts = (0..40).map(|number| format!("big MX {} a-rather-long-name-of-a-dead-mail-host-{number}.big\na-rather-long-name-of-a-dead-mail-host-{number}.big A NET.99\n", 20 + number));
    let zone: String = hosts.collect::<String>() + "big MX 10 live.big\nlive.big A NET.21\n";
    let network = Network::new();
    let names = NameServer::start(
        network.name_server(),
        &zone.replace("NET", &prefix(network)),
    );
    let answer = dns::ask_over_udp(names.address, "big.test", dns::MX).expect("an answer");
    assert!(answer.truncated, "the zone is big enough for this test");
    let server = RecordingServer::start(network.free_port(network.host(21)));
    let config = format!(
        "[outbound]\nport = {}\nprivate_mx = [\"127.0.0.0/8\"]\n{}",
        server.address.port(),
        names.config()
    );
    let relay = Relay::start(network, &config);
    submit(
        network.permitted(),
        relay.address(),
        "ann@client.test",
        &["bob@big.test"],
        &message("over-tcp"),
    );
    server.wait_for("over-tcp");
    let metrics = relay.command(&["status", "--metrics"]).expect_code(0).out;
    let value = |series: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.and_then(|value| value.trim().parse::<u64>().ok())
    };
    let found = value("gatepost_dns_questions_total{result=\"found\"}");
    assert!(found >= Some(2), "MX and an address: {metrics}");
    assert!(
        value("gatepost_dns_duration_seconds_count") >= found,
        "{metrics}"
    );
}

#[test]
fn an_mx_that_points_inside_is_not_followed() {
    let setup = Setup::with(
        "inside MX 10 mx.inside\nmx.inside A NET.21\nzero MX 10 mx.zero\nmx.zero A 0.0.0.0",
        "",
    );
    let server = setup.server(21);
    for domain in ["inside", "zero"] {
        setup.send(&format!("bob@{domain}.test"), domain);
        setup.assert_bounced(domain, "5.4.6");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn an_mx_that_points_back_at_us_is_a_loop() {
    let network = Network::new();
    let zone = format!("loop MX 10 mx.loop\nmx.loop A {}", network.relay());
    let names = NameServer::start(network.name_server(), &zone);
    let home = RecordingServer::start(network.mail_server());
    // The listener's port and the outbound port have to be the same for a real loop.
    let port = network.free_port(network.relay()).port();
    let relay_config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[outbound]\nport = {port}\nprivate_mx = [\"127.0.0.0/8\"]\n{}\
         [listener.loop]\nbind = \"{}:{port}\"\n",
        home.route(),
        names.config(),
        network.relay(),
    );
    let relay = Relay::start(network, &relay_config);
    submit(
        network.permitted(),
        relay.address(),
        "ann@hosted.test",
        &["bob@loop.test"],
        &message("in-a-loop"),
    );
    let notice = home.wait_where("a notice about in-a-loop", |received| {
        received.from.is_empty()
    });
    assert!(
        notice.text().contains("\r\nStatus: 5.4.6\r\n"),
        "{}",
        notice.text()
    );
    let passes = notice.text().matches("by relay.test").count();
    assert!(
        passes <= 2,
        "it was stopped before it went round: {}",
        notice.text()
    );
}

#[test]
fn names_that_cannot_be_resolved_now_wait() {
    let network = Network::new();
    let names = network.name_server();
    let server = RecordingServer::start(network.free_port(network.host(21)));
    let config = format!(
        "[outbound]\nport = {}\nprivate_mx = [\"127.0.0.0/8\"]\n{}[queue]\nretry = [\"1s\"]\nprobe = \"1s\"\n",
        server.address.port(),
        dns::config_for(names),
    );
    let relay = Relay::start(network, &config);
    submit(
        network.permitted(),
        relay.address(),
        "ann@client.test",
        &["bob@late.test"],
        &message("names-down"),
    );
    until_true("a first attempt", seconds(60), || {
        relay
            .queue()
            .iter()
            .any(|row| row["tries"].as_u64() >= Some(1))
    });
    let _names = NameServer::start(names, &format!("late A {}", network.host(21)));
    server.wait_for("names-down");
}

#[test]
fn recipients_of_one_domain_share_a_transaction_and_those_of_two_do_not() {
    let setup = Setup::new("one A NET.21\ntwo A NET.22");
    let (one, two) = (setup.server(21), setup.server(22));
    let network = setup.relay.network;
    let recipients = ["a@one.test", "b@one.test", "c@two.test", "d@hosted.test"];
    submit(
        network.permitted(),
        setup.relay.address(),
        "ann@hosted.test",
        &recipients,
        &message("many"),
    );
    assert_eq!(one.wait_for("many").to, ["a@one.test", "b@one.test"]);
    assert_eq!(two.wait_for("many").to, ["c@two.test"]);
    assert_eq!(setup.home.wait_for("many").to, ["d@hosted.test"]);
    setup.relay.wait_until_empty();
    assert_eq!((one.count(), two.count(), setup.home.count()), (1, 1, 1));
}

#[test]
fn a_server_that_knows_only_helo_gets_its_mail() {
    let setup = Setup::new("old A NET.21");
    let conduct = Conduct {
        extensions: &[],
        ..Conduct::default()
    };
    let old = RecordingServer::start_with(setup.address(21), conduct);
    setup.send("bob@old.test", "by-helo");
    let received = old.wait_for("by-helo");
    assert_eq!(
        received.parameters, "",
        "no parameters for a server without extensions"
    );
}

#[test]
fn an_international_address_needs_a_server_that_takes_it() {
    let setup = Setup::new("old A NET.21");
    let conduct = Conduct {
        extensions: &["PIPELINING", "8BITMIME"],
        ..Conduct::default()
    };
    let old = RecordingServer::start_with(setup.address(21), conduct);
    let mut dialogue = Dialogue::ready(setup.relay.network.permitted(), setup.relay.address());
    dialogue.ask("MAIL FROM:<ann@hosted.test> SMTPUTF8", 250);
    dialogue.ask("RCPT TO:<jürgen@old.test>", 250);
    dialogue.ask("DATA", 354);
    dialogue.send(message("utf8-needed").as_bytes());
    dialogue.ask(".", 250);
    setup.assert_bounced("utf8-needed", "5.6.7");
    assert_eq!(old.count(), 0);
}

#[test]
fn mail_goes_out_over_ipv6() {
    let network = Network::new();
    let server = RecordingServer::start("[::1]:0".parse().expect("an address"));
    let relay = Relay::start(
        network,
        &format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route()),
    );
    submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message("ipv6"),
    );
    server.wait_for("ipv6");
}

#[test]
fn who_is_not_reached_directly_gets_the_mail_by_the_smart_host() {
    let network = Network::new();
    let zone = "far MX 10 a.far\na.far A NET.21\ndown A NET.22\nnull MX 0 .";
    let names = NameServer::start(
        network.name_server(),
        &zone.replace("NET", &prefix(network)),
    );
    let direct = RecordingServer::start(network.free_port(network.host(21)));
    let smart = RecordingServer::start(network.mail_server());
    let config = format!(
        "[outbound]\nroute = \"isp\"\ndirect_first = true\nport = {}\nprivate_mx = [\"127.0.0.0/8\"]\n\
         [route.isp]\nhosts = \"{}\"\nhelo = \"out.test\"\n{}",
        direct.address.port(),
        smart.route(),
        names.config(),
    );
    let relay = Relay::start(network, &config);
    for domain in ["far", "down", "nowhere"] {
        let to = format!("bob@{domain}.test");
        submit(
            network.permitted(),
            relay.address(),
            "ann@client.test",
            &[&to],
            &message(domain),
        );
    }
    direct.wait_for("far");
    smart.wait_for("down");
    smart.wait_for("nowhere");
    relay.wait_until_empty();
    assert_eq!((direct.count(), smart.count()), (1, 2));

    // To one that is paused nobody turns, and that counts as no try.
    relay
        .command(&["queue", "pause", "route:isp"])
        .expect_code(0);
    let (permitted, address) = (network.permitted(), relay.address());
    submit(
        permitted,
        address,
        "ann@client.test",
        &["eve@down.test"],
        &message("paused"),
    );
    until_true("the site is left alone", seconds(30), || {
        let shape = relay.command(&["queue", "shape"]).expect_code(0).out;
        shape.contains("route:isp is paused by the administrator")
    });
    assert_eq!(relay.queue()[0]["tries"], 0);
    relay
        .command(&["queue", "resume", "route:isp"])
        .expect_code(0);
    relay.command(&["queue", "retry"]).expect_code(0);
    smart.wait_for("paused");
    relay.wait_until_empty();

    let shown = relay.command(&["route", "show", "bob@nowhere.test"]);
    let shown = shown.expect_code(0).out;
    for words in [
        "no way",
        "550 5.1.2",
        "if not reached",
        "route:isp",
        "out.test",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert_eq!(shown.matches(" rate ").count(), 1, "{shown}");
    let refused = relay.command(&["route", "show", "bob@null.test"]);
    refused.expect_code(1);
}
