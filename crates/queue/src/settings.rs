use std::sync::Arc;
use std::time::Duration;

use mail::{Host, Place};
use relay_policy::{NameMap, NamePattern};
use route::SendRate;
use spool::Recipient;

/// How the mail of a domain waits for somebody who asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDemand {
    /// The domain's entry in the configuration.
    pub entry: NamePattern,
    /// After this age it is given up.
    pub expire: Duration,
    /// Where that was written.
    pub place: Place,
}

impl Settings {
    /// How mail for this recipient waits until somebody asks for it; `None` also where an operator
    /// led it elsewhere, or it goes to a filter first.
    //
    // Whoever has a name of its own to wait under goes that way; no sender leads mail for domains of
    // ours elsewhere, and those alone are asked for.
    pub fn on_demand_of(&self, recipient: &Recipient) -> Option<&OnDemand> {
        let host = recipient.admitted.recipient().host();
        self.on_demand(host).filter(|_| recipient.filed.is_none())
    }

    /// How mail for this host waits for somebody who asks for it, if it does.
    pub fn on_demand(&self, host: &Host) -> Option<&OnDemand> {
        self.on_demand.find(host.domain()?)?.as_ref()
    }

    /// The same for those who are filed under this name.
    pub(crate) fn on_demand_at(&self, name: &str) -> Option<&OnDemand> {
        self.on_demand(&Host::parse(name).ok()?)
    }
}

/// How patient and how busy the queue manager is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Pauses between attempts, each counted from the last one; the last repeats. Never empty (an
    /// empty list means one minute).
    pub retry: Vec<Duration>,
    /// After this age a recipient that cannot be reached is given up.
    pub expire: Duration,
    /// After this age the sender is told once that the message is late.
    pub delay_notice: Option<Duration>,
    /// Notices of ours that cannot be delivered are kept as badmail; otherwise they are dropped.
    pub keep_badmail: bool,
    /// Domains hosted here whose recipients are known, where that is wished: what strangers send to
    /// them and cannot be delivered becomes badmail, and its sender, who may be forged, hears
    /// nothing.
    pub strangers_to_badmail: Arc<NameMap<bool>>,
    /// Domains whose mail waits until somebody asks for it; a domain that has an entry of its own and
    /// is none of them has `None`.
    pub on_demand: Arc<NameMap<Option<OnDemand>>>,
    /// The longest pause before a site that is down is tried again.
    pub probe: Duration,
    /// Connections to one site, unless its route says otherwise.
    pub site_connections_max: u32,
    /// At most so many connections at one time, to all sites together.
    pub connections_max: u32,
    /// Messages on one connection, unless the site's route says otherwise.
    pub messages_per_connection: u32,
    /// How much may go to one site in a time, unless its route says otherwise.
    pub site_rates: Vec<SendRate>,
    /// Messages of one site in memory, waiting for a connection.
    pub ready_per_site_max: usize,
    /// Messages in memory in all, waiting for a connection.
    pub ready_max: usize,
    /// Messages fetched from the spool at once.
    pub load_batch: usize,
    /// Octets of content kept in memory for messages that wait for a connection; beyond it content
    /// is read back from the spool.
    pub content_bytes_max: usize,
    /// Of the slots that all sites have in common (connections, room in memory): how many in a
    /// hundred only those may hold that the configuration names.
    pub reserved_percent: u32,
    /// How many in a hundred our own notices may hold.
    pub notices_percent: u32,
    /// How many in a hundred mail for domains of ours may hold, which anybody may send.
    pub strangers_percent: u32,
    /// How many in a hundred mail from one reverse path's domain may hold.
    pub sender_percent: u32,
    /// While others wait for a connection, how long one may last before a server takes MAIL.
    pub silence_max: Duration,
    /// Notices of success for mail to domains of ours, which anybody may send: at most so many in
    /// so long a time. `None`: without limit.
    pub success_notices: Option<(u32, Duration)>,
    /// How much longer than `retry` says a pause may be, in percent: spreads what was deferred at
    /// one moment.
    pub jitter_percent: u32,
}

impl Default for Settings {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let retry = [
            MINUTE,
            5 * MINUTE,
            15 * MINUTE,
            30 * MINUTE,
            HOUR,
            2 * HOUR,
            4 * HOUR,
        ];
        Self {
            retry: retry.map(Duration::from_secs).to_vec(),
            expire: Duration::from_secs(48 * HOUR),
            delay_notice: Some(Duration::from_secs(12 * HOUR)),
            keep_badmail: true,
            strangers_to_badmail: Arc::default(),
            on_demand: Arc::default(),
            probe: Duration::from_secs(5 * MINUTE),
            site_connections_max: 20,
            connections_max: 1000,
            messages_per_connection: 100,
            site_rates: Vec::new(),
            ready_per_site_max: 1000,
            ready_max: 20_000,
            load_batch: 500,
            content_bytes_max: 64 << 20,
            reserved_percent: 25,
            notices_percent: 20,
            strangers_percent: 75,
            sender_percent: 50,
            silence_max: Duration::from_secs(20),
            success_notices: Some((60, Duration::from_secs(MINUTE))),
            jitter_percent: 5,
        }
    }
}
