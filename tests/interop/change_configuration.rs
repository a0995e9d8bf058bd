//! The configuration is changed while the relay runs: in force and in the file, or neither.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::run;
use crate::relay::Relay;

/// Status and answer of the control socket.
fn ask(relay: &Relay, path: &str, body: Option<&Value>) -> (u16, Value) {
    let socket = relay.data_dir().join("control.sock").display().to_string();
    let url = format!("http://gatepost{path}");
    let mut arguments = vec![
        "-sS",
        "-w",
        "\n%{http_code}",
        "--unix-socket",
        &socket,
        &url,
    ];
    let body = body.map(Value::to_string);
    if let Some(body) = &body {
        arguments.extend([
            "-H",
            "Content-Type: application/json",
            "--data-binary",
            body,
        ]);
    }
    let answered = run("curl", &arguments).expect_code(0).out;
    let (answer, status) = answered.trim_end().rsplit_once('\n').expect("a status");
    let answer = serde_json::from_str(answer).expect("JSON");
    (status.parse().expect("a number"), answer)
}

fn get(relay: &Relay, path: &str) -> Value {
    let (status, answer) = ask(relay, path, None);
    assert_eq!(status, 200, "{answer}");
    answer
}

fn post(relay: &Relay, path: &str, body: Value) -> Value {
    let (status, answer) = ask(relay, path, Some(&body));
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Applies these edits from what is in force; gives status and answer.
fn apply(relay: &Relay, edits: &Value) -> (u16, Value) {
    let expected = get(relay, "/v1/config")["hash"].clone();
    let body = json!({"edits": edits, "expected_hash": expected, "by": "ann", "reason": "a test"});
    ask(relay, "/v1/config/apply", Some(&body))
}

fn set(key: &str, value: &str) -> Value {
    json!({"key": key, "change": "set", "value": value})
}

fn text(relay: &Relay) -> String {
    fs::read_to_string(relay.config()).expect("a file")
}

fn error(answer: &(u16, Value)) -> &str {
    assert_eq!(answer.0, 409, "{}", answer.1);
    answer.1["error"].as_str().expect("a text")
}

#[test]
fn nobody_opens_the_relay_by_it() {
    let relay = Relay::start(Network::new(), "");
    let before = text(&relay);
    let open = json!([
        set("listener.outside.bind", "\"0.0.0.0:2525\""),
        {"key": "relay.allow", "change": "remove"},
        set("relay.mode", "\"all-except\""),
    ]);
    let tried = post(&relay, "/v1/config/try", json!({"edits": open}));
    let errors = tried["errors"].as_array().expect("errors");
    let shown: Vec<&str> = errors
        .iter()
        .filter_map(|one| one["text"].as_str())
        .collect();
    let refused = apply(&relay, &open);
    assert_eq!(error(&refused), shown.join("\n"));
    // The very words of a start.
    let other = Relay::prepare(Network::new(), "");
    other.write_whole_config(tried["text"].as_str().expect("a text"));
    let start = other.command(&["run"]).expect_code(78).err;
    let path = |relay: &Relay| relay.config().display().to_string();
    assert_eq!(
        start.trim_end().replace(&path(&other), &path(&relay)),
        shown.join("\n")
    );
    assert!(
        start.contains("this configuration is an open relay"),
        "{start}"
    );
    // Nor is the risk taken there, or a file read that says so.
    let mut risky = open.as_array().expect("edits").clone();
    risky.push(set("relay.accept_risk", "\"open-relay\""));
    let refused = apply(&relay, &risky.into());
    assert!(
        error(&refused).contains("`relay.accept_risk`"),
        "{}",
        refused.1
    );
    fs::write(relay.folder().join("more"), "-----BEGIN hunter2 KEY-----\n").expect("a file");
    for edits in [
        json!([set("include", "[\"more\"]")]),
        json!([set("domain.\"a.test\"", "{ recipients = \"file:more\" }")]),
    ] {
        let (status, answer) = apply(&relay, &edits);
        assert!(
            status != 200 && !answer.to_string().contains("hunter2"),
            "{answer}"
        );
        let tried = post(&relay, "/v1/config/try", json!({"edits": edits}));
        assert!(!tried.to_string().contains("hunter2"), "{tried}");
    }
    assert_eq!(text(&relay), before);
}

#[test]
fn what_a_reload_refuses_leaves_the_file_as_it_was() {
    let relay = Relay::start(Network::new(), "[tls]\nmin_version = \"1.2\"\n");
    let before = text(&relay);
    fs::set_permissions(relay.config(), fs::Permissions::from_mode(0o640)).expect("a mode");
    let missing = json!([
        set("tls.certificate", "\"none.pem\""),
        set("tls.key", "\"none.key\"")
    ]);
    let refused = apply(&relay, &missing);
    assert!(error(&refused).contains("none.pem"), "{}", refused.1);
    assert_eq!(text(&relay), before);
    let mode = fs::metadata(relay.config())
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    relay.command(&["config", "diff"]).expect_code(0);
    let status = relay.status().expect("a status").to_string();
    assert!(!status.contains("reload"), "{status}");
    let fixed = json!([set("control.socket", "\"/tmp/another.sock\"")]);
    let refused = apply(&relay, &fixed);
    assert!(
        error(&refused).contains("control.socket cannot change"),
        "{}",
        refused.1
    );
    let tried = post(&relay, "/v1/config/try", json!({"edits": fixed}));
    assert_eq!(tried["restart"], json!(["control.socket"]));
}

#[test]
fn a_file_that_somebody_else_changed_is_not_overwritten() {
    let relay = Relay::start(Network::new(), "");
    let known = get(&relay, "/v1/config");
    let by_hand = format!("{}# by hand\n", text(&relay));
    relay.write_whole_config(&by_hand);
    let edits = json!([set("limits.recipients", "700")]);
    let refused = apply(&relay, &edits);
    assert!(error(&refused).contains("\n+# by hand\n"), "{}", refused.1);
    let shown = get(&relay, "/v1/config");
    assert_eq!(
        (&shown["changed"], &shown["hash"]),
        (&json!(true), &known["hash"])
    );
    let changed = relay.command(&["config", "diff"]).expect_code(1);
    assert!(changed.out.contains("\n+# by hand"), "{}", changed.out);
    // A secret that does not belong there is not shown.
    relay.write_whole_config(&format!("{by_hand}[ldap.a]\nsecret = \"hunter2\"\n"));
    assert!(!get(&relay, "/v1/config").to_string().contains("hunter2"));
    let refused = apply(&relay, &edits);
    assert!(!error(&refused).contains("hunter2"), "{}", refused.1);
    let (status, answer) = ask(&relay, "/v1/config/try", Some(&json!({"edits": edits})));
    assert!(
        status == 409 && !answer.to_string().contains("hunter2"),
        "{answer}"
    );
    // Who knows the text that is there may go on from it.
    relay.write_whole_config(&by_hand);
    let tried = post(&relay, "/v1/config/try", json!({"edits": edits}));
    let body = json!({"edits": edits, "expected_hash": tried["expected_hash"], "by": "ann"});
    let applied = post(&relay, "/v1/config/apply", body);
    assert_eq!(applied["applied"], true);
    let versions = get(&relay, "/v1/config/versions");
    assert_eq!(versions[0]["by"], "ann");
    assert!(versions[1]["by"].is_null(), "{versions}");
    let back = json!({"version": versions[1]["number"], "by": "bob", "reason": "too few"});
    post(&relay, "/v1/config/roll-back", back);
    assert_eq!(text(&relay), by_hand);
    assert_eq!(get(&relay, "/v1/config/versions")[0]["by"], "bob");
}

#[test]
fn rules_change_their_order() {
    let rules = "# About ann.\n[[screen]]\nname = \"ann\"\nwhen.to = \"ann@x.test\"\nthen = \"hold\"\n\n\
                 [[screen]]\nname = \"bob\"\nwhen.to = \"bob@x.test\"\nthen = \"hold\"\n";
    let relay = Relay::start(Network::new(), rules);
    let step = json!([{"key": "screen[\"bob\"]", "change": "move", "value": "0"}]);
    let (status, answer) = apply(&relay, &step);
    assert_eq!(
        (status, &answer["applied"]),
        (200, &json!(true)),
        "{answer}"
    );
    let (bob, ann) = ("name = \"bob\"", "# About ann.\n[[screen]]\nname = \"ann\"");
    let at = |text: &str, words: &str| text.find(words).expect("it stands there");
    let now = text(&relay);
    assert!(at(&now, bob) < at(&now, ann), "{now}");
    let set = ["config", "set", "screen[\"ann\"]", "0", "--move"];
    relay.command(&set).expect_code(0);
    let now = text(&relay);
    assert!(at(&now, ann) < at(&now, bob), "{now}");
}

#[test]
fn decisions_of_the_last_day_are_made_once_more() {
    let network = Network::new();
    let (stranger, permitted) = (network.stranger(), network.permitted());
    let relay = Relay::start(network, "");
    let mut client = Dialogue::ready(stranger, relay.address());
    client.ask("MAIL FROM:<ann@client.test>", 250);
    client.ask("RCPT TO:<bob@elsewhere.test>", 550);
    client.ask("RCPT TO:<bob@elsewhere.test>", 550);
    let mut client = Dialogue::ready(permitted, relay.address());
    let reply = client.submit("ann@ours.test", &["eve@elsewhere.test"], &message("kept"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    let edits = json!([set("relay.allow", &format!("[\"{stranger}\"]"))]);
    let tried = post(&relay, "/v1/config/try", json!({"edits": edits}));
    let (effect, replay) = (&tried["effect"], &tried["effect"]["replay"]);
    assert_eq!(effect["gained"][0]["who"], stranger.to_string(), "{tried}");
    assert_eq!(effect["lost"][0]["who"], permitted.to_string(), "{tried}");
    assert_eq!(replay["cannot_tell"], 0, "{tried}");
    let accepted = &replay["accepted"];
    assert_eq!(
        (&accepted["decisions"], &accepted["recipients"]),
        (&json!(1), &json!(2)),
        "{tried}"
    );
    assert_eq!(accepted["examples"][0]["to"], "bob@elsewhere.test");
    let refused = &replay["refused"];
    assert_eq!(refused["decisions"], 1, "{tried}");
    assert_eq!(refused["examples"][0]["to"], "eve@elsewhere.test");
    assert!(
        refused["examples"][0]["now"]
            .to_string()
            .contains("550 5.7.1"),
        "{tried}"
    );
}
