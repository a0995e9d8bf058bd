//! Who exists behind the relay: by a list, by a file, by a directory, by the next hop. Unknown
//! recipients are refused at RCPT, and what nobody can tell is postponed.

use std::fs;

use crate::authority::Authority;
use crate::client::{Dialogue, Reply, message};
use crate::directory::{Directory, NAMES_OF_CLARA, PASSWORD_OF_CLARA, Setup};
use crate::dns::NameServer;
use crate::encrypted::Encrypted;
use crate::network::Network;
use crate::outbound_tls::service;
use crate::peer_certificates::{PeerAuthority, text};
use crate::postfix::Postfix;
use crate::relay::Relay;
use crate::server::route_to;
use crate::submission_setup::{SubmissionSetup, plain};
use crate::wait::{seconds, side_by_side, until_true};

/// A relay for `hosted.test` that nothing is delivered from; `domain` is in the section of that
/// domain.
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

/// A relay that asks a directory set up in this way, with more lines in its section.
fn relay_of(setup: Setup, more: &str) -> (Directory, Relay) {
    let (network, authority) = (Network::new(), Authority::new());
    let directory = Directory::start_as(setup, network, &authority);
    let settings = format!("{}{more}", directory.settings());
    let relay = relay_for(network, "recipients = \"ldap:staff\"", &settings);
    (directory, relay)
}

/// RFC 4511 section 4.5.1.7: a comparison that a directory cannot make is "undefined", and finds
/// nobody with success.
#[test]
fn nobody_is_unknown_by_a_filter_that_the_directory_cannot_compare() {
    let cases = [
        // The default, at a directory whose proxyAddresses cannot be compared.
        (Setup::of_slapd(), "", "no EQUALITY rule for proxyAddresses"),
        (
            Setup::of_everybody(),
            "filter = \"(&(mail=%s)(!(leftTheHouse=TRUE)))\"\n",
            "no attribute leftTheHouse",
        ),
        (
            Setup::of_everybody(),
            "filter = \"(|(proxyAddresses=smtp:%s)(mail=%s))\"\n",
            "no attribute proxyAddresses",
        ),
    ];
    for (setup, more, why) in cases {
        let (_directory, relay) = relay_of(setup, more);
        relay.wait_for_log(&["ldap.staff.filter", why]);
        assert_answers(&relay, &[("nobody@hosted.test", "451")]);
        let checked = relay.command(&["config", "check"]).expect_code(0);
        assert!(checked.err.contains(why), "{}", checked.err);
    }
}

#[test]
fn a_filter_that_the_directory_can_compare_says_who_is_unknown() {
    let rule = "filter = \"(|(proxyAddresses:caseIgnoreMatch:=smtp:%s)(mail=%s))\"\n";
    // The default is for directories with and without the attributes of Active Directory.
    for (setup, more) in [
        (Setup::of_everybody(), ""),
        (Setup::of_windows(), ""),
        (Setup::of_slapd(), rule),
    ] {
        let (_directory, relay) = relay_of(setup, more);
        let cases = [
            ("clara@hosted.test", "250"),
            ("bob@hosted.test", "250"),
            ("nobody@hosted.test", UNKNOWN),
        ];
        assert_answers(&relay, &cases);
        let checked = relay.command(&["config", "check"]).expect_code(0);
        assert!(
            !checked.err.contains("ldap.staff.filter"),
            "{}",
            checked.err
        );
    }
}

const ELSEWHERE: &str = "
dn: ou=elsewhere,dc=hosted,dc=test
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:1/ou=elsewhere,dc=hosted,dc=test
";

#[test]
fn references_beside_the_answer_are_no_error() {
    let (_directory, relay) = relay_of(Setup::of_windows().with_people(ELSEWHERE), "");
    let cases = [
        ("clara@hosted.test", "250"),
        ("nobody@hosted.test", UNKNOWN),
    ];
    assert_answers(&relay, &cases);
    // A base that is kept elsewhere says nothing of anybody.
    let text = fs::read_to_string(relay.config()).expect("the configuration");
    let inside = text.replace(
        "base = \"dc=hosted,dc=test\"",
        "base = \"ou=sales,ou=elsewhere,dc=hosted,dc=test\"",
    );
    assert_ne!(text, inside);
    relay.write_whole_config(&inside);
    relay.command(&["reload"]).expect_code(0);
    assert_answers(&relay, &[("nobody@hosted.test", "451")]);
    relay.wait_for_log(&["`base` is kept by another server"]);
}

#[test]
fn an_answer_that_a_limit_cut_short_makes_nobody_unknown() {
    let (_directory, relay) = relay_of(
        Setup::of_windows().with_settings("sizelimit size.unchecked=1\n"),
        "",
    );
    assert_answers(&relay, &[("nobody@hosted.test", "451")]);
    relay.wait_for_log(&["cut short by a limit"]);
}

#[test]
fn a_connection_that_the_directory_dropped_is_made_anew() {
    let (directory, relay) = relay_of(Setup::of_windows().with_settings("idletimeout 1\n"), "");
    for recipient in ["nobody@hosted.test", "no-one@hosted.test"] {
        assert_answers(&relay, &[(recipient, UNKNOWN)]);
        assert!(directory.has_connections());
        until_true("the directory to hang up", seconds(20), || {
            !directory.has_connections()
        });
    }
    assert_answers(&relay, &[("clara@hosted.test", "250")]);
    let log = relay.log();
    assert!(!log.contains("could not be asked"), "{log}");
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
    let setup = SubmissionSetup::open(&format!(
        "{}[auth]\nldap = [\"staff\"]\n",
        directory.settings()
    ));
    for name in ["clara", "clara@hosted.test"] {
        setup.encrypted().ask(&plain(name, PASSWORD_OF_CLARA), 235);
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
        let reply = setup.encrypted().say(&plain(name, password));
        assert_eq!(reply.code, 535, "{name}: {}", reply.text());
    });
    // Only those who know a password's keys can answer SCRAM; a directory cannot.
    let offers = Encrypted::from_the_start(setup.stranger(), setup.submissions())
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
    let mut dialogue = Encrypted::from_the_start(elsewhere, setup.submissions()).ready();
    dialogue.ask(&plain("clara", PASSWORD_OF_CLARA), 454);
}

/// A relay whose users are in a directory, with a users file of these lines.
fn setup_with(directory: &Directory, users: &str, more: &str) -> SubmissionSetup {
    let auth = format!("{}[auth]\nldap = [\"staff\"]\n{more}", directory.settings());
    let mut setup = SubmissionSetup::prepare(&auth);
    write_users(&setup, users);
    setup.relay.run();
    setup
}

fn write_users(setup: &SubmissionSetup, users: &str) {
    let file = setup.relay.data_dir().join("users.toml");
    fs::write(file, users).expect("the users file");
}

/// Somebody at another network each time, so that no failure on the way leads to a ban.
fn from_network(setup: &SubmissionSetup, number: usize) -> Dialogue {
    let client = [127, 251, u8::try_from(number).expect("few networks"), 9];
    Encrypted::from_the_start(client.into(), setup.submissions()).ready()
}

#[test]
fn who_is_disabled_in_the_users_file_is_so_by_every_name_of_the_directory() {
    let authority = Authority::new();
    let directory = Directory::start(Network::new(), &authority);
    let setup = setup_with(&directory, "", "");
    let sign_in = |number: usize, name: &str| {
        let mut dialogue = from_network(&setup, number);
        let reply = dialogue.say(&plain(name, PASSWORD_OF_CLARA));
        (dialogue, reply)
    };
    let numbered: Vec<(usize, &str)> = NAMES_OF_CLARA.into_iter().enumerate().collect();
    side_by_side(&numbered, |(number, name)| {
        let (_, reply) = sign_in(*number, name);
        assert_eq!(reply.code, 235, "{name}: {}", reply.text());
    });
    let entries = [
        "clara@hosted.test",
        "clara@corp.hosted.test",
        "Clara",
        "uid=clara,dc=hosted,dc=test",
    ];
    for (turn, written) in entries.into_iter().enumerate() {
        let disabled = format!("[user.\"{written}\"]\ndisabled = true\n");
        write_users(&setup, &disabled);
        setup.relay.command(&["reload"]).expect_code(0);
        side_by_side(&numbered, |(number, name)| {
            let (_, reply) = sign_in(10 * turn + number, name);
            assert_eq!(
                reply.code,
                535,
                "{written} is disabled, and {name} is not: {}",
                reply.text()
            );
        });
    }
    // Without a password of its own the entry takes rights, and not the password of the directory.
    write_users(&setup, "[user.\"clara@hosted.test\"]\nmay_relay = false\n");
    setup.relay.command(&["reload"]).expect_code(0);
    side_by_side(&numbered, |(number, name)| {
        let (mut dialogue, reply) = sign_in(100 + number, name);
        assert_eq!(reply.code, 235, "{name}: {}", reply.text());
        dialogue.ask("MAIL FROM:<clara@hosted.test>", 250);
        let elsewhere = dialogue.say("RCPT TO:<bob@elsewhere.test>");
        assert!(
            elsewhere.text().starts_with("550 5.7.1"),
            "{name}: {}",
            elsewhere.text()
        );
        dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
    });
    let check = [
        "relay",
        "check",
        "--client",
        "203.0.113.9",
        "--listener",
        "submissions",
        "--user",
        "clara",
        "--rcpt",
        "bob@elsewhere.test",
    ];
    let explained = setup.relay.command(&check).expect_code(1).out;
    let reason = "user clara@hosted.test may not relay";
    assert!(explained.contains(reason), "{explained}");
}

#[test]
fn a_person_of_a_directory_has_one_ban_and_one_rate_whatever_the_name() {
    let authority = Authority::new();
    let directory = Directory::start(Network::new(), &authority);
    let limit = "[limits]\nrate_per_user = { messages = \"2/1h\" }\n";
    let setup = setup_with(&directory, "", limit);
    let others = &NAMES_OF_CLARA[..3];
    side_by_side(others, |name| {
        let reply = from_network(&setup, 1).say(&plain(name, "a guess"));
        assert_eq!(reply.code, 535, "{name}");
    });
    side_by_side(others, |name| {
        let reply = from_network(&setup, 1).say(&plain(name, PASSWORD_OF_CLARA));
        assert_eq!(reply.code, 535, "{name} is not banned");
    });
    let answers = others.iter().enumerate().map(|(number, name)| {
        let mut dialogue = from_network(&setup, 2 + number);
        dialogue.ask(&plain(name, PASSWORD_OF_CLARA), 235);
        let mail = dialogue.say("MAIL FROM:<clara@hosted.test>");
        if mail.code == 250 {
            dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
            dialogue.ask("DATA", 354);
            dialogue.send(message(name).as_bytes());
            dialogue.ask(".", 250);
        }
        mail.code / 100
    });
    assert_eq!(answers.collect::<Vec<_>>(), [2, 2, 4]);
    setup.relay.wait_for_log(&["\"signed in\""]);
    let log = setup.relay.log();
    let mut lines = log.lines().filter(|line| line.contains("\"signed in\""));
    assert!(
        lines.all(|line| line.contains("\"clara@hosted.test\"")),
        "{log}"
    );
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

/// Next hops whose answer nobody gets in clear: a Postfix with a port for each certificate.
#[test]
fn the_next_hop_is_asked_under_the_encryption_that_mail_would_have() {
    let network = Network::new();
    let authority = PeerAuthority::new();
    let (right, wrong) = (
        authority.certificate(&["mx.peer.test"]),
        authority.certificate(&["mx.elsewhere.test"]),
    );
    let verify = format!("tls = \"verify\"\nca = \"{}\"", text(&authority.file()));
    let demands = ["tls = \"opportunistic\"", "tls = \"require\"", &verify];
    let names = ["offered", "required", "verified", "mistaken", "stripped"];
    let host = network.mail_server().ip();
    let ports = [(); 4].map(|()| network.free_port(host));
    let encrypted = "-o smtpd_tls_security_level=encrypt";
    let services: String = [&wrong, &wrong, &right, &wrong]
        .iter()
        .zip(ports)
        .map(|(certificate, address)| service(address, certificate, encrypted))
        .collect();
    let boxes: Vec<String> = (names.iter())
        .map(|name| format!("{{ bob@{name}.test = bob/ }}"))
        .collect();
    let domains = names.map(|name| format!("{name}.test"));
    let settings = Postfix::one_mailbox(&domains.each_ref().map(String::as_str))
        .replace("static:all/", &format!("inline:{{ {} }}", boxes.join(", ")));
    // This port offers no encryption.
    let clear = network.free_port(host);
    let _postfix = Postfix::start_with(clear, &settings, &services);

    let dns = NameServer::start(network.name_server(), &format!("mx.peer A {host}"));
    let mut config = dns.config();
    let ways = [
        (ports[0], demands[0]),
        (ports[1], demands[1]),
        (ports[2], demands[2]),
        (ports[3], demands[2]),
        (clear, demands[1]),
    ];
    for (name, (address, demand)) in names.iter().zip(ways) {
        config += &format!(
            "[domain.\"{name}.test\"]\nroute = \"{name}\"\nrecipients = \"verify\"\n\
             [route.{name}]\nhosts = \"[mx.peer.test]:{}\"\n{demand}\n",
            address.port()
        );
    }
    let relay = Relay::start(network, &config);
    let cases = [
        ("bob@offered.test", "250"),
        ("bob@required.test", "250"),
        ("bob@verified.test", "250"),
        ("nobody@verified.test", UNKNOWN),
        ("bob@mistaken.test", "451"),
        ("nobody@mistaken.test", "451"),
        ("bob@stripped.test", "451"),
    ];
    assert_answers(&relay, &cases);
    for words in ["mx.elsewhere.test", "STARTTLS is required"] {
        until_true(words, seconds(20), || relay.log().contains(words));
    }
}
