use std::fmt;

use crate::Kind;

/// Something that could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Where it is, as [`Attachment::place`](crate::Attachment); empty for the message itself.
    pub place: String,
    /// Why.
    pub why: Why,
}

/// Why something could not be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It breaks its own format, so that readers may take it for different things; says how.
    Broken(&'static str),
    /// Only its recipient can read it.
    Encrypted,
    /// It lies deeper than [`Limits::depth`](crate::Limits).
    TooDeep,
    /// There are more parts or entries than the limits allow.
    TooMany,
    /// There is more in it than the limits allow.
    TooLarge,
    /// It unpacks to more than [`Limits::ratio`](crate::Limits) times its size.
    Ratio,
    /// It is packed by a method that nothing here reads.
    UnknownMethod,
    /// A format that is known and not opened: RAR, ACE, TNEF and the like.
    NotInspected(Kind),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(how) => write!(f, "broken: {how}"),
            Self::Encrypted => f.write_str("encrypted"),
            Self::TooDeep => f.write_str("nested too deep"),
            Self::TooMany => f.write_str("too many parts or entries"),
            Self::TooLarge => f.write_str("too large when unpacked"),
            Self::Ratio => f.write_str("unpacks to too many times its size"),
            Self::UnknownMethod => f.write_str("packed by an unknown method"),
            Self::NotInspected(kind) => write!(f, "{kind} is not inspected"),
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.is_empty() {
            true => write!(f, "message: {}", self.why),
            false => write!(f, "{}: {}", self.place, self.why),
        }
    }
}
