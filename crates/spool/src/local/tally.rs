//! How many messages there are, and how many recipients in each state, written down in the
//! transactions that change them. Whoever looks at the whole queue, as every page of the console
//! does and Prometheus, reads a few rows instead of a million.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

use crate::local::record::{CORRUPT, id_of, state_of};
use crate::{Counts, SpoolError};

/// Messages, among the numbers of states.
const MESSAGES: i64 = -1;

/// Who has waited longest, in the order of the table. Without the sign SQLite takes the index of those
/// who are due, and sorts all of them.
pub(super) const OLDEST: &str =
    "SELECT id FROM recipient WHERE +state = 0 ORDER BY id, number LIMIT 1";

/// Counts what there is.
pub(super) const TABLE: &str = "
CREATE TABLE tally (what INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;
INSERT INTO tally VALUES (-1, 0), (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0);
INSERT OR REPLACE INTO tally SELECT state, count(*) FROM recipient GROUP BY state;
UPDATE tally SET count = (SELECT count(*) FROM message) WHERE what = -1;
";

/// Counts what has yet to be looked at, where an earlier version made the table.
pub(super) const UNSCREENED: &str = "INSERT OR IGNORE INTO tally VALUES (6, 0);";

/// What one transaction changes about the counts: written down with its last statement. Triggers would
/// have SQLite keep a copy of each page that a statement changes.
#[derive(Debug)]
pub(super) struct Tally {
    /// Whether counts are kept at all: that is found out when the store is opened.
    is_kept: bool,
    /// How many more there are, by what they are.
    more: BTreeMap<i64, i64>,
}

impl Tally {
    /// Of no transaction yet.
    pub(super) fn new(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            is_kept: is_kept(connection)?,
            more: BTreeMap::new(),
        })
    }

    /// The next transaction begins.
    pub(super) fn begin(&mut self) {
        self.more.clear();
    }

    /// There are so many more messages (fewer: below 0).
    pub(super) fn messages(&mut self, more: i64) {
        *self.more.entry(MESSAGES).or_default() += more;
    }

    /// There are so many more recipients in this state.
    pub(super) fn recipients(&mut self, state: i64, more: i64) {
        *self.more.entry(state).or_default() += more;
    }

    /// Writes it down, where counts are kept.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let statement = "UPDATE tally SET count = count + ?2 WHERE what = ?1";
        let changes = self.more.iter().filter(|(_, more)| **more != 0);
        for change in changes.filter(|_| self.is_kept) {
            connection.prepare_cached(statement)?.execute(change)?;
        }
        Ok(())
    }
}

/// Whether it is kept: not where there was no room for it.
pub(super) fn is_kept(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = 'tally'")?
        .exists(())
}

/// Everything there is, by state; `None` where that is not kept.
pub(super) fn counts(connection: &Connection) -> Result<Option<Counts>, SpoolError> {
    // One moment for all its statements.
    let moment = connection.unchecked_transaction()?;
    if !is_kept(&moment)? {
        return Ok(None);
    }
    let mut counts = Counts::default();
    let mut statement = moment.prepare_cached("SELECT what, count FROM tally")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let count = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        match row.get(0)? {
            MESSAGES => counts.messages = count,
            CORRUPT => counts.corrupt = count,
            state => {
                if let Some(state) = state_of(state) {
                    counts.put(state, count);
                }
            }
        }
    }
    let mut oldest = moment.prepare_cached(OLDEST)?;
    let oldest = oldest.query_row((), |row| id_of(row, 0)).optional()?;
    counts.oldest = oldest.map(|id| id.made());
    Ok(Some(counts))
}
