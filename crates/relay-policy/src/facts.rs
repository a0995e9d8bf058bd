use std::net::IpAddr;

use mail::Domain;

/// What a decision must know of the world before it can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    /// The name of this address by reverse DNS, confirmed by a forward look-up that leads back to the address.
    ConfirmedName(IpAddr),
}

/// An answer to a [`Question`], in three ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// It is so.
    Yes(T),
    /// It certainly is not so.
    No,
    /// It could not be found out (time-out, server failure): neither yes nor no, so the client is postponed.
    CannotTell,
}

/// What has been found out about a client so far; a fact that nobody asked for yet is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The client's forward-confirmed name.
    pub confirmed_name: Option<Fact<Domain>>,
}

impl Facts {
    /// Takes the answer to a question, for the next run of the decision.
    pub fn answer(&mut self, question: Question, fact: Fact<Domain>) {
        match question {
            Question::ConfirmedName(_) => self.confirmed_name = Some(fact),
        }
    }
}
