//! One grammar for choosing messages, on the command line, in the console and in URLs.
//!
//! `to:*@x.example from:<> state:deferred age:>1h code:4.7.* client:10.0.0.0/8 user:ann@* size:>1MB id:...`
//! means: every condition holds. A bare queue id is short for `id:`. Of what became of messages
//! ([`Filter::parse_tracked`]) more can be asked: `state:failed host:mx1.* reply:spam route:exchange`.
//! Text becomes a [`Filter`], a
//! list of [`Condition`]s; the spool asks it about each recipient's [`Facts`]. A filter holds
//! absolute moments (an age is turned into one when it is read), so it means the same however long
//! it takes to apply.

mod condition;
mod error;
mod glob;
mod network;
mod parse;
mod print;
mod tracked;

pub use condition::{Code, Condition, Facts, Filter, State};
pub use error::FilterError;
pub use glob::Glob;
pub use network::Network;
pub use parse::KEYS;
pub use tracked::{Tracked, TrackedFacts};
