use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::handovers::Handovers;
use crate::tls::TlsTally;
use crate::{
    Aggregate, Checked, Handover, Period, Published, Record, Report, TlsReport, TlsSighting,
};

/// Domains that are told of at most, rows of all their reports together, and octets that these take:
/// beyond, messages are not counted. A row takes less than 1 KiB unless strangers make it long.
const DOMAINS_MAX: usize = 5_000;
const ROWS_MAX: usize = 20_000;
const OCTETS_MAX: usize = 20 << 20;
/// What a row takes beside its texts, and each check in it.
const ROW_OCTETS: usize = 400;
const CHECK_OCTETS: usize = size_of::<Checked>();
/// Places of one domain that are remembered, and octets of one.
const URIS_MAX: usize = 20;
const URI_OCTETS_MAX: usize = 500;

/// What domains that ask for reports are to be told, counted until it is reported: what comes in their
/// name (DMARC), and how connections to their hosts are encrypted; and reports that are on their way to
/// a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// From when on, in seconds since 1970-01-01T00:00:00Z.
    since: u64,
    /// By the domain that has the record.
    domains: BTreeMap<String, Counted>,
    rows: usize,
    /// Of the rows.
    octets: usize,
    tls: TlsTally,
    handovers: Handovers,
    /// Messages and connections that there was no room for.
    left_out: u64,
}

/// What came of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted {
    uris: Vec<Box<str>>,
    published: Published,
    /// Something else came of it than reports.
    has_mail: bool,
    /// Each row with a count of zero, and the count.
    rows: HashMap<Record, u64>,
}

/// A message that a domain wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The policy that counts.
    pub published: Published,
    /// Where reports go, as the record has it.
    pub uris: Vec<Box<str>>,
    /// What there is to tell of it; its count says nothing.
    pub record: Record,
    /// It is a report itself. That alone is never told of: two relays whose domains ask for reports
    /// would send each other one a day for ever, each about the last of the other.
    pub is_report: bool,
}

/// A report that is due, without the reporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// About DMARC.
    Dmarc {
        /// The report.
        report: Aggregate,
        /// Where it goes, as the record has it.
        uris: Vec<Box<str>>,
    },
    /// About TLS. Whether the domain wants it, and where, has still to be asked.
    Tls(TlsReport),
}

impl Tally {
    /// Begins at a moment, in seconds since 1970-01-01T00:00:00Z.
    pub fn new(since: u64) -> Self {
        Self {
            since,
            ..Self::default()
        }
    }

    /// When it began.
    pub fn since(&self) -> u64 {
        self.since
    }

    /// Messages and connections that there was no room for.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Counts one message.
    pub fn add(&mut self, sighting: Sighting) {
        let Sighting {
            published,
            mut uris,
            mut record,
            is_report,
        } = sighting;
        record.count = 0;
        uris.retain(|uri| uri.len() <= URI_OCTETS_MAX);
        uris.truncate(URIS_MAX);
        let octets = record.octets();
        let has_room = self.rows < ROWS_MAX && self.octets + octets <= OCTETS_MAX;
        let is_known = self.domains.contains_key(&published.domain);
        let known = self.domains.get(&published.domain);
        let is_row = known.is_some_and(|counted| counted.rows.contains_key(&record));
        if !is_row && !has_room || !is_known && self.domains.len() >= DOMAINS_MAX {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        if !is_row {
            self.rows += 1;
            self.octets += octets;
        }
        let counted = self
            .domains
            .entry(published.domain.clone())
            .or_insert_with(|| Counted {
                uris: Vec::new(),
                published: Published::default(),
                has_mail: false,
                rows: HashMap::new(),
            });
        // RFC 9990 section 3.1: of several configurations the last one is reported.
        counted.uris = uris;
        counted.published = published;
        counted.has_mail |= !is_report;
        let count = counted.rows.entry(record).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts one connection.
    pub fn add_connection(&mut self, sighting: TlsSighting) {
        if !self.tls.add(sighting) {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// Remembers a report until it is taken; false where there is no room for it.
    pub fn begin_handover(&mut self, handover: Handover) -> bool {
        self.handovers.add(handover)
    }

    /// It was taken, or is given up.
    pub fn end_handover(&mut self, handover: &Handover) {
        self.handovers.remove(handover);
    }

    /// The reports that are still to be taken.
    pub fn handovers(&self) -> &[Handover] {
        self.handovers.all()
    }

    /// The reports about all that was counted until a moment; from there on it is counted anew.
    pub fn report(&mut self, until: u64) -> Vec<Due> {
        let handovers = std::mem::take(&mut self.handovers);
        let next = Self {
            handovers,
            ..Self::new(until)
        };
        let ended = std::mem::replace(self, next);
        let period = Period {
            begin: ended.since,
            end: until,
        };
        let counted = ended.domains.into_values();
        let told = counted.filter(|counted| counted.has_mail);
        let dmarc = told.map(|counted| {
            let (report, uris) = counted.into_report(period);
            Due::Dmarc { report, uris }
        });
        dmarc
            .chain(ended.tls.reports(period).map(Due::Tls))
            .collect()
    }

    /// Writes it down: the reports so far.
    pub fn to_octets(&self) -> Vec<u8> {
        let period = Period {
            begin: self.since,
            end: self.since,
        };
        let domain = |counted: &Counted| {
            let has_mail = counted.has_mail;
            let (report, uris) = counted.clone().into_report(period);
            json!({
                "uris": uris,
                "has_mail": has_mail,
                "report": report.to_xml(),
            })
        };
        let domains: Vec<Value> = self.domains.values().map(domain).collect();
        let tally = json!({
            "since": self.since,
            "left_out": self.left_out,
            "domains": domains,
            "tls": self.tls.to_value(),
            "handovers": self.handovers.to_value(),
        });
        tally.to_string().into_bytes()
    }

    /// Reads what was written down. `None` if it is something else.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let written: Value = serde_json::from_slice(octets).ok()?;
        let mut tally = Self::new(written.get("since")?.as_u64()?);
        tally.left_out = written.get("left_out")?.as_u64()?;
        for domain in written.get("domains")?.as_array()? {
            let report = domain.get("report")?.as_str()?;
            let report = Aggregate::read(report.as_bytes()).ok()?;
            let uris = domain.get("uris")?.as_array()?.iter();
            let uris: Option<Vec<Box<str>>> =
                uris.map(|uri| uri.as_str().map(Into::into)).collect();
            let row = |record| {
                let Record { count, .. } = record;
                (Record { count: 0, ..record }, count)
            };
            let counted = Counted {
                uris: uris?,
                has_mail: domain.get("has_mail").is_none_or(|has| has == true),
                rows: report.records.into_iter().map(row).collect(),
                published: report.published,
            };
            tally.rows += counted.rows.len();
            tally.octets += counted.rows.keys().map(Record::octets).sum::<usize>();
            let name = counted.published.domain.clone();
            tally.domains.insert(name, counted);
        }
        if let Some(tls) = written.get("tls") {
            tally.tls = TlsTally::from_value(tls)?;
        }
        if let Some(handovers) = written.get("handovers") {
            tally.handovers = Handovers::from_value(handovers)?;
        }
        Some(tally)
    }
}

impl Record {
    /// What it takes, roughly.
    fn octets(&self) -> usize {
        let checks = self.dkim.iter().chain(&self.spf);
        let checks = checks.map(|one| {
            let optional = [&one.selector, &one.scope, &one.human_result];
            let texts = optional
                .into_iter()
                .flatten()
                .chain([&one.domain, &one.result]);
            CHECK_OCTETS + texts.map(String::len).sum::<usize>()
        });
        let named = &self.identifiers;
        let optional = [&named.envelope_from, &named.envelope_to];
        let names = optional.into_iter().flatten().chain([&named.header_from]);
        ROW_OCTETS + checks.sum::<usize>() + names.map(String::len).sum::<usize>()
    }
}

impl Counted {
    fn into_report(self, period: Period) -> (Aggregate, Vec<Box<str>>) {
        let rows = self.rows.into_iter();
        let mut records: Vec<Record> = rows.map(|(row, count)| Record { count, ..row }).collect();
        records.sort_by(|a, b| b.count.cmp(&a.count).then(a.source.cmp(&b.source)));
        let report = Aggregate {
            period,
            published: self.published,
            records,
            ..Aggregate::default()
        };
        (report, self.uris)
    }
}

impl Report {
    /// Writes it as it is sent: [`Aggregate::to_xml`] or [`TlsReport::to_json`], in gzip.
    pub fn to_gzip(&self) -> Vec<u8> {
        let text = match self {
            Self::Dmarc(report) => report.to_xml(),
            Self::Tls(report) => report.to_json(),
        };
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        // Memory takes all that is written.
        let _ = packed.write_all(text.as_bytes());
        packed.finish().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use dmarc::Policy;

    use super::*;
    use crate::{Disposition, Evaluated, Identifiers, PolicyKind, TlsPolicy};

    fn sighting(domain: &str, source: u32, p: Policy) -> Sighting {
        Sighting {
            published: Published {
                domain: domain.to_owned(),
                p: Some(p),
                is_test: Some(false),
                ..Published::default()
            },
            uris: vec![format!("mailto:{}@{domain}", p.as_str()).into()],
            record: Record {
                source: std::net::Ipv4Addr::from_bits(source).into(),
                count: 77,
                evaluated: Evaluated {
                    disposition: Disposition::None,
                    dkim: Some(true),
                    spf: Some(false),
                    overrides: Vec::new(),
                },
                identifiers: Identifiers {
                    header_from: format!("news.{domain}"),
                    envelope_from: Some(String::new()),
                    envelope_to: None,
                },
                dkim: vec![Checked {
                    domain: domain.to_owned(),
                    selector: Some("s".to_owned()),
                    result: "pass".to_owned(),
                    ..Checked::default()
                }],
                spf: Vec::new(),
            },
            is_report: false,
        }
    }

    /// Those about DMARC that are due, and where they go.
    fn reports(tally: &mut Tally, until: u64) -> Vec<(Aggregate, Vec<Box<str>>)> {
        let due = tally.report(until).into_iter();
        due.map(|due| match due {
            Due::Dmarc { report, uris } => (report, uris),
            Due::Tls(report) => panic!("{report:?}"),
        })
        .collect()
    }

    #[test]
    fn reports_are_told_of_beside_other_mail_and_never_alone() {
        let report = |domain| Sighting {
            is_report: true,
            ..sighting(domain, 1, Policy::None)
        };
        let mut tally = Tally::new(0);
        tally.add(report("a.test"));
        tally.add(report("b.test"));
        tally.add(sighting("b.test", 2, Policy::None));
        tally.add(report("b.test"));
        let octets = tally.to_octets();
        assert_eq!(Tally::from_octets(&octets), Some(tally.clone()));
        let due = reports(&mut tally, 1);
        let domains: Vec<&str> = due
            .iter()
            .map(|(report, _)| &*report.published.domain)
            .collect();
        assert_eq!(domains, ["b.test"]);
        let counts: Vec<u64> = due[0].0.records.iter().map(|row| row.count).collect();
        assert_eq!(counts, [2, 1]);
    }

    #[test]
    fn messages_are_counted_until_they_are_reported() {
        let mut tally = Tally::new(100);
        for (domain, source, p) in [
            ("a.test", 1, Policy::None),
            ("a.test", 2, Policy::None),
            ("b.test", 1, Policy::None),
            ("a.test", 2, Policy::Reject),
        ] {
            tally.add(sighting(domain, source, p));
        }
        let octets = tally.to_octets();
        assert_eq!(Tally::from_octets(&octets), Some(tally.clone()));
        let due = reports(&mut tally, 200);
        assert_eq!(tally, Tally::new(200));
        let told = |(report, uris): &(Aggregate, Vec<Box<str>>)| {
            let counts: Vec<u64> = report.records.iter().map(|record| record.count).collect();
            let (domain, period) = (report.published.domain.clone(), report.period);
            (
                domain,
                report.published.p,
                uris.concat(),
                counts,
                period.begin,
                period.end,
            )
        };
        let (reject, none) = (Some(Policy::Reject), Some(Policy::None));
        let expected = [
            (
                "a.test".to_owned(),
                reject,
                "mailto:reject@a.test".to_owned(),
                vec![2, 1],
                100,
                200,
            ),
            (
                "b.test".to_owned(),
                none,
                "mailto:none@b.test".to_owned(),
                vec![1],
                100,
                200,
            ),
        ];
        assert_eq!(due.iter().map(told).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn beyond_the_limits_nothing_new_is_counted() {
        let mut tally = Tally::new(0);
        for source in 0..=ROWS_MAX as u32 {
            tally.add(sighting("a.test", source, Policy::None));
        }
        tally.add(sighting("a.test", 0, Policy::None));
        assert_eq!((tally.rows, tally.left_out()), (ROWS_MAX, 1));
        let due = reports(&mut tally, 1);
        assert_eq!(due[0].0.records[0].count, 2);
        for number in 0..=DOMAINS_MAX {
            tally.add(sighting(&format!("d{number}.test"), 1, Policy::None));
        }
        assert_eq!((tally.domains.len(), tally.left_out()), (DOMAINS_MAX, 1));
    }

    #[test]
    fn strangers_cannot_make_rows_so_long_that_they_take_more_memory() {
        let mut tally = Tally::new(0);
        let mut long = sighting("a.test", 0, Policy::None);
        long.record.dkim = vec![
            Checked {
                domain: "d".repeat(250),
                selector: Some("s".repeat(250)),
                ..Checked::default()
            };
            10
        ];
        long.uris = vec!["mailto:".into(); 100];
        long.uris.insert(0, "x".repeat(501).into());
        for source in 0..ROWS_MAX as u32 {
            long.record.source = std::net::Ipv4Addr::from_bits(source).into();
            tally.add(long.clone());
        }
        assert!(tally.octets <= OCTETS_MAX);
        let rows = tally.rows;
        assert!((2_000..6_000).contains(&rows), "{rows}");
        assert_eq!(tally.left_out(), (ROWS_MAX - rows) as u64);
        assert_eq!(tally.domains["a.test"].uris.len(), URIS_MAX);
        let octets = tally.to_octets();
        assert_eq!(Tally::from_octets(&octets), Some(tally));
    }

    #[test]
    fn what_was_not_written_by_it_is_not_read() {
        for text in [
            "",
            "{}",
            "[]",
            "{\"since\": 1, \"left_out\": 0, \"domains\": [{}]}",
            "\0",
        ] {
            assert_eq!(Tally::from_octets(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_report_is_sent_in_gzip() {
        let mut tally = Tally::new(0);
        tally.add(sighting("a.test", 1, Policy::None));
        let (report, _) = reports(&mut tally, 1).remove(0);
        let report = Report::Dmarc(report);
        assert_eq!(crate::read(&report.to_gzip(), "").reports, [report]);
    }

    #[test]
    fn connections_are_counted_and_kept_beside_messages() {
        let mut tally = Tally::new(7);
        tally.add(sighting("a.test", 1, Policy::None));
        let policy = TlsPolicy {
            kind: PolicyKind::NoPolicyFound,
            domain: "b.test".to_owned(),
            ..TlsPolicy::default()
        };
        tally.add_connection(TlsSighting {
            policy: policy.clone(),
            failures: Vec::new(),
        });
        let octets = tally.to_octets();
        assert_eq!(Tally::from_octets(&octets), Some(tally.clone()));
        let due = tally.report(9);
        let [Due::Dmarc { .. }, Due::Tls(report)] = &*due else {
            panic!("{due:?}");
        };
        let expected = TlsReport {
            period: Period { begin: 7, end: 9 },
            policies: vec![TlsPolicy {
                successful: 1,
                ..policy
            }],
            ..TlsReport::default()
        };
        assert_eq!(*report, expected);
        let packed = Report::Tls(expected);
        assert_eq!(crate::read(&packed.to_gzip(), "").reports, [packed]);
    }
}
