use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use mail::Domain;

use crate::{StsFlaw, StsPolicy, TlsaRecord};

/// What routing must know of the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// The MX records of a domain.
    Mx(Domain),
    /// The addresses of a host, of both families (CNAMEs already followed).
    Addresses(Domain),
    /// The TLSA records at `_PORT._tcp.HOST` (RFC 7672 section 2.2.3). Asked only of hosts whose
    /// way there is signed throughout.
    Tlsa {
        /// The host that an MX record names.
        host: Domain,
        /// Where it is connected to.
        port: u16,
    },
    /// The MTA-STS policy of a recipient domain (RFC 8461).
    MtaSts(Domain),
}

/// What DNS said, or the web server of a policy.
///
/// `secure`: the whole answer, aliases included, was validated by DNSSEC, and we trust the one who
/// says so. Where nobody validates it is always false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The answer to a question for MX records.
    Mx {
        /// Preference and exchange; an exchange of `None` is the root, the null MX (RFC 7505).
        records: Vec<(u16, Option<Domain>)>,
        /// Whether DNSSEC vouches for them.
        secure: bool,
    },
    /// The answer to a question for addresses.
    Addresses {
        /// The addresses, in no particular order.
        list: Vec<IpAddr>,
        /// Validated by DNSSEC, those of each family.
        secure: bool,
    },
    /// TLSA records, validated by DNSSEC. Those that are not count as [`Answer::NoData`].
    Tlsa {
        /// The TLSA base domain: the host that was asked for, or what DNSSEC says that it is an
        /// alias of (RFC 7672 section 2.2.2).
        base: Domain,
        /// They, the unusable ones among them.
        records: Vec<TlsaRecord>,
    },
    /// A policy, fresh or kept within its `max_age`; or why the one that is announced cannot be had,
    /// which for delivery is the same as [`Answer::NoData`], no policy (RFC 8461 section 5.1).
    MtaSts(Result<Arc<StsPolicy>, StsFlaw>),
    /// The name exists but has no such records.
    NoData {
        /// Whether DNSSEC vouches for them.
        secure: bool,
    },
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// No usable answer (SERVFAIL, which bogus signatures are too, time-out, refused, garbage):
    /// cannot tell; why.
    Failed(Box<str>),
}

/// The answers that one resolution has gathered so far.
#[derive(Debug, Clone, Default)]
pub struct Answers(HashMap<Question, Answer>);

impl Answers {
    /// No answers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the answer to a question that a plan asked.
    pub fn insert(&mut self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    /// All that was asked and answered, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Question, &Answer)> {
        self.0.iter()
    }

    /// What was answered, if it was.
    pub fn get(&self, question: &Question) -> Option<&Answer> {
        self.0.get(question)
    }
}
