//! The scanners themselves, from Debian, are asked by the code of this crate, each with a
//! configuration and a folder of its own, on sockets in that folder or on loopback. A step of
//! `scripts/test` of its own installs them.

// The driver of these tests is the world.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "scanners/clamd.rs"]
mod clamd;
#[path = "scanners/connection.rs"]
mod connection;
#[path = "scanners/hook.rs"]
mod hook;
#[path = "scanners/icap.rs"]
mod icap;
#[path = "scanners/message.rs"]
mod message;
#[path = "scanners/policy.rs"]
mod policy;
#[path = "scanners/rspamd.rs"]
mod rspamd;
#[path = "scanners/server.rs"]
mod server;
#[path = "scanners/spamd.rs"]
mod spamd;
