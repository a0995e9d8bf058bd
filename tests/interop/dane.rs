//! DANE (RFC 7672): the MX host is held to the TLSA record that its signed zone has of it. The
//! zones are signed by ldns and served by nsd, an unbound validates them, and the MX hosts are one
//! Postfix with several addresses.

use std::net::{IpAddr, SocketAddr};

use crate::client::{message, submit};
use crate::network::Network;
use crate::peer_certificates::{PeerAuthority, PeerCertificate};
use crate::postfix::Postfix;
use crate::relay::Relay;
use crate::signed_zone::{SignedZone, Validation};

/// The MX hosts: name of the domain, last octet of the host's address.
const HOSTS: [(&str, u8); 8] = [
    ("good", 20),
    ("wrong", 21),
    ("missing", 22),
    ("bogus", 23),
    ("unusable", 24),
    ("unsigned", 25),
    ("aliased", 26),
    ("odd", 27),
];

/// A digest that no certificate has, and what becomes of it after signing.
const FORGED: (&str, &str) = (
    "1111111111111111111111111111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222222222222222222222222222",
);

fn postfix(network: Network, port: u16, certificate: &PeerCertificate) -> Postfix {
    let others: String = HOSTS[1..]
        .iter()
        .map(|&(_, last)| {
            let address = SocketAddr::new(network.host(last), port);
            format!("{address} inet n - n - - smtpd\n")
        })
        .collect();
    let domains = HOSTS.map(|(name, _)| format!("{name}.test"));
    let settings = Postfix::one_mailbox(&domains.each_ref().map(String::as_str))
        + &certificate.for_postfix()
        + "smtpd_tls_security_level = may\nsmtpd_tls_received_header = yes\n";
    Postfix::start_with(SocketAddr::new(network.host(20), port), &settings, &others)
}

fn zone(network: Network, port: u16, digest: &str) -> String {
    let mut zone = String::new();
    for (name, last) in HOSTS.iter().filter(|(name, _)| *name != "unsigned") {
        // The host of one is an alias.
        let (host, alias) = match *name {
            "aliased" => (
                "host.aliased.test.",
                "mx.aliased.test. CNAME host.aliased.test.\n",
            ),
            name => (&*format!("mx.{name}.test."), ""),
        };
        zone += &format!(
            "{name}.test. MX 10 mx.{name}.test.\n{alias}{host} A {}\n",
            network.host(*last)
        );
    }
    let wrong = "0".repeat(64);
    for (name, record) in [
        ("good", format!("3 1 1 {digest}")),
        ("wrong", format!("3 1 1 {wrong}")),
        ("bogus", format!("3 1 1 {}", FORGED.0)),
        ("unusable", format!("1 1 1 {wrong}")),
    ] {
        zone += &format!("_{port}._tcp.mx.{name}.test. TLSA {record}\n");
    }
    // RFC 7672 section 2.2.2: the records stand at the end of the alias.
    zone += &format!("_{port}._tcp.host.aliased.test. TLSA 3 1 1 {digest}\n");
    // No digest is so short, and nobody knows that kind.
    zone += &format!("_{port}._tcp.mx.odd.test. TLSA 3 1 1 0301\n");
    zone += &format!("_{port}._tcp.mx.odd.test. TLSA 9 9 9 {wrong}\n");
    zone
}

/// A record that nobody signed binds nobody.
fn unsigned_zone(network: Network, port: u16) -> String {
    let wrong = "0".repeat(64);
    format!(
        "@ MX 10 mx\nmx A {}\n_{port}._tcp.mx TLSA 3 1 1 {wrong}",
        network.host(25)
    )
}

struct Stage {
    relay: Relay,
    postfix: Postfix,
    _dns: SignedZone,
    _certificate: PeerCertificate,
}

fn stage(validation: Validation) -> Stage {
    let network = Network::new();
    let port = network.free_port(network.host(20)).port();
    // What is in the certificate besides the key does not matter: it is for another name, and
    // expired.
    let certificate = PeerAuthority::new().expired("elsewhere.test");
    let postfix = postfix(network, port, &certificate);
    let records = zone(network, port, &certificate.public_key_digest());
    let unsigned = unsigned_zone(network, port);
    let dns = SignedZone::start(network, &records, &unsigned, &[FORGED], validation);
    let relay = relay(network, port, &dns, "");
    Stage {
        relay,
        postfix,
        _dns: dns,
        _certificate: certificate,
    }
}

fn relay(network: Network, port: u16, dns: &SignedZone, more: &str) -> Relay {
    let block = match network.host(0) {
        IpAddr::V4(address) => format!("{address}/24"),
        IpAddr::V6(_) => unreachable!("the tests' networks are IPv4"),
    };
    let config = format!(
        "{}[outbound]\nport = {port}\nprivate_mx = [\"{block}\"]\nmta_sts = false\n{more}",
        dns.config()
    );
    Relay::start(network, &config)
}

fn send(relay: &Relay, domain: &str) {
    submit(
        relay.network.permitted(),
        relay.address(),
        "ann@client.test",
        &[&format!("bob@{domain}.test")],
        &message(domain),
    );
}

#[test]
fn tlsa_records_in_a_signed_zone_bind_the_mx_host() {
    let stage = stage(Validation::On);
    let (relay, postfix) = (&stage.relay, &stage.postfix);
    for (name, _) in HOSTS {
        send(relay, name);
    }
    // Nothing usable to compare with still demands encryption; no record, or none that is signed,
    // demands nothing.
    for name in ["good", "unusable", "odd", "missing", "unsigned", "aliased"] {
        let stored = postfix.wait_for(&format!("Subject: {name}"));
        assert!(stored.contains("with ESMTPS"), "{name}: {stored}");
    }
    relay.wait_for_log(&["good.test", "dane"]);
    relay.wait_for_log(&["aliased.test", "dane"]);

    let wrong = relay.wait_for_deferral("bob@wrong.test");
    assert!(wrong.contains("4.7.") && wrong.contains("TLSA"), "{wrong}");
    let bogus = relay.wait_for_deferral("bob@bogus.test");
    assert!(bogus.contains("4.7.") || bogus.contains("TLSA"), "{bogus}");
    assert_eq!(postfix.mailbox("all").len(), 6, "and nothing else arrived");
    let log = postfix.log();
    // Where the records cannot be had, nobody even connects.
    assert!(
        !log.contains("bob@wrong.test") && !log.contains("bob@bogus.test"),
        "{log}"
    );
}

#[test]
fn a_resolver_that_does_not_validate_means_no_dane_and_a_line_that_says_so() {
    let stage = stage(Validation::Off);
    let (relay, postfix) = (&stage.relay, &stage.postfix);
    relay.wait_for_log(&["DANE is off"]);
    for name in ["good", "wrong", "missing"] {
        send(relay, name);
        postfix.wait_for(&format!("Subject: {name}"));
    }
    relay.wait_until_empty();
}

#[test]
fn dane_can_be_switched_off() {
    let network = Network::new();
    let port = network.free_port(network.host(20)).port();
    let certificate = PeerAuthority::new().certificate(&["mx.wrong.test"]);
    let postfix = postfix(network, port, &certificate);
    let records = zone(network, port, &certificate.public_key_digest());
    let dns = SignedZone::start(network, &records, "", &[], Validation::On);
    let relay = relay(network, port, &dns, "dane = false\n");
    send(&relay, "wrong");
    postfix.wait_for("Subject: wrong");
    relay.wait_until_empty();
}
