//! TLSA records against what a server shows (RFC 6698, RFC 7671, and RFC 7672 for mail).

use aws_lc_rs::digest;
use delivery::CertificateFlaw;
use mail::Domain;
use route::TlsaRecord;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};

use super::checked::{Checked, check_path, is_for_another};
use super::error::not_trusted;
use super::x509::{Reading, content, name_matches};

/// Whether one of the records matches; any one is enough. Records of a kind that mail does not use
/// match nothing.
///
/// # Errors
/// `InvalidCertificate`, with the reason.
pub(super) fn check(
    own: &CertificateDer<'_>,
    above: &[CertificateDer<'_>],
    base: &Domain,
    records: &[TlsaRecord],
    now: UnixTime,
) -> Result<Checked, rustls::Error> {
    // RFC 7672 section 3.1.1: neither the names nor the dates in the certificate count; the record
    // says both.
    if of_usage(records, 3).any(|record| matches(record, own)) {
        return Ok(Checked::DaneEe);
    }
    let anchors = anchors(own, above, records);
    if anchors.is_empty() {
        return Err(not_trusted(
            CertificateFlaw::NoRecord,
            "no TLSA record matches the certificate",
        ));
    }
    check_path(own, above, &anchors, now)?;
    check_base(own, base)?;
    Ok(Checked::DaneTa)
}

fn of_usage(records: &[TlsaRecord], usage: u8) -> impl Iterator<Item = &TlsaRecord> {
    records.iter().filter(move |record| record.usage == usage)
}

/// Whether the record is this certificate's or its key's.
fn matches(record: &TlsaRecord, certificate: &[u8]) -> bool {
    let selected = match record.selector {
        0 => certificate,
        1 => match Reading::of(certificate) {
            Some(reading) => reading.public_key(),
            None => return false,
        },
        _ => return false,
    };
    match record.matching {
        0 => *record.data == *selected,
        1 => *record.data == *digest::digest(&digest::SHA256, selected).as_ref(),
        2 => *record.data == *digest::digest(&digest::SHA512, selected).as_ref(),
        _ => false,
    }
}

/// The authorities that DANE-TA(2) records name: certificates that the server shows above its own,
/// and those which stand in a record as a whole, shown or not.
fn anchors(
    own: &CertificateDer<'_>,
    above: &[CertificateDer<'_>],
    records: &[TlsaRecord],
) -> RootCertStore {
    let mut anchors = RootCertStore::empty();
    for record in of_usage(records, 2) {
        for shown in above.iter().filter(|shown| matches(record, shown)) {
            // One that cannot be read is no anchor.
            let _unreadable = anchors.add(shown.clone().into_owned());
        }
        match (record.selector, record.matching) {
            (0, 0) => {
                let _unreadable = anchors.add(CertificateDer::from(record.data.to_vec()));
            }
            (1, 0) => {
                let shown = std::iter::once(own).chain(above);
                anchors
                    .roots
                    .extend(shown.filter_map(|below| bare_key(record, below)));
            }
            _ => {}
        }
    }
    anchors
}

/// A record that holds a public key and no more: whoever signed the certificate may be its owner;
/// the signature will tell.
fn bare_key(record: &TlsaRecord, below: &[u8]) -> Option<TrustAnchor<'static>> {
    let issuer = content(Reading::of(below)?.issuer())?;
    let key = content(&record.data)?;
    Some(TrustAnchor {
        subject: issuer.to_vec().into(),
        subject_public_key_info: key.to_vec().into(),
        name_constraints: None,
    })
}

/// Whether the certificate is for the TLSA base domain.
fn check_base(own: &CertificateDer<'_>, base: &Domain) -> Result<(), rustls::Error> {
    let parsed = ParsedCertificate::try_from(own)?;
    let reading = Reading::of(own).ok_or(CertificateError::BadEncoding)?;
    let host = ServerName::try_from(base.as_str());
    if host.is_ok_and(|host| rustls::client::verify_server_name(&parsed, &host).is_ok()) {
        return Ok(());
    }
    // RFC 7672 section 3.2.3: "The CN-ID ... is only considered when no DNS-IDs are present."
    let common = reading
        .common_name()
        .filter(|_| reading.dns_names().is_empty());
    if common.is_some_and(|name| name_matches(&name, &base.as_str().to_ascii_lowercase())) {
        return Ok(());
    }
    Err(is_for_another(&reading, base.as_str()))
}
