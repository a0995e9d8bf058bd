use std::fmt;

use mail::Domain;

use crate::Reason;

/// RFC 8617 section 5.2: a chain with more sets of fields than this counts as broken.
pub const INSTANCES_MAX: usize = 50;

/// The chain of those who passed a message on, and whether it holds (RFC 8617).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// How the result came to be.
    pub reason: ChainReason,
    /// Who passed it on, from the first; none where the fields make no chain.
    pub links: Vec<Link>,
    /// The first instance that signed the message as it has come here: 0 where the first of all did.
    /// `None` where the chain does not hold, where DNS did not say, or where it lies further back
    /// than is looked at.
    pub oldest_pass: Option<usize>,
}

/// One who passed a message on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// `d=` of its seal.
    pub sealer: Domain,
    /// What its own checks came to, as `ARC-Authentication-Results` has it behind the instance.
    pub results: Box<[u8]>,
}

/// What came of a chain, in the words of RFC 8617 section 4.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArcResult {
    /// There is none.
    None,
    /// It holds.
    Pass,
    /// It does not, or that cannot be told.
    Fail,
}

/// Why the result of a chain is what it is. Instances are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainReason {
    /// Nobody has begun one.
    Absent,
    /// The last signature of the message and every seal are good.
    Good,
    /// It has more than [`INSTANCES_MAX`] instances.
    TooLong,
    /// Its fields do not belong together; what is wrong.
    Disordered(&'static str),
    /// Whoever sealed it last says that it was broken by then.
    BrokenBefore,
    /// What this seal says of the chain before it (`cv=`) cannot be.
    Status {
        /// The instance of the seal.
        instance: usize,
    },
    /// The signature of the message by the last instance is not good.
    Message {
        /// That instance.
        instance: usize,
        /// Why.
        reason: Reason,
    },
    /// A seal is not good.
    Seal {
        /// Its instance.
        instance: usize,
        /// Why.
        reason: Reason,
    },
}

impl Chain {
    /// What came of it.
    pub fn result(&self) -> ArcResult {
        match self.reason {
            ChainReason::Absent => ArcResult::None,
            ChainReason::Good => ArcResult::Pass,
            ChainReason::TooLong
            | ChainReason::Disordered(_)
            | ChainReason::BrokenBefore
            | ChainReason::Status { .. }
            | ChainReason::Message { .. }
            | ChainReason::Seal { .. } => ArcResult::Fail,
        }
    }

    /// Whether it may hold, were DNS to answer.
    pub fn cannot_be_told(&self) -> bool {
        matches!(
            self.reason,
            ChainReason::Message {
                reason: Reason::CannotTell,
                ..
            } | ChainReason::Seal {
                reason: Reason::CannotTell,
                ..
            }
        )
    }
}

impl ArcResult {
    /// As `Authentication-Results` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for ArcResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ChainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no chain"),
            Self::Good => f.write_str("good"),
            Self::TooLong => write!(f, "more than {INSTANCES_MAX} instances"),
            Self::Disordered(what) => f.write_str(what),
            Self::BrokenBefore => f.write_str("broken before it was sealed last"),
            Self::Status { instance } => write!(f, "cv= of seal {instance} cannot be"),
            Self::Message { instance, reason } => {
                write!(f, "message signature {instance}: {reason}")
            }
            Self::Seal { instance, reason } => write!(f, "seal {instance}: {reason}"),
        }
    }
}
