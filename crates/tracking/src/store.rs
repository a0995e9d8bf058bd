use std::path::Path;

use mail::{QueueId, Timestamp, TrackedResult};
use rusqlite::{Connection, OptionalExtension as _};

use crate::schema::{PAGE_OCTETS, StoreError, open_writer};
use crate::term::Terms;
use crate::words::{Sweep, Words};
use crate::{Row, Transcript, record, transcript};

/// Rows of a segment: so many are looked through at most where no terms help, and so many terms at
/// most are in memory.
const SEGMENT_ROWS: i64 = 8192;
/// Rows that are taken away in one step.
const TRIM_ROWS: i64 = 2048;
/// After so many rows it is looked again which texts are in use.
const SWEEP_AGAIN: i64 = 1_000_000;
/// Pages that are given back to the disk in one step.
const VACUUM_PAGES: u32 = 512;

/// Where rows are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Messages that were made from this moment on, on the queue's line of time, may lack any row.
    pub since: Timestamp,
    /// Recipients whose last row is this one, or one before it, may lack their end.
    pub end: i64,
}

impl Gap {
    /// Both in one.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            since: self.since.min(other.since),
            end: self.end.max(other.end),
        }
    }
}

/// The store as it is written, by one writer. Blocks; it has no clock and no thread of its own.
pub struct Store {
    connection: Connection,
    words: Words,
    /// Finds those that no row uses any more, while it runs; and from which row on it is to run.
    sweep: Option<Sweep>,
    sweeps_at: i64,
    /// Octets of all transcripts.
    transcripts: u64,
    /// Terms of the last segment, which has none in the file yet.
    open: Terms,
    /// The first row of that segment, and the one that comes next.
    first: i64,
    next: i64,
    segment_rows: i64,
    was_closed: bool,
}

impl Store {
    /// Opens the store in this file, or makes one.
    ///
    /// # Errors
    /// Why it cannot be written. When the file is [`StoreError::Damaged`], the caller may set it
    /// aside and begin another one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_in_segments(path, SEGMENT_ROWS)
    }

    pub(crate) fn open_in_segments(path: &Path, segment_rows: i64) -> Result<Self, StoreError> {
        let connection = open_writer(path)?;
        let words = Words::read(&connection)?;
        let one = |question: &str| -> rusqlite::Result<i64> {
            let number: Option<i64> = connection.query_row(question, (), |row| row.get(0))?;
            Ok(number.unwrap_or(0))
        };
        let first = one("SELECT max(last) FROM segment")? + 1;
        let next = first.max(one("SELECT max(n) FROM row")? + 1);
        let transcripts = transcript::octets(&connection)?;
        let mut store = Self {
            connection,
            transcripts,
            words,
            sweep: None,
            sweeps_at: 0,
            open: Terms::default(),
            first,
            next,
            segment_rows,
            was_closed: false,
        };
        store.was_closed = store.take_closed()?;
        store.read_open_terms()?;
        Ok(store)
    }

    fn read_open_terms(&mut self) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare(&record::select("n >= ?1"))?;
        let mut records = statement.query((self.first,))?;
        while let Some(found) = records.next()? {
            let row = record::row(found, &self.words)?;
            self.open.add(record::number(found)?, &row);
        }
        Ok(())
    }

    /// Whether its last writer ended in order, so that no row of his can be missing.
    pub fn was_closed(&self) -> bool {
        self.was_closed
    }

    fn take_closed(&self) -> Result<bool, StoreError> {
        let transaction = self.connection.unchecked_transaction()?;
        let last = "SELECT 1 FROM closed WHERE n = ?1";
        let was_closed = transaction.prepare(last)?.exists((self.next - 1,))?;
        transaction.execute("DELETE FROM closed", ())?;
        transaction.commit()?;
        Ok(was_closed)
    }

    /// Ends the writing in order.
    ///
    /// # Errors
    /// The next writer does not know that.
    pub fn close(self) -> Result<(), StoreError> {
        let last = self.next - 1;
        (self.connection).execute("INSERT INTO closed VALUES (?1)", (last,))?;
        Ok(())
    }

    /// Adds rows, in one transaction: all of them or none. They may be lost in a power cut, but not
    /// when the process ends.
    ///
    /// # Errors
    /// None of them is stored.
    pub fn append(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let (first, next) = (self.first, self.next);
        let added = self.try_append(rows);
        if added.is_err() {
            (self.first, self.next) = (first, next);
            // Some of these may not be in the file now, and terms may be in it no more.
            self.words = Words::read(&self.connection).unwrap_or_default();
            self.open.clear();
            self.read_open_terms()?;
        }
        added
    }

    fn try_append(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let transaction = self.connection.unchecked_transaction()?;
        for row in rows {
            record::insert(&transaction, &mut self.words, self.next, row)?;
            self.open.add(self.next, row);
            self.next += 1;
            if self.next - self.first >= self.segment_rows {
                close_segment(&transaction, self.first, self.next, &mut self.open)?;
                self.first = self.next;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Adds a transcript.
    ///
    /// # Errors
    /// It is not stored.
    pub fn append_transcript(&mut self, added: &Transcript) -> Result<(), StoreError> {
        transcript::append(&self.connection, added)?;
        self.transcripts += added.text.len() as u64;
        Ok(())
    }

    /// When the newest row says that something happened.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn newest(&self) -> Result<Option<Timestamp>, StoreError> {
        let question = "SELECT at FROM row ORDER BY n DESC LIMIT 1";
        let at: Option<i64> = (self.connection)
            .query_row(question, (), |row| row.get(0))
            .optional()?;
        Ok(at.map(|at| Timestamp::from_millis(u64::try_from(at).unwrap_or(0))))
    }

    /// Whether any row tells of the arrival of this message.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn knows_arrival(&self, id: QueueId) -> Result<bool, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM row WHERE id = ?1 AND result = ?2")?;
        let received = TrackedResult::Received.number();
        Ok(statement.exists((id.to_bytes(), received))?)
    }

    /// What happened last to this recipient, and the number of its row.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn last_of(&self, id: QueueId, number: u32) -> Result<Option<(i64, Row)>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(&record::select(record::LAST_OF))?;
        let read = |found: &rusqlite::Row<'_>| self.numbered(found);
        Ok(statement
            .query_row((id.to_bytes(), number), read)
            .optional()?)
    }

    /// A row, and the number of it.
    fn numbered(&self, found: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, Row)> {
        Ok((record::number(found)?, record::row(found, &self.words)?))
    }

    /// The number of the newest row; 0 when there is none.
    pub fn end(&self) -> i64 {
        self.next - 1
    }

    /// The newest rows down from this number, at most `limit` and newest first, each with its number.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn backwards(&self, from: i64, limit: usize) -> Result<Vec<(i64, Row)>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(&record::select("n <= ?1 ORDER BY n DESC LIMIT ?2"))?;
        let read = |found: &rusqlite::Row<'_>| self.numbered(found);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map((from, limit), read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What was lost and has not been looked for yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn gap(&self) -> Result<Option<Gap>, StoreError> {
        let read = |found: &rusqlite::Row<'_>| {
            let since: i64 = found.get(0)?;
            Ok(Gap {
                since: Timestamp::from_millis(u64::try_from(since).unwrap_or(0)),
                end: found.get(1)?,
            })
        };
        let question = "SELECT since, last FROM gap";
        Ok(self.connection.query_row(question, (), read).optional()?)
    }

    /// Remembers that rows were lost, together with what is remembered already; with `None`, that
    /// nothing is missing any more.
    ///
    /// # Errors
    /// It is remembered as before.
    pub fn set_gap(&mut self, gap: Option<Gap>) -> Result<(), StoreError> {
        let transaction = self.connection.unchecked_transaction()?;
        let before = self.gap()?;
        transaction.execute("DELETE FROM gap", ())?;
        if let Some(gap) = gap {
            let gap = before.map_or(gap, |before| before.with(gap));
            let since = i64::try_from(gap.since.as_millis()).unwrap_or(i64::MAX);
            transaction.execute("INSERT INTO gap VALUES (?1, ?2)", (since, gap.end))?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Octets of the file, without the write-ahead log.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn octets(&self) -> Result<u64, StoreError> {
        Ok(self.pages("page_count")? * PAGE_OCTETS)
    }

    fn pages(&self, pragma: &str) -> Result<u64, StoreError> {
        let count: i64 =
            (self.connection).query_row(&format!("PRAGMA {pragma}"), (), |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Takes away one step of what is too much: rows and transcripts from before `keep_from`, the
    /// oldest ones as long as they need more than `octets_max`, and texts that no row uses. Whether there may be more to take
    /// away.
    ///
    /// # Errors
    /// Nothing was taken away.
    pub fn trim(&mut self, keep_from: Timestamp, octets_max: u64) -> Result<bool, StoreError> {
        // A text may take twice its octets in pages of its own.
        let is_too_large = self.transcripts > octets_max / 4;
        if let Some(octets) = transcript::trim(&self.connection, keep_from, is_too_large)? {
            self.transcripts = self.transcripts.saturating_sub(octets);
            return Ok(true);
        }
        let (pages, free) = (self.pages("page_count")?, self.pages("freelist_count")?);
        let is_too_large = (pages - free.min(pages)) * PAGE_OCTETS > octets_max;
        let oldest = match self.oldest()? {
            Some((n, at)) if is_too_large || at < keep_from => n,
            _ if self.sweeps() => return self.sweep(),
            _ => {
                let gives_back = free > 0 && pages * PAGE_OCTETS > octets_max;
                return Ok(gives_back && self.give_back()?);
            }
        };
        let keep_from = i64::try_from(keep_from.as_millis()).unwrap_or(i64::MAX);
        if oldest >= self.first {
            self.end_segment()?;
        }
        // Terms that are in memory have to have their rows.
        let until = (oldest + TRIM_ROWS).min(self.first);
        let transaction = self.connection.unchecked_transaction()?;
        let taken = transaction
            .prepare_cached("DELETE FROM row WHERE n < ?1 AND (at < ?2 OR ?3)")?
            .execute((until, keep_from, is_too_large))?;
        forget_segments(&transaction)?;
        transaction.commit()?;
        Ok(taken > 0)
    }

    fn sweeps(&self) -> bool {
        self.sweep.is_some() || (self.words.are_many() && self.next >= self.sweeps_at)
    }

    /// One step towards forgetting texts that no row uses.
    fn sweep(&mut self) -> Result<bool, StoreError> {
        let mut sweep = self.sweep.take().unwrap_or_default();
        if sweep.step(&self.connection, self.next, &mut self.words)? {
            self.sweeps_at = self.next + SWEEP_AGAIN;
        } else {
            self.sweep = Some(sweep);
        }
        Ok(true)
    }

    /// Ends the last segment, full or not.
    fn end_segment(&mut self) -> Result<(), StoreError> {
        let ended = self.try_end_segment();
        if ended.is_err() {
            self.open.clear();
            self.read_open_terms()?;
        }
        ended
    }

    fn try_end_segment(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.unchecked_transaction()?;
        close_segment(&transaction, self.first, self.next, &mut self.open)?;
        transaction.commit()?;
        self.first = self.next;
        Ok(())
    }

    fn oldest(&self) -> Result<Option<(i64, Timestamp)>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT n, at FROM row ORDER BY n LIMIT 1")?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?));
        let oldest = statement.query_row((), read).optional()?;
        Ok(oldest.map(|(n, at)| (n, Timestamp::from_millis(u64::try_from(at).unwrap_or(0)))))
    }

    /// Gives unused pages back to the disk: the file is larger than it may be, though its rows are
    /// not.
    fn give_back(&self) -> Result<bool, StoreError> {
        let mut statement = self
            .connection
            .prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
        let mut steps = statement.query(())?;
        while steps.next()?.is_some() {}
        Ok(true)
    }
}

/// Writes the terms of a segment that is full, in their order.
fn close_segment(
    connection: &Connection,
    first: i64,
    next: i64,
    terms: &mut Terms,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO segment (first, last, oldest, newest)
         SELECT ?1, ?2 - 1, min(at), max(at) FROM row WHERE n >= ?1",
    )?;
    let segment = statement.insert((first, next))?;
    let mut statement = connection.prepare_cached("INSERT INTO term VALUES (?1, ?2, ?3)")?;
    for (term, n) in terms.sorted() {
        statement.execute((segment, term, n))?;
    }
    terms.clear();
    Ok(())
}

/// Drops the terms of segments of which no row is left.
fn forget_segments(connection: &Connection) -> rusqlite::Result<()> {
    let oldest: Option<i64> =
        connection.query_row("SELECT min(n) FROM row", (), |row| row.get(0))?;
    let mut statement =
        connection.prepare_cached("SELECT number FROM segment WHERE last < ?1 OR ?1 IS NULL")?;
    let gone: Vec<i64> = statement
        .query_map((oldest,), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for segment in gone {
        connection.execute("DELETE FROM term WHERE segment = ?1", (segment,))?;
        connection.execute("DELETE FROM segment WHERE number = ?1", (segment,))?;
    }
    Ok(())
}
