//! What happens to one message that is taken, carried to its next hop and done: the facts, as the
//! relay tells them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::dispatch::Fact;
use engine::{Acceptance, Report};
use mail::{
    Client, Delivery, MailParameters, Mailbox, Outcome, Place, QueueId, Reply, ReversePath,
    Timestamp,
};
use metrics::{DnsAnswer, Metrics};
use queue::{Decided, Disposition, Job, JobReport, Judged, Reach};
use reception::{End, SessionFact, Summary};
use relay_policy::{Admitted, Grounds, Rewritten};
use route::{Assurance, NextHop, Site};
use screening::{Class, Finding};
use spool::{Content, Message, NewMessage, Recipient};

pub const SIZE: u64 = 4_000;

/// All that is told of one message.
pub struct Facts {
    client: Client,
    ended: SessionFact,
    acceptance: Acceptance,
    report: Report,
    settled: Fact,
}

fn message() -> NewMessage {
    let admitted = Admitted::from_stored(
        Mailbox::parse("bob@hosted.example").expect("an address"),
        Grounds::OurDomain,
    );
    let message = Message {
        id: QueueId::new(Timestamp::default(), 7),
        arrived: Timestamp::default(),
        reverse_path: ReversePath::Null,
        parameters: MailParameters::default(),
        client: "192.0.2.9".into(),
        user: None,
        from_stranger: true,
        head: Bytes::new(),
        size: SIZE,
    };
    NewMessage {
        message: Arc::new(message),
        recipients: vec![Recipient::waiting(0, admitted, Timestamp::default())],
        content: Content::Inline(Bytes::new()),
    }
}

fn report(message: &NewMessage, delivered: &Delivery) -> Report {
    let site = Site {
        name: "route:isp".into(),
        next_hop: Arc::new(NextHop::SmartHosts(Vec::new())),
        place: Place::Default,
        otherwise: None,
        despite_policies: false,
    };
    Report {
        agent: 1,
        job: Job {
            message: Arc::clone(&message.message),
            content: None,
            recipients: message.recipients.clone(),
            site: site.clone(),
            resting: Arc::default(),
            shut: None,
            excused: 0,
        },
        site,
        ended: JobReport {
            results: vec![(0, Outcome::Delivered(delivered.clone()))],
            reach: Reach::ToTheEnd,
            reusable: true,
            dsn_passed: Vec::new(),
        },
        unknown: false,
        host: "mail.isp.example".to_owned(),
        took: Duration::from_secs(4),
        age: Duration::from_secs(20),
        connecting: Some(Duration::from_millis(30)),
        answering: Some(Duration::from_secs(2)),
        rewritten: Rewritten::Not,
        sent_as: None,
        tls: None,
        assurance: Some(Assurance::Encrypted),
        dialogue: Box::default(),
    }
}

impl Facts {
    /// Of a message by the listener `in` and the route `isp`.
    pub fn new() -> Self {
        let client = Client::new(
            "192.0.2.9:4711".parse().expect("an address"),
            "192.0.2.25:25".parse().expect("an address"),
            "in".into(),
        );
        let summary = Summary {
            hello: None,
            end: End::Quit,
            commands: 5,
            messages: 1,
            accepted: 1,
            recipients: 1,
            refused: 0,
            errors: 0,
            hasty: 0,
            octets: SIZE,
        };
        let message = message();
        let delivered = Delivery {
            reply: Reply::new(250, 0, 0, "ok"),
            host: None,
        };
        let judged = Judged {
            recipient: message.recipients[0].clone(),
            disposition: Disposition::Delivered(delivered.clone()),
            site: "route:isp".into(),
            tried: true,
        };
        let decided = Decided {
            message: Arc::clone(&message.message),
            content: None,
            dsn_passed: Vec::new(),
            untold: Vec::new(),
            recipients: vec![judged],
        };
        Self {
            ended: SessionFact::Ended(Box::new(summary)),
            report: report(&message, &delivered),
            settled: Fact::Settled {
                decided: Arc::new(decided),
                dropped: 0,
            },
            acceptance: Acceptance {
                unscreened_by: None,
                client: client.clone(),
                session: 1,
                hello: "client.example".into(),
                client_name: None,
                origin: None,
                reasons: Vec::new(),
                parted_from: None,
                message_id: Box::default(),
                subject: Box::default(),
                trace_parent: None,
                message,
            },
            client,
        }
    }

    /// Tells them.
    pub fn tell(&self, metrics: &Metrics) {
        let finding = Finding {
            classes: vec![Class::Spam, Class::Reject],
            ..Finding::default()
        };
        metrics.connected(&self.client);
        metrics.accepted(&self.acceptance);
        metrics.session(&self.client, &self.ended);
        metrics.session_over(&self.client, Duration::from_secs(1));
        metrics.scanned("clam", &finding, Some(Duration::from_millis(30)));
        metrics.committed(Duration::from_millis(3));
        metrics.asked_dns(DnsAnswer::NoSuchName, Duration::from_millis(3));
        metrics.attempt(&self.report);
        metrics.dispatched(&self.settled);
    }
}

/// Counters that know the listener and the route.
pub fn metrics() -> Metrics {
    let metrics = Metrics::default();
    metrics.know(["in".into()].into_iter(), ["route:isp".into()].into_iter());
    metrics.know_scanners(["clam".into()].into_iter());
    metrics
}
