//! Where a recipient goes next.
//!
//! The configuration says it for your own domains (a smart host, a local directory) and for
//! everything else (`outbound`); where it says "MX", the DNS says it. [`Routes`] is the table made
//! from the configuration: it names the *site* of a recipient's host without asking anybody, so
//! recipients with the same next hop share a transaction. [`resolve`] turns a site into addresses
//! to try, in order, from DNS answers that the caller fetched. It refuses what would send mail in a
//! circle (RFC 5321 section 5.1), to a domain that takes no mail (RFC 7505), or into the inside of
//! your network because a stranger's MX record says so. Each address comes with the [`Security`]
//! that a connection there must give: what the configuration demands, the host's TLSA records
//! (DANE, RFC 7672), the domain's policy (MTA-STS, RFC 8461).
//!
//! Nothing here opens a socket or reads a clock: answers and randomness are arguments.

mod addresses;
mod assurance;
mod builder;
mod by_domain;
mod by_sender;
mod hop;
mod hop_address;
mod hours;
mod mx;
mod own;
mod pattern;
mod protection;
mod question;
mod resolve;
mod routes;
mod security;
mod send_rate;
mod site;
mod sts;
mod target;
mod trouble;
mod ways;

pub use addresses::{IpFamily, is_inner};
pub use assurance::Assurance;
pub use builder::RoutesBuilder;
pub use by_sender::SenderPattern;
pub use hop::{DemandedBy, Hop};
pub use hop_address::HopAddress;
pub use hours::{Hours, HoursSpan, HoursState, LargeHours};
pub use pattern::DomainPattern;
pub use protection::TLSA_RECORDS_MAX;
pub use question::{Answer, Answers, Question};
pub use resolve::{Plan, SMART_HOSTS_MAX, resolve};
pub use routes::{Routes, SiteOptions, Via};
pub use security::{Security, TlsDemand, TlsaRecord};
pub use send_rate::{RateUnit, SendRate};
pub use site::{HostAt, HostSpec, NextHop, Site};
pub use sts::{StsFlaw, StsFlawKind, StsMode, StsPolicy};
pub use ways::{ADDRESSES_PER_HOST_MAX, HOPS_MAX, MX_HOSTS_MAX};
