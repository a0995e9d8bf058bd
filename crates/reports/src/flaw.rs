use std::fmt;

use contents::Why;

/// Why something is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is neither XML nor JSON, nor packed, nor a message with something of these.
    NoReport,
    /// It is larger than [`FILE_MAX`](crate::FILE_MAX), or so when unpacked.
    TooLarge,
    /// It is an archive that cannot be unpacked.
    Packed(Why),
    /// Archives and messages lie in each other deeper than anybody packs reports.
    TooDeep,
    /// It is no XML: why, and at which octet.
    Xml(String, u64),
    /// It is XML of another kind, with this element around it.
    Root(String),
    /// It has no end: the rest of it is missing.
    Cut,
    /// It has more records than are read.
    TooManyRecords,
    /// It is no JSON: why.
    Json(String),
    /// It is JSON without this part of a TLS report.
    Lacks(&'static str),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReport => f.write_str("there is no report in it"),
            Self::TooLarge => f.write_str("it is too large"),
            Self::Packed(why) => write!(f, "it cannot be unpacked: {why}"),
            Self::TooDeep => f.write_str("archives or messages in it are nested too deep"),
            Self::Xml(why, at) => write!(f, "it is not XML: {why}, at octet {at}"),
            Self::Root(name) => write!(f, "it is XML of another kind: <{name}>, not <feedback>"),
            Self::Cut => f.write_str("its end is missing"),
            Self::TooManyRecords => f.write_str("it has too many records"),
            Self::Json(why) => write!(f, "it is not JSON: {why}"),
            Self::Lacks(what) => write!(f, "it is JSON, and no TLS report: without `{what}`"),
        }
    }
}
