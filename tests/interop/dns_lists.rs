//! Lists of unwanted and of wanted clients in the DNS, as a real resolver tells of them.

use std::net::{IpAddr, Ipv4Addr};

use crate::client::{Dialogue, Reply, message};
use crate::dns::NameServer;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;

/// What the listener says of its lists. `dead` answers for everybody; `silent` does not exist.
const LISTS: &str = r#"
dnsbl_threshold = 2
dnsbl_except = ["203.0.113.26"]
[[listener.front.dnsbl]]
zone = "list.test"
codes = ["127.0.0.2", "127.0.0.4-127.0.0.7"]
weight = 2
reply = "%0 is listed by %1, see there"
[[listener.front.dnsbl]]
zone = "weak.test"
[[listener.front.dnsbl]]
zone = "meek.test"
[[listener.front.dnsbl]]
zone = "wanted.test"
weight = -5
[[listener.front.dnsbl]]
zone = "dead.test"
weight = 9
[[listener.front.dnsbl]]
zone = "silent.invalid"
weight = 9
"#;

/// A list and what it answers about a client.
type Entry = (&'static str, &'static str);

/// The clients 203.0.113.N, in which lists they are with which answer, and what they hear for a
/// recipient of ours.
const CLIENTS: [(u8, &[Entry], &str); 12] = [
    (20, &[], "250"),
    (
        21,
        &[("list", "127.0.0.2")],
        "550 5.7.1 203.0.113.21 is listed by list.test, see there",
    ),
    (22, &[("list", "127.0.0.5")], "550 5.7.1"),
    // Codes that do not count: another one, an error of the list, an answer from outside
    // 127.0.0.0/8.
    (23, &[("list", "127.0.0.9")], "250"),
    (
        24,
        &[("list", "127.255.255.254"), ("weak", "127.255.255.254")],
        "250",
    ),
    (
        25,
        &[
            ("list", "10.0.0.2"),
            ("weak", "10.0.0.2"),
            ("meek", "10.0.0.2"),
        ],
        "250",
    ),
    (26, &[("list", "127.0.0.2")], "250"),
    // Weights add up, and a list of the wanted outweighs.
    (27, &[("weak", "127.0.0.3")], "250"),
    (
        28,
        &[("weak", "127.0.0.3"), ("meek", "127.0.0.3")],
        "550 5.7.1 203.0.113.28 is blocked by weak.test",
    ),
    (29, &[("list", "127.0.0.2"), ("wanted", "127.0.0.2")], "250"),
    (
        30,
        &[("list", "127.0.0.2"), ("weak", "127.0.0.3")],
        "550 5.7.1 203.0.113.30 is listed by list.test",
    ),
    // May relay, and is listed.
    (31, &[("list", "127.0.0.2")], "250"),
];

fn zone() -> String {
    // RFC 5782 section 5: a list has 127.0.0.2 and not 127.0.0.1.
    let mut zone: String = ["list", "weak", "meek", "wanted", "dead"]
        .map(|list| format!("2.0.0.127.{list} A 127.0.0.2\n"))
        .concat();
    zone += "*.dead A 127.0.0.2\n1.0.0.127.dead A 127.0.0.2\n";
    for (last, lists, _) in CLIENTS {
        for (list, answer) in lists {
            zone += &format!("{last}.113.0.203.{list} A {answer}\n");
        }
    }
    zone + "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.list A 127.0.0.2\n"
}

fn asked(relay: &Relay, client: IpAddr, recipient: &str) -> Reply {
    let mut dialogue =
        Dialogue::proxied(relay.network.permitted(), relay.listener("front"), client);
    dialogue.expect(220);
    dialogue.ask("EHLO client.test", 250);
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.say(&format!("RCPT TO:<{recipient}>"))
}

#[test]
fn listed_clients_are_refused_by_weight_and_code() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let names = NameServer::start(network.name_server(), &zone());
    let more = format!(
        "{}[domain.\"hosted.test\"]\nroute = \"{}\"\n[listener.front]\nbind = \"{}:0\"\n\
         proxy_protocol_from = [\"{}\"]\nrelay = {{ allow = [\"203.0.113.31\"] }}\n{LISTS}",
        names.config(),
        server.route(),
        network.relay(),
        network.permitted(),
    );
    let relay = Relay::start(network, &more);
    for (last, _, answer) in CLIENTS {
        let client = IpAddr::V4(Ipv4Addr::new(203, 0, 113, last));
        let reply = asked(&relay, client, "bob@hosted.test");
        assert!(
            reply.text().starts_with(answer),
            "{client}: {}",
            reply.text()
        );
    }
    let listed = |address: &str| address.parse::<IpAddr>().expect("an address");
    assert_eq!(
        asked(&relay, listed("2001:db8::3"), "bob@hosted.test").code,
        550
    );
    assert_eq!(
        asked(&relay, listed("2001:db8::4"), "bob@hosted.test").code,
        250
    );
    // RFC 5321 section 4.5.1: whoever is blocked can ask why.
    assert_eq!(
        asked(&relay, listed("203.0.113.21"), "postmaster@hosted.test").code,
        250
    );
    assert_eq!(
        asked(&relay, listed("203.0.113.21"), "bob@elsewhere.test").code,
        550
    );
    assert_eq!(
        asked(&relay, listed("203.0.113.31"), "bob@elsewhere.test").code,
        250
    );
    assert!(
        relay.log().contains("dead.test"),
        "nobody was told of the dead list: {}",
        relay.log()
    );
}

#[test]
fn a_list_that_refuses_nobody_is_a_condition_of_rules() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let names = NameServer::start(network.name_server(), &zone());
    let more = format!(
        "{}[domain.\"hosted.test\"]\nroute = \"{}\"\n[listener.front]\nbind = \"{}:0\"\n\
         proxy_protocol_from = [\"{}\"]\ndnsbl_threshold = 5\n\
         [[listener.front.dnsbl]]\nzone = \"list.test\"\n\
         [[screen]]\nname = \"doubtful\"\nwhen.dnsbl = \"list.test\"\nadd_header = \"X-Listed: yes\"\n",
        names.config(),
        server.route(),
        network.relay(),
        network.permitted(),
    );
    let relay = Relay::start(network, &more);
    for (last, listed) in [(20, None), (21, Some("yes"))] {
        let client = IpAddr::V4(Ipv4Addr::new(203, 0, 113, last));
        let (proxy, front) = (relay.network.permitted(), relay.listener("front"));
        let mut dialogue = Dialogue::proxied(proxy, front, client);
        dialogue.expect(220);
        dialogue.ask("EHLO client.test", 250);
        let subject = format!("from-{last}");
        let answer = dialogue.submit("ann@client.test", &["bob@hosted.test"], &message(&subject));
        assert_eq!(answer.code, 250, "{}", answer.text());
        let received = server.wait_for(&subject);
        assert_eq!(received.header("X-Listed").as_deref(), listed);
    }
}
