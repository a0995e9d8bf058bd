//! Mail for an address of ours that goes on elsewhere: from a sender that postsrsd and Mail::SRS know
//! again, with bounces that come back to whoever sent it, and with nothing else coming back.

use serde_json::Value;

use crate::client::{Dialogue, message, submit};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Received, RecordingServer};
use crate::srs::{self, PostSrsd};

/// A relay that forwards info and all of `old.test`, and a server that stands for everybody else.
struct Scene {
    relay: Relay,
    postsrsd: PostSrsd,
    home: RecordingServer,
    world: RecordingServer,
}

impl Scene {
    fn new() -> Scene {
        let network = Network::new();
        let postsrsd = PostSrsd::start(network);
        let home = RecordingServer::start(network.mail_server());
        let world = RecordingServer::start(network.free_port(network.host(20)));
        let mut relay = Relay::prepare(network, "");
        let config = format!(
            "[outbound]\nroute = \"{}\"\n[domain.\"hosted.test\"]\nroute = \"{}\"\n[domain.\"old.test\"]\n\
             [forward]\n\"info@hosted.test\" = [\"ann@elsewhere.test\", \"bob@hosted.test\"]\n\
             \"@old.test\" = \"@elsewhere.test\"\n{}",
            world.route(),
            home.route(),
            postsrsd.config(relay.folder()),
        );
        relay.write_config(&config);
        relay.run();
        Scene {
            relay,
            postsrsd,
            home,
            world,
        }
    }

    fn send(&self, from: &str, to: &[&str], subject: &str) {
        let stranger = self.relay.network.stranger();
        submit(stranger, self.relay.address(), from, to, &message(subject));
    }

    /// The message of this subject as it went out.
    fn forwarded(&self, from: &str, subject: &str) -> Received {
        self.send(from, &["x@old.test"], subject);
        self.world.wait_for(subject)
    }

    /// What a stranger hears who sends to an address from `from`.
    fn reply_to(&self, from: &str, to: &str) -> String {
        let network = self.relay.network;
        let mut client = Dialogue::ready(network.stranger(), self.relay.address());
        client.ask(&format!("MAIL FROM:<{from}>"), 250);
        client.say(&format!("RCPT TO:<{to}>")).text()
    }
}

/// What others have not rewritten, and what they have.
const SENDERS: [&str; 7] = [
    "ann@client.test",
    "Ann.Smith+x=y@Client.Test",
    "ann@x.srs.test",
    "SRS0=HHHH=TT=a.test=bob@b.test",
    "srs0+HHHH=TT=a.test=bob@b.test",
    "SRS1=HHHH=h.test==HH=TT=a.test=bob@b.test",
    "SRS1-HHHH=h.test=-HH=TT=a.test=bob@b.test",
];

/// As postsrsd and Mail::SRS give it back: with the tag in capitals.
fn given_back(sender: &str) -> String {
    let (_, behind) = match sender.get(..4) {
        Some("SRS1") => {
            // The first forwarder gets it, not the one before us.
            let mut parts = sender[5..].splitn(3, '=');
            let (host, tail) = (parts.nth(1), parts.next());
            let tail = tail.and_then(|tail| tail.split('@').next());
            return format!("SRS0{}@{}", tail.expect("a tail"), host.expect("a host"));
        }
        Some("srs0") => ((), &sender[4..]),
        _ => return sender.to_owned(),
    };
    format!("SRS0{behind}")
}

#[test]
fn senders_of_forwarded_mail_are_those_that_postsrsd_and_mail_srs_make() {
    let scene = Scene::new();
    for (number, sender) in SENDERS.iter().enumerate() {
        let before = (scene.postsrsd.rewritten(sender), srs::rewritten(sender));
        let sent = scene.forwarded(sender, &format!("forwarded-{number}"));
        let after = (scene.postsrsd.rewritten(sender), srs::rewritten(sender));
        assert_eq!(before.0, before.1, "they agree");
        // Midnight may have passed meanwhile.
        assert!(
            sent.from == before.0 || sent.from == after.0,
            "{sender}: {} and {before:?}",
            sent.from
        );
        // It is found by both.
        scene.relay.wait_until_empty();
        let filter = format!("from:{}", sent.from);
        let tracked = scene.relay.command(&["track", &filter]);
        let became = format!("> became <{}>, as it is forwarded", sent.from);
        assert!(tracked.out.contains(&became), "{}", tracked.text());
        let expected = given_back(sender);
        assert_eq!(
            scene.postsrsd.turned_back(&sent.from).as_deref(),
            Ok(&*expected)
        );
        assert_eq!(srs::turned_back(&sent.from), expected);
        let lower = sent.from.to_lowercase();
        let back = srs::turned_back(&lower);
        assert!(back.eq_ignore_ascii_case(&expected), "{back}");
    }
}

#[test]
fn srs_addresses_of_ours_and_none_at_all_stay_and_one_that_is_too_long_is_none() {
    let scene = Scene::new();
    for (number, (sender, expected)) in [
        ("", ""),
        (
            "SRS0=HHHH=TT=a.test=x@srs.test",
            "SRS0=HHHH=TT=a.test=x@srs.test",
        ),
        (&*format!("{}@client.test", "a".repeat(60)), ""),
    ]
    .into_iter()
    .enumerate()
    {
        let subject = format!("kept-{number}");
        assert_eq!(scene.forwarded(sender, &subject).from, expected, "{sender}");
    }
    scene
        .relay
        .wait_for_log(&["delivered", "the SRS address would be too long"]);
    // A stranger may have written anybody there.
    for (subject, sender) in [("forged", "carl@hosted.test"), ("odd", "x@srs.test")] {
        let from = scene.forwarded(sender, subject).from;
        assert!(from.starts_with("SRS0="), "{from}");
    }
    // One message to several: each has the sender that is right for it.
    scene.send("ann@client.test", &["info@hosted.test"], "to-both");
    let (away, here) = (
        scene.world.wait_for("to-both"),
        scene.home.wait_for("to-both"),
    );
    assert_eq!(
        (&*here.from, &here.to[..]),
        ("ann@client.test", &["bob@hosted.test".to_owned()][..])
    );
    assert!(away.from.starts_with("SRS0="), "{}", away.from);
    assert_eq!(away.to, ["ann@elsewhere.test"]);
    scene.relay.wait_for_log(&[
        "\"grounds\":\"forwarded\"",
        "info@hosted.test is forwarded to ann@elsewhere.test",
    ]);
}

#[test]
fn bounces_come_back_to_the_sender_and_nothing_else_does() {
    let scene = Scene::new();
    let ours = scene.forwarded("ann@client.test", "outward").from;
    let addresses = [
        ours.clone(),
        ours.to_lowercase(),
        scene.postsrsd.rewritten("ann@client.test"),
        srs::rewritten("ann@client.test"),
        srs::rewritten_before("ann@client.test"),
        srs::rewritten_on(1, "ann", "client.test"),
        srs::rewritten_on(-20, "ann", "client.test"),
    ];
    for (number, address) in addresses.iter().enumerate() {
        let subject = format!("bounce-{number}");
        scene.send("", &[address], &subject);
        let bounce = scene.world.wait_for(&subject);
        assert_eq!(bounce.from, "");
        assert_eq!(bounce.to, ["ann@client.test"], "{address}");
    }
    let line = scene.relay.wait_for_log(&[
        "forwarded-sender",
        "an SRS address of ours, for ann@client.test",
    ]);
    assert!(
        line.contains(&scene.relay.place_of("domain = \"srs.test\"")),
        "{line}"
    );
    // Another relay's: it is turned back to the first forwarder.
    let chained = scene.postsrsd.rewritten("SRS0=HHHH=TT=a.test=bob@b.test");
    scene.send("", &[&chained], "to-the-first");
    let back = scene.world.wait_for("to-the-first");
    assert_eq!(back.to, ["SRS0=HHHH=TT=a.test=bob@b.test"]);

    let local = ours.split('@').next().expect("a local part");
    for (from, to, expected) in [
        ("", &*ours.replace("=ann@", "=eve@"), "550 5.1.1"),
        ("", "SRS0=AAAA=AA=client.test=ann@srs.test", "550 5.1.1"),
        ("", "srs1=aaaa=client.test==x@srs.test", "550 5.1.1"),
        (
            "",
            &srs::rewritten_on(-23, "ann", "client.test"),
            "550 5.7.1",
        ),
        ("", &srs::rewritten_on(3, "ann", "client.test"), "550 5.7.1"),
        ("eve@client.test", &ours, "550 5.7.1"),
        ("eve@client.test", &ours.to_lowercase(), "550 5.7.1"),
        ("", &format!("{local}@elsewhere.test"), "550 5.7.1"),
        ("", "ann@srs.test", "550 5.7.1"),
    ] {
        let reply = scene.reply_to(from, to);
        assert!(reply.starts_with(expected), "<{from}> {to}: {reply}");
    }
}

#[test]
fn the_commands_say_what_is_forwarded_and_turned_back() {
    let scene = Scene::new();
    let relay = &scene.relay;
    let check = |from: &str, to: &str| {
        let client = relay.network.stranger().to_string();
        let ran = relay.command(&[
            "relay", "check", "--json", "--client", &client, "--mail", from, "--rcpt", to,
        ]);
        serde_json::from_str::<Value>(&ran.out).expect("JSON")
    };
    let told = check("<ann@client.test>", "info@hosted.test");
    let who = told["admitted"].as_array().expect("a list").iter();
    let who: Vec<_> = who
        .map(|one| (one["to"].as_str(), one["grounds"].as_str()))
        .collect();
    assert_eq!(
        who,
        [
            (Some("ann@elsewhere.test"), Some("forwarded")),
            (Some("bob@hosted.test"), Some("our-domain")),
        ]
    );
    let place = relay.place_of("\"info@hosted.test\"");
    assert_eq!(told["admitted"][0]["place"], *place);
    let address = srs::rewritten("ann@client.test");
    let told = check("<>", &address);
    assert_eq!(told["admitted"][0]["to"], "ann@client.test");
    assert_eq!(told["admitted"][0]["grounds"], "forwarded-sender");
    let told = check("<eve@client.test>", &address);
    assert_eq!(told["accepted"], false, "{told}");
    let proof = relay.command(&["relay", "prove"]).expect_code(0);
    assert!(
        proof
            .out
            .contains("87 probes, 0 accepted; 3 of 3 controls accepted"),
        "{}",
        proof.out
    );
    let checked = relay.command(&["config", "check"]).expect_code(0);
    let passages = "2 forwards lead to other domains";
    assert!(checked.out.contains(passages), "{}", checked.text());
    assert!(
        checked
            .out
            .contains("bounces to SRS addresses at srs.test are turned back"),
        "{}",
        checked.text()
    );
}
