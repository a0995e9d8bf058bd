//! Aggregate reports as they are found.
//!
//! The names of elements count and the way to each, not the namespace: most reports have none, and
//! some a wrong one. Elements of extensions are passed over. An end closes the innermost element of
//! its name with all that is open in it, as some reports have addresses in angle brackets where text
//! should be.

use std::net::IpAddr;

use dmarc::{Mode, Policy};
use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};
use quick_xml::name::QName;

use super::{
    Aggregate, Checked, Disposition, Evaluated, Identifiers, Override, RECORDS_MAX, RESULTS_MAX,
    Record,
};
use crate::Flaw;
use crate::bounded::{append, bounded};

/// No element of a report lies deeper than five; extensions may.
const DEPTH_MAX: usize = 32;

pub(super) fn read(xml: &[u8]) -> Result<Aggregate, Flaw> {
    let text = String::from_utf8_lossy(xml);
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.allow_dangling_amp = true;
    config.allow_unmatched_ends = true;
    config.check_end_names = false;
    config.expand_empty_elements = true;
    let mut walk = Walk::default();
    loop {
        let event = reader.read_event();
        let event = event.map_err(|why| Flaw::Xml(why.to_string(), reader.error_position()))?;
        match event {
            Event::Start(start) => walk.open(start.name())?,
            Event::End(end) => {
                walk.end(end.name())?;
                if walk.has_ended {
                    return Ok(walk.report);
                }
            }
            Event::Text(text) => append(&mut walk.text, &text),
            Event::CData(text) => append(&mut walk.text, &text),
            Event::GeneralRef(reference) => append(&mut walk.text, &meaning(&reference)),
            Event::Eof if walk.root.is_none() => return Err(Flaw::NoReport),
            Event::Eof => return Err(Flaw::Cut),
            // Entities that a document type declares stay what they are: names.
            Event::Empty(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => {}
        }
    }
}

/// The letter that a reference stands for, or the reference as it is written.
fn meaning(reference: &BytesRef<'_>) -> String {
    let named = match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => reference.resolve_char_ref().ok().flatten(),
    };
    named.map_or_else(|| format!("&{};", &**reference), String::from)
}

/// A report as far as it is read.
#[derive(Default)]
struct Walk {
    /// The root element's prefix, once it is there.
    root: Option<Option<String>>,
    /// Elements that are open below it: each as it is written, and how long the way to it is.
    open: Vec<(String, usize)>,
    /// The names of the open elements, with strokes between.
    path: String,
    /// What stands between the last tag and the next.
    text: String,
    has_ended: bool,
    report: Aggregate,
    record: Draft,
    checked: Checked,
    reason: Override,
}

/// A record whose end has not come.
#[derive(Default)]
struct Draft {
    source: Option<IpAddr>,
    count: Option<u64>,
    evaluated: Evaluated,
    identifiers: Identifiers,
    dkim: Vec<Checked>,
    spf: Vec<Checked>,
}

impl Walk {
    fn open(&mut self, name: QName<'_>) -> Result<(), Flaw> {
        self.text.clear();
        let (local, prefix) = name.decompose();
        let (local, prefix) = (local.into_inner(), prefix.map(|prefix| prefix.into_inner()));
        let Some(root) = &self.root else {
            if local != "feedback" {
                return Err(Flaw::Root(bounded(local)));
            }
            self.root = Some(prefix.map(str::to_owned));
            return Ok(());
        };
        if self.open.len() >= DEPTH_MAX {
            return Err(Flaw::TooDeep);
        }
        self.open.push((name.0.to_owned(), self.path.len()));
        // Reports with a prefix for the root have none for what is in it, or the same.
        let is_ours = prefix.is_none() || prefix == root.as_deref();
        if !self.path.is_empty() {
            self.path.push('/');
        }
        self.path.push_str(if is_ours { local } else { "?" });
        Ok(())
    }

    fn end(&mut self, name: QName<'_>) -> Result<(), Flaw> {
        let Some(at) = self.open.iter().rposition(|(open, _)| open == name.0) else {
            self.has_ended = name.local_name().into_inner() == "feedback" && self.root.is_some();
            self.text.clear();
            return Ok(());
        };
        while self.open.len() > at {
            self.close()?;
        }
        Ok(())
    }

    /// Ends the innermost element.
    fn close(&mut self) -> Result<(), Flaw> {
        let path = std::mem::take(&mut self.path);
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        if let Some(rest) = path.strip_prefix("record/") {
            self.of_record(rest, text);
        } else if path == "record" {
            self.end_record()?;
        } else {
            self.of_report(&path, text);
        }
        self.path = path;
        if let Some((_, length)) = self.open.pop() {
            self.path.truncate(length);
        }
        Ok(())
    }

    fn of_report(&mut self, path: &str, text: &str) {
        let report = &mut self.report;
        let published = &mut report.published;
        match path {
            "report_metadata/org_name" => report.reporter.organization = text.to_owned(),
            "report_metadata/email" => report.reporter.contact = text.to_owned(),
            "report_metadata/extra_contact_info" => report.extra_contact = some(text),
            "report_metadata/generator" => report.generator = some(text),
            "report_metadata/report_id" => report.reporter.id = text.to_owned(),
            "report_metadata/error" if report.errors.len() < RESULTS_MAX => {
                report.errors.extend(some(text));
            }
            "report_metadata/date_range/begin" => report.period.begin = seconds(text),
            "report_metadata/date_range/end" => report.period.end = seconds(text),
            "policy_published/domain" => published.domain = name(text),
            "policy_published/p" => published.p = Policy::parse(text),
            "policy_published/sp" => published.sp = Policy::parse(text),
            "policy_published/np" => published.np = Policy::parse(text),
            "policy_published/adkim" => published.adkim = mode(text),
            "policy_published/aspf" => published.aspf = mode(text),
            "policy_published/testing" => published.is_test = Some(text.eq_ignore_ascii_case("y")),
            _ => {}
        }
    }

    /// What is in a record, by the way from it.
    fn of_record(&mut self, path: &str, text: &str) {
        let (record, checked) = (&mut self.record, &mut self.checked);
        let evaluated = &mut record.evaluated;
        match path {
            "row/source_ip" => record.source = text.parse().ok(),
            "row/count" => record.count = text.parse().ok(),
            "row/policy_evaluated/disposition" => evaluated.disposition = Disposition::parse(text),
            "row/policy_evaluated/dkim" => evaluated.dkim = passed(text),
            "row/policy_evaluated/spf" => evaluated.spf = passed(text),
            "row/policy_evaluated/reason/type" => self.reason.kind = name(text),
            "row/policy_evaluated/reason/comment" => self.reason.comment = some(text),
            "row/policy_evaluated/reason" => {
                let reason = std::mem::take(&mut self.reason);
                if reason != Override::default() && evaluated.overrides.len() < RESULTS_MAX {
                    evaluated.overrides.push(reason);
                }
            }
            // Older reports call them identities.
            "identifiers/header_from" | "identities/header_from" => {
                record.identifiers.header_from = name(text);
            }
            "identifiers/envelope_from" => record.identifiers.envelope_from = Some(name(text)),
            "identifiers/envelope_to" => record.identifiers.envelope_to = Some(name(text)),
            "auth_results/dkim/domain" | "auth_results/spf/domain" => checked.domain = name(text),
            "auth_results/dkim/selector" => checked.selector = some(text),
            "auth_results/spf/scope" => checked.scope = some(&name(text)),
            "auth_results/dkim/result" | "auth_results/spf/result" => checked.result = name(text),
            "auth_results/dkim/human_result" | "auth_results/spf/human_result" => {
                checked.human_result = some(text);
            }
            "auth_results/dkim" => keep(&mut record.dkim, std::mem::take(checked)),
            "auth_results/spf" => keep(&mut record.spf, std::mem::take(checked)),
            _ => {}
        }
    }

    fn end_record(&mut self) -> Result<(), Flaw> {
        let Draft {
            source,
            count,
            evaluated,
            identifiers,
            dkim,
            spf,
        } = std::mem::take(&mut self.record);
        let (Some(source), Some(count)) = (source, count) else {
            self.report.unread = self.report.unread.saturating_add(1);
            return Ok(());
        };
        if self.report.records.len() >= RECORDS_MAX {
            return Err(Flaw::TooManyRecords);
        }
        self.report.records.push(Record {
            source,
            count,
            evaluated,
            identifiers,
            dkim,
            spf,
        });
        Ok(())
    }
}

fn keep(results: &mut Vec<Checked>, checked: Checked) {
    if results.len() < RESULTS_MAX && checked != Checked::default() {
        results.push(checked);
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Domains and words of the format, which some reports write in capitals.
fn name(text: &str) -> String {
    text.trim_end_matches('.').to_lowercase()
}

/// A moment; one of these has a fraction in some reports.
fn seconds(text: &str) -> u64 {
    let whole = text.split('.').next().unwrap_or_default();
    whole.parse().unwrap_or_default()
}

fn passed(text: &str) -> Option<bool> {
    match name(text).as_str() {
        "pass" => Some(true),
        "fail" => Some(false),
        _ => None,
    }
}

fn mode(text: &str) -> Option<Mode> {
    match name(text).as_str() {
        "r" => Some(Mode::Relaxed),
        "s" => Some(Mode::Strict),
        _ => None,
    }
}
