//! Aggregate reports as RFC 9990 has them, its elements in its order.

use std::fmt::{Display, Write as _};

use dmarc::Mode;
use quick_xml::escape::escape;

use super::{Aggregate, Checked, RESULTS_MAX, Record};

/// The namespace of RFC 9990 section 6.1.
const NAMESPACE: &str = "urn:ietf:params:xml:ns:dmarc-2.0";

pub(super) fn write(report: &Aggregate) -> String {
    let mut xml = Xml {
        text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(),
        depth: 1,
    };
    let _ = writeln!(xml.text, "<feedback xmlns=\"{NAMESPACE}\">");
    xml.value("version", "1.0");
    xml.within("report_metadata", |xml| metadata(xml, report));
    xml.within("policy_published", |xml| published(xml, report));
    for record in &report.records {
        xml.within("record", |xml| self::record(xml, record));
    }
    xml.text.push_str("</feedback>\n");
    xml.text
}

fn metadata(xml: &mut Xml, report: &Aggregate) {
    xml.value("org_name", &report.reporter.organization);
    xml.value("email", &report.reporter.contact);
    xml.optional("extra_contact_info", report.extra_contact.as_ref());
    xml.value("report_id", &report.reporter.id);
    xml.within("date_range", |xml| {
        xml.value("begin", report.period.begin);
        xml.value("end", report.period.end);
    });
    xml.optional("error", report.errors.first());
    xml.optional("generator", report.generator.as_ref());
}

fn published(xml: &mut Xml, report: &Aggregate) {
    let published = &report.published;
    xml.value("domain", &published.domain);
    // The only way in which RFC 9989 finds a record.
    xml.value("discovery_method", "treewalk");
    xml.optional("p", published.p);
    xml.optional("sp", published.sp);
    xml.optional("np", published.np);
    xml.optional("adkim", published.adkim.map(letter));
    xml.optional("aspf", published.aspf.map(letter));
    let testing = |is_test| if is_test { "y" } else { "n" };
    xml.optional("testing", published.is_test.map(testing));
}

fn letter(mode: Mode) -> &'static str {
    match mode {
        Mode::Relaxed => "r",
        Mode::Strict => "s",
    }
}

fn record(xml: &mut Xml, record: &Record) {
    let (evaluated, identifiers) = (&record.evaluated, &record.identifiers);
    let aligned = |passed| if passed == Some(true) { "pass" } else { "fail" };
    xml.within("row", |xml| {
        xml.value("source_ip", record.source);
        xml.value("count", record.count);
        xml.within("policy_evaluated", |xml| {
            xml.value("disposition", evaluated.disposition);
            xml.value("dkim", aligned(evaluated.dkim));
            xml.value("spf", aligned(evaluated.spf));
            for reason in &evaluated.overrides {
                xml.within("reason", |xml| {
                    xml.value("type", &reason.kind);
                    xml.optional("comment", reason.comment.as_ref());
                });
            }
        });
    });
    xml.within("identifiers", |xml| {
        xml.value("header_from", &identifiers.header_from);
        xml.optional("envelope_from", identifiers.envelope_from.as_ref());
        xml.optional("envelope_to", identifiers.envelope_to.as_ref());
    });
    xml.within("auth_results", |xml| {
        for dkim in record.dkim.iter().take(RESULTS_MAX) {
            xml.within("dkim", |xml| {
                xml.value("domain", &dkim.domain);
                // "The selector that was used during validation": required, also where it is unknown.
                xml.value("selector", dkim.selector.as_deref().unwrap_or_default());
                result(xml, dkim);
            });
        }
        // There may be one at most.
        for spf in record.spf.iter().take(1) {
            xml.within("spf", |xml| {
                xml.value("domain", &spf.domain);
                xml.optional("scope", spf.scope.as_ref());
                result(xml, spf);
            });
        }
    });
}

fn result(xml: &mut Xml, checked: &Checked) {
    xml.value("result", &checked.result);
    xml.optional("human_result", checked.human_result.as_ref());
}

/// A document on its way.
struct Xml {
    text: String,
    depth: usize,
}

impl Xml {
    fn indent(&mut self) {
        self.text.extend(std::iter::repeat_n(' ', self.depth));
    }

    fn within(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.indent();
        let _ = writeln!(self.text, "<{name}>");
        self.depth += 1;
        inner(self);
        self.depth -= 1;
        self.indent();
        let _ = writeln!(self.text, "</{name}>");
    }

    fn value(&mut self, name: &str, value: impl Display) {
        let value: String = value
            .to_string()
            .chars()
            .filter(|c| is_allowed(*c))
            .collect();
        self.indent();
        let _ = writeln!(self.text, "<{name}>{}</{name}>", escape(value));
    }

    fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }
}

/// XML 1.0 section 2.2: other letters cannot stand in a document, however they are written.
fn is_allowed(letter: char) -> bool {
    !matches!(letter, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}
