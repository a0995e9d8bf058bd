//! Finding rows: from the newest to the oldest, segment by segment.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;

use filter::{Condition, Filter};
use mail::{QueueId, Timestamp, TrackedResult};
use rusqlite::{Connection, OptionalExtension as _};

use crate::schema::{StoreError, open_reader};
use crate::term::{Range, ranges};
use crate::words::Words;
use crate::{Row, Transcript, TranscriptsOf, record, transcript};

/// So many terms cost about as much to read as one row.
const TERMS_PER_ROW: usize = 8;
/// With no more than so many rows left in a segment they are read, and no further range is asked.
const FEW: usize = 64;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Which rows.
    pub filter: &'a Filter,
    /// Only rows before this number: where the last page ended.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: usize,
    /// Of each recipient only what happened last, if that matches.
    pub last_only: bool,
    /// After about so many rows that were looked at the page ends, however many were found: no
    /// question takes the disk for itself.
    pub looks: usize,
}

/// Rows that were found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Each with its number, newest first.
    pub rows: Vec<(i64, Row)>,
    /// Where to go on; none when there is nothing more.
    pub next: Option<i64>,
    /// Everything from this moment on was looked at.
    pub reached: Option<Timestamp>,
}

/// The store as it is read, beside its writer.
pub struct Reader {
    connection: Connection,
}

/// Rows that stand together: a segment, or those that are in none yet.
struct Span {
    /// Of a segment.
    number: Option<i64>,
    first: i64,
    last: i64,
    oldest: i64,
    newest: i64,
}

/// The state of one search.
struct Search<'a> {
    question: &'a Question<'a>,
    /// By which rows are found. When what only the arrival tells is asked together with what happened
    /// last, that is the part which holds for both.
    filter: Cow<'a, Filter>,
    words: Words,
    /// The moments between which rows may match.
    after: i64,
    until: i64,
    looks: usize,
    page: Page,
}

impl Reader {
    /// Opens the store in this file, which there must be.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            connection: open_reader(path)?,
        })
    }

    /// The newest rows that match.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn page(&self, question: &Question<'_>) -> Result<Page, StoreError> {
        // One moment for all its statements: a text that is forgotten gives its number to another.
        let moment = self.connection.unchecked_transaction()?;
        let mut search = Search::new(question, Words::read(&moment)?);
        if let Some(id) = question.filter.single_id() {
            let rows = rows_of(&moment, id)?;
            let before = question.before.unwrap_or(i64::MAX);
            for n in rows.into_iter().rev().filter(|n| *n < before) {
                if search.look_at(&moment, n)?.is_break() {
                    break;
                }
            }
            return Ok(search.page);
        }
        for span in spans(&moment)? {
            if search.look_through(&moment, &span)?.is_break() {
                break;
            }
        }
        Ok(search.page)
    }

    /// Rows behind this number, oldest first, at most `limit`, that match; and the number of the last
    /// row of at most `looks` that were looked at.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn since(
        &self,
        filter: &Filter,
        after: i64,
        limit: usize,
        looks: usize,
    ) -> Result<(Vec<(i64, Row)>, i64), StoreError> {
        let moment = self.connection.unchecked_transaction()?;
        let words = Words::read(&moment)?;
        let mut statement = moment.prepare_cached(&record::select("n > ?1 ORDER BY n LIMIT ?2"))?;
        let mut records = statement.query((after, looks as i64))?;
        let (mut found, mut last) = (Vec::new(), after);
        while let Some(record) = records.next()? {
            let row = record::row(record, &words)?;
            last = record::number(record)?;
            if filter.matches(&row.facts()) {
                found.push((last, row));
            }
            if found.len() == limit {
                break;
            }
        }
        Ok((found, last))
    }

    /// The number of the newest row; 0 when there is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn end(&self) -> Result<i64, StoreError> {
        let end: Option<i64> =
            (self.connection).query_row("SELECT max(n) FROM row", (), |row| row.get(0))?;
        Ok(end.unwrap_or(0))
    }

    /// What was said about a message, or in a session, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn transcripts(&self, of: TranscriptsOf) -> Result<Vec<Transcript>, StoreError> {
        transcript::find(&self.connection, of)
    }

    /// All that happened to one message, in order.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_message(&self, id: QueueId) -> Result<Vec<Row>, StoreError> {
        let moment = self.connection.unchecked_transaction()?;
        let words = Words::read(&moment)?;
        let mut statement = moment.prepare_cached(&record::select(&format!(
            "id = ?1 ORDER BY {}",
            record::IN_ORDER
        )))?;
        let rows = statement.query_map((id.to_bytes(),), |found| record::row(found, &words))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn rows_of(connection: &Connection, id: QueueId) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT n FROM row WHERE id = ?1 ORDER BY n")?;
    let rows = statement.query_map((id.to_bytes(),), |row| row.get(0))?;
    rows.collect()
}

/// All spans, the newest first.
fn spans(connection: &Connection) -> rusqlite::Result<Vec<Span>> {
    let mut statement = connection.prepare_cached(
        "SELECT number, first, last, oldest, newest FROM segment ORDER BY number DESC",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Span {
            number: Some(row.get(0)?),
            first: row.get(1)?,
            last: row.get(2)?,
            oldest: row.get(3)?,
            newest: row.get(4)?,
        })
    };
    let segments: Vec<Span> = statement
        .query_map((), read)?
        .collect::<rusqlite::Result<_>>()?;
    let open = Span {
        number: None,
        first: segments.first().map_or(0, |newest| newest.last + 1),
        last: i64::MAX,
        oldest: 0,
        newest: i64::MAX,
    };
    Ok(std::iter::once(open).chain(segments).collect())
}

impl<'a> Search<'a> {
    fn new(question: &'a Question<'a>, words: Words) -> Self {
        let is_split = question.last_only && question.filter.asks_arrival();
        let filter = match is_split {
            true => Cow::Owned(question.filter.lasting()),
            false => Cow::Borrowed(question.filter),
        };
        let millis = |at: &Timestamp| i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        let (mut after, mut until) = (0, i64::MAX);
        // An arrival is never later than what happened last; it may be much earlier.
        for condition in &question.filter.conditions {
            match condition {
                Condition::ArrivedAfter(at) if !is_split => after = after.max(millis(at)),
                Condition::ArrivedBefore(at) => until = until.min(millis(at)),
                _ => {}
            }
        }
        Self {
            question,
            filter,
            words,
            after,
            until,
            looks: question.looks,
            page: Page::default(),
        }
    }

    /// Breaks when the page is at its end.
    fn look_through(
        &mut self,
        connection: &Connection,
        span: &Span,
    ) -> Result<ControlFlow<()>, StoreError> {
        let last = (self.question.before).map_or(span.last, |before| span.last.min(before - 1));
        if last < span.first || span.newest < self.after || span.oldest > self.until {
            return Ok(ControlFlow::Continue(()));
        }
        let ranges = ranges(&self.filter);
        match span.number {
            Some(segment) if !ranges.is_empty() => {
                let mut found = self.candidates(connection, segment, &ranges)?;
                found.retain(|n| *n <= last);
                for n in found.into_iter().rev() {
                    if self.look_at(connection, n)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Some(_) | None => {
                let flow = self.scan(connection, span.first, last)?;
                if flow.is_break() {
                    return Ok(flow);
                }
            }
        }
        if span.number.is_some() {
            let oldest = u64::try_from(span.oldest).unwrap_or(0);
            self.page.reached = Some(Timestamp::from_millis(oldest));
        }
        if self.looks == 0 && span.number.is_some() {
            self.page.next = Some(span.first);
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The row as it is shown, if it is: it, or what happened last to its recipient.
    fn shown(
        &self,
        connection: &Connection,
        n: i64,
        row: Row,
    ) -> rusqlite::Result<Option<(i64, Row)>> {
        let wanted = |row: &Row| self.question.filter.matches(&row.facts());
        let later = match self.question.last_only {
            true => later(connection, &self.words, n, &row)?,
            false => None,
        };
        let shown = match later {
            None => (n, row),
            // It is found by itself.
            Some((_, last)) if self.filter.matches(&last.facts()) => return Ok(None),
            // Nothing that came later has the sender as whom it went.
            Some(_) if row.result == TrackedResult::Rewritten => (n, row),
            Some((n, last)) => (n, with_arrival(last, row)),
        };
        Ok(Some(shown).filter(|(_, row)| wanted(row)))
    }

    /// Rows of a segment within all of these ranges, or within the narrowest ones if those are few,
    /// in order.
    fn candidates(
        &mut self,
        connection: &Connection,
        segment: i64,
        ranges: &[Range],
    ) -> Result<Vec<i64>, StoreError> {
        let mut left: Option<Vec<i64>> = None;
        for range in ranges {
            if left.as_ref().is_some_and(|left| left.len() <= FEW) {
                break;
            }
            let mut statement = connection.prepare_cached(
                "SELECT n FROM term WHERE segment = ?1 AND term >= ?2 AND term < ?3",
            )?;
            let found =
                statement.query_map((segment, &range.from, &range.until), |row| row.get(0))?;
            let mut found: Vec<i64> = found.collect::<rusqlite::Result<_>>()?;
            self.looks = self.looks.saturating_sub(1 + found.len() / TERMS_PER_ROW);
            found.sort_unstable();
            left = Some(match left {
                None => found,
                Some(mut left) => {
                    left.retain(|n| found.binary_search(n).is_ok());
                    left
                }
            });
        }
        Ok(left.unwrap_or_default())
    }

    fn look_at(&mut self, connection: &Connection, n: i64) -> Result<ControlFlow<()>, StoreError> {
        self.scan(connection, n, n)
    }

    /// Looks at each row from the last to the first; breaks when the page is at its end.
    fn scan(
        &mut self,
        connection: &Connection,
        first: i64,
        last: i64,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut statement =
            connection.prepare_cached(&record::select("n >= ?1 AND n <= ?2 ORDER BY n DESC"))?;
        let mut records = statement.query((first, last))?;
        while let Some(found) = records.next()? {
            let n = record::number(found)?;
            if self.page.rows.len() == self.question.limit || self.looks == 0 {
                self.page.next = Some(n + 1);
                return Ok(ControlFlow::Break(()));
            }
            self.looks -= 1;
            let listener = self.words.text(record::listener(found)?);
            let facts = record::facts(found, &listener)?;
            self.page.reached = Some(facts.arrived);
            if !self.filter.matches(&facts) {
                continue;
            }
            let row = record::row(found, &self.words)?;
            // What is looked up beside it counts, too.
            self.looks = self.looks.saturating_sub(1);
            if let Some(shown) = self.shown(connection, n, row)? {
                self.page.rows.push(shown);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// What has happened last to the same recipient, if that is something else.
fn later(
    connection: &Connection,
    words: &Words,
    n: i64,
    row: &Row,
) -> rusqlite::Result<Option<(i64, Row)>> {
    let (Some(id), Some(number)) = (row.id, row.number) else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached(&record::select(record::LAST_OF))?;
    let read = |found: &rusqlite::Row<'_>| Ok((record::number(found)?, record::row(found, words)?));
    let last = statement
        .query_row((id.to_bytes(), number), read)
        .optional()?;
    Ok(last.filter(|(last, _)| *last != n))
}

/// What happened last, with what only the arrival tells.
fn with_arrival(last: Row, arrival: Row) -> Row {
    Row {
        listener: arrival.listener,
        client_name: arrival.client_name,
        hello: arrival.hello,
        message_id: arrival.message_id,
        subject: arrival.subject,
        ..last
    }
}
