//! Who exists behind the relay: by a list, by a file, by a directory, by the next hop. Unknown recipients are refused at
//! RCPT, and what nobody can tell is postponed.

use std::fs;

use crate::authority::Authority;
use crate::client::{Dialogue, Reply};
use crate::directory::{Directory, PASSWORD_OF_CLARA};
use crate::encrypted::Encrypted;
use crate::network::Network;
use crate::office::{Office, plain};
use crate::postfix::Postfix;
use crate::relay::Relay;
use crate::server::route_to;
use crate::wait::{seconds, side_by_side, until_true};

/// A relay for `hosted.test` that nothing is delivered from; `domain` is in the section of that domain.
fn relay_for(network: Network, domain: &str, more: &str) -> Relay {
    let route = route_to(network.mail_server());
    let settings = format!("[domain.\"hosted.test\"]\nroute = \"{route}\"\n{domain}\n{more}");
    Relay::start(network, &settings)
}

fn asked_for(relay: &Relay, recipient: &str) -> Reply {
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.say(&format!("RCPT TO:<{recipient}>"))
}

fn assert_answers(relay: &Relay, cases: &[(&str, &str)]) {
    for (recipient, answer) in cases {
        let reply = asked_for(relay, recipient);
        assert!(
            reply.text().starts_with(answer),
            "{recipient}: {}",
            reply.text()
        );
    }
}

const UNKNOWN: &str = "550 5.1.1";

#[test]
fn a_list_says_who_exists() {
    let relay = relay_for(
        Network::new(),
        "recipients = [\"ann\", \"bob@hosted.test\"]",
        "",
    );
    let cases = [
        ("ann@hosted.test", "250"),
        ("bob@HOSTED.test", "250"),
        ("postmaster@hosted.test", "250"),
        ("nobody@hosted.test", UNKNOWN),
        ("ann.b@hosted.test", UNKNOWN),
    ];
    assert_answers(&relay, &cases);
    // Whoever asks: the mail would only bounce.
    let mut permitted = Dialogue::ready(relay.network.permitted(), relay.address());
    permitted.ask("MAIL FROM:<ann@client.test>", 250);
    permitted.ask("RCPT TO:<nobody@hosted.test>", 550);
}

#[test]
fn a_changed_file_is_noticed() {
    let relay = Relay::prepare(Network::new(), "");
    let file = relay.folder().join("recipients");
    fs::write(&file, "# ours\nann@hosted.test\n").expect("a file");
    let mut relay = relay;
    let route = route_to(relay.network.mail_server());
    relay.write_config(&format!(
        "[domain.\"hosted.test\"]\nroute = \"{route}\"\nrecipients = \"file:{}\"\n",
        file.display()
    ));
    relay.run();
    assert_answers(
        &relay,
        &[("ann@hosted.test", "250"), ("dave@hosted.test", UNKNOWN)],
    );
    fs::write(&file, "dave@hosted.test   # new\n").expect("a file");
    until_true("the new list", seconds(20), || {
        asked_for(&relay, "dave@hosted.test").code == 250
    });
    assert_answers(&relay, &[("ann@hosted.test", UNKNOWN)]);
}

#[test]
fn a_directory_says_who_exists() {
    let (network, authority) = (Network::new(), Authority::new());
    let mut directory = Directory::start(network, &authority);
    let relay = relay_for(
        network,
        "recipients = \"ldap:staff\"",
        &directory.settings(),
    );
    let cases = [
        ("clara@hosted.test", "250"),
        ("Info@hosted.test", "250"),
        ("bob@hosted.test", "250"),
        ("postmaster@hosted.test", "250"),
        ("nobody@hosted.test", UNKNOWN),
        // What would find everybody, were it not escaped.
        ("*@hosted.test", UNKNOWN),
        ("cl*@hosted.test", UNKNOWN),
        ("\"x)(uid=*\"@hosted.test", UNKNOWN),
        ("\"\\\\2a\"@hosted.test", UNKNOWN),
    ];
    assert_answers(&relay, &cases);
    directory.stop();
    // What was asked before is remembered.
    assert_answers(
        &relay,
        &[
            ("carl@hosted.test", "451"),
            ("clara@hosted.test", "250"),
            ("nobody@hosted.test", UNKNOWN),
        ],
    );
    directory.run();
    assert_answers(&relay, &[("dora@hosted.test", UNKNOWN)]);
}

#[test]
fn a_directory_may_be_asked_under_tls() {
    let (network, authority) = (Network::new(), Authority::new());
    let directory = Directory::start(network, &authority);
    let settings = [
        directory.settings_with_start_tls(&authority),
        directory.settings_with_tls(&authority),
    ];
    for settings in settings {
        let relay = relay_for(network, "recipients = \"ldap:staff\"", &settings);
        assert_answers(
            &relay,
            &[
                ("clara@hosted.test", "250"),
                ("nobody@hosted.test", UNKNOWN),
            ],
        );
    }
    // One whose certificate nobody vouches for is not believed.
    let another = Authority::new();
    let stranger = directory.settings_with_tls(&another);
    let relay = relay_for(network, "recipients = \"ldap:staff\"", &stranger);
    assert_answers(&relay, &[("clara@hosted.test", "451")]);
}

#[test]
fn people_of_a_directory_sign_in() {
    let authority = Authority::new();
    let network = Network::new();
    let mut directory = Directory::start(network, &authority);
    let office = Office::open(&format!(
        "{}[auth]\nldap = [\"staff\"]\n",
        directory.settings()
    ));
    for name in ["clara", "clara@hosted.test"] {
        office.encrypted().ask(&plain(name, PASSWORD_OF_CLARA), 235);
    }
    // RFC 4513 section 5.1.2: a bind without a password succeeds, and proves nothing.
    let cases = [
        ("clara", "wrong"),
        ("clara", ""),
        ("*", PASSWORD_OF_CLARA),
        ("bob", ""),
        ("nobody", "x"),
    ];
    side_by_side(&cases, |(name, password)| {
        let reply = office.encrypted().say(&plain(name, password));
        assert_eq!(reply.code, 535, "{name}: {}", reply.text());
    });
    // Only those who know a password's keys can answer SCRAM; a directory cannot.
    let offers = Encrypted::from_the_start(office.stranger(), office.submissions())
        .open()
        .ask("EHLO x.test", 250);
    let auth = offers
        .lines
        .iter()
        .find(|line| line.starts_with("AUTH"))
        .expect("AUTH");
    assert!(auth.contains("PLAIN") && !auth.contains("SCRAM"), "{auth}");
    directory.stop();
    let elsewhere = Network::new().stranger();
    let mut dialogue = Encrypted::from_the_start(elsewhere, office.submissions()).ready();
    dialogue.ask(&plain("clara", PASSWORD_OF_CLARA), 454);
}

/// A Postfix behind the relay that knows two people.
fn postfix_at(address: std::net::SocketAddr) -> Postfix {
    let boxes = Postfix::mailboxes("hosted.test", &["bob", "carol"]);
    Postfix::start(address, &boxes)
}

#[test]
fn the_next_hop_says_who_exists() {
    let network = Network::new();
    let (at, second) = (network.mail_server(), network.mail_server());
    let more = format!(
        "[domain.\"lenient.test\"]\nroute = \"{}\"\nrecipients = \"verify\"\nrecipients_unasked = \"accept\"\n\
         [verify]\ntimeout = \"5s\"\n",
        route_to(second)
    );
    let settings = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\nrecipients = \"verify\"\n{more}",
        route_to(at)
    );
    let relay = Relay::start(network, &settings);
    // Nobody is there to ask.
    assert_answers(
        &relay,
        &[("bob@hosted.test", "451"), ("bob@lenient.test", "250")],
    );
    {
        let _postfix = postfix_at(at);
        until_true("the next hop to be asked", seconds(20), || {
            asked_for(&relay, "bob@hosted.test").code == 250
        });
        let cases = [
            ("carol@hosted.test", "250"),
            ("postmaster@hosted.test", "250"),
            ("nobody@hosted.test", UNKNOWN),
        ];
        assert_answers(&relay, &cases);
    }
    // What it said is remembered when it is down; what it was not asked is not known.
    let cases = [
        ("carol@hosted.test", "250"),
        ("nobody@hosted.test", UNKNOWN),
        ("dave@hosted.test", "451"),
    ];
    assert_answers(&relay, &cases);
}
