//! Encryption to the next hop: what is offered is used, what is demanded is insisted on, and what a
//! certificate must say is looked at. The next hop is a Postfix with OpenSSL, on several ports with
//! a certificate each.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::client::{message, submit};
use crate::dns::NameServer;
use crate::network::Network;
use crate::peer_certificates::{PeerAuthority, PeerCertificate, text};
use crate::postfix::Postfix;
use crate::relay::Relay;
use crate::script::Script;
use crate::server::{RecordingServer, route_to};

/// A domain with a route of its own; `more` are lines of the route.
fn domain(name: &str, host: &str, more: &str) -> String {
    format!(
        "[domain.\"{name}.test\"]\nroute = \"{name}\"\n[route.{name}]\nhosts = \"{host}\"\n{more}\n"
    )
}

fn send(relay: &Relay, domain: &str) {
    submit(
        relay.network.stranger(),
        relay.address(),
        "ann@client.test",
        &[&format!("bob@{domain}.test")],
        &message(domain),
    );
}

/// One more port of a Postfix, with a certificate of its own: a line of master.cf.
pub fn service(address: SocketAddr, certificate: &PeerCertificate, options: &str) -> String {
    format!(
        "{address} inet n - n - - smtpd -o smtpd_tls_cert_file={} -o smtpd_tls_key_file={} {options}\n",
        text(&certificate.chain),
        text(&certificate.key)
    )
}

#[test]
fn certificates_are_looked_at_as_far_as_the_route_demands() {
    let network = Network::new();
    let (ours, other) = (
        PeerAuthority::new(),
        PeerAuthority::named("another authority"),
    );
    let host = network.mail_server().ip();
    let cases = [
        ("good", ours.certificate(&["mx.peer.test"])),
        ("wildcard", ours.certificate(&["*.peer.test"])),
        ("named", ours.certificate(&["mx.elsewhere.test"])),
        ("expired", ours.expired("mx.peer.test")),
        ("unknown", other.certificate(&["mx.peer.test"])),
    ];
    let ports = cases.each_ref().map(|_| network.free_port(host));
    let services: String = cases
        .iter()
        .zip(ports)
        .map(|((_, certificate), address)| service(address, certificate, ""))
        .collect();
    let names = ["good", "wildcard", "named", "expired", "unknown"];
    let encrypted: Vec<String> = names
        .iter()
        .map(|name| format!("encrypted-{name}.test"))
        .collect();
    let verified: Vec<String> = names
        .iter()
        .map(|name| format!("verified-{name}.test"))
        .collect();
    let domains: Vec<&str> = encrypted
        .iter()
        .chain(&verified)
        .map(String::as_str)
        .collect();
    let settings = Postfix::one_mailbox(&domains)
        + "smtpd_tls_security_level = may\nsmtpd_tls_received_header = yes\n";
    let postfix = Postfix::start_with(network.free_port(host), &settings, &services);

    let dns = NameServer::start(network.name_server(), &format!("mx.peer A {host}"));
    let mut config = dns.config();
    for (name, address) in names.iter().zip(ports) {
        let at = format!("[mx.peer.test]:{}", address.port());
        config += &domain(&format!("encrypted-{name}"), &at, "tls = \"require\"");
        let more = format!("tls = \"verify\"\nca = \"{}\"", text(&ours.file()));
        config += &domain(&format!("verified-{name}"), &at, &more);
    }
    let relay = Relay::start(network, &config);
    for name in names {
        send(&relay, &format!("encrypted-{name}"));
        send(&relay, &format!("verified-{name}"));
    }

    for name in names {
        let stored = postfix.wait_for(&format!("Subject: encrypted-{name}"));
        assert!(stored.contains("with ESMTPS"), "{stored}");
    }
    for name in ["good", "wildcard"] {
        let stored = postfix.wait_for(&format!("Subject: verified-{name}"));
        assert!(stored.contains("with ESMTPS"), "{stored}");
    }
    for (name, words) in [
        ("named", "mx.elsewhere.test"),
        ("expired", "expired"),
        ("unknown", "authority"),
    ] {
        let heard = relay.wait_for_deferral(&format!("bob@verified-{name}.test"));
        assert!(
            heard.contains("4.7.") && heard.contains(words),
            "{name}: {heard}"
        );
    }
    assert_eq!(postfix.mailbox("all").len(), 7, "and nothing else arrived");
}

#[test]
fn a_host_by_its_address_is_verified_by_that_or_by_the_name_of_its_route() {
    let network = Network::new();
    let authority = PeerAuthority::new();
    let host = network.mail_server().ip();
    let address = host.to_string();
    // The route's line about the name, and the certificate.
    let cases = [
        ("address", "", authority.certificate(&[&address])),
        (
            "named",
            "tls_name = \"mx.peer.test\"",
            authority.certificate(&["mx.peer.test"]),
        ),
        ("other", "", authority.certificate(&["mx.peer.test"])),
        (
            "bare",
            "tls_name = \"mx.peer.test\"",
            authority.without_alternative_names("mx.peer.test"),
        ),
    ];
    let ports = cases.each_ref().map(|_| network.free_port(host));
    let services: String = cases
        .iter()
        .zip(ports)
        .map(|((_, _, certificate), address)| service(address, certificate, ""))
        .collect();
    let domains = cases.each_ref().map(|(name, _, _)| format!("{name}.test"));
    let domains = domains.each_ref().map(String::as_str);
    let settings = Postfix::one_mailbox(&domains)
        + "smtpd_tls_security_level = may\nsmtpd_tls_received_header = yes\n";
    let postfix = Postfix::start_with(network.free_port(host), &settings, &services);
    let mut config = String::new();
    for ((name, line, _), address) in cases.iter().zip(ports) {
        let ca = text(&authority.file());
        let more = format!("tls = \"verify\"\nca = \"{ca}\"\n{line}");
        config += &domain(name, &route_to(address), &more);
    }
    let relay = Relay::start(network, &config);
    for (name, _, _) in &cases {
        send(&relay, name);
    }
    for name in ["address", "named"] {
        let stored = postfix.wait_for(&format!("Subject: {name}"));
        assert!(stored.contains("with ESMTPS"), "{stored}");
    }
    let of_other = format!("certificate is for mx.peer.test, not {address}");
    for (name, words) in [
        ("other", &*of_other),
        ("bare", "certificate has no subjectAltName"),
    ] {
        let heard = relay.wait_for_deferral(&format!("bob@{name}.test"));
        assert!(heard.contains(words), "{name}: {heard}");
    }
    assert_eq!(postfix.mailbox("all").len(), 2, "and nothing else arrived");
    let checked = relay.command(&["config", "check"]).expect_code(0);
    let words = format!("the certificate of [{address}] must name that address");
    assert!(checked.text().contains(&words), "{}", checked.text());
}

/// Each host of a route has a certificate of its own, and the name of one is none of the other.
#[test]
fn two_hosts_of_a_route_are_each_verified_by_a_name_of_their_own() {
    let network = Network::new();
    let authority = PeerAuthority::new();
    let address = network.mail_server().ip();
    let [one, two] = ["one", "two"].map(|host| {
        let port = network.free_port(address);
        let certificate = authority.certificate(&[&format!("{host}.peer.test")]);
        let named = format!("-o myhostname={host}.postfix.test");
        (port, service(port, &certificate, &named), certificate)
    });
    let domains = ["own.test", "second.test", "swapped.test"];
    let settings = Postfix::one_mailbox(&domains) + "smtpd_tls_security_level = may\n";
    let services = format!("{}{}", one.1, two.1);
    let postfix = Postfix::start_with(network.free_port(address), &settings, &services);
    let mut config = "[queue]\nretry = [\"1h\"]\n".to_owned();
    // For whom the certificates of the two have to be.
    for (name, names) in [
        ("own", ["one", "two"]),
        ("second", ["two", "two"]),
        ("swapped", ["two", "one"]),
    ] {
        let hosts = [one.0, two.0].map(route_to).into_iter().zip(names);
        let hosts = hosts.map(|(host, name)| {
            format!("{{ host = \"{host}\", tls_name = \"{name}.peer.test\" }}")
        });
        let hosts = hosts.collect::<Vec<_>>().join(", ");
        config += &format!(
            "[domain.\"{name}.test\"]\nroute = \"{name}\"\n[route.{name}]\nhosts = [{hosts}]\n\
             tls = \"verify\"\nca = \"{}\"\n",
            text(&authority.file())
        );
    }
    let relay = Relay::start(network, &config);
    for (name, by) in [("own", "one"), ("second", "two")] {
        send(&relay, name);
        let stored = postfix.wait_for(&format!("Subject: {name}"));
        assert!(
            stored.contains(&format!("by {by}.postfix.test")),
            "{stored}"
        );
    }
    // Why the second one had the mail.
    let shape = relay.command(&["queue", "shape"]).expect_code(0).out;
    let resting = shape.lines().find(|line| line.contains("rests until"));
    let resting = resting.unwrap_or_else(|| panic!("{shape}"));
    let words = "certificate is for one.peer.test, not two.peer.test";
    assert!(
        resting.contains(&route_to(one.0)) && resting.contains(words),
        "{shape}"
    );
    send(&relay, "swapped");
    let heard = relay.wait_for_deferral("bob@swapped.test");
    assert!(
        heard.contains("4.7.5") && heard.contains("not one.peer.test"),
        "{heard}"
    );
    assert_eq!(postfix.mailbox("all").len(), 2, "and nothing else arrived");
}

#[test]
fn what_is_offered_is_used_and_what_fails_is_done_without() {
    let network = Network::new();
    let certificate = PeerAuthority::new().certificate(&["server.test"]);
    let at = || network.free_port(network.mail_server().ip());
    let start =
        |conduct: &str| Script::smtp_with(at(), &certificate, json!({ "starttls": conduct }));
    let (offers, breaks, refuses) = (start("offer"), start("broken"), start("refuse"));
    let servers = [
        ("offers", &offers),
        ("breaks", &breaks),
        ("refuses", &refuses),
    ];
    let mut config: String = servers
        .map(|(name, at)| domain(name, &at.route(), ""))
        .concat();
    config += &domain("off", &offers.route(), "tls = \"off\"");
    let relay = Relay::start(network, &config);

    for name in ["offers", "breaks", "refuses", "off"] {
        send(&relay, name);
    }
    let protocol = offers.wait_for("Subject: offers")["tls"].clone();
    assert!(
        protocol
            .as_str()
            .is_some_and(|tls| tls.starts_with("TLSv1.")),
        "{protocol}"
    );
    for (name, server) in [("breaks", &breaks), ("refuses", &refuses), ("off", &offers)] {
        let entry = server.wait_for(&format!("Subject: {name}\n"));
        assert!(entry["tls"].is_null(), "{name} took it in clear: {entry}");
    }
    assert!(breaks.heard("STARTTLS") && refuses.heard("STARTTLS"));
    relay.wait_until_empty();
    // The row of the attempt has all of it, or none.
    let tls_to = |name: &str| {
        let asked = format!("to:*@{name}.test state:delivered");
        let out = relay.command(&["--json", "track", &asked]).expect_code(0);
        let rows: Value = serde_json::from_str(&out.out).expect("JSON");
        rows[0]["tls"].clone()
    };
    let tls = tls_to("offers");
    let tls = tls.as_str().expect("how it was encrypted");
    assert!(
        tls.starts_with("TLSv1.3 TLS_") && tls.ends_with(" X25519 full"),
        "{tls}"
    );
    assert_eq!(tls_to("off"), Value::Null);
}

#[test]
fn required_encryption_is_never_done_without() {
    let network = Network::new();
    let certificate = PeerAuthority::new().certificate(&["server.test"]);
    let at = || network.free_port(network.mail_server().ip());
    let start =
        |conduct: &str| Script::smtp_with(at(), &certificate, json!({ "starttls": conduct }));
    let (breaks, refuses) = (start("broken"), start("refuse"));
    // Somebody in between took STARTTLS out of the answer to EHLO.
    let stripped = RecordingServer::start(at());
    let hosts = [
        ("breaks", breaks.route()),
        ("refuses", refuses.route()),
        ("stripped", stripped.route()),
    ];
    let mut config = String::from("[queue]\nretry = [\"1s\"]\nprobe = \"1s\"\n");
    for (name, host) in &hosts {
        config += &domain(name, host, "tls = \"require\"");
    }
    let relay = Relay::start(network, &config);

    for (name, _) in &hosts {
        send(&relay, name);
        let heard = relay.wait_for_deferral(&format!("bob@{name}.test"));
        assert!(heard.contains("451 4."), "{name}: {heard}");
    }
    let heard = relay.wait_for_deferral("bob@stripped.test");
    assert!(heard.contains("STARTTLS"), "{heard}");
    assert!(!breaks.heard("MAIL") && !refuses.heard("MAIL"));
    assert_eq!(stripped.count(), 0);
    assert_eq!(relay.queued(), 3);
}

#[test]
fn text_before_the_handshake_is_not_taken_for_an_answer() {
    let network = Network::new();
    let certificate = PeerAuthority::new().certificate(&["server.test"]);
    let settings = json!({ "starttls": "inject" });
    let server = Script::smtp_with(network.mail_server(), &certificate, settings);
    let relay = Relay::start(
        network,
        &domain("inject", &server.route(), "tls = \"require\""),
    );
    send(&relay, "inject");
    let heard = relay.wait_for_deferral("bob@inject.test");
    assert!(heard.contains("4."), "{heard}");
    assert!(!server.heard("MAIL") && server.heard("STARTTLS"));
}

#[test]
fn a_client_certificate_is_shown_to_who_asks() {
    let network = Network::new();
    let authority = PeerAuthority::new();
    let (theirs, ours) = (
        authority.certificate(&["postfix.test"]),
        authority.certificate(&["relay.test"]),
    );
    let settings = Postfix::one_mailbox(&["shown.test", "hidden.test"])
        + &theirs.for_postfix()
        + &format!(
            "smtpd_tls_security_level = encrypt\nsmtpd_tls_req_ccert = yes\nsmtpd_tls_CAfile = {}\n\
             smtpd_tls_received_header = yes\n",
            text(&authority.file())
        );
    let postfix = Postfix::start(network.mail_server(), &settings);
    let host = route_to(postfix.address);
    let shown = format!(
        "tls = \"require\"\ncertificate = \"{}\"\nkey = \"{}\"",
        text(&ours.chain),
        text(&ours.key)
    );
    let config = domain("shown", &host, &shown) + &domain("hidden", &host, "tls = \"require\"");
    let relay = Relay::start(network, &config);
    send(&relay, "shown");
    let stored = postfix.wait_for("Subject: shown");
    let unfolded = stored.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        unfolded
            .contains("(Client CN \"relay.test\", Issuer \"authority of a test\" (verified OK))"),
        "{stored}"
    );
    send(&relay, "hidden");
    relay.wait_for_deferral("bob@hidden.test");
    assert_eq!(postfix.mailbox("all").len(), 1);
}

#[test]
fn port_465_is_encrypted_from_the_first_octet() {
    let network = Network::new();
    let certificate = PeerAuthority::new().certificate(&["postfix.test"]);
    let host = network.mail_server().ip();
    let implicit = SocketAddr::new(host, 465);
    let settings = Postfix::one_mailbox(&["implicit.test"]) + "smtpd_tls_received_header = yes\n";
    let options = "-o smtpd_tls_wrappermode=yes -o smtpd_tls_security_level=encrypt";
    let services = service(implicit, &certificate, options);
    let postfix = Postfix::start_with(network.free_port(host), &settings, &services);
    let relay = Relay::start(
        network,
        &domain("implicit", &route_to(implicit), "tls = \"require\""),
    );
    send(&relay, "implicit");
    let stored = postfix.wait_for("Subject: implicit");
    assert!(stored.contains("with ESMTPS"), "{stored}");
}
