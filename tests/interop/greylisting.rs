//! Strangers come again, and what they did here is remembered.

use std::net::IpAddr;

use serde_json::Value;

use crate::client::{Dialogue, message, submit};
use crate::dns::NameServer;
use crate::network::Network;
use crate::postfix::Postfix;
use crate::relay::Relay;
use crate::server::{RecordingServer, route_to};
use crate::wait::{seconds, until_true};

/// What a stranger hears who names this recipient.
fn named(relay: &Relay, client: IpAddr, from: &str, to: &str) -> String {
    let mut dialogue = match client.is_loopback() {
        true => Dialogue::ready(client, relay.address()),
        false => {
            let (proxy, front) = (relay.network.permitted(), relay.listener("front"));
            let mut dialogue = Dialogue::proxied(proxy, front, client);
            dialogue.expect(220);
            dialogue.ask("EHLO client.test", 250);
            dialogue
        }
    };
    dialogue.ask(&format!("MAIL FROM:<{from}>"), 250);
    dialogue.say(&format!("RCPT TO:<{to}>")).text()
}

/// The rows of this kind.
fn remembered(relay: &Relay, kind: &str) -> Vec<Value> {
    let arguments = ["--json", "greylist", "list", kind];
    let shown = relay.command(&arguments).expect_code(0).out;
    serde_json::from_str(&shown).expect("JSON")
}

/// What `relay check` says of greylisting, and its exit code.
fn checked(relay: &Relay, client: IpAddr, from: &str, code: i32) -> String {
    let client = client.to_string();
    let arguments = [
        "relay",
        "check",
        "--client",
        &client,
        "--mail",
        from,
        "--rcpt",
        "bob@hosted.test",
    ];
    let shown = relay.command(&arguments).expect_code(code).out;
    let line = shown.lines().find(|line| line.contains("greylisting"));
    line.unwrap_or_else(|| panic!("{shown}")).to_owned()
}

#[test]
fn postfix_comes_again_and_is_known_after_a_reload_and_a_restart() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let more = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\nrecipients = [\"bob\", \"carl\"]\n\
         [greylisting]\nenabled = true\ndelay = \"2s\"\nrecipients = [\"abuse@hosted.test\"]\n",
        server.route()
    );
    let mut relay = Relay::start(network, &more);
    let stranger = relay.network.stranger();
    let place = relay.place_of("enabled");
    let line = checked(&relay, stranger, "ann@postfix.test", 75);
    assert!(line.contains("LATER") && line.contains(&place), "{line}");
    assert!(line.contains("seen for the first time"), "{line}");
    assert!(
        remembered(&relay, "waiting").is_empty(),
        "it was looked at alone"
    );
    let settings = format!(
        "relayhost = {}\nsmtp_bind_address = {stranger}",
        route_to(relay.address()),
    );
    let postfix = Postfix::start(relay.network.free_port(stranger), &settings);
    postfix.sendmail("ann@postfix.test", "bob@hosted.test", &message("late"));
    server.wait_for("late");
    let refused = [
        "recipient refused",
        "451 4.7.1 Greylisted, try again in 2 s",
    ];
    let line = relay.wait_for_log(&refused);
    assert!(
        line.contains(&place) && line.contains("first time"),
        "{line}"
    );
    relay.wait_for_log(&["greylisting passed", "tried again"]);
    let tracked = relay.command(&["--json", "track", "reply:greylisted"]);
    let tracked = tracked.expect_code(0).out;
    assert!(tracked.contains(&place), "{tracked}");
    let metrics = relay.command(&["status", "--metrics"]).expect_code(0).out;
    assert!(
        metrics.contains("gatepost_greylisting_recipients_total{result=\"retried\"} 1"),
        "{metrics}"
    );
    // Nobody waits who need not.
    let said = |relay: &Relay, client, from, to| named(relay, client, from, to);
    let permitted = relay.network.permitted();
    for (client, from, to, expected) in [
        (stranger, "ann@postfix.test", "bob@hosted.test", "250"),
        (stranger, "eve@postfix.test", "bob@hosted.test", "451 4.7.1"),
        (
            stranger,
            "ann@postfix.test",
            "carl@hosted.test",
            "451 4.7.1",
        ),
        (stranger, "", "bob@hosted.test", "451 4.7.1"),
        (
            stranger,
            "eve@postfix.test",
            "nobody@hosted.test",
            "550 5.1.1",
        ),
        (
            stranger,
            "eve@postfix.test",
            "postmaster@hosted.test",
            "250",
        ),
        (permitted, "eve@postfix.test", "bob@hosted.test", "250"),
        (permitted, "eve@postfix.test", "bob@elsewhere.test", "250"),
        (
            stranger,
            "ann@postfix.test",
            "bob@elsewhere.test",
            "550 5.7.1",
        ),
    ] {
        let heard = said(&relay, client, from, to);
        assert!(heard.starts_with(expected), "{from} {to}: {heard}");
    }
    let line = checked(&relay, permitted, "eve@postfix.test", 0);
    assert!(line.contains("clients that may relay"), "{line}");
    for restarts in [false, true] {
        if restarts {
            assert!(relay.stop().success());
            relay.run();
        } else {
            relay.write_config(&(more.clone() + "[queue]\nretry = [\"1m\"]\n"));
            relay.command(&["reload"]).expect_code(0);
        }
        let heard = said(&relay, stranger, "ann@postfix.test", "bob@hosted.test");
        assert!(heard.starts_with("250"), "{heard}");
        let line = checked(&relay, stranger, "ann@postfix.test", 0);
        assert!(line.contains("passed before"), "{line}");
        assert_eq!(remembered(&relay, "waiting").len(), 3);
    }
    let row = &remembered(&relay, "client")[0];
    assert_eq!(
        (&row["taken"], &row["score"]),
        (&1.into(), &(-2).into()),
        "{row}"
    );
    let address = stranger.to_string();
    let cleared = relay.command(&["greylist", "clear", "client", &address]);
    let cleared = cleared.expect_code(0).out;
    assert!(cleared.contains(".0/24: forgotten"), "{cleared}");
    let heard = said(&relay, stranger, "ann@postfix.test", "bob@hosted.test");
    assert!(heard.starts_with("451 4.7.1"), "{heard}");
}

/// What a restart cannot read makes everybody new, and holds up no mail.
#[test]
fn a_damaged_file_is_set_aside() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let more = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[greylisting]\nenabled = true\n",
        server.route()
    );
    let mut relay = Relay::start(network, &more);
    let heard = |relay: &Relay| {
        let stranger = relay.network.stranger();
        named(relay, stranger, "ann@client.test", "bob@hosted.test")
    };
    assert!(heard(&relay).starts_with("451 4.7.1 Greylisted, try again in 300 s"));
    assert!(relay.stop().success());
    let file = relay.data_dir().join("greylist");
    std::fs::write(&file, "{\"Version\":1}\n{\"Wai").expect("a damaged file");
    relay.run();
    assert!(file.with_extension("damaged").exists());
    assert!(remembered(&relay, "waiting").is_empty());
    assert!(heard(&relay).starts_with("451 4.7.1 Greylisted, try again in 300 s"));
}

/// Large senders come again from other networks of theirs.
#[test]
fn who_passes_spf_may_come_again_from_elsewhere_and_waits_no_more_when_its_domain_is_known() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let records = "large TXT \"v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 -all\"\n";
    let names = NameServer::start(network.name_server(), records);
    let more = format!(
        "{}[domain.\"hosted.test\"]\nroute = \"{}\"\n[listener.front]\nbind = \"{}:0\"\n\
         proxy_protocol_from = [\"{}\"]\n\
         [greylisting]\nenabled = true\ndelay = \"1s\"\nclients = [\"203.0.113.128/25\"]\n",
        names.config(),
        server.route(),
        network.relay(),
        network.permitted(),
    );
    let relay = Relay::start(network, &more);
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    let (first, second) = (address("192.0.2.1"), address("198.51.100.1"));
    let (forger, listed) = (address("203.0.113.1"), address("203.0.113.129"));
    let (ann, bob) = ("ann@large.test", "bob@hosted.test");
    let heard = |client, from| named(&relay, client, from, bob);
    assert!(heard(first, ann).starts_with("451 4.7.1"));
    assert!(heard(forger, ann).starts_with("451 4.7.1"));
    until_true("the other network to pass", seconds(20), || {
        heard(second, ann).starts_with("250")
    });
    // Nothing was taken yet: another sender there waits.
    assert!(heard(first, "eve@large.test").starts_with("451 4.7.1"));
    let (proxy, front) = (relay.network.permitted(), relay.listener("front"));
    let mut dialogue = Dialogue::proxied(proxy, front, first);
    dialogue.expect(220);
    dialogue.ask("EHLO large.test", 250);
    let taken = dialogue.submit(ann, &[bob], &message("large"));
    assert_eq!(taken.code, 250, "{}", taken.text());
    assert!(heard(second, "carl@large.test").starts_with("250"));
    assert!(heard(forger, "carl@large.test").starts_with("451 4.7.1"));
    assert!(heard(listed, "carl@large.test").starts_with("250"));
    let line = checked(&relay, second, "dan@large.test", 0);
    assert!(
        line.contains("mail of large.test was taken before, and SPF passes"),
        "{line}"
    );
    let line = checked(&relay, listed, "dan@large.test", 0);
    assert!(
        line.contains("greylisting.clients entry 203.0.113.128/25"),
        "{line}"
    );
    assert!(line.contains(&relay.place_of("clients")), "{line}");
}

#[test]
fn what_a_stranger_did_counts_against_its_next_message() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let records = format!("good TXT \"v=spf1 ip4:{} -all\"\n", network.stranger());
    let names = NameServer::start(network.name_server(), &records);
    let mut relay = Relay::prepare(network, "");
    relay.write_config(&format!(
        "{}[domain.\"hosted.test\"]\nroute = \"{}\"\nrecipients = [\"bob\"]\n[limits]\ntarpit = \"0s\"\n\
         [[screen]]\nname = \"junk\"\nwhen = {{ subject = \"junk\", direction = \"in\" }}\nthen = \"refuse\"\n\
         [[screen]]\nname = \"bad name\"\nwhen.reputation_below = -5\nthen = \"hold\"\n",
        names.config(),
        server.route()
    ));
    relay.run();
    let (stranger, to) = (relay.network.stranger(), ["bob@hosted.test"]);
    submit(
        stranger,
        relay.address(),
        "ann@good.test",
        &to,
        &message("first"),
    );
    server.wait_for("first");
    let scores = |kind| {
        let rows = remembered(&relay, kind);
        let row = |row: &Value| (row["name"].clone(), row["score"].as_i64().expect("a score"));
        rows.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(scores("sender-domain"), [("good.test".into(), 1)]);
    // Whose SPF does not pass counts for its client alone.
    let mut dialogue = Dialogue::ready(stranger, relay.address());
    let refused = dialogue.submit("ann@forged.test", &to, &message("junk"));
    assert_eq!(refused.code, 550, "{}", refused.text());
    dialogue.ask("MAIL FROM:<ann@good.test>", 250);
    for nobody in ["x", "y"] {
        dialogue.ask(&format!("RCPT TO:<{nobody}@hosted.test>"), 550);
    }
    dialogue.ask("RSET", 250);
    assert_eq!(scores("sender-domain"), [("good.test".into(), 1)]);
    assert_eq!(scores("client")[0].1, 1 - 3 - 2 - 2);
    let file = relay.folder().join("message");
    std::fs::write(&file, message("second")).expect("a message");
    let (client, file) = (stranger.to_string(), file.display().to_string());
    let arguments = [
        "relay",
        "check",
        "--client",
        &client,
        "--mail",
        "ann@good.test",
        "--rcpt",
        to[0],
        "--message",
        &file,
    ];
    let shown = relay.command(&arguments).expect_code(0).out;
    assert!(
        shown.contains("the client is worth -6, the sender's domain 1"),
        "{shown}"
    );
    assert!(
        shown.contains("bad name: reputation of the client -6: hold"),
        "{shown}"
    );
    submit(
        stranger,
        relay.address(),
        "ann@good.test",
        &to,
        &message("second"),
    );
    let held = relay.wait_until_held(1);
    let why = held[0]["last_reply"].as_str().unwrap_or_default();
    assert!(why.contains("reputation of the client -6"), "{held:?}");
    // What is held wins no trust; nor is it asked of those who may relay.
    assert_eq!(scores("client")[0].1, -6);
    let permitted = relay.network.permitted();
    submit(
        permitted,
        relay.address(),
        "ann@good.test",
        &to,
        &message("third"),
    );
    server.wait_for("third");
}
