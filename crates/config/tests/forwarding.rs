//! `[forward]` and `[srs]`: what is read, what is wrong, and what is said of it.

mod memory;

use config::*;
use memory::{bad, good};

const OURS: &str = "[listener.a]\nbind = \"127.0.0.1:25\"\n[domain.\"a.test\"]\n[domain.\"*.b.test\"]\n\
                    [domain.\"no.test\"]\ntype = \"blocked\"\n";
const SRS: &str = "[srs]\ndomain = \"srs.test\"\nsecret = \"file:srs.secret\"\n";

/// Where the first mistake is (line and column), and what it says.
fn mistake(forward: &str) -> String {
    let wrong = bad(&format!("{OURS}{SRS}[forward]\n{forward}"));
    let first = &wrong.0[0];
    let at = first.location.as_ref().unwrap();
    format!(
        "{}:{} {}: {}",
        at.line - 10,
        at.column,
        first.message,
        first.label
    )
}

#[test]
fn forwards_are_read_and_shown_by_their_lines() {
    let text = format!(
        "{OURS}{SRS}[forward]\n\"info@a.test\" = \"ann@x.test\"\n\
         \"@old.b.test\" = [\"@a.test\", # where it is now\n  \"all@x.test\"]\n"
    );
    let loaded = good(&text);
    assert_eq!(loaded.warnings, []);
    let shown = show(&loaded.config, true);
    let lines: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with("forward"))
        .collect();
    assert_eq!(
        lines,
        [
            "forward.\"@old.b.test\" = [\"@a.test\", \"all@x.test\"]  # gatepost.toml:12",
            "forward.\"info@a.test\" = \"ann@x.test\"  # gatepost.toml:11",
        ]
    );
    assert_eq!(
        loaded.config.posture.to_string(),
        "closed: nobody may relay; 2 forwards lead to other domains (gatepost.toml:11); \
         bounces to SRS addresses at srs.test are turned back (gatepost.toml:8)"
    );
    let srs = loaded.config.srs.unwrap();
    assert_eq!(srs.secret, Secret::File("srs.secret".into()));
    assert_eq!((srs.age_days, srs.old_secrets.len()), (21, 0));
}

#[test]
fn without_srs_a_forward_to_others_is_warned_of_once() {
    let text = format!(
        "{OURS}[forward]\n\"info@a.test\" = [\"ann@a.test\", \"ann@x.test\"]\n\"x@a.test\" = \"x@x.test\"\n"
    );
    let warnings = good(&text).warnings;
    let [warning] = &*warnings else {
        panic!("{warnings:?}");
    };
    assert_eq!(
        warning.message,
        "mail is forwarded to other domains without [srs]"
    );
    assert_eq!(
        warning.location.as_ref().map(|at| (at.line, at.column)),
        Some((8, 32))
    );
    let at_home = good(&format!(
        "{OURS}[forward]\n\"info@a.test\" = \"ann@a.test\"\n"
    ));
    assert_eq!(at_home.warnings, []);
    assert_eq!(
        at_home.config.posture.to_string(),
        "closed: nobody may relay"
    );
}

#[test]
fn what_is_wrong_with_a_forward() {
    let names = |numbers: std::ops::Range<u32>| {
        let names: Vec<_> = numbers.map(|n| format!("\"n{n}@x.test\"")).collect();
        names.join(", ")
    };
    let many = format!(
        "\"all@a.test\" = [\"half@a.test\", {}]\n\"half@a.test\" = [{}]",
        names(0..51),
        names(50..101)
    );
    for (forward, expected) in [
        (
            "\"info@x.test\" = \"ann@y.test\"",
            "1:1 x.test is no domain of ours: nothing is taken for it: \
             write [domain.\"x.test\"] as a domain that is not blocked",
        ),
        (
            "\"@b.test\" = \"@a.test\"",
            "1:1 b.test is no domain of ours: nothing is taken for it: \
             write [domain.\"b.test\"] as a domain that is not blocked",
        ),
        (
            "\"x@no.test\" = \"ann@y.test\"",
            "1:1 no.test is a blocked domain: nothing is taken for it: \
             write [domain.\"no.test\"] as a domain that is not blocked",
        ),
        (
            "\"x@a.test\" = \"x@no.test\"",
            "1:14 x@no.test is in a blocked domain: nothing is taken for it",
        ),
        (
            "info = \"ann@y.test\"",
            "1:1 `info` in [forward] is no address: the address has no domain",
        ),
        (
            "\"x@a.test\" = \"nobody\"",
            "1:14 `x@a.test` in [forward] must be an address, or @domain: the address has no domain",
        ),
        (
            &many,
            "1:1 this forward leads to 101 addresses in all, by those of its targets: \
             100 at most; a list of that size is for a list server",
        ),
        (
            "\"x@a.test\" = []",
            "1:1 a forward names from 1 to 100 who get the mail: name them behind it",
        ),
        (
            "\"x@a.test\" = \"a@y.test\"\n\"X@A.test\" = \"b@y.test\"",
            "2:1 `x@a.test` is forwarded twice: first at gatepost.toml:11",
        ),
        (
            "\"x@a.test\" = \"y@a.test\"\n\"y@a.test\" = \"x@a.test\"",
            "1:1 this forward does not end within 10 steps: x@a.test -> y@a.test -> x@a.test",
        ),
        (
            "\"@a.test\" = \"@o.b.test\"\n\"@o.b.test\" = \"@a.test\"",
            "1:1 this forward does not end within 10 steps: \
             anybody0@a.test -> anybody0@o.b.test -> anybody0@a.test",
        ),
    ] {
        assert_eq!(mistake(forward), expected, "{forward}");
    }
}

#[test]
fn what_is_wrong_with_srs() {
    let first = |srs: &str| {
        let wrong = bad(&format!("{OURS}[srs]\n{srs}"));
        format!("{}: {}", wrong.0[0].message, wrong.0[0].label)
    };
    let both = "[srs] needs `domain` and `secret`: \
                write domain = \"example-srs.net\" and secret = \"file:srs.secret\"";
    assert_eq!(first("domain = \"srs.test\""), both);
    assert_eq!(first("secret = \"env:S\""), both);
    let age = "domain = \"srs.test\"\nsecret = \"env:S\"\nage = ";
    for wrong in ["\"1h\"", "\"0s\""] {
        let said = first(&format!("{age}{wrong}"));
        assert_eq!(said, "`age` in [srs] is at least a day: write \"21d\"");
    }
    let config = good(&format!("{OURS}[srs]\n{age}\"366d\"")).config;
    assert_eq!(config.srs.map(|srs| srs.age_days), Some(366));
}

#[test]
fn a_name_of_the_administrator_is_explained_by_its_section() {
    for key in ["forward.\"info@a.test\"", "forward"] {
        let told = explain(key).unwrap();
        assert!(told.contains("Whose mail goes on to whom"), "{key}: {told}");
    }
}
