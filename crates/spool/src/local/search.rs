//! Walking over recipients in order of id, and asking a filter about each.

use std::ops::ControlFlow;

use filter::{Condition, Facts, Filter, State};
use mail::{QueueId, Timestamp};
use rusqlite::{Connection, Row};

use crate::local::operations;
use crate::local::query::waiting;
use crate::local::readers::Readers;
use crate::local::record::{CORRUPT, Unreadable, id_of, moment, optional_text, state_of, text};
use crate::local::watch::Watch;
use crate::operation::{Cursor, not_withheld};
use crate::{Counts, Found, HoldReason, Page, RecipientState, SpoolError, rerouted};

/// Rows looked at in one read transaction: a long one would keep the write-ahead log from being
/// emptied.
const ROWS_PER_LOOK: usize = 5000;

/// A recipient that matched.
pub(super) struct Match {
    pub(super) id: QueueId,
    pub(super) number: u32,
    /// `None`: its record is damaged and set aside.
    pub(super) state: Option<RecipientState>,
    /// An operator has said where it goes.
    pub(super) is_rerouted: bool,
}

/// A damaged record matches a filter that asks for nothing but the id.
fn damaged((id, number): Cursor, filter: &Filter) -> Option<Match> {
    let is_id = |condition: &Condition| matches!(condition, Condition::Id(wanted) if *wanted == id);
    filter.conditions.iter().all(is_id).then_some(Match {
        id,
        number,
        state: None,
        is_rerouted: false,
    })
}

/// Whether anything is asked of the message, not of the recipient alone.
fn asks_message(filter: &Filter, arrived_by: Option<Timestamp>) -> bool {
    filter.asks_message() || arrived_by.is_some()
}

/// The question to the database. Badmail, what bounces and what screening holds have indexes of
/// their own, so that they are found at once among a million that wait.
fn question(filter: &Filter, with_message: bool) -> String {
    let indexed = if filter.asks(State::Badmail) {
        "r.state = 2 AND"
    } else if filter.asks(State::Bouncing) {
        "r.state = 4 AND"
    } else if filter.asks(State::Quarantined) {
        "r.state = 5 AND"
    } else if filter.asks(State::Unscreened) {
        "r.state = 6 AND"
    } else {
        ""
    };
    let (of_message, message) = if with_message {
        (
            ", m.sender, m.arrived, m.size, m.client, m.user",
            "LEFT JOIN message m ON m.id = r.id",
        )
    } else {
        ("", "")
    };
    format!(
        "SELECT r.id, r.number, r.address, r.state, r.tries, r.last, r.host{of_message}
         FROM recipient r {message}
         WHERE {indexed} r.id >= ?1 AND r.id <= ?3 AND (r.id > ?1 OR r.number > ?2)
         ORDER BY r.id, r.number LIMIT ?4"
    )
}

/// Which part of the queue is looked at.
pub(super) struct Span {
    /// Recipients behind this one.
    pub(super) after: Option<Cursor>,
    /// No message behind this one.
    pub(super) last: QueueId,
    /// No message that arrived later.
    pub(super) arrived_by: Option<Timestamp>,
    /// No more recipients than so many.
    pub(super) rows_max: usize,
}

impl Span {
    /// As much as is looked at in one read transaction.
    fn behind(after: Option<Cursor>) -> Self {
        Self {
            after,
            last: QueueId::from_bytes([0xff; 16]),
            arrived_by: None,
            rows_max: ROWS_PER_LOOK,
        }
    }
}

/// How far a look has come.
pub(super) struct Looked {
    /// How many recipients were looked at.
    pub(super) rows: usize,
    /// Where to go on; `None` when there is nothing more.
    pub(super) next: Option<Cursor>,
}

/// Looks at recipients and shows those that match to `each`, until it breaks.
pub(super) fn look(
    connection: &Connection,
    filter: &Filter,
    span: Span,
    mut each: impl FnMut(Match) -> ControlFlow<()>,
) -> Result<Looked, SpoolError> {
    let Span {
        after,
        last: end,
        arrived_by,
        rows_max,
    } = span;
    let single = filter.single_id();
    let first = QueueId::from_bytes([0; 16]);
    let (low, number) = match (after, single) {
        (Some((id, number)), Some(single)) if id >= single => (id, i64::from(number)),
        (_, Some(single)) => (single, -1),
        (Some((id, number)), None) => (id, i64::from(number)),
        (None, None) => (first, -1),
    };
    let high = single.map_or(end, |single| single.min(end));
    let with_message = asks_message(filter, arrived_by);
    let mut statement = connection.prepare_cached(&question(filter, with_message))?;
    let mut rows = statement.query((low.to_bytes(), number, high.to_bytes(), rows_max as i64))?;
    let (mut looked_at, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        looked_at += 1;
        let cursor = (id_of(row, 0)?, row.get(1)?);
        last = Some(cursor);
        let found = match judge(row, cursor, filter, arrived_by).map_err(Unreadable::from) {
            Ok(found) => found,
            Err(Unreadable::Damaged(_)) => damaged(cursor, filter),
            Err(Unreadable::Failed(error)) => return Err(error),
        };
        if found.is_some_and(|found| each(found).is_break()) {
            return Ok(Looked {
                rows: looked_at,
                next: last,
            });
        }
    }
    Ok(Looked {
        rows: looked_at,
        next: last.filter(|_| looked_at == rows_max),
    })
}

fn judge(
    row: &Row<'_>,
    (id, number): Cursor,
    filter: &Filter,
    arrived_by: Option<Timestamp>,
) -> rusqlite::Result<Option<Match>> {
    let state = row.get(3)?;
    if state == CORRUPT {
        return Ok(damaged((id, number), filter));
    }
    let state = state_of(state);
    let mut facts = Facts {
        id,
        from: "",
        to: text(row, 2)?,
        held: matches!(state, Some(RecipientState::Held(_))),
        badmail: state == Some(RecipientState::Held(HoldReason::Badmail)),
        quarantined: state == Some(RecipientState::Held(HoldReason::Screening)),
        bouncing: state == Some(RecipientState::Held(HoldReason::Bouncing)),
        unscreened: state == Some(RecipientState::Held(HoldReason::Unscreened)),
        tries: row.get(4)?,
        arrived: Timestamp::default(),
        size: 0,
        client: "",
        user: None,
        last: row.get_ref(5)?.as_str_or_null().unwrap_or_default(),
        tracked: None,
    };
    if asks_message(filter, arrived_by) {
        facts.from = text(row, 7)?;
        facts.arrived = moment(row, 8)?;
        facts.size = moment(row, 9)?.as_millis();
        facts.client = text(row, 10)?;
        facts.user = optional_text(row, 11)?;
    }
    let is_rerouted = rerouted(text(row, 6)?).is_some();
    let is_meant = filter.matches(&facts) && arrived_by.is_none_or(|by| facts.arrived <= by);
    Ok(is_meant.then_some(Match {
        id,
        number,
        state,
        is_rerouted,
    }))
}

/// See [`crate::Spool::count_within`].
pub(super) fn count(
    readers: &Readers,
    filter: &Filter,
    looks: usize,
) -> Result<Counts, SpoolError> {
    let (mut counts, mut after, mut message) = (Counts::default(), None, None);
    let mut left = looks;
    loop {
        after = readers.ask(|connection| {
            let span = Span {
                rows_max: left.min(ROWS_PER_LOOK),
                ..Span::behind(after)
            };
            let looked = look(connection, filter, span, |found| {
                match found.state {
                    Some(state) => counts.add(found.id, state),
                    None => counts.corrupt += 1,
                }
                counts.messages += u64::from(message.replace(found.id) != Some(found.id));
                ControlFlow::Continue(())
            })?;
            left -= looked.rows;
            Ok(looked.next)
        })?;
        counts.is_cut = left == 0 && after.is_some();
        if after.is_none() || counts.is_cut {
            return Ok(counts);
        }
    }
}

/// Who is found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    /// Everybody.
    All,
    /// Those whom no pending operation withholds.
    NotWithheld,
}

/// See [`crate::Spool::find_within`].
pub(super) fn find(
    readers: &Readers,
    watch: &Watch,
    filter: &Filter,
    page: Page,
    looks: usize,
    whom: Whom,
) -> Result<Found, SpoolError> {
    let mut found = Found::default();
    if page.limit == 0 {
        return Ok(found);
    }
    let mut after = page.after.map(|id| (id, u32::MAX));
    let mut left = looks;
    // Recipients of the message at which the last look stopped.
    let mut open: Option<(QueueId, Vec<u32>)> = None;
    loop {
        after = readers.ask(|connection| {
            let pending = match whom {
                Whom::All => Vec::new(),
                Whom::NotWithheld => operations::pending(connection)?,
            };
            let mut closed = Vec::new();
            let room = page.limit - found.messages.len();
            let span = Span {
                rows_max: left.min(ROWS_PER_LOOK),
                ..Span::behind(after)
            };
            let looked = look(connection, filter, span, |matched| {
                gather(matched, room, &mut open, &mut closed)
            })?;
            left -= looked.rows;
            if left == 0 && closed.len() < room {
                // What is looked at is looked at whole.
                let rest = looked.next.map(|next| Span {
                    last: next.0,
                    ..Span::behind(Some(next))
                });
                if let Some(rest) = rest {
                    look(connection, filter, rest, |matched| {
                        gather(matched, usize::MAX, &mut open, &mut closed)
                    })?;
                }
                found.next = looked.next.map(|(id, _)| id);
            }
            if looked.next.is_none() || found.next.is_some() {
                closed.extend(open.take());
            }
            for (id, numbers) in closed.into_iter().take(room) {
                // They were found in their order.
                let wanted = |r: &crate::Recipient| numbers.binary_search(&r.number).is_ok();
                let waiting = waiting(connection, watch, id, wanted)?;
                let left = waiting.and_then(|all| not_withheld(all, &pending));
                found.messages.extend(left);
            }
            Ok(looked.next)
        })?;
        if found.messages.len() >= page.limit {
            found.next = found.messages.last().map(|last| last.message.id);
        }
        if after.is_none() || found.next.is_some() {
            return Ok(found);
        }
    }
}

/// Adds a match to its message; breaks when as many messages as there is room for are whole.
fn gather(
    matched: Match,
    room: usize,
    open: &mut Option<(QueueId, Vec<u32>)>,
    closed: &mut Vec<(QueueId, Vec<u32>)>,
) -> ControlFlow<()> {
    if matched.state.is_none() {
        return ControlFlow::Continue(());
    }
    match open {
        Some((id, numbers)) if *id == matched.id => numbers.push(matched.number),
        _ => {
            closed.extend(open.replace((matched.id, vec![matched.number])));
            if closed.len() >= room {
                return ControlFlow::Break(());
            }
        }
    }
    ControlFlow::Continue(())
}
