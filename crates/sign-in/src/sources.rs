//! Who knows the users: the users file, and the sources beside it.

use std::fmt;
use std::sync::Arc;

use crate::users::User;
use crate::{Account, ConsoleRole, Found, Person, ScramKeys, Totp, Tried, Unavailable, Users};

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

    /// What somebody who has signed in may do at the console, and the second factor that it takes;
    /// the users file says it, also of somebody of a directory, by the name of his account.
    pub fn console(&self, account: &Account) -> Option<(ConsoleRole, Option<&Totp>)> {
        let users = self.users.as_ref()?;
        let name = crate::prepare_name(&account.name)?;
        Some((users.console_role(&name)?, users.totp(&name)))
    }

    /// What is another one as soon as the users file has another password or second factor for this
    /// account. Passwords that other sources keep are not in it.
    pub fn stamp(&self, account: &str) -> String {
        let users = self.users.as_ref();
        let name = crate::prepare_name(account).unwrap_or_default();
        users.map(|users| users.stamp(&name)).unwrap_or_default()
    }

    /// Whether there is somebody who may sign in at the console.
    pub fn have_console_roles(&self) -> bool {
        self.users.as_ref().is_some_and(Users::have_console_roles)
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
#[path = "sources_tests.rs"]
mod tests;
