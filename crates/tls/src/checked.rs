//! By what a server's certificate was found to be right, and what is checked of it whatever it has
//! to prove.

use std::fmt;

use delivery::CertificateFlaw;
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;

use super::error::not_trusted;
use super::provider;
use super::x509::Reading;

/// Of a certificate that is for somebody else, so many names are told.
const NAMES_TOLD: usize = 3;

/// By what a server's certificate was found to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It was not looked at: encrypted, to whom is not known.
    Nothing,
    /// Its chain and its name.
    Names,
    /// A TLSA record that is its own.
    DaneEe,
    /// A TLSA record of an authority, and the name.
    DaneTa,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "unverified",
            Self::Names => "verified",
            Self::DaneEe => "dane-ee",
            Self::DaneTa => "dane-ta",
        })
    }
}

/// Whether a path leads from a certificate to one of the roots, everything on it valid now.
pub(super) fn check_path(
    own: &CertificateDer<'_>,
    above: &[CertificateDer<'_>],
    roots: &RootCertStore,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let parsed = ParsedCertificate::try_from(own)?;
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, above, now, algorithms)
}

/// `certificate is for a.example, b.example, not c.example`
pub(super) fn is_for_another(reading: &Reading<'_>, wanted: &str) -> rustls::Error {
    let mut names = reading.addresses();
    // Where there are addresses alone, the common name stands for none of them.
    if names.is_empty() || !reading.dns_names().is_empty() {
        names.splice(..0, reading.names());
    }
    let told = names[..names.len().min(NAMES_TOLD)].join(", ");
    let why = match names.len() {
        0 => format!("certificate is for no name, not for {wanted}"),
        1..=NAMES_TOLD => format!("certificate is for {told}, not {wanted}"),
        more => format!(
            "certificate is for {told} and {} more, not {wanted}",
            more - NAMES_TOLD
        ),
    };
    not_trusted(CertificateFlaw::OtherName, why)
}
