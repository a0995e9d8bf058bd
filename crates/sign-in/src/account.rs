//! Who the users are, and who knows them.

use std::fmt;
use std::sync::Arc;

use relay_policy::Rights;

use crate::users::User;
use crate::{ScramKeys, Users};

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
    fn narrowed_by(self, entry: &Self) -> Self {
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

/// Somebody who knows users beside the users file. Names arrive in their one spelling
/// ([`crate::prepare_name`]), passwords after SASLprep and never empty.
///
/// Calls may block (a directory), so they belong on a thread where that is allowed.
pub trait Source: Send + Sync {
    /// The person of this name, if it is one who may sign in. Proves nothing.
    ///
    /// # Errors
    /// Nobody can tell now.
    fn find(&self, name: &str) -> Result<Option<Person>, Unavailable>;

    /// The person of this name, if the password is right.
    ///
    /// # Errors
    /// Nobody can tell now.
    fn verify(&self, name: &str, password: &str) -> Result<Tried<Person>, Unavailable>;
}

/// The users file, and all other sources in the order in which they are asked.
///
/// An entry of the file with a password is the last word on its name. One without narrows what
/// somebody of another source may do, whichever name of that person it uses; so does one with a
/// password, when the person comes by another name.
#[derive(Clone, Default)]
pub struct Sources {
    users: Option<Users>,
    others: Vec<Arc<dyn Source>>,
}

impl Sources {
    /// The users of the file, then these.
    pub fn new(users: Users, others: Vec<Arc<dyn Source>>) -> Self {
        Self {
            users: Some(users),
            others,
        }
    }

    /// Whether there is nobody to ask.
    pub fn is_empty(&self) -> bool {
        self.users.is_none() && self.others.is_empty()
    }

    /// Whether SCRAM can be offered: only the users file has the keys that it takes, and it has
    /// them for everybody.
    pub fn know_scram_keys(&self) -> bool {
        self.others.is_empty() && self.users.as_ref().is_some_and(Users::know_scram_keys)
    }

    /// Who this name is.
    ///
    /// # Errors
    /// Nobody can tell now.
    pub fn find(&self, name: &str) -> Result<Found, Unavailable> {
        let entry = self.entry(name);
        match entry {
            Some(user) if user.disabled => return Ok(Found::Barred),
            Some(user) if user.password.is_some() => return Ok(Found::User(user.account.clone())),
            Some(_) | None => {}
        }
        for source in &self.others {
            if let Some(person) = source.find(name)? {
                let narrowed = self.narrowed(name, person);
                return Ok(narrowed.map_or(Found::Barred, Found::User));
            }
        }
        Ok(entry.map_or(Found::Nobody, |user| Found::User(user.account.clone())))
    }

    /// Whose password this is; as slow for a name that nobody has.
    ///
    /// # Errors
    /// Nobody can tell now.
    pub fn verify(&self, name: &str, password: &str) -> Result<Tried<Account>, Unavailable> {
        if let Some(users) = &self.users {
            match users.verify(name, password) {
                Tried::Unknown if !self.is_disabled(name) => {}
                answer => return Ok(answer),
            }
        }
        let mut tried = Tried::Unknown;
        for source in &self.others {
            match source.verify(name, password)? {
                Tried::Right(person) => {
                    let known_as = Arc::clone(&person.account.name);
                    let narrowed = self.narrowed(name, person);
                    return Ok(narrowed.map_or(Tried::Wrong(known_as), Tried::Right));
                }
                Tried::Wrong(known_as) if tried == Tried::Unknown => tried = Tried::Wrong(known_as),
                Tried::Wrong(_) | Tried::Unknown => {}
            }
        }
        Ok(tried)
    }

    /// The keys that check a SCRAM proof for this name, some for every name; and whose they are, if
    /// somebody's who may sign in.
    pub(crate) fn scram_keys(&self, name: &str) -> (Option<Account>, ScramKeys) {
        match &self.users {
            Some(users) => users.scram_keys(name),
            None => Users::default().scram_keys(name),
        }
    }

    fn entry(&self, name: &str) -> Option<&User> {
        self.users.as_ref()?.entry(name)
    }

    fn is_disabled(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|user| user.disabled)
    }

    /// What is left to a person by the entries of the users file for any of the names; `None`:
    /// nothing. Where the names cannot be told and the file may have one of them, it is nothing
    /// too: "later" (454) in answer to the right password alone would tell that it is right.
    fn narrowed(&self, name: &str, person: Person) -> Option<Account> {
        let Some(users) = self.users.as_ref().filter(|users| !users.is_empty()) else {
            return Some(person.account);
        };
        let names = person.names.as_ref()?;
        let mut names: Vec<&str> = names.iter().map(String::as_str).chain([name]).collect();
        names.sort_unstable();
        names.dedup();
        let mut account = person.account;
        for user in names.into_iter().filter_map(|name| users.entry(name)) {
            if user.disabled {
                return None;
            }
            account = account.narrowed_by(&user.account);
        }
        Some(account)
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sources({:?}, {})", self.users, self.others.len())
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
