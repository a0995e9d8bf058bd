use std::collections::HashMap;
use std::net::IpAddr;

use mail::Domain;

/// What routing must know of the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// The MX records of a domain.
    Mx(Domain),
    /// The addresses of a host, of both families (CNAMEs already followed).
    Addresses(Domain),
}

/// What DNS said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// MX records: preference and exchange; an exchange of `None` is the root, the null MX (RFC 7505).
    Mx(Vec<(u16, Option<Domain>)>),
    /// Addresses.
    Addresses(Vec<IpAddr>),
    /// The name exists but has no such records.
    NoData,
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// No usable answer (SERVFAIL, time-out, refused, garbage): cannot tell; why.
    Failed(Box<str>),
}

/// The answers that one resolution has gathered so far.
#[derive(Debug, Clone, Default)]
pub struct Answers(HashMap<Question, Answer>);

impl Answers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the answer to a question that a plan asked.
    pub fn insert(&mut self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    /// What was answered, if it was.
    pub fn get(&self, question: &Question) -> Option<&Answer> {
        self.0.get(question)
    }
}
