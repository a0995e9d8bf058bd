//! Segments: files that many messages share for content which is too large for a row, in the directory
//! `segments` beside the rows.
//!
//! The writer alone appends, and syncs once for all that one commit brings, before that commit. A row
//! says in which segment its content stands and where; behind the content stands its checksum, in
//! which the id of its message counts as well. What a commit that failed has left in a segment is
//! named by no row, and nobody writes there again: after a failure as after a start content goes to a
//! new segment. What is not certainly named by nobody stays: a row that is damaged, or cannot be read
//! at a start, costs no other one its content.
//!
//! A segment goes when nobody has content in it any more. Until then what is not needed any more is
//! taken out of it in place, where the file system can do that.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::QueueId;
use rustix::fs::{FallocateFlags, fallocate};

use crate::local::bodies::make_directory;
use crate::local::log::sync_names;
use crate::local::reader::{ContentReader, SUM_OCTETS, damaged};

/// Content of so many octets or more goes to a segment; less is cheaper in a row.
pub(super) const CONTENT_OCTETS_MIN: usize = 16 << 10;
/// Content that is read whole, into memory, is no longer than this.
pub(super) const READ_WHOLE_MAX: u64 = 64 << 10;
/// A segment that has so many octets takes no more.
const SEGMENT_OCTETS_ENOUGH: u32 = 16 << 20;
/// The highest number of a segment: places are stored as numbers with a sign.
const NUMBER_MAX: u32 = i32::MAX as u32;
/// Content begins at a multiple of this, so that all its room can be given back.
const ALIGNMENT: u32 = 4096;
/// What a segment may take on the disk beyond what is needed of it, before it is looked through at a
/// start.
const EXCESS_OCTETS_MIN: u64 = 1 << 20;

/// Where the content of a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    segment: u32,
    start: u32,
}

impl Place {
    /// As one number, for a row.
    pub(super) fn to_number(self) -> i64 {
        i64::from(self.segment) << 32 | i64::from(self.start)
    }

    /// Reads what [`Place::to_number`] gave.
    pub(super) fn from_number(number: i64) -> Option<Self> {
        let segment = u32::try_from(number >> 32).ok()?;
        let start = u32::try_from(number & i64::from(u32::MAX)).ok()?;
        Some(Self { segment, start })
    }
}

/// The room of one content: from where to where.
type Span = (u32, u32);

/// The room that content of so many octets has from here on.
fn span(start: u32, octets: u64) -> Span {
    let octets = u32::try_from(octets + SUM_OCTETS).unwrap_or(u32::MAX);
    let end = start
        .saturating_add(octets)
        .checked_next_multiple_of(ALIGNMENT);
    (start, end.unwrap_or(u32::MAX))
}

/// The directory and what is in it.
pub(super) struct Segments {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    segments: BTreeMap<u32, Segment>,
    /// The highest number that one has or had. None gets it again: somebody may have the name in hand.
    last: u32,
    /// The one that is appended to.
    open: Option<u32>,
}

#[derive(Default)]
struct Segment {
    /// The room of what messages have in it, in order.
    needed: Vec<Span>,
    /// What is not needed any more and takes room.
    unneeded: Vec<Span>,
    /// The same, of a while ago: nobody begins to read it any more.
    given_up: Vec<Span>,
    /// One for each who reads, and ours.
    readers: Arc<()>,
}

impl Segment {
    /// Takes out what begins there; false when nothing does. It is not given up as long as another row
    /// says that it has content there: one of them is damaged, and nobody knows which.
    fn forget(&mut self, start: u32) -> bool {
        let found = (self.needed).binary_search_by_key(&start, |(start, _)| *start);
        let Ok(at) = found else { return false };
        let gone = self.needed.remove(at);
        let meets = |other: &Span| other.0 < gone.1 && gone.0 < other.1;
        if !self.needed.iter().any(meets) {
            self.unneeded.push(gone);
        }
        true
    }
}

/// Appends to segments. It is the writer's: nobody who reads waits for its syncs, and with a new
/// writer, after a failure or a start, content goes to a new segment.
#[derive(Default)]
pub(super) struct Appender {
    open: Option<Open>,
    /// A segment was made since the last sync.
    is_new: bool,
}

struct Open {
    number: u32,
    file: File,
    end: u32,
    is_synced: bool,
}

impl Appender {
    /// Writes content behind what there is. It is durable after [`Appender::sync`].
    pub(super) fn append(
        &mut self,
        segments: &Segments,
        id: QueueId,
        content: &[u8],
    ) -> io::Result<Place> {
        // Only with the last step it is open again: after an error nothing follows in it.
        let mut open = match self.open.take() {
            Some(open) => open,
            None => segments.begin()?,
        };
        self.is_new |= open.end == 0;
        open.is_synced = false;
        let start = u64::from(open.end);
        open.file.write_all_at(content, start)?;
        let sum = sum(id, content).to_le_bytes();
        open.file.write_all_at(&sum, start + content.len() as u64)?;
        let span = span(open.end, content.len() as u64);
        let place = Place {
            segment: open.number,
            start: span.0,
        };
        open.end = span.1;
        let is_full = open.end >= SEGMENT_OCTETS_ENOUGH;
        segments.needs(open.number, span, is_full);
        if is_full {
            open.file.sync_data()?;
        } else {
            self.open = Some(open);
        }
        Ok(place)
    }

    /// Makes all that was appended durable.
    pub(super) fn sync(&mut self, segments: &Segments) -> io::Result<()> {
        // Taken out first: what could not be synced is never just synced again.
        if let Some(mut open) = self.open.take_if(|open| !open.is_synced) {
            open.file.sync_data()?;
            open.is_synced = true;
            self.open = Some(open);
        }
        if std::mem::take(&mut self.is_new) {
            sync_names(&segments.directory)?;
        }
        Ok(())
    }
}

impl Segments {
    /// Makes the directory when it is missing.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        make_directory(&directory)?;
        Ok(Self {
            directory,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, segment: u32) -> PathBuf {
        self.directory.join(format!("{segment:08x}"))
    }

    fn begin(&self) -> io::Result<Open> {
        let number = self.next_number()?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        Ok(Open {
            number,
            file: options.open(self.path(number))?,
            end: 0,
            is_synced: true,
        })
    }

    fn next_number(&self) -> io::Result<u32> {
        let mut state = self.state();
        if state.last == NUMBER_MAX {
            return Err(io::Error::other("no number is left for a segment"));
        }
        state.last += 1;
        state.open = Some(state.last);
        Ok(state.last)
    }

    /// A commit that is under way has content there; behind it comes nothing when it is full.
    fn needs(&self, number: u32, span: Span, is_full: bool) {
        let mut state = self.state();
        let segment = state.segments.entry(number).or_default();
        segment.needed.push(span);
        if is_full {
            state.open = None;
        }
    }

    /// A commit has forgotten the message with this content. A place where nothing is known to be
    /// is that of a damaged row, which takes nothing from others.
    pub(super) fn forget(&self, place: Place) {
        let mut state = self.state();
        let is_open = state.open == Some(place.segment);
        let Some(segment) = state.segments.get_mut(&place.segment) else {
            return;
        };
        if segment.forget(place.start) && segment.needed.is_empty() && !is_open {
            state.segments.remove(&place.segment);
            drop(state);
            self.remove(place.segment);
        }
    }

    /// One that cannot be removed now is found by the next start.
    fn remove(&self, segment: u32) {
        let _left = fs::remove_file(self.path(segment));
    }

    /// Opens the content of a message, of so many octets.
    pub(super) fn read(&self, id: QueueId, place: Place, octets: u64) -> io::Result<ContentReader> {
        let readers = self
            .state()
            .segments
            .get(&place.segment)
            .map(|segment| Arc::clone(&segment.readers));
        let mut file = File::open(self.path(place.segment))?;
        let start = u64::from(place.start);
        let end = octets.checked_add(start + SUM_OCTETS);
        let is_there = end.is_some_and(|end| end <= file.metadata().map_or(0, |facts| facts.len()));
        // No content is so short that its sum would not be looked at.
        if octets == 0 || !is_there {
            return Err(damaged(id));
        }
        file.seek(SeekFrom::Start(start))?;
        Ok(ContentReader::new(id, file, octets, seed(id), readers))
    }

    /// The same, into memory.
    pub(super) fn read_whole(&self, id: QueueId, place: Place, octets: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::with_capacity(usize::try_from(octets).unwrap_or(0));
        self.read(id, place, octets)?.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Begins with what the rows name, in order: the place and the octets of each content. What they
    /// do not name goes, and nothing does when they could not all be read. Nobody appends meanwhile.
    pub(super) fn take_stock<E: From<io::Error>>(
        &self,
        rows: impl Iterator<Item = Result<(Place, u64), E>>,
    ) -> Result<(), E> {
        let mut needed: BTreeMap<u32, Vec<Span>> = BTreeMap::new();
        for row in rows {
            let (place, octets) = row?;
            let spans = needed.entry(place.segment).or_default();
            spans.push(span(place.start, octets));
        }
        let mut state = self.state();
        let mut before = std::mem::take(&mut state.segments);
        state.open = None;
        for entry in fs::read_dir(&self.directory)? {
            let Some(number) = number_of(&entry?.file_name()) else {
                continue;
            };
            state.last = state.last.max(number);
            if !needed.contains_key(&number) {
                self.remove(number);
            }
        }
        for (number, needed) in needed {
            state.last = state.last.max(number);
            let segment = Segment {
                unneeded: excess(&self.path(number), &needed),
                needed,
                given_up: Vec::new(),
                readers: (before.remove(&number)).map_or_else(Arc::default, |one| one.readers),
            };
            state.segments.insert(number, segment);
        }
        Ok(())
    }

    /// Gives the file system the room of what was not needed any more when this was done last.
    pub(super) fn give_back(&self) {
        let mut given_up = Vec::new();
        let mut state = self.state();
        let open = state.open;
        for (number, segment) in &mut state.segments {
            let is_read = Arc::strong_count(&segment.readers) > 1;
            if Some(*number) != open && !is_read {
                let unneeded = std::mem::take(&mut segment.unneeded);
                given_up.push((*number, std::mem::replace(&mut segment.given_up, unneeded)));
            }
        }
        // Nobody waits for it.
        drop(state);
        for (number, spans) in given_up {
            punch(&self.path(number), &spans);
        }
    }
}

/// Of a segment with this name.
fn number_of(name: &OsStr) -> Option<u32> {
    let number = u32::from_str_radix(name.to_str()?, 16).ok();
    number.filter(|number| *number <= NUMBER_MAX)
}

fn seed(id: QueueId) -> crc32fast::Hasher {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&id.to_bytes());
    sum
}

fn sum(id: QueueId, content: &[u8]) -> u32 {
    let mut sum = seed(id);
    sum.update(content);
    sum.finalize()
}

/// What is not needed of a segment, if that is much: between those spans, which are in the order in
/// which they begin. A damaged row may let one end within another.
fn excess(path: &Path, needed: &[Span]) -> Vec<Span> {
    let Ok(facts) = fs::metadata(path) else {
        return Vec::new();
    };
    let room: u64 = needed
        .iter()
        .map(|(start, end)| u64::from(end - start))
        .sum();
    if facts.blocks().saturating_mul(512) < room + EXCESS_OCTETS_MIN {
        return Vec::new();
    }
    let length = u32::try_from(facts.len()).unwrap_or(u32::MAX);
    let (mut gaps, mut reached) = (Vec::new(), 0);
    for (start, end) in needed.iter().copied().chain([(length, length)]) {
        if reached < start {
            gaps.push((reached, start));
        }
        reached = reached.max(end);
    }
    gaps
}

/// Where it cannot be done, the room comes back with the whole segment.
fn punch(path: &Path, spans: &[Span]) {
    let Some(file) = (!spans.is_empty()).then(|| OpenOptions::new().write(true).open(path)) else {
        return;
    };
    let Ok(file) = file else { return };
    for (start, end) in spans {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if fallocate(&file, flags, u64::from(*start), u64::from(end - start)).is_err() {
            return;
        }
    }
}
