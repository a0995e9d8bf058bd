//! People of a directory as users who may sign in.

use std::sync::Arc;

use mail::Place;
use relay_policy::Rights;
use sign_in::{Account, Source, Unavailable};
use tokio::runtime::Handle;

use crate::lookups::{Directory, DirectoryUser};

/// Asked from a thread that may block.
pub(crate) struct DirectoryUsers {
    directory: Arc<Directory>,
    runtime: Handle,
    place: Place,
}

impl DirectoryUsers {
    /// Must be called within the runtime.
    pub(crate) fn new(directory: Arc<Directory>, place: Place) -> Self {
        Self {
            directory,
            runtime: Handle::current(),
            place,
        }
    }

    /// Everybody of a directory that was named in `auth.ldap` may relay; who may not is kept out by the filter.
    fn account(&self, user: DirectoryUser) -> Account {
        let rights = Rights {
            may_relay: true,
            senders: Box::default(),
            place: self.place.clone(),
        };
        Account {
            name: user.name,
            rights: Arc::new(rights),
            messages_per_hour: None,
            recipients_per_hour: None,
        }
    }
}

impl Source for DirectoryUsers {
    fn find(&self, name: &str) -> Result<Option<Account>, Unavailable> {
        let found = self.runtime.block_on(self.directory.find(name));
        let found = found.map_err(Unavailable::new)?;
        Ok(found.map(|user| self.account(user)))
    }

    fn verify(&self, name: &str, password: &str) -> Result<Option<Account>, Unavailable> {
        let found = self.runtime.block_on(self.directory.verify(name, password));
        let found = found.map_err(Unavailable::new)?;
        Ok(found.map(|user| self.account(user)))
    }
}
