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
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use engine::Setup;
use lookups::{Inquiries, side_by_side};
use mail::Domain;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::dns::{Finding, Mark};

/// How long all may take.
const TIME_MAX: Duration = Duration::from_secs(20);

/// In place of whom to ask: nobody.
const OFF: &str = "off";

/// The domain whose mail servers are tried where nobody says another.
pub const PROBE: &str = "gmail.com";
/// Who tells the time where nobody says another.
pub const TIME_SERVER: &str = "pool.ntp.org";
/// The DNS lists that are asked where nobody says others.
pub const BLOCK_LISTS: [&str; 2] = ["zen.spamhaus.org", "bl.spamcop.net"];

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

impl Request {
    /// As they are named in words, of which `off` is nobody.
    ///
    /// # Errors
    /// What is no domain, and why.
    pub fn named(
        addresses: Vec<IpAddr>,
        probe: &str,
        time_server: &str,
        block_lists: &[String],
        running: Option<u32>,
    ) -> Result<Self, String> {
        let domain = |text: &str| {
            let wrong = |why| format!("`{}` is no domain: {why}", mail::escaped(text));
            Domain::parse(text).map_err(wrong)
        };
        let wanted = |text: &&str| *text != OFF;
        let lists = block_lists.iter().map(String::as_str);
        Ok(Self {
            addresses,
            probe: Some(probe).filter(wanted).map(domain).transpose()?,
            time_server: Some(time_server).filter(wanted).map(str::to_owned),
            block_lists: lists.filter(wanted).map(domain).collect::<Result<_, _>>()?,
            running,
        })
    }
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

/// What findings about what is here are about.
const HERE: &str = "this machine";

/// Something that is looked at or asked, and what it is called where there is no answer in time.
struct Part<'a> {
    what: &'static str,
    of: String,
    /// What to do about that.
    cure: &'static str,
    asking: Pin<Box<dyn Future<Output = Vec<Examined>> + Send + 'a>>,
}

impl<'a> Part<'a> {
    fn new(
        what: &'static str,
        of: impl ToString,
        asking: impl Future<Output = Vec<Examined>> + Send + 'a,
    ) -> Self {
        Self {
            what,
            of: of.to_string(),
            cure: "see to it that the name servers of [dns] answer",
            asking: Box::pin(asking),
        }
    }

    /// What is on this machine, on a thread that may wait for its disk.
    fn here(setup: Arc<Setup>, running: Option<u32>) -> Self {
        let look = spawn_blocking(move || look(&setup.config, running));
        let looked = async move {
            look.await.unwrap_or_else(|fault| {
                vec![Examined::new(
                    Mark::CannotTell,
                    HERE,
                    "all of it",
                    fault.to_string(),
                )]
            })
        };
        Self {
            cure: "see what its disk is waiting for, that of data_dir before all",
            ..Self::new("all of it", HERE, looked)
        }
    }

    async fn by(self, deadline: Instant) -> Vec<Examined> {
        let Self {
            what,
            of,
            cure,
            asking,
        } = self;
        timeout_at(deadline, asking).await.unwrap_or_else(|_| {
            let late = Examined::new(Mark::CannotTell, of, what, "no answer in time");
            vec![late.cure(cure)]
        })
    }
}

/// Examines this machine for a relay of the configuration of `inquiries`, all side by side within one
/// time: what is here, and what others say.
pub async fn examine(inquiries: &Inquiries, request: &Request) -> Vec<Examined> {
    let parts = parts(inquiries, request);
    let mut examined = asked(parts, Instant::now() + TIME_MAX).await;
    examined.extend(sign_in::look(inquiries.config()));
    examined
}

/// Looks at what is on this machine. Blocks.
fn look(config: &Config, running: Option<u32>) -> Vec<Examined> {
    let mut examined = ports::look(config, running);
    examined.extend(ports::descriptors(config, running));
    examined.extend(disk::look(&config.data_dir));
    examined.extend(certificates::look(config));
    examined
}

fn parts<'a>(inquiries: &'a Inquiries, request: &'a Request) -> Vec<Part<'a>> {
    let addresses = &request.addresses;
    let relay = &inquiries.config().hostname;
    let mut parts = vec![
        Part::here(Arc::clone(inquiries.setup()), request.running),
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
