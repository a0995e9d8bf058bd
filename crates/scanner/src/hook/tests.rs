use super::*;
use crate::{Edit, Position, TlsFacts, Which, Wish};

const CONTENT: &[u8] = b"Subject: x\r\n\r\nbody\r\n";

fn subject() -> Subject {
    Subject {
        queue_id: "01abc".to_owned(),
        client: Some("192.0.2.7".parse().expect("an address")),
        hello: Some("a\r\nb".to_owned()),
        recipients: vec!["bob@example.com".to_owned()],
        tls: Some(TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher: "X".to_owned(),
        }),
        server: "mx.example".to_owned(),
        size: CONTENT.len() as u64,
        facts: vec![("spf", "pass")],
        ..Subject::default()
    }
}

fn settings() -> Settings {
    Settings {
        host: "hook.example:8080".to_owned(),
        path: "/mail?x=y".to_owned(),
        key: Some(Secret::new("the key")),
    }
}

/// Head and body of a question whose content comes in pieces of this length.
fn ask(content: Content, piece: usize) -> (String, Value) {
    let details = Details {
        header: vec![("Subject".to_owned(), "x".to_owned())],
        content,
    };
    let now = Duration::from_secs(1_700_000_000);
    let mut hook = Hook::new(&settings(), &subject(), &details, now);
    assert!(!format!("{hook:?}").contains("the key"));
    let (mut out, mut pieces) = (Vec::new(), CONTENT.chunks(piece));
    while let Wants::Content(_) = hook.write(&mut out) {
        assert!(out.is_empty(), "the length is told first");
        match pieces.next() {
            Some(piece) => hook.content(piece, &mut out),
            None => hook.end(&mut out),
        }
    }
    let text = String::from_utf8(out).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a body");
    assert!(
        head.contains(&format!("\r\nContent-Length: {}", body.len())),
        "{head}"
    );
    (head.to_owned(), serde_json::from_str(body).expect("JSON"))
}

#[test]
fn the_question_has_all_and_the_content_as_it_came() {
    for piece in 1..CONTENT.len() + 1 {
        let (head, body) = ask(Content::Inline(CONTENT.len() as u64), piece);
        assert!(
            head.starts_with("POST /mail?x=y HTTP/1.1\r\nHost: hook.example:8080\r\n"),
            "{head}"
        );
        let base64 = body["content"]["base64"].as_str().expect("a content");
        assert_eq!(STANDARD.decode(base64).expect("base64"), CONTENT, "{piece}");
        assert_eq!(
            body["envelope"],
            json!({ "sender": "", "recipients": ["bob@example.com"] })
        );
        assert_eq!(body["client"]["hello"], "a\r\nb");
        assert_eq!(body["facts"]["spf"], "pass");
        assert_eq!(body["header"], json!([["Subject", "x"]]));
    }
    let (_, body) = ask(Content::Inline(CONTENT.len() as u64 - 1), 1);
    assert_eq!(body["content"], json!({ "omitted": true }));
    let (_, body) = ask(Content::File("/a/b".to_owned()), 1);
    assert_eq!(body["content"], json!({ "file": "/a/b" }));
}

#[test]
fn the_question_is_signed() {
    // By: printf '1700000000.{}' | openssl dgst -sha256 -hmac 'the key'
    let signed = signature(
        &Secret::new("the key"),
        Duration::from_secs(1_700_000_000),
        "{}",
    );
    let expected = "7cbfd180a117c5dfb8e28749396672b2f0dabc21d2996c1cd2b22a16d22a516f";
    assert_eq!(signed, format!("t=1700000000,v1={expected}"));
    let (head, _) = ask(Content::Omitted, 1);
    assert!(
        head.contains("\r\nGatepost-Signature: t=1700000000,v1="),
        "{head}"
    );
}

fn answer(status: &str, body: &str) -> Result<Finding, Fault> {
    let mut hook = Hook::new(&settings(), &subject(), &Details::default(), Duration::ZERO);
    let length = body.len();
    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    match hook.read(reply.as_bytes())? {
        Some(Answer::Finding(finding)) => Ok(finding),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_answer_is_a_verdict_with_changes() {
    assert_eq!(answer("204 No Content", ""), Ok(Finding::of(Class::Clean)));
    assert_eq!(
        answer("200 OK", r#"{"verdict":"limit"}"#),
        Ok(Finding::of(Class::Limit))
    );
    let whole = r#"{"verdict":"spam","action":"hold","names":["a\u001b"],"score":7,"threshold":5.5,
        "symbols":{"A":1.5},"reply":"no","engine":"e","changes":[
        {"add":"X-A","value":"b\nc","place":"end"},{"add":"X-B","value":""},
        {"remove":"X-C"},{"remove":"X-D","which":-1},{"set":"Subject","value":"s"}]}"#;
    let owned = |text: &str| text.to_owned();
    let add = |name, value, place| Edit::Add {
        name: owned(name),
        value: owned(value),
        place,
    };
    let remove = |name, which| Edit::Remove {
        name: owned(name),
        which,
    };
    let expected = Finding {
        class: Class::Spam,
        wish: Wish::Hold,
        names: vec![owned("a\\x1b")],
        score: Some(7.0),
        threshold: Some(5.5),
        symbols: vec![(owned("A"), 1.5)],
        action: Some(owned("hold")),
        reply: Some(owned("no")),
        engine: Some(owned("e")),
        edits: vec![
            add("X-A", "b\r\n\tc", Position::End(0)),
            add("X-B", "", Position::Top(0)),
            remove("X-C", Which::All),
            remove("X-D", Which::FromEnd(1)),
            Edit::Set {
                name: owned("Subject"),
                value: owned("s"),
            },
        ],
    };
    assert_eq!(answer("200 OK", whole), Ok(expected));
}

#[test]
fn what_is_not_understood_is_a_fault() {
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"verdict":"Clean"}"#,
        r#"{"verdict":1}"#,
        r#"{"verdict":"clean","action":"allow"}"#,
        r#"{"verdict":"clean","score":"5"}"#,
        r#"{"verdict":"clean","names":"x"}"#,
        r#"{"verdict":"clean","symbols":{"A":"x"}}"#,
        r#"{"verdict":"clean","changes":[{"add":"X"}]}"#,
        r#"{"verdict":"clean","changes":[{"add":"X:","value":"x"}]}"#,
        r#"{"verdict":"clean","changes":[{"add":"X","value":"x","place":1}]}"#,
        r#"{"verdict":"clean","changes":[{"add":"X","value":"x","set":"Y"}]}"#,
        r#"{"verdict":"clean","changes":[{"remove":"X","which":1.5}]}"#,
        r#"{"verdict":"clean","changes":[[]]}"#,
    ] {
        assert!(answer("200 OK", wrong).is_err(), "{wrong}");
    }
    let many = format!(
        r#"{{"verdict":"clean","changes":[{}0]}}"#,
        "0,".repeat(1000)
    );
    assert!(answer("200 OK", &many).is_err());
    let deep = format!(r#"{{"verdict":{}"#, "[".repeat(100_000));
    assert!(answer("200 OK", &deep).is_err());
    assert_eq!(
        answer("500 Oh", "no\r\n"),
        Err(Fault::Failed("HTTP 500: no".to_owned()))
    );
}

#[test]
fn the_description_is_json_and_names_what_is_asked_and_answered() {
    let description: Value = serde_json::from_str(openapi()).expect("JSON");
    let schemas = &description["components"]["schemas"];
    let (_, question) = ask(Content::Omitted, 1);
    let asked: Vec<&String> = question.as_object().expect("an object").keys().collect();
    let told = schemas["Question"]["properties"]
        .as_object()
        .expect("properties");
    assert_eq!(asked, told.keys().collect::<Vec<_>>());
    for verdict in schemas["Answer"]["properties"]["verdict"]["enum"]
        .as_array()
        .expect("words")
    {
        assert!(
            answer("200 OK", &json!({ "verdict": verdict }).to_string()).is_ok(),
            "{verdict}"
        );
    }
    for action in schemas["Answer"]["properties"]["action"]["enum"]
        .as_array()
        .expect("words")
    {
        let body = json!({ "verdict": "clean", "action": action }).to_string();
        assert!(answer("200 OK", &body).is_ok(), "{action}");
    }
}
