//! Tries one host for one recipient as a delivery would, without a message.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use delivery::{Again, Conversation, HandshakeFault, Identity, Settings, Stage, Timeouts};
use engine::Setup;
use mail::{Mailbox, Reply, ReversePath, TlsFacts};
use route::{Hop, Security, Site};
use smtp::Offers;
use tls::Connector;

use super::line::{Line, Terms};
use super::{CONNECTIONS_PER_HOP_MAX, is_helo_only, settings, source};
use crate::dial;

/// How long one answer may take. Shorter than for mail, which has more patience than people.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// What is tried, and how.
#[derive(Clone)]
pub(crate) struct Try {
    pub setup: Arc<Setup>,
    pub connector: Arc<Connector>,
    pub site: Site,
    pub sender: ReversePath,
    pub recipient: Mailbox,
    /// As whom to sign in, where the site wants that; or why nobody can.
    pub identity: Result<Option<Identity>, String>,
}

/// One host, tried without a message.
#[derive(Debug, Clone)]
pub struct Trial {
    /// As it was tried at last.
    pub hop: Hop,
    /// What the server answered before MAIL, on the last connection.
    pub heard: Vec<(Stage, Reply)>,
    /// What it offers.
    pub offers: Offers,
    /// The encryption, if there was any.
    pub tls: Option<Arc<TlsFacts>>,
    /// Why a handshake failed; then, where that is allowed, it was tried again in clear.
    pub fault: Option<HandshakeFault>,
    /// How it ended.
    pub end: TrialEnd,
}

/// How far a trial came.
#[derive(Debug, Clone)]
pub enum TrialEnd {
    /// There was no connection; why.
    NotConnected(String),
    /// Nobody can sign in as the configuration wants; why.
    NoCredentials(String),
    /// There is an answer to RCPT, or trouble before.
    Answered {
        /// Where it ended.
        stage: Stage,
        /// What the server said there, or what we say of it.
        reply: Reply,
    },
}

/// Tries `hop`. A server may want HELO, and one whose encryption does not come about is tried in
/// clear where nobody demands any: as mail would be.
pub(crate) async fn attempt(how: Try, hop: Hop) -> Trial {
    let mut trial = Trial {
        hop,
        heard: Vec::new(),
        offers: Offers::default(),
        tls: None,
        fault: None,
        end: TrialEnd::NotConnected("it does not keep its connections".to_owned()),
    };
    let identity = match &how.identity {
        Ok(identity) => identity.clone(),
        Err(why) => {
            trial.end = TrialEnd::NoCredentials(why.clone());
            return trial;
        }
    };
    let mut settings = Settings {
        credentials: identity,
        timeouts: timeouts(),
        ..settings(
            &how.setup.config,
            &how.site,
            is_helo_only(&how.setup.config, &how.recipient),
        )
    };
    for _ in 0..CONNECTIONS_PER_HOP_MAX {
        match once(&how, &settings, &mut trial).await {
            Some(Again::Fresh) => {}
            Some(Again::WithHelo) => settings.helo_only = true,
            Some(Again::InClear) => trial.hop.security = Security::None,
            None => break,
        }
    }
    trial
}

/// One connection; whether there should be another.
async fn once(how: &Try, settings: &Settings, trial: &mut Trial) -> Option<Again> {
    let config = &how.setup.config;
    let from: Option<IpAddr> = source(config, &how.site);
    let within = config.routes.options(&how.site.name);
    let within = within.and_then(|options| options.timeout);
    let within = within.unwrap_or(config.outbound.connect_timeout);
    let stream = match dial::connect(&trial.hop.address, from, within).await {
        Ok(stream) => stream,
        Err(why) => {
            trial.end = TrialEnd::NotConnected(why);
            return None;
        }
    };
    let conversation = Conversation::new(Arc::new(settings.clone()), trial.hop.clone());
    let mut line = Line::new(stream, conversation);
    let terms = Terms {
        connector: &how.connector,
        config,
        site: &how.site.name,
    };
    let verified = line.ask(terms, how.sender.clone(), &how.recipient).await;
    trial.heard = verified.heard;
    trial.offers = line.conversation().offers().clone();
    trial.tls = line.conversation().tls().cloned();
    trial.fault = trial.fault.take().or_else(|| line.fault().cloned());
    trial.end = TrialEnd::Answered {
        stage: verified.stage,
        reply: verified.reply.unwrap_or_else(|failure| failure.reply),
    };
    verified.again
}

fn timeouts() -> Timeouts {
    Timeouts {
        greeting: STEP_TIMEOUT,
        command: STEP_TIMEOUT,
        handshake: STEP_TIMEOUT,
        ..Timeouts::default()
    }
}
