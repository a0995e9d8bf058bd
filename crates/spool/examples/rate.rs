//! How many messages a second the local store accepts and settles: `rate [OCTETS] [BATCH] [SECONDS]
//! [DIRECTORY]`.
//!
//! Each commit stores one batch and settles the one before, as under steady load when every message
//! goes out at once.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mail::{MailParameters, Mailbox, QueueId, ReversePath, Timestamp};
use relay_policy::{Admitted, Grounds};
use spool::{
    Change, Commit, Content, Local, LocalOptions, Message, NewMessage, Recipient, Settled,
    Settlement, Spool,
};

fn message(n: u64, content: &Bytes) -> NewMessage {
    let to = Mailbox::parse("bob@example.com").expect("an address");
    let message = Message {
        id: QueueId::new(
            Timestamp::from_millis(1_775_000_000_000 + n / 25),
            u128::from(n) << 32,
        ),
        arrived: Timestamp::from_millis(1_775_000_000_000),
        reverse_path: ReversePath::parse("ann@client.example").expect("an address"),
        parameters: MailParameters::default(),
        client: "192.0.2.7".into(),
        user: None,
        from_stranger: false,
        head: Bytes::from_static(&[b'h'; 250]),
        size: content.len() as u64 + 250,
    };
    let recipient = Recipient::waiting(
        0,
        Admitted::from_stored(to, Grounds::OurDomain),
        message.arrived,
    );
    let content = Content::Inline(content.clone());
    NewMessage {
        message: Arc::new(message),
        recipients: vec![recipient],
        content,
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: u64| {
        arguments
            .get(i)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (octets, batch, seconds) = (number(0, 4096), number(1, 64), number(2, 5));
    let directory = arguments.get(3).cloned().unwrap_or_else(|| {
        std::env::temp_dir()
            .join(format!("spool-rate-{}", std::process::id()))
            .display()
            .to_string()
    });
    let options = LocalOptions {
        directory: directory.clone().into(),
        min_free: 0,
    };
    let spool = Local::open(options).expect("a spool");
    let content = Bytes::from(vec![b'x'; octets as usize]);
    let (mut next, mut settled, mut stored) = (0, Vec::new(), 0u64);
    let (started, mut slowest) = (Instant::now(), Duration::ZERO);
    while started.elapsed() < Duration::from_secs(seconds) {
        let new: Vec<NewMessage> = (next..next + batch).map(|n| message(n, &content)).collect();
        next += batch;
        let ids: Vec<QueueId> = new.iter().map(|new| new.message.id).collect();
        let mut changes: Vec<Change> = new.into_iter().map(Change::Store).collect();
        changes.extend(settled.drain(..).map(|id| {
            let recipients = vec![(0, Settled::Done)];
            Change::Settle(Settlement {
                id,
                recipients,
                notices: Vec::new(),
            })
        }));
        let begun = Instant::now();
        let answers = spool.commit(changes);
        slowest = slowest.max(begun.elapsed());
        assert!(
            answers
                .iter()
                .all(|a| !matches!(a, Commit::Rejected(_) | Commit::Unknown(_)))
        );
        stored += batch;
        settled = ids;
    }
    let elapsed = started.elapsed();
    let rate = stored as f64 / elapsed.as_secs_f64();
    println!(
        "{rate:.0} messages/s of {octets} octets in batches of {batch}; slowest commit {slowest:?}"
    );
    drop(spool);
    if arguments.get(3).is_none() {
        let _ = std::fs::remove_dir_all(directory);
    }
}
