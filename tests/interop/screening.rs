//! Messages are looked at before they are taken: refused, held, thrown away, changed, each by a
//! line of the configuration that log, tracking and queue name.

use std::fs;

use serde_json::Value;

use crate::client::{Dialogue, message, submit};
use crate::dns::NameServer;
use crate::exim::{Exim, sending_from};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer};
use crate::wait::{seconds, until};

/// The spool keeps larger content as a file.
const LARGE: usize = 300_000;

fn with_attachment(id: &str, name: &str, size: usize) -> String {
    let line = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5\r\n";
    let octets = line.repeat(size / line.len() + 1);
    format!(
        "From: ann@client.test\r\nSubject: {id}\r\nMessage-ID: <{id}@client.test>\r\n\
         Date: Mon, 06 Jul 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\r\nSee the file.\r\n--b\r\n\
         Content-Type: application/octet-stream; name=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{octets}--b--\r\n"
    )
}

fn screened(network: Network, rules: &str) -> (Relay, RecordingServer) {
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    relay.write_config(&format!("{hosted}{rules}"));
    relay.run();
    (relay, server)
}

fn stranger(relay: &Relay) -> Dialogue {
    Dialogue::ready(relay.network.stranger(), relay.address())
}

fn rows(relay: &Relay, filter: &[&str]) -> Vec<Value> {
    let ran = relay.command(&[&["--json", "track", "--events"], filter].concat());
    serde_json::from_str(&ran.expect_code(0).out).expect("JSON")
}

/// The results of rows, newest first, once there are so many.
fn results(relay: &Relay, filter: &[&str], count: usize) -> Vec<String> {
    until(&format!("{count} rows"), seconds(10), || {
        let rows = rows(relay, filter);
        let results = rows.iter().filter_map(|row| row["result"].as_str());
        (rows.len() >= count).then(|| results.map(str::to_owned).collect())
    })
}

#[test]
fn a_message_is_refused_for_what_is_in_it_and_everybody_says_by_which_line() {
    let rules = "[[screen]]\nname = \"programs\"\nwhen = { direction = \"in\", extension = [\"exe\", \"scr\"] }\n\
                 then = \"refuse\"\nmessage = \"No programs by mail\"\n";
    let (mut relay, server) = screened(Network::new(), rules);
    for (id, size) in [("small", 100), ("large", LARGE)] {
        let mut client = stranger(&relay);
        client.ask("MAIL FROM:<ann@client.test>", 250);
        client.ask(&format!("RCPT TO:<{id}@hosted.test>"), 250);
        client.ask("DATA", 354);
        client.send(with_attachment(id, "Invoice.EXE", size).as_bytes());
        client.send(b".\r\n");
        assert_eq!(client.expect(550).text(), "550 5.7.1 No programs by mail");
        // The session goes on.
        let taken = client.submit(
            "ann@client.test",
            &["bob@hosted.test"],
            &message(&format!("fine-{id}")),
        );
        assert_eq!(taken.code, 250, "{}", taken.text());
        server.wait_for(&format!("fine-{id}"));
        let place = relay.place_of("[[screen]]");
        relay.wait_for_log(&["screened", "\"screen\":\"programs\"", &place, "Invoice.EXE"]);
        relay.wait_for_log(&["message refused", "No programs by mail", &place]);
        let about = format!("to:{id}@hosted.test");
        assert_eq!(results(&relay, &[&about], 2), ["refused", "screened"]);
        assert_eq!(rows(&relay, &[&about])[0]["place"], *place);
    }
    relay.wait_until_empty();
    let bodies = fs::read_dir(relay.data_dir().join("spool/bodies")).expect("the folder of bodies");
    assert_eq!(bodies.count(), 0, "no body is left of what was refused");
    assert!(relay.stop().success());
}

#[test]
fn what_is_held_waits_for_somebody_and_goes_on_as_it_came() {
    let rules =
        "[[screen]]\nname = \"lottery\"\nwhen.words = \"file:words.txt\"\nthen = \"hold\"\n";
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    fs::write(relay.folder().join("words.txt"), "# bad\nlottery win\n").expect("a list");
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    relay.write_config(&format!("{hosted}{rules}"));
    relay.run();
    let text = message("won") + "A LOTTERY\r\n  win!\r\n" + &"And more.\r\n".repeat(LARGE / 11);
    let taken = stranger(&relay).submit("ann@client.test", &["bob@hosted.test"], &text);
    assert_eq!(taken.code, 250, "{}", taken.text());
    let held = &relay.wait_until_held(1)[0];
    let place = relay.place_of("[[screen]]");
    let why = held["last_reply"].as_str().unwrap_or_default();
    assert!(
        why.contains("lottery win") && why.contains(&place),
        "{held}"
    );
    results(&relay, &["to:bob@hosted.test", "state:held"], 1);
    let id = held["id"].as_str().expect("an id");
    relay.command(&["queue", "release", id]).expect_code(0);
    let received = server.wait_for("won");
    let content = received.text();
    assert!(
        content.ends_with(&text.replace("\r\n", "\n")) || content.ends_with(&text),
        "as it came"
    );
    // Another list is in force once it is read.
    fs::write(relay.folder().join("words.txt"), "jackpot\n").expect("a list");
    relay.command(&["reload"]).expect_code(0);
    let text = message("won-again") + "A lottery win!\r\n";
    stranger(&relay).submit("ann@client.test", &["bob@hosted.test"], &text);
    server.wait_for("won-again");
}

#[test]
fn each_recipient_gets_what_the_rules_give_it() {
    let rules = "[[screen]]\nname = \"not for eve\"\nwhen.to = \"eve@hosted.test\"\nthen = \"refuse\"\n\
                 [[screen]]\nname = \"away\"\nwhen.to = \"gone@hosted.test\"\nthen = \"discard\"\n\
                 [[screen]]\nname = \"onward\"\nwhen.to = \"old@hosted.test\"\nredirect_to = \"new@hosted.test\"\n\
                 [[screen]]\nname = \"seen\"\nwhen.to = \"marked@hosted.test\"\nadd_header = \"X-Seen: by us\"\n\
                 [[screen]]\nname = \"journal\"\nwhen.to = \"ann@hosted.test\"\ncopy_to = \"journal@hosted.test\"\n\
                 [[screen]]\nname = \"tried\"\nwhen.to = \"ann@hosted.test\"\nthen = \"refuse\"\ndry_run = true\n";
    let (relay, server) = screened(Network::new(), rules);
    let to = ["ann", "eve", "gone", "old", "marked"].map(|name| format!("{name}@hosted.test"));
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    for (id, size) in [("small", 100), ("large", LARGE)] {
        let taken =
            stranger(&relay).submit("ann@client.test", &to, &with_attachment(id, "a.bin", size));
        assert_eq!(taken.code, 250, "{}", taken.text());
        let marked = server.wait_where("the marked one", |one| {
            one.subject() == id && one.to.iter().any(|to| to.contains("marked"))
        });
        assert_eq!(marked.header("X-Seen").as_deref(), Some("by us"));
        assert_eq!(marked.to.len(), 1, "{:?}", marked.to);
        let plain = server.wait_where("the others", |one| {
            one.subject() == id && one.to.iter().any(|to| to.contains("ann@"))
        });
        assert_eq!(plain.header("X-Seen"), None);
        let mut names = plain.to.clone();
        names.sort();
        assert_eq!(
            names,
            ["ann@hosted.test", "journal@hosted.test", "new@hosted.test"]
        );
        let after = |one: &str| one.find("See the file").map(|at| one[at..].to_owned());
        assert_eq!(after(&marked.text()), after(&plain.text()));
    }
    // The others are settled some time after their server has them.
    until("only what is held is in the queue", seconds(10), || {
        let queue = relay.queue();
        let all: Vec<&str> = queue.iter().filter_map(|one| one["to"].as_str()).collect();
        (all == ["eve@hosted.test", "eve@hosted.test"]).then_some(())
    });
    let gone = results(&relay, &["to:gone@hosted.test"], 4);
    assert_eq!(gone, ["dropped", "screened", "dropped", "screened"]);
    relay.wait_for_log(&["screened", "\"screen\":\"tried\"", "\"dry_run\":true"]);
    results(&relay, &["to:ann@hosted.test", "state:screened"], 2);
    // What became a message of its own is found from the one that its client heard of, and back.
    let marked = rows(&relay, &["to:marked@hosted.test", "state:received"]);
    let told = rows(&relay, &["to:marked@hosted.test", "state:screened"]);
    assert_eq!(marked[0]["other"], told[0]["id"], "{marked:?}");
    assert_eq!(told[0]["other"], marked[0]["id"], "{told:?}");
}

#[test]
fn attachments_are_taken_out_and_words_put_in_and_the_rest_stays_as_it_came() {
    let rules = "[[screen]]\nname = \"programs\"\nwhen.extension = \"exe\"\nthen = \"strip\"\ntag = \"[cut]\"\n\
                 [[screen]]\nname = \"footer\"\nwhen.direction = \"in\"\nfooter = \"Checked by us.\"\n";
    let (relay, server) = screened(Network::new(), rules);
    for (id, size) in [("small", 100), ("large", LARGE)] {
        let text = with_attachment(id, "run.exe", size);
        let taken = stranger(&relay).submit("ann@client.test", &["bob@hosted.test"], &text);
        assert_eq!(taken.code, 250, "{}", taken.text());
        let received = server.wait_for(&format!("[cut] {id}")).text();
        assert!(!received.contains("QUJDREVG"), "{received}");
        for expected in [
            "removed by the rule",
            "run.exe",
            "See the file.",
            "Checked by us.",
        ] {
            assert!(received.contains(expected), "{expected}: {received}");
        }
        assert!(received.len() < 3000, "{} octets", received.len());
    }
}

/// Exim as a client takes a reply for each recipient where it is offered (`hosts_try_prdr`), behind
/// DATA and behind chunks.
#[test]
fn exim_hears_at_once_for_whom_a_message_is_refused() {
    let rules = "[[screen]]\nname = \"not for eve\"\nwhen.to = \"eve@hosted.test\"\nthen = \"refuse\"\n\
                 message = \"Eve takes no such mail\"\n";
    let (relay, server) = screened(Network::new(), rules);
    let to = ["ann", "eve", "bob"].map(|name| format!("{name}@hosted.test"));
    for (id, chunks, size) in [("dot", "", 100), ("chunks", "*", LARGE)] {
        let settings = sending_from(relay.network.stranger(), relay.address());
        let transport = format!("driver = smtp\n  hosts_try_chunking = {chunks}\n");
        let exim = Exim::prepare(&settings.replace("driver = smtp\n", &transport));
        let text = with_attachment(id, "a.bin", size).replace("\r\n", "\n");
        let log = exim.send("out@client.test", &to, &text);
        let of = |name: &str| {
            let mut lines = log.lines();
            let line = lines.find(|line| {
                line.contains(&format!("{name}@hosted.test")) && line.contains("R=relay")
            });
            line.unwrap_or_else(|| panic!("{name} in {log}")).to_owned()
        };
        for name in ["ann", "bob"] {
            let line = of(name);
            assert!(line.contains("=> ") || line.contains("-> "), "{line}");
            assert!(
                line.contains(" PRDR") && line.contains("250 2.0.0 Ok"),
                "{line}"
            );
            assert_eq!(line.contains(" K "), !chunks.is_empty(), "{line}");
        }
        let line = of("eve");
        assert!(line.contains("** ") && line.contains("PRDR"), "{line}");
        assert!(line.contains("550 5.7.1 Eve takes no such mail"), "{line}");
        let mut names = server.wait_for(id).to.clone();
        names.sort();
        assert_eq!(names, ["ann@hosted.test", "bob@hosted.test"]);
    }
    let place = relay.place_of("[[screen]]");
    relay.wait_for_log(&["recipient refused", "eve@hosted.test", "Eve takes", &place]);
    let eve = results(&relay, &["to:eve@hosted.test"], 4);
    assert_eq!(eve, ["refused", "screened", "refused", "screened"]);
    relay.wait_until_empty();
}

/// Who is refused there are the ones to whom rules send mail.
fn refuses_targets(path: &str) -> Option<&'static str> {
    let is_target = ["secret", "journal", "gone"]
        .iter()
        .any(|name| path.contains(name));
    is_target.then_some("550 5.1.1 secret@hosted.test is not known here")
}

#[test]
fn senders_do_not_learn_to_whom_rules_send_mail_and_copies_that_fail_are_kept() {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: refuses_targets,
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let mut relay = Relay::prepare(network, "");
    let route = server.route();
    relay.write_config(&format!(
        "[domain.\"hosted.test\"]\nroute = \"{route}\"\n[domain.\"client.test\"]\nroute = \"{route}\"\n\
         [domain.\"asked.test\"]\nroute = \"{route}\"\nrecipients = \"verify\"\n\
         [[screen]]\nwhen.to = \"old@hosted.test\"\nredirect_to = \"secret@hosted.test\"\n\
         [[screen]]\nwhen.to = \"bob@hosted.test\"\ncopy_to = \"journal@hosted.test\"\n\
         [[screen]]\nwhen.to = \"left@hosted.test\"\nredirect_to = \"gone@asked.test\"\n"
    ));
    relay.run();
    let to = ["old@hosted.test", "bob@hosted.test", "left@hosted.test"];
    let taken = stranger(&relay).submit("ann@client.test", &to, &message("sent-on"));
    assert_eq!(taken.code, 250, "{}", taken.text());
    // One bounce, about whom the sender named, with the words of nobody else.
    let notice = server.wait_where("a notice", |one| one.from.is_empty());
    assert_eq!(notice.to, ["ann@client.test"]);
    let text = notice.text();
    assert!(!text.contains("secret"), "{text}");
    let line = |field: &str| text.lines().any(|line| line.trim() == field);
    assert!(line("Final-Recipient: rfc822; old@hosted.test"), "{text}");
    assert!(line("Original-Recipient: rfc822;old@hosted.test"), "{text}");
    assert!(
        !text.contains("journal") && !text.contains("gone"),
        "{text}"
    );
    // The copy is kept, and what was for somebody who is not there.
    let held = relay.wait_until_held(2);
    let why = |to: &str| {
        let one = held.iter().find(|one| one["to"] == to);
        let why = one.and_then(|one| one["last_reply"].as_str());
        why.unwrap_or_else(|| panic!("{to} in {held:?}")).to_owned()
    };
    assert!(why("journal@hosted.test").contains("is not known here"));
    let why = why("gone@asked.test");
    assert!(why.contains("no such recipient"), "{why}");
    assert_eq!(server.wait_for("sent-on").to, ["bob@hosted.test"]);
}

#[test]
fn what_is_thrown_away_for_everybody_is_taken_and_told_in_the_log_alone() {
    let rules = "[[screen]]\nname = \"loops\"\nwhen.header = \"X-Loop: us\"\nthen = \"discard\"\n";
    let (relay, _server) = screened(Network::new(), rules);
    let text = format!("X-Loop: us\r\n{}", message("loop"));
    let taken = stranger(&relay).submit("ann@client.test", &["bob@hosted.test"], &text);
    assert_eq!(taken.code, 250);
    relay.wait_for_log(&["screened", "\"screen\":\"loops\"", "discard"]);
    assert_eq!(relay.queued(), 0);
    let permitted = submit;
    permitted(
        relay.network.permitted(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &text,
    );
    assert_eq!(relay.queued(), 0);
}

/// What the domains of senders say in DNS; `STRANGER` is the client.
const SENDERS: &str = "friend TXT \"v=spf1 ip4:STRANGER -all\"\n\
    _dmarc.friend TXT \"v=DMARC1; p=reject\"\n\
    strict TXT \"v=spf1 -all\"\n_dmarc.strict TXT \"v=DMARC1; p=reject\"\n\
    lenient TXT \"v=spf1 -all\"\n_dmarc.lenient TXT \"v=DMARC1; p=quarantine\"\n";

#[test]
fn what_the_domains_of_senders_say_is_found_out_told_and_respected() {
    let network = Network::new();
    let records = SENDERS.replace("STRANGER", &network.stranger().to_string());
    let names = NameServer::start(network.name_server(), &records);
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    relay.write_config(&format!(
        "{}[domain.\"hosted.test\"]\nroute = \"{}\"\n[authentication]\nid = \"mx.hosted.test\"\n\
         dmarc = \"respect\"\nforwarders = \"192.0.2.1\"\n\
         [[screen]]\nname = \"no policy\"\nwhen.spf = \"none\"\nadd_header = \"X-Policy: none\"\n",
        names.config(),
        server.route(),
    ));
    relay.run();
    let text = |id: &str, domain: &str| {
        format!(
            "Authentication-Results: mx.hosted.test; spf=pass\r\nAuthentication-Results: other.test; spf=pass\r\n\
             From: ann@{domain}.test\r\nSubject: {id}\r\nMessage-ID: <{id}@{domain}.test>\r\n\
             Date: Mon, 06 Jul 2026 10:00:00 +0000\r\n\r\nAuthentication-Results: mx.hosted.test; said=so\r\n"
        )
    };
    let send = |id: &str, domain: &str| {
        let from = format!("ann@{domain}.test");
        stranger(&relay)
            .submit(&from, &["bob@hosted.test"], &text(id, domain))
            .text()
    };
    let refused = send("forged", "strict");
    assert!(refused.starts_with("550 5.7.26"), "{refused}");
    relay.wait_for_log(&["message refused", "dmarc fail", &relay.place_of("dmarc")]);
    assert!(send("doubtful", "lenient").starts_with("250"));
    let held = relay.wait_until_held(1);
    assert!(
        held[0]["last_reply"]
            .as_str()
            .is_some_and(|why| why.contains("dmarc quarantine")),
        "{held:?}"
    );
    assert!(send("true", "friend").starts_with("250"));
    let received = server.wait_for("true");
    let results = received.headers("Authentication-Results");
    assert_eq!(results.len(), 2, "{results:?}");
    assert!(results[0].starts_with("mx.hosted.test;"), "{results:?}");
    for expected in [
        "spf=pass",
        "smtp.mailfrom=friend.test",
        "dkim=none",
        "dmarc=pass",
        "header.from=friend.test",
    ] {
        assert!(results[0].contains(expected), "{expected}: {results:?}");
    }
    assert!(results[1].starts_with("other.test;"), "{results:?}");
    assert!(
        received.text().contains("said=so"),
        "a body is nobody's results"
    );
    assert!(
        received
            .text()
            .starts_with("Authentication-Results: mx.hosted.test;")
    );
    assert!(send("unknown", "nowhere").starts_with("250"));
    let received = server.wait_for("unknown");
    assert_eq!(received.header("X-Policy").as_deref(), Some("none"));
    // Who may relay is believed, and cannot speak in our name either.
    let (permitted, to) = (relay.network.permitted(), ["bob@hosted.test"]);
    submit(
        permitted,
        relay.address(),
        "ann@strict.test",
        &to,
        &text("ours", "strict"),
    );
    assert_eq!(
        server
            .wait_for("ours")
            .headers("Authentication-Results")
            .len(),
        1
    );
    let file = relay.folder().join("message.eml");
    fs::write(&file, text("checked", "strict").replace("\r\n", "\n")).expect("a file");
    let client = relay.network.stranger().to_string();
    let file = file.display().to_string();
    let checked = relay.command(&[
        "relay",
        "check",
        "--client",
        &client,
        "--mail",
        "ann@strict.test",
        "--rcpt",
        "bob@hosted.test",
        "--message",
        &file,
    ]);
    let checked = checked.expect_code(1);
    for expected in [
        "spf fail: -all of strict.test",
        "dkim none",
        "dmarc fail",
        "no policy: no, by its `spf`",
        "5.7.26",
    ] {
        assert!(
            checked.out.contains(expected),
            "{expected}: {}",
            checked.text()
        );
    }
}

/// As a program for PGP signs it.
const SIGNED: &str = "From: ann@client.test\r\nSubject: sealed\r\nMessage-ID: <sealed@client.test>\r\n\
                      Date: Mon, 06 Jul 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
                      Content-Type: multipart/signed; boundary=\"b\"\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n\
                      Content-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n";

#[test]
fn a_footer_goes_into_what_is_signed_where_the_rule_says_so() {
    let rule = "[[screen]]\nfooter = \"Hosted Ltd\"\nfooter_in_signed = true\n";
    let (relay, server) = screened(Network::new(), rule);
    let answer = stranger(&relay).submit("ann@client.test", &["bob@hosted.test"], SIGNED);
    assert!(answer.text().starts_with("250"));
    let text = server.wait_for("sealed").text();
    assert!(
        text.contains("\n\r\nHello\r\nHosted Ltd\r\n--b\r\nContent-Type: application/pgp"),
        "{text}"
    );
}

#[test]
fn what_becomes_of_a_message_beside_its_end_is_told() {
    let network = Network::new();
    let records = SENDERS.replace("STRANGER", &network.stranger().to_string());
    let names = NameServer::start(network.name_server(), &records);
    let rules = format!(
        "{}[[screen]]\nname = \"who we are\"\nfooter = \"Hosted Ltd\"\n\
         copy_to = \"archive@hosted.test\"\n[authentication]\nspf = true\n",
        names.config()
    );
    let (relay, server) = screened(network, &rules);
    let mut client = stranger(&relay);
    let answer = client.submit("ann@client.test", &["bob@hosted.test"], SIGNED);
    assert!(answer.text().starts_with("250"));
    assert!(!server.wait_for("sealed").text().contains("Hosted Ltd"));
    let told = "(no footer: it is signed)";
    relay.wait_for_log(&["screened", "who we are", told]);
    results(&relay, &["state:screened"], 1);
    let rows = rows(&relay, &["state:screened"]);
    let note = rows[0]["note"].as_str();
    assert!(note.is_some_and(|note| note.contains(told)), "{rows:?}");

    let file = relay.folder().join("message.eml");
    fs::write(&file, SIGNED).expect("a file");
    let (client, file) = (
        relay.network.stranger().to_string(),
        file.display().to_string(),
    );
    let checked = relay.command(&[
        "relay",
        "check",
        "--client",
        &client,
        "--mail",
        "<>",
        "--helo",
        "friend.test",
        "--rcpt",
        "bob@hosted.test",
        "--message",
        &file,
    ]);
    let checked = checked.expect_code(0);
    for expected in [
        "spf pass: ip4:",
        "bob@hosted.test: a copy goes to archive@hosted.test",
        "who we are: no footer: it is signed",
    ] {
        assert!(
            checked.out.contains(expected),
            "{expected}: {}",
            checked.out
        );
    }
}
