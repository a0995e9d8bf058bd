//! The tables, and how connections to them are set up.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// `PRAGMA user_version`: raised whenever the tables change.
const SCHEMA_VERSION: i64 = 1;
/// `PRAGMA application_id`: "Gtrk", so that nobody else's file is taken for this one.
const APPLICATION_ID: i64 = 0x4774_726b;
/// Octets of a page of the file.
pub(crate) const PAGE_OCTETS: u64 = 4096;
/// Pages of the write-ahead log after which it is copied into the file.
const LOG_PAGES: u32 = 2000;
/// How long a statement waits for another connection.
const BUSY_WAIT: Duration = Duration::from_secs(5);
const STATEMENTS_MAX: usize = 32;

const TABLES: &str = "
CREATE TABLE row (
  n INTEGER PRIMARY KEY, at INTEGER NOT NULL, result INTEGER NOT NULL, stage INTEGER NOT NULL,
  id BLOB, number INTEGER, session INTEGER, listener INTEGER, client TEXT, client_name TEXT,
  hello TEXT, tls INTEGER, user TEXT, sender TEXT, recipient TEXT, size INTEGER, message_id TEXT,
  subject TEXT, route TEXT, host TEXT, reply TEXT, place INTEGER, note TEXT, queued INTEGER,
  took INTEGER, replied INTEGER, tries INTEGER, other BLOB, recovered INTEGER
) STRICT;
CREATE INDEX of_recipient ON row (id, number) WHERE id IS NOT NULL;
CREATE TABLE segment (
  number INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
  oldest INTEGER NOT NULL, newest INTEGER NOT NULL
) STRICT;
CREATE TABLE term (
  segment INTEGER NOT NULL, term BLOB NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (segment, term, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE closed (n INTEGER NOT NULL) STRICT;
CREATE TABLE word (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE transcript (
  n INTEGER PRIMARY KEY, at INTEGER NOT NULL, session INTEGER, text TEXT NOT NULL
) STRICT;
CREATE INDEX of_session ON transcript (session) WHERE session IS NOT NULL;
CREATE TABLE transcript_of (
  id BLOB NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (id, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX of_transcript ON transcript_of (n);
";

/// Stores of earlier programs of the same version lack it, and those pass it over.
const GAP: &str =
    "CREATE TABLE IF NOT EXISTS gap (since INTEGER NOT NULL, last INTEGER NOT NULL) STRICT";

/// Why the store does not do what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// No room on its disk.
    Full,
    /// The file is none of ours any more: damaged, or not a store at all.
    Damaged(Box<str>),
    /// A later version of this program made it.
    Newer(Box<str>),
    /// Anything else.
    Io(Box<str>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full"),
            Self::Damaged(why) => write!(f, "the file is damaged: {why}"),
            Self::Newer(why) | Self::Io(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let why = error.to_string().into();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch,
            ) => Self::Damaged(why),
            // A table that is missing, a value of another kind: nobody but damage does that.
            Some(ErrorCode::Unknown) => Self::Damaged(why),
            Some(_) => Self::Io(why),
            None => Self::Damaged(why),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error.to_string().into()),
        }
    }
}

/// Opens the file for writing; makes the tables when it is new.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
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
    // What a power cut takes from the log's end was expendable; the file stays whole.
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         PRAGMA wal_autocheckpoint = {LOG_PAGES}; PRAGMA cache_size = -4096;
         PRAGMA temp_store = MEMORY;"
    ))?;
    prepare_tables(&connection)?;
    connection.execute_batch(GAP)?;
    Ok(connection)
}

fn prepare_tables(connection: &Connection) -> Result<(), StoreError> {
    let number = |pragma: &str| connection.query_row(pragma, (), |row| row.get::<_, i64>(0));
    let version = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    match (application, version) {
        (APPLICATION_ID, SCHEMA_VERSION) => Ok(()),
        (0, 0) if tables == 0 => {
            let stamps = format!(
                "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
            );
            connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} {stamps} COMMIT;"))?;
            Ok(())
        }
        (APPLICATION_ID, version) => Err(StoreError::Newer(
            format!("it has version {version}, this program knows {SCHEMA_VERSION}").into(),
        )),
        _ => Err(StoreError::Damaged("the file is no tracking store".into())),
    }
}

/// Opens the file for reading.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -16384;")?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Statements that are kept are not compiled anew when they are used again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}
