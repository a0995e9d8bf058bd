//! What is needed to find the way to a host, and what comes of it; `mx` finds the hosts,
//! `protection` how well the connection to each must be protected.

use std::net::IpAddr;

use mail::Domain;

use crate::trouble::Trouble;
use crate::{Answers, Hop, Question, Routes, TlsDemand};

/// MX hosts looked at, best preference first. The rest of a longer list is never asked for.
pub const MX_HOSTS_MAX: usize = 10;
/// Addresses used of one host.
pub const ADDRESSES_PER_HOST_MAX: usize = 4;
/// Addresses tried in all.
pub const HOPS_MAX: usize = 20;

/// What the answers show about the way to one name.
pub(crate) enum Way {
    Ask(Vec<Question>),
    /// The hosts to try, in this order; at least one.
    Hops(Vec<Hop>),
    None(Trouble),
}

/// Finds ways from answers.
#[derive(Clone, Copy)]
pub(crate) struct Ways<'a> {
    pub(crate) routes: &'a Routes,
    pub(crate) answers: &'a Answers,
    pub(crate) demand: TlsDemand,
    /// Whether MTA-STS and DANE count ([`Site::despite_policies`](crate::Site::despite_policies)).
    pub(crate) policies: bool,
    /// Who named the host: an administrator may mean an inner address, a stranger's MX record must
    /// not.
    pub(crate) by_administrator: bool,
    /// The name that the route, or the host itself, gives for its certificate.
    pub(crate) tls_name: Option<&'a Domain>,
}

/// The addresses of one mail host.
pub(crate) struct MailExchanger<'a> {
    pub(crate) preference: u16,
    pub(crate) name: &'a Domain,
    pub(crate) port: u16,
    pub(crate) addresses: Vec<IpAddr>,
    /// DNSSEC vouches for the addresses.
    pub(crate) secure: bool,
}
