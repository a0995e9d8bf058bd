use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use reception::End;
use relay_policy::Grounds;

use crate::each::{Counters, Each, Histograms, Labels, counters, histograms};
use crate::words::{AtTheDoor, NotForThem, NotTaken, SignIn, Version};

/// The label by which they are told apart: a listener's name in the configuration, or `pickup` or
/// `submit`.
const LISTENER: &str = "listener";

/// What is counted for each listener.
#[derive(Debug)]
pub(crate) struct ListenerFamilies {
    connections: Counters,
    turned_away: Counters,
    ends: Counters,
    lengths: Histograms,
    commands: Counters,
    complaints: Counters,
    tls_sessions: Counters,
    handshakes_failed: Counters,
    sign_ins: Counters,
    messages: Counters,
    octets: Counters,
    messages_refused: Counters,
    recipients: Counters,
    recipients_refused: Counters,
}

impl ListenerFamilies {
    pub(crate) fn register(to: &mut Registry) -> Self {
        let mut counters = |name, help| counters(to, name, help);
        Self {
            connections: counters("gatepost_connections", "Clients that connected"),
            turned_away: counters(
                "gatepost_connections_refused",
                "Clients that were turned away in place of the greeting",
            ),
            ends: counters(
                "gatepost_sessions_ended",
                "Sessions that are over, by how they ended",
            ),
            commands: counters(
                "gatepost_commands",
                "Commands that clients sent, as sessions end",
            ),
            complaints: counters(
                "gatepost_commands_refused",
                "Commands that were refused for their form or order",
            ),
            tls_sessions: counters("gatepost_tls_sessions", "TLS handshakes that succeeded"),
            handshakes_failed: counters(
                "gatepost_tls_handshakes_failed",
                "TLS handshakes that failed",
            ),
            sign_ins: counters("gatepost_sign_ins", "Attempts to sign in"),
            messages: counters(
                "gatepost_messages_received",
                "Messages on stable storage, for which a client heard 250",
            ),
            octets: counters(
                "gatepost_received_bytes",
                "Size of the messages that were received",
            ),
            messages_refused: counters(
                "gatepost_messages_refused",
                "Messages that were refused or postponed",
            ),
            recipients: counters(
                "gatepost_recipients_accepted",
                "Recipients of messages received, by why they were let in",
            ),
            recipients_refused: counters(
                "gatepost_recipients_refused",
                "Recipients that were refused or postponed",
            ),
            lengths: histograms(
                to,
                "gatepost_session_duration_seconds",
                "Time from a session's greeting to its end",
                || Histogram::new([0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0]),
            ),
        }
    }
}

/// The counters of one listener.
#[derive(Debug)]
pub(crate) struct ListenerCounters {
    pub(crate) connections: Counter,
    pub(crate) turned_away: Each<AtTheDoor>,
    pub(crate) ends: Each<End>,
    pub(crate) lengths: Histogram,
    pub(crate) commands: Counter,
    pub(crate) complaints: Counter,
    pub(crate) tls_sessions: Each<Version>,
    pub(crate) handshakes_failed: Counter,
    pub(crate) sign_ins: Each<SignIn>,
    pub(crate) messages: Counter,
    pub(crate) octets: Counter,
    pub(crate) messages_refused: Each<NotTaken>,
    pub(crate) recipients: Each<Grounds>,
    pub(crate) recipients_refused: Each<NotForThem>,
}

impl ListenerCounters {
    pub(crate) fn new(of: &ListenerFamilies, name: &str) -> Self {
        let labels: Labels = vec![(LISTENER, name.into())];
        let one = |family: &Counters| family.get_or_create_owned(&labels);
        Self {
            connections: one(&of.connections),
            turned_away: Each::new(&of.turned_away, &labels, "reason"),
            ends: Each::new(&of.ends, &labels, "end"),
            lengths: of.lengths.get_or_create_owned(&labels),
            commands: one(&of.commands),
            complaints: one(&of.complaints),
            tls_sessions: Each::new(&of.tls_sessions, &labels, "version"),
            handshakes_failed: one(&of.handshakes_failed),
            sign_ins: Each::new(&of.sign_ins, &labels, "result"),
            messages: one(&of.messages),
            octets: one(&of.octets),
            messages_refused: Each::new(&of.messages_refused, &labels, "reason"),
            recipients: Each::new(&of.recipients, &labels, "grounds"),
            recipients_refused: Each::new(&of.recipients_refused, &labels, "reason"),
        }
    }
}
