//! Answers to the questions that decisions ask: what DNS says, whether a client stands on a list,
//! whether a directory or the next hop knows a recipient, which policy a domain has for TLS, with
//! which token or password we sign in elsewhere.
//!
//! Guarantees: every answer comes within a deadline; so many questions are under way at one time
//! and no more; what is remembered is bounded and ages. A question that cannot be answered gives
//! "cannot tell", never a yes and never a no.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "answers come over sockets, and in time or not at all"
)]

mod dial;
mod dialogue;
mod directory;
mod directory_users;
mod dns_lists;
mod https;
mod kept;
mod next_hop;
mod oauth;
mod recipients;
mod resolver;
mod route_sign_in;
pub mod secret;
mod sts;
#[cfg(test)]
mod tests;

pub use directory::{Directory, DirectoryUser};
pub use directory_users::DirectoryUsers;
pub use dns_lists::DnsListLookup;
pub use https::Https;
pub use oauth::Keys;
pub use recipients::RecipientLookup;
pub use resolver::Resolver;
pub use route_sign_in::RouteSignIns;
pub use sts::{MtaSts, Sts};
