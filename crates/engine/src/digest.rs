//! What is held since the last time, as a message of our own to those who are to know of it.

use std::collections::BTreeMap;
use std::fmt;

use config::DigestTo;
use mail::{Mailbox, QueueId, ReversePath, Timestamp};
use message::{DigestFacts, Held, digest};
use queue::Moment;
use spool::{NewMessage, Recipient, Waiting};

use crate::NoticeSettings;
use crate::settle::own_message;

/// So much is told to one reader; of the rest he hears how much it is.
const ROWS_MAX: usize = 100;
/// So much is told to all of them together.
const ALL_ROWS_MAX: usize = 20_000;
/// So many are told.
const READERS_MAX: usize = 10_000;

/// What is to be told, by reader; gathered message by message.
#[derive(Debug, Default)]
pub struct Digest {
    /// By the address in small letters.
    readers: BTreeMap<String, Rows>,
    rows: usize,
    /// Recipients whose reader there was no room for.
    left_out: u64,
}

#[derive(Debug)]
struct Rows {
    reader: Mailbox,
    held: Vec<Held>,
    more: u64,
}

/// Who is told, and how.
#[derive(Clone, Copy)]
pub struct DigestSettings<'a> {
    /// Of what.
    pub to: DigestTo,
    /// From whom it comes.
    pub from: &'a Mailbox,
    /// How notices are written.
    pub notices: &'a NoticeSettings,
    /// The page on which a reader releases a message for this recipient, where he may.
    pub link: &'a dyn Fn(&Waiting, &Recipient) -> Option<String>,
}

impl fmt::Debug for DigestSettings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, from, .. } = self;
        f.debug_struct("DigestSettings")
            .field("to", to)
            .field("from", from)
            .finish_non_exhaustive()
    }
}

impl Digest {
    /// Counts a message that is held for these of its recipients, with its subject, for those of them
    /// whose host is one of ours as `is_hosted` says, or for the postmaster.
    pub fn add(
        &mut self,
        settings: &DigestSettings<'_>,
        waiting: &Waiting,
        subject: &str,
        now: Moment,
        is_hosted: &dyn Fn(&Mailbox) -> bool,
    ) {
        for recipient in &waiting.recipients {
            let mailbox = recipient.admitted.recipient();
            let reader = match settings.to {
                DigestTo::Postmaster => settings.notices.postmaster.as_ref(),
                DigestTo::Recipients => Some(mailbox).filter(|mailbox| is_hosted(mailbox)),
            };
            if let Some(reader) = reader {
                let link = || (settings.link)(waiting, recipient);
                self.add_for(reader, || held(waiting, recipient, subject, now, link()));
            }
        }
    }

    fn add_for(&mut self, reader: &Mailbox, held: impl FnOnce() -> Held) {
        let name = reader.as_str().to_lowercase();
        if !self.readers.contains_key(&name) && self.readers.len() >= READERS_MAX {
            self.left_out += 1;
            return;
        }
        let rows = self.readers.entry(name).or_insert_with(|| Rows {
            reader: reader.clone(),
            held: Vec::new(),
            more: 0,
        });
        if rows.held.len() >= ROWS_MAX || self.rows >= ALL_ROWS_MAX {
            rows.more += 1;
            return;
        }
        rows.held.push(held());
        self.rows += 1;
    }

    /// For how many recipients nobody is told.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The messages that tell of it, held `since` (the system's clock), wherever their readers' mail
    /// goes. `next_id` makes the queue ids.
    pub fn written(
        self,
        settings: &DigestSettings<'_>,
        since: Timestamp,
        now: Moment,
        mut next_id: impl FnMut() -> QueueId,
    ) -> Vec<NewMessage> {
        let DigestSettings {
            to, from, notices, ..
        } = settings;
        let is_of_all = *to == DigestTo::Postmaster;
        let mut messages = Vec::new();
        for Rows { reader, held, more } in self.readers.into_values() {
            // A recipient stands where forwards have led him.
            let places: Vec<Mailbox> = match is_of_all {
                true => notices.forwards.places_of(&reader).collect(),
                false => vec![reader.clone()],
            };
            for place in places {
                let id = next_id();
                let written = digest(&DigestFacts {
                    id,
                    hostname: &notices.hostname,
                    from,
                    to: &reader,
                    is_of_all,
                    now: now.wall,
                    since,
                    held: &held,
                    more,
                });
                let sender = ReversePath::Null;
                messages.push(own_message(notices, id, now, sender, place, written));
            }
        }
        messages
    }
}

fn held(
    waiting: &Waiting,
    recipient: &Recipient,
    subject: &str,
    now: Moment,
    link: Option<String>,
) -> Held {
    let message = &waiting.message;
    let last = recipient.last.as_deref().unwrap_or_default();
    let (rule, reason) = screening::rule_in(last).unzip();
    let held = Held {
        id: message.id,
        sender: message.reverse_path.as_str().to_owned(),
        recipient: recipient.admitted.recipient().as_str().to_owned(),
        subject: subject.to_owned(),
        rule,
        reason: reason.unwrap_or(last).to_owned(),
        age: now.line.since(message.arrived),
        link,
    };
    held.bounded()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use relay_policy::{Admitted, Grounds};
    use spool::{Content, Message};

    use super::*;
    use crate::sample::id;

    fn mailbox(text: &str) -> Mailbox {
        Mailbox::parse(text).unwrap()
    }

    fn waiting(n: u128, to: &[&str]) -> Waiting {
        let now = Timestamp::default();
        let recipients = (0..).zip(to);
        Waiting {
            message: Arc::new(Message {
                id: id(n),
                arrived: now,
                reverse_path: ReversePath::Mailbox(mailbox("ann@client.test")),
                parameters: Default::default(),
                client: "192.0.2.1".into(),
                user: None,
                from_stranger: true,
                head: Default::default(),
                size: 10,
            }),
            recipients: recipients
                .map(|(number, to)| {
                    let admitted = Admitted::own_notice(mailbox(to));
                    let last = "held: screen \"prizes\": hold: words (x.toml:5)";
                    Recipient {
                        last: Some(last.into()),
                        ..Recipient::waiting(number, admitted, now)
                    }
                })
                .collect(),
            content: None,
        }
    }

    fn told(to: DigestTo, all: &[Waiting]) -> Vec<(String, String)> {
        let environment = config::Environment {
            hostname: mail::Domain::parse("relay.test").ok(),
            addresses: Vec::new(),
        };
        let text = "postmaster = \"pm@here.test\"\n[listener.in]\nbind = \"0.0.0.0:25\"\n";
        let loaded = config::parse("gatepost.toml", text, &environment);
        let config = loaded.unwrap_or_else(|why| panic!("{why}")).config;
        let setup = crate::Setup::new(config);
        let settings = DigestSettings {
            to,
            from: &mailbox("gate@here.test"),
            notices: &setup.notices,
            link: &|_, _| None,
        };
        let now = Moment::of(Timestamp::from_millis(3_600_000));
        let mut digest = Digest::default();
        for waiting in all {
            let is_hosted = |mailbox: &Mailbox| mailbox.host().to_string() == "here.test";
            digest.add(&settings, waiting, "a subject", now, &is_hosted);
        }
        let mut ids = 1_000..;
        let mut next_id = || id(ids.next().unwrap());
        let messages = digest.written(&settings, Timestamp::default(), now, &mut next_id);
        let told = messages.iter().map(|message| {
            let admitted = &message.recipients[0].admitted;
            assert_eq!(admitted.grounds(), Grounds::OwnNotice);
            assert_eq!(message.message.reverse_path, ReversePath::Null);
            let Content::Inline(content) = &message.content else {
                panic!("it is small");
            };
            let text = String::from_utf8_lossy(content).into_owned();
            assert!(text.contains("From: Gatepost <gate@here.test>"), "{text}");
            let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
            (
                admitted.recipient().to_string(),
                subject.unwrap().to_owned(),
            )
        });
        told.collect()
    }

    #[test]
    fn the_postmaster_is_told_of_all_and_recipients_here_of_their_own() {
        let both = ["bob@here.test", "eve@there.test"];
        let all = [waiting(1, &both), waiting(2, &both[..1])];
        let pair = |to: &str, subject: &str| (to.to_owned(), subject.to_owned());
        assert_eq!(
            told(DigestTo::Postmaster, &all),
            [pair("pm@here.test", "In quarantine: 3 messages")]
        );
        assert_eq!(
            told(DigestTo::Recipients, &all),
            [pair("bob@here.test", "In quarantine: 2 messages")]
        );
        assert_eq!(told(DigestTo::Postmaster, &[]), []);
    }

    #[test]
    fn there_is_a_bound_for_each_reader_and_for_how_many_there_are() {
        let mut digest = Digest::default();
        let one = waiting(1, &["bob@here.test"]);
        let now = Moment::of(Timestamp::default());
        for n in 0..READERS_MAX + 2 {
            let reader = mailbox(&format!("b{n}@here.test"));
            digest.add_for(&reader, || held(&one, &one.recipients[0], "x", now, None));
        }
        assert_eq!((digest.readers.len(), digest.left_out()), (READERS_MAX, 2));
        let reader = mailbox("b0@here.test");
        for _ in 0..ROWS_MAX + 4 {
            digest.add_for(&reader, || held(&one, &one.recipients[0], "x", now, None));
        }
        let rows = &digest.readers[reader.as_str()];
        assert_eq!((rows.held.len(), rows.more), (ROWS_MAX, 5));
    }
}
