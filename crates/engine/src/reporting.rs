//! What domains are told of mail in their name: what is seen of a message, and the report as a message
//! of our own.

use std::net::IpAddr;

use authentication::Results;
use dkim::{DkimResult, VerifiedSignature};
use dmarc::{Alignment, Compared, DmarcResult, Method, Policy};
use mail::{Domain, Mailbox, QueueId, ReversePath};
use message::{ReportKind, ReportMail, report_mail};
use queue::Moment;
use relay_policy::Admitted;
use reports::{
    Checked, Disposition, Evaluated, Identifiers, Override, Published, Record, Report, Reporter,
    Sighting,
};
use spool::NewMessage;

use crate::NoticeSettings;
use crate::settle::own_message;

/// Signatures that are told of. RFC 9990 section 3.1.3 allows more; a stranger may sign by many keys.
const SIGNATURES_MAX: usize = 10;

/// A message that its author's domain wants to hear of, before it is known what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    sighting: Sighting,
    passes: bool,
    /// What the domain asks for if it fails, and what its record says before it tries that out.
    asked: Policy,
    published: Policy,
}

impl Seen {
    /// What the checks say of a message from a client; `None` where they cannot tell, or the author's
    /// domain wants no reports.
    pub(crate) fn of(
        results: &Results,
        client: IpAddr,
        sender: &ReversePath,
        is_report: bool,
    ) -> Option<Self> {
        let outcome = results.dmarc.as_ref()?;
        let passes = match outcome.result {
            DmarcResult::Pass => true,
            DmarcResult::Fail => false,
            DmarcResult::None | DmarcResult::TempError | DmarcResult::PermError => return None,
        };
        let (author, found) = (outcome.author.as_ref()?, outcome.record.as_ref()?);
        let (record, policy) = (&found.record, outcome.policy?);
        if record.reports_to.is_empty() {
            return None;
        }
        let vouches = |is_dkim| Some(outcome.compared.iter().any(|one| aligned(one, is_dkim)));
        let host = |path: &ReversePath| match path {
            ReversePath::Null => String::new(),
            ReversePath::Mailbox(mailbox) => mailbox.host().to_string(),
        };
        let spf = results.spf.as_ref().and_then(|spf| {
            let domain = spf.domain.as_ref()?.as_str().to_owned();
            Some(Checked {
                domain,
                scope: Some("mfrom".to_owned()),
                result: spf.result.as_str().to_owned(),
                ..Checked::default()
            })
        });
        let sighting = Sighting {
            published: Published {
                domain: found.domain.as_str().to_owned(),
                p: Some(record.p.unwrap_or(Policy::None)),
                sp: record.sp,
                np: record.np,
                adkim: Some(record.adkim),
                aspf: Some(record.aspf),
                is_test: Some(record.is_test),
            },
            uris: record.reports_to.clone(),
            record: Record {
                source: client.to_canonical(),
                count: 1,
                evaluated: Evaluated {
                    dkim: vouches(true),
                    spf: vouches(false),
                    ..Evaluated::default()
                },
                identifiers: Identifiers {
                    header_from: author.as_str().to_owned(),
                    envelope_from: Some(host(sender)),
                    envelope_to: None,
                },
                dkim: signatures(results),
                spf: spf.into_iter().collect(),
            },
            is_report,
        };
        Some(Self {
            sighting,
            passes,
            asked: policy.policy,
            published: policy.published,
        })
    }

    /// With what was done about it, as [`Screened::done`](crate::Screened::done) says.
    pub fn after(self, done: Policy) -> Sighting {
        let Self {
            mut sighting,
            passes,
            asked,
            published,
        } = self;
        let evaluated = &mut sighting.record.evaluated;
        if passes {
            // "Pass" is for a domain that asks for something.
            evaluated.disposition = match asked {
                Policy::None => Disposition::None,
                Policy::Quarantine | Policy::Reject => Disposition::Pass,
            };
            return sighting;
        }
        // What goes beyond what the domain asks for is not its business.
        let applied = done.min(asked);
        evaluated.disposition = match applied {
            Policy::None => Disposition::None,
            Policy::Quarantine => Disposition::Quarantine,
            Policy::Reject => Disposition::Reject,
        };
        // RFC 9990 section 3.1.1.9: the reason MUST be there where less was done.
        if applied < published {
            let kind = if applied == asked {
                "policy_test_mode"
            } else {
                "local_policy"
            };
            evaluated.overrides.push(Override {
                kind: kind.to_owned(),
                comment: None,
            });
        }
        sighting
    }
}

/// Whether it vouches for the author.
fn aligned(compared: &Compared, is_dkim: bool) -> bool {
    matches!(compared.method, Method::Dkim(_)) == is_dkim
        && matches!(
            compared.alignment,
            Alignment::Same | Alignment::Organization
        )
}

/// Signatures in the words of reports, the good ones first.
fn signatures(results: &Results) -> Vec<Checked> {
    let mut all: Vec<&VerifiedSignature> = results.dkim.iter().flatten().collect();
    all.sort_by_key(|one| one.result() != DkimResult::Pass);
    let checked = all.iter().filter_map(|one| {
        let by = &one.signatory;
        let selector = by.selector.as_ref().map_or("", Domain::as_str);
        Some(Checked {
            domain: by.domain.as_ref()?.as_str().to_owned(),
            selector: Some(selector.to_owned()),
            result: one.result().as_str().to_owned(),
            ..Checked::default()
        })
    });
    checked.take(SIGNATURES_MAX).collect()
}

/// A report as it is sent.
#[derive(Debug)]
pub struct WrittenReport {
    kind: ReportKind,
    domain: String,
    submitter: String,
    id: String,
    file: String,
    packed: Vec<u8>,
}

impl WrittenReport {
    /// Writes a report, which is without its reporter; `id` becomes its name.
    pub fn of(
        report: Report,
        (settings, from, organization): (&NoticeSettings, &Mailbox, &str),
        id: QueueId,
    ) -> Self {
        let (hostname, id) = (&settings.hostname, id.to_string());
        let reporter = Reporter {
            organization: organization.to_owned(),
            contact: from.as_str().to_owned(),
            id: id.clone(),
        };
        let (kind, domain, period, submitter, report) = match report {
            Report::Dmarc(mut report) => {
                report.reporter = reporter;
                report.generator = Some(concat!("Gatepost ", env!("CARGO_PKG_VERSION")).to_owned());
                let domain = report.published.domain.clone();
                let (period, submitter) = (report.period, hostname.to_string());
                let report = Report::Dmarc(report);
                (ReportKind::Dmarc, domain, period, submitter, report)
            }
            Report::Tls(mut report) => {
                report.reporter = reporter;
                let domain = report.domain().unwrap_or_default().to_owned();
                // RFC 8460 section 5.3: the submitter "MUST match" the domain of the contact.
                let (period, submitter) = (report.period, from.host().to_string());
                (
                    ReportKind::Tls,
                    domain,
                    period,
                    submitter,
                    Report::Tls(report),
                )
            }
        };
        let extension = match kind {
            ReportKind::Dmarc => "xml.gz",
            ReportKind::Tls => "json.gz",
        };
        let (begin, end) = (period.begin, period.end);
        let file = format!("{submitter}!{domain}!{begin}!{end}!{id}.{extension}");
        Self {
            kind,
            domain,
            submitter,
            id,
            file,
            packed: report.to_gzip(),
        }
    }

    /// Its octets, in gzip.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// A message of our own with it.
    pub fn mail_to(
        &self,
        to: &Mailbox,
        (settings, from): (&NoticeSettings, &Mailbox),
        now: Moment,
        id: QueueId,
    ) -> NewMessage {
        let written = report_mail(&ReportMail {
            id,
            hostname: &settings.hostname,
            from,
            to,
            now: now.wall,
            kind: self.kind,
            domain: &self.domain,
            submitter: &self.submitter,
            report_id: &self.id,
            file: &self.file,
            report: &self.packed,
        });
        let sender = ReversePath::Mailbox(from.clone());
        let mut message = own_message(settings, id, now, sender, to.clone(), written);
        if self.kind == ReportKind::Tls {
            for recipient in &mut message.recipients {
                recipient.admitted = Admitted::tls_report(to.clone());
            }
        }
        message
    }
}
