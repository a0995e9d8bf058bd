//! The questions of the queue: who is due, at which hosts, with what content.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use mail::{QueueId, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use crate::local::bodies::Bodies;
use crate::local::operations;
use crate::local::record::{
    Kept, MESSAGE_COLUMNS, RECIPIENT_COLUMNS, Unreadable, content_sum, id_of, millis, moment,
    read_kept, read_message, read_recipient,
};
use crate::local::watch::Watch;
use crate::operation::{PASSED_OVER_MAX, is_withheld, not_withheld};
use crate::{
    Body, DuePage, DuePlace, HoldReason, Message, Recipient, RecipientState, SpoolError,
    Unscreened, UnscreenedPage, Waiting, Wanted,
};

/// See [`crate::Spool::due`].
pub(super) fn due(
    connection: &Connection,
    bodies: &Bodies,
    watch: &Watch,
    host: &str,
    wanted: &Wanted,
) -> Result<DuePage, SpoolError> {
    // One moment for all its statements.
    let moment = connection.unchecked_transaction()?;
    let pending = operations::pending(&moment)?;
    let mut statement = moment.prepare_cached(
        "SELECT id, number, due FROM recipient
         WHERE state = 0 AND host = ?1 AND (due, id, number) > (?2, ?3, ?4)
         ORDER BY due, id, number",
    )?;
    let (due, id, number) = match wanted.behind {
        None => (i64::MIN, [0; 16], 0),
        Some(place) => (millis(place.due), place.id.to_bytes(), place.number),
    };
    let mut rows = statement.query((host, due, id, number))?;
    let (mut page, mut seen) = (DuePage::default(), BTreeSet::new());
    let (mut passed_over, mut room) = (0, wanted.content);
    while let Some(row) = rows.next()? {
        let (id, number, due) = (id_of(row, 0)?, row.get(1)?, self::moment(row, 2)?);
        let is_due = due <= wanted.before;
        let is_left_out = watch.is_damaged(id, number) || wanted.except.contains(&(id, number));
        if is_left_out || is_due && seen.contains(&id) {
            continue;
        }
        let is_full = page.messages.len() == wanted.limit || passed_over == PASSED_OVER_MAX;
        if !is_due || is_full {
            page.next = Some(due);
            break;
        }
        seen.insert(id);
        page.read_to = Some(DuePlace { due, id, number });
        let is_due = |r: &Recipient| r.state == RecipientState::Waiting && r.due <= wanted.before;
        let found = read_waiting(&moment, watch, id, is_due)?;
        let left = found.and_then(|(all, kept)| Some((not_withheld(all, &pending)?, kept)));
        let Some((mut waiting, kept)) = left else {
            passed_over += 1;
            continue;
        };
        if room > 0 && kept.is_read_whole() {
            // Whoever wants what cannot be read asks for it, and hears why.
            let content = match read(&moment, bodies, id, kept) {
                Ok(Body::Memory(content)) => Some(content),
                Ok(Body::Stream(_)) | Err(_) => None,
            };
            let octets = content.as_ref().map_or(0, Bytes::len);
            waiting.content = content.filter(|_| octets <= room);
            room = room.saturating_sub(octets);
        }
        page.messages.push(waiting);
    }
    Ok(page)
}

/// A message with those of its recipients that `wanted` names; none when there is no such
/// recipient. Damaged ones are set aside.
pub(super) fn waiting(
    connection: &Connection,
    watch: &Watch,
    id: QueueId,
    wanted: impl Fn(&Recipient) -> bool,
) -> Result<Option<Waiting>, SpoolError> {
    Ok(read_waiting(connection, watch, id, wanted)?.map(|(waiting, _)| waiting))
}

/// The same, and where the content is.
fn read_waiting(
    connection: &Connection,
    watch: &Watch,
    id: QueueId,
    wanted: impl Fn(&Recipient) -> bool,
) -> Result<Option<(Waiting, Kept)>, SpoolError> {
    let (recipients, numbers) = recipients(connection, watch, id, wanted)?;
    if recipients.is_empty() {
        return Ok(None);
    }
    match message(connection, id) {
        Ok((message, kept)) => Ok(Some((
            Waiting {
                message: Arc::new(message),
                recipients,
                content: None,
            },
            kept,
        ))),
        Err(Unreadable::Failed(error)) => Err(error),
        Err(Unreadable::Damaged(why)) => {
            numbers
                .iter()
                .for_each(|number| watch.set_aside(id, *number, &why));
            Ok(None)
        }
    }
}

/// The wanted recipients, and the numbers of all.
fn recipients(
    connection: &Connection,
    watch: &Watch,
    id: QueueId,
    wanted: impl Fn(&Recipient) -> bool,
) -> Result<(Vec<Recipient>, Vec<u32>), SpoolError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {RECIPIENT_COLUMNS} FROM recipient WHERE id = ?1 AND state <> 3 ORDER BY number"
    ))?;
    let mut rows = statement.query((id.to_bytes(),))?;
    let (mut recipients, mut numbers) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let number = row.get(1)?;
        numbers.push(number);
        match read_recipient(row) {
            Ok(recipient) if wanted(&recipient) => recipients.push(recipient),
            Ok(_) => (),
            Err(Unreadable::Damaged(why)) => watch.set_aside(id, number, &why),
            Err(Unreadable::Failed(error)) => return Err(error),
        }
    }
    Ok((recipients, numbers))
}

fn message(connection: &Connection, id: QueueId) -> Result<(Message, Kept), Unreadable> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {MESSAGE_COLUMNS} FROM message WHERE id = ?1"
    ))?;
    let mut rows = statement.query((id.to_bytes(),))?;
    match rows.next()? {
        Some(row) => read_message(row),
        None => Err(Unreadable::Damaged("its message is missing".to_owned())),
    }
}

/// See [`crate::Spool::domains`]. Jumps from host to host in the index instead of walking it, so a
/// million waiting for one host are one step.
pub(super) fn domains(connection: &Connection) -> Result<Vec<(String, Timestamp)>, SpoolError> {
    let mut statement = connection.prepare_cached(
        "SELECT host, due FROM recipient WHERE state = 0 AND host > ?1 ORDER BY host, due LIMIT 1",
    )?;
    let mut hosts: Vec<(String, Timestamp)> = Vec::new();
    loop {
        let last = hosts.last().map_or("", |(host, _)| host.as_str());
        let next = statement.query_row((last,), |row| Ok((row.get(0)?, moment(row, 1)?)));
        match next.optional()? {
            Some(found) => hosts.push(found),
            None => return Ok(hosts),
        }
    }
}

/// See [`crate::Spool::body`].
pub(super) fn body(
    connection: &Connection,
    bodies: &Bodies,
    id: QueueId,
) -> Result<Option<Body>, SpoolError> {
    let moment = connection.unchecked_transaction()?;
    let question = "SELECT body, large, place FROM message WHERE id = ?1";
    let mut statement = moment.prepare_cached(question)?;
    let mut rows = statement.query((id.to_bytes(),))?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let kept = match read_kept(row, [0, 1, 2]) {
        Ok(kept) => kept,
        Err(Unreadable::Failed(error)) => return Err(error),
        Err(Unreadable::Damaged(why)) => {
            return Err(SpoolError::Corrupt(format!("{why} of {id}").into()));
        }
    };
    read(&moment, bodies, id, kept).map(Some)
}

/// How many octets of content a message has in a file of its own; `None` where it is elsewhere.
pub(super) fn octets_in_file(
    connection: &Connection,
    id: QueueId,
) -> Result<Option<u64>, SpoolError> {
    let question = "SELECT body, large, place FROM message WHERE id = ?1";
    let mut statement = connection.prepare_cached(question)?;
    let kept = statement.query_row((id.to_bytes(),), |row| Ok(read_kept(row, [0, 1, 2])));
    match kept.optional()? {
        Some(Ok(Kept::File(octets))) => Ok(Some(octets)),
        Some(Err(Unreadable::Failed(error))) => Err(error),
        // What is damaged is told by whoever reads it.
        Some(Ok(Kept::Row(_) | Kept::Segment(..)) | Err(Unreadable::Damaged(_))) | None => Ok(None),
    }
}

/// See [`crate::Spool::unscreened`].
pub(super) fn unscreened(
    connection: &Connection,
    watch: &Watch,
    before: Timestamp,
    limit: usize,
) -> Result<UnscreenedPage, SpoolError> {
    // One moment for all its statements.
    let moment = connection.unchecked_transaction()?;
    let pending = operations::pending(&moment)?;
    let question = "SELECT id, number, due FROM recipient WHERE state = 6 ORDER BY due, id, number";
    let mut statement = moment.prepare_cached(question)?;
    let mut rows = statement.query(())?;
    let (mut page, mut seen) = (UnscreenedPage::default(), BTreeSet::new());
    let mut passed_over = 0;
    while let Some(row) = rows.next()? {
        let (id, number, due) = (id_of(row, 0)?, row.get(1)?, self::moment(row, 2)?);
        if due > before {
            page.next = Some(due);
            break;
        }
        if watch.is_damaged(id, number) || seen.contains(&id) {
            continue;
        }
        if page.messages.len() == limit || passed_over == PASSED_OVER_MAX {
            break;
        }
        seen.insert(id);
        let found = unscreened_of(&moment, watch, id)?;
        let Some(waiting) = found.filter(|found| !is_withheld(found, &pending)) else {
            passed_over += 1;
            continue;
        };
        let facts = facts(&moment, id)?;
        page.messages.push(Unscreened { waiting, facts });
    }
    Ok(page)
}

/// A message with those of its recipients that are held until it is looked at.
pub(super) fn unscreened_of(
    connection: &Connection,
    watch: &Watch,
    id: QueueId,
) -> Result<Option<Waiting>, SpoolError> {
    let is_meant = |one: &Recipient| one.state == RecipientState::Held(HoldReason::Unscreened);
    waiting(connection, watch, id, is_meant)
}

/// What is kept for whoever is to look at a message; nothing where it is damaged.
fn facts(connection: &Connection, id: QueueId) -> Result<Bytes, SpoolError> {
    let mut statement =
        connection.prepare_cached("SELECT sum, facts FROM unscreened WHERE id = ?1")?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
    let kept = statement.query_row((id.to_bytes(),), read).optional()?;
    let whole = kept.filter(|(sum, facts)| *sum == content_sum(facts));
    Ok(whole.map(|(_, facts)| facts.into()).unwrap_or_default())
}

/// Content where it is kept: in memory if it is small, else as it is read.
fn read(
    connection: &Connection,
    bodies: &Bodies,
    id: QueueId,
    kept: Kept,
) -> Result<Body, SpoolError> {
    let reader = match kept {
        Kept::Row(number) => return inline(connection, id, number).map(Body::Memory),
        Kept::Segment(place, octets) if kept.is_read_whole() => {
            let content = bodies.segments.read_whole(id, place, octets);
            let content = content.map_err(|error| unreadable(id, error))?;
            return Ok(Body::Memory(content.into()));
        }
        Kept::Segment(place, octets) => bodies.segments.read(id, place, octets),
        Kept::File(octets) => bodies.read(id, octets),
    };
    let reader = reader.map_err(|error| unreadable(id, error))?;
    Ok(Body::Stream(Box::new(reader)))
}

pub(super) fn unreadable(id: QueueId, error: io::Error) -> SpoolError {
    match error.kind() {
        io::ErrorKind::NotFound => {
            SpoolError::Corrupt(format!("the content of {id} is missing").into())
        }
        _ => error.into(),
    }
}

fn inline(connection: &Connection, id: QueueId, number: i64) -> Result<Bytes, SpoolError> {
    let mut statement =
        connection.prepare_cached("SELECT sum, content FROM body WHERE number = ?1")?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
    match statement.query_row((number,), read).optional()? {
        Some((sum, content)) if sum == content_sum(&content) => Ok(content.into()),
        Some(_) => Err(SpoolError::Corrupt(
            format!("the content of {id} is damaged").into(),
        )),
        None => Err(SpoolError::Corrupt(
            format!("the content of {id} is missing").into(),
        )),
    }
}
