//! Addresses that carry the sender for whom they stand: the Sender Rewriting Scheme.
//!
//! Whoever forwards a message connects to servers that the sender's domain does not know, and SPF
//! (RFC 7208) tells them to refuse it. So the sender becomes an address at a domain of the forwarder,
//! which holds the old one: `SRS0=hash=stamp=host=user`. A bounce comes back to that address, and
//! is turned back to the sender; the hash, keyed by a secret, keeps strangers from making such
//! addresses, and the stamp of the day lets them end. A sender that was rewritten by somebody else is
//! not packed once more: `SRS1=hash=host=...` names the first forwarder, and so a chain of them never
//! grows.
//!
//! The addresses are those of postsrsd and of Mail::SRS, octet for octet. This crate knows text
//! alone: local parts without quotes, and hosts. The day and the secrets are arguments.

mod day;
mod scheme;

pub use day::Day;
pub use scheme::{Fault, Scheme, Sender, is_rewritten};
