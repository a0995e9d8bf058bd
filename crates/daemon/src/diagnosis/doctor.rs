//! What keeps a relay from doing its work though its configuration is sound: the machine, the network
//! around it, and what others know of it. Each trouble comes with its cure. No mail is sent.

mod certificates;
mod clock;
mod disk;
mod network;
mod ports;
mod sign_in;

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use lookups::{Inquiries, side_by_side};
use mail::Domain;
use tokio::time::{Instant, timeout_at};

use super::dns::{Finding, Mark};

/// How long all may take in which somebody else is asked.
const ASKED_MAX: Duration = Duration::from_secs(20);

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

/// Something that is asked of others, and what it is called where there is no answer in time.
struct Part<'a> {
    what: &'static str,
    of: String,
    asking: Pin<Box<dyn Future<Output = Vec<Examined>> + 'a>>,
}

impl<'a> Part<'a> {
    fn new(
        what: &'static str,
        of: impl ToString,
        asking: impl Future<Output = Vec<Examined>> + 'a,
    ) -> Self {
        Self {
            what,
            of: of.to_string(),
            asking: Box::pin(asking),
        }
    }

    async fn by(self, deadline: Instant) -> Vec<Examined> {
        let Self { what, of, asking } = self;
        timeout_at(deadline, asking).await.unwrap_or_else(|_| {
            let late = Examined::new(Mark::CannotTell, of, what, "no answer in time");
            vec![late.cure("see to it that the name servers of [dns] answer")]
        })
    }
}

/// Examines this machine for a relay of the configuration of `inquiries`: what is here first, then all
/// others side by side, within one time.
pub async fn examine(inquiries: &Inquiries, request: &Request) -> Vec<Examined> {
    let config = inquiries.config();
    let mut examined = ports::look(config, request.running);
    examined.extend(ports::descriptors(config, request.running));
    examined.extend(disk::look(&config.data_dir));
    examined.extend(certificates::look(config));
    let parts = parts(inquiries, request);
    examined.extend(asked(parts, Instant::now() + ASKED_MAX).await);
    examined.extend(sign_in::look(config));
    examined
}

fn parts<'a>(inquiries: &'a Inquiries, request: &'a Request) -> Vec<Part<'a>> {
    let addresses = &request.addresses;
    let relay = &inquiries.config().hostname;
    let mut parts = vec![
        Part::new("names", relay, network::names(inquiries, addresses)),
        Part::new("DNS", "name servers", network::transports(inquiries)),
        Part::new("DNSSEC", "the resolver", async move {
            vec![network::denial(inquiries).await]
        }),
    ];
    if let Some(probe) = &request.probe {
        parts.push(Part::new("way out", probe, async move {
            vec![network::way_out(inquiries, probe).await]
        }));
    }
    let lists = network::listed(inquiries, addresses, &request.block_lists);
    parts.push(Part::new("block lists", relay, lists));
    if let Some(server) = &request.time_server {
        parts.push(Part::new("clock", server, async move {
            vec![clock::look(inquiries, server).await]
        }));
    }
    parts
}

/// What came of the parts, in their order.
async fn asked(parts: Vec<Part<'_>>, deadline: Instant) -> Vec<Examined> {
    let parts = parts.into_iter().map(|part| part.by(deadline));
    side_by_side(parts).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn others_are_asked_side_by_side_and_the_silent_are_told_in_their_place() {
        let answers = |seconds, text: &'static str| {
            Part::new("clock", text, async move {
                sleep(Duration::from_secs(seconds)).await;
                vec![Examined::new(Mark::Ok, text, "clock", "right")]
            })
        };
        let parts = vec![
            answers(9, "slow"),
            Part::new("DNSSEC", "silent", pending()),
            answers(1, "quick"),
            Part::new("names", "mute", pending()),
        ];
        let start = Instant::now();
        let examined = asked(parts, start + Duration::from_secs(20)).await;
        assert_eq!(start.elapsed().as_secs(), 20);
        let told = examined.iter().map(|one| {
            let Finding { mark, subject, .. } = &one.finding;
            format!("{} {subject}", mark.as_str())
        });
        let told: Vec<String> = told.collect();
        let late = Mark::CannotTell.as_str();
        let expected = [
            format!("{} slow", Mark::Ok.as_str()),
            format!("{late} silent"),
            format!("{} quick", Mark::Ok.as_str()),
            format!("{late} mute"),
        ];
        assert_eq!(told, expected);
    }
}
