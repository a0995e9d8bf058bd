use std::net::IpAddr;
use std::time::Duration;

use mail::Domain;
use relay_policy::{Familiar, Greylisted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that is remembered of strangers: `GET /v1/greylist`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GreylistRow {
    /// `waiting`, `passed` (both: client, sender and recipient), `client` or `sender domain`
    pub kind: String,
    /// The client's network, or the domain; `SPF` where the client passes SPF for the sender.
    pub name: String,
    /// The sender; empty for the null sender.
    pub sender: Option<String>,
    /// The recipient.
    pub recipient: Option<String>,
    /// When it was seen last, RFC 3339; of what waits, when it was seen first.
    pub seen: String,
    /// In how many hours mail of it was taken.
    pub taken: u32,
    /// What it is worth by what it did here.
    pub score: i32,
}

/// Which of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GreylistQuery {
    /// Of this kind alone.
    #[serde(default)]
    pub kind: Option<String>,
    /// So many of each kind at most, the latest first \[20].
    #[serde(default)]
    pub limit: Option<usize>,
}

/// Of whom nothing is to be remembered: `POST /v1/greylist/clear`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GreylistSubject {
    /// `client` or `sender domain`
    pub kind: String,
    /// A network or an address; or a domain.
    pub name: String,
}

/// Of whom nothing is remembered now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GreylistCleared {
    /// `client` or `sender domain`
    pub kind: String,
    /// Which one.
    pub name: String,
}

/// Whether these would wait: `POST /v1/greylist/check`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GreylistQuestion {
    /// The client's address.
    pub client: String,
    /// The sender; empty for the null sender.
    pub sender: String,
    /// The recipient.
    pub recipient: String,
}

/// Whether they would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum GreylistAnswer {
    /// They have to come again.
    Waits {
        /// In so many seconds.
        seconds: u32,
        /// So many seconds after they were here first; nothing: they never were.
        since: Option<u64>,
    },
    /// Client, sender and recipient passed before.
    Known,
    /// They come again after the delay.
    Retried {
        /// So many seconds after the first try.
        after: u64,
    },
    /// Mail of the client's network was taken often enough.
    Network {
        /// Which one.
        network: String,
        /// In how many hours.
        times: u32,
    },
    /// Mail of the sender's domain was taken, and the client passes SPF for it.
    SenderDomain {
        /// Which one.
        domain: String,
    },
}

impl From<Greylisted> for GreylistAnswer {
    fn from(greylisted: Greylisted) -> Self {
        match greylisted {
            Greylisted::Waits { seconds, since } => Self::Waits {
                seconds,
                since: since.map(|since| since.as_secs()),
            },
            Greylisted::Passes(Familiar::Triplet) => Self::Known,
            Greylisted::Passes(Familiar::Retried { after }) => Self::Retried {
                after: after.as_secs(),
            },
            Greylisted::Passes(Familiar::Network { network, times }) => Self::Network {
                network: network.to_string(),
                times,
            },
            Greylisted::Passes(Familiar::SenderDomain(domain)) => Self::SenderDomain {
                domain: domain.to_string(),
            },
        }
    }
}

impl GreylistAnswer {
    /// The same for a decision; `None` where the relay said what makes no sense.
    pub fn greylisted(self) -> Option<Greylisted> {
        Some(Greylisted::Passes(match self {
            Self::Waits { seconds, since } => {
                let since = since.map(Duration::from_secs);
                return Some(Greylisted::Waits { seconds, since });
            }
            Self::Known => Familiar::Triplet,
            Self::Retried { after } => Familiar::Retried {
                after: Duration::from_secs(after),
            },
            Self::Network { network, times } => Familiar::Network {
                network: network.parse().ok()?,
                times,
            },
            Self::SenderDomain { domain } => Familiar::SenderDomain(Domain::parse(&domain).ok()?),
        }))
    }
}

/// What a client and a sender's domain are worth: `GET /v1/reputation`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReputationQuery {
    /// The client's address.
    pub client: IpAddr,
    /// The sender's domain.
    #[serde(default)]
    pub domain: Option<String>,
}

/// What they are worth by what they did here; 0 of those of whom nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReputationAnswer {
    /// The client's network.
    pub client: i32,
    /// The sender's domain.
    pub domain: i32,
}
