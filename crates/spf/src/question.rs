use std::collections::HashMap;
use std::net::IpAddr;

use crate::DnsName;

/// What a check must know of DNS. Aliases (CNAME) are followed by whoever answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// The TXT records of a name.
    Texts(DnsName),
    /// Its IPv4 addresses (A).
    V4(DnsName),
    /// Its IPv6 addresses (AAAA).
    V6(DnsName),
    /// The hosts that its MX records name.
    Mx(DnsName),
    /// The names of an address by reverse DNS (PTR), confirmed by nothing yet.
    Names(IpAddr),
}

/// What DNS said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The answer to [`Question::Texts`]: the strings of each record put together.
    Texts(Vec<Box<str>>),
    /// The answer to [`Question::V4`] and [`Question::V6`].
    Addresses(Vec<IpAddr>),
    /// The answer to [`Question::Mx`] and [`Question::Names`].
    Hosts(Vec<DnsName>),
    /// There is no such name, or it has no such records: RFC 7208 makes no difference.
    Nothing,
    /// No usable answer (SERVFAIL, time-out, refused): cannot tell; why.
    Failed(Box<str>),
}

/// The answers that one check has gathered so far.
#[derive(Debug, Clone, Default)]
pub struct Answers(HashMap<Question, Answer>);

impl Answers {
    /// No answers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the answer to a question that the check asked.
    pub fn insert(&mut self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    /// What was answered, if it was.
    pub fn get(&self, question: &Question) -> Option<&Answer> {
        self.0.get(question)
    }
}
