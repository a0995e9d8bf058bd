//! Messages to store, and directories to store them in.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use filter::Filter;
use mail::{
    BodyKind, EnvelopeId, MailParameters, Mailbox, Notify, OriginalRecipient, QueueId,
    RcptParameters, Ret, ReversePath, Timestamp,
};
use relay_policy::Admitted;
use spool::{
    Bulk, Change, Commit, Content, Local, LocalOptions, Message, NewMessage, Operation, Recipient,
    Settled, Settlement, Spool, Verb,
};

/// A moment so many seconds after the tests' beginning of time.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_775_000_000_000 + seconds * 1000)
}

/// When the `n`th message arrived, on the day before.
pub fn arrival(n: u64) -> Timestamp {
    Timestamp::from_millis(at(n).as_millis() - 86_400_000)
}

/// The id of the `n`th message; later ones sort later.
pub fn id(n: u64) -> QueueId {
    QueueId::new(at(n / 1000), u128::from(n % 1000) << 64 | u128::from(n))
}

/// A recipient with every wish set or none, by its number.
pub fn recipient(number: u32, address: &str, due: Timestamp) -> Recipient {
    let plain = number.is_multiple_of(2);
    Recipient {
        parameters: RcptParameters {
            notify: (!plain).then_some(Notify {
                success: true,
                failure: true,
                delay: false,
            }),
            original: (!plain).then(|| OriginalRecipient::new("rfc822;x@y.example").unwrap()),
        },
        ..Recipient::waiting(
            number,
            Admitted::from_stored_text(
                Mailbox::parse(address).unwrap(),
                "our-domain all@ours.example",
            )
            .unwrap(),
            due,
        )
    }
}

/// The content that belongs to an id.
pub fn content(n: u64, octets: usize) -> Bytes {
    let mut content = format!("Subject: {n}\r\n\r\n").into_bytes();
    content.resize(octets.max(content.len()), b'a' + (n % 26) as u8);
    content.into()
}

pub fn facts(n: u64, sender: &str, size: u64) -> Arc<Message> {
    Arc::new(Message {
        id: id(n),
        arrived: arrival(n),
        reverse_path: ReversePath::parse(sender).unwrap(),
        parameters: MailParameters {
            body: if n.is_multiple_of(2) {
                BodyKind::SevenBit
            } else {
                BodyKind::EightBit
            },
            smtputf8: n % 2 == 1,
            ret: [None, Some(Ret::Full), Some(Ret::Headers)][(n % 3) as usize],
            envid: EnvelopeId::new("QQ314159").filter(|_| n % 2 == 1),
        },
        client: if sender.is_empty() {
            "local".into()
        } else {
            "192.0.2.7".into()
        },
        user: n.is_multiple_of(5).then(|| "ann".into()),
        from_stranger: n.is_multiple_of(3),
        head: Bytes::from_static(b"Received: from a by b; now\r\n"),
        size,
    })
}

/// Message `n` from ann, due at once for each address.
pub fn message(n: u64, addresses: &[&str]) -> NewMessage {
    let content = content(n, 300);
    let recipients = addresses
        .iter()
        .zip(0..)
        .map(|(address, number)| recipient(number, address, at(0)));
    NewMessage {
        message: facts(n, "ann@client.example", content.len() as u64),
        recipients: recipients.collect(),
        content: Content::Inline(content),
    }
}

/// The same with another due time for all its recipients.
pub fn message_due(n: u64, addresses: &[&str], due: Timestamp) -> NewMessage {
    let mut new = message(n, addresses);
    new.recipients
        .iter_mut()
        .for_each(|recipient| recipient.due = due);
    new
}

pub fn store(spool: &dyn Spool, new: NewMessage) {
    let id = new.message.id;
    match spool.commit(vec![Change::Store(new)]).as_slice() {
        [Commit::Stored(receipt)] => assert_eq!(receipt.id(), id),
        other => panic!("{id}: {other:?}"),
    }
}

pub fn done(n: u64, numbers: &[u32]) -> Settlement {
    let recipients = numbers
        .iter()
        .map(|number| (*number, Settled::Done))
        .collect();
    Settlement {
        id: id(n),
        recipients,
        notices: Vec::new(),
    }
}

/// A verb for all that match.
pub fn bulk(verb: Verb, filter: Filter, at: Timestamp) -> Bulk {
    Bulk {
        verb,
        filter,
        at,
        by: "root".into(),
        reason: None,
        route: None,
    }
}

/// All that match go by this site from now on, or with `None` as the routes say.
pub fn reroute(filter: Filter, site: Option<&str>) -> Bulk {
    Bulk {
        route: site.map(Into::into),
        ..bulk(Verb::Reroute, filter, at(0))
    }
}

/// Stores an operation; gives its number.
pub fn begin(spool: &dyn Spool, bulk: Bulk) -> u64 {
    match spool.commit(vec![Change::Begin(bulk)]).as_slice() {
        [Commit::Begun(number)] => *number,
        other => panic!("{other:?}"),
    }
}

/// Does the next part of the oldest operation that is pending.
pub fn advance(spool: &dyn Spool) -> Option<Operation> {
    match &spool.commit(vec![Change::Advance { now: at(99) }])[..] {
        [Commit::Advanced(part)] => part.as_deref().map(|part| part.operation.clone()),
        other => panic!("{other:?}"),
    }
}

/// Carries an operation out, in how many parts it takes; gives what each of them changed.
pub fn parts(spool: &dyn Spool, bulk: Bulk) -> Vec<u64> {
    let number = begin(spool, bulk);
    let mut parts = Vec::new();
    let mut before = 0;
    loop {
        let operation = advance(spool).unwrap();
        assert_eq!(operation.number, number);
        parts.push(operation.changed - before);
        before = operation.changed;
        assert!(parts.len() < 100, "it never ends");
        if operation.ended.is_some() {
            return parts;
        }
    }
}

/// The same; gives to how many recipients it was done.
pub fn carried_out(spool: &dyn Spool, bulk: Bulk) -> u64 {
    parts(spool, bulk).iter().sum()
}

/// How many recipients a change touched.
pub fn applied(spool: &dyn Spool, change: Change) -> u64 {
    match spool.commit(vec![change]).as_slice() {
        [Commit::Applied { recipients }] => *recipients,
        other => panic!("{other:?}"),
    }
}

/// What is counted as it changes is what there is.
pub fn assert_counts(spool: &dyn Spool) {
    let each = Filter::parse("to:*", at(0)).unwrap();
    assert_eq!(spool.count(&Filter::everything()), spool.count(&each));
}

/// A directory of its own, removed in the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "spool-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    pub fn open(&self) -> Local {
        open(&self.spool())
    }
}

pub fn open(directory: &Path) -> Local {
    Local::open(LocalOptions {
        directory: directory.to_owned(),
        min_free: 0,
    })
    .unwrap()
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
