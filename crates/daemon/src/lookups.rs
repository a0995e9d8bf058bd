//! Questions to the world that a decision asks: DNS lists, directories, the next hop.
//!
//! Guarantees: every answer comes within a deadline; so many questions are under way at one time
//! and no more; what is remembered is bounded and ages. A question that cannot be answered gives
//! "cannot tell", never a yes and never a no.

pub(crate) mod dial;
mod dialogue;
mod directory;
mod dns_lists;
mod kept;
mod next_hop;
mod recipients;
pub(crate) mod secret;
#[cfg(test)]
mod tests;

pub(crate) use directory::{Directory, DirectoryUser};
pub(crate) use dns_lists::DnsListLookup;
pub(crate) use recipients::RecipientLookup;
