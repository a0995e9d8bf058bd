//! Who the users are.

use std::fmt;
use std::sync::Arc;

use relay_policy::Rights;

/// A user who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name, as log, tracking and `sender_match = "own"` know it.
    pub name: Arc<str>,
    /// What the user may do.
    pub rights: Arc<Rights>,
    /// Messages in an hour; none: as the configuration says for everybody.
    pub messages_per_hour: Option<u32>,
    /// Recipients in an hour; none: as the configuration says for everybody.
    pub recipients_per_hour: Option<u32>,
}

impl Account {
    /// With no more rights than `entry` leaves, and held to its limits.
    pub(crate) fn narrowed_by(self, entry: &Self) -> Self {
        let least = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
        Self {
            rights: Arc::new(self.rights.narrowed_by(&entry.rights)),
            messages_per_hour: least(self.messages_per_hour, entry.messages_per_hour),
            recipients_per_hour: least(self.recipients_per_hour, entry.recipients_per_hour),
            name: self.name,
        }
    }
}

/// A source could not be asked now, so that nobody knows who this is: 454, not 535.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// What went wrong, for the log; holds no secret.
    pub why: String,
}

impl Unavailable {
    /// With what went wrong, for the log.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Unavailable {}

/// Somebody who is known beside the users file, under all names that stand for the same person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Its name is the same whichever of the names was given: log, rates, bans and `sender_match =
    /// "own"` know the person by it.
    pub account: Account,
    /// All names, each in its one spelling ([`crate::prepare_name`]), so that none of them is a way
    /// around what the users file says of another. `None`: they cannot be told.
    pub names: Option<Box<[String]>>,
}

/// What came of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried<T> {
    /// It is that of this user.
    Right(T),
    /// It is not; the name of whom it was tried at, which may be another than the one given.
    Wrong(Arc<str>),
    /// There is nobody of that name.
    Unknown,
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Somebody who may sign in.
    User(Account),
    /// Somebody who may not, by no source.
    Barred,
    /// There is no such user.
    Nobody,
}
