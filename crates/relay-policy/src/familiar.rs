use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use mail::{Domain, Mailbox, ReversePath};

/// Who wants to write to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approach {
    /// The client's address.
    pub client: IpAddr,
    /// The sender; `<>` counts as one.
    pub sender: ReversePath,
    /// The recipient that was named.
    pub recipient: Mailbox,
}

/// Whether these were here before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greylisted {
    /// They were.
    Passes(Familiar),
    /// They have to come again.
    Waits {
        /// In so many seconds.
        seconds: u32,
        /// How long ago they were here for the first time; `None`: they are now.
        since: Option<Duration>,
    },
}

/// By what they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Familiar {
    /// Mail of the client's network was taken often enough.
    Network {
        /// Which one.
        network: IpNet,
        /// How often it was counted.
        times: u32,
    },
    /// Client, sender and recipient passed before.
    Triplet,
    /// They come again after the delay, for the first time.
    Retried {
        /// So long after the first try.
        after: Duration,
    },
    /// Mail from senders at this domain was taken before, and the client passes SPF for it.
    SenderDomain(Domain),
}

impl fmt::Display for Familiar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { network, times } => {
                let noun = if *times == 1 { "time" } else { "times" };
                write!(f, "mail of {network} was taken {times} {noun}")
            }
            Self::Triplet => f.write_str("client, sender and recipient passed before"),
            Self::Retried { after } => {
                write!(f, "tried again {} s after the first time", after.as_secs())
            }
            Self::SenderDomain(domain) => {
                write!(f, "mail of {domain} was taken before, and SPF passes")
            }
        }
    }
}
