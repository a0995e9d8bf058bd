//! What keeps a relay from doing its work though its configuration is sound: the machine, the network
//! around it, and what others know of it. Each trouble comes with its cure. No mail is sent.

mod certificates;
mod clock;
mod disk;
mod network;
mod ports;
mod sign_in;

use std::net::IpAddr;

use lookups::Inquiries;
use mail::Domain;

use super::dns::{Finding, Mark};

/// Whom to ask beside the name servers of the configuration; `None`: nobody.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Addresses from which mail goes out, where this machine does not know them.
    pub addresses: Vec<IpAddr>,
    /// A domain whose mail servers are tried, without a word of mail, where mail goes by MX.
    pub probe: Option<Domain>,
    /// Who tells the time (NTP): host or host:port.
    pub time_server: Option<String>,
    /// DNS lists of addresses that servers take no mail from.
    pub block_lists: Vec<Domain>,
    /// The process of the relay that runs by this configuration.
    pub running: Option<u32>,
}

/// What one examination found.
pub struct Examined {
    /// What was looked at, and what came of it.
    pub finding: Finding,
    /// What to do about it.
    pub cure: Option<String>,
}

impl Examined {
    fn new(
        mark: Mark,
        subject: impl ToString,
        what: &'static str,
        text: impl Into<String>,
    ) -> Self {
        Self {
            finding: Finding::new(mark, subject, what, text),
            cure: None,
        }
    }

    fn cure(self, cure: impl Into<String>) -> Self {
        Self {
            cure: Some(cure.into()),
            ..self
        }
    }
}

/// Examines this machine for a relay of the configuration of `inquiries`. Takes a minute at most where
/// nobody answers.
pub async fn examine(inquiries: &Inquiries, request: &Request) -> Vec<Examined> {
    let config = inquiries.config();
    let mut examined = ports::look(config, request.running);
    examined.extend(ports::descriptors(config, request.running));
    examined.extend(disk::look(&config.data_dir));
    examined.extend(certificates::look(config));
    examined.extend(network::names(inquiries, &request.addresses).await);
    examined.extend(network::transports(inquiries).await);
    examined.push(network::denial(inquiries).await);
    if let Some(probe) = &request.probe {
        examined.push(network::way_out(inquiries, probe).await);
    }
    examined.extend(network::listed(inquiries, &request.addresses, &request.block_lists).await);
    if let Some(server) = &request.time_server {
        examined.push(clock::look(inquiries, server).await);
    }
    examined.extend(sign_in::look(config));
    examined
}
