//! We sign in at the next hop: a Postfix that asks Dovecot, by each mechanism that both know; and
//! servers that would like to have our password in clear, which they never get.

use std::fs;

use serde_json::json;

use crate::client::{message, submit};
use crate::dovecot::Dovecot;
use crate::network::Network;
use crate::peer_certificates::{PeerAuthority, text};
use crate::postfix::Postfix;
use crate::relay::Relay;
use crate::script::Script;
use crate::server::route_to;
use crate::wait::{seconds, until_true};

const PASSWORD: &str = "open Sesame, 100 %";

/// A domain that is handed on by a route of its own, which signs in.
fn domain(name: &str, host: &str, sign_in: &str) -> String {
    format!(
        "[domain.\"{name}.test\"]\nroute = \"{name}\"\n[route.{name}]\nhosts = \"{host}\"\n\
         auth = {{ user = \"relay\", {sign_in} }}\n"
    )
}

/// Lines of a route whose host has a certificate of this authority for `name`.
fn verified(authority: &PeerAuthority, name: &str) -> String {
    let ca = text(&authority.file());
    format!("tls = \"verify\"\nca = \"{ca}\"\ntls_name = \"{name}\"\n")
}

/// A relay with the files `right.secret` and `wrong.secret` beside its configuration.
fn relay_with_secrets(network: Network, config: &str) -> Relay {
    let mut relay = Relay::prepare(network, config);
    for (name, secret) in [("right", PASSWORD), ("wrong", "open barley")] {
        let file = relay.folder().join(format!("{name}.secret"));
        fs::write(&file, format!("{secret}\n")).expect("a secret");
        // A secret that others can read is refused.
        crate::program::run("chmod", &["600", &file.display().to_string()]).expect_code(0);
    }
    relay.run();
    relay
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

#[test]
fn postfix_and_dovecot_let_us_in_by_each_mechanism() {
    let network = Network::new();
    let authority = PeerAuthority::new();
    let certificate = authority.certificate(&["postfix.test"]);
    let dovecot = Dovecot::start("relay", PASSWORD);
    let domains = [
        "plain.test",
        "login.test",
        "scram.test",
        "best.test",
        "wrong.test",
    ];
    let settings = Postfix::one_mailbox(&domains)
        + &dovecot.for_postfix()
        + &certificate.for_postfix()
        + "smtpd_tls_security_level = may\nsmtpd_tls_received_header = yes\n";
    let postfix = Postfix::start(network.mail_server(), &settings);

    let host = route_to(postfix.address);
    let secret = "secret = \"file:right.secret\"";
    let trust = verified(&authority, "postfix.test");
    let mut config = domain("best", &host, secret) + &trust;
    for (name, mechanism) in [
        ("plain", "PLAIN"),
        ("login", "LOGIN"),
        ("scram", "SCRAM-SHA-256"),
    ] {
        let sign_in = format!("{secret}, mechanism = \"{mechanism}\"");
        config += &domain(name, &host, &sign_in);
        config += &trust;
    }
    config += &domain("wrong", &host, "secret = \"file:wrong.secret\"");
    config += &trust;
    let relay = relay_with_secrets(network, &config);

    // The best that is offered is SCRAM, which does not show the password even to the server.
    for (name, mechanism) in [
        ("plain", "PLAIN"),
        ("login", "LOGIN"),
        ("scram", "SCRAM-SHA-256"),
        ("best", "SCRAM-SHA-256"),
    ] {
        send(&relay, name);
        let stored = postfix.wait_for(&format!("Subject: {name}"));
        assert!(stored.contains("(Authenticated sender: relay)"), "{stored}");
        assert!(stored.contains("with ESMTPSA"), "{stored}");
        let log = postfix.log();
        let used = format!("sasl_method={mechanism}, sasl_username=relay");
        assert!(log.contains(&used), "{used}: {log}");
    }

    // A wrong password is our mistake: no sender hears of it.
    send(&relay, "wrong");
    let heard = relay.wait_for_deferral("bob@wrong.test");
    assert!(heard.contains("535"), "{heard}");
    relay.wait_for_log(&["535", "wrong"]);
    until_true(
        "the message alone to wait, without a notice",
        seconds(30),
        || relay.queued() == 1,
    );
    assert_no_secret_in(&relay.log());
}

fn assert_no_secret_in(log: &str) {
    for secret in [PASSWORD, "open barley"] {
        assert!(!log.contains(secret), "the log holds {secret:?}");
    }
}

#[test]
fn no_password_goes_out_in_clear() {
    let network = Network::new();
    let settings = json!({ "auth_in_clear": ["PLAIN", "LOGIN"] });
    let server = Script::smtp(network.mail_server(), settings);
    let config = domain("clear", &server.route(), "secret = \"file:right.secret\"");
    let relay = relay_with_secrets(network, &config);
    send(&relay, "clear");
    let heard = relay.wait_for_deferral("bob@clear.test");
    assert!(heard.contains("STARTTLS"), "{heard}");
    assert!(server.heard("EHLO"), "the relay was there");
    assert!(!server.heard("AUTH") && !server.heard("MAIL"));
}

#[test]
fn a_server_without_sign_in_gets_no_mail_of_a_route_that_signs_in() {
    let network = Network::new();
    let authority = PeerAuthority::new();
    let certificate = authority.certificate(&["server.test"]);
    let settings = json!({ "starttls": "offer" });
    let server = Script::smtp_with(network.mail_server(), &certificate, settings);
    let config = domain("none", &server.route(), "secret = \"file:right.secret\"")
        + &verified(&authority, "server.test");
    let relay = relay_with_secrets(network, &config);
    send(&relay, "none");
    let heard = relay.wait_for_deferral("bob@none.test");
    assert!(
        heard.to_uppercase().contains("AUTH") || heard.contains("sign"),
        "{heard}"
    );
    assert!(!server.heard("MAIL"));
}

#[test]
fn a_password_goes_to_nobody_unverified_unless_that_is_written() {
    let network = Network::new();
    let certificate = PeerAuthority::new().certificate(&["server.test"]);
    let settings = json!({ "starttls": "offer", "auth": ["PLAIN"] });
    let server = Script::smtp_with(network.mail_server(), &certificate, settings);
    let secret = "secret = \"file:right.secret\"";
    let config = domain("silent", &server.route(), secret);
    let mut relay = relay_with_secrets(network, &config);
    send(&relay, "silent");
    let heard = relay.wait_for_deferral("bob@silent.test");
    assert!(heard.contains("certificate"), "{heard}");
    assert!(server.heard("STARTTLS") && !server.heard("AUTH"));
    // Who relied on another default reads which line to write, and where.
    let checked = relay.command(&["config", "check"]).expect_code(0).text();
    for words in [
        "[route.silent] signs in and has no `tls`",
        "tls = \"require\"",
    ] {
        assert!(checked.contains(words), "{checked}");
    }
    relay.stop();
    relay.write_config(&(config + "tls = \"require\"\n"));
    relay.run();
    send(&relay, "silent");
    server.wait_for("Subject: silent");
    assert!(server.heard("AUTH PLAIN"));
}
