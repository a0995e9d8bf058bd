//! Messages that others have collected go through all that looks into messages, before the 250 and after
//! it, and what goes on is octet for octet what came.

use std::collections::BTreeMap;

use crate::client::Dialogue;
use crate::collections::{self, Message};
use crate::dns::NameServer;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Received, RecordingServer};
use crate::wait::{seconds, until_true};

/// Every condition is asked, and nothing follows from any.
const RULES: &str = r#"
[authentication]
spf = true
dkim = true
arc = true
dmarc = "ignore"

[greylisting]
enabled = false

[[screen]]
name = "texts"
when = { words = ["lottery win", "/pri[zs]e.{0,20}claim/"] }
score = 1

[[screen]]
name = "fields"
when = { subject = "/free|offer/", header = ["X-Mailer: /bulk/", "Received: /unknown/"] }
score = 1

[[screen]]
name = "names"
when = { attachment = "*invoice*", extension = ["exe", "zip", "pdf"] }
score = 1

[[screen]]
name = "kinds"
when = { kind = ["executable", "script", "macro", "zip", "7z", "rar"] }
score = 1

[[screen]]
name = "disguises"
when = { mismatch = true, double_extension = true }
score = 1

[[screen]]
name = "encrypted"
when.encrypted = true
score = 1

[[screen]]
name = "unread"
when.unread = true
score = 1

[[screen]]
name = "nested"
when.archive_depth_above = 1
score = 1

[[screen]]
name = "results"
when = { spf = "fail", dkim = "fail", arc = "fail", dmarc = "fail" }
score = 1

[[screen]]
name = "all of it"
when.score_above = 100
tag = "never"
"#;

/// What SMTP cannot carry: the relay refuses it.
fn cannot_be_sent(content: &[u8]) -> bool {
    let is_bare =
        |(at, octet): (usize, &u8)| *octet == b'\r' && content.get(at + 1) != Some(&b'\n');
    content.contains(&0) || content.iter().enumerate().any(is_bare)
}

/// Sends it, and tells the code of the reply to its end.
fn sent(client: &mut Dialogue, number: usize, to: &str, content: &[u8]) -> u16 {
    client.ask(&format!("MAIL FROM:<m{number}@out.test>"), 250);
    client.ask(&format!("RCPT TO:<bob@{to}>"), 250);
    client.ask("DATA", 354);
    let lines = content.split_inclusive(|octet| *octet == b'\n');
    let stuffed = lines.flat_map(|line| {
        [
            if line.starts_with(b".") {
                &b"."[..]
            } else {
                b""
            },
            line,
        ]
    });
    client.send(&stuffed.collect::<Vec<_>>().concat());
    client.say(".").code
}

/// What the relay has put on top of what it was sent.
fn head<'a>(name: &str, received: &'a Received, content: &[u8]) -> &'a [u8] {
    let head = received.data.strip_suffix(content);
    head.unwrap_or_else(|| panic!("{name} came otherwise:\n{}", received.text()))
}

#[test]
fn what_others_have_collected_comes_out_as_it_went_in() {
    let network = Network::new();
    let names = NameServer::start(network.name_server(), "");
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let address = server.address;
    relay.write_config(&format!(
        "[route.early]\nhosts = \"[{0}]:{1}\"\n[route.late]\nhosts = \"[{0}]:{1}\"\nscreen = \"after\"\n\
         [domain.\"early.test\"]\nroute = \"early\"\n[domain.\"late.test\"]\nroute = \"late\"\n\
         [limits]\nmessage_size = \"50MB\"\nrate_per_client = {{ connections = \"off\" }}\n{2}{RULES}",
        address.ip(),
        address.port(),
        names.config(),
    ));
    relay.run();
    let mut taken = BTreeMap::new();
    let mut refused = 0;
    let connect = || Dialogue::ready(relay.network.stranger(), relay.address());
    let mut client = connect();
    for (number, message) in collections::all_messages().enumerate() {
        let content = message.as_mail();
        for (to, shift) in [("early.test", 0), ("late.test", 10_000)] {
            let Message { name, .. } = &message;
            let code = sent(&mut client, number + shift, to, &content);
            if cannot_be_sent(&content) {
                assert!(matches!(code, 500..600), "{name}: {code}");
                refused += 1;
                client = connect();
                continue;
            }
            assert_eq!(code, 250, "{name}");
            let from = format!("m{}@out.test", number + shift);
            taken.insert(from, (name.clone(), content.clone()));
        }
    }
    assert!(
        taken.len() > 600 && refused < 20,
        "{} {refused}",
        taken.len()
    );
    until_true("all to arrive", seconds(60), || {
        server.count() >= taken.len()
    });
    for received in server.received() {
        let (name, content) = taken
            .remove(&received.from)
            .expect("one that was sent, once");
        let head = head(&name, &received, &content);
        let text = String::from_utf8_lossy(head);
        assert!(
            text.starts_with("Authentication-Results: relay.test;"),
            "{text}"
        );
    }
    relay.wait_until_empty();
    assert!(!relay.log().contains("panic"));
}
