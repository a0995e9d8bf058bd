//! Signing in at the console, as the console asks the relay for it.

use serde_json::{Value, json};

use crate::network::Network;
use crate::program::{feed, run};
use crate::submission_setup::{PASSWORD, SubmissionSetup, USER, plain};
use crate::wait::{seconds, until_true};

const WRONG: &str = "name, password or code is wrong";

/// Asks the control socket; the status and the answer.
fn ask(setup: &SubmissionSetup, path: &str, body: &Value) -> (u16, Value) {
    let socket = setup.relay.data_dir().join("control.sock");
    let socket = socket.display().to_string();
    let url = format!("http://gatepost/v1/console/{path}");
    let arguments = [
        "--silent",
        "--unix-socket",
        &socket,
        "--header",
        "Content-Type: application/json",
        "--data-binary",
        "@-",
        "--write-out",
        "\n%{http_code}",
        &url,
    ];
    let ran = feed("curl", &arguments, body.to_string().as_bytes()).expect_code(0);
    let (answer, status) = ran.out.trim_end().rsplit_once('\n').expect("two lines");
    let answer = serde_json::from_str(answer).expect("JSON");
    (status.parse().expect("a status"), answer)
}

fn sign_in(setup: &SubmissionSetup, password: &str, code: Option<&str>) -> (u16, Value) {
    let client = setup.stranger().to_string();
    let body = json!({ "user": USER, "password": password, "code": code, "client": client });
    ask(setup, "sign-in", &body)
}

/// The code that a program of somebody else's shows for a secret.
fn code_of(secret: &str) -> String {
    let shown = run("oathtool", &["--totp", "--base32", secret]).expect_code(0);
    shown.out.trim().to_owned()
}

#[test]
fn a_user_signs_in_by_password_and_a_phone_and_is_out_when_removed() {
    let mut setup = SubmissionSetup::prepare("");
    setup
        .relay
        .command(&["user", "role", USER, "operator"])
        .expect_code(0);
    let made = setup
        .relay
        .command(&["user", "totp", USER, "--json"])
        .expect_code(0);
    let made: Value = serde_json::from_str(&made.out).expect("JSON");
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    assert!(
        made["uri"]
            .as_str()
            .is_some_and(|uri| uri.contains(&secret))
    );
    let listed = setup
        .relay
        .command(&["user", "list", "--json"])
        .expect_code(0);
    assert!(!listed.out.contains(&secret));
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    assert_eq!(
        (&listed[0]["console_role"], &listed[0]["second_factor"]),
        (&json!("operator"), &json!(true))
    );
    setup.relay.run();
    let asked_for_code = sign_in(&setup, PASSWORD, None);
    assert_eq!(
        (asked_for_code.0, &asked_for_code.1["needs_code"]),
        (401, &json!(true))
    );
    assert_eq!(
        sign_in(&setup, "guess", None),
        (401, json!({ "error": WRONG }))
    );
    let code = code_of(&secret);
    let (status, mut welcome) = sign_in(&setup, PASSWORD, Some(&code));
    let stamp = welcome["stamp"].take();
    let expected =
        json!({ "name": USER, "role": "operator", "second_factor": true, "stamp": null });
    assert_eq!((status, welcome), (200, expected));
    // Seen over a shoulder.
    assert_eq!(
        sign_in(&setup, PASSWORD, Some(&code)),
        (401, json!({ "error": WRONG }))
    );
    let user = json!({ "user": USER });
    assert_eq!(
        ask(&setup, "still", &user),
        (200, json!({ "role": "operator", "stamp": stamp }))
    );
    let log = setup.relay.wait_for_log(&["signed in", "console"]);
    assert!(!log.contains(PASSWORD) && !log.contains(&secret) && !log.contains(&code));
    setup
        .relay
        .command(&["user", "remove", USER])
        .expect_code(0);
    until_true("the user to be out", seconds(20), || {
        ask(&setup, "still", &user).0 == 404
    });
    until_true("the refusals to be tracked", seconds(20), || {
        let tracked = setup.relay.command(&["track", "listener:console"]);
        tracked.out.lines().count() >= 2
    });
    let metrics = setup.relay.command(&["status", "--metrics"]);
    for counted in ["password\"} 1", "refused\"} 2", "issuer\"} 0"] {
        let series = format!("gatepost_console_sign_ins_total{{result=\"{counted}");
        assert!(metrics.out.contains(&series), "{series}: {}", metrics.out);
    }
}

/// Somebody guesses at the one door, and is known at the other.
#[test]
fn the_guard_of_mail_is_the_guard_of_the_console() {
    let mut setup = SubmissionSetup::prepare("");
    setup
        .relay
        .command(&["user", "role", USER, "viewer"])
        .expect_code(0);
    setup.relay.run();
    for _ in 0..3 {
        assert_eq!(sign_in(&setup, "guess", None).0, 401);
    }
    assert_eq!(sign_in(&setup, PASSWORD, None).0, 401);
    let reply = setup.encrypted().say(&plain(USER, PASSWORD));
    assert_eq!(reply.code, 535, "{}", reply.text());
}

#[test]
fn a_link_signs_in_once() {
    // An address that nobody else has: a link is to somewhere.
    let network = Network::new();
    let console = network.free_port(network.relay());
    let setup = SubmissionSetup::open(&format!("[console]\nbind = \"{console}\"\n"));
    let link = setup.relay.command(&["console", "login"]).expect_code(0);
    let (_, token) = link
        .out
        .lines()
        .next()
        .and_then(|url| url.split_once(&format!("http://{console}/login?token=")))
        .expect("a link");
    let token = json!({ "token": token });
    let (status, who) = ask(&setup, "redeem", &token);
    assert_eq!((status, &who["role"]), (200, &json!("admin")));
    assert_eq!(ask(&setup, "redeem", &token).0, 401);
    assert_eq!(ask(&setup, "redeem", &json!({ "token": "0" })).0, 401);
    let audit = std::fs::read_to_string(setup.relay.data_dir().join("audit.jsonl")).expect("audit");
    assert!(audit.contains("console/links"), "{audit}");
    assert!(!audit.contains(token["token"].as_str().expect("text")));
}

#[test]
fn there_is_no_link_where_the_console_is_off_or_nobody_runs() {
    let mut setup = SubmissionSetup::open("[console]\nbind = \"off\"\n");
    let refused = setup.relay.command(&["console", "login"]).expect_code(1);
    assert!(refused.err.contains("console.bind"), "{}", refused.err);
    setup.relay.stop();
    setup.relay.command(&["console", "login"]).expect_code(69);
}
