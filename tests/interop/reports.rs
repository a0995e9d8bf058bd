//! `gatepost reports`: files as others send them, as one table.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Ran, feed, run};
use crate::relay::binary;

/// An aggregate report of the older form, as most programs write it.
fn dmarc(id: u32, count: u32) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<feedback><report_metadata><org_name>reporter.test</org_name>\
         <email>dmarc@reporter.test</email><report_id>{id}</report_id><date_range>\
         <begin>1772323200</begin><end>1772409599</end></date_range></report_metadata>\
         <policy_published><domain>d.test</domain><p>none</p></policy_published>\
         <record><row><source_ip>192.0.2.1</source_ip><count>{count}</count><policy_evaluated>\
         <disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>\
         <identifiers><header_from>d.test</header_from></identifiers></record>\
         <record><row><source_ip>2001:db8::9</source_ip><count>1</count><policy_evaluated>\
         <disposition>quarantine</disposition><dkim>fail</dkim><spf>fail</spf>\
         <reason><type>local_policy</type></reason></policy_evaluated></row>\
         <identifiers><header_from>d.test</header_from></identifiers></record></feedback>\n"
    )
}

const TLS: &str = r#"{"organization-name": "\u001b[2Jother.test", "report-id": "t1",
 "date-range": {"start-datetime": "2026-03-01T00:00:00Z", "end-datetime": "2026-03-03T00:00:00Z"},
 "policies": [{"policy": {"policy-type": "sts", "policy-domain": "d.test"},
  "summary": {"total-successful-session-count": 5, "total-failure-session-count": 3},
  "failure-details": [
   {"result-type": "certificate-expired", "receiving-mx-hostname": "mx1.d.test", "failed-session-count": 1},
   {"result-type": "certificate-expired", "receiving-mx-hostname": "mx2.d.test", "failed-session-count": 1},
   {"result-type": "starttls-not-supported", "failed-session-count": 1}]}]}"#;

/// A message with a file attached, as mail programs save it.
fn message(file: &Path) -> String {
    let encoded = run("openssl", &["base64", "-in", &file.display().to_string()]);
    format!(
        "From: dmarc@reporter.test\nTo: dmarc@d.test\nSubject: Report Domain: d.test\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=b\n\n--b\n\nA report.\n--b\nContent-Type: application/gzip\n\
         Content-Disposition: attachment; filename=\"reporter.test!d.test!1!2.xml.gz\"\n\
         Content-Transfer-Encoding: base64\n\n{}\n--b--\n",
        encoded.expect_code(0).out
    )
}

fn reports(arguments: &[&str], input: &str) -> Ran {
    let arguments = [&["reports"], arguments].concat();
    feed(binary(), &arguments, input.as_bytes())
}

#[test]
fn files_of_all_kinds_add_up() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let shown = |name: &str| path(name).display().to_string();
    for (name, text) in [
        ("a.xml", dmarc(1, 2)),
        ("b.xml", dmarc(2, 10)),
        ("c.xml", dmarc(3, 100)),
    ] {
        fs::write(path(name), text).expect("a report");
    }
    // Packed by programs that others wrote.
    run("gzip", &[&shown("a.xml")]).expect_code(0);
    run("7zz", &["a", "-bd", &shown("b.zip"), &shown("b.xml")]).expect_code(0);
    run("gzip", &[&shown("c.xml")]).expect_code(0);
    fs::write(path("c.eml"), message(&path("c.xml.gz"))).expect("a message");
    let files = [shown("a.xml.gz"), shown("b.zip"), shown("c.eml")];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();

    let ran = reports(&[&files[..], &["-"]].concat(), TLS).expect_code(0);
    assert_eq!(ran.err, "");
    let expected = "\
4 reports by 2 organizations
DMARC: 115 messages, 112 of them pass

PERIOD      REPORTER       DOMAIN  SOURCE       COUNT  DISPOSITION  SPF   DKIM  OVERRIDES
2026-03-01  reporter.test  d.test  192.0.2.1    112    none         fail  pass
2026-03-01  reporter.test  d.test  2001:db8::9  3      quarantine   fail  fail  local_policy

TLS: 5 connections as they should be, 3 not

PERIOD                    REPORTER           DOMAIN  POLICY  SUCCESSFUL  FAILED  FAILURES
2026-03-01 to 2026-03-02  \\x1b[2Jother.test  d.test  sts     5           3       2 certificate-expired, 1 starttls-not-supported
";
    assert_eq!(ran.out, expected);

    let ran = reports(&[&files[..], &["--json", "-"]].concat(), TLS).expect_code(0);
    let told: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((&told["reports"], &told["unread"]), (&json!(4), &json!([])));
    let row = json!({
        "period": { "begin": "2026-03-01T00:00:00.000Z", "end": "2026-03-01T23:59:59.000Z" },
        "reporter": "reporter.test", "domain": "d.test", "source": "192.0.2.1", "count": 112,
        "disposition": "none", "spf": "fail", "dkim": "pass", "overrides": [],
    });
    assert_eq!(told["dmarc"][0], row);
    let failure =
        json!({ "type": "certificate-expired", "host": "mx1.d.test", "reason": null, "count": 1 });
    assert_eq!(told["tls"][0]["failures"][0], failure);
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_shown() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("good.xml"), dmarc(1, 2)).expect("a report");
    fs::write(path("bad.xml"), "<html></html>").expect("no report");
    let files = [
        path("good.xml"),
        path("bad.xml"),
        path("none.xml"),
        path("good.xml"),
    ];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let ran = reports(&files, "").expect_code(1);
    assert!(
        ran.out.contains("DMARC: 3 messages, 2 of them pass\n"),
        "{}",
        ran.out
    );
    for line in [
        format!(
            "error: {}: it is XML of another kind: <html>, not <feedback>\n",
            files[1]
        ),
        format!("error: {}: No such file or directory", files[2]),
        format!(
            "warning: {}: report 1 is counted once: it was there before\n",
            files[0]
        ),
    ] {
        assert!(ran.err.contains(&line), "{line}\n{}", ran.err);
    }
    let ran = reports(&["-"], "hello").expect_code(1);
    assert_eq!(
        (&*ran.out, &*ran.err),
        ("", "error: -: there is no report in it\n")
    );
    let ran = reports(&[], "").expect_code(2);
    assert!(ran.err.contains("<FILE>"), "{}", ran.err);
}
