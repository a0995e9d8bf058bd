use mail::{Client, Place};

use crate::list::Found;
use crate::{Facts, List};

/// Who may ask for the mail of a domain that is kept until somebody does.
#[derive(Debug, Clone, Default)]
pub struct OnDemand {
    /// Users who signed in, in any case of letters.
    pub users: Box<[Box<str>]>,
    /// Clients that may ask without signing in, by ETRN alone.
    pub clients: List,
    /// It has a server that its mail can be sent to; without one it is only fetched.
    pub has_route: bool,
    /// Where that was written.
    pub place: Place,
}

/// How mail is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskedBy {
    /// ETRN: it is to be sent to the domain's server.
    Etrn,
    /// ATRN: whoever asks takes it on this very connection.
    Atrn,
}

/// What is known of a client's right to the mail of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Granted,
    Refused,
    NeedsName,
    CannotTell,
}

impl OnDemand {
    /// Whether anybody can ask for it so.
    pub(crate) fn can(&self, by: AskedBy) -> bool {
        by == AskedBy::Atrn || self.has_route
    }

    /// Whether this client may.
    pub(crate) fn standing(&self, client: &Client, facts: &Facts, by: AskedBy) -> Standing {
        if !self.can(by) {
            return Standing::Refused;
        }
        let user = client.user.as_deref();
        if user.is_some_and(|user| self.names(user)) {
            return Standing::Granted;
        }
        if by == AskedBy::Atrn {
            // RFC 2645 section 5.2.1: "The ATRN command MUST be rejected if the session has not been
            // authenticated." Nobody gets mail for the address alone from which he comes.
            return Standing::Refused;
        }
        match self.clients.find(client.address(), facts) {
            Found::Entry(_) => Standing::Granted,
            Found::Nothing => Standing::Refused,
            Found::NeedsName => Standing::NeedsName,
            Found::CannotTell => Standing::CannotTell,
        }
    }

    fn names(&self, user: &str) -> bool {
        let mut users = self.users.iter();
        users.any(|name| name.eq_ignore_ascii_case(user))
    }
}
