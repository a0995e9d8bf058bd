//! The command line against the live relay: `relay check` says what the server says.

use std::net::IpAddr;

use serde_json::Value;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::{self, Ran};
use crate::relay::{Relay, binary};
use crate::server::route_to;

fn relay_with_domains() -> Relay {
    let network = Network::new();
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{0}\"\n[domain.\"*.hosted.test\"]\nroute = \"{0}\"\n\
         [domain.\"inner.test\"]\nroute = \"{0}\"\naccept_from = \"relay\"\n\
         [domain.\"closed.test\"]\ntype = \"blocked\"\n",
        route_to(network.mail_server()),
    );
    Relay::start(network, &config)
}

fn live(relay: &Relay, client: IpAddr, recipient: &str) -> (u16, String) {
    let mut dialogue = Dialogue::ready(client, relay.address());
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    let reply = dialogue.say(&format!("RCPT TO:<{recipient}>"));
    (reply.code, reply.text())
}

fn checked(relay: &Relay, client: IpAddr, recipient: &str) -> Ran {
    let client = client.to_string();
    let arguments = [
        "relay",
        "check",
        "--client",
        &client,
        "--listener",
        "internet",
        "--mail",
        "ann@client.test",
    ];
    relay.command(&[&arguments[..], &["--rcpt", recipient]].concat())
}

#[test]
fn relay_check_answers_as_the_live_server_does() {
    let relay = relay_with_domains();
    let clients = [relay.network.stranger(), relay.network.permitted()];
    let recipients = [
        "bob@hosted.test",
        "bob@deep.hosted.test",
        "bob@inner.test",
        "bob@closed.test",
        "bob@elsewhere.test",
        "bob%elsewhere.test@hosted.test",
        "bob@HOSTED.test",
        "postmaster@hosted.test",
    ];
    for client in clients {
        for recipient in recipients {
            let (code, words) = live(&relay, client, recipient);
            let ran = checked(&relay, client, recipient);
            assert_eq!(
                ran.code,
                i32::from(code != 250),
                "{client} to {recipient}: live {words:?}, check {}",
                ran.text()
            );
            if code != 250 {
                assert!(
                    ran.out.contains(&words),
                    "the words are the same: {words:?}, {}",
                    ran.out
                );
            }
        }
    }
    let (code, _) = live(&relay, clients[0], "bob@inner.test");
    assert_eq!(
        code, 550,
        "a domain for permitted clients only is closed to strangers"
    );
    assert_eq!(live(&relay, clients[1], "bob@inner.test").0, 250);
    assert_eq!(
        live(&relay, clients[1], "bob@closed.test").0 / 100,
        5,
        "a blocked domain is blocked for everybody"
    );
}

#[test]
fn relay_check_names_the_deciding_line() {
    let relay = relay_with_domains();
    let ran = checked(&relay, relay.network.stranger(), "bob@elsewhere.test").expect_code(1);
    let text = std::fs::read_to_string(relay.config()).expect("the configuration");
    let line = 1 + text
        .lines()
        .position(|line| line.starts_with("allow"))
        .expect("the allow line");
    assert!(
        ran.out.contains(&format!("gatepost.toml:{line}")),
        "line {line} decided: {}",
        ran.out
    );
    assert!(
        ran.out
            .contains("550 5.7.1 Unable to relay for bob@elsewhere.test"),
        "{}",
        ran.out
    );
    let arguments = [
        "relay",
        "check",
        "--client",
        "203.0.113.9",
        "--rcpt",
        "bob@elsewhere.test",
        "--json",
    ];
    let json = relay.command(&arguments).expect_code(1).out;
    serde_json::from_str::<Value>(&json).expect("--json prints JSON");
}

/// What `relay check` says about the limits of a client.
fn limits(relay: &Relay, client: IpAddr) -> String {
    let ran = checked(relay, client, "bob@elsewhere.test");
    let mut lines = ran.out.lines();
    let step = lines.find(|line| line.contains(" limits "));
    step.unwrap_or_else(|| panic!("no limits: {}", ran.text()))
        .to_owned()
}

/// Clients on this machine are free of rates where nobody said otherwise, and `relay check` says
/// of them what the running relay does.
#[test]
fn relay_check_tells_the_limits_that_the_live_relay_counts_by() {
    for limit_loopback in [false, true] {
        let mut relay = Relay::prepare(Network::new(), "");
        let account = if program::is_root() {
            "user = \"root\"\ngroup = \"root\"\n"
        } else {
            ""
        };
        relay.write_whole_config(&format!(
            "hostname = \"relay.test\"\n{account}data_dir = {:?}\n\
             [listener.internet]\nbind = \"{}:0\"\nmax_per_client = 4\n\
             [limits]\nrate_loopback = {limit_loopback}\nrate_per_client = {{ connections = \"2/1h\" }}\n\
             [relay]\nallow = [\"{}\"]\n[spool]\nmin_free = \"0MB\"\n",
            relay.data_dir(),
            relay.network.relay(),
            relay.network.permitted(),
        ));
        relay.run();
        for (client, sessions, is_free) in [
            (
                relay.network.stranger(),
                "at most 4 sessions",
                !limit_loopback,
            ),
            (relay.network.permitted(), "at most 40 sessions", true),
        ] {
            assert!(
                client.is_loopback(),
                "the network of the tests is on this machine"
            );
            let told = limits(&relay, client);
            assert!(told.contains(sessions), "{client}: {told}");
            let free = told.contains("as fast as they like");
            let counted = told.contains("2 connections in 3600 s of one client (");
            assert_eq!((free, counted), (is_free, !is_free), "{client}: {told}");
            let greetings = [(); 3].map(|()| {
                let mut dialogue = Dialogue::connect(client, relay.address());
                dialogue.reply().expect("a greeting or a refusal").code
            });
            let third = if is_free { 220 } else { 421 };
            assert_eq!(greetings, [220, 220, third], "{client}: {told}");
        }
    }
}

/// Each recipient of a message, not the first alone, and by the same line wherever it is told.
#[test]
fn acceptance_names_its_line_in_the_log_and_in_relay_check() {
    let relay = relay_with_domains();
    let client = relay.network.permitted();
    let domain = ("our-domain", relay.place_of("[domain.\"hosted.test\"]"));
    let list = ("listed-client", relay.place_of("allow"));
    let recipients = [
        ("bob@hosted.test", &domain),
        ("bob@elsewhere.test", &list),
        ("carl@hosted.test", &domain),
    ];
    let named = recipients.map(|(recipient, _)| recipient);
    let mut dialogue = Dialogue::ready(client, relay.address());
    let reply = dialogue.submit("ann@client.test", &named, &message("reasons"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    let words = reply.text();
    let id = words.rsplit(' ').next().expect("the queue id");
    let first_words = [
        "message accepted",
        "recipient accepted",
        "recipient accepted",
    ];
    for ((recipient, (grounds, place)), words) in recipients.into_iter().zip(first_words) {
        // The line of the message names all of them, this one first.
        let to = format!("\"to\":\"{recipient}");
        let line = relay.wait_for_log(&[words, id, &to]);
        let line: Value = serde_json::from_str(&line).expect("a line of JSON");
        assert_eq!(line["grounds"], *grounds, "{line}");
        assert_eq!(line["place"], **place, "{line}");
        let check = [
            "relay",
            "check",
            "--json",
            "--listener",
            "internet",
            "--rcpt",
        ];
        let client = client.to_string();
        let ran = relay.command(&[&check[..], &[recipient, "--client", &client]].concat());
        let told: Value = serde_json::from_str(&ran.expect_code(0).out).expect("JSON");
        for key in ["grounds", "why", "place"] {
            assert_eq!(told["admitted"][0][key], line[key], "{told}");
        }
    }
}

#[test]
fn without_arguments_it_says_what_to_do_next() {
    let ran = program::finish(program::limited(std::path::Path::new(binary())), b"");
    assert_eq!(ran.code, 2, "{}", ran.text());
    assert!(ran.text().contains("demo"), "{}", ran.text());
}

#[test]
fn an_unknown_verb_is_a_usage_error() {
    let relay = Relay::prepare(Network::new(), "");
    assert_eq!(relay.command(&["frobnicate"]).code, 2);
    assert_eq!(relay.command(&["queue", "frobnicate"]).code, 2);
}
