//! The rules of signing in, as a client meets them on the ports of submission: nothing before TLS,
//! nothing without a name, and what each name may do.

use std::cell::Cell;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::client::{Dialogue, Reply, message};
use crate::encrypted::Encrypted;
use crate::issuer::Issuer;
use crate::network::Network;
use crate::program::feed;
use crate::submission_setup::{PASSWORD, SubmissionSetup, USER, base64, plain};
use crate::wait::{seconds, side_by_side, until_true};

/// A listener that takes mail from everybody, and signs in who likes.
const OPTIONAL: &str =
    "[listener.optional]\nbind = \"127.0.0.1:0\"\ntls = \"offer\"\nauth = \"optional\"\n";

const WRONG: &str = "535 5.7.8";

/// What a user hears for a recipient in a domain that is not hosted.
fn asked_for_elsewhere(dialogue: &mut Dialogue, from: &str) -> Reply {
    dialogue.ask(&format!("MAIL FROM:<{from}>"), 250);
    dialogue.say("RCPT TO:<bob@elsewhere.test>")
}

fn assert_starts(reply: &Reply, with: &str) {
    assert!(reply.text().starts_with(with), "{}", reply.text());
}

#[test]
fn nobody_signs_in_before_tls() {
    let setup = SubmissionSetup::open(OPTIONAL);
    // Where TLS is required that comes first (RFC 3207 section 4); elsewhere it is the sign-in that
    // needs it.
    for (listener, refusal) in [("submission", "530 5.7.0"), ("optional", "538 5.7.11")] {
        let mut dialogue = Dialogue::open(setup.stranger(), setup.relay.listener(listener));
        let offers = dialogue.ask("EHLO client.test", 250).lines;
        assert!(offers.iter().any(|line| line == "STARTTLS"), "{offers:?}");
        assert!(
            !offers.iter().any(|line| line.starts_with("AUTH")),
            "{offers:?}"
        );
        for command in ["AUTH SCRAM-SHA-256", &plain(USER, PASSWORD)] {
            assert_starts(&dialogue.say(command), refusal);
        }
    }
    let mut dialogue = Dialogue::ready(setup.stranger(), setup.submission());
    assert_starts(&dialogue.say("MAIL FROM:<ann@hosted.test>"), "530 5.7.0");
    // Where both are offered, and neither required, signing in is what gives the right.
    let optional = setup.relay.listener("optional");
    let mut dialogue = Encrypted::after_starttls(setup.stranger(), optional).ready();
    assert_starts(&asked_for_elsewhere(&mut dialogue, USER), "550 5.7.1");
    dialogue.ask("RSET", 250);
    dialogue.ask(&plain(USER, PASSWORD), 235);
    assert_eq!(asked_for_elsewhere(&mut dialogue, USER).code, 250);
}

#[test]
fn nothing_is_taken_before_signing_in() {
    let setup = SubmissionSetup::open("");
    let mut dialogue = setup.encrypted();
    let reply = dialogue.say("MAIL FROM:<ann@hosted.test>");
    assert_eq!(reply.text(), "530 5.7.0 Authentication required");
    // A listed client signs in here too: the port is for users.
    let permitted = setup.relay.network.permitted();
    let mut dialogue = Encrypted::from_the_start(permitted, setup.submissions()).ready();
    assert_starts(&dialogue.say("MAIL FROM:<ann@hosted.test>"), "530 5.7.0");
}

#[test]
fn every_mechanism_is_offered_under_tls() {
    let setup = SubmissionSetup::open(&Issuer::new().settings());
    let listener = Encrypted::after_starttls(setup.stranger(), setup.submission());
    let mut dialogue = listener.open();
    let offers = dialogue.ask("EHLO client.test", 250).lines;
    let auth = offers.iter().find_map(|line| line.strip_prefix("AUTH "));
    let mut offered: Vec<&str> = auth.expect("AUTH").split(' ').collect();
    offered.sort_unstable();
    let all = [
        "LOGIN",
        "OAUTHBEARER",
        "PLAIN",
        "SCRAM-SHA-256",
        "SCRAM-SHA-256-PLUS",
        "XOAUTH2",
    ];
    assert_eq!(offered, all);
    assert!(!offers.iter().any(|line| line == "STARTTLS"), "{offers:?}");
}

/// Whoever guesses learns nothing but that he guessed wrong.
#[test]
fn a_wrong_password_and_an_unknown_user_sound_alike() {
    let setup = SubmissionSetup::open("");
    let cases = [
        (USER, "wrong"),
        ("nobody@hosted.test", PASSWORD),
        ("", ""),
        (USER, ""),
    ];
    side_by_side(&cases, |(user, password)| {
        let reply = setup.encrypted().say(&plain(user, password));
        assert_eq!(
            reply.text(),
            format!("{WRONG} Authentication credentials invalid"),
            "{user}"
        );
    });
    let log = setup.relay.log();
    assert!(log.contains("sign-in failed"), "{log}");
    assert!(!log.contains(PASSWORD), "a password is in the log");
    // What nobody hears is told in rows, as in the log: who was tried, and why not.
    let (wrong, malformed) = (
        "PLAIN: no such user, wrong password, or disabled",
        "PLAIN: not what the mechanism says",
    );
    let mut expected = [
        [USER, wrong],
        ["nobody@hosted.test", wrong],
        ["", malformed],
        [USER, malformed],
    ];
    expected.sort_unstable();
    assert_eq!(refused_sign_ins(&setup, ""), expected);
    let of_nobody = refused_sign_ins(&setup, "user:nobody@*");
    assert_eq!(of_nobody, [["nobody@hosted.test", wrong]]);
}

/// Who was tried in vain and why, as rows have it.
fn refused_sign_ins(setup: &SubmissionSetup, filter: &str) -> Vec<[String; 2]> {
    let rows = rows_of_sign_ins(setup, filter);
    let mut found: Vec<[String; 2]> = rows
        .iter()
        .map(|row| ["user", "note"].map(|field| row[field].as_str().unwrap_or_default().to_owned()))
        .collect();
    found.sort_unstable();
    found
}

fn rows_of_sign_ins(setup: &SubmissionSetup, filter: &str) -> Vec<Value> {
    let filter = format!("state:refused {filter}");
    let arguments = ["--json", "track", "--events", filter.trim()];
    let out = setup.relay.command(&arguments).expect_code(0).out;
    assert!(!out.contains(PASSWORD), "a password is in {out}");
    let mut rows: Vec<Value> = serde_json::from_str(&out).expect("JSON");
    rows.retain(|row| row["stage"] == "sign-in");
    rows
}

#[test]
fn a_broken_sign_in_gives_nothing() {
    let setup = SubmissionSetup::open("");
    let another = base64(format!("bob@hosted.test\0{USER}\0{PASSWORD}").as_bytes());
    // The commands of one sign-in, and the last answer.
    let cases: [(&[&str], &str); 9] = [
        (&["AUTH PLAIN", "*"], "501"),
        (&["AUTH PLAIN ???"], "501"),
        (&["AUTH PLAIN", "not base64!"], "501"),
        (&["AUTH LOGIN", "*"], "501"),
        (&["AUTH ANONYMOUS"], "504"),
        (&["AUTH CRAM-MD5"], "504"),
        (&["AUTH"], "501"),
        // Nothing between two NULs, and a user who would act for another.
        (&["AUTH PLAIN ="], "5"),
        (&[&format!("AUTH PLAIN {another}")], "535"),
    ];
    side_by_side(&cases, |(commands, last)| {
        let mut dialogue = setup.encrypted();
        let replies: Vec<Reply> = commands.iter().map(|line| dialogue.say(line)).collect();
        assert_starts(&replies[replies.len() - 1], last);
        assert_starts(&dialogue.say("MAIL FROM:<ann@hosted.test>"), "530");
    });
    let mut dialogue = setup.signed_in(USER, PASSWORD);
    assert_starts(&dialogue.say(&plain(USER, PASSWORD)), "503");
    let mut in_clear = Dialogue::ready(setup.stranger(), setup.submission());
    assert_starts(&in_clear.say(&plain(USER, PASSWORD)), "530");
    let rows = rows_of_sign_ins(&setup, "");
    let mut codes: Vec<&str> = rows
        .iter()
        .map(|row| &row["reply"].as_str().expect("a reply")[..3])
        .collect();
    codes.sort_unstable();
    let expected = [
        "501", "501", "501", "501", "501", "503", "504", "504", "530", "535", "535",
    ];
    assert_eq!(codes, expected);
}

#[test]
fn three_failures_end_the_session() {
    let setup = SubmissionSetup::open("");
    let mut dialogue = setup.encrypted();
    for _ in 0..2 {
        assert_starts(&dialogue.say(&plain("nobody@hosted.test", "guess")), WRONG);
    }
    dialogue.send(format!("{}\r\n", plain("nobody@hosted.test", "guess")).as_bytes());
    let last = dialogue.replies_until_closed();
    assert!(last.iter().any(|reply| reply.code == 421), "{last:?}");
}

/// The salt and the count that SCRAM shows for a name before anything is proven (RFC 5802 section
/// 5.1).
fn shown_by_scram(setup: &SubmissionSetup, name: &str) -> String {
    let first = base64(format!("n,,n={name},r=fyko").as_bytes());
    let mut dialogue = setup.encrypted();
    let challenge = dialogue
        .ask(&format!("AUTH SCRAM-SHA-256 {first}"), 334)
        .text();
    let challenge = challenge.trim_start_matches("334 ").as_bytes();
    let text = feed("openssl", &["base64", "-d", "-A"], challenge).out;
    dialogue.ask("*", 501);
    let (_, shown) = text.split_once(",s=").expect("a salt");
    shown.to_owned()
}

#[test]
fn scram_shows_who_exists_neither_at_once_nor_after_a_restart() {
    let mut setup = SubmissionSetup::open("");
    let names = [USER, "nobody@hosted.test"];
    let before = names.map(|name| shown_by_scram(&setup, name));
    assert_ne!(before[0], before[1]);
    let form = |shown: &str| (shown.len(), shown.split_once(",i=").map(|i| i.1.to_owned()));
    assert_eq!(form(&before[0]), form(&before[1]));
    setup.relay.stop();
    setup.relay.run();
    assert_eq!(names.map(|name| shown_by_scram(&setup, name)), before);
    let seed = setup.relay.data_dir().join("sign-in.seed");
    let mode = fs::metadata(seed).expect("the seed").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Where too many guesses came from, the right password does not help any more; elsewhere it does,
/// so that nobody can lock a user out.
#[test]
fn guessing_is_banned_where_it_comes_from() {
    let setup = SubmissionSetup::open("");
    for _ in 0..3 {
        assert_starts(&setup.encrypted().say(&plain(USER, "guess")), WRONG);
    }
    assert_starts(&setup.encrypted().say(&plain(USER, PASSWORD)), WRONG);
    let banned = refused_sign_ins(&setup, "").pop();
    let why = "PLAIN: too many failures from there before";
    assert_eq!(banned, Some([USER, why].map(str::to_owned)));
    let elsewhere = Network::new().stranger();
    let mut dialogue = Encrypted::from_the_start(elsewhere, setup.submissions()).ready();
    dialogue.ask(&plain(USER, PASSWORD), 235);
}

#[test]
fn a_user_without_the_right_sends_to_hosted_domains_only() {
    let mut setup = SubmissionSetup::prepare("");
    setup.add_user("scanner", "scan it", &["--no-relay"]);
    setup.relay.run();
    let mut dialogue = setup.signed_in("scanner", "scan it");
    let reply = asked_for_elsewhere(&mut dialogue, "scanner@hosted.test");
    assert_starts(&reply, "550 5.7.1");
    dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
    // The same command from a user with the right.
    let mut dialogue = setup.signed_in(USER, PASSWORD);
    assert_eq!(asked_for_elsewhere(&mut dialogue, USER).code, 250);
}

#[test]
fn a_user_with_senders_sends_as_those_only() {
    let mut setup = SubmissionSetup::prepare("");
    let senders = [
        "--sender",
        "carol@hosted.test",
        "--sender",
        "sales@hosted.test",
    ];
    setup.add_user("carol", "her password", &senders);
    setup.relay.run();
    let cases = [
        ("carol@hosted.test", "250"),
        ("sales@hosted.test", "250"),
        ("", "250"),
        ("ann@hosted.test", "550 5.7.1"),
        ("carol@elsewhere.test", "550 5.7.1"),
    ];
    for (sender, answer) in cases {
        let mut dialogue = setup.signed_in("carol", "her password");
        assert_starts(&asked_for_elsewhere(&mut dialogue, sender), answer);
    }
    // Who has no list sends as he likes.
    let mut dialogue = setup.signed_in(USER, PASSWORD);
    assert_eq!(
        asked_for_elsewhere(&mut dialogue, "any@where.test").code,
        250
    );
}

#[test]
fn everybody_may_be_held_to_his_own_address() {
    let setup = SubmissionSetup::open("[auth]\nsender_match = \"own\"\n");
    let mut dialogue = setup.signed_in(USER, PASSWORD);
    assert_eq!(asked_for_elsewhere(&mut dialogue, USER).code, 250);
    dialogue.ask("RSET", 250);
    assert_starts(
        &asked_for_elsewhere(&mut dialogue, "boss@hosted.test"),
        "550 5.7.1",
    );
}

#[test]
fn users_are_limited_in_what_they_send() {
    let setup = SubmissionSetup::open(
        "[limits]\nrate_per_user = { messages = \"2/1h\", recipients = \"3/1h\" }\n",
    );
    let mut dialogue = setup.signed_in(USER, PASSWORD);
    for id in ["first", "second"] {
        let reply = dialogue.submit(USER, &["bob@elsewhere.test"], &message(id));
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    let third = dialogue.say(&format!("MAIL FROM:<{USER}>"));
    assert!((450..=452).contains(&third.code), "{}", third.text());
    // Another session, and another address, are the same user.
    let elsewhere = Network::new().stranger();
    let mut dialogue = Encrypted::from_the_start(elsewhere, setup.submissions()).ready();
    dialogue.ask(&plain(USER, PASSWORD), 235);
    let again = dialogue.say(&format!("MAIL FROM:<{USER}>"));
    assert!((450..=452).contains(&again.code), "{}", again.text());
}

#[test]
fn users_are_limited_in_recipients() {
    let setup = SubmissionSetup::open("[limits]\nrate_per_user = { recipients = \"2/1h\" }\n");
    let mut dialogue = setup.signed_in(USER, PASSWORD);
    dialogue.ask(&format!("MAIL FROM:<{USER}>"), 250);
    dialogue.ask("RCPT TO:<one@elsewhere.test>", 250);
    dialogue.ask("RCPT TO:<two@elsewhere.test>", 250);
    let third = dialogue.say("RCPT TO:<three@elsewhere.test>");
    assert!((450..=452).contains(&third.code), "{}", third.text());
}

/// What the users file says of one user goes before what holds for everybody.
#[test]
fn a_user_may_have_limits_of_its_own() {
    let mut setup =
        SubmissionSetup::prepare("[limits]\nrate_per_user = { messages = \"500/1h\" }\n");
    setup.add_user("printer", "print it", &[]);
    let file = setup.relay.data_dir().join("users.toml");
    let users = fs::read_to_string(&file).expect("the users file");
    let limited = users.replace(
        "[user.printer]\n",
        "[user.printer]\nmessages_per_hour = 1\n",
    );
    assert_ne!(users, limited, "{users}");
    fs::write(&file, limited).expect("the users file");
    setup.relay.run();
    let mut printer = setup.signed_in("printer", "print it");
    let reply = printer.submit(USER, &["bob@elsewhere.test"], &message("printed"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    let second = printer.say(&format!("MAIL FROM:<{USER}>"));
    assert!((450..=452).contains(&second.code), "{}", second.text());
    let mut other = setup.signed_in(USER, PASSWORD);
    for id in ["one", "two"] {
        other.submit(USER, &["bob@elsewhere.test"], &message(id));
    }
    other.ask(&format!("MAIL FROM:<{USER}>"), 250);
}

#[test]
fn signing_in_may_give_no_right_to_relay() {
    let setup = SubmissionSetup::open("");
    let text = fs::read_to_string(setup.relay.config()).expect("the configuration");
    let text = text.replace("[relay]\n", "[relay]\nsigned_in = false\n");
    setup.relay.write_whole_config(&text);
    let mut before = setup.signed_in(USER, PASSWORD);
    assert_eq!(asked_for_elsewhere(&mut before, USER).code, 250);
    setup.relay.command(&["reload"]).expect_code(0);
    let mut after = setup.signed_in(USER, PASSWORD);
    assert_starts(&asked_for_elsewhere(&mut after, USER), "550 5.7.1");
    after.ask("RCPT TO:<bob@hosted.test>", 250);
}

/// The users file is edited while the relay runs; nobody tells the relay.
#[test]
fn a_change_of_users_is_noticed() {
    let setup = SubmissionSetup::open("");
    setup.add_user("dave", "first password", &[]);
    // From another network each time, so that no failure on the way leads to a ban.
    let attempts = Cell::new(0);
    let signs_in = |password: &str| {
        attempts.set(attempts.get() + 1);
        let client = IpAddr::from([127, 250, attempts.get(), 9]);
        let mut dialogue = Encrypted::from_the_start(client, setup.submissions()).ready();
        dialogue.say(&plain("dave", password)).code == 235
    };
    until_true("the new user", seconds(20), || signs_in("first password"));
    let passwd = ["user", "passwd", "dave"];
    setup
        .relay
        .command_with(&passwd, b"second password\n")
        .expect_code(0);
    until_true("the new password", seconds(20), || {
        signs_in("second password")
    });
    assert!(!signs_in("first password"));
    setup
        .relay
        .command(&["user", "remove", "dave"])
        .expect_code(0);
    until_true("the user to be gone", seconds(20), || {
        !signs_in("second password")
    });
}

#[test]
fn a_users_file_that_is_gone_changes_nothing() {
    let setup = SubmissionSetup::open("");
    let file = setup.relay.data_dir().join("users.toml");
    fs::remove_file(&file).expect("the users file");
    setup.relay.wait_for_log(&["users.toml is gone"]);
    setup.signed_in(USER, PASSWORD);
}

#[test]
fn tokens_are_judged() {
    let issuer = Issuer::new();
    let setup = SubmissionSetup::open(&issuer.settings());
    let show = |token: &str| {
        let response = base64(format!("user={USER}\x01auth=Bearer {token}\x01\x01").as_bytes());
        let mut dialogue = setup.encrypted();
        let reply = dialogue.say(&format!("AUTH XOAUTH2 {response}"));
        (dialogue, reply)
    };
    // Before the others, because three failures ban.
    let (_, reply) = show(&issuer.token(USER));
    assert_eq!(reply.code, 235, "{}", reply.text());
    let bad = [
        issuer.expired_token(USER),
        Issuer::new().token(USER),
        unsigned(&issuer.token(USER)),
    ];
    side_by_side(&bad, |token| {
        let (mut dialogue, reply) = show(token);
        // The client answers what it is told of its token with nothing, and hears the end.
        assert_eq!(reply.code, 334, "{}", reply.text());
        assert_starts(&dialogue.say(""), WRONG);
    });
}

/// The same claims, said to need no signature.
fn unsigned(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("three parts");
    let head = base64(br#"{"typ":"JWT","alg":"none"}"#);
    format!("{}.{claims}.", head.trim_end_matches('='))
}
