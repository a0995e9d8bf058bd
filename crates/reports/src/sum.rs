use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::{Aggregate, Disposition, Period, PolicyKind, Report, TlsReport};

/// What several reports say, added up.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    seen: BTreeSet<Name>,
    dmarc: BTreeMap<DmarcKey, DmarcRow>,
    tls: BTreeMap<TlsKey, (TlsRow, Failures)>,
}

/// Who made a report, how it is called there, about which domain, from when on.
type Name = (String, String, String, u64);

/// In what messages are alike that are one row: reporter, domain, source, disposition, DKIM, SPF,
/// overrides.
type DmarcKey = (
    String,
    String,
    IpAddr,
    Disposition,
    Option<bool>,
    Option<bool>,
    Vec<String>,
);

/// In what connections are alike that are one row: reporter, domain, kind of the policy.
type TlsKey = (String, String, PolicyKind);

/// How many connections failed, by the word for it, the host and the reason.
type Failures = BTreeMap<(String, Option<String>, Option<String>), u64>;

/// Messages in DMARC reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmarcRow {
    /// What time the reports are about.
    pub period: Period,
    /// Who made them.
    pub reporter: String,
    /// The domain of the author.
    pub domain: String,
    /// Where the messages came from.
    pub source: IpAddr,
    /// How many they are.
    pub count: u64,
    /// What was done with them.
    pub disposition: Disposition,
    /// Whether a signature vouches for the author's domain.
    pub dkim: Option<bool>,
    /// Whether the sender's address does.
    pub spf: Option<bool>,
    /// Why something else was done than the domain asks for: the words for it, each once.
    pub overrides: Vec<String>,
}

/// Connections in TLS reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRow {
    /// What time the reports are about.
    pub period: Period,
    /// Who made them.
    pub reporter: String,
    /// The domain that the connections were made for.
    pub domain: String,
    /// The kind of its policy.
    pub policy: PolicyKind,
    /// How many connections were as it demands.
    pub successful: u64,
    /// How many were not.
    pub failed: u64,
    /// Why those failed, the most frequent first.
    pub failures: Vec<FailureRow>,
}

/// Connections that failed for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRow {
    /// The word for it.
    pub kind: String,
    /// The host that they went to.
    pub host: Option<String>,
    /// The reason in the words of the reporter's program.
    pub reason: Option<String>,
    /// How many they are.
    pub count: u64,
}

impl Sum {
    /// Adds a report. False when it is one that has been added before: of the same maker, name, domain
    /// and time.
    pub fn add(&mut self, report: &Report) -> bool {
        let (reporter, domain, period) = match report {
            Report::Dmarc(report) => (&report.reporter, &report.published.domain, report.period),
            Report::Tls(report) => {
                let first = report.policies.first();
                let domain = first.map_or(&report.reporter.id, |policy| &policy.domain);
                (&report.reporter, domain, report.period)
            }
        };
        let (organization, id) = (reporter.organization.clone(), reporter.id.clone());
        let name = (organization, id.clone(), domain.clone(), period.begin);
        // Without a name it cannot be told from others.
        if !id.is_empty() && !self.seen.insert(name) {
            return false;
        }
        match report {
            Report::Dmarc(report) => self.add_dmarc(report),
            Report::Tls(report) => self.add_tls(report),
        }
        true
    }

    fn add_dmarc(&mut self, report: &Aggregate) {
        for record in &report.records {
            let author = &record.identifiers.header_from;
            let domain = if author.is_empty() {
                &report.published.domain
            } else {
                author
            };
            let overrides = record.evaluated.overrides.iter();
            let overrides: BTreeSet<&String> = overrides.map(|own| &own.kind).collect();
            let row = DmarcRow {
                period: report.period,
                reporter: report.reporter.organization.clone(),
                domain: domain.clone(),
                source: record.source.to_canonical(),
                count: record.count,
                disposition: record.evaluated.disposition,
                dkim: record.evaluated.dkim,
                spf: record.evaluated.spf,
                overrides: overrides.into_iter().cloned().collect(),
            };
            let key = (
                row.reporter.clone(),
                row.domain.clone(),
                row.source,
                row.disposition,
                row.dkim,
                row.spf,
                row.overrides.clone(),
            );
            self.dmarc
                .entry(key)
                .and_modify(|sum| {
                    sum.count = sum.count.saturating_add(row.count);
                    sum.period |= row.period;
                })
                .or_insert(row);
        }
    }

    fn add_tls(&mut self, report: &TlsReport) {
        for policy in &report.policies {
            let reporter = report.reporter.organization.clone();
            let key = (reporter.clone(), policy.domain.clone(), policy.kind);
            let new = || TlsRow {
                period: report.period,
                reporter,
                domain: policy.domain.clone(),
                policy: policy.kind,
                successful: 0,
                failed: 0,
                failures: Vec::new(),
            };
            let (row, failures) = self
                .tls
                .entry(key)
                .or_insert_with(|| (new(), Failures::new()));
            row.period |= report.period;
            row.successful = row.successful.saturating_add(policy.successful);
            row.failed = row.failed.saturating_add(policy.failed);
            for failure in &policy.failures {
                let key = (
                    failure.kind.clone(),
                    failure.host.clone(),
                    failure.reason.clone(),
                );
                let sum = failures.entry(key).or_default();
                *sum = sum.saturating_add(failure.count);
            }
        }
    }

    /// What DMARC reports say: by domain, the most frequent first.
    pub fn dmarc(&self) -> Vec<DmarcRow> {
        let mut rows: Vec<DmarcRow> = self.dmarc.values().cloned().collect();
        rows.sort_by(|a, b| a.domain.cmp(&b.domain).then(b.count.cmp(&a.count)));
        rows
    }

    /// What TLS reports say: by domain, the one with most failures first.
    pub fn tls(&self) -> Vec<TlsRow> {
        let row = |(row, failures): &(TlsRow, Failures)| {
            let failures = failures
                .iter()
                .map(|((kind, host, reason), count)| FailureRow {
                    kind: kind.clone(),
                    host: host.clone(),
                    reason: reason.clone(),
                    count: *count,
                });
            let mut failures: Vec<FailureRow> = failures.collect();
            failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
            TlsRow {
                failures,
                ..row.clone()
            }
        };
        let mut rows: Vec<TlsRow> = self.tls.values().map(row).collect();
        rows.sort_by(|a, b| a.domain.cmp(&b.domain).then(b.failed.cmp(&a.failed)));
        rows
    }
}
