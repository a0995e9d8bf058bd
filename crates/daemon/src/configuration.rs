//! The configuration as it is changed while the relay runs: what a change would do, and how it is
//! made.

mod file;
mod proposal;
mod replay;
mod versions;

use config::Config;
use relay_policy::Rules;

pub(crate) use file::why_not_writable;
pub use file::write_configuration;
pub(crate) use proposal::{Proposed, Wish, on_disk, problem, propose};
pub(crate) use replay::{KnownUsers, replay};
pub(crate) use versions::{Author, Version, Versions};

/// The rules of all listeners, and of the ways of this machine.
pub(crate) fn all_rules(config: &Config) -> impl Iterator<Item = &Rules> {
    let of_listeners = config.listeners.iter().map(|listener| &*listener.rules);
    let local = config.local.sessions();
    of_listeners.chain(local.map(|session| &*session.rules))
}
