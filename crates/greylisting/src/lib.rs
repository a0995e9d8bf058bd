//! Who was here before.
//!
//! Greylisting has a stranger come again: the first time that a client network, a sender and a
//! recipient meet (a *triplet*), the client is postponed, and passes when it comes back after the
//! delay. Servers do so by themselves; programs that only spray mail mostly do not. Whoever has
//! delivered here waits no longer: its triplet passes from then on, its network after some messages,
//! and a client that passes SPF for a domain whose mail was taken before passes at once. Large senders
//! come again from other networks of theirs: for a client that passes SPF, the sender's domain stands
//! in the place of its network.
//!
//! Beside that a score is kept of each client network and each sender's domain, by what they did
//! here, which halves with time: [`Deed`] says what counts how much. The domain counts only where SPF
//! vouches for it, as anybody can write any sender.
//!
//! [`History`] is all of it. It asks nobody and has no clock: times are arguments, and so is whether a
//! client passes SPF, where that makes a difference ([`History::needs_proof`]). Every memory in it is bounded,
//! and what was not seen for longest is forgotten first. All of it is expendable: without it
//! everybody waits once more.

mod constant_sender;
mod file;
mod history;
mod reputation;
mod rows;
mod settings;
#[cfg(test)]
mod tests;
mod triplet;

pub use file::Part;
pub use history::History;
pub use reputation::{Deed, Reputation};
pub use rows::{Kind, Row, Subject};
pub use settings::Settings;
