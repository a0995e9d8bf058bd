use std::fmt;

use crate::hex;

/// The certificate of the other side of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of the whole certificate (DER).
    pub sha256: [u8; 32],
    /// SHA-256 of its public key (SubjectPublicKeyInfo, DER), which stays when a certificate is
    /// renewed with the same key; `None` when it is not known.
    pub key_sha256: Option<[u8; 32]>,
    /// The names it is for, in lower case: those of subjectAltName (DNS and mail), else the common
    /// name.
    pub names: Box<[Box<str>]>,
    /// What its names are worth.
    pub trust: Trust,
}

/// What the names in a certificate are worth, for the purpose at hand. Fingerprints and key pins
/// need no trust, but for [`Trust::Unproven`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Its chain leads to an authority that we trust for this.
    Ok,
    /// It would, but its time, or that of one above it, is over or has not come.
    Expired,
    /// Nobody that we trust vouches for it.
    Unknown,
    /// Somebody that we trust vouches for it, but for another purpose (extendedKeyUsage).
    OtherPurpose,
    /// X.509 version 1 has no extensions: nobody can tell it from an authority's, and nobody may
    /// vouch for it.
    Version1,
    /// It calls itself an authority, as `openssl req -x509` and many devices do, and so is nobody's
    /// own (RFC 5280 section 4.2.1.9).
    Authority,
    /// Its key is one of which we take no proof (RSA of less than 2048 bits): whoever shows it may
    /// have found it anywhere, so nothing in it counts, not even its fingerprint.
    Unproven,
}

impl Certificate {
    /// Whether the names in the certificate may be believed.
    pub fn is_trusted(&self) -> bool {
        self.trust == Trust::Ok
    }

    /// `sha256:` and the digits, as it is pinned.
    pub fn fingerprint(&self) -> String {
        format!("sha256:{}", hex(self.sha256))
    }

    /// `spki:sha256:` and the digits, as its key is pinned.
    pub fn key_pin(&self) -> Option<String> {
        let key = self.key_sha256.as_ref()?;
        Some(format!("spki:sha256:{}", hex(key)))
    }
}

impl Trust {
    /// `ok`, `expired` or `unknown`
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Expired => "expired",
            Self::Unknown
            | Self::OtherPurpose
            | Self::Version1
            | Self::Authority
            | Self::Unproven => "unknown",
        }
    }
}

/// In plain words, with what can be done about it.
impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "trusted",
            Self::Expired => "expired",
            Self::Unknown => "signed by nobody we trust",
            Self::OtherPurpose => "not for clients, see client_ca_server_purpose",
            Self::Version1 => "X.509 version 1, which no authority can vouch for: pin it",
            Self::Unproven => {
                "of an RSA key that is too short or too long to count: make one of 2048 bits"
            }
            Self::Authority => "an authority's own, which vouches for no client: pin it",
        })
    }
}
