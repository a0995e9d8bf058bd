//! What was promised and what became of it: every claim that anybody makes is written down here,
//! and held against what was seen before.
//!
//! The ledger believes nobody about the relay: that a message is stored is read from the spool,
//! that it was delivered from the server that took it, that it bounced from the text of the stored
//! notice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mail::{Outcome, QueueId, Timestamp};
use spool::{Content, Model, NewMessage, Spool};

use crate::geography::HOPELESS;
use crate::letter::{self, Letter};
use crate::notice::Notice;
use crate::totals::Totals;

/// After this age a recipient may be given up: `queue.expire` of the configuration.
const EXPIRE: Duration = Duration::from_secs(24 * 3600);

/// All that is known of all messages.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) letters: Vec<Letter>,
    pub(crate) copies: BTreeMap<QueueId, Copy>,
    takes: Vec<Take>,
    /// Who was refused for good by a server.
    refused: BTreeSet<String>,
    /// Senders whose message was, as addresses; empty for the null sender.
    refused_senders: BTreeSet<String>,
    /// Rises with each crash.
    life: u64,
    violation: Option<String>,
}

/// A message in the spool: a letter as a client gave it in, or a notice of the relay's own.
pub(crate) struct Copy {
    arrived: Timestamp,
    /// What became of each recipient, by its address.
    pub(crate) fates: BTreeMap<String, Fate>,
    /// The whole of it, for notices.
    notice: Option<Vec<u8>>,
    pub(crate) null_sender: bool,
}

impl Copy {
    /// It is a notice of the relay's own.
    pub(crate) fn is_notice(&self) -> bool {
        self.notice.is_some()
    }
}

/// What became of one recipient of a copy.
#[derive(Default)]
pub(crate) struct Fate {
    number: u32,
    pub(crate) takes: Vec<usize>,
    agent: Option<u64>,
    /// When it was settled as delivered or given up, durably.
    pub(crate) done: Option<Timestamp>,
    pub(crate) bounces: u32,
}

impl Fate {
    /// Whether the answer of a server that took it has reached us in this life.
    fn is_heard(&self, takes: &[Take], life: u64) -> bool {
        let mut own = self.takes.iter().map(|take| &takes[*take]);
        own.any(|take| take.answered && take.life == life)
    }
}

fn fate<'a>(
    copies: &'a mut BTreeMap<QueueId, Copy>,
    id: QueueId,
    address: &str,
) -> Option<&'a mut Fate> {
    copies.get_mut(&id)?.fates.get_mut(address)
}

/// A server took a message for a recipient.
pub(crate) struct Take {
    life: u64,
    /// Its answer reached the agent, in that life.
    answered: bool,
}

/// What a server has when the final dot has come.
pub(crate) struct Taken<'a> {
    pub(crate) recipients: &'a [String],
    pub(crate) content: &'a [u8],
    /// Whether the agent that brought it still listens for the answer. One that gave up, or died,
    /// has left it to another.
    pub(crate) awaited: bool,
}

impl Ledger {
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

    /// The relay forgot all that it had in memory.
    pub(crate) fn on_crash(&mut self) {
        self.life += 1;
        for fate in self
            .copies
            .values_mut()
            .flat_map(|copy| copy.fates.values_mut())
        {
            fate.agent = None;
        }
    }

    /// A message may have become durable: only the spool tells.
    pub(crate) fn look_for(&mut self, new: &NewMessage, spool: &Model, totals: &mut Totals) {
        let id = new.message.id;
        if self.copies.contains_key(&id) || !matches!(spool.body(id), Ok(Some(_))) {
            return;
        }
        let fate = |recipient: &spool::Recipient| {
            let fate = Fate {
                number: recipient.number,
                ..Fate::default()
            };
            (recipient.admitted.recipient().to_string(), fate)
        };
        let sender = new.message.reverse_path.mailbox();
        let own = &*new.message.client == "local";
        let content = match &new.content {
            Content::Inline(content) if own => Some(content.to_vec()),
            Content::Inline(_) | Content::Large(_) => None,
        };
        let copy = Copy {
            arrived: new.message.arrived,
            fates: new.recipients.iter().map(fate).collect(),
            notice: content.clone(),
            null_sender: sender.is_none(),
        };
        let sender = sender.map(|mailbox| mailbox.as_str());
        for address in copy.fates.keys() {
            self.check_admitted(address, own);
            self.check_sender(address, own, sender);
        }
        self.copies.insert(id, copy);
        totals.count(if own {
            "notices stored"
        } else {
            "messages stored"
        });
        if let Some(content) = content {
            self.on_notice(&content, new.message.arrived, totals);
        }
    }

    fn check_admitted(&mut self, address: &str, own: bool) {
        let letter =
            letter::owner(address).and_then(|(n, sender)| Some((self.letters.get(n)?, sender)));
        let fine = match letter {
            Some((letter, true)) => own && letter.sender.as_deref() == Some(address),
            Some((letter, false)) => {
                !own && letter.addressee(address).is_some_and(|a| a.allowed) && !letter.smuggles
            }
            None => false,
        };
        self.require(fine, || format!("{address} was never admitted"));
    }

    fn check_sender(&mut self, address: &str, own: bool, sender: Option<&str>) {
        let letter = letter::owner(address).and_then(|(n, _)| self.letters.get(n));
        let expected = letter.and_then(|letter| letter.sender.as_deref());
        let right = if own {
            sender.is_none()
        } else {
            sender == expected
        };
        self.require(right, || {
            format!("what goes to {address} is said to be of {sender:?}")
        });
    }

    /// A notice is durable: it speaks of recipients.
    fn on_notice(&mut self, content: &[u8], now: Timestamp, totals: &mut Totals) {
        let notice = Notice::read(content);
        for (address, action) in &notice.recipients {
            let Some(fate) = self
                .copies
                .get(&notice.about)
                .and_then(|copy| copy.fates.get(address))
            else {
                self.violate(format!(
                    "a notice about {} names {address}, who is not in it",
                    notice.about
                ));
                continue;
            };
            let taken = !fate.takes.is_empty();
            match action.as_str() {
                "failed" => self.on_bounce(notice.about, address, now, totals),
                "relayed" => {
                    totals.count("success notices");
                    self.require(taken, || {
                        format!("{address} is said to be relayed, nobody took it")
                    });
                }
                "delayed" => totals.count("delay notices"),
                other => self.violate(format!("a notice with the action {other}")),
            }
        }
    }

    fn on_bounce(&mut self, id: QueueId, address: &str, now: Timestamp, totals: &mut Totals) {
        totals.count("bounces");
        if self.is_expired(id, now) {
            totals.count("bounces for age");
        }
        let grounds = self.may_give_up(id, address, now);
        self.require(grounds, || {
            format!("{id} bounced for {address} without a reason")
        });
        let life = self.life;
        let Some(fate) = fate(&mut self.copies, id, address) else {
            return;
        };
        fate.bounces += 1;
        let (again, done) = (fate.bounces > 1, fate.done.is_some());
        let heard = fate.is_heard(&self.takes, life);
        if !fate.takes.is_empty() {
            totals.count("delivered and bounced, for want of an answer");
        }
        self.require(!again, || format!("{id} bounced twice for {address}"));
        self.require(!done && !heard, || {
            format!("{id} was delivered to {address} and bounced")
        });
    }

    fn is_expired(&self, id: QueueId, now: Timestamp) -> bool {
        self.copies
            .get(&id)
            .is_some_and(|copy| now >= copy.arrived + EXPIRE)
    }

    /// Whether anything has happened for which a recipient is rightly given up.
    pub(crate) fn may_give_up(&self, id: QueueId, address: &str, now: Timestamp) -> bool {
        let copy = self.copies.get(&id);
        let null_sender = copy.is_some_and(|copy| copy.null_sender);
        let sender = letter::owner(address).and_then(|(n, _)| self.letters.get(n)?.sender.as_ref());
        let sender = if null_sender {
            Some("")
        } else {
            sender.map(String::as_str)
        };
        self.is_expired(id, now)
            || self.refused.contains(address)
            || sender.is_some_and(|sender| self.refused_senders.contains(sender))
            || HOPELESS.iter().any(|domain| address.ends_with(domain))
    }

    /// A client heard 250 for its message: the spool must have it, for just these recipients.
    pub(crate) fn on_promise(&mut self, letter: usize, id: Option<QueueId>, recipients: &[String]) {
        let smuggles = self
            .letters
            .get(letter)
            .is_some_and(|letter| letter.smuggles);
        self.require(!smuggles, || {
            format!("letter {letter} was taken with its bare line ends")
        });
        let Some(copy) = id.and_then(|id| self.copies.get(&id)) else {
            return self.violate(format!(
                "letter {letter} heard 250, and the spool never had it"
            ));
        };
        let wanted: BTreeSet<&String> = recipients.iter().collect();
        let same = copy.fates.keys().collect::<BTreeSet<_>>() == wanted;
        self.require(same, || {
            format!("letter {letter} was stored for others than were accepted")
        });
    }

    /// A server hears a recipient.
    pub(crate) fn on_rcpt(&mut self, address: &str) {
        let is_sender = letter::owner(address).is_some_and(|(_, sender)| sender);
        self.check_admitted(address, is_sender);
        let known = self
            .copies
            .values()
            .any(|copy| copy.fates.contains_key(address));
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

    /// A server takes a message. Gives the number by which its answer is followed.
    pub(crate) fn on_taken(&mut self, taken: &Taken<'_>, totals: &mut Totals) -> u64 {
        totals.count("messages taken by servers");
        let number = self.takes.len();
        self.takes.push(Take {
            life: self.life,
            answered: false,
        });
        let Some(id) = self.identify(taken) else {
            return number as u64;
        };
        let (life, takes) = (self.life, &self.takes);
        let mut broken = None;
        let Some(copy) = self.copies.get_mut(&id) else {
            return number as u64;
        };
        for address in taken.recipients {
            let Some(fate) = copy.fates.get_mut(address) else {
                broken = Some(format!("{id} was given to {address}, who is not in it"));
                break;
            };
            let heard = fate.is_heard(takes, life);
            if heard && taken.awaited {
                broken = Some(format!(
                    "{id} was sent again to {address}, though its server had answered"
                ));
            }
            totals.count(if fate.takes.is_empty() {
                "deliveries"
            } else {
                "duplicates"
            });
            fate.takes.push(number);
        }
        if let Some(broken) = broken {
            self.violate(broken);
        }
        number as u64
    }

    /// Which message this is; its content must be what was given in, whole.
    fn identify(&mut self, taken: &Taken<'_>) -> Option<QueueId> {
        let first = taken.recipients.first()?;
        let (number, is_notice) = letter::owner(first)?;
        let found = if is_notice {
            let same = |copy: &Copy| copy.notice.as_deref() == Some(taken.content);
            self.copies
                .iter()
                .find(|(_, copy)| same(copy))
                .map(|(id, _)| *id)
        } else {
            let content = &self.letters.get(number)?.content;
            let head = taken.content.strip_suffix(&content[..]);
            head.and_then(|head| id_in_head(std::str::from_utf8(head).ok()?))
        };
        let found = found.filter(|id| self.copies.contains_key(id));
        self.require(found.is_some(), || {
            format!(
                "what {first} got is not what was sent:\n{}",
                String::from_utf8_lossy(taken.content)
            )
        });
        found
    }

    /// The answer to a take reached the agent.
    pub(crate) fn on_answer(&mut self, take: u64) {
        if let Some(take) = self.takes.get_mut(take as usize) {
            take.answered = take.life == self.life;
        }
    }

    /// An agent gets a recipient to deliver to.
    pub(crate) fn on_job(&mut self, agent: u64, id: QueueId, address: &str) {
        let life = self.life;
        let Some(fate) = fate(&mut self.copies, id, address) else {
            return self.violate(format!(
                "an agent gets {id} for {address}, which nobody stored"
            ));
        };
        let before = fate.agent.replace(agent);
        let settled = fate.done.is_some();
        let heard = fate.is_heard(&self.takes, life);
        self.require(before.is_none(), || {
            format!("two agents have {id} for {address}")
        });
        self.require(!settled, || {
            format!("{id} goes out for {address} although that was settled")
        });
        self.require(!heard, || {
            format!("{id} goes out again for {address}, though it was delivered")
        });
    }

    /// An agent says what became of a recipient, or nothing.
    pub(crate) fn on_result(&mut self, id: QueueId, address: &str, outcome: Option<&Outcome>) {
        let Some(fate) = fate(&mut self.copies, id, address) else {
            return;
        };
        fate.agent = None;
        let answered = fate.is_heard(&self.takes, self.life);
        let delivered = matches!(outcome, Some(Outcome::Delivered(_)));
        self.require(!delivered || answered, || {
            format!("{id} is called delivered to {address}, but no server said so")
        });
        self.require(delivered || !answered, || {
            format!("a server took {id} for {address}, which is called {outcome:?}")
        });
    }

    /// A recipient's settlement as delivered or given up is durable.
    pub(crate) fn on_done(&mut self, id: QueueId, number: u32, now: Timestamp) {
        if let Some(copy) = self.copies.get_mut(&id)
            && let Some(fate) = copy.fates.values_mut().find(|fate| fate.number == number)
        {
            fate.done = Some(now);
        }
    }
}

/// The queue id in the `Received` field that we put on top; `None` when the head is not what we
/// write.
fn id_in_head(head: &str) -> Option<QueueId> {
    let fields = ["Received: from ", "Date: ", "Message-ID: ", "\t"];
    let ours = head.starts_with("Received: from ")
        && head.ends_with("\r\n")
        && head
            .split_terminator("\r\n")
            .all(|line| fields.iter().any(|start| line.starts_with(start)));
    let (_, rest) = head.split_once(" id ")?;
    rest.get(..26).filter(|_| ours)?.parse().ok()
}
