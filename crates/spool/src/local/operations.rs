//! The operations of operators. Each row carries a checksum of what was said: one that does not add
//! up must not be done to others than were meant: it is passed over, noted, and dropped.

use filter::Filter;
use mail::{QueueId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::local::record::{
    Sum, Unreadable, damaged, id_of, millis, moment, signed, text, unsigned,
};
use crate::operation::{Cursor, ENDED_KEPT, Pending};
use crate::{Bulk, Ended, Operation, SpoolError, check};

pub(super) const TABLE: &str = "
CREATE TABLE operation (
  number INTEGER PRIMARY KEY, verb TEXT NOT NULL, filter TEXT NOT NULL, at INTEGER NOT NULL,
  by TEXT NOT NULL, reason TEXT, route TEXT, last BLOB NOT NULL, sum INTEGER NOT NULL,
  after_id BLOB, after_number INTEGER, looked_at INTEGER NOT NULL, changed INTEGER NOT NULL, ended INTEGER,
  stopped INTEGER NOT NULL
) STRICT;
";

const COLUMNS: &str = "number, verb, filter, at, by, reason, route, last, sum, after_id,
     after_number, looked_at, changed, ended, stopped";

fn sum(number: i64, bulk: &Bulk, last: QueueId) -> i64 {
    Sum::of(last)
        .number(number)
        .bytes(bulk.verb.as_str().as_bytes())
        .bytes(bulk.filter.to_string().as_bytes())
        .number(millis(bulk.at))
        .bytes(bulk.by.as_bytes())
        .optional(bulk.reason.as_deref())
        .optional(bulk.route.as_deref())
        .value()
}

/// Stores an operation for all that is there; answers its number.
pub(super) fn begin(
    connection: &Connection,
    bulk: &Bulk,
) -> Result<Result<u64, SpoolError>, SpoolError> {
    if let Err(why) = check::operation(bulk, pending(connection)?.len()) {
        return Ok(Err(why));
    }
    forget_old(connection)?;
    let number = "SELECT coalesce(max(number), 0) + 1 FROM operation";
    let number: i64 = connection
        .prepare_cached(number)?
        .query_row((), |row| row.get(0))?;
    let last = "SELECT id FROM message ORDER BY id DESC LIMIT 1";
    let last = connection
        .prepare_cached(last)?
        .query_row((), |row| id_of(row, 0));
    let last = last.optional()?.unwrap_or(QueueId::from_bytes([0; 16]));
    let insert = format!(
        "INSERT INTO operation ({COLUMNS})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, NULL, 0, 0, NULL, 0)"
    );
    connection.prepare_cached(&insert)?.execute((
        number,
        bulk.verb.as_str(),
        bulk.filter.to_string(),
        millis(bulk.at),
        &*bulk.by,
        bulk.reason.as_deref(),
        bulk.route.as_deref(),
        last.to_bytes(),
        sum(number, bulk, last),
    ))?;
    Ok(Ok(number.unsigned_abs()))
}

fn forget_old(connection: &Connection) -> Result<(), SpoolError> {
    let forget = "DELETE FROM operation WHERE ended IS NOT NULL AND number NOT IN
         (SELECT number FROM operation WHERE ended IS NOT NULL ORDER BY number DESC LIMIT ?1)";
    connection
        .prepare_cached(forget)?
        .execute((ENDED_KEPT as i64,))?;
    Ok(())
}

/// Those that are pending, the oldest first.
pub(super) fn pending(connection: &Connection) -> Result<Vec<Pending>, SpoolError> {
    read_where(connection, "ended IS NULL")
}

/// See [`crate::Spool::operations`].
pub(super) fn all(connection: &Connection) -> Result<Vec<Operation>, SpoolError> {
    let all = read_where(connection, "true")?;
    Ok(all.into_iter().map(|one| one.operation).collect())
}

/// Drops those that cannot be read, also if they have ended; a line about each of them.
pub(super) fn forget_damaged(connection: &Connection) -> Result<Vec<String>, SpoolError> {
    let mut damaged = Vec::new();
    read_each(connection, "true", |number, read| {
        damaged.extend(read.err().map(|why| (number, why)));
    })?;
    let forget = "DELETE FROM operation WHERE number = ?1";
    let mut notes = Vec::new();
    for (number, why) in damaged {
        connection.prepare_cached(forget)?.execute((number,))?;
        notes.push(format!(
            "operation {number} on the queue cannot be read ({why}) and is dropped: if it was not \
             through, what it had not come to goes out, and it has to be given again"
        ));
    }
    Ok(notes)
}

fn read_where(connection: &Connection, condition: &str) -> Result<Vec<Pending>, SpoolError> {
    let mut found = Vec::new();
    read_each(connection, condition, |_, read| found.extend(read.ok()))?;
    Ok(found)
}

/// Shows each operation by its number, and what is damaged where it cannot be read.
fn read_each(
    connection: &Connection,
    condition: &str,
    mut each: impl FnMut(i64, Result<Pending, String>),
) -> Result<(), SpoolError> {
    let select = format!("SELECT {COLUMNS} FROM operation WHERE {condition} ORDER BY number");
    let mut statement = connection.prepare_cached(&select)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        match read(row) {
            Ok(one) => each(number, Ok(one)),
            Err(Unreadable::Damaged(why)) => each(number, Err(why)),
            Err(Unreadable::Failed(error)) => return Err(error),
        }
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Pending, Unreadable> {
    let filter = Filter::parse(text(row, 2)?, Timestamp::default());
    let bulk = Bulk {
        verb: text(row, 1)?.parse().map_err(|_| damaged("the verb"))?,
        filter: filter.map_err(|_| damaged("the filter"))?,
        at: moment(row, 3)?,
        by: text(row, 4)?.into(),
        reason: row.get(5)?,
        route: row.get(6)?,
    };
    let (number, last) = (row.get(0)?, id_of(row, 7)?);
    if sum(number, &bulk, last) != row.get::<_, i64>(8)? {
        return Err(damaged("the checksum of the operation"));
    }
    let ended = row.get::<_, Option<i64>>(13)?;
    let stopped = row.get(14)?;
    let ended = ended.map(|_| moment(row, 13).map(|at| Ended { at, stopped }));
    Ok(Pending {
        operation: Operation {
            number: unsigned(row, 0)?,
            bulk,
            looked_at: unsigned(row, 11)?,
            changed: unsigned(row, 12)?,
            ended: ended.transpose()?,
        },
        after: read_cursor(row)?,
        last,
    })
}

fn read_cursor(row: &Row<'_>) -> rusqlite::Result<Option<Cursor>> {
    let id = row.get::<_, Option<[u8; 16]>>(9)?;
    id.map(|id| Ok((QueueId::from_bytes(id), row.get(10)?)))
        .transpose()
}

/// Writes down how far an operation is.
pub(super) fn update(connection: &Connection, pending: &Pending) -> Result<(), SpoolError> {
    let update = "UPDATE operation SET after_id = ?2, after_number = ?3, looked_at = ?4,
         changed = ?5, ended = ?6, stopped = ?7 WHERE number = ?1";
    let Pending {
        operation, after, ..
    } = pending;
    let ended = operation.ended;
    connection.prepare_cached(update)?.execute((
        signed(operation.number),
        after.map(|(id, _)| id.to_bytes()),
        after.map(|(_, number)| number),
        signed(operation.looked_at),
        signed(operation.changed),
        ended.map(|ended| millis(ended.at)),
        ended.is_some_and(|ended| ended.stopped),
    ))?;
    Ok(())
}

/// Ends a pending operation where it stands; answers how many there were of this number.
pub(super) fn stop(
    connection: &Connection,
    number: u64,
    now: Timestamp,
) -> Result<u64, SpoolError> {
    let stop = "UPDATE operation SET ended = ?2, stopped = 1 WHERE number = ?1 AND ended IS NULL";
    let rows = connection
        .prepare_cached(stop)?
        .execute((signed(number), millis(now)))?;
    Ok(rows as u64)
}
