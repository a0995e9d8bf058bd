//! What a server's certificate must be. Each connection has a judge of its own, which says
//! afterwards by what it was convinced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use delivery::CertificateFlaw;
use mail::Domain;
use route::TlsaRecord;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};

use super::checked::{Checked, check_path, is_for_another};
use super::error::not_trusted;
use super::files::Authorities;
use super::x509::{Reading, name_matches};
use super::{dane, provider};

/// What a certificate must prove.
#[derive(Debug)]
pub(super) enum Demand {
    /// Its chain leads to one of the authorities, and it is for one of the names.
    Names {
        names: Arc<[Box<str>]>,
        authorities: Authorities,
    },
    /// One of the records matches it, or matches an authority that vouches for the base domain.
    Records {
        base: Domain,
        records: Arc<[TlsaRecord]>,
    },
}

/// The judge of one connection.
#[derive(Debug)]
pub(super) struct Judge {
    demand: Demand,
    /// Whatever does not convince it ends the handshake.
    binds: bool,
    convinced: OnceLock<Checked>,
    /// The other side has the certificate's key.
    proven: AtomicBool,
}

impl Judge {
    /// Takes what proves as much as is demanded, and nothing else.
    pub(super) fn new(demand: Demand) -> Self {
        Self {
            demand,
            binds: true,
            convinced: OnceLock::new(),
            proven: AtomicBool::new(false),
        }
    }

    /// Takes whatever [`AnyCertificate`] takes, and only notes what it would have taken.
    pub(super) fn onlooker(demand: Demand) -> Self {
        Self {
            binds: false,
            ..Self::new(demand)
        }
    }

    /// By what it was convinced, once the handshake is over.
    pub(super) fn convinced(&self) -> Option<Checked> {
        let proven = self.proven.load(Ordering::Relaxed);
        self.convinced.get().copied().filter(|_| proven)
    }

    fn judge(
        &self,
        own: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Checked, rustls::Error> {
        match &self.demand {
            Demand::Names { names, authorities } => {
                check_authorities(own, above, authorities, now)?;
                check_names(own, names)?;
                Ok(Checked::Names)
            }
            Demand::Records { base, records } => dane::check(own, above, base, records, now),
        }
    }

    /// Whether the other side has the key is written down, and passed on where it binds.
    fn note(
        &self,
        checked: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.proven.store(checked.is_ok(), Ordering::Relaxed);
        if self.binds {
            return checked;
        }
        Ok(HandshakeSignatureValid::assertion())
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        _asked_for: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.judge(own, above, now) {
            Ok(by) => {
                // A connection has one handshake.
                let _first = self.convinced.set(by);
            }
            Err(why) if self.binds => return Err(why),
            Err(_) => {}
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.note(signature_12(message, certificate, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.note(signature_13(message, certificate, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature_schemes()
    }
}

pub(super) fn check_authorities(
    own: &CertificateDer<'_>,
    above: &[CertificateDer<'_>],
    authorities: &Authorities,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let reading = Reading::of(own).ok_or(CertificateError::BadEncoding)?;
    if authorities.own.iter().any(|listed| listed == own) {
        return check_dates(&reading, now);
    }
    if reading.is_self_issued() {
        return Err(not_trusted(
            CertificateFlaw::Untrusted,
            "certificate is self-signed",
        ));
    }
    check_path(own, above, &authorities.roots, now)
}

fn check_dates(reading: &Reading<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now > reading.ends() {
        return Err(CertificateError::Expired.into());
    }
    if now < reading.begins() {
        return Err(CertificateError::NotValidYet.into());
    }
    Ok(())
}

pub(super) fn check_names(
    own: &CertificateDer<'_>,
    wanted: &[Box<str>],
) -> Result<(), rustls::Error> {
    let parsed = ParsedCertificate::try_from(own)?;
    let reading = Reading::of(own).ok_or(CertificateError::BadEncoding)?;
    let names = reading.dns_names();
    let is_for = |wanted: &str| match ServerName::try_from(wanted) {
        Ok(host) => verify_server_name(&parsed, &host).is_ok(),
        // RFC 8461 section 4.1: a policy's pattern may have a star in front, for any one label. A
        // certificate with the same star will do.
        Err(_) => names
            .iter()
            .any(|name| **name == *wanted || name_matches(wanted, name)),
    };
    let mut hosts = wanted
        .iter()
        .map(|wanted| wanted.trim_end_matches('.').to_ascii_lowercase());
    if hosts.any(|wanted| is_for(&wanted)) {
        return Ok(());
    }
    if !reading.has_alternative_names() {
        // RFC 9525 section 6.3: the common name is not looked at. Saying "is for NAME, not NAME"
        // would help nobody.
        let common = reading.common_name().unwrap_or_else(|| "none".into());
        return Err(not_trusted(
            CertificateFlaw::OtherName,
            format!(
                "certificate has no subjectAltName, and a common name ({common}) does not count"
            ),
        ));
    }
    Err(is_for_another(&reading, &wanted.join(" or ")))
}

/// The signatures that can be checked.
pub(super) fn signature_schemes() -> Vec<SignatureScheme> {
    let known = &provider().signature_verification_algorithms;
    known.supported_schemes()
}

/// Whether the other side has the certificate's key, under TLS 1.3. Also for certificates that are
/// too old to be in a path (X.509 version 1): where only a fingerprint or a TLSA record counts, the
/// key is all that matters.
pub(super) fn signature_13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let reading = Reading::of(certificate).ok_or(CertificateError::BadEncoding)?;
    let key = SubjectPublicKeyInfoDer::from(reading.public_key());
    let known = &provider().signature_verification_algorithms;
    verify_tls13_signature_with_raw_key(message, &key, signed, known)
}

/// The same under TLS 1.2.
pub(super) fn signature_12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let known = &provider().signature_verification_algorithms;
    let version_1 = ParsedCertificate::try_from(certificate).is_err();
    if !version_1 {
        return verify_tls12_signature(message, certificate, signed, known);
    }
    let reading = Reading::of(certificate).ok_or(CertificateError::BadEncoding)?;
    let (algorithm, key) = reading.key_parts().ok_or(CertificateError::BadEncoding)?;
    let fits = |known: &&&dyn SignatureVerificationAlgorithm| {
        known.public_key_alg_id().as_ref() == algorithm
    };
    let of_scheme = known
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == signed.scheme);
    let candidates = of_scheme.map_or(&[][..], |(_, algorithms)| *algorithms);
    candidates
        .iter()
        .filter(fits)
        .any(|known| {
            known
                .verify_signature(key, message, signed.signature())
                .is_ok()
        })
        .then(HandshakeSignatureValid::assertion)
        .ok_or_else(|| CertificateError::BadSignature.into())
}

/// Takes whatever certificate is shown, however oddly it is made, and whoever has its key: the
/// alternative is to send in clear (RFC 7435).
#[derive(Debug)]
pub(super) struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _own: &CertificateDer<'_>,
        _above: &[CertificateDer<'_>],
        _asked_for: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature_schemes()
    }
}
