use std::sync::Arc;

use mail::Domain;

/// How much encryption the configuration demands of a next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TlsDemand {
    /// None, even where it is offered.
    Off,
    /// If it is offered, whatever the certificate (RFC 7435).
    #[default]
    Opportunistic,
    /// Always, whatever the certificate.
    Require,
    /// Always, with a certificate for the host's name from an authority that is trusted.
    Verify,
}

/// What one hop must give, once the DNS and policies were asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Security {
    /// No encryption, even where it is offered.
    None,
    /// If it is offered, whatever the certificate; in clear otherwise, also when the handshake fails.
    #[default]
    Opportunistic,
    /// Always, whatever the certificate.
    Required,
    /// Always, with a certificate for one of these names (`*.example.com` for any one label in front) from an authority that is trusted.
    Verified {
        /// The names.
        names: Arc<[Box<str>]>,
    },
    /// Always, with a certificate that one of the records matches (RFC 7672).
    Dane {
        /// The TLSA base domain: asked for by SNI, and looked for by DANE-TA(2).
        base: Domain,
        /// The usable records.
        records: Arc<[TlsaRecord]>,
    },
}

/// A TLSA record (RFC 6698 section 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsaRecord {
    /// 2: DANE-TA, 3: DANE-EE.
    pub usage: u8,
    /// 0: the whole certificate, 1: its public key.
    pub selector: u8,
    /// 0: as it is, 1: SHA-256, 2: SHA-512.
    pub matching: u8,
    /// What it must match.
    pub data: Box<[u8]>,
}

impl Security {
    /// Whether mail may also go in clear.
    pub fn allows_clear(&self) -> bool {
        match self {
            Self::None | Self::Opportunistic => true,
            Self::Required | Self::Verified { .. } | Self::Dane { .. } => false,
        }
    }
}

impl TlsaRecord {
    /// Whether it can be used for SMTP. PKIX-TA(0) and PKIX-EE(1) cannot (RFC 7672 section 3.1.3), nor what nobody has defined, nor digests of
    /// the wrong length.
    pub fn is_usable(&self) -> bool {
        let length = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        matches!(self.usage, 2 | 3) && matches!(self.selector, 0 | 1) && length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_records_are_of_the_kinds_that_smtp_knows() {
        for (usage, selector, matching, length, expected) in [
            (3, 1, 1, 32, true),
            (3, 0, 2, 64, true),
            (2, 0, 1, 32, true),
            (2, 1, 2, 64, true),
            (2, 0, 0, 700, true),
            (0, 1, 1, 32, false),
            (1, 1, 1, 32, false),
            (4, 1, 1, 32, false),
            (255, 1, 1, 32, false),
            (3, 2, 1, 32, false),
            (3, 1, 3, 32, false),
            (3, 1, 1, 31, false),
            (3, 1, 2, 32, false),
            (3, 1, 0, 0, false),
        ] {
            let record = TlsaRecord {
                usage,
                selector,
                matching,
                data: vec![7; length].into(),
            };
            assert_eq!(record.is_usable(), expected, "{record:?}");
        }
    }
}
