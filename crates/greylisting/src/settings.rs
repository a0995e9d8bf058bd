use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

/// `[greylisting]` and `[reputation]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// For how long a triplet waits.
    pub delay: Duration,
    /// How long after its first try it may come again to pass; later it begins anew.
    pub retry_within: Duration,
    /// For how long what passed is remembered, from when it was seen last.
    pub keep: Duration,
    /// How many bits of an IPv4 address name the network of a client.
    pub ipv4_prefix: u8,
    /// The same for IPv6.
    pub ipv6_prefix: u8,
    /// After so many messages the network of a client waits no longer; `None`: it always does.
    pub allow_after: Option<u32>,
    /// In this time a score halves.
    pub half_life: Duration,
    /// Entries of a kind that are remembered.
    pub max_entries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(300),
            retry_within: Duration::from_secs(2 * 86_400),
            keep: Duration::from_secs(36 * 86_400),
            ipv4_prefix: 24,
            ipv6_prefix: 64,
            allow_after: Some(5),
            half_life: Duration::from_secs(7 * 86_400),
            max_entries: 100_000,
        }
    }
}

impl Settings {
    /// The network of a client.
    pub fn network(&self, client: IpAddr) -> IpNet {
        let client = client.to_canonical();
        let prefix = match client {
            IpAddr::V4(_) => self.ipv4_prefix.min(32),
            IpAddr::V6(_) => self.ipv6_prefix.min(128),
        };
        let network = IpNet::new(client, prefix);
        network.map_or_else(|_| IpNet::from(client), |network| network.trunc())
    }
}

/// In milliseconds, as all times in a [`crate::History`] are.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
