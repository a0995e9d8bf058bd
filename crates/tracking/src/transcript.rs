//! SMTP dialogues, kept beside the rows of the messages that they are about.
//!
//! They go like rows do, by age; and together they have no more than half of the store's octets, so
//! that no flood of dialogues takes the room of what became of mail.

use mail::{QueueId, Timestamp};
use rusqlite::Connection;

use crate::schema::StoreError;

/// Transcripts that are taken away in one step.
const TRIM_TRANSCRIPTS: u32 = 256;

/// What was said on one connection, about one message or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// When it ended.
    pub at: Timestamp,
    /// The number of the session in the log; none of an attempt.
    pub session: Option<u64>,
    /// The messages that it is about.
    pub ids: Vec<QueueId>,
    /// What was said, line by line.
    pub text: String,
}

pub(crate) fn append(connection: &Connection, transcript: &Transcript) -> Result<(), StoreError> {
    let Transcript {
        at,
        session,
        ids,
        text,
    } = transcript;
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let session = session.and_then(|session| i64::try_from(session).ok());
    let moment = connection.unchecked_transaction()?;
    let n = moment
        .prepare_cached("INSERT INTO transcript (at, session, text) VALUES (?1, ?2, ?3)")?
        .insert((millis, session, text))?;
    for id in ids {
        moment
            .prepare_cached("INSERT OR IGNORE INTO transcript_of VALUES (?1, ?2)")?
            .execute((id.to_bytes(), n))?;
    }
    moment.commit()?;
    Ok(())
}

/// Takes away one step of those from before `keep_from`, or of the oldest ones whatever their age.
/// How many octets went; none when nothing did.
pub(crate) fn trim(
    connection: &Connection,
    keep_from: Timestamp,
    whatever_age: bool,
) -> Result<Option<u64>, StoreError> {
    let keep_from = i64::try_from(keep_from.as_millis()).unwrap_or(i64::MAX);
    let moment = connection.unchecked_transaction()?;
    let (mut last, mut octets) = (None, 0);
    {
        let mut statement = moment.prepare_cached(
            "DELETE FROM transcript WHERE n IN
             (SELECT n FROM (SELECT n, at FROM transcript ORDER BY n LIMIT ?3) WHERE at < ?1 OR ?2)
             RETURNING n, length(CAST(text AS BLOB))",
        )?;
        let mut records = statement.query((keep_from, whatever_age, TRIM_TRANSCRIPTS))?;
        while let Some(record) = records.next()? {
            last = last.max(Some(record.get::<_, i64>(0)?));
            octets += u64::try_from(record.get::<_, i64>(1)?).unwrap_or(0);
        }
    }
    moment
        .prepare_cached("DELETE FROM transcript_of WHERE n <= ?1")?
        .execute((last,))?;
    moment.commit()?;
    Ok(last.map(|_| octets))
}

/// Octets of all of them.
pub(crate) fn octets(connection: &Connection) -> Result<u64, StoreError> {
    let question = "SELECT coalesce(sum(length(CAST(text AS BLOB))), 0) FROM transcript";
    let octets: i64 = connection.query_row(question, (), |record| record.get(0))?;
    Ok(u64::try_from(octets).unwrap_or(0))
}

/// Of one message, or of the sessions with this number, oldest first.
pub(crate) fn find(
    connection: &Connection,
    of: TranscriptsOf,
) -> Result<Vec<Transcript>, StoreError> {
    let (condition, id, session) = match of {
        TranscriptsOf::Message(id) => (
            "n IN (SELECT n FROM transcript_of WHERE id = ?1) AND ?2 IS NULL",
            Some(id.to_bytes()),
            None,
        ),
        TranscriptsOf::Session(number) => {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            ("?1 IS NULL AND session = ?2", None, Some(number))
        }
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT at, session, text FROM transcript WHERE {condition} ORDER BY n"
    ))?;
    let read = |record: &rusqlite::Row<'_>| {
        let (at, session): (i64, Option<i64>) = (record.get(0)?, record.get(1)?);
        Ok(Transcript {
            at: Timestamp::from_millis(u64::try_from(at).unwrap_or(0)),
            session: session.and_then(|session| u64::try_from(session).ok()),
            ids: Vec::new(),
            text: record.get(2)?,
        })
    };
    let found = statement.query_map((id, session), read)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Whose transcripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TranscriptsOf {
    /// Of this message: of its session, and of each attempt.
    Message(QueueId),
    /// Of the sessions with this number; numbers begin anew with each start of the relay.
    Session(u64),
}
