//! What must survive a power cut: accepted messages, their recipients, and what became of them.
//!
//! [`Spool`] is the interface; [`Local`] keeps it in one directory on this machine (SQLite, files
//! that larger bodies share, and a file for each of the largest), `Model` (a feature) in memory for tests and simulation. Both pass one
//! conformance suite. Synchronous and blocking: whoever calls decides on which thread. What the
//! interface promises: a [`Receipt`] exists only for a message that is on stable storage; every
//! change is whole or absent after a crash; outcomes and the notices they cause are one change.
//! There is one node: leases and adoption come with the shared spool.

mod check;
mod interface;
mod local;
mod message;
#[cfg(feature = "model")]
mod model;
mod operation;
mod pause;
mod verb;

pub use interface::{
    BodyWriter, Change, Commit, Counts, DuePage, DuePlace, Found, Health, KeptMessage, LateVerdict,
    Page, Receipt, Replacement, Settlement, SharedBody, Spool, SpoolError, UnscreenedPage, Wanted,
};
pub use local::{Local, LocalOptions};
pub use message::{
    Body, Content, Filed, HoldReason, LargeBody, Message, NewMessage, Recipient, RecipientState,
    Settled, Unscreened, Waiting, rerouted,
};
#[cfg(feature = "model")]
pub use model::{Fault, Model};
pub use operation::{Bulk, Ended, Operation, Part};
pub use pause::Pause;
pub use verb::{UnknownVerb, Verb};

/// Content up to this many octets may be handed over in memory ([`Content::Inline`]); larger content
/// is streamed through a [`BodyWriter`].
pub const INLINE_OCTETS_MAX: usize = 256 * 1024;

/// An operation changes at most this many recipients in one commit, so that it holds up no 250 for
/// long.
pub const BULK_RECIPIENTS_MAX: usize = 200;
