//! The configuration file, judged by `config check` as an administrator would run it.

use std::path::Path;

use crate::network::Network;
use crate::program::Ran;
use crate::relay::Relay;

/// The quick start, word for word: the README has to show it, and it has to be right.
const QUICK_START: &str = r#"hostname = "relay.example.com"

[listener.internet]                # a virtual server: mail from the Internet, no sign-in
bind = "0.0.0.0:25"

[listener.submission]              # a virtual server: your people; port 587 implies sign-in and TLS
bind = "0.0.0.0:587"

[domain."example.com"]             # remote domain: accepted from anyone ...
route = "[192.168.1.254]"          # ... and handed to this smart host

[relay]                            # who may send to every other domain
allow = ["192.168.1.254"]          # "only the list below"

[tls]                              # leave out: a self-signed pair is made, with a warning
certificate = "/etc/gatepost/relay.crt"
key = "/etc/gatepost/relay.key"
"#;

fn check(text: &str) -> (Ran, Relay) {
    let relay = Relay::prepare(Network::new(), "");
    relay.write_whole_config(text);
    (relay.command(&["config", "check"]), relay)
}

#[test]
fn the_quick_start_is_right() {
    check(QUICK_START).0.expect_code(0);
}

#[test]
fn an_empty_file_is_a_closed_relay() {
    let (ran, relay) = check("");
    ran.expect_code(0);
    let ran = relay.command(&[
        "relay",
        "check",
        "--client",
        "203.0.113.9",
        "--rcpt",
        "victim@elsewhere.example",
    ]);
    assert_eq!(ran.code, 1, "{}", ran.text());
}

#[test]
fn a_mistake_is_shown_where_it_is_with_the_right_name() {
    let text = QUICK_START.replace("allow =", "alow =");
    let (ran, _) = check(&text);
    let ran = ran.expect_code(78);
    let said = ran.text();
    for words in [
        "unknown key `alow`",
        "gatepost.toml:13:1",
        "^^^^",
        "did you mean `allow`?",
    ] {
        assert!(said.contains(words), "{words:?} is missing: {said}");
    }
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let text = QUICK_START
        .replace("allow =", "alow =")
        .replace("bind = \"0.0.0.0:25\"", "bind = 25")
        .replace("hostname", "hostnme");
    let (ran, _) = check(&text);
    let said = ran.expect_code(78).text();
    assert!(said.matches("error:").count() >= 3, "{said}");
}

#[test]
fn an_open_relay_does_not_start() {
    let open = [
        QUICK_START.replace(
            "allow = [\"192.168.1.254\"]",
            "mode = \"all-except\"\nexcept = [\"198.51.100.7\"]",
        ),
        QUICK_START.replace("\"192.168.1.254\"]  ", "\"0.0.0.0/0\"]  "),
        QUICK_START.replace("\"192.168.1.254\"]  ", "\"0.0.0.0/1\", \"128.0.0.0/1\"]  "),
        QUICK_START.replace("domain.\"example.com\"", "domain.\"*\""),
        QUICK_START.replace("domain.\"example.com\"", "domain.\"*.com\""),
    ];
    for text in open {
        assert_ne!(text, QUICK_START);
        let (ran, relay) = check(&text);
        let said = ran.expect_code(78).text();
        assert!(said.contains("open relay"), "{said}");
        relay.command(&["run"]).expect_code(78);
    }
}

#[test]
fn the_readme_shows_the_quick_start_and_the_two_commands() {
    let readme = readme();
    for command in ["cargo run --release -- demo", "scripts/test"] {
        assert!(readme.contains(command), "the README names `{command}`");
    }
    assert!(
        blocks(&readme, "toml").any(|block| block == QUICK_START),
        "the README shows the quick start as it is"
    );
    for block in blocks(&readme, "toml") {
        check(&block).0.expect_code(0);
    }
}

/// A command that is shown and does not exist is worse than none.
#[test]
fn the_commands_that_the_readme_shows_exist() {
    let readme = readme();
    let commands: Vec<Vec<&str>> = readme.lines().filter_map(verbs).collect();
    assert!(!commands.is_empty(), "the README shows commands");
    let relay = Relay::prepare(Network::new(), "");
    for verbs in commands {
        let ran = relay.command(&[&verbs[..], &["--help"]].concat());
        assert_eq!(ran.code, 0, "gatepost {}: {}", verbs.join(" "), ran.text());
    }
}

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    std::fs::read_to_string(path).expect("a README")
}

/// The verbs of a line that calls the binary: what stands before the first option or operand.
fn verbs(line: &str) -> Option<Vec<&str>> {
    let line = line.trim().trim_start_matches("$ ");
    let called = ["gatepost ", "cargo run --release -- "]
        .iter()
        .find_map(|name| line.strip_prefix(name))?;
    let is_verb = |word: &&str| word.chars().all(|character| character.is_ascii_lowercase());
    let verbs: Vec<&str> = called.split_whitespace().take_while(is_verb).collect();
    (!verbs.is_empty()).then_some(verbs)
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> impl Iterator<Item = String> {
    let opening = format!("```{language}\n");
    let parts: Vec<String> = text
        .split(&opening)
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(str::to_owned)
        .collect();
    parts.into_iter()
}
