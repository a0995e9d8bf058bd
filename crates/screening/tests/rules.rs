//! Rules before messages: what matches, what decides, what adds up, and what is told of it.

use std::sync::Arc;

use authentication::Summary;
use contents::{Kind, Limits, look_into};
use filter::Glob;
use mail::{Client, Domain, Mailbox, Place, Reply, ReversePath};
use relay_policy::{AddressRange, SenderPattern};
use screening::{
    Action, Addressee, AttachmentIs, Change, Direction, End, Examination, Facts, FieldWords,
    Reputation, Screen, Screens, Test, Verdict, When, Words,
};

const MESSAGE: &str = "From: ann@out.test\r\nTo: bob@in.test\r\nX-Mailer: The Bat\r\n\
Subject: =?utf-8?Q?You_have_w=C3=B6n?=\r\nMIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=b\r\n\r\n\
--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Claim the <b>lottery</b> &#119;in</p>\r\n\
--b\r\nContent-Type: application/pdf; name=\"invoice.pdf.exe\"\r\n\
Content-Disposition: attachment\r\n\r\nnothing\r\n--b--\r\n";

fn rule(name: &str, when: When, then: Vec<Action>) -> Screen {
    Screen {
        name: name.into(),
        place: Place::line(&"gatepost.toml".into(), 7, 1),
        when,
        then: then.into(),
        dry_run: false,
    }
}

fn client() -> Client {
    let mut client = Client::new(
        "192.0.2.7:4000".parse().unwrap(),
        "192.0.2.1:25".parse().unwrap(),
        "internet".into(),
    );
    client.user = Some("ann".into());
    client
}

fn words(list: &[&str]) -> Option<Words> {
    Some(Words::new(list.iter().copied()).unwrap())
}

fn refuse() -> Action {
    Action::Refuse(Reply::new(550, 7, 1, "no"))
}

/// What `to` gets of the message, and what each rule says.
fn asked(
    message: &str,
    rules: Vec<Screen>,
    to: &str,
    direction: Direction,
) -> (Verdict, Vec<Test>) {
    let screens = Screens::new(rules);
    let contents = look_into(message.as_bytes(), screens.wanted(), &Limits::default());
    let sender = ReversePath::Mailbox(Mailbox::parse("ann@out.test").unwrap());
    let listed = [Domain::parse("list.test").unwrap()];
    let client = client();
    let examination = Examination::new(
        &screens,
        Facts {
            client: &client,
            direction,
            sender: &sender,
            size: message.len() as u64,
            contents: &contents,
            listed: &listed,
            authentication: Summary {
                spf: "fail",
                dkim: "none",
                arc: "pass",
                ..Summary::default()
            },
            reputation: (direction == Direction::In).then_some(Reputation {
                client: -4,
                domain: Some(-8),
            }),
            scans: &[],
        },
    );
    let mailbox = Mailbox::parse(to).unwrap();
    let addressee = Addressee {
        mailbox: &mailbox,
        named: &mailbox,
    };
    let tests = examination.tests(&addressee);
    let tests = tests.into_iter().map(|(_, test)| test).collect();
    (examination.verdict(&addressee), tests)
}

/// A condition, and by what it holds, or its name.
type Case = (fn(&mut When), Result<&'static str, &'static str>);

fn check(cases: &[Case]) {
    for (number, (set, expected)) in cases.iter().enumerate() {
        let mut when = When::default();
        set(&mut when);
        let shown = format!("{number}: {when:?}");
        let rules = vec![rule("r", when, vec![Action::Hold])];
        let (_, tests) = asked(MESSAGE, rules, "bob@in.test", Direction::In);
        let expected = match expected {
            Ok(why) => Test::Matches((*why).to_owned()),
            Err(condition) => Test::Misses(condition),
        };
        assert_eq!(tests, [expected], "{shown}");
    }
}

fn globs(text: &str) -> Vec<Glob> {
    vec![Glob::new(text)]
}

fn pattern(text: &str) -> Vec<SenderPattern> {
    vec![SenderPattern::parse(text).unwrap()]
}

fn address(text: &str) -> Vec<AddressRange> {
    vec![AddressRange::single(text.parse().unwrap())]
}

fn field(name: &str, list: &[&str]) -> Vec<FieldWords> {
    vec![FieldWords {
        name: name.into(),
        words: (!list.is_empty()).then(|| words(list).unwrap()),
    }]
}

#[test]
fn conditions_about_who_sends_say_by_what_they_hold_or_are_named() {
    check(&[
        (|_| {}, Ok("every message")),
        (|w| w.direction = Some(Direction::In), Ok("direction in")),
        (|w| w.direction = Some(Direction::Out), Err("direction")),
        (
            |w| w.listeners = vec!["internet".into()],
            Ok("listener internet"),
        ),
        (|w| w.listeners = vec!["other".into()], Err("listener")),
        (|w| w.clients = address("192.0.2.7"), Ok("client 192.0.2.7")),
        (|w| w.clients = address("192.0.2.8"), Err("client")),
        (
            |w| w.clients_except = address("192.0.2.7"),
            Err("clients_except"),
        ),
        (
            |w| w.dns_lists = vec![Domain::parse("list.test").unwrap()],
            Ok("listed by list.test"),
        ),
        (
            |w| w.dns_lists = vec![Domain::parse("other.test").unwrap()],
            Err("dnsbl"),
        ),
        (|w| w.users = globs("a*"), Ok("user ann")),
        (|w| w.users = globs("b*"), Err("user")),
        (|w| w.from = pattern("*.test"), Ok("from <ann@out.test>")),
        (|w| w.from = pattern("<>"), Err("from")),
        (|w| w.to = pattern("BOB@in.test"), Ok("to bob@in.test")),
        (|w| w.to = pattern("eve@in.test"), Err("to")),
        (|w| w.spf = vec!["softfail", "fail"], Ok("spf fail")),
        (|w| w.dkim = vec!["pass"], Err("dkim")),
        (|w| w.arc = vec!["fail"], Err("arc")),
        (|w| w.arc = vec!["none", "pass"], Ok("arc pass")),
        // It was not checked.
        (|w| w.dmarc = vec!["none"], Err("dmarc")),
    ]);
}

#[test]
fn conditions_about_text_say_by_what_they_hold_or_are_named() {
    check(&[
        (|w| w.larger_than = Some(1_000_000), Err("larger_than")),
        (
            |w| w.header = field("x-mailer", &["bat"]),
            Ok("\"bat\" in field x-mailer"),
        ),
        (|w| w.header = field("X-Mailer", &[]), Ok("field X-Mailer")),
        (|w| w.header = field("X-Mailer", &["bath"]), Err("header")),
        (
            |w| w.subject = words(&["wön"]),
            Ok("\"wön\" in the subject"),
        ),
        (|w| w.subject = words(&["lottery"]), Err("subject")),
        (
            |w| w.text = words(&["lottery win"]),
            Ok("\"lottery win\" in the text"),
        ),
        (
            |w| w.words = words(&["/w[oö]n/"]),
            Ok("\"wön\" in the subject"),
        ),
        (|w| w.words = words(&["jackpot"]), Err("words")),
        (|w| w.score_above = Some(0), Err("score_above")),
    ]);
}

#[test]
fn conditions_about_attachments_say_by_what_they_hold_or_are_named() {
    const FOUND: Result<&str, &str> = Ok("attachment 2 \"invoice.pdf.exe\" (text)");
    check(&[
        (|w| w.attachment.names = globs("*.EXE"), FOUND),
        (|w| w.attachment.extensions = vec!["exe".into()], FOUND),
        (|w| w.attachment.double_extension = Some(true), FOUND),
        (|w| w.attachment.kinds = vec![Kind::Executable], Err("kind")),
        // Both of one attachment: there is none.
        (
            |w| (w.attachment.names, w.attachment.larger_than) = (globs("*.exe"), Some(1000)),
            Err("attachment"),
        ),
        (|w| w.attachments_above = Some(0), Ok("attachments: 1")),
        (|w| w.attachments_above = Some(1), Err("attachments_above")),
        (
            |w| w.archive_depth_above = Some(0),
            Err("archive_depth_above"),
        ),
        (|w| w.encrypted = Some(true), Err("encrypted")),
        (|w| w.encrypted = Some(false), Ok("nothing encrypted")),
        (|w| w.unread = Some(true), Err("unread")),
    ]);
}

#[test]
fn the_first_end_counts_and_the_rest_adds_up() {
    let field = |value: &str| Action::AddField {
        name: "X-Seen".into(),
        value: value.into(),
    };
    let tag = |text: &str| Action::TagSubject(text.into());
    let rules = vec![
        rule(
            "a",
            When::default(),
            vec![Action::Score(3), field("a"), tag("[a] ")],
        ),
        rule(
            "b",
            When {
                score_above: Some(3),
                ..When::default()
            },
            vec![refuse()],
        ),
        rule(
            "c",
            When {
                score_above: Some(2),
                ..When::default()
            },
            vec![Action::Hold, Action::Score(-1)],
        ),
        rule(
            "d",
            When::default(),
            vec![refuse(), field("d"), tag("[d] ")],
        ),
    ];
    let (verdict, tests) = asked(MESSAGE, rules, "bob@in.test", Direction::In);
    assert_eq!(verdict.end, End::Hold);
    assert_eq!(verdict.by.as_ref().map(|by| &*by.name), Some("c"));
    assert_eq!(verdict.score, 2);
    let added = |value: &str| Change::AddField {
        name: "X-Seen".into(),
        value: value.into(),
    };
    let expected = [added("a"), Change::TagSubject("[a] ".into()), added("d")];
    assert_eq!(verdict.changes, expected);
    assert_eq!(tests[1], Test::Misses("score_above"));
    let told: Vec<String> = verdict.matched.iter().map(ToString::to_string).collect();
    assert_eq!(told[1], "screen \"c\": hold, score -1: score 3");
}

#[test]
fn what_is_accepted_is_asked_about_no_further_and_what_only_tries_changes_nothing() {
    let friend = When {
        from: vec![SenderPattern::parse("out.test").unwrap()],
        ..When::default()
    };
    let mut tried = rule("tried", When::default(), vec![refuse()]);
    tried.dry_run = true;
    let rules = vec![
        tried,
        rule("friend", friend, vec![Action::Accept]),
        rule("all", When::default(), vec![Action::Discard]),
    ];
    let (verdict, tests) = asked(MESSAGE, rules, "bob@in.test", Direction::In);
    assert_eq!(verdict.end, End::Pass);
    assert_eq!(verdict.by.as_ref().map(|by| &*by.name), Some("friend"));
    assert_eq!(tests[2], Test::NotAsked);
    let told: Vec<String> = verdict.matched.iter().map(ToString::to_string).collect();
    assert_eq!(told[0], "screen \"tried\": would refuse: every message");
    assert_eq!(verdict.matched.len(), 2);
}

#[test]
fn who_is_somebody_else_gets_something_else() {
    let to_bob = When {
        to: vec![SenderPattern::parse("bob@in.test").unwrap()],
        ..When::default()
    };
    let abuse = Arc::new(Mailbox::parse("abuse@in.test").unwrap());
    let rules = || {
        vec![rule(
            "r",
            to_bob.clone(),
            vec![Action::Redirect(Arc::clone(&abuse))],
        )]
    };
    let (bob, _) = asked(MESSAGE, rules(), "bob@in.test", Direction::In);
    let (eve, _) = asked(MESSAGE, rules(), "eve@in.test", Direction::In);
    assert_eq!(bob.end, End::Redirect(Arc::clone(&abuse)));
    assert_eq!(eve.end, End::Pass);
}

#[test]
fn what_is_stripped_is_what_matched() {
    let when = When {
        attachment: AttachmentIs {
            extensions: vec!["exe".into()],
            ..AttachmentIs::default()
        },
        ..When::default()
    };
    let (verdict, _) = asked(
        MESSAGE,
        vec![rule("exe", when, vec![Action::Strip])],
        "bob@in.test",
        Direction::In,
    );
    assert_eq!(
        verdict.changes,
        [Change::Strip {
            attachments: vec![0],
            rule: "exe".into()
        }]
    );
}

#[test]
fn what_a_stranger_did_before_is_a_condition() {
    check(&[
        (
            |when| when.reputation_below = Some(-3),
            Ok("reputation of the client -4"),
        ),
        (
            |when| when.reputation_below = Some(-4),
            Ok("reputation of the sender's domain -8"),
        ),
        (
            |when| when.reputation_below = Some(-8),
            Err("reputation_below"),
        ),
    ]);
    // Those who may relay have none.
    let when = When {
        reputation_below: Some(20),
        ..When::default()
    };
    let rules = vec![rule("r", when, vec![Action::Hold])];
    let (_, tests) = asked(MESSAGE, rules, "bob@in.test", Direction::Out);
    assert_eq!(tests, [Test::Misses("reputation_below")]);
}
