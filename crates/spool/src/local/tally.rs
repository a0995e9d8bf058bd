//! How many messages there are, and how many recipients in each state, kept by the database itself in
//! the transactions that change them. Whoever looks at the whole queue, as every page of the console
//! does and Prometheus, reads a few rows instead of a million.

use rusqlite::{Connection, OptionalExtension as _};

use crate::local::record::{CORRUPT, id_of, state_of};
use crate::{Counts, SpoolError};

/// Messages, among the numbers of states.
const MESSAGES: i64 = -1;

/// Who has waited longest, in the order of the table. Without the sign SQLite takes the index of those
/// who are due, and sorts all of them.
pub(super) const OLDEST: &str =
    "SELECT id FROM recipient WHERE +state = 0 ORDER BY id, number LIMIT 1";

/// Counts what there is, and goes on counting.
pub(super) const TABLE: &str = "
CREATE TABLE tally (what INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;
INSERT INTO tally VALUES (-1, 0), (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0);
INSERT OR REPLACE INTO tally SELECT state, count(*) FROM recipient GROUP BY state;
UPDATE tally SET count = (SELECT count(*) FROM message) WHERE what = -1;
CREATE TRIGGER message_comes AFTER INSERT ON message
BEGIN UPDATE tally SET count = count + 1 WHERE what = -1; END;
CREATE TRIGGER message_goes AFTER DELETE ON message
BEGIN UPDATE tally SET count = count - 1 WHERE what = -1; END;
CREATE TRIGGER recipient_comes AFTER INSERT ON recipient
BEGIN UPDATE tally SET count = count + 1 WHERE what = NEW.state; END;
CREATE TRIGGER recipient_goes AFTER DELETE ON recipient
BEGIN UPDATE tally SET count = count - 1 WHERE what = OLD.state; END;
CREATE TRIGGER recipient_turns AFTER UPDATE OF state ON recipient WHEN NEW.state <> OLD.state
BEGIN
  UPDATE tally SET count = count - 1 WHERE what = OLD.state;
  UPDATE tally SET count = count + 1 WHERE what = NEW.state;
END;
";

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
