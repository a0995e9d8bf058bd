//! Who the users are, and who knows them.

use std::fmt;
use std::sync::Arc;

use relay_policy::Rights;

use crate::ScramKeys;

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

/// Somebody who knows users. Names arrive in their one spelling ([`crate::prepare_name`]), passwords after SASLprep and never empty.
///
/// Calls may block (a hash, a directory), so they belong on a thread where that is allowed.
pub trait Source: Send + Sync {
    /// The user of this name, if it is one who may sign in. Proves nothing.
    fn find(&self, name: &str) -> Result<Option<Account>, Unavailable>;

    /// The user of this name, if the password is right. Takes as long for a user who does not exist.
    fn verify(&self, name: &str, password: &str) -> Result<Option<Account>, Unavailable>;

    /// Whether every user with a password can sign in by SCRAM.
    fn knows_scram_keys(&self) -> bool {
        false
    }

    /// The user of this name, with the keys that check a SCRAM proof.
    fn scram_keys(&self, name: &str) -> Result<Option<(Account, ScramKeys)>, Unavailable> {
        let _ = name;
        Ok(None)
    }

    /// Whether this source alone answers for the name, so that no later source is asked: it may be a user who was disabled here.
    fn owns(&self, name: &str) -> bool {
        let _ = name;
        false
    }
}

/// All sources, asked in order; the first that knows the user, or owns the name, has the last word.
#[derive(Clone, Default)]
pub struct Sources(Vec<Arc<dyn Source>>);

impl Sources {
    /// These, in this order.
    pub fn new(sources: Vec<Arc<dyn Source>>) -> Self {
        Self(sources)
    }

    /// Whether there is nobody to ask.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether SCRAM can be offered: every source can answer it.
    pub fn know_scram_keys(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|source| source.knows_scram_keys())
    }

    /// The user of this name; none also when a source has disabled the user.
    pub fn find(&self, name: &str) -> Result<Option<Account>, Unavailable> {
        self.first(name, |source| source.find(name))
    }

    /// Whether some source says that this name is nobody else's to answer for.
    pub(crate) fn own(&self, name: &str) -> bool {
        self.0.iter().any(|source| source.owns(name))
    }

    /// The user of this name, if the password is right.
    pub fn verify(&self, name: &str, password: &str) -> Result<Option<Account>, Unavailable> {
        self.first(name, |source| source.verify(name, password))
    }

    pub(crate) fn scram_keys(
        &self,
        name: &str,
    ) -> Result<Option<(Account, ScramKeys)>, Unavailable> {
        self.first(name, |source| source.scram_keys(name))
    }

    fn first<T>(
        &self,
        name: &str,
        ask: impl Fn(&dyn Source) -> Result<Option<T>, Unavailable>,
    ) -> Result<Option<T>, Unavailable> {
        for source in &self.0 {
            let found = ask(source.as_ref())?;
            if found.is_some() || source.owns(name) {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sources({})", self.0.len())
    }
}
