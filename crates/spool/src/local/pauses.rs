//! The pauses of operators: a small table, made with the first of them.

use mail::Timestamp;
use rusqlite::{Connection, Row};

use crate::local::record::{millis, moment, text};
use crate::{Pause, SpoolError};

/// The whole queue is the site without a name.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS pause (
  site TEXT PRIMARY KEY, by TEXT NOT NULL, reason TEXT, since INTEGER NOT NULL, until INTEGER
) STRICT, WITHOUT ROWID";

fn is_there(connection: &Connection) -> rusqlite::Result<bool> {
    let table = "SELECT 1 FROM sqlite_schema WHERE name = 'pause'";
    connection.prepare_cached(table)?.exists(())
}

/// See [`crate::Spool::pauses`].
pub(super) fn all(connection: &Connection) -> Result<Vec<Pause>, SpoolError> {
    if !is_there(connection)? {
        return Ok(Vec::new());
    }
    let all = "SELECT site, by, reason, since, until FROM pause ORDER BY site";
    let mut statement = connection.prepare_cached(all)?;
    let pauses = statement.query_map((), read)?;
    Ok(pauses.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Pause> {
    let site = text(row, 0)?;
    Ok(Pause {
        site: (!site.is_empty()).then(|| site.into()),
        by: text(row, 1)?.into(),
        reason: row.get(2)?,
        since: moment(row, 3)?,
        until: row
            .get::<_, Option<i64>>(4)?
            .map(|_| moment(row, 4))
            .transpose()?,
    })
}

/// Puts a pause in the place of the one that the site had; those that are over go with it.
pub(super) fn put(connection: &Connection, pause: &Pause) -> Result<u64, SpoolError> {
    connection.prepare_cached(TABLE)?.execute(())?;
    forget_over(connection, pause.since)?;
    let put = "INSERT OR REPLACE INTO pause VALUES (?1, ?2, ?3, ?4, ?5)";
    let site = pause.site.as_deref().unwrap_or_default();
    let rows = connection.prepare_cached(put)?.execute((
        site,
        &*pause.by,
        pause.reason.as_deref(),
        millis(pause.since),
        pause.until.map(millis),
    ))?;
    Ok(rows as u64)
}

fn forget_over(connection: &Connection, now: Timestamp) -> Result<(), SpoolError> {
    let forget = "DELETE FROM pause WHERE until <= ?1";
    connection.prepare_cached(forget)?.execute((millis(now),))?;
    Ok(())
}

/// Takes the pause of a site away; answers how many there were.
pub(super) fn remove(connection: &Connection, site: Option<&str>) -> Result<u64, SpoolError> {
    if !is_there(connection)? {
        return Ok(0);
    }
    let remove = "DELETE FROM pause WHERE site = ?1";
    let site = site.unwrap_or_default();
    Ok(connection.prepare_cached(remove)?.execute((site,))? as u64)
}
