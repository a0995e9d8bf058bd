//! A hook in Python's own web server, and its description by another's judgement.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scanner::hook::{Content, Details, Hook, Settings, openapi};
use scanner::{Answer, Class, Edit, Fault, Finding, Position, Secret, Subject, Wish};

use crate::connection::{Address, Connection};
use crate::message::{plain, subject};
use crate::server::{Server, folder, free_address};

const HOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scanners/hook.py");
const CONTENT_MAX: u64 = 1024 * 1024;

fn hook(key: &str, size: usize, now: Duration) -> Hook {
    let settings = Settings {
        host: "localhost".to_owned(),
        path: "/".to_owned(),
        key: Some(Secret::new(key)),
    };
    let details = Details {
        header: vec![("Subject".to_owned(), "x".to_owned())],
        content: Content::Inline(CONTENT_MAX),
    };
    let subject = Subject {
        facts: vec![("spf", "pass")],
        ..subject(size)
    };
    Hook::new(&settings, &subject, &details, now)
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock")
}

fn ask(connection: &mut Connection, content: &str) -> (Finding, bool) {
    let hook = hook("the key", content.len(), now());
    match connection.ask(hook, &[content.as_bytes()]) {
        Ok((Answer::Finding(finding), is_reusable)) => (finding, is_reusable),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hook_says_what_it_thinks_to_whom_it_knows() {
    let address = free_address();
    let mut command = Command::new("/usr/bin/python3");
    command.args([HOOK, &address.ip().to_string(), &address.port().to_string()]);
    let server = Server::start(command, Address::Tcp(address), folder());
    let mut connection = server.open();
    // Both on one connection.
    let (found, is_reusable) = ask(&mut connection, &plain());
    assert_eq!(
        (found, is_reusable),
        (
            Finding {
                class: Class::Clean,
                ..Finding::default()
            },
            true
        )
    );
    let long = plain().replace("minutes", &"the lottery ".repeat(10_000));
    let (found, _) = ask(&mut connection, &long);
    assert_eq!(
        (found.class, found.wish),
        (Class::Spam, Wish::Hold),
        "{found:?}"
    );
    let added = Edit::Add {
        name: "X-Lottery".to_owned(),
        value: "ann@client.example".to_owned(),
        place: Position::Top(0),
    };
    assert_eq!(found.edits, [added]);
    // By another key, and by one too old.
    for (key, now) in [
        ("another", now()),
        ("the key", Duration::from_secs(1_000_000)),
    ] {
        let refused = server.open().ask(hook(key, 3, now), &[b"abc"]);
        match refused {
            Err(Fault::Failed(said)) => assert!(said.starts_with("HTTP 403"), "{said}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn questions_are_as_their_description_says() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let mut out = Vec::new();
    let mut exchange = scanner::Exchange::from(hook("the key", 0, now()));
    exchange.write(&mut out);
    exchange.end(&mut out).expect("no content");
    exchange.write(&mut out);
    let text = String::from_utf8(out).expect("text");
    let (_, body) = text.split_once("\r\n\r\n").expect("a body");
    fs::write(path("question"), body).expect("a file");
    fs::write(path("description"), openapi()).expect("a file");
    let judge = "import json, jsonschema, sys\n\
        description = json.load(open(sys.argv[1])); question = json.load(open(sys.argv[2]))\n\
        schemas = description['components']['schemas']\n\
        for schema in schemas.values(): jsonschema.Draft202012Validator.check_schema(schema)\n\
        jsonschema.Draft202012Validator(schemas['Question']).validate(question)\n";
    let judged = Command::new("/usr/bin/python3")
        .args(["-c", judge])
        .args([path("description"), path("question")])
        .output()
        .expect("Python");
    assert!(
        judged.status.success(),
        "{}",
        String::from_utf8_lossy(&judged.stderr)
    );
}
