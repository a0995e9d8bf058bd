//! `gatepost test delivery` against real servers, and against servers that refuse at each stage. No
//! relay runs, and nobody is sent a message.

use std::fs;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::client::{message, submit};
use crate::dns::NameServer;
use crate::dovecot::Dovecot;
use crate::network::Network;
use crate::peer_certificates::{PeerAuthority, text};
use crate::postfix::Postfix;
use crate::program::{self, Ran};
use crate::relay::Relay;
use crate::script::Script;
use crate::server::{Conduct, RecordingServer, route_to};
use crate::wait::{seconds, until_true};

const PASSWORD: &str = "open Sesame, 100 %";

fn route(name: &str, host: SocketAddr, more: &str) -> String {
    format!(
        "[domain.\"{name}.test\"]\nroute = \"{name}\"\n[route.{name}]\nhosts = \"{}\"\n{more}\n",
        route_to(host)
    )
}

fn try_delivery(relay: &Relay, more: &[&str]) -> Ran {
    relay.command(&[&["test", "delivery"], more].concat())
}

/// What is said of the only host.
fn host(relay: &Relay, address: &str, code: i32) -> Value {
    let ran = try_delivery(relay, &["--json", address]);
    let told: Value = serde_json::from_str(&ran.expect_code(code).out).expect("JSON");
    told["recipients"][0]["sites"][0]["hosts"][0].clone()
}

#[test]
fn each_refusal_is_told_with_its_stage() {
    let network = Network::new();
    let authority = PeerAuthority::new();
    let certificate = authority.certificate(&["server.test"]);
    let other = PeerAuthority::named("another");
    let port = |last| network.free_port(network.host(last));
    let saying = |last, verb: &str, reply: &str| {
        let settings =
            json!({ "starttls": "offer", "auth": ["PLAIN"], "replies": { verb: reply } });
        Script::smtp_with(port(last), &certificate, settings)
    };
    let clear = Script::smtp(port(40), json!({}));
    let broken = Script::smtp(port(41), json!({ "starttls": "broken" }));
    let nobody = port(42);
    let verified = |of: &PeerAuthority| {
        let ca = text(&of.file());
        format!("tls = \"verify\"\nca = \"{ca}\"\ntls_name = \"server.test\"")
    };
    let sign_in = format!(
        "{}\nauth = {{ user = \"us\", secret = \"file:secret\" }}",
        verified(&authority)
    );
    let servers = [
        ("banner", "CONNECT", "554 5.7.1 go away"),
        ("EHLO", "EHLO", "521 5.3.2 no mail here"),
        ("sign-in", "AUTH", "535 5.7.8 not you"),
        ("MAIL", "MAIL", "550 5.7.60 not as this sender"),
        ("RCPT", "RCPT", "550 5.1.1 nobody"),
        ("later", "RCPT", "450 4.2.0 come again"),
        ("gone", "RCPT", ""),
        ("certificate", "NONE", ""),
        ("fine", "NONE", ""),
    ];
    let servers: Vec<(&str, Script)> = (60..)
        .zip(servers)
        .map(|(last, (name, verb, reply))| (name, saying(last, verb, reply)))
        .collect();
    let mut config = "[outbound]\nmasquerade_domain = \"us.test\"\n".to_owned();
    config += &route("connect", nobody, "");
    config += &route("starttls", clear.address, "tls = \"require\"");
    config += &route("broken", broken.address, "");
    for (name, server) in &servers {
        let more = match *name {
            "certificate" => verified(&other),
            "sign-in" | "fine" => sign_in.clone(),
            _ => String::new(),
        };
        config += &route(&name.to_lowercase(), server.address, &more);
    }
    let relay = Relay::prepare(network, &config);
    let secret = relay.folder().join("secret");
    fs::write(&secret, "NEVER_SHOWN\n").expect("a secret");
    program::run("chmod", &["600", &secret.display().to_string()]).expect_code(0);

    for (name, stage, words, code) in [
        ("connect", "connect", "refused", 75),
        ("banner", "banner", "554 5.7.1 go away", 75),
        ("ehlo", "EHLO", "521 5.3.2", 75),
        ("starttls", "STARTTLS", "required and not offered", 75),
        ("certificate", "certificate", "not accepted", 75),
        ("sign-in", "sign-in", "535 5.7.8 not you", 75),
        ("mail", "MAIL", "550 5.7.60", 1),
        ("rcpt", "RCPT", "550 5.1.1 nobody", 1),
        ("later", "RCPT", "450 4.2.0", 75),
        ("gone", "RCPT", "Connection lost after RCPT", 75),
    ] {
        let told = host(&relay, &format!("bob@{name}.test"), code);
        assert_eq!(told["failed_at"], stage, "{name}: {told}");
        assert_eq!(told["stages"][stage], "FAIL", "{name}: {told}");
        let reason = told["reason"].as_str().expect("a reason");
        assert!(reason.contains(words), "{name}: {reason}");
        assert!(told["advice"].is_string(), "{name}: {told}");
    }

    let fine = host(&relay, "bob@fine.test", 0);
    assert_eq!(fine["failed_at"], Value::Null, "{fine}");
    assert_eq!(fine["stages"]["STARTTLS"], "TLSv1.3");
    assert_eq!(fine["stages"]["certificate"], "verified");
    assert_eq!(fine["stages"]["sign-in"], "ok");
    // Nobody demands encryption, so mail goes without when it is broken, and so does the test.
    let broken = host(&relay, "bob@broken.test", 0);
    assert_eq!(broken["stages"]["STARTTLS"], "broken", "{broken}");
    assert_eq!(broken["stages"]["certificate"], "-");

    for (name, server) in &servers {
        assert!(!server.heard("DATA") && !server.heard("BDAT"), "{name}");
    }
    let fine = servers.iter().find(|(name, _)| *name == "fine");
    let fine = &fine.expect("the server").1;
    assert!(fine.heard("RSET"), "the transaction is undone");
    let printed = try_delivery(&relay, &["--from", "ann@localhost", "bob@fine.test"]).out;
    assert!(fine.heard("MAIL FROM:<ann@us.test>"), "{printed}");
    assert!(printed.contains("would be taken by"), "{printed}");
    assert!(!printed.contains("NEVER_SHOWN"), "{printed}");
}

#[test]
fn every_host_of_a_domain_is_tried_and_the_first_word_counts() {
    let network = Network::new();
    let prefix = network.host(0).to_string();
    let prefix = prefix.strip_suffix(".0").expect("a network address");
    let zone = "far MX 10 gone.far\nfar MX 20 dead.far\nfar MX 30 no.far\nfar MX 40 yes.far\n\
                dead.far A NET.21\nno.far A NET.22\nyes.far A NET.23\nnull MX 0 .\n\
                two MX 10 busy.two\ntwo MX 20 yes.two\nbusy.two A NET.24\nyes.two A NET.23";
    let names = NameServer::start(network.name_server(), &zone.replace("NET", prefix));
    let refuses = Conduct {
        at_recipient: |_| Some("550 5.1.1 nobody"),
        ..Conduct::default()
    };
    let no = RecordingServer::start_with(network.free_port(network.host(22)), refuses);
    let port = no.address.port();
    let yes = RecordingServer::start(SocketAddr::new(network.host(23), port));
    let is_busy = Conduct {
        at_recipient: |_| Some("421 4.3.2 not now"),
        ..Conduct::default()
    };
    let busy = SocketAddr::new(network.host(24), port);
    let _busy = RecordingServer::start_with(busy, is_busy);
    let config = format!(
        "[outbound]\nport = {port}\nprivate_mx = [\"127.0.0.0/8\"]\n{}",
        names.config()
    );
    let relay = Relay::prepare(network, &config);

    let printed = try_delivery(&relay, &["bob@far.test"]).expect_code(1).out;
    let row = |name: &str| {
        let mut lines = printed.lines();
        let found = lines.find(|line| line.starts_with(&format!("{name}.far.test ")));
        let found = found.unwrap_or_else(|| panic!("no {name}: {printed}"));
        found.split_whitespace().skip(2).collect::<Vec<_>>()
    };
    assert_eq!(row("dead"), ["FAIL"]);
    assert_eq!(row("no"), ["ok", "ok", "ok", "-", "-", "-", "ok", "FAIL"]);
    assert_eq!(row("yes"), ["ok", "ok", "ok", "-", "-", "-", "ok", "ok"]);
    assert!(
        printed.contains("FAIL addresses gone.far.test: no such name"),
        "{printed}"
    );
    assert!(printed.contains("would be bounced"), "{printed}");
    // A host that hangs up has said nothing of the mail: the next one does.
    try_delivery(&relay, &["bob@two.test"]).expect_code(0);
    try_delivery(&relay, &["bob@null.test"]).expect_code(1);
    try_delivery(&relay, &["bob@nowhere.test"]).expect_code(1);
    try_delivery(&relay, &["bob@"]).expect_code(2);
    assert!(yes.received().is_empty() && no.received().is_empty());
}

#[test]
fn postfix_says_the_same_to_the_test_as_to_mail() {
    let network = Network::new();
    let authority = PeerAuthority::new();
    let certificate = authority.certificate(&["postfix.test"]);
    let dovecot = Dovecot::start("relay", PASSWORD);
    let settings = Postfix::mailboxes("real.test", &["bob"])
        + "\n"
        + &dovecot.for_postfix()
        + &certificate.for_postfix()
        + "smtpd_tls_security_level = may\n";
    let postfix = Postfix::start(network.mail_server(), &settings);
    let more = format!(
        "tls = \"verify\"\nca = \"{}\"\ntls_name = \"postfix.test\"\n\
         auth = {{ user = \"relay\", secret = \"file:secret\" }}",
        text(&authority.file())
    );
    let mut relay = Relay::prepare(network, &route("real", postfix.address, &more));
    let secret = relay.folder().join("secret");
    fs::write(&secret, format!("{PASSWORD}\n")).expect("a secret");
    program::run("chmod", &["600", &secret.display().to_string()]).expect_code(0);
    relay.run();

    let bob = host(&relay, "bob@real.test", 0);
    assert_eq!(bob["stages"]["sign-in"], "ok", "{bob}");
    let eve = host(&relay, "eve@real.test", 1);
    assert_eq!(eve["failed_at"], "RCPT", "{eve}");
    submit(
        relay.network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@real.test"],
        &message("real"),
    );
    relay.wait_until_empty();
    // Postfix has taken it; it files it a little later.
    until_true("the one that was sent", seconds(20), || {
        postfix.mailbox("bob").len() == 1
    });
}
