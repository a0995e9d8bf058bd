//! The ways in which this machine itself hands messages in.

mod memory;

use config::{Config, LocalSubmission, local_submission};
use mail::{Domain, ReversePath};
use memory::{Memory, bad, good};

fn config(text: &str) -> Config {
    good(text).config
}

#[test]
fn they_are_closed_until_somebody_opens_them() {
    let closed = config("").local;
    assert!(closed.pickup.is_none() && closed.submit.is_none());
    let open = config(
        "[pickup]\ndirectory = \"/p\"\n[submit]\nsocket = \"/s\"\nmode = \"660\"\ngroup = \"www\"\n",
    );
    let (pickup, submit) = (open.local.pickup.unwrap(), open.local.submit.unwrap());
    assert_eq!(
        (pickup.directory, pickup.interval.as_secs()),
        ("/p".into(), 1)
    );
    assert_eq!((submit.socket, submit.mode), ("/s".into(), 0o660));
    assert_eq!(submit.group.as_deref(), Some("www"));
    for session in [pickup.session, submit.session] {
        let local = session.rules.local.clone().unwrap();
        assert!(!local.may_relay && !session.rules.listener.sign_in.offered);
    }
    assert_eq!(open.posture.to_string(), "closed: nobody may relay");
}

#[test]
fn each_has_a_rule_of_its_own_with_its_line() {
    let text = "relay.submit = true\npickup.directory = \"/p\"\n[submit]\nsocket = \"/s\"\nsenders = [\"a.test\"]\nrecipients = [\"hosted\"]\n";
    let config = config(text);
    assert_eq!(
        config.posture.to_string(),
        "closed: nobody on pickup (default); this machine as some senders to some recipients on submit (gatepost.toml:1)"
    );
    let rules = &config.local.submit.unwrap().session.rules;
    let local = rules.local.as_ref().unwrap();
    assert_eq!(local.place.to_string(), "gatepost.toml:1");
    assert_eq!(local.senders_place.to_string(), "gatepost.toml:5");
    let only_to = local.only_to.as_ref().unwrap();
    assert_eq!(only_to.place.to_string(), "gatepost.toml:6");
}

#[test]
fn what_makes_no_sense_is_said() {
    for (text, said) in [
        ("submit.mode = \"0999\"\n", "octal digits"),
        ("submit.mode = \"7777\"\n", "octal digits"),
        ("pickup.interval = \"0s\"\n", "longer than nothing"),
        ("pickup.senders = [\"a b\"]\n", "sender"),
        ("pickup.recipients = [\"*\"]\n", "leave the list out"),
        ("submit.recipients = []\n", "names nobody"),
    ] {
        let refused = bad(text).to_string();
        assert!(refused.contains(said), "{refused}");
    }
    let warned = good("relay.pickup = true\n").warnings;
    assert!(
        warned[0]
            .to_string()
            .contains("`relay.pickup` permits nobody")
    );
}

/// A mistake elsewhere does not keep programs from sending.
#[test]
fn local_submission_is_known_from_a_file_with_mistakes() {
    let files = Memory::default().with(
        "/etc/gatepost.toml",
        "hostname = \"relay.test\"\nnonsense = 1\nsubmit.socket = \"/s\"\n[pickup]\ndirectory = \"p\"\n",
    );
    let local = local_submission("/etc/gatepost.toml".as_ref(), &files).unwrap();
    let expected = LocalSubmission {
        hostname: Domain::parse("relay.test").ok(),
        socket: Some("/s".into()),
        pickup: Some("/etc/p".into()),
        pickup_relays: false,
        submit_relays: false,
        pickup_senders: Vec::new(),
        group: "gatepost".to_owned(),
        message_size: 25_000_000,
    };
    assert_eq!(local, expected);
    assert!(local_submission("/etc/other.toml".as_ref(), &files).is_err());
}

/// A file that is refused later is a message lost in silence.
#[test]
fn the_directory_serves_whom_the_socket_serves_or_nobody_is_sent_there() {
    for (text, ann, eve, null) in [
        ("", true, true, true),
        ("relay.submit = true\n", false, false, false),
        (
            "relay = { submit = true, pickup = true }\n",
            true,
            true,
            true,
        ),
        ("pickup.senders = [\"a.test\"]\n", true, false, true),
    ] {
        let files = Memory::default().with("/etc/gatepost.toml", text);
        let local = local_submission("/etc/gatepost.toml".as_ref(), &files).unwrap();
        let serves = |sender| local.pickup_serves(&ReversePath::parse(sender).unwrap());
        let served = (serves("ann@a.test"), serves("eve@b.test"), serves(""));
        assert_eq!(served, (ann, eve, null), "{text}");
    }
}
