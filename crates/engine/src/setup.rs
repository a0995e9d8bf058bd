use std::collections::HashMap;
use std::sync::Arc;

use config::{Config, DomainSettings};
use delivery::EightBit;
use mail::{Client, Host};
use queue::Job;
use route::Routes;

use crate::NoticeSettings;

/// One configuration, turned into what each part of the relay goes by. Immutable; a reload makes a new one.
pub struct Setup {
    /// Where it came from.
    pub config: Config,
    /// For the queue manager.
    pub queue: queue::Settings,
    /// For our own notices.
    pub notices: NoticeSettings,
    /// For sessions, by the name of the listener.
    pub sessions: HashMap<Arc<str>, Arc<reception::Settings>>,
    delivery: Arc<delivery::Settings>,
}

impl Setup {
    /// Distributes `config`.
    pub fn new(config: Config) -> Self {
        let sessions = config
            .listeners
            .iter()
            .map(|listener| {
                (
                    Arc::clone(&listener.name),
                    Arc::new(session(&config, listener)),
                )
            })
            .collect();
        Self {
            queue: queue(&config),
            notices: NoticeSettings {
                hostname: config.hostname.clone(),
                return_size_max: config.queue.return_size,
                expire: config.queue.expire,
            },
            sessions,
            delivery: Arc::new(delivery::Settings::new(Host::Domain(
                config.hostname.clone(),
            ))),
            config,
        }
    }

    /// The table of routes.
    pub fn routes(&self) -> &Arc<Routes> {
        &self.config.routes
    }

    /// How to talk to the server that gets this job: what the domain of its first recipient says. All recipients of a job share a site,
    /// and domains that share a site are expected to agree.
    pub fn delivery(&self, job: &Job) -> Arc<delivery::Settings> {
        let host = job
            .recipients
            .first()
            .map(|recipient| recipient.admitted.recipient().host());
        let domain = host
            .and_then(Host::domain)
            .and_then(|d| self.config.domains.find(d));
        match domain {
            None => Arc::clone(&self.delivery),
            Some(DomainSettings {
                eight_bit,
                helo_only,
            }) => {
                let eight_bit = match eight_bit {
                    config::EightBit::Send => EightBit::Send,
                    config::EightBit::Bounce => EightBit::Bounce,
                };
                let base = &self.delivery;
                if base.eight_bit == eight_bit && base.helo_only == *helo_only {
                    return Arc::clone(base);
                }
                let helo_only = *helo_only;
                Arc::new(delivery::Settings {
                    eight_bit,
                    helo_only,
                    ..(**base).clone()
                })
            }
        }
    }
}

fn session(config: &Config, listener: &config::Listener) -> reception::Settings {
    let limits = &config.limits;
    let defaults = reception::Limits::default();
    let timeouts = reception::Timeouts {
        command: listener.idle_timeout,
        ..defaults.timeouts
    };
    let mut settings =
        reception::Settings::new(listener.hostname.clone(), Arc::clone(&listener.rules));
    if let Some(banner) = &listener.banner {
        settings.banner = banner.as_str().into();
    }
    settings.postmaster = config.postmaster.clone();
    settings.limits = reception::Limits {
        message_size: limits.message_size,
        session_size: Some(limits.session_size),
        passed_over: limits.message_size,
        recipients: limits.recipients,
        errors: limits.errors,
        hops: limits.hops,
        timeouts,
        ..defaults
    };
    settings
}

fn queue(config: &Config) -> queue::Settings {
    queue::Settings {
        retry: config.queue.retry.clone(),
        expire: config.queue.expire,
        delay_notice: config.queue.delay_notice,
        probe: config.queue.probe,
        site_connections_max: config.outbound.connections_per_site_max,
        connections_max: config.outbound.connections_max,
        messages_per_connection: config.outbound.messages_per_connection,
        ..queue::Settings::default()
    }
}

/// Whether `client` may have one of the slots that strangers cannot take: it may relay, by its address alone.
pub fn is_permitted(settings: &reception::Settings, client: &Client) -> bool {
    relay_policy::is_permitted(&settings.rules, client, &relay_policy::Facts::default())
}
