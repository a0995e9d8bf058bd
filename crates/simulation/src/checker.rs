//! What was promised and what became of it: every claim that anybody makes is written down here,
//! and held against what was seen before.
//!
//! The checker believes nobody about the relay: that a message is stored is read from the spool,
//! that it was delivered from the server that took it, that it bounced from the text of the stored
//! notice.

mod end;
mod late;
mod notice;
mod operations;
mod pace;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mail::{Outcome, QueueId, Reply, Timestamp};
use route::{Hours, LargeHours};
use spool::{Content, Model, NewMessage, Recipient, Settlement, Spool};

use self::notice::Notice;
use self::operations::Operations;
pub(crate) use self::operations::{Kept, kept};
pub(crate) use self::pace::Pace;
use crate::domains::{HOPELESS, ON_DEMAND};
use crate::rules::{self, Fate, MARK};
use crate::submission::{Submission, owner};
use crate::totals::Totals;

/// After this age a recipient may be given up: `queue.expire` of the configuration.
const EXPIRE: Duration = Duration::from_secs(24 * 3600);

/// All that is known of all messages.
#[derive(Default)]
pub(crate) struct Checker {
    pub(crate) submissions: Vec<Arc<Submission>>,
    pub(crate) totals: Totals,
    /// How much goes where in a time.
    pub(crate) pace: Pace,
    stored: BTreeMap<QueueId, Stored>,
    /// Who was refused for good by a server.
    refused: BTreeSet<String>,
    /// Senders whose message was, as addresses; empty for the null sender.
    refused_senders: BTreeSet<String>,
    /// What the administrator said.
    operations: Operations,
    /// When mail for a domain on demand was asked for last, where there is such a domain.
    pub(crate) asked: Option<Timestamp>,
    /// When mail goes to the routes that have hours.
    pub(crate) hours: Option<Hours>,
    /// When large messages do.
    pub(crate) large_hours: Option<LargeHours>,
    /// Scanners look at all mail.
    pub(crate) scanned: bool,
    /// Which of them have answered about a message.
    scans: BTreeMap<QueueId, BTreeSet<String>>,
    /// Of messages that came as files, the queue id of each.
    files: BTreeMap<usize, QueueId>,
    /// Files that were taken, or set aside as bad.
    ended_files: BTreeSet<usize>,
    violation: Option<String>,
}

/// A message in the spool: as a client submitted it, or a notice of the relay's own.
struct Stored {
    arrived: Timestamp,
    /// The first one of those that came as one with it: itself, as a rule.
    first: QueueId,
    /// Which one was submitted; none for notices.
    submission: Option<usize>,
    /// By address.
    recipients: BTreeMap<String, Progress>,
    /// The whole of it, for notices of the relay's own.
    notice: Option<Vec<u8>>,
    null_sender: bool,
    /// Whom it came for, where it was taken before it was looked at.
    came_for: Option<BTreeSet<String>>,
}

/// What became of one recipient of a stored message.
#[derive(Default)]
struct Progress {
    number: u32,
    /// Whom the client named.
    named: String,
    is_copy: bool,
    agent: Option<u64>,
    /// Servers have taken it.
    taken: bool,
    /// The answer of one of them has reached this life of the relay.
    heard: bool,
    /// When it was settled as delivered or given up, durably.
    done: Option<Timestamp>,
    bounces: u32,
    /// Nobody has looked at it.
    unscreened: bool,
    /// It was refused after it was taken.
    refused_late: bool,
    /// The administrator gave it up.
    given_up: bool,
    /// He deleted it, and the spool has it no longer.
    deleted: bool,
    /// The queue manager has decided about it, and that is not written yet.
    settling: bool,
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
                progress.settling = false;
            }
        }
    }

    /// A message may have become durable: only the spool tells.
    /// `first`: of those that are stored with it, the one of which the client hears; `is_late`: it
    /// has yet to be looked at.
    pub(crate) fn look_for(
        &mut self,
        new: &NewMessage,
        first: QueueId,
        is_late: bool,
        spool: &Model,
    ) {
        let id = new.message.id;
        if self.stored.contains_key(&id) || !matches!(spool.body(id), Ok(Some(_))) {
            return;
        }
        let sender = new
            .message
            .reverse_path
            .mailbox()
            .map(|mailbox| mailbox.as_str());
        let own = &*new.message.client == "local";
        let (mut recipients, mut submission) = (BTreeMap::new(), None);
        for recipient in &new.recipients {
            let admitted = &recipient.admitted;
            let (address, named) = (admitted.recipient().as_str(), admitted.named().as_str());
            self.check_admitted(named, own);
            self.check_sender(named, own, sender);
            if !own {
                submission = owner(named).map(|(number, _)| number);
            }
            if !own && !is_late {
                self.check_rules(submission, named, address, admitted.is_copy());
            }
            let progress = Progress {
                number: recipient.number,
                named: named.to_owned(),
                is_copy: admitted.is_copy(),
                unscreened: is_late,
                ..Progress::default()
            };
            recipients.insert(address.to_owned(), progress);
        }
        if !is_late {
            self.check_scanned(first, &recipients);
        }
        let notice = match &new.content {
            Content::Inline(content) if own => Some(content.to_vec()),
            Content::Inline(_) | Content::Large(_) => None,
        };
        if let Some(number) = submission.filter(|number| self.is_file(*number)) {
            let before = *self.files.entry(number).or_insert(first);
            if before != first {
                self.violate(format!("file {number} is stored as {before} and {first}"));
            }
        }
        let stored = Stored {
            arrived: new.message.arrived,
            first,
            submission,
            notice: notice.clone(),
            null_sender: sender.is_none(),
            came_for: is_late.then(|| recipients.keys().cloned().collect()),
            recipients,
        };
        self.stored.insert(id, stored);
        match notice {
            Some(notice) => self.on_notice(&notice, new.message.arrived),
            None => self.totals.count("messages stored"),
        }
    }

    /// Scanners are asked about a message.
    pub(crate) fn on_scanning(&mut self, id: QueueId) {
        self.scans.remove(&id);
    }

    /// One has answered.
    pub(crate) fn on_scanned(&mut self, id: QueueId, scanner: &str) {
        self.totals.count("answers of scanners");
        self.scans.entry(id).or_default().insert(scanner.to_owned());
    }

    /// Whether what scanners find in it is to keep a message out.
    pub(crate) fn is_refused(&self, message: &Submission) -> bool {
        self.scanned && message.found_by().is_some()
    }

    /// All of them have seen what is stored, and found nothing, where rules leave that to them.
    fn check_scanned(&mut self, first: QueueId, recipients: &BTreeMap<String, Progress>) {
        let none = BTreeSet::new();
        let seen_by = self.scans.get(&first).unwrap_or(&none);
        let is_seen = rules::SCANNERS_NAMED
            .iter()
            .all(|one| seen_by.contains(*one));
        for named in recipients.values().map(|progress| &*progress.named) {
            let owned = self.owner(named).filter(|(_, is_sender)| !is_sender);
            let Some((submission, _)) = owned.filter(|_| self.scanned) else {
                continue;
            };
            let (number, finds) = (submission.number, submission.found_by());
            let is_decided = Fate::of(number, named).is_decided();
            let wrong = match finds {
                Some(scanner) if seen_by.contains(scanner) => {
                    "although a scanner found malware in it"
                }
                _ if !is_seen && !is_decided => "which some scanner has not seen",
                _ => continue,
            };
            return self.violate(format!("message {number} is taken for {named}, {wrong}"));
        }
    }

    fn is_file(&self, number: usize) -> bool {
        let submission = self.submissions.get(number);
        submission.is_some_and(|submission| submission.is_file)
    }

    /// A file is handed over under this id, whose message the spool does not have. Where it had it
    /// before, all of it has reached its recipients, and its file was there again after a crash, or
    /// still was: it goes out twice.
    pub(crate) fn on_offered(&mut self, id: QueueId) {
        if self.stored.remove(&id).is_some() {
            self.operations.forget(|(known, _)| *known == id);
            self.totals.count("files sent twice");
        }
    }

    /// A file will never be sent: somebody in it is not allowed.
    pub(crate) fn on_bad_file(&mut self, number: usize, why: &Reply) {
        self.totals.count("files refused");
        self.ended_files.insert(number);
        let recipients = &self.submissions[number].recipients;
        if recipients.iter().all(|one| one.allowed) {
            self.violate(format!("file {number} was refused: {why}"));
        }
    }

    /// Only whom the submission names, and who is allowed; in a notice only its sender.
    fn check_admitted(&mut self, address: &str, own: bool) {
        let right = match self.owner(address) {
            Some((submission, true)) => own && submission.sender.as_deref() == Some(address),
            Some((submission, false)) => {
                let recipient = submission.recipient(address);
                !own && !submission.smuggles && recipient.is_some_and(|one| one.allowed)
            }
            None => false,
        };
        if !right {
            self.violate(format!("{address} was never admitted"));
        }
    }

    /// Who gets it in place of somebody, or as well, does so by a rule.
    fn check_rules(
        &mut self,
        submission: Option<usize>,
        named: &str,
        address: &str,
        is_copy: bool,
    ) {
        let fate = submission.map(|number| Fate::of(number, named));
        if !fate.is_some_and(|fate| fate.leads(named, address, is_copy)) {
            self.violate(format!("{address} gets mail for {named} by no rule"));
        }
        if address != named {
            self.totals.count("recipients that rules named");
        }
    }

    fn check_sender(&mut self, address: &str, own: bool, sender: Option<&str>) {
        let submission = self.owner(address).filter(|_| !own);
        if sender != submission.and_then(|(submission, _)| submission.sender.as_deref()) {
            self.violate(format!(
                "{address} gets mail that is said to be of {sender:?}"
            ));
        }
    }

    /// A notice is durable: it speaks of recipients.
    fn on_notice(&mut self, content: &[u8], now: Timestamp) {
        self.totals.count("notices stored");
        let Notice { about, recipients } = Notice::read(content);
        self.check_deleted(about, &recipients, now);
        for (named, action) in &recipients {
            let address = &self.reader(about, named).unwrap_or_else(|| named.clone());
            let taken = self.progress(about, address).map(|progress| progress.taken);
            match (action.as_str(), taken) {
                ("failed", Some(_)) => self.on_bounce(about, address, now),
                ("relayed", Some(true)) => self.totals.count("success notices"),
                ("delayed", Some(_)) => self.totals.count("delay notices"),
                _ => self.violate(format!("{named} is {action} in a notice about {about}")),
            }
        }
    }

    /// Who gets a message in place of whom its client named. Notices speak of the latter alone, and of
    /// copies to nobody.
    fn reader(&self, id: QueueId, named: &str) -> Option<String> {
        let mut all = self.stored.get(&id)?.recipients.iter();
        let reader = all.find(|(_, one)| one.named == named && !one.is_copy);
        reader.map(|(address, _)| address.clone())
    }

    fn on_bounce(&mut self, id: QueueId, address: &str, now: Timestamp) {
        self.totals.count("bounces");
        if self.is_expired(id, now) {
            self.totals.count("bounces for age");
        }
        let excused = self.may_give_up(id, address, now);
        let Some(progress) = self.progress(id, address) else {
            return;
        };
        progress.bounces += 1;
        let taken = progress.taken;
        let broken = match progress {
            _ if !excused => Some("without a reason"),
            Progress { bounces: 2.., .. } => Some("twice"),
            Progress { heard: true, .. } => Some("after its delivery"),
            Progress { done: Some(_), .. } => Some("although it was settled"),
            Progress { .. } => None,
        };
        if let Some(broken) = broken {
            self.violate(format!("{id} bounced for {address} {broken}"));
        }
        if taken {
            self.totals
                .count("delivered and bounced, for want of an answer");
        }
    }

    fn is_expired(&self, id: QueueId, now: Timestamp) -> bool {
        let stored = self.stored.get(&id);
        stored.is_some_and(|stored| now >= stored.arrived + EXPIRE)
    }

    /// Whether anything has happened for which a recipient is rightly given up.
    fn may_give_up(&self, id: QueueId, address: &str, now: Timestamp) -> bool {
        let stored = self.stored.get(&id);
        let submission = stored.and_then(|stored| self.submissions.get(stored.submission?));
        let sender = match stored {
            Some(stored) if stored.null_sender => Some(""),
            Some(_) | None => submission.and_then(|submission| submission.sender.as_deref()),
        };
        self.is_expired(id, now)
            || self.refused.contains(address)
            || stored
                .and_then(|stored| stored.recipients.get(address))
                .is_some_and(|one| one.refused_late || one.given_up)
            || sender.is_some_and(|sender| self.refused_senders.contains(sender))
            || HOPELESS.iter().any(|domain| address.ends_with(domain))
    }

    /// A client heard 250 for its message: the spool must have it, for just these recipients.
    pub(crate) fn on_promise(
        &mut self,
        message: &Submission,
        id: Option<QueueId>,
        accepted: &[usize],
    ) {
        let number = message.number;
        if message.is_file {
            self.ended_files.insert(number);
        }
        if message.smuggles {
            self.violate(format!(
                "message {number} was taken with its bare line ends"
            ));
        }
        let addresses = accepted.iter().map(|at| &*message.recipients[*at].address);
        let late = id.and_then(|id| self.stored.get(&id)?.came_for.clone());
        if let Some(came_for) = late {
            let accepted: BTreeSet<&str> = addresses.collect();
            if !came_for.iter().map(String::as_str).eq(accepted) {
                self.violate(format!(
                    "message {number} is taken for others than were accepted"
                ));
            }
            return;
        }
        let wanted = rules::readers(number, addresses);
        let together = self.stored.values();
        let together: Vec<_> = together.filter(|stored| Some(stored.first) == id).collect();
        let recipients = together.iter().flat_map(|stored| stored.recipients.keys());
        let found: BTreeSet<&str> = recipients.map(String::as_str).collect();
        let count = together.len();
        if found.is_empty() && !wanted.is_empty() {
            self.violate(format!("message {number}: 250, and the spool never had it"));
        } else if found != wanted {
            self.violate(format!(
                "message {number} is stored for others than were accepted"
            ));
        }
        match count {
            0 => self.totals.count("messages thrown away"),
            1 => {}
            _ => self.totals.count("messages that became several"),
        }
    }

    /// A server hears a recipient.
    pub(crate) fn on_rcpt(&mut self, address: &str) {
        // Whom a rule names was checked when it was stored.
        if let Some((_, is_sender)) = owner(address) {
            self.check_admitted(address, is_sender);
        }
        let mut stored = self.stored.values();
        if !stored.any(|stored| stored.recipients.contains_key(address)) {
            self.violate(format!(
                "a server hears {address}, which no stored message names"
            ));
        }
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
        at: (usize, Timestamp),
        recipients: Vec<String>,
        content: &[u8],
        is_awaited: bool,
    ) -> Option<Delivery> {
        self.totals.count("messages taken by servers");
        let id = self.identify(recipients.first()?, content)?;
        self.check_pace(at, id, &recipients);
        for address in &recipients {
            let Some(progress) = self.progress(id, address) else {
                self.violate(format!("{id} was given to {address}, who is not in it"));
                break;
            };
            let again = std::mem::replace(&mut progress.taken, true);
            let heard = progress.heard;
            let what = if again { "duplicates" } else { "deliveries" };
            self.totals.count(what);
            if heard && is_awaited {
                self.violate(format!(
                    "{id} was sent again to {address}, though that had answered"
                ));
            }
        }
        Some(Delivery { id, recipients })
    }

    /// No site gets more in a time than its rate allows.
    fn check_pace(&mut self, at: (usize, Timestamp), id: QueueId, recipients: &[String]) {
        let address = recipients.first().and_then(|first| first.rsplit_once('@'));
        let domain = address.map_or("", |(_, domain)| domain).to_owned();
        match self.pace.on_taken(at, id, (&domain, recipients.len())) {
            Some((count, true)) => self.violate(format!("{count} in a time to {domain}")),
            Some((_, false)) => self.totals.count("messages within a rate"),
            None => {}
        }
    }

    /// Which message this is; its content must be what was submitted, whole.
    fn identify(&mut self, recipient: &str, content: &[u8]) -> Option<QueueId> {
        let is_notice = owner(recipient).is_some_and(|(_, is_sender)| is_sender);
        let found = if is_notice {
            let mut stored = self.stored.iter();
            let notice = stored.find(|(_, stored)| stored.notice.as_deref() == Some(content));
            notice.map(|(id, _)| *id)
        } else {
            self.submitted(recipient, content)
        };
        let found = found.filter(|id| self.stored.contains_key(id));
        if found.is_none() {
            let content = String::from_utf8_lossy(content);
            self.violate(format!(
                "what {recipient} got is not what was sent:\n{content}"
            ));
        }
        found
    }

    /// The submitted message that has this content as `recipient` is to get it.
    fn submitted(&self, recipient: &str, content: &[u8]) -> Option<QueueId> {
        let says = String::from_utf8_lossy(content.get(..HEAD_MAX).unwrap_or(content));
        let stored = self.stored.get(&id_after(&says)?)?;
        let submission = self.submissions.get(stored.submission?)?;
        let head = content.strip_suffix(&submission.content[..])?;
        let head = std::str::from_utf8(head).ok()?;
        let named = &stored.recipients.get(recipient)?.named;
        let fate = Fate::of(submission.number, named);
        let head = match fate {
            Fate::Marked => head.strip_prefix(MARK)?,
            Fate::AsItCame | Fate::Moved | Fate::Copied | Fate::Dropped => head,
        };
        id_in_head(if self.scanned {
            without_scan(head)
        } else {
            head
        })
    }

    /// The answer to a delivery reached the agent.
    pub(crate) fn on_answer(&mut self, delivery: &Delivery) {
        for address in &delivery.recipients {
            if let Some(progress) = self.progress(delivery.id, address) {
                progress.heard = true;
            }
        }
    }

    /// Somebody who may asks for the mail of the domain on demand.
    pub(crate) fn on_asked(&mut self, waits: bool, now: Timestamp) {
        self.asked = Some(now);
        self.totals.count(match waits {
            true => "requests for mail that waits",
            false => "requests for mail where none waits",
        });
    }

    /// Whether the recipient is at the domain on demand, and nobody has asked since its message came.
    fn is_unasked(&self, id: QueueId, address: &str) -> bool {
        let is_there = address.ends_with(ON_DEMAND);
        let stored = self.stored.get(&id).zip(self.asked).filter(|_| is_there);
        stored.is_some_and(|(stored, asked)| asked < stored.arrived)
    }

    /// An agent gets a recipient to deliver to.
    pub(crate) fn on_job(
        &mut self,
        agent: u64,
        id: QueueId,
        recipient: &Recipient,
        now: Timestamp,
    ) {
        let address = recipient.admitted.recipient().as_str();
        let number = self.progress(id, address).map(|progress| progress.number);
        if number.is_some_and(|number| self.is_withheld(id, number, now)) {
            self.violate(format!(
                "agent {agent} gets {id} for {address}, which is withheld"
            ));
        }
        let is_unasked = recipient.rerouted().is_none() && self.is_unasked(id, address);
        let progress = self.progress(id, address);
        let before = progress.and_then(|progress| progress.agent.replace(agent));
        let broken = match self.progress(id, address) {
            None => "which nobody stored",
            Some(Progress {
                unscreened: true, ..
            }) => "which nobody has screened",
            Some(_) if is_unasked => "for which nobody has asked",
            Some(_) if before.is_some() => "which two agents have now",
            Some(Progress { done: Some(_), .. }) => "although that was settled",
            Some(Progress { heard: true, .. }) => "though it was delivered",
            Some(_) => return,
        };
        self.violate(format!("agent {agent} gets {id} for {address}, {broken}"));
    }

    /// An agent had jobs, and was never started: nobody has them.
    pub(crate) fn on_never_started(&mut self, agent: u64) {
        let stored = self.stored.values_mut();
        for progress in stored.flat_map(|stored| stored.recipients.values_mut()) {
            progress.agent.take_if(|has| *has == agent);
        }
    }

    /// An agent says what became of a recipient, or nothing.
    pub(crate) fn on_result(&mut self, id: QueueId, address: &str, outcome: Option<&Outcome>) {
        let Some(progress) = self.progress(id, address) else {
            return;
        };
        progress.agent = None;
        progress.settling = outcome.is_some();
        let heard = progress.heard;
        if heard != matches!(outcome, Some(Outcome::Delivered(_))) {
            let taken = if heard { "taken" } else { "not taken" };
            self.violate(format!(
                "{id} for {address} was {taken}, but is called {outcome:?}"
            ));
        }
    }

    /// The queue manager has decided what becomes of recipients.
    pub(crate) fn on_settling(&mut self, settlement: &Settlement) {
        self.note_settling(settlement, true);
    }

    /// That is durable.
    pub(crate) fn on_settled(&mut self, settlement: &Settlement) {
        self.note_settling(settlement, false);
    }

    fn note_settling(&mut self, settlement: &Settlement, settling: bool) {
        let stored = self.stored.get_mut(&settlement.id);
        let recipients = stored.map(|stored| stored.recipients.values_mut());
        for progress in recipients.into_iter().flatten() {
            let mut named = settlement.recipients.iter();
            if named.any(|(number, _)| *number == progress.number) {
                progress.settling = settling;
            }
        }
    }

    /// A recipient's settlement as delivered or given up is durable.
    pub(crate) fn on_done(&mut self, id: QueueId, number: u32, now: Timestamp) {
        let stored = self.stored.get_mut(&id);
        let recipients = stored.map(|stored| stored.recipients.values_mut());
        for progress in recipients.into_iter().flatten() {
            if progress.number == number {
                progress.done = Some(now);
            }
        }
    }
}

/// A head without the field that tells what scanners said, if it begins with that.
fn without_scan(head: &str) -> &str {
    if !head.starts_with("X-Gatepost-Scan: ") {
        return head;
    }
    let ends = |at: &usize| !head[at + 2..].starts_with([' ', '\t']);
    let ends = head.match_indices("\r\n").map(|(at, _)| at).find(ends);
    ends.map_or(head, |at| &head[at + 2..])
}

/// The queue id in the `Received` field that we put on top; `None` when the head is not what we
/// write.
fn id_in_head(head: &str) -> Option<QueueId> {
    let fields = ["Received: from ", "Date: ", "Message-ID: ", "\t"];
    let mut lines = head.split_terminator("\r\n");
    let ours = head.starts_with("Received: from ")
        && head.ends_with("\r\n")
        && lines.all(|line| fields.iter().any(|start| line.starts_with(start)));
    id_after(head).filter(|_| ours)
}

/// What we put before a message is shorter.
const HEAD_MAX: usize = 1000;

/// The first queue id in a text.
fn id_after(head: &str) -> Option<QueueId> {
    let (_, rest) = head.split_once(" id ")?;
    rest.get(..26)?.parse().ok()
}
