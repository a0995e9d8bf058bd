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
    /// If it is offered, whatever the certificate; in clear otherwise, also when the handshake
    /// fails.
    #[default]
    Opportunistic,
    /// Always, whatever the certificate.
    Required,
    /// Always, with a certificate for one of these names (`*.example.com` for any one label in
    /// front) from an authority that is trusted.
    Verified {
        /// The names, one of which the certificate must have.
        names: Arc<[Box<str>]>,
    },
    /// Always, with a certificate that one of the records matches (RFC 7672).
    Dane {
        /// The TLSA base domain: asked for by SNI, and looked for by DANE-TA(2).
        base: Domain,
        /// The TLSA records that can be used, one of which must fit.
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
    /// Whether it can be used for SMTP. PKIX-TA(0) and PKIX-EE(1) cannot (RFC 7672 section 3.1.3),
    /// nor what nobody has defined, nor digests of the wrong length, nor what can be no certificate
    /// and no key.
    pub fn is_usable(&self) -> bool {
        let length = match self.matching {
            0 => is_der_sequence(&self.data),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        matches!(self.usage, 2 | 3) && matches!(self.selector, 0 | 1) && length
    }
}

/// Whether it is one DER SEQUENCE from its first octet to its last, which certificates and public
/// keys are (X.690 section 8.1.3).
fn is_der_sequence(data: &[u8]) -> bool {
    let Some((&[0x30, first], rest)) = data.split_first_chunk() else {
        return false;
    };
    let length_octets = usize::from(first & 0x7f);
    if first < 0x80 {
        return rest.len() == length_octets;
    }
    let Some((length, content)) = rest.split_at_checked(length_octets) else {
        return false;
    };
    let plausible = (1..=4).contains(&length_octets);
    let length = length
        .iter()
        .fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet));
    plausible && u64::try_from(content.len()) == Ok(length)
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
            (0, 1, 1, 32, false),
            (1, 1, 1, 32, false),
            (4, 1, 1, 32, false),
            (255, 1, 1, 32, false),
            (3, 2, 1, 32, false),
            (3, 1, 3, 32, false),
            (3, 1, 1, 31, false),
            (3, 1, 2, 32, false),
            (3, 1, 0, 0, false),
            (3, 1, 1, 33, false),
            (3, 1, 1, 0, false),
            (2, 0, 0, 700, false),
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

    #[test]
    fn a_whole_certificate_is_one_der_sequence() {
        let whole = |head: &[u8], length: usize| TlsaRecord {
            usage: 2,
            selector: 0,
            matching: 0,
            data: [head, &vec![7; length]].concat().into(),
        };
        for (head, length, expected) in [
            (&[0x30, 0x05][..], 5, true),
            (&[0x30, 0x81, 0xc8], 200, true),
            (&[0x30, 0x82, 0x02, 0xbc], 700, true),
            (&[0x30, 0x82, 0x02, 0xbc], 699, false),
            (&[0x30, 0x82, 0x02, 0xbc], 701, false),
            (&[0x31, 0x05], 5, false),
            (&[0x30, 0x80], 5, false),
            (&[0x30, 0x8f], 200, false),
            (&[0x30, 0x84], 2, false),
            (&[0x30], 0, false),
        ] {
            let record = whole(head, length);
            assert_eq!(record.is_usable(), expected, "{head:x?} {length}");
        }
    }
}
