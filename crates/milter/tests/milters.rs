//! Real milters are asked about messages: what they are told, what they answer, and what becomes of
//! the message. They run in name spaces of their own, which only root may make.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "milters/driver.rs"]
mod driver;
#[path = "milters/world.rs"]
mod world;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use driver::{Line, edited, facts, outcome};
use mail::TlsFacts;
use milter::{Answer, BODY_PIECE_MAX, Fault, Step, Verdict};
use serde_json::{Value, json};
use world::{SOCKET, World, until};

const INSIDE: &str = "127.0.0.1:40000";
const STRANGER: &str = "203.0.113.9:40000";
const SENDER: &str = "ann@home.example";
const LETTER: &str =
    "From: ann@home.example\r\nTo: bob@mail.example\r\nSubject: hello\r\n\r\nBody.\r\n";
/// What milters are told behind the last message.
const QUIT: &[u8] = b"\0\0\0\x01Q";

/// The milter that makes every call.
fn all_calls(modes: &[&str]) -> World {
    let world = World::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/milters/all_calls.py");
    let path = |name| world.path(name).display().to_string();
    let (socket, told) = (path(SOCKET), path("told"));
    world.start(
        "all_calls",
        &[&["/usr/bin/python3", script, &socket, &told], modes].concat(),
    );
    world
}

/// What it was told: steps with what belongs to each, as JSON.
fn told(world: &World) -> Vec<Value> {
    let told = fs::read_to_string(world.path("told")).expect("what it was told");
    let lines = told.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON")
}

fn letter(case: &str, body: &str) -> String {
    format!("Subject: hello\r\nX-Case: {case}\r\n\r\n{body}")
}

/// One message to bob, by the milter that makes every call.
fn asked(world: &World, hello: &str, message: &str) -> Result<Answer, Fault> {
    let mut edited = edited(message, SENDER, &["bob@mail.example"]);
    Line::new(world).ask(&facts(STRANGER, hello), &mut edited, message)
}

fn refusal(answer: &Answer) -> String {
    match &answer.verdict {
        Verdict::Refuse(reply) => reply.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The same message through Postfix with the same milter: this is what came out of it, its own trace
/// and the order of parameters aside.
#[test]
fn every_change_comes_out_as_it_does_under_postfix() {
    const MESSAGE: &str = "X-Twice: one\r\nSubject: hello\r\nX-Twice:\ttwo\r\n and more\r\n\
                           Content-Type: text/plain\r\nX-Case: all\r\n\r\nBody.\r\n";
    const OUTCOME: &str = "X-Top: above all\r\nReceived: ours\r\nX-Second: below our own trace\r\n\
                           Subject: hello\r\nX-Twice: changed again\r\nContent-Type: text/html\r\n\
                           X-Case: all\r\nX-Added: below\r\nX-Folded: one;\r\n\ttwo;\r\n three\r\n\
                           X-Far: below\r\nX-Missing: added\r\n\r\n<p>one</p>\r\n<p>two</p>\r\n.\r\n";
    for modes in [&[][..], &["space"], &["quiet"], &["space", "quiet"]] {
        let world = all_calls(modes);
        let recipients = ["first@mail.example", "second@mail.example"];
        let mut message = edited(MESSAGE, SENDER, &recipients);
        let mut line = Line::new(&world);
        let answer = line.ask(&facts(STRANGER, "home.example"), &mut message, MESSAGE);
        answer.unwrap_or_else(|fault| panic!("{modes:?}: {fault} {}", world.logs()));
        assert_eq!(outcome(&message, MESSAGE), OUTCOME, "{modes:?}");
        let envelope = message.envelope();
        assert_eq!(envelope.sender.to_string(), "<changed@other.example>");
        assert_eq!(envelope.parameters.to_string(), " RET=HDRS ENVID=own");
        let recipients = envelope.recipients.iter().map(|recipient| {
            let parameters = &recipient.parameters;
            (
                recipient.mailbox.as_str(),
                parameters.to_string(),
                recipient.is_added,
            )
        });
        let expected = [
            ("first@mail.example", String::new(), false),
            ("added@other.example", String::new(), true),
            ("plain@other.example", " NOTIFY=NEVER".to_owned(), true),
        ];
        assert_eq!(recipients.collect::<Vec<_>>(), expected);
    }
}

/// What it is told of a message by a user from afar, encrypted.
fn told_of_a_user() -> Vec<Value> {
    let world = all_calls(&["space"]);
    let message = "X-Case:\ttold\r\nX-Folded: one\r\n two\r\nX-Bare:\r\n\r\n.\r\nBody.\r\n";
    let mut edited = edited(message, SENDER, &["bob@mail.example", "eve@mail.example"]);
    let mut facts = facts("[2001:db8::9]:40000", "home.example");
    facts.client_name = Some("mx.home.example".into());
    facts.client.user = Some(Arc::from("ann"));
    facts.client.tls = Some(TlsFacts {
        version: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        group: "X25519",
        handshake: mail::Handshake::Full,
        certificate: None,
    });
    facts.mechanism = Some("PLAIN".into());
    facts.declared_size = Some(77);
    let own = ("{own}".into(), "by configuration".into());
    facts.macros.extend([own]);
    let mut line = Line::new(&world);
    line.ask(&facts, &mut edited, message).expect("an answer");
    told(&world)
}

/// One part of all that was told of a step.
fn of(told: &[Value], step: &str, part: &str) -> Vec<Value> {
    let events = told.iter().filter(|event| event["step"] == step);
    events.map(|event| event[part].clone()).collect()
}

#[test]
fn a_milter_is_told_every_step() {
    let told = told_of_a_user();
    let of = |step| of(&told, step, "told");
    assert_eq!(of("connect")[0][0], "mx.home.example");
    assert_eq!(of("connect")[0][1][0], "2001:db8::9");
    assert_eq!(of("hello"), [json!(["home.example"])]);
    assert_eq!(of("envfrom"), [json!(["<ann@home.example>", "SIZE=77"])]);
    let recipients = [json!(["<bob@mail.example>"]), json!(["<eve@mail.example>"])];
    assert_eq!(of("envrcpt"), recipients);
    let fields = [
        json!(["X-Case", "\ttold"]),
        json!(["X-Folded", " one\n two"]),
        json!(["X-Bare", ""]),
    ];
    assert_eq!(of("header"), fields);
    assert_eq!(of("eom"), [json!([10])]);
}

/// What miltertest says, which plays an MTA.
const PLAYED: &str = r#"
local milter = assert(mt.connect(socket, 600, 0.1))
local function step(fault) assert(fault == nil, fault) end
step(mt.negotiate(milter, nil, nil, nil))
step(mt.conninfo(milter, "[203.0.113.9]", "203.0.113.9"))
step(mt.helo(milter, "home.example"))
step(mt.mailfrom(milter, "<ann@home.example>"))
step(mt.rcptto(milter, "<bob@mail.example>"))
step(mt.rcptto(milter, "<eve@mail.example>"))
step(mt.data(milter))
step(mt.header(milter, "Subject", "hello"))
step(mt.header(milter, "X-Case", "none"))
step(mt.eoh(milter))
step(mt.bodystring(milter, "Body.\r\n"))
step(mt.eom(milter))
step(mt.disconnect(milter, true))
"#;

#[test]
fn miltertest_tells_a_milter_the_same() {
    // It always comes from this port.
    const CLIENT: &str = "203.0.113.9:12345";
    // Macros, which it has none of, and what each offers aside.
    let steps = |world: &World| -> Vec<(Value, Value)> {
        let steps = told(world).into_iter();
        let steps =
            steps.filter(|event| !matches!(event["step"].as_str(), Some("negotiate" | "close")));
        let step = |event: Value| (event["step"].clone(), event["told"].clone());
        steps.map(step).collect()
    };
    let (ours, theirs) = (all_calls(&[]), all_calls(&[]));
    let message = letter("none", "Body.\r\n");
    let mut edited = edited(&message, SENDER, &["bob@mail.example", "eve@mail.example"]);
    let mut line = Line::new(&ours);
    line.ask(&facts(CLIENT, "home.example"), &mut edited, &message)
        .expect("an answer");
    let (script, socket) = (theirs.write("played.lua", PLAYED), theirs.path(SOCKET));
    let mut miltertest = Command::new("miltertest");
    miltertest
        .arg("-D")
        .arg(format!("socket={}", socket.display()));
    let played = miltertest
        .arg("-s")
        .arg(script)
        .output()
        .expect("miltertest");
    assert!(played.status.success(), "{played:?} {}", theirs.logs());
    assert_eq!(steps(&ours), steps(&theirs));
    assert_eq!(steps(&ours).len(), 11);
}

#[test]
fn a_milter_is_told_macros_with_the_steps() {
    let told = told_of_a_user();
    let of = |step, nth: usize| of(&told, step, "macros")[nth].clone();
    let expected = [
        ("j", "relay.example"),
        ("_", "mx.home.example [2001:db8::9]"),
        ("v", "Gatepost 1"),
        ("{daemon_name}", "relay.example"),
        ("{client_addr}", "2001:db8::9"),
        ("{client_name}", "mx.home.example"),
        ("{client_port}", "40000"),
    ];
    for (name, value) in expected {
        assert_eq!(of("connect", 0)[name], value, "{name}");
    }
    assert_eq!(of("connect", 0)["i"], Value::Null);
    assert_eq!(of("hello", 0)["{tls_version}"], "TLSv1.3");
    assert_eq!(of("hello", 0)["{cipher}"], "TLS_AES_256_GCM_SHA384");
    let mail = of("envfrom", 0);
    assert_eq!(mail["{auth_type}"], "PLAIN");
    assert_eq!(mail["{auth_authen}"], "ann");
    assert_eq!(mail["{mail_addr}"], SENDER);
    assert_eq!(mail["i"], facts(STRANGER, "").id.to_string());
    // Those that it has asked for there.
    assert_eq!(of("envrcpt", 1)["{rcpt_addr}"], "eve@mail.example");
    assert_eq!(of("envrcpt", 1)["{own}"], "by configuration");
}

#[test]
fn a_refusal_at_rcpt_is_that_recipients_alone() {
    let world = all_calls(&[]);
    let facts = facts(STRANGER, "home.example");
    let message = letter("none", "Body.\r\n");
    let mut line = Line::new(&world);
    let recipients = [
        "refused@mail.example",
        "bob@mail.example",
        "later@mail.example",
    ];
    let mut mixed = edited(&message, SENDER, &recipients);
    let answer = line.ask(&facts, &mut mixed, &message).expect("an answer");
    let refused = answer
        .refused
        .iter()
        .map(|(mailbox, reply)| format!("{mailbox}: {reply}"));
    let expected = [
        "refused@mail.example: 550 5.1.1 95% used by others",
        "later@mail.example: 451 4.7.1 Try again later",
    ];
    assert_eq!(refused.collect::<Vec<_>>(), expected);
    assert_eq!(answer.verdict, Verdict::Accept);
    let left = &mixed.envelope().recipients;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].mailbox.as_str(), "bob@mail.example");

    // Nobody is left: the client may come again when one of them was put off only.
    for (recipients, expected) in [
        (
            &["refused@mail.example", "later@mail.example"][..],
            "451 4.7.1 Try again later",
        ),
        (&["refused@mail.example"], "550 5.1.1 95% used by others"),
    ] {
        let mut message_for_nobody = edited(&message, SENDER, recipients);
        let answer = line.ask(&facts, &mut message_for_nobody, &message);
        let answer = answer.expect("an answer");
        assert_eq!(refusal(&answer), expected);
        assert_eq!(answer.refused.len(), recipients.len());
    }
    let mut thrown = edited(
        &message,
        SENDER,
        &["bob@mail.example", "thrown@mail.example"],
    );
    let answer = line.ask(&facts, &mut thrown, &message).expect("an answer");
    assert_eq!(answer.verdict, Verdict::Discard);
    let has_heard = || told(&world).iter().any(|event| event["step"] == "abort");
    until("an abort", || has_heard().then_some(()));
}

#[test]
fn a_milter_says_what_becomes_of_the_message() {
    let world = all_calls(&[]);
    let case = |case: &str| {
        let answer = asked(&world, "home.example", &letter(case, "Body.\r\n"));
        answer.expect("an answer")
    };
    assert_eq!(
        refusal(&case("refuse")),
        "554 5.7.9 not like this nor like that"
    );
    assert_eq!(refusal(&case("later")), "451 4.7.1 Try again later");
    assert_eq!(case("discard").verdict, Verdict::Discard);
    let held = case("hold");
    assert_eq!(held.verdict, Verdict::Accept);
    assert_eq!(held.quarantine.as_deref(), Some("one reason"));
    assert_eq!(case("accept at the header").verdict, Verdict::Accept);
    assert_eq!(case("none").verdict, Verdict::Accept);

    let letter = letter("none", "Body.\r\n");
    let refused = asked(&world, "refuse.example", &letter).expect("an answer");
    assert_eq!(refusal(&refused), "550 5.7.1 Message refused");
    fs::write(world.path("told"), "").expect("an empty file");
    let accepted = asked(&world, "accept.example", &letter).expect("an answer");
    assert_eq!(accepted.verdict, Verdict::Accept);
    let told = until("its end", || {
        let told = told(&world);
        told.iter()
            .any(|event| event["step"] == "close")
            .then_some(told)
    });
    assert!(
        told.iter().all(|event| event["step"] != "envfrom"),
        "{told:?}"
    );
}

#[test]
fn a_large_body_goes_in_pieces_until_the_milter_has_seen_enough() {
    let world = all_calls(&[]);
    let body = "0123456789abcdef\r\n".repeat(20_000);
    for (case, seen) in [("none", body.len()), ("skip", BODY_PIECE_MAX)] {
        let answer = asked(&world, "home.example", &letter(case, &body)).expect("an answer");
        assert_eq!(answer.verdict, Verdict::Accept);
        let told = told(&world);
        let end = told.iter().rfind(|event| event["step"] == "eom");
        assert_eq!(end.expect("an end")["told"][0], seen, "{case}");
    }
    let died = asked(&world, "home.example", &letter("die", &body));
    assert_eq!(died, Err(Fault::Closed(Step::Body)));
}

#[test]
fn a_connection_is_used_again_where_the_milter_takes_that() {
    let world = all_calls(&[]);
    let mut line = Line::new(&world);
    let cases = [
        ("none", "one", &b""[..], 1),
        ("all", "two", b"", 1),
        ("all", "two", b"", 1),
        ("hold", "two", b"", 1),
        ("hold", "two", b"", 1),
        // libmilter would take nobody else on it.
        ("none", "three", b"", 2),
        ("refuse", "three", QUIT, 2),
        ("none", "three", b"", 3),
    ];
    for (number, (case, client, goodbye, made)) in cases.into_iter().enumerate() {
        let message = letter(case, "Body.\r\n");
        let hello = format!("{client}.example");
        let mut edited = edited(&message, SENDER, &["bob@mail.example"]);
        let answer = line.ask(&facts(STRANGER, &hello), &mut edited, &message);
        assert_eq!(
            answer.expect("an answer").quarantine.is_some(),
            case == "hold"
        );
        assert_eq!((&*line.goodbye, line.made), (goodbye, made), "{number}");
        let told = told(&world);
        let last = told.iter().rfind(|event| event["step"] == "hello");
        assert_eq!(last.expect("a client")["told"][0], hello);
        // Each client is told of once.
        let clients = told.iter().filter(|event| event["step"] == "hello");
        assert_eq!(clients.count(), [1, 2, 2, 2, 2, 3, 3, 4][number]);
    }
}

#[test]
fn a_later_milter_sees_and_counts_what_an_earlier_one_has_made() {
    let (first, second) = (all_calls(&["space"]), all_calls(&[]));
    let message = letter("all", "Body.\r\n");
    let mut edited = edited(&message, SENDER, &["bob@mail.example"]);
    let facts = facts(STRANGER, "home.example");
    for world in [&first, &second] {
        let answer = Line::new(world).ask(&facts, &mut edited, &message);
        answer.expect("an answer");
    }
    let told = told(&second);
    let headers = told.iter().filter(|event| event["step"] == "header");
    let names: Vec<&str> = headers
        .filter_map(|event| event["told"][0].as_str())
        .collect();
    let made_by_the_first = [
        "X-Top",
        "X-Second",
        "Subject",
        "X-Case",
        "X-Added",
        "X-Folded",
        "X-Far",
        "X-Twice",
        "X-Missing",
        "Content-Type",
    ];
    assert_eq!(names, made_by_the_first);
    let end = told.iter().find(|event| event["step"] == "eom");
    let body = "<p>one</p>\r\n<p>two</p>\r\n.\r\n";
    assert_eq!(end.expect("an end")["told"][0], body.len());
    let from = told.iter().find(|event| event["step"] == "envfrom");
    assert_eq!(
        from.expect("a sender")["told"][0],
        "<changed@other.example>"
    );
    // Above the one that is there, and behind it and our own trace.
    let outcome = outcome(&edited, &message);
    let start = "X-Top: above all\r\nX-Top: above all\r\nX-Second: below our own trace\r\nReceived: ours\r\nX-Second: ";
    assert!(outcome.starts_with(start), "{outcome}");
    // What a change did to it before, it does again.
    assert_eq!(outcome.matches("X-Missing: added").count(), 1);
}

const KEY: &str = "key.pem";
const PUBLIC_KEY: &str = "public.pem";

/// Makes the keys that somebody signs by.
fn make_keys(world: &World) {
    let key = world.path(KEY);
    let run = |command: &mut Command| {
        let output = command.output().expect("openssl");
        assert!(output.status.success(), "{output:?}");
    };
    run(Command::new("openssl")
        .args(["genrsa", "-traditional", "-out"])
        .arg(&key));
    let mut public = Command::new("openssl");
    public.args(["rsa", "-pubout", "-in"]).arg(&key);
    run(public.arg("-out").arg(world.path(PUBLIC_KEY)));
}

/// Whether the signature on top of a message is good, by dkimpy.
fn is_signed(world: &World, message: &str) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/milters/verify.py");
    let mut python = Command::new("/usr/bin/python3");
    python.arg(script).arg(world.path(PUBLIC_KEY));
    python.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().expect("python");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(message.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("its answer");
    String::from_utf8_lossy(&output.stdout).trim() == "True"
}

fn start_opendkim(world: &World, terms: &str) {
    let socket = world.path(SOCKET);
    let config = format!(
        "Syslog no\nRequireSafeKeys no\nSocket local:{}\n{terms}",
        socket.display()
    );
    let config = world.write("opendkim.conf", &config).display().to_string();
    world.start("opendkim", &["opendkim", "-f", "-x", &config]);
}

fn start_opendkim_to_sign(world: &World) {
    make_keys(world);
    let key = world.path(KEY);
    let terms = format!(
        "Mode s\nDomain home.example\nSelector own\nKeyFile {}\nCanonicalization relaxed/simple\n",
        key.display()
    );
    start_opendkim(world, &terms);
}

#[test]
fn opendkim_signs_what_comes_from_inside_or_from_a_user() {
    let world = World::new();
    start_opendkim_to_sign(&world);
    let inside = facts(INSIDE, "home.example");
    let outside = facts(STRANGER, "home.example");
    let mut user = outside.clone();
    user.client.user = Some(Arc::from("ann"));
    user.mechanism = Some("PLAIN".into());
    let mut line = Line::new(&world);
    for (facts, is_signed_then) in [(&inside, true), (&outside, false), (&user, true)] {
        let mut message = edited(LETTER, SENDER, &["bob@mail.example"]);
        line.ask(facts, &mut message, LETTER).expect("an answer");
        let outcome = outcome(&message, LETTER);
        assert_eq!(is_signed(&world, &outcome), is_signed_then, "{outcome}");
        assert!(
            outcome.ends_with(&format!("Received: ours\r\n{LETTER}")),
            "{outcome}"
        );
        assert_eq!(
            outcome.starts_with("DKIM-Signature: v=1;"),
            is_signed_then,
            "{outcome}"
        );
    }
}

#[test]
fn dkimpy_milter_signs() {
    let world = World::new();
    make_keys(&world);
    let config = format!(
        "Syslog no\nMode s\nDomain home.example\nSelector own\nKeyFile {}\nUserID root\nSocket local:{}\n\
         PidFile {}\nInternalHosts 127.0.0.1\n",
        world.path(KEY).display(),
        world.path(SOCKET).display(),
        world.path("pid").display(),
    );
    let config = world.write("dkimpy.conf", &config).display().to_string();
    world.start("dkimpy", &["dkimpy-milter", &config]);
    let mut message = edited(LETTER, SENDER, &["bob@mail.example"]);
    let mut line = Line::new(&world);
    let answer = line.ask(&facts(INSIDE, "home.example"), &mut message, LETTER);
    answer.unwrap_or_else(|fault| panic!("{fault}: {}", world.logs()));
    let outcome = outcome(&message, LETTER);
    assert!(is_signed(&world, &outcome), "{outcome}\n{}", world.logs());
}

fn start_opendmarc(world: &World) {
    let socket = world.path(SOCKET);
    let config = format!(
        "Syslog no\nAuthservID relay.example\nRejectFailures true\nSocket local:{}\n",
        socket.display()
    );
    let config = world.write("opendmarc.conf", &config).display().to_string();
    world.start("opendmarc", &["opendmarc", "-f", "-c", &config]);
}

/// What opendkim takes out and puts in is what opendmarc judges by.
#[test]
fn forged_results_are_taken_out_before_the_next_milter_reads_them() {
    let signing = World::new();
    start_opendkim_to_sign(&signing);
    let mut message = edited(LETTER, SENDER, &["bob@mail.example"]);
    let answer = Line::new(&signing).ask(&facts(INSIDE, "home.example"), &mut message, LETTER);
    answer.expect("an answer");
    let signed = String::from_utf8(message.top()).expect("a text") + LETTER;

    let public = fs::read_to_string(signing.path(PUBLIC_KEY)).expect("the key");
    let lines = public.lines().filter(|line| !line.starts_with('-'));
    let key: String = lines.collect();
    let verifying = World::new();
    let record = format!("own._domainkey.home.example v=DKIM1; k=rsa; p={key}\n");
    let records = verifying.write("records", &record).display().to_string();
    let terms = format!("Mode v\nAuthservID relay.example\nTestDNSData file:{records}\n");
    start_opendkim(&verifying, &terms);
    let judging = World::with_records(&["_dmarc.home.example. TXT \"v=DMARC1; p=reject\""]);
    start_opendmarc(&judging);
    let stranger = facts(STRANGER, "home.example");
    let forged = "Authentication-Results: relay.example; dkim=pass header.d=home.example\r\n";
    let foreign = "Authentication-Results: other.example; dkim=none\r\n";
    for (letter, is_good) in [(&*signed, true), (LETTER, false)] {
        let letter = format!("{forged}{foreign}{forged}{letter}");
        let mut message = edited(&letter, SENDER, &["bob@mail.example"]);
        let [_, verdict] = [&verifying, &judging].map(|world| {
            let answer = Line::new(world).ask(&stranger, &mut message, &letter);
            let answer = answer.unwrap_or_else(|fault| panic!("{fault}: {}", world.logs()));
            answer.verdict
        });
        let text = outcome(&message, &letter);
        assert!(!text.contains(forged), "{text}");
        assert!(text.contains(foreign), "{text}");
        assert_eq!(verdict == Verdict::Accept, is_good, "{text}");
        let result = "Authentication-Results: relay.example; dmarc=pass";
        assert_eq!(text.starts_with(result), is_good, "{text}");
    }
}

#[test]
fn opendmarc_judges_strangers_and_is_told_no_more_once_it_accepts_a_client() {
    let world = World::with_records(&["_dmarc.home.example. TXT \"v=DMARC1; p=reject\""]);
    start_opendmarc(&world);
    let mut line = Line::new(&world);
    let recipients = ["bob@mail.example"];
    let stranger = facts(STRANGER, "home.example");
    let mut message = edited(LETTER, SENDER, &recipients);
    let answer = line
        .ask(&stranger, &mut message, LETTER)
        .expect("an answer");
    let expected = "550 5.7.1 rejected by DMARC policy for home.example";
    assert_eq!(refusal(&answer), expected);

    let checked = format!(
        "Authentication-Results: relay.example; dkim=pass header.d=home.example\r\n{LETTER}"
    );
    let mut message = edited(&checked, SENDER, &recipients);
    line.ask(&stranger, &mut message, &checked)
        .expect("an answer");
    let text = outcome(&message, &checked);
    let result = "Authentication-Results: relay.example; dmarc=pass";
    assert!(text.starts_with(result), "{text}");

    let mut message = edited(LETTER, SENDER, &recipients);
    let answer = line.ask(&facts(INSIDE, "home.example"), &mut message, LETTER);
    let answer = answer.expect("an answer");
    assert_eq!(
        (answer.verdict, answer.modifications),
        (Verdict::Accept, vec![])
    );
    // Only its goodbye: it has heard of no message, which would have to be broken off.
    assert_eq!(line.goodbye, QUIT);
}

#[test]
fn pyspf_milter_refuses_whom_a_domain_does_not_name() {
    let world = World::with_records(&["home.example. TXT \"v=spf1 ip4:203.0.113.9 -all\""]);
    let config = format!(
        "debugLevel = 0\nTestOnly = 1\nHELO_reject = False\nMail_From_reject = Fail\nSocket = local:{}\n\
         UserID = root\nPidFile = {}\nAuthserv_Id = relay.example\n",
        world.path(SOCKET).display(),
        world.path("pid").display(),
    );
    let config = world.write("pyspf.conf", &config).display().to_string();
    world.start("pyspf", &["pyspf-milter", &config]);
    let mut line = Line::new(&world);
    let mut message = edited(LETTER, SENDER, &["bob@mail.example"]);
    let named = facts(STRANGER, "mx.home.example");
    line.ask(&named, &mut message, LETTER).expect("an answer");
    let text = outcome(&message, LETTER);
    assert!(
        text.starts_with("Authentication-Results: relay.example; spf=pass "),
        "{text}"
    );

    let mut message = edited(LETTER, SENDER, &["bob@mail.example"]);
    let other = facts("198.51.100.7:40000", "mx.home.example");
    let answer = line.ask(&other, &mut message, LETTER).expect("an answer");
    let reply = refusal(&answer);
    assert!(
        reply.starts_with("550 5.7.23 Message rejected due to: SPF fail"),
        "{reply}"
    );
}

/// SpamAssassin with one rule of ours, so that it starts soon.
#[test]
fn spamass_milter_reports_spam_in_another_body_and_its_type() {
    let world = World::new();
    fs::create_dir(world.path("rules")).expect("a folder");
    world.write(
        "rules/own.pre",
        "loadplugin Mail::SpamAssassin::Plugin::Check\n",
    );
    world.write(
        "rules/own.cf",
        "body PRIZE /lottery win/\nscore PRIZE 9\ndescribe PRIZE A prize\n\
         header FIRST Received =~ /^from home\\.example \\(unknown \\[203\\.0\\.113\\.9\\]\\) by relay\\.example/\n\
         score FIRST 0.5\nreport_safe 1\nrequired_score 5\nadd_header spam Flag _YESNOCAPS_\n\
         add_header all Status _YESNO_, tests=_TESTS_\n\
         report A prize was found.\n",
    );
    let path = |name: &str| world.path(name).display().to_string();
    let (rules, spamd) = (path("rules"), path("spamd"));
    let folders = [
        format!("--configpath={rules}"),
        format!("--siteconfigpath={rules}"),
        format!("--socketpath={spamd}"),
    ];
    let folders = folders.each_ref().map(String::as_str);
    let few = [
        "spamd", "-L", "-x", "-m", "1", "-s", "stderr", "-u", "nobody",
    ];
    world.start("spamd", &[&few[..], &folders].concat());
    until("spamd", || world.path("spamd").exists().then_some(()));
    let socket = path(SOCKET);
    world.start(
        "spamass",
        &["spamass-milter", "-p", &socket, "--", "-U", &spamd],
    );
    let facts = facts(STRANGER, "home.example");
    let mut line = Line::new(&world);
    let spam = LETTER.replace("Body.", "You are in luck: a lottery win.");
    for (message, status) in [
        (LETTER, "X-Spam-Status: No, tests=FIRST\r\n"),
        (&spam, "X-Spam-Status: Yes, tests=FIRST,PRIZE\r\n"),
    ] {
        let mut edited = edited(message, SENDER, &["bob@mail.example"]);
        let answer = line.ask(&facts, &mut edited, message);
        answer.unwrap_or_else(|fault| panic!("{fault}: {}", world.logs()));
        // It judges by the Received field that it makes of our macros.
        let text = outcome(&edited, message);
        assert!(text.contains(status), "{text}\n{}", world.logs());
        assert!(line.goodbye.is_empty(), "the connection is kept");
        let (header, body) = text.split_once("\r\n\r\n").expect("a body");
        assert_eq!(
            header.contains("\r\nContent-Type: multipart/mixed;"),
            message == spam
        );
        assert_eq!(body.contains("A prize was found.\r\n"), message == spam);
        assert!(body.replace("\r\n", "").find(['\r', '\n']).is_none());
    }
}
