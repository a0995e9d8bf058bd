use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use route::Assurance;

use crate::each::{Counters, Each, Example, Examples, Labels, counters, examples};
use crate::words::Tried;

/// The label by which they are told apart: [`class`].
pub(crate) const ROUTE: &str = "route";

/// Where mail goes by no route of the configuration: to hosts that MX records name, to a host that
/// the configuration or the recipient names, into a directory, to users who fetch it.
pub(crate) const CLASSES: [&str; 4] = ["mx", HOST, "local", "on-demand"];

const HOST: &str = "host";

/// The value of the label for a site, by its name in the log: that of a route that is `known`, as
/// `route:isp`, and otherwise one of [`CLASSES`], for domains have no end.
pub(crate) fn class(site: &str, known: impl Fn(&str) -> bool) -> &str {
    match site.split_once(':') {
        Some(("route", _)) if known(site) => site,
        Some(("mx", _)) => "mx",
        Some(("local", _)) => "local",
        Some(("atrn", _)) => "on-demand",
        _ => HOST,
    }
}

/// What is counted for each route.
#[derive(Debug)]
pub(crate) struct RouteFamilies {
    recipients: Counters,
    messages: Counters,
    octets: Counters,
    unconfirmed: Counters,
    hosts_failed: Counters,
    assurance: Counters,
    in_queue: Examples,
    connecting: Examples,
    answering: Examples,
}

impl RouteFamilies {
    pub(crate) fn register(to: &mut Registry) -> Self {
        let mut counters = |name, help| counters(to, name, help);
        Self {
            recipients: counters(
                "gatepost_recipients_tried",
                "Attempts to deliver to a recipient, by what came of them",
            ),
            messages: counters(
                "gatepost_messages_sent",
                "Messages that a next hop took, for some recipients at least",
            ),
            octets: counters(
                "gatepost_sent_bytes",
                "Size of the messages that a next hop took",
            ),
            unconfirmed: counters(
                "gatepost_messages_unconfirmed",
                "Messages sent whole without an answer, which may arrive twice",
            ),
            hosts_failed: counters(
                "gatepost_hosts_failed",
                "Hosts that were of no use before another one of the site was tried",
            ),
            assurance: counters(
                "gatepost_messages_tried",
                "Messages tried at a server, by how sure it is who that was",
            ),
            in_queue: examples(
                to,
                "gatepost_queue_time_seconds",
                "Time from receiving a message to its delivery",
                || {
                    Example::new(
                        [
                            0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 3600.0, 14400.0,
                            86400.0, 259_200.0,
                        ]
                        .into_iter(),
                    )
                },
            ),
            connecting: examples(
                to,
                "gatepost_connect_duration_seconds",
                "Time until a connection to a next hop was open",
                || {
                    Example::new(
                        [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0].into_iter(),
                    )
                },
            ),
            answering: examples(
                to,
                "gatepost_final_reply_duration_seconds",
                "Time from the end of a message to the answer of the next hop",
                || {
                    Example::new(
                        [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0].into_iter(),
                    )
                },
            ),
        }
    }
}

/// The counters of one route.
#[derive(Debug)]
pub(crate) struct RouteCounters {
    pub(crate) recipients: Each<Tried>,
    pub(crate) messages: Counter,
    pub(crate) octets: Counter,
    pub(crate) unconfirmed: Counter,
    pub(crate) hosts_failed: Counter,
    pub(crate) assurance: Each<Assurance>,
    pub(crate) in_queue: Example,
    pub(crate) connecting: Example,
    pub(crate) answering: Example,
}

impl RouteCounters {
    pub(crate) fn new(of: &RouteFamilies, name: &str) -> Self {
        let labels: Labels = vec![(ROUTE, Arc::from(name))];
        let one = |family: &Counters| family.get_or_create_owned(&labels);
        let time = |family: &Examples| family.get_or_create_owned(&labels);
        Self {
            recipients: Each::new(&of.recipients, &labels, "result"),
            messages: one(&of.messages),
            octets: one(&of.octets),
            unconfirmed: one(&of.unconfirmed),
            hosts_failed: one(&of.hosts_failed),
            assurance: Each::new(&of.assurance, &labels, "assurance"),
            in_queue: time(&of.in_queue),
            connecting: time(&of.connecting),
            answering: time(&of.answering),
        }
    }
}
