//! One outgoing attempt, as a state machine without I/O.
//!
//! A [`Conversation`] is one connection to one server: the server's octets go in, ours come out, and what became of each recipient
//! is told by events. It greets, asks what the server can do, and sends one message after the other in the best way that the server offers.
//! Every trouble ends as an outcome that says how far it reaches: this recipient, this message, this host. An [`Attempt`] walks over the hosts of
//! a site while the trouble is theirs. A reply of success counts only after the whole message was sent; when the connection is lost between the
//! final dot and the answer, nobody can know, so the message is sent again and the doubt is counted.
//!
//! Whoever drives a conversation:
//! 1. connects, makes one with [`Conversation::new`], and may give it a [`Transaction`] at once;
//! 2. gives what arrives to [`Conversation::receive`] and writes what [`Conversation::output`] holds;
//! 3. answers [`Event::Content`] by feeding the content from its beginning, a piece whenever `output` has been written, while
//!    [`Conversation::wants_content`], then calls [`Conversation::content_end`];
//! 4. restarts its timer whenever the phase of [`Conversation::patience`] changes.

mod attempt;
mod commands;
mod conversation;
mod event;
mod exchange;
mod fitness;
mod settings;
mod transaction;
mod trouble;

pub use attempt::{Attempt, HOSTS_MAX};
pub use conversation::Conversation;
pub use event::{Again, Ended, Event};
pub use exchange::ROUNDS_MAX;
pub use settings::{EightBit, Settings, Timeouts};
pub use transaction::Transaction;
