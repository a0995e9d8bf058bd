use std::fmt;

use crate::DkimResult;

/// Why the result of a signature is what it is. The result follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Header and body are as they were signed.
    Good,
    /// It is good for a part of the body (`l=`); the rest may be anybody's.
    PartOfBody {
        /// Octets that it covers.
        signed: u64,
        /// Octets of the whole body, in the same canonical form.
        whole: u64,
    },
    /// The body is not the one that was signed (`bh=`).
    BodyChanged,
    /// The header is not the one that was signed, or somebody else signed it.
    HeaderChanged,
    /// It was good until a moment that is past (`x=`).
    Expired,
    /// It was made in the future (`t=`).
    FromTheFuture,
    /// An RSA key that is too short to prove anything.
    ShortKey {
        /// Its length.
        bits: u32,
    },
    /// An RSA key that is longer than we compute with.
    LongKey {
        /// Its length.
        bits: u32,
    },
    /// `rsa-sha1` proves nothing any more (RFC 8301 section 3.1).
    HistoricAlgorithm,
    /// `l=` is more than the body has.
    BodyShorterThanSigned,
    /// The signature cannot be read; what is wrong with it.
    BadSignature(&'static str),
    /// There is no key where it has to be.
    NoKey,
    /// The key was revoked (`p=` is empty).
    Revoked,
    /// More than one key stands at the name.
    SeveralKeys,
    /// The key cannot be read, or is not for this; what is wrong with it.
    BadKey(&'static str),
    /// DNS did not say whether there is a key.
    CannotTell,
}

impl Reason {
    /// What follows from it.
    pub fn result(self) -> DkimResult {
        match self {
            Self::Good => DkimResult::Pass,
            Self::PartOfBody { .. } => DkimResult::Neutral,
            Self::BodyChanged | Self::HeaderChanged => DkimResult::Fail,
            Self::Expired | Self::FromTheFuture | Self::ShortKey { .. } | Self::LongKey { .. } => {
                DkimResult::Policy
            }
            Self::HistoricAlgorithm
            | Self::BodyShorterThanSigned
            | Self::BadSignature(_)
            | Self::NoKey
            | Self::Revoked
            | Self::SeveralKeys
            | Self::BadKey(_) => DkimResult::PermError,
            Self::CannotTell => DkimResult::TempError,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::PartOfBody { signed, whole } => {
                write!(f, "only {signed} of {whole} octets of the body are signed")
            }
            Self::BodyChanged => f.write_str("body changed"),
            Self::HeaderChanged => f.write_str("header changed"),
            Self::Expired => f.write_str("expired"),
            Self::FromTheFuture => f.write_str("signed in the future"),
            Self::ShortKey { bits } => write!(f, "RSA key of {bits} bits is too short"),
            Self::LongKey { bits } => write!(f, "RSA key of {bits} bits is too long"),
            Self::HistoricAlgorithm => f.write_str("rsa-sha1 counts no more"),
            Self::BodyShorterThanSigned => f.write_str("l= is more than the body has"),
            Self::BadSignature(what) | Self::BadKey(what) => f.write_str(what),
            Self::NoKey => f.write_str("no key"),
            Self::Revoked => f.write_str("key revoked"),
            Self::SeveralKeys => f.write_str("several keys at one name"),
            Self::CannotTell => f.write_str("DNS did not answer"),
        }
    }
}
