//! What `relay.tests` beside the configuration expects is asked at every load.

mod memory;

use config::{Config, Expected};
use memory::Memory;

const CONFIG: &str = r#"
[listener.internet]
bind = "0.0.0.0:25"

[listener.submission]
bind = "0.0.0.0:587"

[listener.inside]
bind = "10.0.0.1:25"
connect = { mode = "only-list", allow = ["10.0.0.0/8"] }
tls = "off"

[domain."example.com"]
recipients = ["bob", "carl"]

[domain."asked.test"]
recipients = "verify"

[relay]
allow = ["192.168.1.254", "*.branch.example"]
certificates = ["sha256:abababababababababababababababababababababababababababababababab"]
"#;

fn load(tests: &str) -> Result<Config, String> {
    let files = Memory::default()
        .with("gatepost.toml", CONFIG)
        .with("relay.tests", tests);
    let loaded = files.load().map_err(|why| why.to_string())?;
    Ok(loaded.config)
}

/// What one test with these lines says.
fn said(lines: &str) -> String {
    match load(&format!("[[test]]\n{lines}\n")) {
        Ok(_) => "as expected".to_owned(),
        Err(why) => why.lines().next().unwrap_or_default().to_owned(),
    }
}

#[test]
fn a_configuration_that_answers_as_expected_is_used() {
    let tests = r#"
[[test]]
name = "no stranger sends through us"
from = "203.0.113.9"
mail = "a@else.example"
rcpt = "b@else.example"
expected = "550 5.7.1"

[[test]]
from = "203.0.113.9"
rcpt = "bob@example.com"
expected = "accepted"

[[test]]
from = "203.0.113.9"
rcpt = "someone@asked.test"
expected = "250"

[[test]]
from = "192.168.1.254"
rcpt = "b@else.example"
expected = "accepted"

[[test]]
from = "198.51.100.4"
client_name = "mx.branch.example"
rcpt = "b@else.example"
expected = "accepted"

[[test]]
from = "203.0.113.9"
listener = "submission"
rcpt = "bob@example.com"
expected = "530 5.7.0"

[[test]]
from = "203.0.113.9"
listener = "submission"
tls = true
rcpt = "bob@example.com"
expected = "530 5.7.0 Authentication required"

[[test]]
from = "203.0.113.9"
listener = "submission"
user = "ann@example.com"
mail = "ann@example.com"
rcpt = "b@else.example"
expected = "accepted"

[[test]]
from = "203.0.113.9"
listener = "submission"
user = "ann@example.com"
may_relay = false
rcpt = "b@else.example"
expected = "refused"

[[test]]
from = "203.0.113.9"
listener = "inside"
rcpt = "bob@example.com"
expected = "554"
"#;
    let config = load(tests).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(config.relay_tests.len(), 10);
    let first = &config.relay_tests[0];
    assert_eq!(first.name, "no stranger sends through us");
    assert_eq!(first.expected, Expected::Reply("550 5.7.1".into()));
    assert_eq!(first.place.to_string(), "relay.tests:2");
    assert_eq!(config.relay_tests[1].name, "203.0.113.9 to bob@example.com");
}

#[test]
fn one_that_does_not_is_refused_with_the_line_that_decided() {
    let text = "[[test]]\nname = \"no way through\"\nfrom = \"192.168.1.254\"\nrcpt = \"b@else.example\"\nexpected = \"550\"\n";
    let said = load(text).map(|_| ()).expect_err("the client is listed");
    assert!(
        said.starts_with("error: relay test \"no way through\" expects 550, the rules accept it (gatepost.toml:20)\n --> relay.tests:1:1\n"),
        "{said}"
    );
    assert!(
        said.contains("matches relay.allow entry 192.168.1.254"),
        "{said}"
    );
}

#[test]
fn each_failure_says_what_the_rules_say() {
    let cases = [
        (
            "name = \"t\"\nfrom = \"203.0.113.9\"\nrcpt = \"b@else.example\"\nexpected = \"accepted\"",
            "error: relay test \"t\" expects acceptance, the rules say 550 5.7.1 Unable to relay for b@else.example (gatepost.toml:20)",
        ),
        (
            "name = \"t\"\nfrom = \"203.0.113.9\"\nrcpt = \"b@else.example\"\nexpected = \"550 5.7.13\"",
            "error: relay test \"t\" expects 550 5.7.13, the rules say 550 5.7.1 Unable to relay for b@else.example (gatepost.toml:20)",
        ),
        (
            "name = \"t\"\nfrom = \"203.0.113.9\"\nrcpt = \"b@else.example\"\nexpected = \"postponed\"",
            "error: relay test \"t\" expects a postponement, the rules say 550 5.7.1 Unable to relay for b@else.example (gatepost.toml:20)",
        ),
        (
            "name = \"t\"\nfrom = \"10.0.0.5\"\nlistener = \"insde\"\nrcpt = \"b@else.example\"\nexpected = \"refused\"",
            "error: relay test \"t\" cannot be",
        ),
        (
            "name = \"t\"\nfrom = \"203.0.113.9\"\nuser = \"ann\"\nrcpt = \"b@else.example\"\nexpected = \"refused\"",
            "error: relay test \"t\" cannot be",
        ),
        (
            "name = \"t\"\nfrom = \"203.0.113.9\"\nlistener = \"submission\"\nuser = \"ann\"\ntls = false\nrcpt = \"b@else.example\"\nexpected = \"refused\"",
            "error: relay test \"t\" cannot be",
        ),
        (
            "name = \"t\"\nfrom = \"10.0.0.5\"\nlistener = \"inside\"\ntls = true\nrcpt = \"b@else.example\"\nexpected = \"refused\"",
            "error: relay test \"t\" cannot be",
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(said(lines), expected, "{lines}");
    }
}

#[test]
fn mistakes_in_the_file_are_shown_where_they_are() {
    let whole = "from = \"10.0.0.1\"\nrcpt = \"b@else.example\"\nexpected = \"550\"\n";
    let cases = [
        ("[[tests]]\n".to_owned(), "relay.tests:1:3"),
        ("test = 5\n".to_owned(), "relay.tests:1:1"),
        ("[[test]]\n".to_owned(), "relay.tests:1:1"),
        (
            format!("[[test]]\n{whole}frm = 1\n"),
            "did you mean `from`?",
        ),
        (
            format!("[[test]]\n{}", whole.replace("10.0.0.1", "10.0.0.256")),
            "relay.tests:2:8",
        ),
        (
            format!("[[test]]\n{}", whole.replace("550", "maybe")),
            "relay.tests:4:12",
        ),
        (
            format!("[[test]]\n{whole}tls = \"yes\"\n"),
            "relay.tests:5:7",
        ),
        ("[[test]\n".to_owned(), "this is not TOML"),
    ];
    for (text, expected) in cases {
        let said = load(&text).map(|_| ()).expect_err(&text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn rules_with_mistakes_are_not_asked() {
    let files = Memory::default()
        .with("gatepost.toml", "hostnme = \"x\"\n")
        .with(
            "relay.tests",
            "[[test]]\nfrom = \"10.0.0.1\"\nrcpt = \"b@else.example\"\nexpected = \"accepted\"\n",
        );
    let errors = files.load().map(|_| ()).expect_err("a mistake");
    assert_eq!(errors.0.len(), 1, "{errors}");
}

#[test]
fn without_the_file_nothing_is_expected() {
    let files = Memory::default().with("gatepost.toml", CONFIG);
    assert_eq!(files.load().unwrap().config.relay_tests, []);
}

/// The configuration and the tests that the document shows side by side.
#[test]
fn the_example_of_the_document_is_right() {
    let document = include_str!("../../../docs/configuration.md");
    let section = document.split("### Relay tests\n").nth(1).unwrap();
    let block = |language: &str| {
        let rest = section.split(&format!("```{language}\n")).nth(1).unwrap();
        rest.split("```").next().unwrap()
    };
    let files = Memory::default()
        .with("gatepost.toml", block("toml"))
        .with("relay.tests", block("text"));
    let loaded = files.load().unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(loaded.config.relay_tests.len(), 3);
    let open = block("toml").replace("192.168.1.254\"]\n", "203.0.113.9\"]\n");
    let files = files.with("gatepost.toml", open);
    let said = files.load().map(|_| ()).expect_err("a hole").to_string();
    let shown = section.split("```text\n").nth(2).unwrap();
    let shown = shown.split("```").next().unwrap().trim_end();
    assert!(said.contains(shown), "{said}");
}

#[test]
fn nothing_that_is_text_makes_the_reader_panic() {
    let seed =
        "[[test]]\nfrom = \"10.0.0.1\"\nrcpt = \"ü@b.test\"\ntls = true\nexpected = '550 5.7.1'\n";
    for cut in (0..seed.len()).filter(|n| seed.is_char_boundary(*n)) {
        for glue in ["", "\"", "]", "=", "\0", "ü", "[["] {
            let _ = load(&format!("{}{glue}{}", &seed[..cut], &seed[cut..]));
            let _ = load(&format!("{}{glue}", &seed[..cut]));
        }
    }
}
