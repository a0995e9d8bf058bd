//! What stands in a certificate. Nothing here decides whether it is true.

use std::net::IpAddr;

use aws_lc_rs::digest;
use mail::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::Any;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_PKCS1_RSASSAPSS;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AlgorithmIdentifier, X509Version};

/// What we read of a certificate; of one that is oddly made, as much as there is.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    parsed: X509Certificate<'a>,
}

impl<'a> Reading<'a> {
    /// `None` when it is no certificate, or bears something behind it.
    pub(super) fn of(der: &'a [u8]) -> Option<Self> {
        match X509Certificate::from_der(der) {
            Ok(([], parsed)) => Some(Self { parsed }),
            Ok(_) | Err(_) => None,
        }
    }

    /// The first moment at which it is valid, in seconds since 1970.
    pub(super) fn begins(&self) -> i64 {
        self.parsed.validity().not_before.timestamp()
    }

    /// The last moment at which it is valid, in seconds since 1970.
    pub(super) fn ends(&self) -> i64 {
        self.parsed.validity().not_after.timestamp()
    }

    /// The public key with its algorithm (SubjectPublicKeyInfo, DER).
    pub(super) fn public_key(&self) -> &'a [u8] {
        self.parsed.tbs_certificate.subject_pki.raw
    }

    /// The public key in two parts: the algorithm (without its own tag and length), and the bits.
    /// `None` when the bits are no whole octets.
    pub(super) fn key_parts(&self) -> Option<(&'a [u8], &[u8])> {
        let key = &self.parsed.tbs_certificate.subject_pki;
        let algorithm = content(content(key.raw)?)?;
        let bits = &key.subject_public_key;
        (bits.unused_bits == 0).then_some((algorithm, &*bits.data))
    }

    /// Whether the proof that somebody has its key can be checked: of RSA keys, those of 2048 to
    /// 8192 bits alone.
    pub(super) fn is_provable(&self) -> bool {
        match self.parsed.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => (2048..=8192).contains(&key.key_size()),
            Ok(_) | Err(_) => true,
        }
    }

    /// Who signed it (Name, DER).
    pub(super) fn issuer(&self) -> &'a [u8] {
        self.parsed.tbs_certificate.issuer.as_raw()
    }

    /// Whom it is for (Name, DER).
    pub(super) fn subject(&self) -> &'a [u8] {
        self.parsed.tbs_certificate.subject.as_raw()
    }

    /// Whether it is of X.509 version 1, which has no extensions.
    pub(super) fn is_version_1(&self) -> bool {
        self.parsed.version() == X509Version::V1
    }

    /// Whether it is an authority's (basicConstraints).
    pub(super) fn is_authority(&self) -> bool {
        let constraints = self.parsed.basic_constraints();
        matches!(constraints, Ok(Some(found)) if found.value.ca)
    }

    /// Whether it names itself as the one who signed it.
    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer() == self.subject()
    }

    /// The DNS names of subjectAltName, in lower case.
    pub(super) fn dns_names(&self) -> Vec<Box<str>> {
        self.alternative_names(|name| match name {
            GeneralName::DNSName(name) => Some(name),
            _ => None,
        })
    }

    /// The addresses of subjectAltName, as text.
    pub(super) fn addresses(&self) -> Vec<Box<str>> {
        let Ok(Some(extension)) = self.parsed.subject_alternative_name() else {
            return Vec::new();
        };
        let names = extension.value.general_names.iter();
        let addresses = names.filter_map(|name| match name {
            GeneralName::IPAddress(octets) => address(octets),
            _ => None,
        });
        addresses.map(|ip| ip.to_string().into()).collect()
    }

    /// Whether it has a subjectAltName, whatever is in it.
    pub(super) fn has_alternative_names(&self) -> bool {
        !matches!(self.parsed.subject_alternative_name(), Ok(None))
    }

    /// The common name, in lower case.
    pub(super) fn common_name(&self) -> Option<Box<str>> {
        let mut names = self.parsed.subject().iter_common_name();
        names.find_map(|name| clean(name.as_str().ok()?))
    }

    /// The names that it is for: DNS names and mail addresses of subjectAltName, else the common
    /// name.
    pub(super) fn names(&self) -> Vec<Box<str>> {
        let names = self.alternative_names(|name| match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) => Some(name),
            _ => None,
        });
        if names.is_empty() {
            return self.common_name().into_iter().collect();
        }
        names
    }

    fn alternative_names(
        &self,
        pick: impl Fn(&GeneralName<'a>) -> Option<&'a str>,
    ) -> Vec<Box<str>> {
        let Ok(Some(extension)) = self.parsed.subject_alternative_name() else {
            return Vec::new();
        };
        let names = extension.value.general_names.iter();
        names.filter_map(|name| clean(pick(name)?)).collect()
    }
}

/// RFC 5280 section 4.2.1.6: four octets or sixteen.
fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| v6()).ok()
}

/// Lower case; names with anything but visible ASCII are left out, since they go into logs and are
/// compared with rules.
fn clean(name: &str) -> Option<Box<str>> {
    let visible = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic());
    visible.then(|| name.to_ascii_lowercase().into())
}

/// The facts of a certificate that somebody showed; an unreadable one has no names.
pub(super) fn certificate(shown: &CertificateDer<'_>, trust: mail::Trust) -> mail::Certificate {
    let reading = Reading::of(shown);
    let names = reading.as_ref().map(Reading::names);
    mail::Certificate {
        sha256: sha256(shown),
        key_sha256: reading.map(|reading| sha256(reading.public_key())),
        names: names.unwrap_or_default().into(),
        trust,
    }
}

/// Whether a private key (PKCS #8) is bound to RSASSA-PSS signatures (RFC 4055 section 1.2).
pub(super) fn is_pss_key(pkcs8: &[u8]) -> bool {
    // RFC 5958 section 2: the version stands before the algorithm.
    let behind_version = content(pkcs8).and_then(|inner| Any::from_der(inner).ok());
    let algorithm =
        behind_version.and_then(|(rest, _version)| AlgorithmIdentifier::from_der(rest).ok());
    algorithm.is_some_and(|(_, algorithm)| algorithm.algorithm == OID_PKCS1_RSASSAPSS)
}

/// What is inside the first element of some DER, without its tag and length.
pub(super) fn content(der: &[u8]) -> Option<&[u8]> {
    let (_rest, element) = Any::from_der(der).ok()?;
    Some(element.data)
}

pub(super) fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, octets).as_ref());
    sum
}

/// Whether a name in a certificate or policy is for `host`; both in lower case.
///
/// RFC 6125 section 6.4.3: `*` stands for exactly one label, the first, and only alone.
pub fn name_matches(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        None => name == host,
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(first, rest)| !first.is_empty() && rest == parent),
    }
}

/// As certificates count time.
pub(super) fn seconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod test {
    use super::name_matches;

    #[test]
    fn a_star_is_one_whole_first_label() {
        let table = [
            ("mx.example.com", "mx.example.com", true),
            ("*.example.com", "mx.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.mx.example.com", false),
            ("*.example.com", ".example.com", false),
            ("m*.example.com", "mx.example.com", false),
            ("*", "localhost", false),
            ("mx.example.com", "mx.example.net", false),
        ];
        for (name, host, matches) in table {
            assert_eq!(name_matches(name, host), matches, "{name} for {host}");
        }
    }
}
