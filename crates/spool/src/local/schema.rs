//! The tables, and how connections to them are set up.
//!
//! `message` and `recipient` are narrow and ordered by id, so that a listing of a million messages
//! never touches their bodies; `body` holds the content that is small enough for a row, and `place`
//! says where other content stands in a segment. The index `due` holds
//! waiting recipients only: the queue's question, "who is due at this host", is one look at it. So
//! it is with badmail and what screening holds, which are looked through often, and with what bounces.
//! How many there are of all of these is kept beside them (`tally`).

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::SpoolError;
use crate::local::log::sync_names;
use crate::local::{operations, tally};

/// `PRAGMA user_version`: raised whenever the tables change.
const SCHEMA_VERSION: i64 = 5;
/// `PRAGMA application_id`: "Gate", so that nobody else's file is taken for a spool.
const APPLICATION_ID: i64 = 0x4761_7465;
/// SQLite as [`rusqlite::version_number`] has it: 3.51.3 is the first version in which beginning the
/// write-ahead log anew cannot lose what was committed (<https://sqlite.org/wal.html#walresetbug>).
const SQLITE_NUMBER_MIN: i32 = 3_051_003;
/// What a file of SQLite begins with, and where in it the two numbers are, in four octets each
/// (<https://sqlite.org/fileformat.html#the_database_header>).
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";
const SCHEMA_VERSION_AT: usize = 60;
const APPLICATION_ID_AT: usize = 68;
const HEAD_OCTETS: u64 = 100;
/// Octets of a page of the file.
pub(super) const PAGE_OCTETS: u64 = 8192;
/// How long a statement waits for another connection; only a checkpoint or a recovery ever makes
/// one wait.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Statements kept prepared per connection.
const STATEMENTS_MAX: usize = 48;

const TABLES: &str = "
CREATE TABLE message (
  id BLOB PRIMARY KEY, arrived INTEGER NOT NULL, sender TEXT NOT NULL, flags INTEGER NOT NULL,
  envid TEXT, client TEXT NOT NULL, head BLOB NOT NULL, size INTEGER NOT NULL,
  body INTEGER, large INTEGER, sum INTEGER NOT NULL, user TEXT, place INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX placed ON message (place, large) WHERE place IS NOT NULL;
CREATE TABLE recipient (
  id BLOB NOT NULL, number INTEGER NOT NULL, address TEXT NOT NULL, host TEXT NOT NULL,
  grounds TEXT NOT NULL, notify INTEGER, original TEXT, state INTEGER NOT NULL,
  due INTEGER NOT NULL, tries INTEGER NOT NULL, delay_told INTEGER NOT NULL, last TEXT,
  sum INTEGER NOT NULL, PRIMARY KEY (id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX due ON recipient (host, due, id, number) WHERE state = 0;
CREATE TABLE body (number INTEGER PRIMARY KEY, sum INTEGER NOT NULL, content BLOB NOT NULL) STRICT;
CREATE TABLE probe (number INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;
INSERT INTO probe VALUES (1, 0);
CREATE TABLE unscreened (id BLOB PRIMARY KEY, facts BLOB NOT NULL, sum INTEGER NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE INDEX unscreened_due ON recipient (due, id, number) WHERE state = 6;
";

/// From version 1, which did not keep who had signed in.
const FROM_VERSION_1: &str = "
BEGIN IMMEDIATE; ALTER TABLE message ADD COLUMN user TEXT; PRAGMA user_version = 2; COMMIT;
";

/// From version 2, which knew no operations: a program that does not know them would send what they
/// hold.
fn from_version_2() -> String {
    let table = operations::TABLE;
    format!("BEGIN IMMEDIATE; {table} PRAGMA user_version = 3; COMMIT;")
}

/// From version 3, which knew no segments, and had triggers count what there is.
const FROM_VERSION_3: &str = "
BEGIN IMMEDIATE; ALTER TABLE message ADD COLUMN place INTEGER;
CREATE INDEX placed ON message (place, large) WHERE place IS NOT NULL;
DROP TRIGGER IF EXISTS message_comes; DROP TRIGGER IF EXISTS message_goes;
DROP TRIGGER IF EXISTS recipient_comes; DROP TRIGGER IF EXISTS recipient_goes;
DROP TRIGGER IF EXISTS recipient_turns;
PRAGMA user_version = 4; COMMIT;
";

/// From version 4, which knew nothing that has yet to be looked at: a program that does not know the
/// state takes it for damage.
const FROM_VERSION_4: &str = "
CREATE TABLE IF NOT EXISTS unscreened (id BLOB PRIMARY KEY, facts BLOB NOT NULL, sum INTEGER NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unscreened_due ON recipient (due, id, number) WHERE state = 6;
PRAGMA user_version = 5;
";

/// Made where they are missing: older spools have none, and the tables are as they were.
const HELD_INDEXES: &str = "
CREATE INDEX IF NOT EXISTS badmail ON recipient (id, number) WHERE state = 2;
CREATE INDEX IF NOT EXISTS bouncing ON recipient (id, number) WHERE state = 4;
CREATE INDEX IF NOT EXISTS quarantined ON recipient (id, number) WHERE state = 5;
";

/// The library may be another than the one that was built in, when somebody packages us so.
fn check_sqlite(number: i32) -> Result<(), SpoolError> {
    if number >= SQLITE_NUMBER_MIN {
        return Ok(());
    }
    let shown = |number: i32| {
        format!(
            "{}.{}.{}",
            number / 1_000_000,
            number / 1000 % 1000,
            number % 1000
        )
    };
    let (needed, found) = (shown(SQLITE_NUMBER_MIN), shown(number));
    Err(SpoolError::Invalid(
        format!("the spool needs SQLite {needed} or later, this is {found}").into(),
    ))
}

/// Whether [`open_writer`] could take the file as a spool, by its first octets, beside whoever has it
/// open and without a lock. One that is not there, or empty, would be made.
pub(super) fn look(path: &Path) -> Result<(), SpoolError> {
    let mut head = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(HEAD_OCTETS).read_to_end(&mut head)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if head.is_empty() {
        return Ok(());
    }
    let number = |at: usize| {
        let octets = head.get(at..)?.first_chunk()?;
        Some(i64::from(i32::from_be_bytes(*octets)))
    };
    let stamps = number(APPLICATION_ID_AT).zip(number(SCHEMA_VERSION_AT));
    match stamps.filter(|_| head.starts_with(SQLITE_MAGIC)) {
        // Its tables may be in the log yet.
        Some((0, 0) | (APPLICATION_ID, 1..=SCHEMA_VERSION)) => Ok(()),
        Some((APPLICATION_ID, version)) => Err(unknown(version)),
        Some(_) | None => Err(no_spool()),
    }
}

fn unknown(version: i64) -> SpoolError {
    let known = format!("the spool has version {version}, this program knows {SCHEMA_VERSION}");
    SpoolError::Invalid(known.into())
}

fn no_spool() -> SpoolError {
    SpoolError::Invalid("the file is no spool".into())
}

/// Opens the file for writing; makes the tables when it is new.
pub(super) fn open_writer(path: &Path) -> Result<Connection, SpoolError> {
    check_sqlite(rusqlite::version_number())?;
    // Made by us before SQLite sees it: its companions get the same permissions.
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let connection = connect(path)?;
    // Both only work before the first table, and page_size only before the switch to WAL.
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_OCTETS}; PRAGMA auto_vacuum = INCREMENTAL;"
    ))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
         PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;",
    )?;
    // The names of file and log, before the log's first sync: SQLite would not say if it could not
    // make them durable.
    path.parent().map_or(Ok(()), sync_names)?;
    prepare_tables(&connection)?;
    Ok(connection)
}

fn prepare_tables(connection: &Connection) -> Result<(), SpoolError> {
    let number = |pragma: &str| connection.query_row(pragma, (), |row| row.get::<_, i64>(0));
    let version = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    match (application, version) {
        (APPLICATION_ID, SCHEMA_VERSION) => add_indexes(connection),
        (APPLICATION_ID, old @ (1..=4)) => {
            if old == 1 {
                connection.execute_batch(FROM_VERSION_1)?;
            }
            if old <= 2 {
                connection.execute_batch(&from_version_2())?;
            }
            if old <= 3 {
                connection.execute_batch(FROM_VERSION_3)?;
            }
            // All or nothing: a later start would not find out that something is missing.
            let all = connection.unchecked_transaction()?;
            all.execute_batch(FROM_VERSION_4)?;
            if tally::is_kept(&all)? {
                all.execute_batch(tally::UNSCREENED)?;
            }
            all.commit()?;
            add_indexes(connection)
        }
        (0, 0) if tables == 0 => create(connection),
        (APPLICATION_ID, _) => Err(unknown(version)),
        _ => Err(no_spool()),
    }
}

fn add_indexes(connection: &Connection) -> Result<(), SpoolError> {
    let made = connection.execute_batch(HELD_INDEXES);
    match made
        .and_then(|()| add_tally(connection))
        .map_err(SpoolError::from)
    {
        // Without them all is found and counted all the same, only slower: what waits on a full disk
        // must go out.
        Ok(()) | Err(SpoolError::Full) => Ok(()),
        Err(error) => Err(error),
    }
}

fn add_tally(connection: &Connection) -> rusqlite::Result<()> {
    if tally::is_kept(connection)? {
        return Ok(());
    }
    let all = connection.unchecked_transaction()?;
    all.execute_batch(tally::TABLE)?;
    all.commit()
}

fn create(connection: &Connection) -> Result<(), SpoolError> {
    let stamps = format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
    );
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLES} {} {HELD_INDEXES} {} {stamps} COMMIT;",
        operations::TABLE,
        tally::TABLE
    ))?;
    Ok(())
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Path) -> Result<Connection, SpoolError> {
    let connection = connect(path)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1024;")?;
    Ok(connection)
}

/// Opens the file for checkpoints alone.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection, SpoolError> {
    let connection = connect(path)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, SpoolError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    Ok(connection)
}

/// What holds for every connection.
fn prepare(connection: &Connection) -> Result<(), SpoolError> {
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Without it SQLite compiles many a statement anew after its values were cleared, which happens
    // each time that one is kept for later.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A close must not copy from a log whose sync has failed: what the log holds is judged when it
    // is opened again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::local::writer;

    #[test]
    fn a_statement_that_is_kept_is_not_compiled_anew() {
        let compiled_anew = |connection: &Connection| {
            let question = "SELECT number FROM recipient WHERE id = ?1 ORDER BY number";
            for id in [[1_u8; 16], [2; 16], [3; 16]] {
                let mut statement = connection.prepare_cached(question).unwrap();
                assert!(!statement.exists((id,)).unwrap());
            }
            let statement = connection.prepare_cached(question).unwrap();
            statement.get_status(StatementStatus::RePrepare)
        };
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        assert_eq!(compiled_anew(&connection), 2);
        connection.flush_prepared_statement_cache();
        prepare(&connection).unwrap();
        assert_eq!(compiled_anew(&connection), 0);
    }

    /// The steps by which a question is answered.
    fn plan(question: &str) -> Vec<String> {
        let connection = Connection::open_in_memory().unwrap();
        create(&connection).unwrap();
        let question = format!("EXPLAIN QUERY PLAN {question}");
        let mut plan = connection.prepare(&question).unwrap();
        let steps = plan.query_map((), |row| row.get(3)).unwrap();
        steps.map(Result::unwrap).collect()
    }

    #[test]
    fn a_spool_of_version_4_becomes_one_of_5_with_all_that_takes_or_stays_as_it_is() {
        let connection = Connection::open_in_memory().unwrap();
        create(&connection).unwrap();
        let as_before = "DROP TABLE unscreened; DROP INDEX unscreened_due; PRAGMA user_version = 4;
             DELETE FROM tally WHERE what = 6;
             CREATE TRIGGER cut BEFORE INSERT ON tally BEGIN SELECT RAISE(ABORT, 'a cut'); END;";
        connection.execute_batch(as_before).unwrap();
        let number =
            |question: &str| connection.query_row(question, (), |row| row.get::<_, i64>(0));
        assert!(prepare_tables(&connection).is_err());
        assert_eq!(number("PRAGMA user_version"), Ok(4));
        connection.execute_batch("DROP TRIGGER cut").unwrap();
        prepare_tables(&connection).unwrap();
        assert_eq!(number("PRAGMA user_version"), Ok(5));
        assert_eq!(number("SELECT count(*) FROM tally WHERE what = 6"), Ok(1));
    }

    #[test]
    fn who_has_waited_longest_is_found_without_sorting_all_who_wait() {
        assert_eq!(plan(tally::OLDEST), ["SCAN recipient"]);
    }

    #[test]
    fn a_start_does_not_read_all_messages() {
        let steps = ["SEARCH message USING COVERING INDEX placed (place>?)"];
        assert_eq!(plan(writer::PLACES), steps);
    }

    #[test]
    fn an_old_sqlite_is_refused_by_its_version() {
        assert_eq!(check_sqlite(rusqlite::version_number()), Ok(()));
        assert_eq!(check_sqlite(3_051_003), Ok(()));
        let why = "the spool needs SQLite 3.51.3 or later, this is 3.51.2";
        assert_eq!(
            check_sqlite(3_051_002),
            Err(SpoolError::Invalid(why.into()))
        );
        assert!(check_sqlite(3_050_999).is_err());
    }
}
