//! People of a directory as users who may sign in.

use std::sync::Arc;

use mail::Place;
use relay_policy::Rights;
use sign_in::{Account, Person, Source, Tried, Unavailable};
use tokio::runtime::Handle;

use crate::directory::{Directory, DirectoryUser};

/// Asked from a thread that may block.
pub struct DirectoryUsers {
    directory: Arc<Directory>,
    runtime: Handle,
    place: Place,
}

impl DirectoryUsers {
    /// Must be called within the runtime.
    pub fn new(directory: Arc<Directory>, place: Place) -> Self {
        Self {
            directory,
            runtime: Handle::current(),
            place,
        }
    }

    /// Everybody of a directory that was named in `auth.ldap` may relay; who may not is kept out by
    /// the filter, or by the users file.
    fn person(&self, user: DirectoryUser) -> Person {
        let rights = Rights {
            may_relay: true,
            senders: Box::default(),
            only_to: Box::default(),
            place: self.place.clone(),
        };
        if user.names.is_none() {
            tracing::info!(user = %user.name, "the directory shows no attribute by which this user may be named: with entries in the users file nobody signs in so");
        }
        let account = Account {
            name: user.name,
            rights: Arc::new(rights),
            messages_per_hour: None,
            recipients_per_hour: None,
        };
        Person {
            account,
            names: user.names,
        }
    }
}

impl Source for DirectoryUsers {
    fn find(&self, name: &str) -> Result<Option<Person>, Unavailable> {
        let found = self.runtime.block_on(self.directory.find(name));
        let found = found.map_err(Unavailable::new)?;
        Ok(found.map(|user| self.person(user)))
    }

    fn verify(&self, name: &str, password: &str) -> Result<Tried<Person>, Unavailable> {
        let tried = self.runtime.block_on(self.directory.verify(name, password));
        Ok(match tried.map_err(Unavailable::new)? {
            Tried::Right(user) => Tried::Right(self.person(user)),
            Tried::Wrong(name) => Tried::Wrong(name),
            Tried::Unknown => Tried::Unknown,
        })
    }
}
