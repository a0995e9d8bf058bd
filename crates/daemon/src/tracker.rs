//! The tracking store as it is written: by a thread of its own, behind what it tells of.
//!
//! Guarantees: nobody who tells it anything ever waits, whatever its disk does; what cannot be kept
//! is counted as lost, and the count is in `gatepost status`. Once there is room again, and after a
//! crash, what the spool still knows of it is made again. A file that is damaged is set aside, and
//! another one begun.

mod comparison;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use config::Config;
use filter::Filter;
use mail::{QueueId, Timestamp};
use privacy::Veil;
use protocol_log::EvenClock;
use queue::Moment;
use spool::Spool;
use tokio::sync::oneshot;
use tracking::{Gap, Row, Store, StoreError, Transcript};

use self::comparison::{Comparison, Fault, ON_ITS_WAY, Sources, oldest_of};
use crate::clock::Clock;
use crate::storage;
use crate::veiling;

/// Rows that may wait to be written: further ones are lost, so that a slow disk costs no memory.
const ROWS_WAITING_MAX: usize = 20_000;
/// So many octets of a transcript wait in place of a row.
const ROW_OCTETS: usize = 512;
/// How long rows wait for company.
const COMPANY: Duration = Duration::from_millis(50);
/// Rows of one transaction.
const BATCH_ROWS: usize = 2_000;
/// So much above `spool.min_free`, where mail stops, rows stop.
const LEFT_TO_MAIL: u64 = 64_000_000;
/// How often old rows are looked for.
const TRIM_INTERVAL: Duration = Duration::from_secs(60);
/// After a fault the file is opened anew no sooner than this.
const REOPEN_INTERVAL: Duration = Duration::from_secs(10);
/// After a start the spool is compared with what was remembered for so long before mail goes out;
/// what is left is compared beside it.
const COMPARING_MAX: Duration = Duration::from_secs(1);
/// A message has its queue id from its beginning on, and its row from its end on: the last rows may be
/// of messages that began so long before.
const MARGIN: Duration = Duration::from_secs(600);
/// So long no row is lost before those are made again that were.
const MENDING_PAUSE: Duration = Duration::from_secs(5);
/// What the name of a damaged file ends with that was set aside.
const DAMAGED: &str = ".damaged";
/// No row is lost that the spool may know of.
const NOTHING_LOST: u64 = u64::MAX;

enum Input {
    Rows(Vec<Row>),
    /// This happened to all of these; the rest of each row is what is known of them.
    About(Box<Row>, Vec<(QueueId, u32)>),
    /// This was said about messages.
    Transcript(Box<Transcript>),
    /// Answer once all that came before is written, or lost.
    Flush(oneshot::Sender<()>),
    Finish,
}

/// How long rows are kept, and how much of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) keep: Duration,
    pub(crate) octets: u64,
    /// With less free on the disk nothing is written: what is left is for mail.
    pub(crate) min_free: u64,
    /// Whether rows that are made again have subjects.
    pub(crate) with_subject: bool,
}

impl Limits {
    pub(crate) fn of(config: &Config) -> Self {
        let min_free = config.spool.min_free;
        Self {
            keep: config.tracking.keep,
            octets: config.tracking.max_size,
            min_free: min_free + min_free.min(LEFT_TO_MAIL),
            with_subject: config.tracking.subject,
        }
    }
}

/// The way to the thread that writes.
#[derive(Clone)]
pub(crate) struct Tracker {
    inputs: Sender<Input>,
    shared: Arc<Shared>,
}

struct Shared {
    file: PathBuf,
    waiting: AtomicUsize,
    lost: AtomicU64,
    /// Of these, made again from the spool.
    made_again: AtomicU64,
    /// The oldest message of which a row was lost since it was written down that some are, in
    /// milliseconds of the queue's line.
    lost_since: AtomicU64,
    /// What is wrong at present.
    trouble: Mutex<Option<String>>,
    limits: Mutex<Limits>,
    /// Makes addresses unrecognisable, where that is wished.
    veil: Option<Arc<Veil>>,
}

/// What a comparison with the spool needs.
struct Compared {
    spool: Arc<dyn Spool>,
    /// The moment of the start: what came later is told as it comes.
    now: Moment,
}

impl Tracker {
    /// Starts the thread, in this folder; addresses are behind the veil, if there is one. Gives back when what a crash took is made good from the
    /// spool, or after a short while.
    ///
    /// # Errors
    /// There is no thread.
    pub(crate) fn start(
        folder: &Path,
        limits: Limits,
        clock: Arc<Clock>,
        spool: Arc<dyn Spool>,
        veil: Option<Arc<Veil>>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (inputs, inbox) = channel();
        let shared = Arc::new(Shared {
            file: folder.join("tracking.db"),
            waiting: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            made_again: AtomicU64::new(0),
            lost_since: AtomicU64::new(NOTHING_LOST),
            trouble: Mutex::new(None),
            limits: Mutex::new(limits),
            veil,
        });
        let (compared_by_then, wait) = channel();
        let compared = Compared {
            spool,
            now: clock.moment(),
        };
        let mut writer = Writer::new(Arc::clone(&shared), inbox, clock, compared);
        let folder = folder.to_owned();
        let thread = thread::Builder::new()
            .name("tracking".into())
            .spawn(move || {
                // What is wrong with the folder shows when the file is opened.
                let _is_there = std::fs::create_dir_all(&folder);
                writer.compare_all();
                let _nobody_waits = compared_by_then.send(());
                writer.run();
            })?;
        let _in_time = wait.recv_timeout(COMPARING_MAX);
        Ok((Self { inputs, shared }, thread))
    }

    /// Has rows written, soon.
    pub(crate) fn add(&self, rows: Vec<Row>) {
        let count = rows.len();
        if count == 0 {
            return;
        }
        let waiting = self.shared.waiting.fetch_add(count, Ordering::Relaxed);
        if waiting + count > ROWS_WAITING_MAX {
            self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
            self.shared.lose_rows(&rows);
        } else if self.inputs.send(Input::Rows(rows)).is_err() {
            self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
            self.shared.lose(count, None);
        }
    }

    /// Has a row like this one written for each of these recipients of messages, with what is known
    /// of them otherwise.
    pub(crate) fn add_about(&self, row: Row, whom: Vec<(QueueId, u32)>) {
        let count = whom.len();
        let oldest = oldest_of(whom.iter().map(|(id, _)| id));
        let waiting = self.shared.waiting.fetch_add(count, Ordering::Relaxed);
        let input = Input::About(Box::new(row), whom);
        if waiting + count > ROWS_WAITING_MAX || self.inputs.send(input).is_err() {
            self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
            self.shared.lose(count, oldest);
        }
    }

    /// Has a transcript kept.
    pub(crate) fn add_transcript(&self, transcript: Transcript) {
        let count = weight(&transcript);
        let waiting = self.shared.waiting.fetch_add(count, Ordering::Relaxed);
        let input = Input::Transcript(Box::new(transcript));
        if waiting + count > ROWS_WAITING_MAX || self.inputs.send(input).is_err() {
            self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
            self.shared.lose(1, None);
        }
    }

    /// Comes when all that was added before is written, or lost.
    pub(crate) async fn flushed(&self) {
        let (answer, answered) = oneshot::channel();
        if self.inputs.send(Input::Flush(answer)).is_ok() {
            let _thread_ended = answered.await;
        }
    }

    /// From now on these limits hold.
    pub(crate) fn set_limits(&self, limits: Limits) {
        *self.shared.limits() = limits;
    }

    /// What is to be asked of the store, for what somebody asks.
    pub(crate) fn asked(&self, filter: Filter) -> Filter {
        match &self.shared.veil {
            Some(veil) => veiling::asked(veil, filter),
            None => filter,
        }
    }

    /// The file that is written.
    pub(crate) fn file(&self) -> &Path {
        &self.shared.file
    }

    /// A damaged file that was set aside, if it still lies there. May block.
    pub(crate) fn set_aside(&self) -> Option<PathBuf> {
        Some(beside(&self.shared.file, DAMAGED)).filter(|aside| aside.exists())
    }

    /// Rows lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Of these, made again since from what the spool knows.
    pub(crate) fn made_again(&self) -> u64 {
        self.shared.made_again.load(Ordering::Relaxed)
    }

    /// What is wrong with the store at present.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.trouble().clone()
    }

    /// Nothing follows: the thread writes what it has, and ends.
    pub(crate) fn finish(&self) {
        let _ended = self.inputs.send(Input::Finish);
    }
}

impl Shared {
    /// So many rows are not written, and the oldest message that they are of was made then.
    fn lose(&self, rows: usize, oldest: Option<Timestamp>) {
        self.lost.fetch_add(rows as u64, Ordering::Relaxed);
        if let Some(oldest) = oldest {
            let millis = oldest.as_millis();
            self.lost_since.fetch_min(millis, Ordering::Relaxed);
        }
    }

    /// So many rows are made again. Those that a crash took were never counted as lost.
    fn found_again(&self, rows: usize) {
        let lost = self.lost.load(Ordering::Relaxed);
        let made_again = self.made_again.load(Ordering::Relaxed) + rows as u64;
        self.made_again
            .store(made_again.min(lost), Ordering::Relaxed);
    }

    fn lose_rows(&self, rows: &[Row]) {
        let ids = rows.iter().filter_map(|row| row.id.as_ref());
        self.lose(rows.len(), oldest_of(ids));
    }

    fn is_any_lost(&self) -> bool {
        self.lost_since.load(Ordering::Relaxed) != NOTHING_LOST
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> std::sync::MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread.
struct Writer {
    shared: Arc<Shared>,
    inbox: Receiver<Input>,
    store: Option<Store>,
    /// When it may be opened again.
    opens: Instant,
    trims: Instant,
    clock: Arc<Clock>,
    /// Nothing goes for its age while the system's clock may be wrong.
    even: EvenClock,
    began: Instant,
    compared: Compared,
    /// What is still to be looked for in the spool, if anything.
    comparing: Option<Comparison>,
    /// When that may go on.
    compares: Instant,
    /// Whether a file was open before, so that another one tells of no crash.
    was_open: bool,
    /// Whether mail goes on, so that rows are on their way.
    is_serving: bool,
}

impl Writer {
    fn new(
        shared: Arc<Shared>,
        inbox: Receiver<Input>,
        clock: Arc<Clock>,
        compared: Compared,
    ) -> Self {
        Self {
            shared,
            inbox,
            store: None,
            opens: Instant::now(),
            trims: Instant::now(),
            clock,
            even: EvenClock::new(Duration::ZERO, compared.now.wall),
            began: Instant::now(),
            compared,
            comparing: None,
            compares: Instant::now(),
            was_open: false,
            is_serving: false,
        }
    }

    /// Opens the file and makes good what a crash took, as far as the time that mail waits for.
    fn compare_all(&mut self) {
        self.open();
        let until = Instant::now() + COMPARING_MAX;
        let is_awaited = |comparing: &Comparison| comparing.may_lack_all();
        while self.comparing.as_ref().is_some_and(is_awaited)
            && self.compares <= Instant::now()
            && Instant::now() < until
        {
            self.compare();
        }
        self.is_serving = true;
    }

    /// What is to be looked for in the spool, now that this file is open.
    fn first_comparison(&self, store: &Store) -> Result<Option<Comparison>, StoreError> {
        let newest = store.newest()?;
        let is_whole = self.was_open || store.was_closed();
        let gap = match newest {
            Some(_) if is_whole => None,
            // The last rows that its last writer had for it may be missing.
            Some(newest) => Some(self.compared.now.reckoned(newest) - MARGIN),
            // Another one may have been set aside.
            None => Some(Timestamp::default()),
        };
        let end = store.end();
        let gap = gap.map(|since| Gap { since, end });
        let is_after_crash = gap.is_some();
        let gap = match (store.gap()?, gap) {
            (Some(before), Some(gap)) => Some(before.with(gap)),
            (before, gap) => before.or(gap),
        };
        Ok(gap.map(|gap| Comparison::new(gap, is_after_crash)))
    }

    fn run(&mut self) {
        loop {
            let now = Instant::now();
            let wait = match self.comparing {
                Some(_) => self.compares.saturating_duration_since(now),
                None if self.shared.is_any_lost() => self.opens.saturating_duration_since(now),
                None => self.trims.saturating_duration_since(now),
            };
            match self.inbox.recv_timeout(wait) {
                Ok(Input::Finish) | Err(RecvTimeoutError::Disconnected) => return self.close(),
                Ok(first) => {
                    if self.write(first) {
                        return self.close();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.mend();
                    self.compare();
                }
            }
            self.trim();
        }
    }

    /// Says in the store that nothing is missing, if that is so: else the next start looks.
    fn close(&mut self) {
        let is_whole = self.comparing.is_none() && !self.shared.is_any_lost();
        if let Some(Err(error)) = self.store.take().filter(|_| is_whole).map(Store::close) {
            tracing::warn!(%error, "the tracking store is compared with the spool at the next start");
        }
    }

    /// Writes what there is after a moment, in which more may come. Whether that was all.
    fn write(&mut self, first: Input) -> bool {
        let is_urgent = matches!(first, Input::Flush(_));
        if !is_urgent {
            thread::sleep(COMPANY);
        }
        let (mut rows, mut next) = (Vec::new(), Some(first));
        loop {
            match next {
                Some(Input::Rows(more)) => rows.extend(more),
                Some(Input::About(row, whom)) => {
                    // Of whom it is may be among what comes before.
                    self.append(&std::mem::take(&mut rows));
                    self.open();
                    rows.extend(whom.iter().map(|one| self.completed(&row, *one)));
                }
                Some(Input::Transcript(transcript)) => self.append_transcript(&transcript),
                Some(Input::Flush(answer)) => {
                    self.append(&std::mem::take(&mut rows));
                    let _asker_gone = answer.send(());
                }
                Some(Input::Finish) => {
                    self.append(&rows);
                    return true;
                }
                None => break,
            }
            if rows.len() >= BATCH_ROWS {
                self.append(&std::mem::take(&mut rows));
            }
            next = self.inbox.try_recv().ok();
        }
        self.append(&rows);
        false
    }

    /// The row with what is known of this recipient.
    fn completed(&self, row: &Row, (id, number): (QueueId, u32)) -> Row {
        let store = self.store.as_ref();
        let known = store.and_then(|store| store.last_of(id, number).ok().flatten());
        let known = known.map_or_else(|| row.clone(), |(_, known)| known);
        Row {
            id: Some(id),
            number: Some(number),
            client: known.client,
            user: known.user,
            sender: known.sender,
            recipient: known.recipient,
            size: known.size,
            tries: known.tries,
            ..row.clone()
        }
    }

    fn append(&mut self, rows: &[Row]) {
        if rows.is_empty() {
            return;
        }
        self.shared.waiting.fetch_sub(rows.len(), Ordering::Relaxed);
        let veil = self.shared.veil.clone();
        let veiled: Option<Vec<Row>> = veil.map(|veil| {
            rows.iter()
                .map(|row| veiling::tracked(&veil, row))
                .collect()
        });
        if !self.try_append(veiled.as_deref().unwrap_or(rows)) {
            self.shared.lose_rows(rows);
        }
    }

    fn append_transcript(&mut self, transcript: &Transcript) {
        let veil = self.shared.veil.clone();
        let veiled = veil.map(|veil| veiling::transcript(&veil, transcript));
        let waiting = &self.shared.waiting;
        waiting.fetch_sub(weight(transcript), Ordering::Relaxed);
        self.open();
        let is_mails = self.is_disk_mails();
        let store = self.store.as_mut();
        let stored = store
            .filter(|_| !is_mails)
            .map(|store| store.append_transcript(veiled.as_ref().unwrap_or(transcript)));
        match stored {
            Some(Ok(())) => return,
            Some(Err(error)) => self.failed(&error),
            None => {}
        }
        self.shared.lose(1, None);
    }

    fn try_append(&mut self, rows: &[Row]) -> bool {
        // Once more after a damaged file was set aside.
        for _ in 0..2 {
            self.open();
            if self.is_disk_mails() {
                return false;
            }
            if !self.note_gap() {
                continue;
            }
            let Some(store) = &mut self.store else {
                return false;
            };
            match store.append(rows) {
                Ok(()) => {
                    self.recovered();
                    return true;
                }
                Err(error) => self.failed(&error),
            }
        }
        false
    }

    /// Writes down that rows were lost, before any other one makes that look as if none were. Whether
    /// there is nothing more to write down.
    fn note_gap(&mut self) -> bool {
        let Some(store) = &mut self.store else {
            return !self.shared.is_any_lost();
        };
        let lost_since = &self.shared.lost_since;
        let since = lost_since.swap(NOTHING_LOST, Ordering::Relaxed);
        if since == NOTHING_LOST {
            return true;
        }
        let gap = Gap {
            since: Timestamp::from_millis(since),
            end: store.end(),
        };
        if let Err(error) = store.set_gap(Some(gap)) {
            lost_since.fetch_min(since, Ordering::Relaxed);
            self.failed(&error);
            return false;
        }
        let before = self.comparing.as_ref();
        self.comparing = Some(match before {
            Some(before) => before.widened(gap),
            None => Comparison::new(gap, false),
        });
        self.compares = Instant::now() + MENDING_PAUSE;
        true
    }

    /// Looks whether rows that were lost can be made again, though no other one comes to be written.
    fn mend(&mut self) {
        if !self.shared.is_any_lost() {
            return;
        }
        self.open();
        if self.store.is_some() && !self.is_disk_mails() {
            // What is made again, or the next row, shows whether there is room.
            let _noted = self.note_gap();
        }
    }

    /// Whether what is left of the disk is left to mail.
    fn is_disk_mails(&mut self) -> bool {
        let min_free = self.shared.limits().min_free;
        let folder = self.shared.file.parent();
        let free = folder.and_then(storage::free_at);
        let is_mails = self.store.is_some() && free.is_some_and(|free| free < min_free);
        if is_mails {
            self.failed(&StoreError::Full);
        }
        is_mails
    }

    fn open(&mut self) {
        if self.store.is_some() || Instant::now() < self.opens {
            return;
        }
        let mut opened = Store::open(&self.shared.file);
        if let Err(error @ StoreError::Damaged(_)) = &opened {
            self.failed(error);
            opened = Store::open(&self.shared.file);
        }
        match opened {
            Ok(store) => self.begin(store),
            Err(error) => {
                self.opens = Instant::now() + REOPEN_INTERVAL;
                self.say(&error);
            }
        }
    }

    /// Goes on with this file.
    fn begin(&mut self, mut store: Store) {
        let first = self.first_comparison(&store).and_then(|first| {
            // Should this end before all is made good, the next one knows.
            if let Some(first) = &first {
                store.set_gap(Some(first.gap()))?;
            }
            Ok(first)
        });
        match first {
            Ok(first) => {
                // One that is under way knows of all that was lost in this file.
                if self.comparing.is_none() || store.end() == 0 {
                    self.comparing = first;
                }
                self.was_open = true;
                self.store = Some(store);
            }
            Err(error) => self.failed(&error),
        }
    }

    /// The file is opened anew after a while, in which rows are lost; a damaged one is set aside.
    fn failed(&mut self, error: &StoreError) {
        self.say(error);
        self.store = None;
        if matches!(error, StoreError::Damaged(_)) {
            set_aside(&self.shared.file);
        } else {
            self.opens = Instant::now() + REOPEN_INTERVAL;
        }
    }

    fn say(&self, error: &StoreError) {
        let file = self.shared.file.display();
        let trouble = format!("{file}: {error}");
        let last = self.shared.trouble().replace(trouble.clone());
        if last.as_ref() != Some(&trouble) {
            tracing::error!(%file, %error, "tracking rows are lost, mail goes on");
        }
    }

    fn recovered(&self) {
        if self.shared.trouble().take().is_some() {
            let lost = self.shared.lost.load(Ordering::Relaxed);
            tracing::info!(lost, "tracking rows are written again");
        }
    }

    fn trim(&mut self) {
        if Instant::now() < self.trims {
            return;
        }
        let Limits { keep, octets, .. } = *self.shared.limits();
        let wall = self.clock.moment().wall;
        let keep_from = match self.even.is_believed(self.began.elapsed(), wall) {
            true => wall - keep,
            false => Timestamp::default(),
        };
        let more = match &mut self.store {
            Some(store) => store.trim(keep_from, octets),
            None => Ok(false),
        };
        match more {
            // The next step comes behind what waits by then.
            Ok(true) => self.trims = Instant::now(),
            Ok(false) => self.trims = Instant::now() + TRIM_INTERVAL,
            Err(error) => {
                self.trims = Instant::now() + TRIM_INTERVAL;
                self.failed(&error);
            }
        }
    }

    /// Makes good one step of what is in the spool and not in the store.
    fn compare(&mut self) {
        if self.comparing.is_none() || Instant::now() < self.compares {
            return;
        }
        self.open();
        let done = self.try_compare();
        if let Err(fault) = done {
            self.compares = Instant::now() + REOPEN_INTERVAL;
            if let Fault::Store(error) = fault {
                self.failed(&error);
            }
        }
    }

    fn try_compare(&mut self) -> Result<(), Fault> {
        let Limits {
            keep, with_subject, ..
        } = *self.shared.limits();
        let (Some(comparison), Some(store)) = (&mut self.comparing, &self.store) else {
            self.compares = Instant::now() + REOPEN_INTERVAL;
            return Ok(());
        };
        let sources = Sources {
            spool: &*self.compared.spool,
            store,
            now: self.clock.moment(),
            keep,
            with_subject,
        };
        if comparison.is_to_be_written(self.is_serving) {
            let missing = comparison.missing(store)?;
            return self.make_again(&missing);
        }
        comparison.look(&sources)?;
        let is_looked_at_anew = self.is_serving && comparison.is_to_be_written(true);
        let pause = is_looked_at_anew.then_some(ON_ITS_WAY);
        self.compares = Instant::now() + pause.unwrap_or_default();
        self.is_over()
    }

    fn make_again(&mut self, missing: &[Row]) -> Result<(), Fault> {
        let rows = missing.len();
        if rows > 0 {
            let veil = self.shared.veil.clone();
            let veiled = missing.iter().map(|row| match &veil {
                Some(veil) => veiling::tracked(veil, row),
                None => row.clone(),
            });
            if !self.try_append(&veiled.collect::<Vec<_>>()) {
                // They are found once more.
                self.compares = Instant::now() + REOPEN_INTERVAL;
                return Ok(());
            }
            self.shared.found_again(rows);
            tracing::info!(
                rows,
                "tracking rows were missing and are made again from the spool"
            );
        }
        if let Some(comparison) = &mut self.comparing {
            comparison.written();
        }
        self.is_over()
    }

    /// Where nothing more is to be looked for, the store is to know.
    fn is_over(&mut self) -> Result<(), Fault> {
        let is_over = self.comparing.as_ref().is_some_and(Comparison::is_over);
        if let Some(store) = self.store.as_mut().filter(|_| is_over) {
            store.set_gap(None)?;
            self.comparing = None;
            self.recovered();
        }
        Ok(())
    }
}

/// As how many rows a transcript waits.
fn weight(transcript: &Transcript) -> usize {
    1 + transcript.text.len() / ROW_OCTETS
}

/// Only the last damaged file is kept.
fn set_aside(file: &Path) {
    let aside = beside(file, DAMAGED);
    match std::fs::rename(file, &aside) {
        Ok(()) => {
            tracing::error!(file = %aside.display(), "a damaged tracking store was set aside, another one is begun")
        }
        Err(error) => {
            tracing::error!(%error, file = %file.display(), "a damaged tracking store cannot be set aside")
        }
    }
    for ending in ["-wal", "-shm"] {
        let _gone = std::fs::remove_file(beside(file, ending));
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", file.display()))
}
