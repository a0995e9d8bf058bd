use std::fmt;

use mail::Domain;

use crate::{Policy, Record};

/// What came of it, as RFC 8601 section 2.7.6 has the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DmarcResult {
    /// DMARC does not apply: the author's domain has no policy, or there is no one author.
    None,
    /// The author is who it says.
    Pass,
    /// Nothing vouches for the author.
    Fail,
    /// DNS did not answer; it may do so later.
    TempError,
    /// The record is wrong. Nothing is asked for then.
    PermError,
}

impl DmarcResult {
    /// As it stands in an Authentication-Results field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl fmt::Display for DmarcResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What came of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result.
    pub result: DmarcResult,
    /// The domain of the author, if there is one.
    pub author: Option<Domain>,
    /// The record that counts.
    pub record: Option<FoundRecord>,
    /// The organizational domain of the author, where it was looked for.
    pub organization: Option<Domain>,
    /// What that record asks for, if the message fails.
    pub policy: Option<InForce>,
    /// How the sender, and each signature, stand to the author.
    pub compared: Vec<Compared>,
    /// How the result came to be.
    pub why: Why,
}

/// A record, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// The domain that has it, below `_dmarc`.
    pub domain: Domain,
    /// What it says.
    pub record: Record,
}

/// What is asked for of a message that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// What is to be done: what is published, or less while it is tried out (`t=y`).
    pub policy: Policy,
    /// What is published.
    pub published: Policy,
    /// The tag that says so.
    pub tag: Tag,
}

/// Which tag of a record holds the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tag {
    /// `p`
    P,
    /// `sp`
    Sp,
    /// `np`
    Np,
}

/// What vouches for a domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method {
    /// The address that the message came from.
    Spf,
    /// A signature by the key of this selector.
    Dkim(Box<str>),
}

/// How something that vouches for a domain stands to the author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// What vouches.
    pub method: Method,
    /// For which domain.
    pub domain: Domain,
    /// Whether that is the author's.
    pub alignment: Alignment,
}

/// Whether a domain is the author's (RFC 9989 section 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alignment {
    /// It is the same.
    Same,
    /// It is of the same organization, and the record is content with that.
    Organization,
    /// It is not.
    No,
    /// Nothing vouches for it: that check did not pass, so it does not matter whose it is.
    NotPassed,
    /// It is the author's, or could be, and DNS did not answer.
    CannotTell,
}

/// How a result came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No `From` field has an address with a domain.
    NoAuthor,
    /// `From` has addresses of several domains, which DMARC leaves to others.
    SeveralAuthors,
    /// There is no record on the way up.
    NoRecord,
    /// The record has no policy that can be read, and nobody to be told.
    NoPolicy,
    /// DNS was asked for the record of this domain and could not tell.
    Dns {
        /// The domain.
        domain: Domain,
        /// What went wrong.
        trouble: Box<str>,
    },
    /// Something that passed vouches for the author.
    Aligned,
    /// Nothing does.
    NotAligned,
    /// Something could, and DNS did not answer.
    CannotTell,
}

impl Tag {
    /// As it stands in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P => "p",
            Self::Sp => "sp",
            Self::Np => "np",
        }
    }
}

/// Which record and organization counted, in a line of printable ASCII.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::NoAuthor => return f.write_str("no author"),
            Why::SeveralAuthors => return f.write_str("several authors"),
            Why::NoRecord => return f.write_str("no record"),
            Why::Dns { domain, trouble } => {
                return write!(f, "DNS: _dmarc.{domain}: {}", trouble.escape_default());
            }
            Why::NoPolicy | Why::Aligned | Why::NotAligned | Why::CannotTell => {}
        }
        if let Some(InForce {
            policy,
            published,
            tag,
        }) = self.policy
        {
            write!(f, "{}={published}", tag.as_str())?;
            if policy != published {
                write!(f, " in test, so {policy}")?;
            }
        } else {
            f.write_str("no policy")?;
        }
        if let Some(found) = &self.record {
            write!(f, " at _dmarc.{}", found.domain)?;
        }
        if let Some(organization) = &self.organization {
            write!(f, ", organization {organization}")?;
        }
        Ok(())
    }
}
