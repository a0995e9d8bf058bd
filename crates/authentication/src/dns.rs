use std::net::IpAddr;

use mail::Domain;
use spf::DnsName;

/// What has to be known of DNS. Aliases (CNAME) are followed by whoever answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// The TXT records of a name.
    Texts(DnsName),
    /// Whether there is such a name, whatever records it has.
    Exists(DnsName),
    /// Its IPv4 addresses (A).
    V4(DnsName),
    /// Its IPv6 addresses (AAAA).
    V6(DnsName),
    /// The hosts that its MX records name, the most preferred first.
    Mx(DnsName),
    /// The names of an address by reverse DNS (PTR), confirmed by nothing yet.
    Names(IpAddr),
}

/// What DNS said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The strings of each TXT record put together.
    Texts(Vec<Box<str>>),
    /// Addresses.
    Addresses(Vec<IpAddr>),
    /// Hosts of MX or PTR records.
    Hosts(Vec<DnsName>),
    /// The name is there, without such records.
    NoData,
    /// There is no such name.
    NoSuchName,
    /// No usable answer: cannot tell; why.
    Failed(Box<str>),
}

impl From<spf::Question> for Question {
    fn from(question: spf::Question) -> Self {
        match question {
            spf::Question::Texts(name) => Self::Texts(name),
            spf::Question::V4(name) => Self::V4(name),
            spf::Question::V6(name) => Self::V6(name),
            spf::Question::Mx(name) => Self::Mx(name),
            spf::Question::Names(address) => Self::Names(address),
        }
    }
}

impl From<&Domain> for Question {
    fn from(key_name: &Domain) -> Self {
        Self::Texts(key_name.into())
    }
}

impl From<&dmarc::Question> for Question {
    fn from(question: &dmarc::Question) -> Self {
        match question {
            dmarc::Question::Texts(name) => Self::Texts(name.into()),
            dmarc::Question::Exists(name) => Self::Exists(name.into()),
        }
    }
}

impl From<Answer> for spf::Answer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Texts(texts) => Self::Texts(texts),
            Answer::Addresses(addresses) => Self::Addresses(addresses),
            Answer::Hosts(hosts) => Self::Hosts(hosts),
            Answer::NoData | Answer::NoSuchName => Self::Nothing,
            Answer::Failed(why) => Self::Failed(why),
        }
    }
}

impl From<Answer> for dkim::Answer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Texts(texts) => Self::Texts(texts),
            Answer::NoData | Answer::NoSuchName => Self::Texts(Vec::new()),
            Answer::Addresses(_) | Answer::Hosts(_) | Answer::Failed(_) => Self::CannotTell,
        }
    }
}

impl From<Answer> for dmarc::Answer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Texts(texts) => Self::Texts(texts),
            Answer::NoData | Answer::Addresses(_) | Answer::Hosts(_) => Self::NoData,
            Answer::NoSuchName => Self::NoSuchName,
            Answer::Failed(why) => Self::Failed(why),
        }
    }
}
