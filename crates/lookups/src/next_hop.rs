//! Asks the server to which a recipient's mail goes whether it takes the recipient.
//!
//! In clear: a site of which encryption is demanded is not asked, because names of recipients would
//! cross the wire open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use mail::Mailbox;
use relay_policy::Fact;
use route::{Answers, Hop, Plan, Site, TlsDemand};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::dial;
use super::dialogue::Dialogue;
use super::kept::Kept;
use crate::resolver::Resolver;

/// Connections at one time, to all hosts.
const CONNECTIONS_MAX: usize = 32;
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);
/// Hosts tried for one recipient.
const HOPS_MAX: usize = 4;
/// How long one host may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often routing may ask for more; it asks twice at most.
const ROUNDS_MAX: usize = 3;

/// Asks next hops.
pub(super) struct NextHop {
    resolver: Arc<Resolver>,
    timeout: Duration,
    kept: Kept<SocketAddr, Dialogue>,
    permits: Semaphore,
}

impl NextHop {
    pub(super) fn new(resolver: Arc<Resolver>, timeout: Duration) -> Self {
        Self {
            resolver,
            timeout,
            kept: Kept::new(CONNECTIONS_MAX, IDLE),
            permits: Semaphore::new(CONNECTIONS_MAX),
        }
    }

    /// Whether the next hop takes this recipient.
    pub(super) async fn takes(&self, config: &Config, recipient: &Mailbox) -> Fact<()> {
        let site = config.routes.site(recipient.host());
        if demand(config, &site, recipient) >= TlsDemand::Require {
            tracing::warn!(site = %site.name, "recipients are not verified where TLS is demanded");
            return Fact::CannotTell;
        }
        let work = async {
            let _permit = self.permits.acquire().await;
            self.ask(config, &site, recipient).await
        };
        match timeout(self.timeout, work).await {
            Ok(Ok(fact)) => fact,
            Ok(Err(why)) => {
                tracing::debug!(site = %site.name, why, "the next hop could not be asked for a recipient");
                Fact::CannotTell
            }
            Err(_) => {
                tracing::debug!(site = %site.name, "the next hop did not answer for a recipient in time");
                Fact::CannotTell
            }
        }
    }

    async fn ask(
        &self,
        config: &Config,
        site: &Site,
        recipient: &Mailbox,
    ) -> Result<Fact<()>, String> {
        let hops = match self.plan(config, site).await {
            Plan::Hops(hops) => hops,
            // Every name is a file there.
            Plan::Directory(_) => return Ok(Fact::Yes(())),
            Plan::Stop(outcome) => return Err(outcome.reply().to_string()),
            Plan::Ask(_) => return Err("the way could not be found out".to_owned()),
        };
        let mut trouble = String::from("no host");
        for hop in hops.into_iter().take(HOPS_MAX) {
            match self.ask_hop(config, site, &hop, recipient).await {
                Ok(fact) => return Ok(fact),
                Err(why) => trouble = format!("{hop}: {why}"),
            }
        }
        Err(trouble)
    }

    async fn plan(&self, config: &Config, site: &Site) -> Plan {
        let mut answers = Answers::new();
        let mut random = rand::random::<u64>;
        let mut plan = route::resolve(site, &config.routes, TlsDemand::Off, &answers, &mut random);
        for _ in 0..ROUNDS_MAX {
            let Plan::Ask(questions) = plan else {
                return plan;
            };
            let mut asked = JoinSet::new();
            for question in questions {
                let resolver = Arc::clone(&self.resolver);
                asked.spawn(async move {
                    let answer = resolver.answer(&question).await;
                    (question, answer)
                });
            }
            for (question, answer) in asked.join_all().await {
                answers.insert(question, answer);
            }
            plan = route::resolve(site, &config.routes, TlsDemand::Off, &answers, &mut random);
        }
        plan
    }

    /// A kept connection may have been closed by the server: then once more on a new one.
    async fn ask_hop(
        &self,
        config: &Config,
        site: &Site,
        hop: &Hop,
        recipient: &Mailbox,
    ) -> Result<Fact<()>, String> {
        if let Some(kept) = self.kept.take(&hop.address)
            && !kept.is_stale()
            && let Ok((fact, again)) = kept.ask(recipient).await
        {
            self.keep(hop, again);
            return Ok(fact);
        }
        let delivery = config.deliveries.get(&site.name);
        let source = delivery.and_then(|delivery| delivery.source_ip);
        let name = delivery.and_then(|delivery| delivery.helo.as_ref());
        let connected = connect(hop.address, source.map(|ip| SocketAddr::new(ip, 0)));
        let stream = match timeout(CONNECT_TIMEOUT, connected).await {
            Ok(connected) => connected.map_err(|error| dial::plain(&error))?,
            Err(_) => return Err("no answer in time".to_owned()),
        };
        let name = name.unwrap_or(&config.hostname);
        let dialogue = Dialogue::open(stream, name.as_str()).await?;
        let (fact, again) = dialogue.ask(recipient).await?;
        self.keep(hop, again);
        Ok(fact)
    }

    fn keep(&self, hop: &Hop, dialogue: Option<Dialogue>) {
        if let Some(dialogue) = dialogue {
            self.kept.keep(hop.address, dialogue);
        }
    }
}

async fn connect(address: SocketAddr, source: Option<SocketAddr>) -> std::io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // An address of the other family cannot be used for this host, as when mail is delivered.
    if let Some(source) = source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        socket.bind(source)?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What the domain says, or its route, or the general setting.
fn demand(config: &Config, site: &Site, recipient: &Mailbox) -> TlsDemand {
    let domain = recipient.host().domain();
    let settings = domain.and_then(|domain| config.domains.find(domain));
    config
        .routes
        .demand(&site.name, [settings.and_then(|settings| settings.tls)])
}
