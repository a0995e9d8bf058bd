//! What the model holds, and what each change does to it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Cursor as Bytewise;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use filter::{Filter, State as AskedState};
use mail::{QueueId, Timestamp};

use crate::message::host_name;
use crate::model::Fault;
use crate::operation::{
    Cursor, ENDED_KEPT, Files, LOOKED_AT_MAX, PASSED_OVER_MAX, Pending, is_withheld, not_withheld,
};
use crate::verb::Effect;
use crate::{
    BULK_RECIPIENTS_MAX, Body, Bulk, Change, Commit, Content, Counts, DuePage, DuePlace, Ended,
    Filed, Found, Health, HoldReason, LateVerdict, Message, NewMessage, Operation, Page, Part,
    Pause, Receipt, Recipient, RecipientState, Replacement, Settled, Settlement, SpoolError,
    Unscreened, UnscreenedPage, Verb, Waiting, Wanted, check,
};

/// Everything, behind the model's one lock.
#[derive(Default)]
pub(super) struct State {
    pub(super) messages: BTreeMap<QueueId, Entry>,
    /// Waiting recipients, in the order in which they are asked for.
    due: BTreeSet<(Arc<str>, Timestamp, QueueId, u32)>,
    /// Large bodies that are finished; dropped with the message, or in a crash when no message
    /// names them.
    pub(super) bodies: HashMap<QueueId, Bytes>,
    /// Those of whom nobody knows whether their message is stored.
    pub(super) doubtful: Vec<QueueId>,
    /// Large bodies that are being written.
    pub(super) writing: HashSet<QueueId>,
    /// Rises with each crash: a writer from before counts for nothing.
    pub(super) life: u64,
    /// Also those that have ended, the oldest first.
    pub(super) operations: Vec<Pending>,
    /// How many recipients a part of an operation changes at most, if not as many as elsewhere.
    pub(super) part_max: Option<usize>,
    /// By site; the whole queue has no name, and comes first.
    pub(super) pauses: BTreeMap<Option<Box<str>>, Pause>,
    pub(super) failed: Option<SpoolError>,
    pub(super) low_space: bool,
    pub(super) fault_next: Option<Fault>,
    pub(super) heals_to_fail: u32,
    /// Changes of unknown outcome that turn out to be stored.
    surfacing: Vec<Change>,
    pub(super) commits: u64,
}

/// The new mail in `change` whose body is a large one.
fn new_large_bodies(change: &Change) -> Vec<QueueId> {
    if !change.is_new_mail() {
        return Vec::new();
    }
    let all = change.messages().iter();
    let large = all.filter(|new| matches!(new.content, Content::Large(_)));
    large.map(|new| new.message.id).collect()
}

/// A message that is not settled.
pub(super) struct Entry {
    pub(super) message: Arc<Message>,
    pub(super) content: Content,
    pub(super) recipients: BTreeMap<u32, (Arc<str>, Recipient)>,
    /// What is kept for whoever is to look at it.
    pub(super) facts: Bytes,
}

impl State {
    pub(super) fn health(&self) -> Health {
        match (&self.failed, self.low_space) {
            (Some(error), _) => Health::Failed(error.clone()),
            (None, true) => Health::LowSpace { free: 0, floor: 1 },
            (None, false) => Health::Accepting,
        }
    }

    pub(super) fn surface(&mut self) {
        let changes = std::mem::take(&mut self.surfacing);
        self.apply_all(changes);
        for id in std::mem::take(&mut self.doubtful) {
            self.drop_body(id);
        }
    }

    pub(super) fn commit(&mut self, changes: Vec<Change>) -> Vec<Commit> {
        let large = changes.iter().map(new_large_bodies).collect::<Vec<_>>();
        let results = self.answer(changes);
        for (ids, result) in large.into_iter().zip(&results) {
            match result {
                Commit::Rejected(_) => ids.into_iter().for_each(|id| self.drop_body(id)),
                Commit::Unknown(_) => self.doubtful.extend(ids),
                _ => {}
            }
        }
        results
    }

    /// The large body of new mail that was rejected, unless it is that of another change after all.
    pub(super) fn drop_body(&mut self, id: QueueId) {
        let surfaces = |change: &Change| new_large_bodies(change).contains(&id);
        if !self.messages.contains_key(&id) && !self.surfacing.iter().any(surfaces) {
            self.bodies.remove(&id);
        }
    }

    fn answer(&mut self, changes: Vec<Change>) -> Vec<Commit> {
        if let Some(error) = &self.failed {
            return vec![Commit::Rejected(error.clone()); changes.len()];
        }
        let count = changes.len();
        match self.fault_next.take() {
            None => self.apply_all(changes),
            Some(Fault::Rejected(error)) => {
                self.failed = Some(error.clone());
                vec![Commit::Rejected(error); count]
            }
            Some(Fault::Unknown { applied }) => {
                let error = SpoolError::Io("the sync failed".into());
                self.failed = Some(error.clone());
                if applied {
                    self.surfacing = changes;
                }
                vec![Commit::Unknown(error); count]
            }
        }
    }

    fn apply_all(&mut self, changes: Vec<Change>) -> Vec<Commit> {
        let results: Vec<Commit> = changes
            .into_iter()
            .map(|change| self.apply(change))
            .collect();
        let changed = |commit: &Commit| match commit {
            Commit::Stored(_) | Commit::Begun(_) => true,
            Commit::Applied { recipients } => *recipients > 0,
            Commit::Advanced(operation) => operation.is_some(),
            Commit::Rejected(_) | Commit::Unknown(_) => false,
        };
        self.commits += u64::from(results.iter().any(changed));
        results
    }

    fn apply(&mut self, change: Change) -> Commit {
        match change {
            new if new.is_new_mail() && self.low_space => Commit::Rejected(SpoolError::Full),
            Change::Store(new) => self.store_new(vec![new]),
            Change::StoreAll(all) => self.store_new(all),
            Change::StoreUnscreened(new, facts) => self.store_unscreened(new, facts),
            Change::Screened(verdict) => self.screened(verdict),
            Change::Settle(settlement) => self.settle(settlement),
            Change::Begin(bulk) => self.begin(bulk),
            Change::Advance { now } => self.advance(now),
            Change::Stop { number, now } => self.stop(number, now),
            Change::File(filed) => self.file(&filed),
            Change::DropHeld(id, reason) => self.drop_held(id, reason),
            Change::Replace(replacement) => self.replace(replacement),
            Change::Pause(pause) => self.pause(pause),
            Change::Resume(site) => {
                let resumed = self.pauses.remove(&site);
                Commit::Applied {
                    recipients: u64::from(resumed.is_some()),
                }
            }
        }
    }

    fn pause(&mut self, pause: Pause) -> Commit {
        self.pauses.retain(|_, known| !known.is_over(pause.since));
        self.pauses.insert(pause.site.clone(), pause);
        Commit::Applied { recipients: 1 }
    }

    fn store_new(&mut self, all: Vec<NewMessage>) -> Commit {
        let checked = check::new_messages(&all)
            .and_then(|()| all.iter().try_for_each(|new| self.check_content(new)));
        if let Err(why) = checked {
            return Commit::Rejected(why);
        }
        let mut ids = all.iter().map(|new| new.message.id);
        if let Some(id) = ids.find(|id| self.messages.contains_key(id)) {
            let why = format!("{id} is stored already");
            return Commit::Rejected(SpoolError::Invalid(why.into()));
        }
        let receipt = Receipt::new(all[0].message.id);
        for new in all {
            self.store(new);
        }
        Commit::Stored(receipt)
    }

    fn store_unscreened(&mut self, new: NewMessage, facts: Bytes) -> Commit {
        let id = new.message.id;
        let stored = self.store_new(vec![new]);
        if let (Commit::Stored(_), Some(entry)) = (&stored, self.messages.get_mut(&id)) {
            entry.facts = facts;
        }
        stored
    }

    fn screened(&mut self, verdict: LateVerdict) -> Commit {
        let LateVerdict {
            id,
            numbers,
            led,
            kept,
            others,
        } = verdict;
        let recipients = self.messages.get(&id).map(|entry| &entry.recipients);
        let all = recipients.into_iter().flatten();
        let (found, others_there): (Vec<_>, Vec<_>) = all
            .map(|(_, (_, one))| one)
            .partition(|one| one.state == RecipientState::Held(HoldReason::Unscreened));
        let only =
            |some: &[&Recipient]| -> Vec<u32> { some.iter().map(|one| one.number).collect() };
        let (looked_at, place) = (only(&found), only(&others_there));
        let led_now = found.iter().filter_map(|one| one.led());
        let is_withheld = self
            .messages
            .get(&id)
            .is_some_and(|entry| is_withheld(&entry.unscreened(), &self.all_pending()));
        if looked_at.is_empty() || looked_at != numbers || !led_now.eq(led) || is_withheld {
            return Commit::Rejected(check::not_unscreened(id));
        }
        if let Some(kept) = &kept
            && let Err(why) = check::kept(kept, &place)
        {
            return Commit::Rejected(why);
        }
        if !others.is_empty() {
            let stored = self.store_new(others);
            if !matches!(stored, Commit::Stored(_)) {
                return stored;
            }
        }
        if let (Some(kept), Some(entry)) = (kept, self.messages.get_mut(&id)) {
            entry.message = kept.message;
            // The last one that goes must not take the message along.
            entry
                .recipients
                .retain(|number, _| !looked_at.contains(number));
            let added = kept.recipients.into_iter().map(|one| {
                let host: Arc<str> = one.filed_under().into();
                (one.number, (host, one))
            });
            entry.recipients.extend(added);
            let due: Vec<_> = entry.due(id).collect();
            self.due.extend(due);
        } else {
            for number in &looked_at {
                self.forget(id, *number);
            }
        }
        Commit::Applied {
            recipients: looked_at.len() as u64,
        }
    }

    pub(super) fn unscreened(&self, before: Timestamp, limit: usize) -> UnscreenedPage {
        let is_meant = |one: &Recipient| one.state == RecipientState::Held(HoldReason::Unscreened);
        let mut all: Vec<(Timestamp, QueueId)> = Vec::new();
        for (id, entry) in &self.messages {
            let of_one = entry.recipients.values().map(|(_, one)| one);
            let due = of_one.filter(|one| is_meant(one)).map(|one| one.due).min();
            all.extend(due.map(|due| (due, *id)));
        }
        all.sort_unstable();
        let (pending, mut page) = (self.all_pending(), UnscreenedPage::default());
        let mut passed_over = 0;
        for (due, id) in all {
            if due > before {
                page.next = Some(due);
                break;
            }
            if page.messages.len() == limit || passed_over == PASSED_OVER_MAX {
                break;
            }
            let entry = &self.messages[&id];
            let (waiting, facts) = (entry.unscreened(), entry.facts.clone());
            if is_withheld(&waiting, &pending) {
                passed_over += 1;
                continue;
            }
            page.messages.push(Unscreened { waiting, facts });
        }
        page
    }

    fn check_content(&self, new: &NewMessage) -> Result<(), SpoolError> {
        let id = new.message.id;
        let Content::Large(large) = &new.content else {
            return Ok(());
        };
        let held = self
            .bodies
            .get(&id)
            .is_some_and(|body| body.len() as u64 == large.size);
        if held && *large.name == *id.to_string() {
            return Ok(());
        }
        Err(SpoolError::Invalid(
            format!("the large body of {id} is not there").into(),
        ))
    }

    /// Answers whether the id was free.
    fn store(&mut self, new: NewMessage) -> bool {
        let NewMessage {
            message,
            recipients,
            content,
        } = new;
        let id = message.id;
        if self.messages.contains_key(&id) {
            return false;
        }
        let recipients = recipients.into_iter().map(|recipient| {
            let host: Arc<str> = recipient.filed_under().into();
            (recipient.number, (host, recipient))
        });
        let entry = Entry {
            message,
            content,
            recipients: recipients.collect(),
            facts: Bytes::new(),
        };
        self.due.extend(entry.due(id));
        self.messages.insert(id, entry);
        true
    }

    fn settle(&mut self, settlement: Settlement) -> Commit {
        let checked = check::settlement(&settlement).and_then(|()| {
            settlement
                .notices
                .iter()
                .try_for_each(|notice| self.check_content(notice))
        });
        if let Err(why) = checked {
            return Commit::Rejected(why);
        }
        let nobody_named = settlement.recipients.is_empty();
        let mut touched = 0;
        for (number, settled) in settlement.recipients {
            touched += u64::from(self.settle_one(settlement.id, number, settled));
        }
        if touched > 0 || nobody_named {
            for notice in settlement.notices {
                self.store(notice);
            }
        }
        Commit::Applied {
            recipients: touched,
        }
    }

    fn settle_one(&mut self, id: QueueId, number: u32, settled: Settled) -> bool {
        match settled {
            Settled::Done => self.forget(id, number),
            Settled::Again {
                due,
                tries,
                last,
                delay_told,
            } => {
                let given_before = self
                    .recipient(id, number)
                    .is_some_and(|r| (r.tries, r.delay_told) == (tries, delay_told));
                !given_before
                    && self.change(id, number, |r| {
                        (r.due, r.tries, r.delay_told) = (due, tries, delay_told);
                        if r.state != RecipientState::Held(HoldReason::Bouncing) {
                            r.last = Some(last);
                        }
                    })
            }
            Settled::Held { reason, last } => self.change(id, number, |r| {
                (r.state, r.last) = (RecipientState::Held(reason), Some(last));
            }),
        }
    }

    fn recipient(&self, id: QueueId, number: u32) -> Option<&Recipient> {
        let (_, recipient) = self.messages.get(&id)?.recipients.get(&number)?;
        Some(recipient)
    }

    /// Changes a recipient and its place in the order of due times.
    fn change(&mut self, id: QueueId, number: u32, change: impl FnOnce(&mut Recipient)) -> bool {
        let entry = self.messages.get_mut(&id);
        let Some((host, recipient)) = entry.and_then(|e| e.recipients.get_mut(&number)) else {
            return false;
        };
        self.due
            .remove(&(Arc::clone(host), recipient.due, id, number));
        change(recipient);
        if recipient.state == RecipientState::Waiting {
            self.due
                .insert((Arc::clone(host), recipient.due, id, number));
        }
        true
    }

    fn file(&mut self, filed: &[Filed]) -> Commit {
        let mut touched = 0;
        for Filed { id, number, name } in filed {
            let is_rerouted = |one: &Recipient| one.rerouted().is_some();
            if !self.recipient(*id, *number).is_some_and(is_rerouted) {
                touched += u64::from(self.file_one(*id, *number, name));
            }
        }
        Commit::Applied {
            recipients: touched,
        }
    }

    fn file_one(&mut self, id: QueueId, number: u32, name: &Arc<str>) -> bool {
        let entry = self.messages.get_mut(&id);
        let Some((host, recipient)) = entry.and_then(|e| e.recipients.get_mut(&number)) else {
            return false;
        };
        let place = |host: &Arc<str>| (Arc::clone(host), recipient.due, id, number);
        if self.due.remove(&place(host)) {
            self.due.insert(place(name));
        }
        *host = Arc::clone(name);
        recipient.file_under(name);
        true
    }

    fn file_by_host(&mut self, id: QueueId, number: u32) -> bool {
        let recipient = self.recipient(id, number);
        let host = recipient.map(|one| host_name(one.admitted.recipient().host()).into());
        host.is_some_and(|host| self.file_one(id, number, &host))
    }

    /// Forgets a recipient, and with the last one the message.
    fn forget(&mut self, id: QueueId, number: u32) -> bool {
        let Some(entry) = self.messages.get_mut(&id) else {
            return false;
        };
        let Some((host, recipient)) = entry.recipients.remove(&number) else {
            return false;
        };
        self.due.remove(&(host, recipient.due, id, number));
        if entry.recipients.is_empty() {
            self.messages.remove(&id);
            self.bodies.remove(&id);
        }
        true
    }

    fn begin(&mut self, bulk: Bulk) -> Commit {
        let has_ended = |one: &&Pending| one.operation.ended.is_some();
        let ended = self.operations.iter().filter(has_ended).count();
        if let Err(why) = check::operation(&bulk, self.operations.len() - ended) {
            return Commit::Rejected(why);
        }
        let mut surplus = ended.saturating_sub(ENDED_KEPT);
        self.operations.retain(|one| {
            let goes = has_ended(&one) && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
        let number = self
            .operations
            .last()
            .map_or(1, |one| one.operation.number + 1);
        let last = self.messages.last_key_value().map(|(id, _)| *id);
        self.operations.push(Pending {
            operation: Operation::begun(number, bulk),
            after: None,
            last: last.unwrap_or(QueueId::from_bytes([0; 16])),
        });
        Commit::Begun(number)
    }

    fn pending(&mut self) -> impl Iterator<Item = &mut Pending> {
        self.operations
            .iter_mut()
            .filter(|one| one.operation.ended.is_none())
    }

    fn stop(&mut self, number: u64, now: Timestamp) -> Commit {
        let named = self.pending().find(|one| one.operation.number == number);
        let stopped = named.map(|one| {
            let (at, stopped) = (now, true);
            one.operation.ended = Some(Ended { at, stopped });
        });
        Commit::Applied {
            recipients: u64::from(stopped.is_some()),
        }
    }

    fn drop_held(&mut self, id: QueueId, reason: HoldReason) -> Commit {
        let recipients = self
            .messages
            .get(&id)
            .map(|entry| entry.recipients.values());
        let held = recipients.into_iter().flatten().filter_map(|(_, one)| {
            (one.state == RecipientState::Held(reason)).then_some(one.number)
        });
        let held: Vec<u32> = held.collect();
        for number in &held {
            self.forget(id, *number);
        }
        Commit::Applied {
            recipients: held.len() as u64,
        }
    }

    fn replace(&mut self, replacement: Replacement) -> Commit {
        let Replacement { id, reason, by } = replacement;
        let numbers: Vec<u32> = by.recipients.iter().map(|one| one.number).collect();
        for number in &numbers {
            let held = self.recipient(id, *number).map(|one| one.state);
            if held != Some(RecipientState::Held(reason)) {
                return Commit::Rejected(check::not_held(id, *number));
            }
        }
        let stored = self.store_new(vec![by]);
        if let Commit::Stored(_) = stored {
            for number in numbers {
                self.forget(id, number);
            }
        }
        stored
    }

    fn advance(&mut self, now: Timestamp) -> Commit {
        let Some(mut pending) = self.pending().next().cloned() else {
            return Commit::Advanced(None);
        };
        let bulk = &pending.operation.bulk;
        let most = self.part_max.unwrap_or(BULK_RECIPIENTS_MAX);
        let (mut looked_at, mut found, mut next) = (0, Vec::new(), None);
        let mut files = Files::default();
        for (entry, recipient, cursor) in self.between(pending.after, pending.last) {
            if !may_match(&bulk.filter, recipient, cursor) {
                continue;
            }
            looked_at += 1;
            let message = &entry.message;
            let matches =
                bulk.filter.matches(&message.facts(recipient)) && message.arrived <= bulk.at;
            let is_rerouted = recipient.rerouted().is_some();
            let concerns = matches && bulk.concerns(Some(recipient.state), is_rerouted);
            found.extend(concerns.then_some(cursor));
            let deletes_file =
                concerns && bulk.verb == Verb::Delete && matches!(entry.content, Content::Large(_));
            let enough = deletes_file && files.add(cursor.0);
            if enough || looked_at == LOOKED_AT_MAX as u64 || found.len() == most {
                next = Some(cursor);
                break;
            }
        }
        let effect = bulk.effect();
        for (id, number) in &found {
            self.apply_effect(&effect, *id, *number);
        }
        pending.advance(looked_at, found.len() as u64, next, now);
        let operation = pending.operation.clone();
        if let Some(place) = self.pending().next() {
            *place = pending;
        }
        let changed = found;
        Commit::Advanced(Some(Box::new(Part { operation, changed })))
    }

    fn apply_effect(&mut self, effect: &Effect, id: QueueId, number: u32) {
        match effect {
            Effect::Becomes(state, due, last) => self.change(id, number, |r| {
                (r.state, r.due) = (*state, due.unwrap_or(r.due));
                r.last = last.clone().or_else(|| r.last.take());
            }),
            Effect::Filed(Some(name)) => self.file_one(id, number, &(&**name).into()),
            Effect::Filed(None) => self.file_by_host(id, number),
            Effect::Forgotten => self.forget(id, number),
        };
    }

    /// All recipients behind one, as far as a message, in order.
    fn between(
        &self,
        after: Option<Cursor>,
        last: QueueId,
    ) -> impl Iterator<Item = (&Entry, &Recipient, Cursor)> {
        let from = after.map_or(QueueId::from_bytes([0; 16]), |(id, _)| id);
        let entries = (from <= last).then(|| self.messages.range(from..=last));
        let all = entries.into_iter().flatten().flat_map(|(id, entry)| {
            let recipients = entry.recipients.iter();
            recipients.map(move |(number, (_, r))| (entry, r, (*id, *number)))
        });
        all.filter(move |(_, _, cursor)| after.is_none_or(|after| *cursor > after))
    }

    pub(super) fn find(&self, filter: &Filter, page: Page) -> Vec<Waiting> {
        self.find_within(filter, page, usize::MAX).messages
    }

    pub(super) fn find_within(&self, filter: &Filter, page: Page, looks: usize) -> Found {
        let mut found = Found::default();
        let after = page.after.map(|after| (after, u32::MAX));
        let all = self.between(after, QueueId::from_bytes([0xff; 16]));
        let mut at = None;
        for (looked, (entry, recipient, (id, _))) in all.enumerate() {
            // What is looked at is looked at whole.
            if looked >= looks && at != Some(id) {
                found.next = at;
                break;
            }
            at = Some(id);
            if !filter.matches(&entry.message.facts(recipient)) {
                continue;
            }
            let is_full = found.messages.len() == page.limit;
            match found.messages.last_mut() {
                Some(last) if last.message.id == id => last.recipients.push(recipient.clone()),
                _ if is_full => break,
                _ => found.messages.push(Waiting {
                    message: Arc::clone(&entry.message),
                    recipients: vec![recipient.clone()],
                    content: None,
                }),
            }
        }
        if page.limit > 0 && found.messages.len() == page.limit {
            found.next = found.messages.last().map(|last| last.message.id);
        }
        found
    }

    pub(super) fn count_within(&self, filter: &Filter, looks: usize) -> Counts {
        // Everything is counted at once.
        let looks = match filter.conditions.is_empty() {
            true => usize::MAX,
            false => looks,
        };
        let (mut counts, mut last) = (Counts::default(), None);
        let mut all = self.between(None, QueueId::from_bytes([0xff; 16]));
        for (entry, recipient, (id, _)) in all.by_ref().take(looks) {
            if filter.matches(&entry.message.facts(recipient)) {
                counts.add(id, recipient.state);
                counts.messages += u64::from(last.replace(id) != Some(id));
            }
        }
        counts.is_cut = all.next().is_some();
        counts
    }

    pub(super) fn bouncing(&self, page: Page) -> Vec<Waiting> {
        let (limit, pending) = (page.limit, self.all_pending());
        let page = Page {
            limit: usize::MAX,
            ..page
        };
        let all = self.find(&Filter::state(AskedState::Bouncing), page);
        let left = all
            .into_iter()
            .filter_map(|one| not_withheld(one, &pending));
        left.take(limit).collect()
    }

    fn all_pending(&self) -> Vec<Pending> {
        let pending = |one: &&Pending| one.operation.ended.is_none();
        self.operations.iter().filter(pending).cloned().collect()
    }

    pub(super) fn due(&self, host: &str, wanted: &Wanted) -> DuePage {
        let host: Arc<str> = host.into();
        let from = match wanted.behind {
            None => Bound::Included((Timestamp::default(), QueueId::from_bytes([0; 16]), 0)),
            Some(place) => Bound::Excluded((place.due, place.id, place.number)),
        };
        let from = from.map(|(due, id, number)| (Arc::clone(&host), due, id, number));
        let pending = self.all_pending();
        let (mut seen, mut page) = (HashSet::new(), DuePage::default());
        let (mut passed_over, mut room) = (0, wanted.content);
        for (at, due, id, number) in self.due.range((from, Bound::Unbounded)) {
            if *at != host {
                break;
            }
            let (due, id, number) = (*due, *id, *number);
            let is_due = due <= wanted.before;
            if wanted.except.contains(&(id, number)) || is_due && seen.contains(&id) {
                continue;
            }
            let is_full = page.messages.len() == wanted.limit || passed_over == PASSED_OVER_MAX;
            if !is_due || is_full {
                page.next = Some(due);
                break;
            }
            seen.insert(id);
            page.read_to = Some(DuePlace { due, id, number });
            let Some(entry) = self.messages.get(&id) else {
                continue;
            };
            let left = not_withheld(entry.waiting(wanted.before), &pending);
            passed_over += usize::from(left.is_none());
            page.messages.extend(left.map(|waiting| Waiting {
                content: entry.inline_within(&mut room),
                ..waiting
            }));
        }
        page
    }

    pub(super) fn domains(&self) -> Vec<(String, Timestamp)> {
        let mut hosts: Vec<(String, Timestamp)> = Vec::new();
        for (host, due, _, _) in &self.due {
            if hosts.last().is_none_or(|(last, _)| **last != **host) {
                hosts.push((host.to_string(), *due));
            }
        }
        hosts
    }

    pub(super) fn body(&self, id: QueueId) -> Option<Body> {
        let entry = self.messages.get(&id)?;
        Some(match &entry.content {
            Content::Inline(content) => Body::Memory(content.clone()),
            Content::Large(_) => {
                let content = self.bodies.get(&id).cloned().unwrap_or_default();
                Body::Stream(Box::new(Bytewise::new(content)))
            }
        })
    }
}

impl Entry {
    /// The message with its recipients that wait and are due.
    fn waiting(&self, before: Timestamp) -> Waiting {
        let is_due = |r: &&Recipient| r.state == RecipientState::Waiting && r.due <= before;
        let recipients = self.recipients.values().map(|(_, r)| r).filter(is_due);
        Waiting {
            message: Arc::clone(&self.message),
            recipients: recipients.cloned().collect(),
            content: None,
        }
    }

    /// Those who are held until it is looked at.
    fn unscreened(&self) -> Waiting {
        let is_meant = |one: &&Recipient| one.state == RecipientState::Held(HoldReason::Unscreened);
        let recipients = self.recipients.values().map(|(_, r)| r).filter(is_meant);
        Waiting {
            message: Arc::clone(&self.message),
            recipients: recipients.cloned().collect(),
            content: None,
        }
    }

    /// The content, if it is in memory and there is still room for it.
    fn inline_within(&self, room: &mut usize) -> Option<Bytes> {
        match &self.content {
            Content::Inline(content) if *room > 0 => {
                let fits = content.len() <= *room;
                *room = room.saturating_sub(content.len());
                fits.then(|| content.clone())
            }
            Content::Inline(_) | Content::Large(_) => None,
        }
    }

    fn due(&self, id: QueueId) -> impl Iterator<Item = (Arc<str>, Timestamp, QueueId, u32)> {
        let waiting = self
            .recipients
            .values()
            .filter(|(_, r)| r.state == RecipientState::Waiting);
        waiting.map(move |(host, r)| (Arc::clone(host), r.due, id, r.number))
    }
}

/// Whether an index of the local store leads to the recipient: it looks at no others.
fn may_match(filter: &Filter, recipient: &Recipient, (id, _): Cursor) -> bool {
    let is = |reason| recipient.state == RecipientState::Held(reason);
    filter.single_id().is_none_or(|single| single == id)
        && (!filter.asks(AskedState::Badmail) || is(HoldReason::Badmail))
        && (!filter.asks(AskedState::Quarantined) || is(HoldReason::Screening))
        && (!filter.asks(AskedState::Bouncing) || is(HoldReason::Bouncing))
        && (!filter.asks(AskedState::Unscreened) || is(HoldReason::Unscreened))
}
