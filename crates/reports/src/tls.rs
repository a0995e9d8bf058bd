mod json_reader;
mod json_writer;
mod place;
mod tally;

use std::fmt;
use std::net::IpAddr;

pub use self::place::{TlsPlace, tls_places};
pub use self::tally::TlsSighting;
pub(crate) use self::tally::TlsTally;
use crate::{Flaw, Period, Reporter};

/// Policies and failures of one report that are read, and names and lines of a policy.
const POLICIES_MAX: usize = 1000;

/// A TLS report (RFC 8460 section 4): what came of the connections to one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsReport {
    /// Who made it.
    pub reporter: Reporter,
    /// What time it is about.
    pub period: Period,
    /// What came of connections, by the policy that was theirs.
    pub policies: Vec<TlsPolicy>,
}

/// Connections under one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsPolicy {
    /// Its kind.
    pub kind: PolicyKind,
    /// What it says, line by line: the policy of MTA-STS, or TLSA records.
    pub lines: Vec<String>,
    /// The domain that has it.
    pub domain: String,
    /// Which hosts it is about.
    pub hosts: Vec<String>,
    /// How many connections were as it demands.
    pub successful: u64,
    /// How many were not.
    pub failed: u64,
    /// Why those failed.
    pub failures: Vec<TlsFailure>,
}

/// The kind of a policy (RFC 8460 section 4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyKind {
    /// MTA-STS.
    Sts,
    /// DANE.
    Tlsa,
    /// The domain has none.
    NoPolicyFound,
    /// The report does not say.
    #[default]
    Unsaid,
}

/// Connections that failed for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFailure {
    /// The word for it (RFC 8460 section 4.3): `certificate-expired`.
    pub kind: String,
    /// From where they were made.
    pub source: Option<IpAddr>,
    /// Where they went.
    pub destination: Option<IpAddr>,
    /// The MX host that they went to.
    pub host: Option<String>,
    /// What that host called itself.
    pub hello: Option<String>,
    /// How many they are.
    pub count: u64,
    /// Where there is more about it.
    pub information: Option<String>,
    /// The reason in the words of the reporter's program.
    pub reason: Option<String>,
}

impl TlsReport {
    /// Reads one in JSON. What is missing or cannot be read is left out; the error is for what is no
    /// such report.
    pub fn read(json: &[u8]) -> Result<Self, Flaw> {
        json_reader::read(json)
    }

    /// The domain that it is about, which is that of all its policies.
    pub fn domain(&self) -> Option<&str> {
        self.policies.first().map(|policy| &*policy.domain)
    }

    /// Writes it as RFC 8460 section 4.4 has it.
    pub fn to_json(&self) -> String {
        json_writer::write(self)
    }
}

impl PolicyKind {
    /// As it stands in reports; empty where they do not say.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Tlsa => "tlsa",
            Self::NoPolicyFound => "no-policy-found",
            Self::Unsaid => "",
        }
    }

    fn parse(text: &str) -> Self {
        let mut all = [Self::Sts, Self::Tlsa, Self::NoPolicyFound].into_iter();
        all.find(|own| text.eq_ignore_ascii_case(own.as_str()))
            .unwrap_or_default()
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
