//! Answers to the questions that decisions ask: what DNS says, whether a client stands on a list,
//! whether a directory or the next hop knows a recipient, which policy a domain has for TLS, with
//! which token or password we sign in elsewhere, for whom an issuer vouches.
//!
//! Guarantees: every answer comes within a deadline; so many questions are under way at one time
//! and no more; what is remembered is bounded and ages. A question that cannot be answered gives
//! "cannot tell", never a yes and never a no.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "answers come over sockets, and in time or not at all"
)]

mod acme;
mod answers;
mod decoys;
mod dial;
mod directory;
mod directory_users;
mod dns_lists;
mod hosts;
mod https;
mod inquiries;
mod kept;
mod next_hop;
mod oauth;
mod offline_lookups;
mod oidc;
mod posting;
mod purpose;
mod recipients;
mod resolver;
mod resolvers;
mod rewriting;
mod route_sign_in;
mod scanners;
pub mod secret;
mod side_by_side;
mod signing_keys;
mod sts;
#[cfg(test)]
mod tests;
mod users;
mod way;

pub use acme::{AcmeAccount, AcmeClient, AcmeFault, AcmeProof, AcmeProver, AcmeWanted};
pub use answers::Answers;
pub use dial::connect;
pub use hosts::host_addresses;
pub use https::Cost;
pub use inquiries::{Inquiries, Way};
pub use next_hop::{Trial, TrialEnd};
pub use oauth::Keys;
pub use offline_lookups::OfflineLookups;
pub use oidc::{Asked, Brought, IdentityProvider, NotVouched};
pub use posting::Posting;
pub use purpose::Purpose;
pub use resolver::{Answered, Resolver, Transports, hear_of_dns};
pub use resolvers::Resolvers;
pub use rewriting::scheme as srs_scheme;
pub use route_sign_in::RouteSignIns;
pub use scanners::{
    Advice, Caller, Chain, Found, Lesson, PlaceState, Scanners, State as ScannerState, Taught,
    Version as ScannerVersion,
};
pub use side_by_side::side_by_side;
pub use signing_keys::signers;
pub use users::UserSources;
