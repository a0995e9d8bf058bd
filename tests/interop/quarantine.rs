//! What screening holds is looked at, let go for some, deleted, and goes by itself in the end.

use std::fs;

use serde_json::Value;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::run;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until};

const RULES: &str = "[[screen]]\nname = \"programs\"\nwhen = { extension = \"exe\" }\nthen = \"hold\"\n\
    [[screen]]\nname = \"prizes\"\nwhen.words = \"lottery win\"\nthen = \"hold\"\n";

/// Names, fields and texts that would drive a terminal, a browser or a reader of names.
const NASTY: &str = "From: \"Bank\" <ann@client.test>\r\nSubject: =?utf-8?q?=1B[2J_pay_now=0D=0AX:_y?=\r\n\
    Message-ID: <nasty@client.test>\r\nDate: Mon, 06 Jul 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n\
    <script>steal()</script><p>Pay <b>now</b>: <a href=\"http://evil.test/\">here</a> &#27;[31m</p>\r\n\
    --b\r\nContent-Type: application/pdf;\r\n \
    name*=utf-8''..%2F..%2Fb%C3%A9ll%1B%5B2J%E2%80%AEfdp.exe\r\n\r\nMZ not a program\r\n--b\r\n\
    Content-Type: application/octet-stream; name=\"a.rar\"\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nUmFyIRoHAQAAAAAA\r\n--b--\r\n";

fn ask(relay: &Relay, words: &[&str]) -> Value {
    let ran = relay.command(&[&["--json", "quarantine"], words].concat());
    serde_json::from_str(&ran.expect_code(0).out).expect("JSON")
}

fn said(relay: &Relay, words: &[&str]) -> String {
    let ran = relay.command(&[&["quarantine"], words].concat());
    ran.expect_code(0).out
}

#[test]
fn what_is_held_is_shown_as_text_released_for_one_deleted_and_goes_by_itself() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let mut relay = Relay::start(network, &format!("{hosted}{RULES}"));
    let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
    // So large that the spool keeps it as a file, and that not all of it is shown.
    let prize = message("prize") + "A lottery win!\r\n" + &"And more.\r\n".repeat(20_000);
    let both = ["bob@hosted.test", "eve@hosted.test"];
    for (from, to, text) in [
        ("ann@client.test", &both[..], NASTY),
        ("<>", &both[..1], &*prize),
        ("dan@other.test", &both[1..], &prize),
    ] {
        let from = if from == "<>" { "" } else { from };
        let taken = client.submit(from, to, text);
        assert_eq!(taken.code, 250, "{}", taken.text());
    }
    // An operator's own hold is none of it.
    relay.command(&["queue", "pause"]).expect_code(0);
    client.submit("ann@client.test", &both[..1], &message("other"));
    relay
        .command(&["queue", "hold", "state:waiting"])
        .expect_code(0);
    relay.command(&["queue", "resume"]).expect_code(0);
    let status = relay.status().expect("it runs");
    assert_eq!(status["queue"]["held"], 5, "{status}");
    assert_eq!(status["queue"]["quarantined"], 4, "{status}");

    let rows = ask(&relay, &["list"]);
    assert_eq!(rows.as_array().map(Vec::len), Some(4), "{rows}");
    let first = &rows[0];
    assert_eq!(first["rule"], "programs", "{first}");
    assert_eq!(
        first["subject"], "\\x1b[2J pay now\\x0d\\x0aX: y",
        "{first}"
    );
    assert_eq!(rows[2]["subject"], "prize", "{rows}");
    let reason = first["reason"].as_str().expect("a reason");
    assert!(reason.contains(".exe") && reason.contains(&relay.place_of("[[screen]]")));
    let listed = said(&relay, &["list", "from:<>"]);
    assert!(
        listed.contains("prizes") && listed.lines().count() == 2,
        "{listed}"
    );

    let id = first["id"].as_str().expect("an id");
    let shown = said(&relay, &["show", id]);
    for expected in [
        "held by   programs: ",
        "Subject: \\x1b[2J pay now\\x0d\\x0aX: y",
        "béll[2Jfdp.exe",
        "said to be application/pdf",
        "not looked into: 3: rar is not inspected",
        "(from HTML)",
        "| Pay now: here \\x1b[31m",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let json = relay
        .command(&["--json", "quarantine", "show", id])
        .expect_code(0);
    for text in [&shown, &json.out] {
        let is_plain = |c: char| c == '\n' || !mail_control(c);
        assert!(text.chars().all(is_plain), "{text:?}");
        assert!(!text.contains("steal") && !text.contains("evil.test"));
    }

    let large = ask(&relay, &["show", rows[2]["id"].as_str().expect("an id")]);
    assert_eq!(
        (&large["is_cut"], &large["unread"]),
        (&true.into(), &serde_json::json!([]))
    );
    let lines = large["texts"][0]["lines"].as_array().expect("its lines");
    assert!(
        lines.len() < 7_000 && lines[2] == "A lottery win!",
        "{}",
        lines.len()
    );

    let report = ask(&relay, &["report"]);
    let count = |name: &str, count: u64| serde_json::json!({ "name": name, "count": count });
    assert_eq!(report["messages"], 3, "{report}");
    assert_eq!(
        report["rules"],
        serde_json::json!([count("prizes", 2), count("programs", 2)])
    );
    let domains = [
        count("client.test", 2),
        count("<>", 1),
        count("other.test", 1),
    ];
    assert_eq!(report["sender_domains"], serde_json::json!(domains));
    assert_eq!(report["by_recipient"][0]["count"], 2, "{report}");

    let released = said(&relay, &["release", id, "--to", both[0]]);
    assert_eq!(released.trim(), "release: 1 recipients");
    let received = server.wait_where("the released one", |one| one.text().contains("fdp.exe"));
    assert_eq!(received.to, [both[0]]);
    // What an operator holds is not released as if it were in quarantine.
    let all = said(&relay, &["release", "from:ann@*", "to:bob@*"]);
    assert_eq!(all.trim(), "release: 0 recipients");
    let refused = relay.command(&["quarantine", "delete", "from:<>"]);
    assert!(refused.text().contains("--yes"), "{}", refused.text());
    let deleted = said(&relay, &["delete", "from:<>", "--yes"]);
    assert_eq!(deleted.trim(), "delete: 1 recipients");

    relay.write_config(&format!("{hosted}{RULES}[quarantine]\nkeep = \"1s\"\n"));
    relay.stop();
    relay.run();
    let why = ["deleted from the quarantine", "older than quarantine.keep"];
    relay.wait_for_log(&[&why[..], &["eve@hosted.test", "programs"]].concat());
    relay.wait_for_log(&[&why[..], &["eve@hosted.test", "prizes"]].concat());
    let rows = relay.command(&["--json", "track", "to:eve@*", "state:deleted"]);
    let rows: Value = serde_json::from_str(&rows.expect_code(0).out).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(2), "{rows}");
    assert_eq!(relay.queued(), 1, "what an operator holds stays");
    let bodies = fs::read_dir(relay.data_dir().join("spool/bodies")).expect("the folder of bodies");
    assert_eq!(bodies.count(), 0);
    relay.stop();
}

#[test]
fn who_is_to_know_is_told_what_is_held_and_never_twice() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let of_all = "[quarantine]\ndigest = \"postmaster\"\ndigest_from = \"gate@hosted.test\"\n";
    let mut relay = Relay::start(network, &format!("{hosted}{RULES}"));
    let off = relay.command(&["quarantine", "digest"]).expect_code(1);
    assert!(off.text().contains("quarantine.digest"), "{}", off.text());
    relay.stop();
    relay.write_config(&format!("{hosted}{RULES}{of_all}"));
    relay.run();
    let kept = relay.data_dir().join("digest");
    until("the file", seconds(10), || kept.exists().then_some(()));
    let nothing = said(&relay, &["digest"]);
    assert!(nothing.contains("nothing was held"), "{nothing}");

    let send = |relay: &Relay, text: &str| {
        let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
        let both = ["bob@hosted.test", "eve@hosted.test"];
        assert_eq!(client.submit("ann@client.test", &both, text).code, 250);
    };
    send(&relay, NASTY);
    send(&relay, &(message("prize") + "A lottery win!\r\n"));
    let told = said(&relay, &["digest"]);
    assert_eq!(told.trim(), "told postmaster@hosted.test");
    let digest = server.wait_where("a digest", |one| {
        one.subject() == "In quarantine: 4 messages"
    });
    assert_eq!(
        (&*digest.from, &digest.to[..]),
        ("", &["postmaster@hosted.test".to_owned()][..])
    );
    assert_eq!(
        digest.header("From").as_deref(),
        Some("Gatepost <gate@hosted.test>")
    );
    assert_eq!(
        digest.header("Auto-Submitted").as_deref(),
        Some("auto-generated")
    );
    let file = relay.folder().join("digest.eml");
    fs::write(&file, &digest.data).expect("a file");
    let reader = "import email, email.policy, sys\n\
        m = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)\n\
        print(*[m.get_body((kind,)).get_content() for kind in ('plain', 'html')], sep='=====')\n";
    let read = run(
        "/usr/bin/python3",
        &["-c", reader, &file.display().to_string()],
    )
    .expect_code(0);
    let (text, html) = read.out.split_once("=====").expect("two parts");
    let id = ask(&relay, &["list"])[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    for expected in [
        &*id,
        "programs",
        "bob@hosted.test",
        "ann@client.test",
        "pay now",
        "prizes: ",
    ] {
        assert!(
            text.contains(expected) && html.contains(expected),
            "{expected}: {}",
            read.out
        );
    }
    assert!(
        !read.out.contains("<a ") && !read.out.contains('\u{1b}'),
        "{}",
        read.out
    );
    // It was counted as sent, and a restart changes nothing about that.
    relay.stop();
    let each = of_all.replace("postmaster", "recipients");
    relay.write_config(&format!("{hosted}{RULES}{each}"));
    relay.run();
    assert!(said(&relay, &["digest"]).contains("nothing was held"));
    send(&relay, &(message("again") + "A lottery win!\r\n"));
    let told = said(&relay, &["digest"]);
    assert_eq!(told.trim(), "told bob@hosted.test\ntold eve@hosted.test");
    for to in ["bob@hosted.test", "eve@hosted.test"] {
        let digest = server.wait_where("a digest", |one| one.to == [to]);
        assert_eq!(digest.subject(), "In quarantine: 1 message");
    }
    // What is due by the clock is sent without being asked for, once for all days that were missed.
    send(&relay, &(message("later") + "A lottery win!\r\n"));
    relay.stop();
    let text = fs::read_to_string(&kept).expect("the file");
    let (wall, line) = text.trim_end().split_once(' ').expect("two moments");
    let wall: u64 = wall.parse().expect("a moment");
    fs::write(&kept, format!("{} {line}\n", wall - 3 * 86_400_000)).expect("the file");
    relay.run();
    until("the digests of missed days", seconds(20), || {
        (server.count() >= 5).then_some(())
    });
    until("nothing to wait", seconds(10), || {
        let status = relay.status()?;
        (status["queue"]["waiting"] == 0).then_some(())
    });
    assert_eq!(server.count(), 5);
    relay.stop();
}

/// With an attachment in the place that `{}` has.
const ATTACHED: &str = "From: ann@client.test\r\nSubject: report\r\nMessage-ID: <{}@client.test>\r\n\
    Date: Mon, 06 Jul 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n\
    The report of today.\r\n--b\r\nContent-Type: application/octet-stream; name=\"r.exe\"\r\n\r\n\
    MZ and more\r\n--b--\r\n";

#[test]
fn a_message_goes_on_without_its_attachments_or_stays_as_it_is() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let mut relay = Relay::start(network, &format!("{hosted}{RULES}"));
    let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
    let large = ATTACHED.replace("MZ and more\r\n", &"MZ and more\r\n".repeat(50_000));
    let large = large.replace("{}", "large").replace(
        "of today",
        &("of today\r\n".repeat(20_000) + "and tomorrow"),
    );
    let signed = ATTACHED.replace("{}", "signed");
    let signed = signed.replace(
        "multipart/mixed",
        "multipart/signed; protocol=\"application/x\"",
    );
    let plain = message("plain") + "A lottery win!\r\n";
    for (from, text) in [
        ("ann@client.test", &ATTACHED.replace("{}", "small")),
        ("large@client.test", &large),
        ("signed@client.test", &signed),
        ("plain@client.test", &plain),
    ] {
        let taken = client.submit(from, &["bob@hosted.test", "eve@hosted.test"], text);
        assert_eq!(taken.code, 250, "{}", taken.text());
    }
    let rows = ask(&relay, &["list"]);
    let id = rows[0]["id"].as_str().expect("an id");
    let without = "--without-attachments";
    let released = ask(
        &relay,
        &["release", "from:ann@*", "--to", "bob@hosted.test", without],
    );
    assert_eq!(released[0]["id"], id, "{released}");
    assert_eq!(
        released[0]["removed"][0], "2 \"r.exe\" (text)",
        "{released}"
    );
    let note =
        "The attachment \"r.exe\" was removed by the mail gateway, which had held this message";
    let received = server.wait_where("without it", |one| one.to == ["bob@hosted.test"]);
    let text = received.text().replace("=\r\n", "");
    let new = released[0]["released_as"].as_str().expect("an id");
    for expected in [
        "The report of today.",
        note,
        "by its rule \"programs\"",
        new,
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("MZ") && !text.contains(id), "{text}");
    let trace = relay.command(&["trace", id]).expect_code(0).out;
    assert!(trace.contains("released") && trace.contains(new), "{trace}");
    // The other recipient has the whole of it still.
    assert_eq!(
        ask(&relay, &["list", "from:ann@*"])[0]["to"],
        "eve@hosted.test"
    );

    said(&relay, &["release", "from:large@*", without]);
    let received = server.wait_where("the large one", |one| one.from == "large@client.test");
    let text = received.text().replace("=\r\n", "");
    assert_eq!(received.to.len(), 2);
    assert!(text.contains(note) && !text.contains("MZ") && text.len() > 150_000);

    for (from, why) in [
        ("signed", "it is signed"),
        ("plain", "it has no attachments"),
    ] {
        let filter = format!("from:{from}@*");
        let refused = relay.command(&["quarantine", "release", &filter, without]);
        let refused = refused.expect_code(1);
        assert!(refused.text().contains(why), "{}", refused.text());
        assert_eq!(
            ask(&relay, &["list", &filter]).as_array().map(Vec::len),
            Some(2)
        );
    }
    let bodies = relay.data_dir().join("spool/bodies");
    until("the file of the large one to go", seconds(10), || {
        let bodies = fs::read_dir(&bodies).expect("the folder of bodies");
        (bodies.count() == 0).then_some(())
    });
    assert_eq!(server.received().len(), 2);
    relay.stop();
}

/// What a terminal goes by, or turns the direction of what it shows.
fn mail_control(letter: char) -> bool {
    letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter)
}
