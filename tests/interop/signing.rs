//! Mail of those who may relay is signed, and another program verifies it by keys that a real name
//! server holds.

use std::path::Path;

use crate::client::{message, submit};
use crate::dns::{self, NameServer};
use crate::network::Network;
use crate::program::{feed, path_of};
use crate::relay::Relay;
use crate::server::{Conduct, Received, RecordingServer};

/// The spool keeps larger content as a file.
const LARGE: usize = 300_000;

/// Makes a key in the folder `dkim` beside the configuration; gives its record.
fn key(relay: &Relay, domain: &str, more: &[&str]) -> String {
    let out = relay.folder().join("dkim").display().to_string();
    let arguments = [&["dkim", "keygen", domain, "--out", &out], more].concat();
    let said = relay.command(&arguments).expect_code(0).out;
    said.split_once('\n')
        .expect("a file and a record")
        .1
        .to_owned()
}

/// What dkimpy says of the signatures of a message.
fn verified(names: &NameServer, message: &Received) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/python");
    let script = script.join("dkim_verify.py").display().to_string();
    let (host, port) = (
        names.address.ip().to_string(),
        names.address.port().to_string(),
    );
    let python = path_of("/usr/bin/python3").display().to_string();
    let ran = feed(&python, &[&script, &host, &port], &message.data);
    ran.expect_code(0).out
}

fn large(id: &str) -> String {
    message(id) + &"And  more \t of it.\r\n".repeat(LARGE / 19)
}

#[test]
fn what_leaves_is_signed_and_dkimpy_agrees() {
    let network = Network::new();
    let far = RecordingServer::start_with(
        network.mail_server(),
        Conduct {
            at_recipient: |to| to.contains("gone").then_some("550 5.1.1 nobody here"),
            ..Conduct::default()
        },
    );
    let mut relay = Relay::prepare(network, "");
    let records = [
        key(&relay, "client.test", &[]),
        key(&relay, "client.test", &["--ed25519"]),
        key(&relay, "relay.test", &[]),
    ];
    let names = NameServer::start(network.name_server(), &records.concat());
    let plain = format!(
        "{dns}[outbound]\nroute = \"{far}\"\n[domain.\"hosted.test\"]\nroute = \"{far}\"\n\
         [dkim.\"client.test\"]\nselector = [\"rsa\", \"ed25519\"]\n\
         key = [\"dkim/rsa.client.test.key\", \"dkim/ed25519.client.test.key\"]\n\
         [dkim.\"relay.test\"]\nselector = \"rsa\"\nkey = \"dkim/rsa.relay.test.key\"\n",
        dns = dns::config_for(network.name_server()),
        far = far.route(),
    );
    let footer = "[[screen]]\nwhen.direction = \"out\"\nfooter = \"Registered in Nowhere\"\n";
    relay.write_config(&format!("{plain}{footer}"));
    relay.run();
    let (ours, stranger) = (network.permitted(), network.stranger());
    let send = |from, to: &str, text: &str| {
        submit(from, relay.address(), "ann@client.test", &[to], text);
    };
    let good = "client.test rsa pass\nclient.test ed25519 pass\n";
    send(ours, "bob@far.test", &message("small"));
    send(ours, "bob@far.test", &large("large"));
    for id in ["small", "large"] {
        let taken = far.wait_for(id);
        assert!(taken.text().contains("Registered in Nowhere"), "{id}");
        assert_eq!(verified(&names, &taken), good, "{}", taken.text());
    }
    // What others must not know is gone before it is signed.
    send(
        ours,
        "bob@far.test",
        &format!("Bcc: secret@far.test\r\n{}", message("hidden")),
    );
    let taken = far.wait_for("hidden");
    assert!(!taken.text().contains("Bcc"), "{}", taken.text());
    assert_eq!(verified(&names, &taken), good, "{}", taken.text());
    // What anybody may have written is nothing that we stand for.
    send(stranger, "bob@hosted.test", &message("strange"));
    assert_eq!(far.wait_for("strange").header("DKIM-Signature"), None);
    let check = |client: &str| {
        let who = [
            "relay",
            "check",
            "--client",
            client,
            "--mail",
            "ann@client.test",
        ];
        relay
            .command(&[&who[..], &["--rcpt", "bob@hosted.test"]].concat())
            .out
    };
    let place = relay.place_of("[dkim.\"client.test\"]");
    let told = check(&ours.to_string());
    let keys = "by rsa._domainkey.client.test and ed25519._domainkey.client.test";
    assert!(told.contains(keys) && told.contains(&place), "{told}");
    assert!(!check(&stranger.to_string()).contains("_domainkey"));

    // Where no rule looks at it, a large one is signed without being read into memory.
    relay.write_config(&plain);
    relay.command(&["reload"]).expect_code(0);
    send(ours, "bob@far.test", &message("plain-small"));
    send(ours, "bob@far.test", &large("plain-large"));
    for id in ["plain-small", "plain-large"] {
        let taken = far.wait_for(id);
        assert_eq!(verified(&names, &taken), good, "{}", taken.text());
    }
    // A notice is signed by the domain from which it is.
    let bouncing = message("bouncing");
    submit(
        ours,
        relay.address(),
        "ann@hosted.test",
        &["gone@far.test"],
        &bouncing,
    );
    let bounce = far.wait_where("the bounce", |one| one.from.is_empty());
    assert_eq!(
        verified(&names, &bounce),
        "relay.test rsa pass\n",
        "{}",
        bounce.text()
    );
}
