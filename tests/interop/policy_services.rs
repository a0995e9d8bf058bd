//! Policy services beside the relay, as Postfix asks them: one of ours, which answers by the recipient.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::client::{Dialogue, message};
use crate::dns::NameServer;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

/// What is asked: name and value.
type Question = BTreeMap<String, String>;

/// A service that runs as long as the test does.
struct Service {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl Service {
    fn start(network: &Network) -> Self {
        let listener = TcpListener::bind(SocketAddr::new(network.host(9), 0)).expect("a port");
        let service = Self {
            address: listener.local_addr().expect("an address"),
            asked: Arc::default(),
        };
        let asked = Arc::clone(&service.asked);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let asked = Arc::clone(&asked);
                thread::spawn(move || serve(&socket, &asked));
            }
        });
        service
    }

    fn asked(&self) -> Vec<Question> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

fn serve(mut socket: &TcpStream, asked: &Mutex<Vec<Question>>) {
    let mut question = Question::new();
    for line in BufReader::new(socket).lines().map_while(Result::ok) {
        if let Some((name, value)) = line.split_once('=') {
            question.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let question = std::mem::take(&mut question);
        let action = action(&question);
        asked.lock().expect("nobody panicked").push(question);
        if socket
            .write_all(format!("action={action}\n\n").as_bytes())
            .is_err()
        {
            return;
        }
    }
}

fn action(question: &Question) -> &'static str {
    match question["recipient"].split('@').next() {
        Some("unwanted") => "REJECT 5.7.1 Nobody wants that",
        Some("later") => "defer_if_permit Come again",
        Some("marked") => "prepend X-Seen: by the service ",
        Some("held") => "hold for a look",
        Some("gone") => "DISCARD",
        Some("odd") => "perhaps",
        Some("elsewhere") => "REDIRECT other@hosted.test",
        _ => "OK",
    }
}

/// A relay that asks a service at this address.
struct Site {
    relay: Relay,
    server: RecordingServer,
    _names: NameServer,
}

impl Site {
    fn start(network: Network, address: &str, more: &str) -> Self {
        let stranger = network.stranger();
        let names = NameServer::start_with(
            network.name_server(),
            &format!("client A {stranger}"),
            &[(stranger, "client.test.")],
        );
        let server = RecordingServer::start(network.mail_server());
        let mut relay = Relay::prepare(network, "");
        relay.write_config(&format!(
            "[domain.\"hosted.test\"]\nroute = \"{}\"\nrecipients = [\"unwanted\", \"later\", \
             \"marked\", \"held\", \"gone\", \"odd\", \"elsewhere\", \"bob\", \"carl\"]\n\
             [scanner.rules]\nkind = \"policy\"\naddress = \"{address}\"\n{more}{}",
            server.route(),
            names.config(),
        ));
        relay.run();
        Self {
            relay,
            server,
            _names: names,
        }
    }
}

fn from(relay: &Relay, client: IpAddr, to: &str) -> String {
    let mut dialogue = Dialogue::ready(client, relay.address());
    dialogue.ask("MAIL FROM:<ann@client.test> SIZE=777", 250);
    dialogue.say(&format!("RCPT TO:<{to}>")).text()
}

fn named(relay: &Relay, to: &str) -> String {
    from(relay, relay.network.stranger(), to)
}

fn checked(relay: &Relay, to: &str, code: i32) -> String {
    let client = relay.network.stranger().to_string();
    let check = [
        "relay",
        "check",
        "--client",
        &client,
        "--helo",
        "client.test",
    ];
    let envelope = ["--mail", "ann@client.test", "--rcpt", to];
    let arguments = [&check[..], &envelope].concat();
    relay.command(&arguments).expect_code(code).out
}

#[test]
fn a_service_refuses_and_postpones_and_all_say_by_which_line() {
    let network = Network::new();
    let service = Service::start(&network);
    let site = Site::start(network, &service.address.to_string(), "");
    let relay = &site.relay;
    let place = relay.place_of("[scanner.rules]");
    for (to, code, reply) in [
        ("unwanted", 1, "554 5.7.1 Nobody wants that"),
        ("later", 75, "450 4.7.1 Come again"),
        (
            "odd",
            75,
            "451 4.3.0 The recipient cannot be checked now, try again later",
        ),
        (
            "elsewhere",
            75,
            "451 4.3.0 The recipient cannot be checked now, try again later",
        ),
        ("bob", 0, "250 2.1.5 Ok"),
    ] {
        let to = format!("{to}@hosted.test");
        assert_eq!(named(relay, &to), reply);
        let told = checked(relay, &to, code);
        assert!(told.contains("policy") && told.contains(&place), "{told}");
        assert!(told.contains(reply), "{told}");
        if code != 0 {
            relay.wait_for_log(&["recipient refused", "policy service rules", &to, &place]);
        }
    }
    let tracked = || relay.command(&["track", "to:unwanted@hosted.test"]).text();
    until_true("the refusal in tracking", seconds(20), || {
        tracked().contains("Nobody wants that")
    });
    let status = relay.command(&["status"]).text();
    assert!(status.contains("scanner rules "), "{status}");
}

#[test]
fn it_is_asked_about_strangers_whose_recipient_is_taken_otherwise() {
    let network = Network::new();
    let service = Service::start(&network);
    let site = Site::start(network, &service.address.to_string(), "");
    let relay = &site.relay;
    let permitted = relay.network.permitted();
    for (client, to) in [
        (relay.network.stranger(), "unwanted@elsewhere.test"),
        (relay.network.stranger(), "nobody@hosted.test"),
        (relay.network.stranger(), "postmaster@hosted.test"),
        (permitted, "unwanted@hosted.test"),
        (permitted, "unwanted@elsewhere.test"),
    ] {
        let heard = from(relay, client, to);
        assert!(!heard.contains("Nobody wants that"), "{to}: {heard}");
    }
    assert!(service.asked().is_empty(), "{:?}", service.asked());
    let heard = from(relay, relay.network.stranger(), "carl@hosted.test");
    assert!(heard.starts_with("250 "), "{heard}");
    let asked = service.asked();
    let [asked] = &asked[..] else {
        panic!("{asked:?}");
    };
    let client = relay.network.stranger().to_string();
    for (name, value) in [
        ("request", "smtpd_access_policy"),
        ("protocol_state", "RCPT"),
        ("protocol_name", "ESMTP"),
        ("client_address", &client),
        ("client_name", "client.test"),
        ("reverse_client_name", "client.test"),
        ("server_port", &relay.address().port().to_string()),
        ("sender", "ann@client.test"),
        ("recipient", "carl@hosted.test"),
        ("size", "777"),
    ] {
        assert_eq!(asked[name], value, "{name}: {asked:?}");
    }
    assert_eq!(asked.len(), 29, "{asked:?}");
}

#[test]
fn what_it_says_of_recipients_becomes_of_the_message() {
    let network = Network::new();
    let service = Service::start(&network);
    let Site { relay, server, .. } = &Site::start(network, &service.address.to_string(), "");
    let send = |id: &str, to: &[&str]| {
        let to: Vec<String> = to.iter().map(|to| format!("{to}@hosted.test")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
        let reply = client.submit("ann@client.test", &to, &message(id));
        assert_eq!(reply.code, 250, "{}", reply.text());
    };
    send("seen", &["bob", "marked", "carl"]);
    let text = server.wait_for("seen").text();
    let first: Vec<&str> = text.lines().take(3).collect();
    assert_eq!(first[0], "X-Gatepost-Scan: rules clean");
    assert_eq!(first[1], "X-Seen: by the service");
    assert!(first[2].starts_with("Received: "), "{text}");
    let asked = service.asked();
    assert!(
        asked
            .iter()
            .all(|one| one["instance"] == asked[0]["instance"])
    );
    send("plain", &["bob"]);
    let plain = server.wait_for("plain");
    assert_eq!(plain.header("X-Seen"), None);
    let last = service.asked().pop().expect("it was asked");
    assert_ne!(last["instance"], asked[0]["instance"]);
    send("dropped", &["gone"]);
    send("kept", &["bob", "held"]);
    // The whole message is, as Postfix has it.
    relay.wait_until_held(2);
    relay.wait_for_log(&["screened", "scanner rules: discard", "gone@hosted.test"]);
}

#[test]
fn it_is_asked_about_messages_where_that_is_written() {
    let network = Network::new();
    let service = Service::start(&network);
    let address = service.address.to_string();
    let site = Site::start(network, &address, "asked_at = \"end-of-message\"\n");
    let Site { relay, server, .. } = &site;
    let send = |client: IpAddr, id: &str, to: &[&str]| {
        let to: Vec<String> = to.iter().map(|to| format!("{to}@hosted.test")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let mut client = Dialogue::ready(client, relay.address());
        client.submit("ann@client.test", &to, &message(id)).text()
    };
    let (stranger, permitted) = (relay.network.stranger(), relay.network.permitted());
    // At RCPT nobody asks it.
    assert_eq!(named(relay, "unwanted@hosted.test"), "250 2.1.5 Ok");
    assert!(service.asked().is_empty(), "{:?}", service.asked());
    let odd = "451 4.3.0 This message cannot be looked at now, try again later";
    for (to, reply) in [
        ("unwanted", "554 5.7.1 Nobody wants that"),
        ("later", "450 4.7.1 Come again"),
        ("odd", odd),
        ("elsewhere", odd),
    ] {
        assert_eq!(send(stranger, to, &[to]), reply);
    }
    assert_eq!(
        send(permitted, "ours", &["unwanted"]),
        "554 5.7.1 Nobody wants that"
    );
    assert!(send(stranger, "two", &["bob", "unwanted"]).starts_with("250 "));
    let asked = service.asked().pop().expect("it was asked");
    let size = server.wait_for("two").text().len();
    for (name, value) in [
        ("protocol_state", "END-OF-MESSAGE"),
        ("client_name", "client.test"),
        ("reverse_client_name", "client.test"),
        ("helo_name", "client.test"),
        ("recipient", ""),
        ("recipient_count", "2"),
    ] {
        assert_eq!(asked[name], value, "{name}: {asked:?}");
    }
    let told: usize = asked["size"].parse().expect("a number");
    assert!((1..=size).contains(&told), "{told} of {size}");
    assert_eq!(asked["instance"], asked["queue_id"]);
    assert!(send(stranger, "seen", &["marked"]).starts_with("250 "));
    let seen = server.wait_for("seen").header("X-Seen");
    assert_eq!(seen.as_deref(), Some("by the service"));
    for to in ["held", "gone"] {
        assert!(send(stranger, to, &[to]).starts_with("250 "));
    }
    let held = relay.wait_until_held(1);
    assert_eq!(held[0]["to"], "held@hosted.test");
    relay.wait_for_log(&["screened", "scanner rules: discard", "gone@hosted.test"]);
}

#[test]
fn without_an_answer_the_client_comes_again_or_not_as_the_configuration_says() {
    let network = Network::new();
    let nobody = network.free_port(network.host(9));
    let site = Site::start(network, &nobody.to_string(), "");
    let relay = &site.relay;
    let postponed = named(relay, "bob@hosted.test");
    let expected = "451 4.3.0 The recipient cannot be checked now, try again later";
    assert_eq!(postponed, expected);
    // A stranger learns nothing of it who is not let in.
    assert!(named(relay, "bob@elsewhere.test").starts_with("550 5.7.1 "));
    assert!(from(relay, relay.network.permitted(), "bob@hosted.test").starts_with("250 "));
    let status = relay.command(&["status"]).text();
    assert!(
        status.contains("the scanner rules does not answer"),
        "{status}"
    );
    for (word, held) in [("accept", 0), ("hold", 1)] {
        let more = format!("on_failure = \"{word}\"\n");
        let site = Site::start(Network::new(), &nobody.to_string(), &more);
        let Site { relay, server, .. } = &site;
        let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
        let reply = client.submit("ann@client.test", &["bob@hosted.test"], &message(word));
        assert_eq!(reply.code, 250, "{}", reply.text());
        if held == 0 {
            let told = server.wait_for(word).header("X-Gatepost-Scan");
            assert!(told.is_some_and(|told| told.starts_with("rules error")));
        } else {
            assert_eq!(relay.queued(), held);
        }
    }
}
