//! What the spool still knows of mail whose rows were lost, in a crash or because the store had no
//! room: looked for in small steps, and made again.
//!
//! First come messages that may lack every row, then, after a crash, older ones that wait, since the
//! last that happened to them may be missing, and in the end recipients that are in the spool no more
//! and whose rows have no end.
//!
//! While mail goes on, a row may be on its way when the spool already has what it tells of. So what
//! seems to be missing is looked at once more a little later, and written only if nothing has come.

use std::io::Read as _;
use std::time::Duration;

use engine::rows;
use filter::Filter;
use mail::{QueueId, Timestamp};
use queue::Moment;
use spool::{Body, Page, Spool, SpoolError, Waiting};
use tracking::{Gap, Row, Store, StoreError};

/// Messages of the spool that are compared in one step.
const MESSAGES: usize = 100;
/// Rows that are looked at in one step for those without an end, and in all.
const ROWS: usize = 200;
const ENDS: i64 = 100_000;
/// So much that seems to be missing is looked at once more before the rest.
const MISSING_MAX: usize = 1_000;
/// How long a row may be on its way.
pub(super) const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// Contents of which the start is read, for their Message-IDs: with a million messages that wait,
/// reading all of them would take the disk from mail.
const HEADERS: usize = 10_000;
/// As much of a content is looked through.
const HEADER_OCTETS: u64 = 64 << 10;

/// What is still to be looked for.
pub(super) struct Comparison {
    gap: Gap,
    /// Where messages of the spool are still to be compared, the next ones last.
    spans: Vec<Span>,
    /// The next row that may lack an end, and the last one.
    ends: (i64, i64),
    missing: Vec<Missing>,
    headers: usize,
}

/// Messages after the first of these and before the second.
struct Span(Option<QueueId>, Option<QueueId>);

/// What seems to be missing of one message.
struct Missing {
    id: QueueId,
    /// Its arrival, a row for each recipient.
    arrived: Vec<Row>,
    /// What happened last, with the number of the last row that was known then.
    last: Vec<(Row, Option<i64>)>,
}

/// Why it does not go on for now.
pub(super) enum Fault {
    Spool,
    Store(StoreError),
}

impl From<SpoolError> for Fault {
    fn from(_: SpoolError) -> Self {
        Self::Spool
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What rows are made from, and how.
pub(super) struct Sources<'a> {
    pub(super) spool: &'a dyn Spool,
    pub(super) store: &'a Store,
    pub(super) now: Moment,
    /// How old an arrival may be.
    pub(super) keep: Duration,
    pub(super) with_subject: bool,
}

impl Comparison {
    /// Rows are missing here. After a crash (`whole`) the last that happened to any message may be.
    pub(super) fn new(gap: Gap, whole: bool) -> Self {
        let since = QueueId::new(gap.since, 0);
        let older = whole.then_some(Span(None, Some(since)));
        let newer = Span(Some(since), None);
        Self {
            gap,
            spans: older.into_iter().chain([newer]).collect(),
            ends: (gap.end, (gap.end - ENDS).max(0)),
            missing: Vec::new(),
            headers: HEADERS,
        }
    }

    /// It begins anew, for this gap too.
    pub(super) fn widened(&self, gap: Gap) -> Self {
        // Whether what is older is through does not matter: that costs little.
        let whole = self.spans.iter().any(|span| span.1.is_some());
        Self::new(self.gap.with(gap), whole)
    }

    /// Whether nothing more is to be looked for.
    pub(super) fn is_over(&self) -> bool {
        self.missing.is_empty() && self.spans.is_empty() && self.ends.0 <= self.ends.1
    }

    /// Where rows are missing.
    pub(super) fn gap(&self) -> Gap {
        self.gap
    }

    /// Whether messages are still to be looked at that may lack every row, or such rows to be written.
    pub(super) fn may_lack_all(&self) -> bool {
        !self.missing.is_empty() || self.spans.iter().any(|span| span.1.is_none())
    }

    /// Whether what seems to be missing is to be written now. Where rows may be on their way, many
    /// wait for that together.
    pub(super) fn is_to_be_written(&self, with_others: bool) -> bool {
        let is_last = self.spans.is_empty() && self.ends.0 <= self.ends.1;
        let is_time = !with_others || is_last || self.missing.len() >= MISSING_MAX;
        is_time && !self.missing.is_empty()
    }

    /// One step of looking.
    pub(super) fn look(&mut self, sources: &Sources<'_>) -> Result<(), Fault> {
        match self.spans.last() {
            Some(Span(after, until)) => {
                let (after, until) = (*after, *until);
                let next = self.compare(sources, after, until)?;
                self.spans.pop();
                self.spans.extend(next.map(|next| Span(Some(next), until)));
            }
            None => self.ends.0 = self.look_for_ends(sources)?,
        }
        Ok(())
    }

    /// Compares one page of the spool. Where to go on, if there is more.
    fn compare(
        &mut self,
        sources: &Sources<'_>,
        after: Option<QueueId>,
        until: Option<QueueId>,
    ) -> Result<Option<QueueId>, Fault> {
        let page = Page {
            after,
            limit: MESSAGES,
        };
        let mut waiting = sources.spool.find(&Filter::everything(), page)?;
        let next = waiting.last().map(|last| last.message.id);
        let is_before = |one: &Waiting| until.is_none_or(|until| one.message.id < until);
        let found = waiting.len();
        waiting.retain(is_before);
        let is_more = found == MESSAGES && waiting.len() == found;
        for one in &waiting {
            let missing = self.missing_of(sources, one)?;
            self.missing.extend(missing);
        }
        Ok(next.filter(|_| is_more))
    }

    fn missing_of(
        &mut self,
        sources: &Sources<'_>,
        waiting: &Waiting,
    ) -> Result<Option<Missing>, Fault> {
        let Sources {
            store, now, keep, ..
        } = *sources;
        let message = &waiting.message;
        let is_kept = now.line.since(message.arrived) < keep;
        let may_lack_all = is_kept && message.id.made() >= self.gap.since;
        let arrived = match may_lack_all && !store.knows_arrival(message.id)? {
            true => self.arrived(sources, waiting),
            false => Vec::new(),
        };
        let mut last = Vec::new();
        for recipient in &waiting.recipients {
            let (number, known) = store.last_of(message.id, recipient.number)?.unzip();
            // Of what is known no more, nothing was lost.
            if known.is_some() || !arrived.is_empty() {
                let row = rows::happened_last(message, recipient, known.as_ref(), now);
                last.extend(row.map(|row| (row, number)));
            }
        }
        let is_any = !arrived.is_empty() || !last.is_empty();
        let id = message.id;
        Ok(is_any.then_some(Missing { id, arrived, last }))
    }

    fn arrived(&mut self, sources: &Sources<'_>, waiting: &Waiting) -> Vec<Row> {
        let message = &waiting.message;
        let mut header = Vec::new();
        if self.headers > 0 {
            self.headers -= 1;
            header = start_of(sources.spool, message.id);
        }
        let at = sources.now.shown(message.arrived);
        rows::arrived(waiting, at, &header, sources.with_subject)
    }

    /// Looks through some rows, from the last one on, for recipients that are in the spool no more and
    /// have no end. Where to go on.
    fn look_for_ends(&mut self, sources: &Sources<'_>) -> Result<i64, Fault> {
        let (from, until) = self.ends;
        let rows = sources.store.backwards(from, ROWS)?;
        let next = rows.last().map_or(until, |(n, _)| n - 1);
        for (n, row) in rows.into_iter().filter(|(n, _)| *n > until) {
            let (Some(id), Some(number)) = (row.id, row.number) else {
                continue;
            };
            let is_last = || {
                let last = sources.store.last_of(id, number);
                last.map(|last| last.is_some_and(|(last, _)| last == n))
            };
            if !rows::is_unended(&row) || !is_last()? || is_there(sources.spool, id, number)? {
                continue;
            }
            self.missing.push(Missing {
                id,
                arrived: Vec::new(),
                last: vec![(rows::gone(&row, sources.now.wall), Some(n))],
            });
        }
        Ok(next)
    }

    /// What is missing for certain.
    pub(super) fn missing(&self, store: &Store) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        for one in &self.missing {
            if !one.arrived.is_empty() && !store.knows_arrival(one.id)? {
                rows.extend(one.arrived.iter().cloned());
            }
            for (row, before) in &one.last {
                let number = row.number.unwrap_or_default();
                let last = store.last_of(one.id, number)?.map(|(last, _)| last);
                if last == *before {
                    rows.push(row.clone());
                }
            }
        }
        Ok(rows)
    }

    /// That is written.
    pub(super) fn written(&mut self) {
        self.missing.clear();
    }
}

/// Whether this recipient is in the spool, or may be.
fn is_there(spool: &dyn Spool, id: QueueId, number: u32) -> Result<bool, SpoolError> {
    let page = Page {
        after: None,
        limit: 1,
    };
    let found = spool.find(&Filter::id(id), page)?;
    let mut recipients = found.iter().flat_map(|one| &one.recipients);
    if recipients.any(|one| one.number == number) {
        return Ok(true);
    }
    // It may be one of those whose records cannot be read.
    Ok(spool.count(&Filter::id(id))?.corrupt > 0)
}

/// The start of a message's content, or nothing.
fn start_of(spool: &dyn Spool, id: QueueId) -> Vec<u8> {
    match spool.body(id) {
        Ok(Some(Body::Memory(content))) => {
            let octets = usize::try_from(HEADER_OCTETS).unwrap_or(usize::MAX);
            content.slice(..content.len().min(octets)).to_vec()
        }
        Ok(Some(Body::Stream(stream))) => {
            let mut start = Vec::new();
            let _as_far_as_it_goes = stream.take(HEADER_OCTETS).read_to_end(&mut start);
            start
        }
        Ok(None) | Err(_) => Vec::new(),
    }
}

/// From which moment of the queue's line on messages may lack any row, when these were lost.
pub(super) fn oldest_of<'a>(ids: impl IntoIterator<Item = &'a QueueId>) -> Option<Timestamp> {
    ids.into_iter().map(|id| id.made()).min()
}

#[cfg(test)]
mod tests;
