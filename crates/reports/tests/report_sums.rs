//! Several reports as one table.

use reports::{Aggregate, Disposition, Report, Sum, TlsReport};

fn dmarc(organization: &str, id: &str, begin: u64, records: &str) -> Report {
    let xml = format!(
        "<feedback><report_metadata><org_name>{organization}</org_name><report_id>{id}</report_id>\
         <date_range><begin>{begin}</begin><end>{}</end></date_range></report_metadata>\
         <policy_published><domain>d.test</domain></policy_published>{records}</feedback>",
        begin + 10
    );
    Report::Dmarc(Aggregate::read(xml.as_bytes()).unwrap())
}

fn record(source: &str, count: u64, dkim: &str, from: &str) -> String {
    format!(
        "<record><row><source_ip>{source}</source_ip><count>{count}</count><policy_evaluated>\
         <disposition>none</disposition><dkim>{dkim}</dkim><spf>fail</spf>\
         <reason><type>other</type></reason><reason><type>local_policy</type></reason>\
         <reason><type>other</type></reason></policy_evaluated></row>\
         <identifiers><header_from>{from}</header_from></identifiers></record>"
    )
}

#[test]
fn what_is_alike_in_several_reports_is_one_row() {
    let mut sum = Sum::default();
    let first = [
        record("192.0.2.1", 1, "pass", "d.test"),
        record("192.0.2.1", 2, "fail", "d.test"),
        record("192.0.2.2", 9, "pass", "a.d.test"),
    ];
    let first = dmarc("o", "1", 100, &first.concat());
    assert!(sum.add(&first));
    assert!(!sum.add(&first), "it is the same report");
    let second = [
        record("::ffff:192.0.2.1", 4, "pass", "d.test"),
        record("192.0.2.3", 7, "pass", ""),
    ];
    assert!(sum.add(&dmarc("o", "2", 50, &second.concat())));
    assert!(sum.add(&dmarc(
        "p",
        "1",
        100,
        &record("192.0.2.1", 1, "pass", "d.test")
    )));
    let rows: Vec<String> = sum
        .dmarc()
        .iter()
        .map(|row| {
            assert_eq!((row.disposition, row.spf), (Disposition::None, Some(false)));
            assert_eq!(row.overrides, ["local_policy", "other"]);
            let (period, dkim) = (row.period, row.dkim == Some(true));
            format!(
                "{} {} {} {} {dkim} {}-{}",
                row.reporter, row.domain, row.source, row.count, period.begin, period.end
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            "o a.d.test 192.0.2.2 9 true 100-110",
            "o d.test 192.0.2.3 7 true 50-60",
            "o d.test 192.0.2.1 5 true 50-110",
            "o d.test 192.0.2.1 2 false 100-110",
            "p d.test 192.0.2.1 1 true 100-110",
        ]
    );
}

#[test]
fn reports_without_a_name_are_all_counted() {
    let mut sum = Sum::default();
    let report = dmarc("o", "", 1, &record("192.0.2.1", u64::MAX, "pass", "d.test"));
    assert!(sum.add(&report) && sum.add(&report));
    assert_eq!(sum.dmarc()[0].count, u64::MAX);
}

#[test]
fn failures_are_added_up_by_their_reason() {
    let report = |id: &str, count: u64| {
        let json = format!(
            r#"{{"organization-name": "o", "report-id": "{id}", "policies": [
            {{"policy": {{"policy-type": "sts", "policy-domain": "d.test"}},
              "summary": {{"total-successful-session-count": 5, "total-failure-session-count": {count}}},
              "failure-details": [
               {{"result-type": "certificate-expired", "receiving-mx-hostname": "mx.d.test", "failed-session-count": 1}},
               {{"result-type": "starttls-not-supported", "failed-session-count": {count}}},
               {{"result-type": "certificate-expired", "receiving-mx-hostname": "mx.d.test", "failed-session-count": 1}}]}},
            {{"policy": {{"policy-type": "no-policy-found", "policy-domain": "d.test"}}, "summary": {{}}}}]}}"#
        );
        Report::Tls(TlsReport::read(json.as_bytes()).unwrap())
    };
    let mut sum = Sum::default();
    assert!(sum.add(&report("1", 3)));
    assert!(!sum.add(&report("1", 3)));
    assert!(sum.add(&report("2", 4)));
    let rows = sum.tls();
    let counts: Vec<_> = rows
        .iter()
        .map(|row| (row.policy.as_str(), row.successful, row.failed))
        .collect();
    assert_eq!(counts, [("sts", 10, 7), ("no-policy-found", 0, 0)]);
    let failures: Vec<_> = rows[0]
        .failures
        .iter()
        .map(|failure| (&*failure.kind, failure.host.as_deref(), failure.count))
        .collect();
    assert_eq!(
        failures,
        [
            ("starttls-not-supported", None, 7),
            ("certificate-expired", Some("mx.d.test"), 4)
        ]
    );
}
