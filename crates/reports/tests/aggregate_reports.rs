//! Aggregate reports in all the ways in which they are written.

use dmarc::{Mode, Policy};
use reports::{Aggregate, Checked, Disposition, Flaw, Override, Period};

/// As RFC 9990 has it.
const CURRENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0" xmlns:x="https://x.test/">
  <version>1.0</version>
  <report_metadata>
    <org_name>Reporter &amp; Sons</org_name>
    <email>dmarc@reporter.test</email>
    <extra_contact_info>https://reporter.test/</extra_contact_info>
    <report_id>1@reporter.test</report_id>
    <date_range><begin>1700000000</begin><end>1700086399</end></date_range>
    <error>two records</error>
    <generator>A 1.0</generator>
  </report_metadata>
  <policy_published>
    <domain>sender.test</domain><discovery_method>treewalk</discovery_method>
    <p>reject</p><sp>quarantine</sp><np>none</np>
    <adkim>s</adkim><aspf>r</aspf><testing>y</testing>
  </policy_published>
  <extension><x:record><row><count>9</count></row></x:record></extension>
  <record>
    <row>
      <source_ip>2001:db8::1</source_ip><count>12</count>
      <policy_evaluated>
        <disposition>none</disposition><dkim>fail</dkim><spf>pass</spf>
        <reason><type>policy_test_mode</type></reason>
        <reason><type>other</type><comment><![CDATA[a <list>]]></comment></reason>
      </policy_evaluated>
    </row>
    <identifiers>
      <header_from>news.sender.test</header_from><envelope_from/>
      <envelope_to>bob.test</envelope_to>
    </identifiers>
    <auth_results>
      <dkim>
        <domain>sender.test</domain><selector>s1</selector><result>fail</result>
        <human_result>no key</human_result>
      </dkim>
      <dkim><domain>esp.test</domain><selector>s2</selector><result>pass</result></dkim>
      <spf><domain>sender.test</domain><scope>mfrom</scope><result>pass</result></spf>
    </auth_results>
    <x:score>3</x:score>
  </record>
</feedback>"#;

fn read(xml: &str) -> Aggregate {
    Aggregate::read(xml.as_bytes()).expect(xml)
}

#[test]
fn all_of_the_current_form_is_read() {
    let report = read(CURRENT);
    assert_eq!(report.reporter.organization, "Reporter & Sons");
    assert_eq!(report.reporter.contact, "dmarc@reporter.test");
    assert_eq!(report.reporter.id, "1@reporter.test");
    assert_eq!(
        report.extra_contact.as_deref(),
        Some("https://reporter.test/")
    );
    assert_eq!(report.generator.as_deref(), Some("A 1.0"));
    assert_eq!(report.errors, ["two records"]);
    let period = Period {
        begin: 1_700_000_000,
        end: 1_700_086_399,
    };
    assert_eq!(report.period, period);
    let published = &report.published;
    assert_eq!(published.domain, "sender.test");
    let policies = [published.p, published.sp, published.np];
    assert_eq!(
        policies,
        [
            Some(Policy::Reject),
            Some(Policy::Quarantine),
            Some(Policy::None)
        ]
    );
    assert_eq!(
        (published.adkim, published.aspf),
        (Some(Mode::Strict), Some(Mode::Relaxed))
    );
    assert_eq!(published.is_test, Some(true));

    let [record] = &report.records[..] else {
        panic!("{:?}", report.records);
    };
    assert_eq!(
        (record.source.to_string(), record.count),
        ("2001:db8::1".to_owned(), 12)
    );
    let evaluated = &record.evaluated;
    assert_eq!(evaluated.disposition, Disposition::None);
    assert_eq!((evaluated.dkim, evaluated.spf), (Some(false), Some(true)));
    let reasons = [("policy_test_mode", None), ("other", Some("a <list>"))];
    let reasons = reasons.map(|(kind, comment)| Override {
        kind: kind.to_owned(),
        comment: comment.map(str::to_owned),
    });
    assert_eq!(evaluated.overrides, reasons);
    let identifiers = &record.identifiers;
    assert_eq!(identifiers.header_from, "news.sender.test");
    assert_eq!(identifiers.envelope_from.as_deref(), Some(""));
    assert_eq!(identifiers.envelope_to.as_deref(), Some("bob.test"));
    let results: Vec<_> = record.dkim.iter().chain(&record.spf).map(told).collect();
    assert_eq!(
        results,
        [
            "sender.test s1 fail no key",
            "esp.test s2 pass",
            "sender.test mfrom pass"
        ]
    );
}

fn told(checked: &Checked) -> String {
    let of = [
        Some(&checked.domain),
        checked.selector.as_ref(),
        checked.scope.as_ref(),
    ];
    let of = of
        .into_iter()
        .chain([Some(&checked.result), checked.human_result.as_ref()]);
    of.flatten()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A report with one record, in which `from` is something else.
fn with(from: &str, to: &str) -> Aggregate {
    let plain = r#"<feedback><report_metadata><org_name>o</org_name><email>e</email>
<report_id>i</report_id><date_range><begin>1</begin><end>2</end></date_range></report_metadata>
<policy_published><domain>d.test</domain><p>none</p></policy_published>
<record><row><source_ip>192.0.2.1</source_ip><count>3</count><policy_evaluated>
<disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>
<identifiers><header_from>d.test</header_from></identifiers><auth_results><spf>
<domain>d.test</domain><result>fail</result></spf></auth_results></record></feedback>"#;
    assert!(plain.contains(from), "{from}");
    read(&plain.replace(from, to))
}

#[test]
fn what_programs_make_of_the_format_is_read() {
    let plain = with("<feedback>", "<feedback>");
    assert_eq!(plain.records.len(), 1);
    for (from, to) in [
        // Namespaces: the older one, a wrong one, one with a prefix for the root alone, and for all.
        (
            "<feedback>",
            "<feedback xmlns=\"http://dmarc.org/dmarc-xml/0.1\"><version>0.1</version>",
        ),
        (
            "<feedback>",
            "<feedback xmlns=\"http://x.test/\" xmlns:xsi='y' xsi:schemaLocation='a b'>",
        ),
        (
            "<feedback>",
            "\u{feff}<?xml version='1.0' encoding='windows-1252'?>\n<!-- x --><feedback>",
        ),
        (
            "<feedback>",
            "\r\n <!DOCTYPE feedback [<!ENTITY a \"b\">]><feedback>",
        ),
        ("</feedback>", "</feedback>\0\0<x>"),
        ("pass<", "PASS\n<"),
        (">none<", ">None<"),
        ("d.test<", "D.Test.<"),
        ("<count>3<", "<count> 3 <"),
        ("<begin>1<", "<begin>1.0<"),
        // An address in angle brackets stands for an element.
        ("<email>e", "<email>e<dmarc@x.test>"),
        ("<email>e", "<email>e&x;&#0;<![CDATA[&]]> & x"),
        ("</identifiers>", "<more><row/></more></identifiers>"),
    ] {
        let mut report = with(from, to);
        report.reporter.contact = "e".to_owned();
        assert_eq!(report, plain, "{to}");
    }
    let prefixed = CURRENT
        .replace("<", "<n:")
        .replace("<n:/", "</n:")
        .replace("<n:?", "<?");
    let prefixed = prefixed
        .replace("<n:![", "<![")
        .replace("xmlns=", "xmlns:n=");
    let prefixed = prefixed
        .replace("n:x:", "x:")
        .replace("a <n:list>", "a <list>");
    assert_eq!(read(&prefixed), read(CURRENT));
    let root = CURRENT.replace("<feedback xmlns=", "<n:feedback xmlns:n=");
    assert_eq!(
        read(&root.replace("</feedback", "</n:feedback")),
        read(CURRENT)
    );
}

#[test]
fn what_is_missing_costs_itself_alone() {
    for (from, to) in [
        ("<org_name>o</org_name>", ""),
        ("<p>none</p>", "<p>nobody</p>"),
        ("<date_range><begin>1</begin><end>2</end></date_range>", ""),
        (
            "<disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>",
            "",
        ),
        (
            "<identifiers><header_from>d.test</header_from></identifiers>",
            "",
        ),
        ("<domain>d.test</domain><result>fail</result>", ""),
    ] {
        let report = with(from, to);
        assert_eq!((report.records.len(), report.unread), (1, 0), "{to}");
        assert_eq!(report.records[0].count, 3, "{to}");
    }
    // A record that counts nothing says nothing.
    for (from, to) in [
        ("<count>3</count>", ""),
        ("<count>3<", "<count>-3<"),
        (">192.0.2.1<", "><"),
        (">192.0.2.1<", ">192.0.2.256<"),
    ] {
        let report = with(from, to);
        assert_eq!((report.records.len(), report.unread), (0, 1), "{to}");
    }
}

#[test]
fn entities_are_not_expanded() {
    let bomb = "<!DOCTYPE feedback [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">\
                <!ENTITY c SYSTEM \"file:///etc/passwd\">]><feedback>";
    let document = with("<feedback>", bomb);
    assert_eq!(document, with("<feedback>", "<feedback>"));
    let report = with(">o<", ">&b;&c;&#65;&#x42;&lt;<");
    assert_eq!(report.reporter.organization, "&b;&c;AB<");
}

#[test]
fn what_is_no_whole_report_is_told() {
    let flaw = |xml: &str| Aggregate::read(xml.as_bytes()).unwrap_err();
    assert_eq!(flaw(""), Flaw::NoReport);
    assert_eq!(flaw("hello"), Flaw::NoReport);
    assert_eq!(flaw("<html><body/></html>"), Flaw::Root("html".to_owned()));
    assert_eq!(flaw("<feedback><record>"), Flaw::Cut);
    for at in 1..CURRENT.len() - 1 {
        let cut = Aggregate::read(&CURRENT.as_bytes()[..at]);
        assert!(cut.is_err(), "{}", &CURRENT[..at]);
    }
    assert!(matches!(flaw("<feedback><a b='"), Flaw::Xml(..)));
    let deep = format!("<feedback>{}", "<a>".repeat(40));
    assert_eq!(flaw(&deep), Flaw::TooDeep);
    let record = "<record><row><source_ip>::</source_ip><count>1</count></row></record>";
    let many = format!("<feedback>{}</feedback>", record.repeat(100_001));
    assert_eq!(flaw(&many), Flaw::TooManyRecords);
}

#[test]
fn texts_and_results_have_a_limit() {
    let long = format!(">{}<", "\u{e4}".repeat(3000));
    assert_eq!(
        with(">o<", &long).reporter.organization,
        "\u{e4}".repeat(500)
    );
    let results = "<spf><result>pass</result></spf>".repeat(300);
    let report = with("<auth_results>", &format!("<auth_results>{results}"));
    assert_eq!(report.records[0].spf.len(), 100);
}
