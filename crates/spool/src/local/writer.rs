//! The one connection that writes. A commit is one transaction: everything in it is durable
//! together or not at all.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail::{Mailbox, QueueId, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use crate::local::bodies::Bodies;
use crate::local::record::{
    CORRUPT, INSERT_MESSAGE, INSERT_RECIPIENT, Kept, UNSCREENED, UPDATE_MESSAGE, Unreadable,
    content_sum, insert_recipient, millis, read_kept, state_number, write_message,
};
use crate::local::room::needs;
use crate::local::schema::{PAGE_OCTETS, open_writer};
use crate::local::search::{Match, Span, look};
use crate::local::segments::{Appender, CONTENT_OCTETS_MIN};
use crate::local::tally::Tally;
use crate::local::watch::Watch;
use crate::local::{operations, pauses, query};
use crate::message::host_name;
use crate::operation::{Files, LOOKED_AT_MAX, is_withheld};
use crate::verb::Effect;
use crate::{
    BULK_RECIPIENTS_MAX, Change, Commit, Content, Filed, Health, HoldReason, KeptMessage,
    LateVerdict, NewMessage, Part, Receipt, RecipientState, Replacement, Settled, Settlement,
    SpoolError, Verb, check, rerouted,
};

/// Pages given back at one time, so that shrinking never holds up a 250 for long.
const PAGES_SHRUNK_AT_ONCE: u32 = 256;

/// Where content is that is in segments, in order. It asks for nothing that is not in the index.
pub(super) const PLACES: &str =
    "SELECT NULL, large, place FROM message WHERE place IS NOT NULL ORDER BY place";

/// The writing connection and what only it needs to know.
pub(super) struct Writer {
    path: PathBuf,
    connection: Connection,
    bodies: Arc<Bodies>,
    appender: Appender,
    /// The next free number in `body`.
    body_next: i64,
    /// Content outside of rows whose messages this transaction forgets.
    forgotten: Vec<(QueueId, Kept)>,
    /// This transaction names a new file.
    names_file: bool,
    /// What it changes about how many there are.
    tally: Tally,
    /// What an administrator should be told of this transaction.
    notes: Vec<String>,
}

/// A transaction that failed as a whole.
pub(super) struct Broken {
    pub(super) error: SpoolError,
    /// It reached the commit itself: its data may be on disk all the same.
    pub(super) unknown: bool,
}

fn applied(recipients: u64) -> Commit {
    Commit::Applied { recipients }
}

fn stored_already(id: QueueId) -> Commit {
    Commit::Rejected(SpoolError::Invalid(
        format!("{id} is stored already").into(),
    ))
}

fn certain(error: impl Into<SpoolError>) -> Broken {
    Broken {
        error: error.into(),
        unknown: false,
    }
}

impl Writer {
    pub(super) fn open(path: &Path, bodies: Arc<Bodies>) -> Result<Self, SpoolError> {
        let connection = open_writer(path)?;
        let last: Option<i64> =
            connection.query_row("SELECT max(number) FROM body", (), |row| row.get(0))?;
        let tally = Tally::new(&connection)?;
        Ok(Self {
            path: path.to_owned(),
            connection,
            bodies,
            appender: Appender::default(),
            body_next: last.unwrap_or(0) + 1,
            forgotten: Vec::new(),
            names_file: false,
            tally,
            notes: Vec::new(),
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Applies everything and syncs once. `room`: octets that new mail may take. `damaged`:
    /// recipients to set aside on the way.
    pub(super) fn commit(
        &mut self,
        changes: Vec<Change>,
        room: u64,
        damaged: &[(QueueId, u32)],
    ) -> Result<Vec<Commit>, Broken> {
        self.forgotten.clear();
        self.names_file = false;
        self.tally.begin();
        self.notes.clear();
        self.run("BEGIN IMMEDIATE").map_err(certain)?;
        let results = match self.apply_all(changes, room, damaged) {
            Ok(results) => results,
            Err(error) => {
                self.roll_back();
                return Err(certain(error));
            }
        };
        if let Err(error) = self.run("COMMIT") {
            // The log was too short for all of it, so the mark that makes it count is not there;
            // after any other error it may be.
            let unknown = error.sqlite_error_code() != Some(ErrorCode::DiskFull);
            self.roll_back();
            return Err(Broken {
                error: error.into(),
                unknown,
            });
        }
        for (id, kept) in self.forgotten.drain(..) {
            match kept {
                Kept::Row(_) => {}
                Kept::Segment(place, _) => self.bodies.segments.forget(place),
                Kept::File(_) => self.bodies.remove(id),
            }
        }
        Ok(results)
    }

    /// What an administrator should be told of the last commit.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn run(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute(())?;
        Ok(())
    }

    /// SQLite may have rolled back by itself; the store is closed next anyhow.
    fn roll_back(&self) {
        let _ = self.run("ROLLBACK");
    }

    fn apply_all(
        &mut self,
        changes: Vec<Change>,
        mut room: u64,
        damaged: &[(QueueId, u32)],
    ) -> Result<Vec<Commit>, SpoolError> {
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            results.push(self.apply(change, &mut room)?);
        }
        for (id, number) in damaged {
            self.turn(*id, *number, CORRUPT, None, None)?;
        }
        self.tally.write(&self.connection)?;
        self.appender.sync(&self.bodies.segments)?;
        if self.names_file {
            self.bodies.sync()?;
        }
        Ok(results)
    }

    fn apply(&mut self, change: Change, room: &mut u64) -> Result<Commit, SpoolError> {
        match change {
            Change::Store(new) => self.store_new(&[new], room),
            Change::StoreAll(all) => self.store_new(&all, room),
            Change::StoreUnscreened(new, facts) => self.store_unscreened(new, &facts, room),
            Change::Screened(verdict) => self.screened(&verdict, room),
            Change::Settle(settlement) => self.settle(settlement),
            Change::Begin(bulk) => Ok(match operations::begin(&self.connection, &bulk)? {
                Ok(number) => Commit::Begun(number),
                Err(why) => Commit::Rejected(why),
            }),
            Change::Advance { now } => self.advance(now),
            Change::Stop { number, now } => {
                Ok(applied(operations::stop(&self.connection, number, now)?))
            }
            Change::File(filed) => self.file(&filed),
            Change::DropHeld(id, reason) => self.drop_held(id, reason),
            Change::Replace(replacement) => self.replace(&replacement, room),
            Change::Pause(pause) => Ok(applied(pauses::put(&self.connection, &pause)?)),
            Change::Resume(site) => {
                let site = site.as_deref();
                Ok(applied(pauses::remove(&self.connection, site)?))
            }
        }
    }

    fn store_new(&mut self, all: &[NewMessage], room: &mut u64) -> Result<Commit, SpoolError> {
        let Some(left) = room.checked_sub(all.iter().map(needs).sum()) else {
            return Ok(Commit::Rejected(SpoolError::Full));
        };
        *room = left;
        let checked = check::new_messages(all)
            .and_then(|()| all.iter().try_for_each(|new| self.check_content(new)));
        if let Err(why) = checked {
            return Ok(Commit::Rejected(why));
        }
        // Of several, before anything is written of one: that cannot be taken back.
        for new in all.iter().filter(|_| all.len() > 1) {
            if self.knows(new.message.id)? {
                return Ok(stored_already(new.message.id));
            }
        }
        for new in all {
            if !self.store(new)? {
                return Ok(stored_already(new.message.id));
            }
        }
        Ok(Commit::Stored(Receipt::new(all[0].message.id)))
    }

    fn store_unscreened(
        &mut self,
        new: NewMessage,
        facts: &[u8],
        room: &mut u64,
    ) -> Result<Commit, SpoolError> {
        let id = new.message.id;
        let Some(left) = room.checked_sub(2 * facts.len() as u64) else {
            return Ok(Commit::Rejected(SpoolError::Full));
        };
        *room = left;
        let stored = self.store_new(&[new], room)?;
        if let Commit::Stored(_) = stored {
            let statement = "INSERT OR REPLACE INTO unscreened VALUES (?1, ?2, ?3)";
            let mut insert = self.connection.prepare_cached(statement)?;
            insert.execute((id.to_bytes(), facts, content_sum(facts)))?;
        }
        Ok(stored)
    }

    fn screened(&mut self, verdict: &LateVerdict, room: &mut u64) -> Result<Commit, SpoolError> {
        let id = verdict.id;
        let (mut looked_at, mut led, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for (number, state, host) in self.states(id)? {
            if state != UNSCREENED {
                others.push(number);
                continue;
            }
            looked_at.push(number);
            led.extend(rerouted(&host).map(|site| (number, site.into())));
        }
        if looked_at.is_empty() || looked_at != verdict.numbers || led != verdict.led {
            return Ok(Commit::Rejected(check::not_unscreened(id)));
        }
        if self.is_withheld(id)? {
            return Ok(Commit::Rejected(check::not_unscreened(id)));
        }
        let mut keeps = None;
        if let Some(kept) = &verdict.kept {
            if let Err(why) = check::kept(kept, &others) {
                return Ok(Commit::Rejected(why));
            }
            let Some(place) = self
                .place(kept.message.id)?
                .filter(|_| kept.message.id == id)
            else {
                let why = format!("the message {id} cannot be read");
                return Ok(Commit::Rejected(SpoolError::Corrupt(why.into())));
            };
            keeps = Some((kept, place));
        }
        if !verdict.others.is_empty() {
            let stored = self.store_new(&verdict.others, room)?;
            if !matches!(stored, Commit::Stored(_)) {
                return Ok(stored);
            }
        }
        for number in &looked_at {
            self.settle_one(id, *number, &Settled::Done)?;
        }
        if let Some((kept, place)) = keeps {
            self.keep(kept, place)?;
        }
        self.forget_when_settled(id)?;
        Ok(applied(looked_at.len() as u64))
    }

    /// Whether an operation has yet to come to one who is held until this message is looked at: it
    /// would not find what is made of it.
    fn is_withheld(&self, id: QueueId) -> Result<bool, SpoolError> {
        let pending = operations::pending(&self.connection)?;
        if pending.is_empty() {
            return Ok(false);
        }
        // What is damaged is told by whoever reads it.
        let watch = Watch::new(Health::Accepting);
        let found = query::unscreened_of(&self.connection, &watch, id)?;
        Ok(found.is_some_and(|found| is_withheld(&found, &pending)))
    }

    /// The message is as this one says from now on, where its content is.
    fn keep(&mut self, kept: &KeptMessage, place: Kept) -> Result<(), SpoolError> {
        let message = &kept.message;
        let mut update = self.connection.prepare_cached(UPDATE_MESSAGE)?;
        write_message(&mut update, message, place)?;
        let mut insert = self.connection.prepare_cached(INSERT_RECIPIENT)?;
        for recipient in &kept.recipients {
            insert_recipient(&mut insert, message.id, recipient)?;
            self.tally.recipients(state_number(recipient.state), 1);
        }
        Ok(())
    }

    /// The number, state and filed name of each.
    fn states(&self, id: QueueId) -> rusqlite::Result<Vec<(u32, i64, String)>> {
        let statement = "SELECT number, state, host FROM recipient WHERE id = ?1 ORDER BY number";
        let mut states = self.connection.prepare_cached(statement)?;
        let one = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let states = states.query_map((id.to_bytes(),), one)?;
        states.collect()
    }

    /// Where the content of a message is, if that can be told.
    fn place(&self, id: QueueId) -> Result<Option<Kept>, SpoolError> {
        let statement = "SELECT body, large, place FROM message WHERE id = ?1";
        let mut place = self.connection.prepare_cached(statement)?;
        let place = place.query_row((id.to_bytes(),), |row| Ok(read_kept(row, [0, 1, 2])));
        match place.optional()? {
            Some(Ok(kept)) => Ok(Some(kept)),
            None | Some(Err(Unreadable::Damaged(_))) => Ok(None),
            Some(Err(Unreadable::Failed(error))) => Err(error),
        }
    }

    /// One is no longer to be looked at: with the last of its message goes what was kept for that.
    fn left_unscreened(&self, id: QueueId) -> rusqlite::Result<()> {
        let forget = "DELETE FROM unscreened WHERE id = ?1 AND NOT EXISTS
             (SELECT 1 FROM recipient WHERE id = ?1 AND state = 6)";
        self.connection
            .prepare_cached(forget)?
            .execute((id.to_bytes(),))?;
        Ok(())
    }

    fn knows(&self, id: QueueId) -> Result<bool, SpoolError> {
        let statement = "SELECT 1 FROM message WHERE id = ?1";
        Ok(self
            .connection
            .prepare_cached(statement)?
            .exists((id.to_bytes(),))?)
    }

    fn check_content(&self, new: &NewMessage) -> Result<(), SpoolError> {
        let id = new.message.id;
        match &new.content {
            Content::Inline(_) => Ok(()),
            Content::Large(large) if self.bodies.holds(id, large) => Ok(()),
            Content::Large(_) => Err(SpoolError::Invalid(
                format!("the large body of {id} is not there").into(),
            )),
        }
    }

    /// Writes the rows; answers false, having written none, when the id is taken.
    fn store(&mut self, new: &NewMessage) -> Result<bool, SpoolError> {
        let message = &new.message;
        let kept = match &new.content {
            Content::Inline(content) if content.len() < CONTENT_OCTETS_MIN => {
                Kept::Row(self.body_next)
            }
            Content::Inline(content) => {
                let segments = &self.bodies.segments;
                let place = self.appender.append(segments, message.id, content)?;
                Kept::Segment(place, content.len() as u64)
            }
            Content::Large(large) => Kept::File(large.size),
        };
        let connection = &self.connection;
        if !write_message(
            &mut connection.prepare_cached(INSERT_MESSAGE)?,
            message,
            kept,
        )? {
            if let Kept::Segment(place, _) = kept {
                self.bodies.segments.forget(place);
            }
            return Ok(false);
        }
        match &new.content {
            Content::Inline(content) if let Kept::Row(_) = kept => {
                let mut insert =
                    connection.prepare_cached("INSERT INTO body VALUES (?1, ?2, ?3)")?;
                insert.execute((self.body_next, content_sum(content), &**content))?;
                self.body_next += 1;
            }
            Content::Inline(_) => {}
            Content::Large(_) => self.names_file = true,
        }
        self.tally.messages(1);
        let mut insert = connection.prepare_cached(INSERT_RECIPIENT)?;
        for recipient in &new.recipients {
            insert_recipient(&mut insert, message.id, recipient)?;
            self.tally.recipients(state_number(recipient.state), 1);
        }
        Ok(true)
    }

    fn settle(&mut self, settlement: Settlement) -> Result<Commit, SpoolError> {
        let checked = check::settlement(&settlement).and_then(|()| {
            settlement
                .notices
                .iter()
                .try_for_each(|notice| self.check_content(notice))
        });
        if let Err(why) = checked {
            return Ok(Commit::Rejected(why));
        }
        let (mut touched, mut removed) = (0, false);
        for (number, settled) in &settlement.recipients {
            touched += self.settle_one(settlement.id, *number, settled)?;
            removed |= *settled == Settled::Done;
        }
        if removed {
            self.forget_when_settled(settlement.id)?;
        }
        // A settlement given twice (its first answer was unknown) must not bounce twice.
        if touched > 0 || settlement.recipients.is_empty() {
            for notice in &settlement.notices {
                self.store(notice)?;
            }
        }
        Ok(applied(touched))
    }

    fn settle_one(
        &mut self,
        id: QueueId,
        number: u32,
        settled: &Settled,
    ) -> Result<u64, SpoolError> {
        let touched = match settled {
            Settled::Done => {
                let Some(state) = self.state(id, number)? else {
                    return Ok(0);
                };
                let statement = "DELETE FROM recipient WHERE id = ?1 AND number = ?2";
                let mut forget = self.connection.prepare_cached(statement)?;
                forget.execute((id.to_bytes(), number))?;
                if state == UNSCREENED {
                    self.left_unscreened(id)?;
                }
                self.tally.recipients(state, -1);
                1
            }
            // Somebody may have held it while it was being tried: it stays held. Every attempt
            // counts up `tries`, or else tells of the delay: with both as they are, this was given
            // before. One that an operator gave up meanwhile keeps his words.
            Settled::Again {
                due,
                tries,
                last,
                delay_told,
            } => self
                .connection
                .prepare_cached(
                    "UPDATE recipient SET due = ?3, tries = ?4, delay_told = ?6,
                     last = CASE state WHEN 4 THEN last ELSE ?5 END
                     WHERE id = ?1 AND number = ?2 AND state <> 3
                     AND NOT (tries = ?4 AND delay_told = ?6)",
                )?
                .execute((
                    id.to_bytes(),
                    number,
                    millis(*due),
                    tries,
                    &**last,
                    delay_told,
                ))?,
            Settled::Held { reason, last } => {
                let state = state_number(RecipientState::Held(*reason));
                match self.state(id, number)? {
                    None | Some(CORRUPT) => 0,
                    Some(_) => self.turn(id, number, state, None, Some(last))?,
                }
            }
        };
        Ok(touched as u64)
    }

    fn state(&self, id: QueueId, number: u32) -> rusqlite::Result<Option<i64>> {
        let statement = "SELECT state FROM recipient WHERE id = ?1 AND number = ?2";
        let mut state = self.connection.prepare_cached(statement)?;
        let state = state.query_row((id.to_bytes(), number), |row| row.get(0));
        state.optional()
    }

    /// Brings a recipient into a state; the rest stays as it is where nothing else is said.
    fn turn(
        &mut self,
        id: QueueId,
        number: u32,
        state: i64,
        due: Option<i64>,
        last: Option<&str>,
    ) -> rusqlite::Result<usize> {
        let Some(before) = self.state(id, number)? else {
            return Ok(0);
        };
        self.tally.recipients(before, -1);
        self.tally.recipients(state, 1);
        let statement = "UPDATE recipient SET state = ?3, due = coalesce(?4, due),
             last = coalesce(?5, last) WHERE id = ?1 AND number = ?2";
        let mut update = self.connection.prepare_cached(statement)?;
        let turned = update.execute((id.to_bytes(), number, state, due, last))?;
        if before == UNSCREENED {
            self.left_unscreened(id)?;
        }
        Ok(turned)
    }

    /// Removes the message and its content when no recipient is left.
    fn forget_when_settled(&mut self, id: QueueId) -> Result<(), SpoolError> {
        // RETURNING would make a table for one row, each time.
        let settled = "SELECT body, large, place FROM message WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM recipient WHERE id = ?1)";
        let mut settled = self.connection.prepare_cached(settled)?;
        let kept = settled.query_row((id.to_bytes(),), |row| Ok(read_kept(row, [0, 1, 2])));
        let Some(kept) = kept.optional()? else {
            return Ok(());
        };
        let forget = "DELETE FROM message WHERE id = ?1";
        self.connection
            .prepare_cached(forget)?
            .execute((id.to_bytes(),))?;
        self.tally.messages(-1);
        match kept {
            // Where it is cannot be read: a start finds it.
            Err(_) => (),
            Ok(Kept::Row(number)) => {
                let statement = "DELETE FROM body WHERE number = ?1";
                self.connection
                    .prepare_cached(statement)?
                    .execute((number,))?;
            }
            Ok(kept) => self.forgotten.push((id, kept)),
        }
        Ok(())
    }

    fn file(&self, filed: &[Filed]) -> Result<Commit, SpoolError> {
        let where_filed = "SELECT host FROM recipient WHERE id = ?1 AND number = ?2";
        let mut where_filed = self.connection.prepare_cached(where_filed)?;
        let mut touched = 0;
        for Filed { id, number, name } in filed {
            let row = where_filed.query_row((id.to_bytes(), number), |row| row.get(0));
            let host: Option<String> = row.optional()?;
            if host.is_some_and(|host| rerouted(&host).is_none()) {
                touched += self.file_one(*id, *number, name)?;
            }
        }
        Ok(applied(touched as u64))
    }

    fn file_one(&self, id: QueueId, number: u32, name: &str) -> rusqlite::Result<usize> {
        let file = "UPDATE recipient SET host = ?3 WHERE id = ?1 AND number = ?2";
        let mut file = self.connection.prepare_cached(file)?;
        file.execute((id.to_bytes(), number, name))
    }

    /// Where it is filed that nobody rerouted. The queue manager brings it to another place, when
    /// its sender has one.
    fn file_by_host(&self, &Match { id, number, .. }: &Match) -> Result<(), SpoolError> {
        let address = "SELECT address FROM recipient WHERE id = ?1 AND number = ?2";
        let mut address = self.connection.prepare_cached(address)?;
        let address: String = address.query_row((id.to_bytes(), number), |row| row.get(0))?;
        // One that cannot be read is set aside when it is read for delivery.
        if let Ok(mailbox) = Mailbox::parse(&address) {
            self.file_one(id, number, &host_name(mailbox.host()))?;
        }
        Ok(())
    }

    /// One bounded part of the oldest operation that is pending: what it changes and how far it is
    /// are written down together.
    fn advance(&mut self, now: Timestamp) -> Result<Commit, SpoolError> {
        self.notes
            .extend(operations::forget_damaged(&self.connection)?);
        let pending = operations::pending(&self.connection)?.into_iter().next();
        let Some(mut pending) = pending else {
            return Ok(Commit::Advanced(None));
        };
        let bulk = &pending.operation.bulk;
        let span = Span {
            after: pending.after,
            last: pending.last,
            arrived_by: Some(bulk.at),
            rows_max: LOOKED_AT_MAX,
        };
        let (mut matches, mut files) = (Vec::new(), Files::default());
        let looked = look(&self.connection, &bulk.filter, span, |found| {
            if !bulk.concerns(found.state, found.is_rerouted) {
                return ControlFlow::Continue(());
            }
            let id = found.id;
            matches.push(found);
            // Whatever is wrong with it shows when it is deleted.
            let deletes_file = bulk.verb == Verb::Delete && self.names(id).unwrap_or(false);
            let enough = deletes_file && files.add(id);
            if enough || matches.len() == BULK_RECIPIENTS_MAX {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        self.apply_effect(bulk.effect(), &matches)?;
        let (rows, changed) = (looked.rows as u64, matches.len() as u64);
        pending.advance(rows, changed, looked.next, now);
        operations::update(&self.connection, &pending)?;
        let changed = matches.iter().map(|one| (one.id, one.number)).collect();
        let operation = pending.operation;
        Ok(Commit::Advanced(Some(Box::new(Part {
            operation,
            changed,
        }))))
    }

    fn drop_held(&mut self, id: QueueId, reason: HoldReason) -> Result<Commit, SpoolError> {
        let forget = "DELETE FROM recipient WHERE id = ?1 AND state = ?2";
        let state = state_number(RecipientState::Held(reason));
        let dropped = self
            .connection
            .prepare_cached(forget)?
            .execute((id.to_bytes(), state))?;
        self.tally.recipients(state, -(dropped as i64));
        self.forget_when_settled(id)?;
        Ok(applied(dropped as u64))
    }

    fn replace(&mut self, replacement: &Replacement, room: &mut u64) -> Result<Commit, SpoolError> {
        let Replacement { id, reason, by } = replacement;
        let state = state_number(RecipientState::Held(*reason));
        for one in &by.recipients {
            let held = "SELECT 1 FROM recipient WHERE id = ?1 AND number = ?2 AND state = ?3";
            let mut held = self.connection.prepare_cached(held)?;
            if !held.exists((id.to_bytes(), one.number, state))? {
                return Ok(Commit::Rejected(check::not_held(*id, one.number)));
            }
        }
        let stored = self.store_new(std::slice::from_ref(by), room)?;
        if let Commit::Stored(_) = stored {
            for one in &by.recipients {
                self.settle_one(*id, one.number, &Settled::Done)?;
            }
            self.forget_when_settled(*id)?;
        }
        Ok(stored)
    }

    fn apply_effect(&mut self, effect: Effect, matches: &[Match]) -> Result<(), SpoolError> {
        match effect {
            Effect::Becomes(state, due, last) => {
                let (state, due) = (state_number(state), due.map(millis));
                for Match { id, number, .. } in matches {
                    self.turn(*id, *number, state, due, last.as_deref())?;
                }
                Ok(())
            }
            Effect::Filed(Some(name)) => {
                matches.iter().try_for_each(|Match { id, number, .. }| {
                    self.file_one(*id, *number, &name)?;
                    Ok(())
                })
            }
            Effect::Filed(None) => matches
                .iter()
                .try_for_each(|found| self.file_by_host(found)),
            Effect::Forgotten => self.forget_all(matches),
        }
    }

    /// Removes recipients that are in order of message, and each message that has none left.
    fn forget_all(&mut self, matches: &[Match]) -> Result<(), SpoolError> {
        for of_one in matches.chunk_by(|one, next| one.id == next.id) {
            for found in of_one {
                self.settle_one(found.id, found.number, &Settled::Done)?;
            }
            self.forget_when_settled(of_one[0].id)?;
        }
        Ok(())
    }

    /// Gives some free pages back to the file system, if there are more than are to be `kept`; says
    /// whether there were. That takes room in the log itself: without any, nothing happens.
    pub(super) fn shrink(&mut self, kept: i64) -> Result<bool, SpoolError> {
        let free: i64 = self
            .connection
            .prepare_cached("PRAGMA freelist_count")?
            .query_row((), |r| r.get(0))?;
        if free <= kept {
            return Ok(false);
        }
        let vacuum = format!("PRAGMA incremental_vacuum({PAGES_SHRUNK_AT_ONCE})");
        let mut vacuum = self.connection.prepare_cached(&vacuum)?;
        let mut pages = vacuum.query(())?;
        loop {
            match pages.next() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(true),
                Err(full) if full.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Octets by which the main file will grow when the log is copied into it.
    pub(super) fn growth(&self) -> Result<u64, SpoolError> {
        let mut asked = self.connection.prepare_cached("PRAGMA page_count")?;
        let pages: u32 = asked.query_row((), |row| row.get(0))?;
        let whole = u64::from(pages) * PAGE_OCTETS;
        Ok(whole.saturating_sub(fs::metadata(&self.path)?.len()))
    }

    /// Has the segments begin with what the rows name.
    pub(super) fn take_stock(&self) -> Result<(), SpoolError> {
        let mut statement = self.connection.prepare(PLACES)?;
        let rows = statement.query_and_then((), |row| read_kept(row, [0, 1, 2]))?;
        // One whose content is nowhere to be read has none to be kept either.
        let places = rows.filter_map(|kept| match kept {
            Ok(Kept::Segment(place, octets)) => Some(Ok((place, octets))),
            Ok(Kept::Row(_) | Kept::File(_)) | Err(Unreadable::Damaged(_)) => None,
            Err(Unreadable::Failed(error)) => Some(Err(error)),
        });
        self.bodies.segments.take_stock(places)
    }

    /// Whether a row names this file.
    pub(super) fn names(&self, id: QueueId) -> Result<bool, SpoolError> {
        let statement =
            "SELECT 1 FROM message WHERE id = ?1 AND large IS NOT NULL AND place IS NULL";
        Ok(self
            .connection
            .prepare_cached(statement)?
            .exists((id.to_bytes(),))?)
    }

    /// Reads the whole file for structural damage, then writes and syncs something.
    pub(super) fn check_and_probe(&self) -> Result<(), SpoolError> {
        let verdict: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
        if verdict != "ok" {
            return Err(SpoolError::Corrupt(verdict.into()));
        }
        self.connection
            .execute("UPDATE probe SET count = count + 1", ())?;
        self.bodies.sync()?;
        Ok(())
    }
}
