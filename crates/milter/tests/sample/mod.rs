//! A message to be asked about.

use std::collections::BTreeMap;

use mail::{Client, MailParameters, Mailbox, QueueId, RcptParameters, ReversePath, Timestamp};
use message::HeaderScan;
use milter::{Edited, Envelope, Facts, Recipient};

pub fn facts() -> Facts {
    let address = |text: &str| text.parse().expect("an address");
    Facts {
        host: "relay.example".into(),
        software: "Gatepost 1".into(),
        client: Client::new(
            address("203.0.113.9:40000"),
            address("192.0.2.1:25"),
            "inbound".into(),
        ),
        client_name: None,
        hello: "home.example".into(),
        mechanism: None,
        id: QueueId::new(Timestamp::default(), 7),
        declared_size: None,
        macros: BTreeMap::new(),
    }
}

/// This message, from ann to bob and eve.
pub fn edited(message: &str) -> Edited<'_> {
    let recipient = |address| Recipient {
        mailbox: Mailbox::parse(address).expect("an address"),
        parameters: RcptParameters::default(),
        is_added: false,
    };
    let envelope = Envelope {
        sender: ReversePath::parse("ann@home.example").expect("a sender"),
        parameters: MailParameters::default(),
        recipients: ["bob@mail.example", "eve@mail.example"]
            .map(recipient)
            .into(),
    };
    let header_len = HeaderScan::header_len(message.as_bytes());
    Edited::new(message.as_bytes(), header_len, message.len(), envelope)
}
