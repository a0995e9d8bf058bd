use std::collections::HashMap;

use mail::Domain;

/// What an evaluation must know of DNS. Aliases (CNAME) are followed by whoever answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// The TXT records of a name.
    Texts(Domain),
    /// Whether there is such a name (RFC 8020), whatever records it has: a question for any type
    /// tells.
    Exists(Domain),
}

/// What DNS said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The answer to [`Question::Texts`]: the strings of each record put together.
    Texts(Vec<Box<str>>),
    /// The name is there; where texts were asked for, it has none.
    NoData,
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// No usable answer (SERVFAIL, time-out, refused): cannot tell; why.
    Failed(Box<str>),
}

/// The answers that one evaluation has gathered so far.
#[derive(Debug, Clone, Default)]
pub struct Answers(HashMap<Question, Answer>);

impl Answers {
    /// No answers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the answer to a question that the evaluation asked.
    pub fn insert(&mut self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    /// What was answered, if it was.
    pub fn get(&self, question: &Question) -> Option<&Answer> {
        self.0.get(question)
    }
}
