//! Room on the disk: what new mail may take, what is promised to bodies on their way, and a reserve
//! that only outcomes may use.
//!
//! New mail never takes the disk below the floor, however much of it is on its way at one time:
//! each piece of a body is promised its room before it is written, and each commit counts what it
//! adds. Outcomes are written as long as there is any room at all. When somebody else has filled
//! the disk, a file of the spool's own is shortened for them. It is filled again, before there is
//! new mail, when there is room.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::local::segments::CONTENT_OCTETS_MIN;
use crate::{Change, Content, Health, NewMessage, SpoolError};

/// What is kept for outcomes when the disk is full: some thousand of them, and what the log has
/// still to bring into the main file.
const RESERVE_OCTETS: u64 = 32 << 20;
/// What a change adds to log and main file beside its content.
const CHANGE_OCTETS: u64 = 32 << 10;
/// What has to be free for opening the store and for looking after it.
const UPKEEP_OCTETS: u64 = 1 << 20;
/// Room is promised to a body in steps of this.
const STEP_OCTETS: u64 = 256 << 10;

/// The room of one spool.
pub(super) struct Room {
    directory: PathBuf,
    floor: u64,
    /// To bodies on their way: octets that they may still write.
    promised: Mutex<u64>,
    /// Octets by which the main file will grow when the log is copied into it.
    owed: AtomicU64,
    /// A file that takes up room. Where the file system cannot set room aside, it stays empty.
    reserve: Mutex<File>,
    /// How many octets the reserve has now.
    reserved: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    /// Takes the reserve as it was left.
    pub(super) fn open(directory: &Path, floor: u64) -> Result<Self, SpoolError> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(directory.join("reserve"))?;
        let reserved = file.metadata()?.len();
        Ok(Self {
            directory: directory.to_owned(),
            floor,
            promised: Mutex::new(0),
            owed: AtomicU64::new(0),
            reserve: Mutex::new(file),
            reserved: AtomicU64::new(reserved),
        })
    }

    fn free(&self) -> Result<u64, SpoolError> {
        let facts =
            statvfs(&self.directory).map_err(|error| SpoolError::Io(error.to_string().into()))?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }

    /// What is free and spoken for by nobody, given what is promised.
    fn unclaimed(&self, promised: u64) -> Result<u64, SpoolError> {
        let claimed = promised.saturating_add(self.owed.load(Ordering::Relaxed));
        Ok(self.free()?.saturating_sub(claimed))
    }

    /// What of the reserve is not in its file.
    fn unreserved(&self) -> u64 {
        RESERVE_OCTETS.saturating_sub(self.reserved.load(Ordering::Relaxed))
    }

    /// What new mail leaves free. What outcomes were given of the reserve, or could not be set
    /// aside for them, is not for new mail.
    fn floor(&self) -> u64 {
        self.floor.saturating_add(self.unreserved())
    }

    /// Free space against the floor.
    pub(super) fn health(&self) -> Health {
        let floor = self.floor();
        match self.unclaimed(*locked(&self.promised)) {
            Ok(free) if free < floor => Health::LowSpace { free, floor },
            Ok(_) => Health::Accepting,
            Err(error) => Health::Failed(error),
        }
    }

    /// Octets that new mail may take now.
    pub(super) fn left(&self) -> u64 {
        let unclaimed = self.unclaimed(*locked(&self.promised));
        unclaimed.unwrap_or(0).saturating_sub(self.floor())
    }

    /// What the log owes the main file, as of now.
    pub(super) fn owe(&self, octets: u64) {
        self.owed.store(octets, Ordering::Relaxed);
    }

    /// Whether emptying the log would make room for new mail.
    pub(super) fn is_owed(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0
    }

    /// Sees to it that so much is free, as far as the reserve goes. Only for outcomes and for what
    /// lets them be written.
    pub(super) fn clear(&self, octets: u64) {
        let reserve = locked(&self.reserve);
        let missing = octets.saturating_sub(self.free().unwrap_or(u64::MAX));
        let reserved = self.reserved.load(Ordering::Relaxed);
        let kept = reserved.saturating_sub(missing);
        // If it cannot be made shorter there is just less room.
        if kept < reserved && reserve.set_len(kept).is_ok() {
            self.reserved.store(kept, Ordering::Relaxed);
        }
    }

    /// The same if the reserve goes so far, for what would be of no use half done; whether it does.
    /// What opening the store and looking after it take comes on top.
    pub(super) fn clear_all(&self, octets: u64) -> bool {
        let octets = octets.saturating_add(UPKEEP_OCTETS);
        let reserved = self.reserved.load(Ordering::Relaxed);
        let reaches = self.free().is_ok_and(|free| free + reserved >= octets);
        if reaches {
            self.clear(octets);
        }
        reaches
    }

    /// Fills the reserve again, when that leaves new mail its floor.
    pub(super) fn restore(&self) {
        let reserve = locked(&self.reserve);
        if self.unreserved() > 0 && self.health() == Health::Accepting {
            // A file system that cannot set room aside has no reserve; new mail leaves as much free
            // all the same.
            let filled = fallocate(&*reserve, FallocateFlags::empty(), 0, RESERVE_OCTETS);
            if filled.is_ok() {
                self.reserved.store(RESERVE_OCTETS, Ordering::Relaxed);
            }
        }
    }

    fn promise(&self, octets: u64) -> Result<(), SpoolError> {
        let mut promised = locked(&self.promised);
        let after = promised.saturating_add(octets);
        if self.unclaimed(after)? < self.floor().max(1) {
            return Err(SpoolError::Full);
        }
        *promised = after;
        Ok(())
    }

    fn take_back(&self, octets: u64) {
        let mut promised = locked(&self.promised);
        *promised = promised.saturating_sub(octets);
    }
}

/// What one body may still write; taken back when it is dropped.
pub(super) struct Promise {
    room: Arc<Room>,
    octets: u64,
}

impl Promise {
    /// Room for a body to begin with.
    pub(super) fn new(room: &Arc<Room>) -> Result<Self, SpoolError> {
        room.promise(STEP_OCTETS)?;
        Ok(Self {
            room: Arc::clone(room),
            octets: STEP_OCTETS,
        })
    }

    /// The body is going to write so much, and keeps at least `spare` promised beyond.
    pub(super) fn grow(&mut self, octets: u64, spare: u64) -> Result<(), SpoolError> {
        let missing = octets.saturating_add(spare).saturating_sub(self.octets);
        if missing > 0 {
            let step = missing.max(STEP_OCTETS);
            self.room.promise(step)?;
            self.octets += step;
        }
        Ok(())
    }

    /// It has written so much: the file system counts that now.
    pub(super) fn written(&mut self, octets: u64) {
        self.octets = self.octets.saturating_sub(octets);
        self.room.take_back(octets);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.room.take_back(self.octets);
    }
}

/// What storing this takes: content in a row goes to the log and, later, to the main file; that in a
/// segment is written once.
pub(super) fn needs(new: &NewMessage) -> u64 {
    let inline = match &new.content {
        Content::Inline(content) if content.len() < CONTENT_OCTETS_MIN => 2 * content.len() as u64,
        Content::Inline(content) => content.len() as u64,
        Content::Large(_) => 0,
    };
    CHANGE_OCTETS + inline + 2 * new.message.head.len() as u64
}

/// What writing down the outcomes among these takes.
pub(super) fn outcomes_need(changes: &[Change]) -> u64 {
    let one = |change: &Change| match change {
        Change::Store(_)
        | Change::StoreUnscreened(..)
        | Change::StoreAll(_)
        | Change::Replace(_) => 0,
        Change::Screened(verdict) => {
            let kept = verdict.kept.as_ref();
            CHANGE_OCTETS + kept.map_or(0, |kept| 2 * kept.message.head.len() as u64)
        }
        Change::Settle(settlement) => {
            CHANGE_OCTETS + settlement.notices.iter().map(needs).sum::<u64>()
        }
        Change::Begin(_)
        | Change::Advance { .. }
        | Change::Stop { .. }
        | Change::DropHeld(..)
        | Change::File(_)
        | Change::Pause(_)
        | Change::Resume(_) => UPKEEP_OCTETS,
    };
    match changes.iter().map(one).sum() {
        0 => 0,
        octets => octets + UPKEEP_OCTETS,
    }
}
