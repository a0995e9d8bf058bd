//! The relay behind a proxy that passes connections on and says by a PROXY header whose they are:
//! believed from the listed ones alone, and required of them.

use std::net::IpAddr;

use crate::client::{Dialogue, message, proxy_header};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;

/// Who may relay, and somebody else.
const MAIL_SERVER: &str = "198.51.100.25";
const STRANGER: &str = "203.0.113.9";

/// The first twelve octets of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A relay whose listener `front` has a proxy before it, at the address of the permitted client.
fn relay_behind_a_proxy() -> (Relay, RecordingServer) {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let more = format!(
        "[listener.front]\nbind = \"{}:0\"\nproxy_protocol_from = [\"{}\"]\n\
         relay = {{ allow = [\"{MAIL_SERVER}\", \"2001:db8:1::/64\"] }}\n\
         [outbound]\nroute = \"{}\"\n[domain.\"hosted.test\"]\nroute = \"{2}\"\n",
        network.relay(),
        network.permitted(),
        server.route(),
    );
    (Relay::start(network, &more), server)
}

/// Version 2: the signature, `command`, a family with its addresses, and an extension that nobody
/// knows.
fn header_2(command: u8, client: IpAddr) -> Vec<u8> {
    let (family, addresses) = match client {
        IpAddr::V4(v4) => (0x11, [v4.octets().as_slice(), &[192, 0, 2, 1]].concat()),
        IpAddr::V6(v6) => (0x21, [v6.octets().as_slice(), &[0x20; 16]].concat()),
    };
    let extension = [0xE0, 0, 3, 1, 2, 3];
    let body = [&addresses[..], &[0x9C, 0x40, 0, 25], &extension].concat();
    let size = u16::try_from(body.len())
        .expect("a short header")
        .to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &size, &body].concat()
}

fn after_header(relay: &Relay, header: &[u8]) -> Dialogue {
    let mut dialogue = Dialogue::connect(relay.network.permitted(), relay.listener("front"));
    dialogue.send(header);
    dialogue.expect(220);
    dialogue.ask("EHLO client.test", 250);
    dialogue
}

#[test]
fn the_client_is_whom_the_proxy_names() {
    let (relay, server) = relay_behind_a_proxy();
    let cases = [
        (MAIL_SERVER, 250),
        (STRANGER, 550),
        ("2001:db8:1::25", 250),
        ("2001:db8:2::25", 550),
    ];
    for (client, code) in cases {
        let address = client.parse().expect("an address");
        for header in [proxy_header(address).into_bytes(), header_2(1, address)] {
            let mut dialogue = after_header(&relay, &header);
            dialogue.ask("MAIL FROM:<ann@client.test>", 250);
            dialogue.ask("RCPT TO:<bob@elsewhere.test>", code);
        }
    }
    let mut dialogue = after_header(&relay, &header_2(1, STRANGER.parse().expect("an address")));
    let reply = dialogue.submit("ann@client.test", &["bob@hosted.test"], &message("proxied"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    let trace = server
        .wait_for("proxied")
        .header("Received")
        .expect("a trace");
    assert!(trace.contains(&format!("[{STRANGER}]")), "{trace}");
    assert!(
        relay.log().contains(&format!("\"client\":\"{STRANGER}\"")),
        "{}",
        relay.log()
    );
}

/// The proxy asks how the relay is, on its own account: its own address is no permitted one at this
/// listener.
#[test]
fn a_proxy_may_speak_for_itself() {
    let (relay, _server) = relay_behind_a_proxy();
    let mut local = SIGNATURE.to_vec();
    local.extend([0x20, 0, 0, 0]);
    let mut dialogue = after_header(&relay, &local);
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<bob@elsewhere.test>", 550);
}

#[test]
fn a_proxy_without_a_good_header_is_not_served() {
    let (relay, _server) = relay_behind_a_proxy();
    let mut unix = SIGNATURE.to_vec();
    unix.extend([0x21, 0x31, 0, 0]);
    let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
    let half = format!(
        "PROXY TCP4 {MAIL_SERVER} 192.0.2.1 40000 25\n{}",
        "NOOP\n".repeat(20)
    );
    let headers: [&[u8]; 7] = [
        b"EHLO client.test\r\n",
        b"PROXY TCP4 here there 1 2\r\n",
        half.as_bytes(),
        b"PROXY TCP4 198.51.100.25 192.0.2.1 70000 25\r\n",
        b"proxy TCP4 198.51.100.25 192.0.2.1 40000 25\r\n",
        long.as_bytes(),
        &unix,
    ];
    for header in headers {
        let mut dialogue = Dialogue::connect(relay.network.permitted(), relay.listener("front"));
        dialogue.send(header);
        let told = dialogue.octets_until_closed();
        assert!(told.is_empty(), "{header:?} was answered {told:?}");
    }
}

/// Anybody can send the words; from those who are not listed they are no header, and change
/// nothing.
#[test]
fn a_header_from_anybody_else_is_refused() {
    let (relay, _server) = relay_behind_a_proxy();
    let permitted: IpAddr = MAIL_SERVER.parse().expect("an address");
    for listener in ["front", "internet"] {
        let at = relay.listener(listener);
        let mut dialogue = Dialogue::open(relay.network.stranger(), at);
        let reply = dialogue.say(proxy_header(permitted).trim_end());
        assert!(reply.is_refusal(), "{}", reply.text());
        dialogue.ask("EHLO client.test", 250);
        dialogue.ask("MAIL FROM:<ann@client.test>", 250);
        dialogue.ask("RCPT TO:<bob@elsewhere.test>", 550);
        let mut dialogue = Dialogue::connect(relay.network.stranger(), at);
        dialogue.send(&header_2(1, permitted));
        dialogue.send(b"EHLO client.test\r\nMAIL FROM:<>\r\nRCPT TO:<bob@elsewhere.test>\r\n");
        let told = String::from_utf8_lossy(&dialogue.octets_until_closed()).into_owned();
        assert!(!told.contains("250 2.1.5"), "{told}");
    }
    assert!(!relay.log().contains(MAIL_SERVER), "{}", relay.log());
}
