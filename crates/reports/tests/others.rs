//! Programs that others wrote: dmarc-report and dmarc-cat read what is written here, and what
//! tlsrpt-reporter writes is read here, and is what is written here. `scripts/test` installs them.

use std::fs;
use std::process::{Command, Output};

use dmarc::{Mode, Policy};
use reports::{
    Aggregate, Checked, Disposition, Evaluated, Identifiers, Override, Period, Published, Record,
    Reporter, TlsReport,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const PYTHON: &str = "/usr/bin/python3";
const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reporting.py");
const OTHERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/reporting");

fn said(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/test installs it"));
    let errors = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {errors}");
    String::from_utf8(stdout).expect("text")
}

fn checked(domain: &str, selector: Option<&str>, result: &str) -> Checked {
    Checked {
        domain: domain.to_owned(),
        selector: selector.map(str::to_owned),
        scope: selector.is_none().then(|| "mfrom".to_owned()),
        result: result.to_owned(),
        human_result: Some("a <remark> & more".to_owned()),
    }
}

/// A report with all that one may have.
fn report() -> Aggregate {
    let row = |source: &str, count, disposition, aligned: (bool, bool)| Record {
        source: source.parse().unwrap(),
        count,
        evaluated: Evaluated {
            disposition,
            dkim: Some(aligned.0),
            spf: Some(aligned.1),
            overrides: Vec::new(),
        },
        identifiers: Identifiers {
            header_from: "news.d.test".to_owned(),
            envelope_from: None,
            envelope_to: None,
        },
        dkim: Vec::new(),
        spf: Vec::new(),
    };
    let mut full = row("192.0.2.1", 12, Disposition::None, (false, false));
    let reason = |kind: &str, comment: Option<&str>| Override {
        kind: kind.to_owned(),
        comment: comment.map(str::to_owned),
    };
    full.evaluated.overrides = vec![
        reason("policy_test_mode", None),
        reason("local_policy", Some("\"rule\" <7>")),
    ];
    full.identifiers.envelope_from = Some(String::new());
    full.identifiers.envelope_to = Some("bob.test".to_owned());
    full.dkim = vec![
        checked("d.test", Some("s1"), "fail"),
        checked("esp.test", Some("s2"), "pass"),
    ];
    full.spf = vec![checked("esp.test", None, "softfail")];
    Aggregate {
        reporter: Reporter {
            organization: "Reporter & S\u{f6}hne".to_owned(),
            contact: "dmarc@reporter.test".to_owned(),
            id: "20260301.1@reporter.test".to_owned(),
        },
        extra_contact: Some("https://reporter.test/?a=1&b=2".to_owned()),
        generator: Some("Gatepost".to_owned()),
        errors: vec!["two records".to_owned()],
        period: Period {
            begin: 1_772_323_200,
            end: 1_772_409_599,
        },
        published: Published {
            domain: "d.test".to_owned(),
            p: Some(Policy::Reject),
            sp: Some(Policy::Quarantine),
            np: Some(Policy::None),
            adkim: Some(Mode::Strict),
            aspf: Some(Mode::Relaxed),
            is_test: Some(true),
        },
        records: vec![full, row("2001:db8::1", 3, Disposition::Pass, (true, true))],
        unread: 0,
    }
}

#[test]
fn a_strict_reader_finds_all_of_it() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("report.xml");
    fs::write(&file, report().to_xml()).expect("a report");
    let told = said(
        Command::new(PYTHON)
            .args([DRIVER, OTHERS, "dmarc"])
            .arg(&file),
    );
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let expected = json!({
        "format": "rfc_9990",
        "organization": "Reporter & S\u{f6}hne",
        "contact": "dmarc@reporter.test",
        "id": "20260301.1@reporter.test",
        "errors": ["two records"],
        "period": [1_772_323_200, 1_772_409_599],
        "domain": "d.test",
        "policies": ["reject", "quarantine", "none"],
        "modes": ["s", "r"],
        "testing": "y",
        "records": [
            {
                "source": "192.0.2.1", "count": 12, "disposition": "none", "dkim": "fail", "spf": "fail",
                "overrides": [["policy_test_mode", null], ["local_policy", "\"rule\" <7>"]],
                "names": ["news.d.test", "", "bob.test"],
                "results": [["d.test", "s1", "fail"], ["esp.test", "s2", "pass"], ["esp.test", "mfrom", "softfail"]],
            },
            {
                "source": "2001:db8::1", "count": 3, "disposition": "pass", "dkim": "pass", "spf": "pass",
                "overrides": [], "names": ["news.d.test", null, null], "results": [],
            },
        ],
    });
    assert_eq!(told, expected);
}

#[test]
fn a_reader_of_the_older_form_finds_the_counts() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder
        .path()
        .join("reporter.test!d.test!1772323200!1772409599.xml");
    fs::write(&file, report().to_xml()).expect("a report");
    let told = said(Command::new("dmarc-cat").arg("-N").arg(&file));
    for line in told.lines().filter(|line| line.contains("192.0.2.1")) {
        assert!(line.split_whitespace().any(|word| word == "12"), "{line}");
    }
    for words in ["dmarc@reporter.test", "d.test", "192.0.2.1", "2001:db8::1"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn another_writer_writes_the_same_tls_report() {
    let theirs = said(Command::new(PYTHON).args([DRIVER, OTHERS, "tls"]));
    let report = TlsReport::read(theirs.as_bytes()).expect(&theirs);
    let policy = &report.policies[0];
    assert_eq!((policy.successful, policy.failed), (5, 2));
    assert_eq!(policy.failures[0].kind, "certificate-not-trusted");
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(parse(&report.to_json()), parse(&theirs));
}
