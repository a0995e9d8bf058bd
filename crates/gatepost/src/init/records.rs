//! What belongs in DNS, so that mail comes in and is believed.

use std::fmt;
use std::net::IpAddr;

use dkim::PublishedKey;
use mail::Domain;
use route::is_inner;
use serde::Serialize;

use super::draft::Draft;
use crate::cert_commands;
use crate::exit::Failure;

/// A record to publish, or to have published.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    /// `A`, `MX`, `SPF` and so on: what it is for.
    kind: &'static str,
    /// The line of a zone file.
    line: String,
    /// What to know about it.
    note: Option<String>,
}

impl Record {
    fn new(kind: &'static str, line: String) -> Self {
        Self {
            kind,
            line,
            note: None,
        }
    }

    fn note(self, note: impl Into<String>) -> Self {
        Self {
            note: Some(note.into()),
            ..self
        }
    }

    /// By which others verify signatures.
    pub(super) fn dkim(key: &PublishedKey) -> Self {
        Self::new("DKIM", key.zone_line())
    }
}

/// Notes are comments of a zone file.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(note) = &self.note {
            writeln!(f, "; {}: {note}", self.kind)?;
        }
        f.write_str(&self.line)
    }
}

/// All but those of DKIM; `addresses` are this machine's.
///
/// # Errors
/// The certificate cannot be read.
pub(super) fn of(draft: &Draft, addresses: &[IpAddr]) -> Result<Vec<Record>, Failure> {
    let Some(host) = &draft.hostname else {
        return Ok(Vec::new());
    };
    let mut records = of_host(host, addresses);
    let certificate = draft.shown_certificate().map_err(Failure::No)?;
    let tlsa = certificate.map(|shown| cert_commands::tlsa(&shown, host.as_str()));
    let is_named = tlsa.is_some();
    records.extend(tlsa.flatten().map(|line| {
        Record::new("TLSA", line)
            .note("only where the zone is signed (DNSSEC); it names the key of the certificate")
    }));
    for domain in draft.domains() {
        records.extend(of_domain(domain, host, draft, is_named));
    }
    Ok(records)
}

fn of_host(host: &Domain, addresses: &[IpAddr]) -> Vec<Record> {
    let public: Vec<&IpAddr> = addresses
        .iter()
        .filter(|address| !is_inner(**address))
        .collect();
    let mut records = Vec::new();
    for address in &public {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        records.push(Record::new(kind, format!("{host}. IN {kind} {address}")));
    }
    if public.is_empty() {
        let line = format!("; {host}. IN A ADDRESS");
        let note = "this machine knows no public address of its own: put it here";
        records.push(Record::new("A", line).note(note));
    }
    let address = public
        .first()
        .map_or("ADDRESS".to_owned(), ToString::to_string);
    let line = format!("; {address} IN PTR {host}.");
    records.push(Record::new("PTR", line).note(
        "ask whoever gives you the address to have it point to this name; many servers take no mail without",
    ));
    records.push(Record::new(
        "SPF",
        format!("{host}. IN TXT \"v=spf1 a -all\""),
    ));
    records
}

fn of_domain(domain: &Domain, host: &Domain, draft: &Draft, has_certificate: bool) -> Vec<Record> {
    let mut records = vec![Record::new("MX", format!("{domain}. IN MX 10 {host}."))];
    records.push(match &draft.outbound {
        None => Record::new("SPF", format!("{domain}. IN TXT \"v=spf1 mx -all\"")),
        Some(server) => {
            let note = format!("put in what the operator of {server} names, often include:NAME");
            Record::new("SPF", format!("{domain}. IN TXT \"v=spf1 mx ~all\"")).note(note)
        }
    });
    let reports = format!("rua=mailto:postmaster@{domain}");
    let dmarc = format!("_dmarc.{domain}. IN TXT \"v=DMARC1; p=none; {reports}\"");
    records.push(
        Record::new("DMARC", dmarc)
            .note("when reports show that all your mail passes: p=quarantine, then p=reject"),
    );
    let reports = format!("_smtp._tls.{domain}. IN TXT \"v=TLSRPTv1; {reports}\"");
    records.push(Record::new("TLSRPT", reports));
    if has_certificate {
        let line = format!("_mta-sts.{domain}. IN TXT \"v=STSv1; id=1\"");
        let note = format!(
            "first let https://mta-sts.{domain}/.well-known/mta-sts.txt say, a line each: version: STSv1, \
             mode: testing, mx: {host}, max_age: 86400"
        );
        records.push(Record::new("MTA-STS", line).note(note));
    }
    records
}
