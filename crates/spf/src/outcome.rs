use std::fmt;

use mail::Domain;

use crate::DnsName;

/// What a policy says of a client (RFC 7208 section 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpfResult {
    /// There is no domain, or it has no policy.
    None,
    /// The domain says nothing about the client.
    Neutral,
    /// The client may send for the domain.
    Pass,
    /// It may not.
    Fail,
    /// Probably it may not.
    SoftFail,
    /// DNS did not answer; it may do so later.
    TempError,
    /// The policy is wrong, and somebody has to mend it.
    PermError,
}

impl SpfResult {
    /// As it stands in an Authentication-Results field (RFC 8601 section 2.7.2).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose domain was checked (RFC 7208 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity {
    /// That of the sender that MAIL named.
    MailFrom,
    /// The name of HELO or EHLO, where MAIL named nobody (section 2.4).
    Helo,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result.
    pub result: SpfResult,
    /// Of whom the domain is.
    pub identity: Identity,
    /// The domain that was checked; `None` where there is none that can have a policy.
    pub domain: Option<Domain>,
    /// How the result came to be.
    pub why: Why,
    /// What the domain has to say to whom it fails (`exp=`): printable ASCII, and a stranger's words.
    pub explanation: Option<Box<str>>,
}

/// How a result came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The last of these terms matched; each before it is an `include` that led to the next. Never
    /// empty.
    Matched(Vec<Matched>),
    /// The policy of this domain ends without a match.
    NoMatch(DnsName),
    /// There is no domain of several labels to look at.
    NoDomain,
    /// The domain has no policy.
    NoPolicy(DnsName),
    /// An `include` or `redirect` in the policy of this domain leads to a name that has none.
    LeadsNowhere(DnsName),
    /// There is more than one policy.
    SeveralPolicies(DnsName),
    /// The policy is longer than any that is meant well.
    TooLong(DnsName),
    /// A term that follows no grammar.
    Syntax(Matched),
    /// More than ten terms look something up.
    TooManyLookups,
    /// More than two terms look something up in vain.
    TooManyVoidLookups,
    /// MX records name more than ten hosts.
    TooManyHosts(DnsName),
    /// DNS was asked for this name and could not tell.
    Dns {
        /// What was asked for.
        name: DnsName,
        /// What went wrong.
        trouble: Box<str>,
    },
}

/// A term, and whose policy it is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// As it is written there.
    pub term: Box<str>,
    /// The domain that has the policy.
    pub domain: DnsName,
}

impl fmt::Display for Matched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.term.escape_default(), self.domain)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matched(path) => {
                let mut joint = "";
                path.iter().rev().try_for_each(|step| {
                    let written = write!(f, "{joint}{step}");
                    joint = ", by ";
                    written
                })
            }
            Self::NoMatch(domain) => write!(f, "no term of {domain} matches"),
            Self::NoDomain => f.write_str("no domain to look at"),
            Self::NoPolicy(domain) => write!(f, "{domain} has no policy"),
            Self::LeadsNowhere(domain) => {
                write!(f, "{domain} points to a domain without a policy")
            }
            Self::SeveralPolicies(domain) => write!(f, "{domain} has several policies"),
            Self::TooLong(domain) => write!(f, "the policy of {domain} is too long"),
            Self::Syntax(term) => write!(f, "malformed: {term}"),
            Self::TooManyLookups => f.write_str("more than 10 terms look something up"),
            Self::TooManyVoidLookups => f.write_str("more than 2 terms look something up in vain"),
            Self::TooManyHosts(domain) => write!(f, "{domain} has more than 10 mail servers"),
            Self::Dns { name, trouble } => {
                write!(f, "DNS: {name}: {}", trouble.escape_default())
            }
        }
    }
}
