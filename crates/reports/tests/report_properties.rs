//! No octets panic, and what is written is read as it was.

use std::net::IpAddr;

use dmarc::{Mode, Policy};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use reports::{
    Aggregate, Checked, Disposition, Evaluated, Identifiers, Override, Period, PolicyKind,
    Published, Record, Reporter, TlsFailure, TlsPolicy, TlsReport, read,
};

/// Words that reports are made of, so that chance makes reports.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = select(vec![
        "<feedback>",
        "</feedback>",
        "<n:feedback>",
        "<record>",
        "</record>",
        "<row>",
        "</row>",
        "<source_ip>",
        "192.0.2.1",
        "</source_ip>",
        "<count>1</count>",
        "<policy_evaluated>",
        "<reason>",
        "<type>",
        "</reason>",
        "<auth_results>",
        "<dkim>",
        "</dkim>",
        "<spf/>",
        "<",
        "&",
        "&lt;",
        "&#",
        "&#xd800;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<!DOCTYPE",
        "[",
        "]",
        ">",
        "<?xml ",
        "?>",
        "\0",
        "\u{e4}",
        "{\"policies\": [",
        "]}",
        "{\"policy\":",
        "{}",
        "\"mx-host\":",
        ",",
        "null",
        "1e999",
        "\"\\ud800\"",
        "PK\u{3}\u{4}",
        "PK\u{1}\u{2}",
        "PK\u{5}\u{6}",
        "\u{1f}",
        "Content-Type: text/xml\n\n",
        "Content-Type: multipart/mixed; boundary=b\n\n",
        "--b\n",
        "<date_range><begin>",
        "</begin>",
        "99999999999999999999",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat().into_bytes())
}

fn check(octets: &[u8]) {
    let found = read(octets, "x");
    assert!(!found.reports.is_empty() || !found.unread.is_empty());
    for unread in &found.unread {
        assert!(!unread.why.to_string().is_empty());
    }
    let _ = Aggregate::read(octets).map(|report| report.to_xml());
    let _ = TlsReport::read(octets).map(|report| report.to_json());
}

/// A text as reports may have it: without blanks around, as these are taken for layout.
fn text() -> impl Strategy<Value = String> {
    "[ -~\u{e4}\u{1f600}<&>\"']{0,12}".prop_map(|text| text.trim().to_owned())
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    of(text().prop_filter("a text", |text| !text.is_empty()))
}

/// A word that is written in one way.
fn word() -> impl Strategy<Value = String> {
    "[a-z0-9_-]{1,8}(\\.[a-z0-9]{1,3})?"
}

fn address() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>()
}

fn policy() -> impl Strategy<Value = Option<Policy>> {
    of(select(vec![
        Policy::None,
        Policy::Quarantine,
        Policy::Reject,
    ]))
}

fn mode() -> impl Strategy<Value = Option<Mode>> {
    of(select(vec![Mode::Relaxed, Mode::Strict]))
}

fn reporter() -> impl Strategy<Value = Reporter> {
    (text(), text(), text()).prop_map(|(organization, contact, id)| Reporter {
        organization,
        contact,
        id,
    })
}

prop_compose! {
    fn published()(domain in word(), policies in [policy(), policy(), policy()],
                   modes in [mode(), mode()], is_test in any::<Option<bool>>()) -> Published {
        let ([p, sp, np], [adkim, aspf]) = (policies, modes);
        Published { domain, p, sp, np, adkim, aspf, is_test }
    }
}

prop_compose! {
    fn checked(is_dkim: bool)(domain in word(), selector in word(), scope in of(word()),
                              result in word(), human_result in some_text()) -> Checked {
        let (selector, scope) = if is_dkim { (Some(selector), None) } else { (None, scope) };
        Checked { domain, selector, scope, result, human_result }
    }
}

prop_compose! {
    fn record()(source in address(), count in any::<u64>(), aligned in any::<(bool, bool)>(),
                disposition in select(vec![Disposition::None, Disposition::Pass, Disposition::Reject]),
                overrides in prop::collection::vec((word(), some_text()), 0..3),
                names in (word(), of(word()), of(word())),
                dkim in prop::collection::vec(checked(true), 0..3),
                spf in prop::collection::vec(checked(false), 0..2)) -> Record {
        let overrides = overrides.into_iter().map(|(kind, comment)| Override { kind, comment });
        let evaluated = Evaluated {
            disposition,
            dkim: Some(aligned.0),
            spf: Some(aligned.1),
            overrides: overrides.collect(),
        };
        let (header_from, envelope_from, envelope_to) = names;
        let identifiers = Identifiers { header_from, envelope_from, envelope_to };
        Record { source, count, evaluated, identifiers, dkim, spf }
    }
}

prop_compose! {
    fn aggregate()(reporter in reporter(), extra_contact in some_text(), generator in some_text(),
                   error in some_text(), span in any::<(u32, u32)>(), published in published(),
                   records in prop::collection::vec(record(), 0..4)) -> Aggregate {
        Aggregate {
            reporter, extra_contact, generator, published, records,
            errors: error.into_iter().collect(),
            period: Period { begin: span.0.into(), end: span.1.into() },
            unread: 0,
        }
    }
}

prop_compose! {
    fn failure()(kind in word(), addresses in (of(address()), of(address())), host in of(word()),
                 texts in [some_text(), some_text(), some_text()], count in any::<u64>()) -> TlsFailure {
        let [hello, information, reason] = texts;
        let (source, destination) = addresses;
        TlsFailure { kind, source, destination, host, hello, count, information, reason }
    }
}

prop_compose! {
    fn tls_policy()(kind in select(vec![PolicyKind::Sts, PolicyKind::Tlsa, PolicyKind::NoPolicyFound]),
                    lines in prop::collection::vec(text(), 0..3), domain in word(),
                    hosts in prop::collection::vec(word(), 0..3), counts in any::<(u64, u64)>(),
                    failures in prop::collection::vec(failure(), 0..3)) -> TlsPolicy {
        let (successful, failed) = counts;
        TlsPolicy { kind, lines, domain, hosts, successful, failed, failures }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_are_a_file(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&octets);
    }

    #[test]
    fn any_words_are_a_file(octets in words()) {
        check(&octets);
    }

    #[test]
    fn a_report_may_be_damaged_anywhere(report in aggregate(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let mut octets = report.to_xml().into_bytes();
        let at = at.index(octets.len());
        octets[at] = octet;
        check(&octets);
        octets.truncate(at);
        check(&octets);
    }

    #[test]
    fn an_aggregate_report_is_read_as_it_was_written(report in aggregate()) {
        prop_assert_eq!(Aggregate::read(report.to_xml().as_bytes()), Ok(report));
    }

    #[test]
    fn a_tls_report_is_read_as_it_was_written(reporter in reporter(), span in any::<(u32, u32)>(),
                                              policies in prop::collection::vec(tls_policy(), 0..3)) {
        let period = Period { begin: span.0.into(), end: span.1.into() };
        let report = TlsReport { reporter, period, policies };
        prop_assert_eq!(TlsReport::read(report.to_json().as_bytes()), Ok(report));
    }
}

#[test]
fn what_xml_cannot_hold_is_left_out() {
    let mut report = Aggregate::default();
    report.reporter.organization = "a\0b\u{1b}c\u{ffff}d".to_owned();
    let again = Aggregate::read(report.to_xml().as_bytes()).unwrap();
    assert_eq!(again.reporter.organization, "abcd");
}
