//! Clients that push, flood and guess. They come through a proxy, because what comes from this
//! machine itself is not held to rates.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::client::{Dialogue, Reply, message};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;

const STRANGER: &str = "203.0.113.9";
/// In the network of that stranger, and in another one.
const NEIGHBOUR: &str = "203.0.113.10";
const OTHER: &str = "192.0.2.77";
/// The client that may relay.
const PERMITTED: &str = "198.51.100.25";

struct Front {
    relay: Relay,
    _server: RecordingServer,
}

impl Front {
    fn open(limits: &str) -> Front {
        let network = Network::new();
        let server = RecordingServer::start(network.mail_server());
        let more = format!(
            "[listener.front]\nbind = \"{}:0\"\nproxy_protocol_from = [\"{}\"]\nrelay = {{ allow = [\"{PERMITTED}\"] }}\n\
             [domain.\"hosted.test\"]\nroute = \"{}\"\nrecipients = [\"bob\"]\n[limits]\n{limits}\n",
            network.relay(),
            network.permitted(),
            server.route(),
        );
        let relay = Relay::start(network, &more);
        Front {
            relay,
            _server: server,
        }
    }

    /// Connects as `client`, and reads nothing yet.
    fn connect(&self, client: &str) -> Dialogue {
        let client: IpAddr = client.parse().expect("an address");
        Dialogue::proxied(
            self.relay.network.permitted(),
            self.relay.listener("front"),
            client,
        )
    }

    fn ready(&self, client: &str) -> Dialogue {
        let mut dialogue = self.connect(client);
        dialogue.expect(220);
        dialogue.ask("EHLO client.test", 250);
        dialogue
    }

    /// What a new connection of `client` hears first.
    fn greeting(&self, client: &str) -> u16 {
        self.connect(client).reply().expect("a greeting").code
    }
}

fn codes(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.code).collect()
}

#[test]
fn who_talks_before_the_greeting_is_refused() {
    let front = Front::open("greeting_delay = \"1m\"");
    let mut dialogue = front.connect(STRANGER);
    dialogue.send(b"EHLO client.test\r\nMAIL FROM:<>\r\n");
    assert_eq!(codes(&dialogue.replies_until_closed()), [554]);
    // Whoever may relay is greeted at once, and is not held to it.
    front.ready(PERMITTED);
}

#[test]
fn who_waits_is_greeted() {
    let front = Front::open("greeting_delay = \"200ms\"");
    front.ready(STRANGER);
}

#[test]
fn sending_on_before_the_answer_ends_the_session() {
    let front = Front::open("");
    let mut dialogue = front.connect(STRANGER);
    dialogue.expect(220);
    dialogue
        .send(b"EHLO client.test\r\nMAIL FROM:<ann@client.test>\r\nRCPT TO:<bob@hosted.test>\r\n");
    assert_eq!(codes(&dialogue.replies_until_closed()), [503]);

    let mut dialogue = front.ready(STRANGER);
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
    dialogue.send(b"DATA\r\nSubject: hasty\r\n\r\nhello\r\n.\r\n");
    assert_eq!(codes(&dialogue.replies_until_closed()), [503]);

    // The groups of RFC 2920 are no haste.
    let mut dialogue = front.ready(STRANGER);
    dialogue.send(b"MAIL FROM:<ann@client.test>\r\nRCPT TO:<bob@hosted.test>\r\nDATA\r\n");
    for code in [250, 250, 354] {
        dialogue.expect(code);
    }
    let mut dialogue = front.connect(PERMITTED);
    dialogue.expect(220);
    dialogue.send(b"EHLO client.test\r\nMAIL FROM:<ann@client.test>\r\n");
    dialogue.expect(250);
    dialogue.expect(250);
}

#[test]
fn strangers_wait_for_the_third_refusal() {
    const TARPIT: Duration = Duration::from_millis(700);
    let front = Front::open("tarpit = \"700ms\"");
    let mut dialogue = front.ready(STRANGER);
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    for _ in 0..2 {
        dialogue.ask("RCPT TO:<eve@elsewhere.test>", 550);
    }
    let before = Instant::now();
    dialogue.ask("RCPT TO:<eve@elsewhere.test>", 550);
    assert!(before.elapsed() >= TARPIT, "{:?}", before.elapsed());
    dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
}

/// The longest tarpit would be longer than this client waits for a reply.
#[test]
fn whoever_may_relay_does_not_wait() {
    let front = Front::open("tarpit = \"1m\"");
    let mut dialogue = front.ready(PERMITTED);
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    for _ in 0..5 {
        dialogue.ask("RCPT TO:<nobody@hosted.test>", 550);
    }
}

#[test]
fn guessing_recipients_ends_the_session_and_then_the_client_not_its_network() {
    let front = Front::open("unknown_recipients = 2\ntarpit = \"0s\"");
    // Five sessions' worth is what one client gets.
    for _ in 0..5 {
        let mut dialogue = front.ready(STRANGER);
        dialogue.send(b"MAIL FROM:<ann@client.test>\r\nRCPT TO:<a@hosted.test>\r\nRCPT TO:<b@hosted.test>\r\n");
        dialogue.send(b"RCPT TO:<c@hosted.test>\r\nRCPT TO:<bob@hosted.test>\r\n");
        let told = codes(&dialogue.replies_until_closed());
        assert_eq!(told, [250, 550, 550, 421]);
    }
    assert_eq!(front.greeting(STRANGER), 421);
    assert_eq!(front.greeting(NEIGHBOUR), 220);
    assert_eq!(front.greeting(OTHER), 220);
    assert_eq!(front.greeting(PERMITTED), 220);
}

#[test]
fn chunks_of_nothing_end_the_session() {
    let front = Front::open("idle_commands = 10");
    let mut dialogue = front.ready(STRANGER);
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
    dialogue.send(&b"BDAT 0\r\n".repeat(50));
    let told = codes(&dialogue.replies_until_closed());
    // EHLO was the first of the ten.
    assert_eq!(told, [[250; 9].as_slice(), &[421]].concat());
}

#[test]
fn a_client_that_may_relay_names_a_thousand_recipients() {
    let front = Front::open("");
    for (client, most) in [(PERMITTED, 1000), (STRANGER, 100)] {
        let mut dialogue = front.ready(client);
        dialogue.ask("MAIL FROM:<ann@client.test>", 250);
        for _ in 0..most {
            dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
        }
        dialogue.ask("RCPT TO:<bob@hosted.test>", 452);
    }
}

#[test]
fn connections_of_one_client_are_limited() {
    let front = Front::open("rate_per_client = { connections = \"3/1h\" }");
    for _ in 0..3 {
        assert_eq!(front.greeting(STRANGER), 220);
        assert_eq!(front.greeting(PERMITTED), 220);
    }
    assert_eq!(front.greeting(STRANGER), 421);
    let (client, why) = (format!("\"client\":\"{STRANGER}\""), "too many connections");
    expect_place(&front.relay, &[&client, why], "rate_per_client");
    assert_eq!(front.greeting(NEIGHBOUR), 220);
    assert_eq!(front.greeting(PERMITTED), 220);
}

/// The log says of a client with these words which line turned it away.
fn expect_place(relay: &Relay, words: &[&str], beginning: &str) {
    let line = relay.wait_for_log(&[&["\"turned away\""], words].concat());
    let place = format!("\"place\":\"{}\"", relay.place_of(beginning));
    assert!(line.contains(&place), "{line}");
}

#[test]
fn sessions_of_one_client_are_limited() {
    let network = Network::new();
    let more = format!(
        "[listener.narrow]\nbind = \"{}:0\"\nmax_per_client = 1\n",
        network.relay()
    );
    let relay = Relay::start(network, &more);
    let (stranger, narrow) = (relay.network.stranger(), relay.listener("narrow"));
    let _first = Dialogue::ready(stranger, narrow);
    let told = Dialogue::connect(stranger, narrow).replies_until_closed();
    assert_eq!(codes(&told), [421]);
    expect_place(&relay, &["too many sessions"], "max_per_client");
}

#[test]
fn connections_of_one_network_are_limited() {
    let front = Front::open("rate_per_network = { connections = \"2/1h\" }");
    assert_eq!(front.greeting(STRANGER), 220);
    assert_eq!(front.greeting(NEIGHBOUR), 220);
    assert_eq!(front.greeting("203.0.113.11"), 421);
    assert_eq!(front.greeting(OTHER), 220);
}

#[test]
fn messages_of_one_client_are_limited() {
    let front = Front::open("rate_per_client = { messages = \"2/1h\", recipients = \"3/1h\" }");
    for id in ["first", "second"] {
        let reply =
            front
                .ready(STRANGER)
                .submit("ann@client.test", &["bob@hosted.test"], &message(id));
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    let third = front.ready(STRANGER).say("MAIL FROM:<ann@client.test>");
    assert!((450..=452).contains(&third.code), "{}", third.text());
    front.ready(OTHER).ask("MAIL FROM:<ann@client.test>", 250);
}

/// Connection control comes before everything else.
#[test]
fn who_may_not_connect_hears_554_first() {
    let network = Network::new();
    let more = format!(
        "[listener.partners]\nbind = \"{}:0\"\nconnect = {{ mode = \"only-list\", allow = [\"{}\"] }}\n",
        network.relay(),
        network.permitted()
    );
    let relay = Relay::start(network, &more);
    let partners = relay.listener("partners");
    let told = Dialogue::connect(network.stranger(), partners).replies_until_closed();
    assert_eq!(codes(&told), [554]);
    expect_place(&relay, &["554"], "connect =");
    Dialogue::ready(network.permitted(), partners);
}
