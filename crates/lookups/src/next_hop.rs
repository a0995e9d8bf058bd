//! Asks the server to which a recipient's mail goes whether it takes the recipient.
//!
//! Over a conversation as for delivery, without a message: encrypted as mail would be, so where TLS
//! is demanded no name crosses the wire in clear, and who does not give it is asked for nobody.

mod answer;
mod line;
mod trial;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use delivery::{Again, Conversation, Settings};
use mail::{Host, Mailbox, ReversePath};
use relay_policy::Fact;
use route::{Hop, Plan, Security, Site};
use tls::Connector;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::answer::judged;
use self::line::{Line, Terms};
pub use self::trial::{Trial, TrialEnd};
pub(super) use self::trial::{Try, attempt};
use crate::dial;
use crate::kept::Kept;
use crate::resolvers::Resolvers;
use crate::way;

/// Connections at one time, to all hosts.
const CONNECTIONS_MAX: usize = 32;
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);
/// Hosts tried for one recipient.
const HOPS_MAX: usize = 4;
/// How long one host may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections to one host for one recipient: a kept one may have died, a server may want HELO, and
/// one whose encryption does not come about may be asked in clear where nobody demands any.
const CONNECTIONS_PER_HOP_MAX: usize = 3;

/// Asks next hops.
pub(super) struct NextHop {
    resolvers: Arc<Resolvers>,
    connector: Arc<Connector>,
    timeout: Duration,
    /// By site, because sites have demands of their own on the same host.
    kept: Kept<(Arc<str>, Hop), Line>,
    permits: Semaphore,
}

impl NextHop {
    /// Finds the ways with `resolvers`, and shakes hands with `connector`; a question may take
    /// `timeout` in all.
    pub(super) fn new(
        resolvers: Arc<Resolvers>,
        connector: Arc<Connector>,
        timeout: Duration,
    ) -> Self {
        Self {
            resolvers,
            connector,
            timeout,
            kept: Kept::new(CONNECTIONS_MAX, IDLE),
            permits: Semaphore::new(CONNECTIONS_MAX),
        }
    }

    /// Whether the next hop takes this recipient.
    pub(super) async fn takes(&self, config: &Config, recipient: &Mailbox) -> Fact<()> {
        let site = config.routes.site(recipient.host());
        let work = async {
            let _permit = self.permits.acquire().await;
            self.ask(config, &site, recipient).await
        };
        let why = match timeout(self.timeout, work).await {
            Ok(Ok(fact)) => return fact,
            Ok(Err(why)) => why,
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::info!(site = %site.name, why, "the next hop could not be asked for a recipient");
        Fact::CannotTell
    }

    async fn ask(
        &self,
        config: &Config,
        site: &Site,
        recipient: &Mailbox,
    ) -> Result<Fact<()>, String> {
        let demand = way::demand(config, site, recipient);
        let hops = match way::plan(&self.resolvers, &config.routes, site, demand).await {
            Plan::Hops(hops) => hops,
            // Every name is a file there.
            Plan::Directory(_) => return Ok(Fact::Yes(())),
            Plan::Stop(outcome) | Plan::Otherwise(outcome) => {
                return Err(outcome.reply().to_string());
            }
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

    /// A kept connection may have died meanwhile: then on a new one.
    async fn ask_hop(
        &self,
        config: &Config,
        site: &Site,
        hop: &Hop,
        recipient: &Mailbox,
    ) -> Result<Fact<()>, String> {
        let terms = Terms {
            connector: &self.connector,
            config,
            site: &site.name,
        };
        let key = (Arc::clone(&site.name), hop.clone());
        let mut line = self.kept.take(&key).filter(Line::is_usable);
        let (mut hop, mut helo) = (hop.clone(), is_helo_only(config, recipient));
        for _ in 0..CONNECTIONS_PER_HOP_MAX {
            let mut open = match line.take() {
                Some(kept) => kept,
                None => connect(config, site, &hop, helo).await?,
            };
            let verified = open.ask(terms, ReversePath::Null, recipient).await;
            match verified.again {
                Some(Again::Fresh) => {}
                Some(Again::WithHelo) => helo = true,
                Some(Again::InClear) => hop.security = Security::None,
                None => {
                    if open.is_usable() {
                        self.kept.keep(key, open);
                    }
                    let reply = verified.reply;
                    return reply
                        .map(|reply| judged(&reply))
                        .map_err(|failure| failure.reply.to_string());
                }
            }
        }
        Err("it does not keep its connections".to_owned())
    }
}

/// Connects as mail for the site is carried. Nobody signs in for a question.
async fn connect(config: &Config, site: &Site, hop: &Hop, helo: bool) -> Result<Line, String> {
    let settings = settings(config, site, helo);
    let stream = dial::connect(&hop.address, source(config, site), CONNECT_TIMEOUT).await?;
    let conversation = Conversation::new(Arc::new(settings), hop.clone());
    Ok(Line::new(stream, conversation))
}

/// How to talk to hosts of the site.
fn settings(config: &Config, site: &Site, helo: bool) -> Settings {
    let mut settings = Settings::new(Host::Domain(config.hostname.clone()));
    if let Some(delivery) = config.deliveries.get(&site.name) {
        delivery.apply(&mut settings);
    }
    settings.helo_only = helo;
    settings
}

/// The address to connect from.
fn source(config: &Config, site: &Site) -> Option<IpAddr> {
    let delivery = config.deliveries.get(&site.name);
    delivery.and_then(|delivery| delivery.source_ip)
}

/// Whether its domain says that its server does not bear EHLO.
fn is_helo_only(config: &Config, recipient: &Mailbox) -> bool {
    let domain = recipient.host().domain();
    let settings = domain.and_then(|domain| config.domains.find(domain));
    settings.is_some_and(|settings| settings.helo_only)
}
