//! TLS reports in all the ways in which they are written.

use reports::{Flaw, Period, PolicyKind, TlsReport};

const REPORT: &str = r#"{
 "organization-name": "Reporter",
 "date-range": {"start-datetime": "2026-03-01T00:00:00Z", "end-datetime": "2026-03-01T23:59:59Z"},
 "contact-info": "tls@reporter.test",
 "report-id": "1@reporter.test",
 "policies": [
  {"policy": {"policy-type": "sts", "policy-string": ["version: STSv1", "mode: enforce"],
    "policy-domain": "a.test", "mx-host": ["*.mail.a.test"]},
   "summary": {"total-successful-session-count": 20, "total-failure-session-count": 3},
   "failure-details": [
    {"result-type": "certificate-expired", "sending-mta-ip": "2001:db8::1",
     "receiving-mx-hostname": "mx1.mail.a.test", "receiving-mx-helo": "mx1",
     "receiving-ip": "203.0.113.1", "failed-session-count": 3,
     "additional-information": "https://reporter.test/1", "failure-reason-code": "E1"}]},
  {"policy": {"policy-type": "no-policy-found", "policy-domain": "b.test"},
   "summary": {"total-successful-session-count": 1, "total-failure-session-count": 0}}]
}"#;

fn read(json: &str) -> TlsReport {
    TlsReport::read(json.as_bytes()).expect(json)
}

#[test]
fn all_of_a_report_is_read() {
    let report = read(REPORT);
    assert_eq!(report.reporter.organization, "Reporter");
    assert_eq!(report.reporter.contact, "tls@reporter.test");
    assert_eq!(report.reporter.id, "1@reporter.test");
    let period = Period {
        begin: 1_772_323_200,
        end: 1_772_409_599,
    };
    assert_eq!(report.period, period);
    let [sts, none] = &report.policies[..] else {
        panic!("{:?}", report.policies);
    };
    assert_eq!(
        (sts.kind, none.kind),
        (PolicyKind::Sts, PolicyKind::NoPolicyFound)
    );
    assert_eq!((&*sts.domain, &*none.domain), ("a.test", "b.test"));
    assert_eq!((sts.successful, sts.failed, none.successful), (20, 3, 1));
    assert_eq!(sts.lines, ["version: STSv1", "mode: enforce"]);
    assert_eq!(sts.hosts, ["*.mail.a.test"]);
    let failure = &sts.failures[0];
    assert_eq!((&*failure.kind, failure.count), ("certificate-expired", 3));
    assert_eq!(failure.source, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(failure.destination, Some("203.0.113.1".parse().unwrap()));
    assert_eq!(failure.host.as_deref(), Some("mx1.mail.a.test"));
    assert_eq!(failure.hello.as_deref(), Some("mx1"));
    assert_eq!(
        failure.information.as_deref(),
        Some("https://reporter.test/1")
    );
    assert_eq!(failure.reason.as_deref(), Some("E1"));
}

#[test]
fn what_programs_make_of_the_format_is_read() {
    let plain = read(REPORT);
    for (from, to) in [
        ("{\n \"org", "\u{feff}{\n \"org"),
        ("[\"*.mail.a.test\"]", "\"*.mail.a.test\""),
        (": 20,", ": \"20\","),
        ("\"sts\"", "\"STS\""),
        ("\"a.test\"", "\"A.Test.\""),
        ("2026-03-01T00:00:00Z", "2026-03-01T01:00:00+01:00"),
        ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00.000"),
        ("[\n  {\"policy\"", "[null, 1, \n  {\"policy\""),
        (
            "\"Reporter\",",
            "\"Reporter\", \"more\": {\"policies\": 1},",
        ),
        (
            "\"policy-domain\": \"b.test\"}",
            "\"policy-domain\": \"b.test\", \"mx-host\": []}",
        ),
    ] {
        assert!(REPORT.contains(from), "{from}");
        assert_eq!(read(&REPORT.replacen(from, to, 1)), plain, "{to}");
    }
    let empty = REPORT
        .replace("203.0.113.1", "")
        .replace("mx1.mail.a.test", " ");
    let failure = &read(&empty).policies[0].failures[0];
    assert_eq!(
        (failure.destination, &failure.host, failure.count),
        (None, &None, 3)
    );
    assert_eq!(read("{\"policies\": [{}]}").policies, [Default::default()]);
}

#[test]
fn what_is_no_report_is_told() {
    let flaw = |json: &str| TlsReport::read(json.as_bytes()).unwrap_err();
    assert!(matches!(flaw(""), Flaw::Json(_)));
    assert!(matches!(flaw(&REPORT[..100]), Flaw::Json(_)));
    assert!(matches!(flaw(&"[".repeat(100_000)), Flaw::Json(_)));
    assert_eq!(flaw("{}"), Flaw::Lacks("policies"));
    assert_eq!(flaw("{\"policies\": 1}"), Flaw::Lacks("policies"));
    assert_eq!(flaw("[]"), Flaw::Lacks("policies"));
    let large = " ".repeat(9 << 20);
    assert_eq!(flaw(&large), Flaw::TooLarge);
    let many = format!("{{\"policies\": [{}{{}}]}}", "{},".repeat(2000));
    assert_eq!(read(&many).policies.len(), 1000);
}
