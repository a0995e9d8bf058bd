use std::sync::Arc;

use mail::{Certificate, Place, Trust};

/// An entry of `relay.certificates`: a client certificate that permits to relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEntry {
    /// What is looked at.
    pub pattern: CertificatePattern,
    /// The entry as written.
    pub text: Arc<str>,
    /// Where it was written.
    pub place: Place,
}

/// What is looked at in a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificatePattern {
    /// `sha256:` and 64 hexadecimal digits (colons between them are allowed): this very
    /// certificate, whoever signed it.
    Fingerprint([u8; 32]),
    /// `spki:sha256:` and 64 hexadecimal digits: this very key (SubjectPublicKeyInfo), in whichever
    /// certificate; it stays when a certificate is renewed with the key that it had.
    Key([u8; 32]),
    /// A name in a certificate whose chain leads to `tls.client_ca`.
    Name(Box<str>),
}

/// Octets of a SHA-256, twice as many digits.
const SHA256_LEN: usize = 32;
/// RFC 5280 appendix A.1 allows 64 characters in a common name; a mail address is longer.
const CERTIFICATE_NAME_LEN_MAX: usize = 320;

impl CertificatePattern {
    /// Reads `sha256:` or `spki:sha256:` and 64 hexadecimal digits with or without colons, or a
    /// name; what is wrong with it otherwise.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(digits) = behind("sha256:", text) {
            let fingerprint =
                fingerprint(digits).ok_or("behind sha256: go 64 hexadecimal digits (0-9, a-f)")?;
            return Ok(Self::Fingerprint(fingerprint));
        }
        if let Some(pin) = behind("spki:", text) {
            let digits = behind("sha256:", pin).and_then(fingerprint);
            let key = digits.ok_or("behind spki:sha256: go 64 hexadecimal digits (0-9, a-f)")?;
            return Ok(Self::Key(key));
        }
        if fingerprint(text).is_some() {
            return Err(format!(
                "a fingerprint is written \"sha256:{}...\"",
                &text[..8]
            ));
        }
        if text.contains('*') {
            return Err("names are compared whole: write each".into());
        }
        let plain = !text.trim().is_empty() && !text.contains(char::is_control);
        if !plain || text.len() > CERTIFICATE_NAME_LEN_MAX {
            return Err(
                "write \"sha256:...\", \"spki:sha256:...\" or a name in the certificate".into(),
            );
        }
        Ok(Self::Name(text.to_lowercase().into()))
    }

    /// A certificate of which nothing is known but that it is meant; names count in it.
    pub fn example(&self) -> Certificate {
        let mut certificate = Certificate {
            sha256: [0; SHA256_LEN],
            key_sha256: None,
            names: Box::default(),
            trust: Trust::Unknown,
        };
        match self {
            Self::Fingerprint(sha256) => certificate.sha256 = *sha256,
            Self::Key(key) => certificate.key_sha256 = Some(*key),
            Self::Name(name) => {
                certificate.names = [name.clone()].into();
                certificate.trust = Trust::Ok;
            }
        }
        certificate
    }
}

/// What stands behind `prefix`, which may be in capitals.
fn behind<'a>(prefix: &str, text: &'a str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn fingerprint(text: &str) -> Option<[u8; SHA256_LEN]> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b':').collect();
    if digits.len() != 2 * SHA256_LEN {
        return None;
    }
    let mut octets = [0; SHA256_LEN];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks(2)) {
        let digit = |b: u8| char::from(b).to_digit(16);
        *octet = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(octets)
}

impl CertificateEntry {
    /// Whether this certificate is meant, as far as it says itself who it is for: enough for what
    /// takes away. Nobody gets out of that by a certificate that has expired, and permits by its key.
    pub fn names(&self, certificate: &Certificate) -> bool {
        let believed = Certificate {
            trust: Trust::Ok,
            ..certificate.clone()
        };
        self.matches(&believed)
    }

    /// Whether this certificate is meant. A name counts only when an authority that we trust
    /// vouches for it; it is compared whole, without regard to case, and a star in a certificate
    /// stands for itself.
    pub fn matches(&self, certificate: &Certificate) -> bool {
        if certificate.trust == Trust::Unproven {
            return false;
        }
        match &self.pattern {
            CertificatePattern::Fingerprint(sha256) => *sha256 == certificate.sha256,
            CertificatePattern::Key(key) => certificate.key_sha256.as_ref() == Some(key),
            CertificatePattern::Name(name) => {
                let mut names = certificate.names.iter();
                certificate.is_trusted() && names.any(|n| n.eq_ignore_ascii_case(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_told_from_names() {
        let digits = "0123456789abcdef".repeat(4);
        let colons: Vec<String> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
            .collect();
        let plain = CertificatePattern::parse(&format!("sha256:{digits}"));
        assert_eq!(
            CertificatePattern::parse(&format!("sha256:{}", colons.join(":"))),
            plain
        );
        let Ok(CertificatePattern::Fingerprint(octets)) = plain else {
            panic!("{plain:?}")
        };
        for key in [
            format!("spki:sha256:{digits}"),
            format!("SPKI:SHA256:{}", colons.join(":")),
        ] {
            let parsed = CertificatePattern::parse(&key);
            assert_eq!(parsed, Ok(CertificatePattern::Key(octets)), "{key}");
        }
        assert_eq!(
            CertificatePattern::parse("Relay.Example"),
            Ok(CertificatePattern::Name("relay.example".into()))
        );
        for text in [
            digits.as_str(),
            "sha256:",
            "sha256:12",
            "spki:",
            "spki:sha256:12",
            &format!("spki:{digits}"),
            "*.example",
            " ",
            "a\nb",
        ] {
            assert!(CertificatePattern::parse(text).is_err(), "{text}");
        }
    }
}
