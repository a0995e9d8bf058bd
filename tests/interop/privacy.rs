//! Where addresses must not be kept, none stands in the log, in other logs, in dialogues or in what
//! is tracked; and who asks for one still finds what became of it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::client::Dialogue;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer};

const LOGS: &str = "[log.w3c]\nfields = \"all\"\n[log.js]\nformat = \"json\"\n\
                    [log.mail]\nformat = \"maillog\"\n[tracking]\nsubject = true\n";

/// A relay for these domains, whose log has this format.
fn relay(network: Network, format: &str, domain: &str) -> Relay {
    let mut relay = Relay::prepare(network, "");
    let log = format!(
        "[log]\nprivacy = \"hash\"\ntranscript = \"all\"\nlevel = \"debug\"\nformat = \"{format}\"\n"
    );
    let listener = format!("[listener.internet]\nbind = \"{}:0\"\n", network.relay());
    let pickup = format!("[pickup]\ndirectory = {:?}\n", pickup(&relay));
    relay.write_bare_config("", &format!("{listener}{domain}{pickup}{log}{LOGS}"));
    relay.run();
    relay
}

fn pickup(relay: &Relay) -> PathBuf {
    relay.folder().join("pickup")
}

/// All octets of the files in and below a folder.
fn octets(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(octets(&path));
        } else {
            all.extend(fs::read(path).expect("a file"));
        }
    }
    all
}

/// Whether what stands there is part of a queue id, in which any digit may come twice.
fn is_in_queue_id(octets: &[u8], at: usize) -> bool {
    let digits = b"0123456789abcdefghjkmnpqrstvwxyz";
    let is_id = |id: &[u8]| id.starts_with(b"01") && id.iter().all(|one| digits.contains(one));
    let mut starts = at.saturating_sub(24)..=at;
    starts.any(|start| octets.get(start..start + 26).is_some_and(is_id))
}

#[test]
fn nothing_that_is_kept_of_past_mail_names_anybody() {
    for format in ["text", "json"] {
        nobody_is_named(format);
    }
}

fn nobody_is_named(format: &str) {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: |line| {
            line.contains("zzcarl@")
                .then_some("550 5.1.1 <zzcarl@hosted.test> is unknown")
        },
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let domain = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let mut relay = relay(network, format, &domain);
    let mut stranger = Dialogue::ready(network.stranger(), relay.address());
    stranger.ask("MAIL FROM:<zzann@client.test>", 250);
    stranger.ask("VRFY zzfay", 252);
    stranger.ask("RCPT TO:<zzguy>", 501);
    for (line, code) in [
        ("HELP zzhal", 214),
        ("NOOP zzivy", 250),
        ("SEND FROM:<zzjim>", 502),
        ("ETRN zzkim", 502),
        ("zzleo zzmax", 500),
        ("RCPT TO:<eve@elsewhere.test> ORCPT=x400;/s+3Dzzned", 550),
    ] {
        stranger.ask(line, code);
    }
    stranger.ask("RCPT TO:<zzeve@elsewhere.test>", 550);
    stranger.ask("RCPT TO:<\"zz dan\"@hosted.test>", 250);
    for recipient in ["zzbob", "zzcarl"] {
        let original = format!("ORCPT=rfc822;{recipient}+40hosted.test");
        stranger.ask(
            &format!("RCPT TO:<{recipient}@hosted.test> {original}"),
            250,
        );
    }
    stranger.ask("DATA", 354);
    stranger.send(b"Subject: for zzbob@hosted.test\r\nMessage-ID: <1@client.test>\r\n\r\nHi\r\n");
    stranger.ask(".", 250);
    stranger.ask("QUIT", 221);
    relay.wait_for_log(&["notice", "about"]);
    let pickup = pickup(&relay);
    fs::write(pickup.join(".zzoda"), "Subject: to nobody\r\n\r\nHi\r\n").expect("a file");
    fs::rename(pickup.join(".zzoda"), pickup.join("zzoda lee.eml")).expect("its name");
    relay.wait_for_log(&["moved to badmail"]);
    for filter in [
        "to:zzpat*",
        "from:<zz*@client.test> user:zzray",
        "to:\"zz sue\"@x.test",
    ] {
        relay.command(&["queue", "hold", filter]).expect_code(0);
    }

    let track = |filter: &str| -> Vec<Value> {
        let out = relay
            .command(&["--json", "track", filter])
            .expect_code(0)
            .out;
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"))
    };
    let found = track("to:zzbob@hosted.test");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["result"], "delivered");
    let hashed = found[0]["to"].as_str().expect("a recipient");
    assert!(
        hashed.starts_with('~') && hashed.ends_with("@hosted.test"),
        "{hashed}"
    );
    assert_eq!(track(&format!("to:{hashed}")), found);
    assert_eq!(track("from:zzann@client.test state:refused").len(), 2);
    assert!(track("to:zznobody@hosted.test").is_empty());

    // What is asked about mail to come is answered in plain words.
    let check = "relay check --client 192.0.2.1 --listener internet --mail zzann@client.test";
    let check: Vec<&str> = check.split(' ').collect();
    let checked = relay.command(&[&check[..], &["--rcpt", "zzeve@elsewhere.test"]].concat());
    assert!(
        checked.out.contains("zzeve@elsewhere.test"),
        "{}",
        checked.text()
    );

    assert!(relay.stop().success());
    let log = relay.log();
    assert!(
        log.contains(hashed),
        "the same address is the same in the log\n{log}"
    );
    let data = relay.data_dir();
    let kept = [
        octets(&data.join("log")),
        octets(&data.join("tracking")),
        log.into_bytes(),
    ];
    for (kept, name) in kept
        .iter()
        .zip(["the other logs", "what is tracked", "the log"])
    {
        let text = String::from_utf8_lossy(kept);
        assert!(text.contains(hashed), "{name}");
        let left = text
            .match_indices("zz")
            .filter(|(at, _)| !is_in_queue_id(text.as_bytes(), *at))
            .map(|(at, _)| &text.as_bytes()[at.saturating_sub(80)..]);
        let left: Vec<_> = left
            .map(|around| String::from_utf8_lossy(&around[..around.len().min(120)]))
            .collect();
        assert!(left.is_empty(), "{name}: {left:#?}");
    }
}
