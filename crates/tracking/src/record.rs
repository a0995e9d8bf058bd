//! Rows to records and back.

use std::time::Duration;

use filter::{Facts, TrackedFacts};
use mail::{QueueId, Timestamp, TrackedResult};
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Error, Row as Record};

use crate::words::Words;
use crate::{Row, Stage};

pub(crate) const COLUMNS: &str = "n, at, result, stage, id, number, session, listener, client, client_name, hello, tls, user, \
     sender, recipient, size, message_id, subject, route, host, reply, place, note, queued, took, \
     replied, tries, other, recovered";

/// A question for rows of which `condition` holds. What a later version wrote, and this one has no
/// word for, is passed over: it is no damage.
pub(crate) fn select(condition: &str) -> String {
    let (results, stages) = (TrackedResult::ALL.len(), Stage::COUNT);
    format!(
        "SELECT {COLUMNS} FROM row WHERE result < {results} AND stage < {stages} AND {condition}"
    )
}

/// A message's rows in the order in which things happened: that is the one in which they were
/// written, but for an arrival that was lost and is made again behind what came of it.
pub(crate) const IN_ORDER: &str = "(recovered IS NOT NULL AND result = 0) DESC, n";

/// The condition for what happened last to recipient `?2` of message `?1`.
pub(crate) const LAST_OF: &str = "id = ?1 AND number = ?2 \
     ORDER BY (recovered IS NOT NULL AND result = 0), n DESC LIMIT 1";

/// What of it is no longer: a store is not filled by one long line of somebody else's.
const TEXT_OCTETS_MAX: usize = 512;

/// Empty is nothing. Cut where a character ends.
fn text(text: &str) -> Option<&str> {
    let mut end = text.len().min(TEXT_OCTETS_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (end > 0).then(|| &text[..end])
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn millis(span: Option<Duration>) -> Option<i64> {
    span.map(|span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

/// Stores a row under this number.
pub(crate) fn insert(
    connection: &Connection,
    words: &mut Words,
    n: i64,
    row: &Row,
) -> rusqlite::Result<()> {
    let listener = words.number(connection, &row.listener)?;
    let tls = words.number(connection, &row.tls)?;
    let place = words.number(connection, &row.place)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
         ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29)",
    )?;
    statement.execute(rusqlite::params![
        n,
        signed(row.at.as_millis()),
        row.result.number(),
        row.stage as u8,
        row.id.map(QueueId::to_bytes),
        row.number,
        row.session.map(signed),
        listener,
        text(&row.client),
        text(&row.client_name),
        text(&row.hello),
        tls,
        text(&row.user),
        // The null sender is one, and empty.
        row.sender.as_deref().map(|s| text(s).unwrap_or_default()),
        text(&row.recipient),
        Some(signed(row.size)).filter(|size| *size > 0),
        text(&row.message_id),
        text(&row.subject),
        text(&row.route),
        text(&row.host),
        text(&row.reply),
        place,
        text(&row.note),
        millis(row.queued),
        millis(row.took),
        millis(row.replied),
        Some(row.tries).filter(|tries| *tries > 0),
        row.other.map(QueueId::to_bytes),
        row.recovered.then_some(1),
    ])?;
    Ok(())
}

fn unlike(column: usize, kind: Type) -> Error {
    Error::FromSqlConversionFailure(column, kind, "no such value is ever written".into())
}

fn str_at<'a>(record: &'a Record<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(record
        .get_ref(column)?
        .as_str_or_null()?
        .unwrap_or_default())
}

fn id_at(record: &Record<'_>, column: usize) -> rusqlite::Result<Option<QueueId>> {
    match record.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(octets) => match octets.try_into() {
            Ok(octets) => Ok(Some(QueueId::from_bytes(octets))),
            Err(_) => Err(unlike(column, Type::Blob)),
        },
        other => Err(unlike(column, other.data_type())),
    }
}

fn unsigned(record: &Record<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = record.get(column)?;
    Ok(number.and_then(|number| u64::try_from(number).ok()))
}

fn span(record: &Record<'_>, column: usize) -> rusqlite::Result<Option<Duration>> {
    Ok(unsigned(record, column)?.map(Duration::from_millis))
}

fn result(record: &Record<'_>) -> rusqlite::Result<TrackedResult> {
    let number: u8 = record.get(2)?;
    TrackedResult::from_number(number).ok_or_else(|| unlike(2, Type::Integer))
}

fn stage(record: &Record<'_>) -> rusqlite::Result<Stage> {
    let number: u8 = record.get(3)?;
    Stage::from_number(number).ok_or_else(|| unlike(3, Type::Integer))
}

fn at(record: &Record<'_>) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_millis(unsigned(record, 1)?.unwrap_or(0)))
}

/// The number of a row.
pub(crate) fn number(record: &Record<'_>) -> rusqlite::Result<i64> {
    record.get(0)
}

/// What a filter is asked about it, without a copy of anything. `listener` is the text of its word.
pub(crate) fn facts<'a>(record: &'a Record<'_>, listener: &'a str) -> rusqlite::Result<Facts<'a>> {
    let str = |column| str_at(record, column);
    let some = |text: &'a str| Some(text).filter(|text| !text.is_empty());
    let reply = str(20)?;
    Ok(Facts {
        id: id_at(record, 4)?.unwrap_or(QueueId::from_bytes([0; 16])),
        from: record
            .get_ref(13)?
            .as_str_or_null()?
            .unwrap_or(crate::row::NO_SENDER),
        to: str(14)?,
        held: false,
        badmail: false,
        quarantined: false,
        bouncing: false,
        unscreened: false,
        tries: record.get::<_, Option<u32>>(26)?.unwrap_or(0),
        arrived: at(record)?,
        size: unsigned(record, 15)?.unwrap_or(0),
        client: str(8)?,
        user: some(str(12)?),
        last: some(reply),
        tracked: Some(TrackedFacts {
            result: result(record)?,
            listener,
            hello: str(10)?,
            route: str(18)?,
            host: str(19)?,
            reply,
            message_id: str(16)?,
            subject: str(17)?,
        }),
    })
}

/// The number of the word for its listener.
pub(crate) fn listener(record: &Record<'_>) -> rusqlite::Result<Option<i64>> {
    record.get(7)
}

/// Reads a record as the row that it was.
pub(crate) fn row(record: &Record<'_>, words: &Words) -> rusqlite::Result<Row> {
    let text = |column| Ok::<Box<str>, Error>(str_at(record, column)?.into());
    let word = |column| Ok::<_, Error>(words.text(record.get(column)?));
    Ok(Row {
        at: at(record)?,
        result: result(record)?,
        stage: stage(record)?,
        id: id_at(record, 4)?,
        number: record.get(5)?,
        session: unsigned(record, 6)?,
        listener: word(7)?,
        client: text(8)?,
        client_name: text(9)?,
        hello: text(10)?,
        tls: (&*word(11)?).into(),
        user: text(12)?,
        sender: record.get_ref(13)?.as_str_or_null()?.map(Into::into),
        recipient: text(14)?,
        size: unsigned(record, 15)?.unwrap_or(0),
        message_id: text(16)?,
        subject: text(17)?,
        route: text(18)?,
        host: text(19)?,
        reply: text(20)?,
        place: (&*word(21)?).into(),
        note: text(22)?,
        queued: span(record, 23)?,
        took: span(record, 24)?,
        replied: span(record, 25)?,
        tries: record.get::<_, Option<u32>>(26)?.unwrap_or(0),
        other: id_at(record, 27)?,
        recovered: record.get::<_, Option<bool>>(28)?.unwrap_or(false),
    })
}
