//! What was promised and what became of it: every claim that anybody makes is written down here,
//! and held against what was seen before.
//!
//! The checker believes nobody about the relay: that a message is stored is read from the spool,
//! that it was delivered from the server that took it, that it bounced from the text of the stored
//! notice.

mod end;
mod notice;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use mail::{Outcome, QueueId, Timestamp};
use spool::{Content, Model, NewMessage, Spool};

use self::notice::Notice;
use crate::domains::HOPELESS;
use crate::submission::{Submission, owner};
use crate::totals::Totals;

/// After this age a recipient may be given up: `queue.expire` of the configuration.
const EXPIRE: Duration = Duration::from_secs(24 * 3600);

/// All that is known of all messages.
#[derive(Default)]
pub(crate) struct Checker {
    pub(crate) submissions: Vec<Rc<Submission>>,
    pub(crate) totals: Totals,
    stored: BTreeMap<QueueId, Stored>,
    /// Who was refused for good by a server.
    refused: BTreeSet<String>,
    /// Senders whose message was, as addresses; empty for the null sender.
    refused_senders: BTreeSet<String>,
    violation: Option<String>,
}

/// A message in the spool: as a client submitted it, or a notice of the relay's own.
struct Stored {
    arrived: Timestamp,
    /// By address.
    recipients: BTreeMap<String, Progress>,
    /// The whole of it, for notices of the relay's own.
    notice: Option<Vec<u8>>,
    null_sender: bool,
}

/// What became of one recipient of a stored message.
#[derive(Default)]
struct Progress {
    number: u32,
    agent: Option<u64>,
    /// Servers have taken it.
    taken: bool,
    /// The answer of one of them has reached this life of the relay.
    heard: bool,
    /// When it was settled as delivered or given up, durably.
    done: Option<Timestamp>,
    bounces: u32,
}

/// A server took a message for these recipients.
pub(crate) struct Delivery {
    id: QueueId,
    recipients: Vec<String>,
}

impl Checker {
    /// The first rule that was broken.
    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    pub(crate) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violate(what());
        }
    }

    fn progress(&mut self, id: QueueId, address: &str) -> Option<&mut Progress> {
        self.stored.get_mut(&id)?.recipients.get_mut(address)
    }

    /// The submission that an address belongs to, and whether it is the sender's.
    fn owner(&self, address: &str) -> Option<(&Submission, bool)> {
        let (number, is_sender) = owner(address)?;
        Some((self.submissions.get(number)?, is_sender))
    }

    /// The relay forgot all that it had in memory.
    pub(crate) fn on_crash(&mut self) {
        for stored in self.stored.values_mut() {
            for progress in stored.recipients.values_mut() {
                (progress.agent, progress.heard) = (None, false);
            }
        }
    }

    /// A message may have become durable: only the spool tells.
    pub(crate) fn look_for(&mut self, new: &NewMessage, spool: &Model) {
        let id = new.message.id;
        if self.stored.contains_key(&id) || !matches!(spool.body(id), Ok(Some(_))) {
            return;
        }
        let progress = |recipient: &spool::Recipient| {
            let progress = Progress {
                number: recipient.number,
                ..Progress::default()
            };
            (recipient.admitted.recipient().to_string(), progress)
        };
        let sender = new.message.reverse_path.mailbox();
        let own = &*new.message.client == "local";
        let notice = match &new.content {
            Content::Inline(content) if own => Some(content.to_vec()),
            Content::Inline(_) | Content::Large(_) => None,
        };
        let stored = Stored {
            arrived: new.message.arrived,
            recipients: new.recipients.iter().map(progress).collect(),
            notice: notice.clone(),
            null_sender: sender.is_none(),
        };
        for address in stored.recipients.keys() {
            self.check_admitted(address, own);
            self.check_sender(address, own, sender.map(|mailbox| mailbox.as_str()));
        }
        self.stored.insert(id, stored);
        self.totals.count(if own {
            "notices stored"
        } else {
            "messages stored"
        });
        if let Some(notice) = notice {
            self.on_notice(&notice, new.message.arrived);
        }
    }

    fn check_admitted(&mut self, address: &str, own: bool) {
        let right = self.owner(address).is_some_and(|(submission, is_sender)| {
            let recipient = submission.recipient(address);
            if is_sender {
                own && submission.sender.as_deref() == Some(address)
            } else {
                !own && recipient.is_some_and(|one| one.allowed) && !submission.smuggles
            }
        });
        self.require(right, || format!("{address} was never admitted"));
    }

    fn check_sender(&mut self, address: &str, own: bool, sender: Option<&str>) {
        let submission = self.owner(address).filter(|_| !own);
        let expected = submission.and_then(|(submission, _)| submission.sender.as_deref());
        let right = sender == expected;
        self.require(right, || {
            format!("what goes to {address} is said to be of {sender:?}")
        });
    }

    /// A notice is durable: it speaks of recipients.
    fn on_notice(&mut self, content: &[u8], now: Timestamp) {
        let Notice { about, recipients } = Notice::read(content);
        for (address, action) in &recipients {
            let Some(progress) = self.progress(about, address) else {
                self.violate(format!(
                    "a notice about {about} names {address}, who is not in it"
                ));
                continue;
            };
            let taken = progress.taken;
            match action.as_str() {
                "failed" => self.on_bounce(about, address, now),
                "relayed" => {
                    self.totals.count("success notices");
                    self.require(taken, || {
                        format!("{address} is relayed, but nobody took it")
                    });
                }
                "delayed" => self.totals.count("delay notices"),
                other => self.violate(format!("a notice with the action {other}")),
            }
        }
    }

    fn on_bounce(&mut self, id: QueueId, address: &str, now: Timestamp) {
        self.totals.count("bounces");
        if self.is_expired(id, now) {
            self.totals.count("bounces for age");
        }
        let has_reason = self.may_give_up(id, address, now);
        self.require(has_reason, || {
            format!("{id} bounced for {address} without a reason")
        });
        let Some(progress) = self.progress(id, address) else {
            return;
        };
        progress.bounces += 1;
        let Progress {
            taken,
            heard,
            done,
            bounces,
            ..
        } = *progress;
        if taken {
            self.totals
                .count("delivered and bounced, for want of an answer");
        }
        self.require(bounces == 1, || format!("{id} bounced twice for {address}"));
        self.require(done.is_none() && !heard, || {
            format!("{id} was delivered to {address} and bounced")
        });
    }

    fn is_expired(&self, id: QueueId, now: Timestamp) -> bool {
        let stored = self.stored.get(&id);
        stored.is_some_and(|stored| now >= stored.arrived + EXPIRE)
    }

    /// Whether anything has happened for which a recipient is rightly given up.
    fn may_give_up(&self, id: QueueId, address: &str, now: Timestamp) -> bool {
        let null_sender = self
            .stored
            .get(&id)
            .is_some_and(|stored| stored.null_sender);
        let submission = self.owner(address);
        let sender = submission.and_then(|(submission, _)| submission.sender.as_deref());
        let sender = if null_sender { Some("") } else { sender };
        self.is_expired(id, now)
            || self.refused.contains(address)
            || sender.is_some_and(|sender| self.refused_senders.contains(sender))
            || HOPELESS.iter().any(|domain| address.ends_with(domain))
    }

    /// A client heard 250 for its message: the spool must have it, for just these recipients.
    pub(crate) fn on_promise(
        &mut self,
        message: &Submission,
        id: Option<QueueId>,
        recipients: &[String],
    ) {
        let number = message.number;
        self.require(!message.smuggles, || {
            format!("message {number} was taken with its bare line ends")
        });
        let Some(stored) = id.and_then(|id| self.stored.get(&id)) else {
            return self.violate(format!("message {number}: 250, and the spool never had it"));
        };
        let wanted: BTreeSet<&String> = recipients.iter().collect();
        let same = stored.recipients.keys().collect::<BTreeSet<_>>() == wanted;
        self.require(same, || {
            format!("message {number} was stored for others than were accepted")
        });
    }

    /// A server hears a recipient.
    pub(crate) fn on_rcpt(&mut self, address: &str) {
        let is_sender = owner(address).is_some_and(|(_, is_sender)| is_sender);
        self.check_admitted(address, is_sender);
        let mut stored = self.stored.values();
        let known = stored.any(|stored| stored.recipients.contains_key(address));
        self.require(known, || {
            format!("a server hears of {address}, whom no stored message names")
        });
    }

    /// A server refused a recipient for good.
    pub(crate) fn on_refused(&mut self, address: &str) {
        self.refused.insert(address.to_owned());
    }

    /// A server refused a message of this sender for good.
    pub(crate) fn on_refused_sender(&mut self, sender: &str) {
        self.refused_senders.insert(sender.to_owned());
    }

    /// A server takes a message. Its agent still listens for the answer, or it gave up, or died,
    /// and has left the message to another.
    pub(crate) fn on_taken(
        &mut self,
        recipients: Vec<String>,
        content: &[u8],
        is_awaited: bool,
    ) -> Option<Delivery> {
        self.totals.count("messages taken by servers");
        let id = self.identify(recipients.first()?, content)?;
        for address in &recipients {
            let Some(progress) = self.progress(id, address) else {
                self.violate(format!("{id} was given to {address}, who is not in it"));
                break;
            };
            let again = std::mem::replace(&mut progress.taken, true);
            let heard = progress.heard;
            self.totals
                .count(if again { "duplicates" } else { "deliveries" });
            self.require(!heard || !is_awaited, || {
                format!("{id} was sent again to {address}, though its server had answered")
            });
        }
        Some(Delivery { id, recipients })
    }

    /// Which message this is; its content must be what was submitted, whole.
    fn identify(&mut self, recipient: &str, content: &[u8]) -> Option<QueueId> {
        let (submission, is_notice) = self.owner(recipient)?;
        let found = if is_notice {
            let mut stored = self.stored.iter();
            let notice = stored.find(|(_, stored)| stored.notice.as_deref() == Some(content));
            notice.map(|(id, _)| *id)
        } else {
            let head = content.strip_suffix(&submission.content[..]);
            head.and_then(|head| id_in_head(std::str::from_utf8(head).ok()?))
        };
        let found = found.filter(|id| self.stored.contains_key(id));
        self.require(found.is_some(), || {
            let content = String::from_utf8_lossy(content);
            format!("what {recipient} got is not what was sent:\n{content}")
        });
        found
    }

    /// The answer to a delivery reached the agent.
    pub(crate) fn on_answer(&mut self, delivery: &Delivery) {
        for address in &delivery.recipients {
            if let Some(progress) = self.progress(delivery.id, address) {
                progress.heard = true;
            }
        }
    }

    /// An agent gets a recipient to deliver to.
    pub(crate) fn on_job(&mut self, agent: u64, id: QueueId, address: &str) {
        let Some(progress) = self.progress(id, address) else {
            return self.violate(format!(
                "an agent gets {id} for {address}, which nobody stored"
            ));
        };
        let before = progress.agent.replace(agent);
        let (is_settled, heard) = (progress.done.is_some(), progress.heard);
        self.require(before.is_none(), || {
            format!("two agents have {id} for {address}")
        });
        self.require(!is_settled, || {
            format!("{id} goes out for {address} although that was settled")
        });
        self.require(!heard, || {
            format!("{id} goes out again for {address}, though it was delivered")
        });
    }

    /// An agent says what became of a recipient, or nothing.
    pub(crate) fn on_result(&mut self, id: QueueId, address: &str, outcome: Option<&Outcome>) {
        let Some(progress) = self.progress(id, address) else {
            return;
        };
        progress.agent = None;
        let heard = progress.heard;
        let delivered = matches!(outcome, Some(Outcome::Delivered(_)));
        self.require(!delivered || heard, || {
            format!("{id} is called delivered to {address}, but no server said so")
        });
        self.require(delivered || !heard, || {
            format!("a server took {id} for {address}, which is called {outcome:?}")
        });
    }

    /// A recipient's settlement as delivered or given up is durable.
    pub(crate) fn on_done(&mut self, id: QueueId, number: u32, now: Timestamp) {
        let stored = self.stored.get_mut(&id);
        let mut recipients = stored
            .into_iter()
            .flat_map(|stored| stored.recipients.values_mut());
        if let Some(progress) = recipients.find(|progress| progress.number == number) {
            progress.done = Some(now);
        }
    }
}

/// The queue id in the `Received` field that we put on top; `None` when the head is not what we
/// write.
fn id_in_head(head: &str) -> Option<QueueId> {
    let fields = ["Received: from ", "Date: ", "Message-ID: ", "\t"];
    let mut lines = head.split_terminator("\r\n");
    let ours = head.starts_with("Received: from ")
        && head.ends_with("\r\n")
        && lines.all(|line| fields.iter().any(|start| line.starts_with(start)));
    let (_, rest) = head.split_once(" id ")?;
    rest.get(..26).filter(|_| ours)?.parse().ok()
}
