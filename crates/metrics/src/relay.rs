use admission::Reaction;
use mail::Handshake;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::DnsAnswer;
use crate::each::{Each, Labels, counter, counters, histogram};
use crate::words::{AskedBy, AtConsole, Fate, Group, Met, Ordered, PickedUp};

/// What is counted for the relay as a whole.
#[derive(Debug)]
pub(crate) struct RelayCounters {
    pub(crate) sizes: Histogram,
    pub(crate) groups: Each<Group>,
    pub(crate) handshakes: Each<Handshake>,
    pub(crate) fates: Each<Fate>,
    pub(crate) notices: Counter,
    pub(crate) pickup: Each<PickedUp>,
    pub(crate) asked_for: Each<AskedBy>,
    pub(crate) at_console: Each<AtConsole>,
    pub(crate) ordered: Each<Ordered>,
    pub(crate) commits: Histogram,
    pub(crate) too_much: Each<Reaction>,
    pub(crate) greylisted: Each<Met>,
    pub(crate) dns: Each<DnsAnswer>,
    pub(crate) dns_times: Histogram,
}

impl RelayCounters {
    pub(crate) fn register(to: &mut Registry) -> Self {
        let none = Labels::new();
        let groups = "TLS handshakes that succeeded, by the group of the key exchange";
        let groups = counters(to, "gatepost_tls_key_exchanges", groups);
        let handshakes = "TLS handshakes that succeeded, by their kind";
        let handshakes = counters(to, "gatepost_tls_handshakes", handshakes);
        let fates = "Recipients that left the queue, or became badmail";
        let fates = counters(to, "gatepost_recipients_settled", fates);
        let pickup = "Files of the pickup directory";
        let pickup = counters(to, "gatepost_pickup_files", pickup);
        let too_much = "Messages with which somebody sends too much, by what becomes of them";
        let too_much = counters(to, "gatepost_guardian_messages", too_much);
        let greylisted = "Recipients of strangers that greylisting was asked about";
        let greylisted = counters(to, "gatepost_greylisting_recipients", greylisted);
        let dns = "Questions that name servers were asked, by what came of them; what is remembered asks nobody";
        let dns = counters(to, "gatepost_dns_questions", dns);
        let asked_for = "Requests for mail that waits for its server";
        let asked_for = counters(to, "gatepost_mail_requests", asked_for);
        let at_console = "Sign-ins at the console, by what they went by";
        let at_console = counters(to, "gatepost_console_sign_ins", at_console);
        let ordered = "Certificates that were ordered by ACME";
        let ordered = counters(to, "gatepost_acme_orders", ordered);
        Self {
            sizes: histogram(
                to,
                "gatepost_message_size_bytes",
                "Size of the messages that were received",
                || Histogram::new([1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6, 16e6, 64e6]),
            ),
            groups: Each::new(&groups, &none, "group"),
            handshakes: Each::new(&handshakes, &none, "kind"),
            fates: Each::new(&fates, &none, "fate"),
            notices: counter(
                to,
                "gatepost_notices",
                "Notices to senders: of failure, delay and success",
            ),
            pickup: Each::new(&pickup, &none, "result"),
            asked_for: Each::new(&asked_for, &none, "command"),
            at_console: Each::new(&at_console, &none, "result"),
            ordered: Each::new(&ordered, &none, "result"),
            too_much: Each::new(&too_much, &none, "result"),
            greylisted: Each::new(&greylisted, &none, "result"),
            dns: Each::new(&dns, &none, "result"),
            dns_times: histogram(
                to,
                "gatepost_dns_duration_seconds",
                "Time until name servers answered a question, or were given up",
                || Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0]),
            ),
            commits: histogram(
                to,
                "gatepost_spool_commit_duration_seconds",
                "Time of a transaction of the spool, with its sync",
                || Histogram::new([0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5]),
            ),
        }
    }
}
