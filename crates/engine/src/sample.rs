//! What the tests of this crate deliver.

use std::sync::Arc;

use bytes::Bytes;
use mail::{
    BodyKind, MailParameters, Mailbox, Notify, QueueId, RcptParameters, ReversePath, Timestamp,
};
use queue::Job;
use relay_policy::{Admitted, Grounds};
use route::Site;
use spool::{Content, Message, NewMessage, Recipient};

pub(crate) const CONTENT: &[u8] = b"Subject: x\r\n\r\nk\xe4se\r\n";

pub(crate) fn id(n: u128) -> QueueId {
    QueueId::new(Timestamp::from_millis(1_800_000_000_000), n)
}

/// Wants to hear of success.
pub(crate) fn recipient(number: u32, address: &str) -> Recipient {
    Recipient {
        parameters: RcptParameters {
            notify: Some(Notify {
                success: true,
                failure: true,
                delay: false,
            }),
            original: None,
        },
        ..Recipient::waiting(
            number,
            Admitted::from_stored(Mailbox::parse(address).unwrap(), Grounds::OurDomain),
            Timestamp::default(),
        )
    }
}

pub(crate) fn message(n: u128, addresses: &[&str]) -> NewMessage {
    let message = Message {
        id: id(n),
        arrived: Timestamp::from_millis(1_800_000_000_000),
        reverse_path: ReversePath::parse("ann@client.example").unwrap(),
        parameters: MailParameters {
            body: BodyKind::EightBit,
            ..MailParameters::default()
        },
        client: "192.0.2.9".into(),
        user: None,
        from_stranger: false,
        head: Bytes::from_static(b"Received: here\r\n"),
        size: (16 + CONTENT.len()) as u64,
    };
    NewMessage {
        message: Arc::new(message),
        recipients: (0..)
            .zip(addresses)
            .map(|(number, address)| recipient(number, address))
            .collect(),
        content: Content::Inline(Bytes::from_static(CONTENT)),
    }
}

pub(crate) fn job(n: u128, addresses: &[&str], site: &Site) -> Job {
    let new = message(n, addresses);
    Job {
        message: new.message,
        content: Some(Bytes::from_static(CONTENT)),
        recipients: new.recipients,
        site: site.clone(),
        resting: Arc::default(),
        shut: None,
        excused: 0,
    }
}
