//! Segments: files that many messages share for content which is too large for a row, in the directory
//! `segments` beside the rows.
//!
//! The writer alone appends, and syncs once for all that one commit brings, before that commit. A row
//! says in which segment its content stands and where; behind the content stands its checksum, in
//! which the id of its message counts as well. What a commit that failed has left in a segment is
//! named by no row, and nobody writes there again: after a failure as after a start content goes to a
//! new segment.
//!
//! A segment goes when nobody has content in it any more. Until then what is not needed any more is
//! taken out of it in place, where the file system can do that.

use std::collections::BTreeMap;
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
    /// The highest number that one has or had.
    last: u32,
    /// The one that is appended to.
    open: Option<Appended>,
    /// A segment was made since the last sync.
    is_new: bool,
}

struct Appended {
    number: u32,
    file: File,
    end: u32,
    is_synced: bool,
}

#[derive(Default)]
struct Segment {
    /// Messages that have their content in it.
    messages: u64,
    /// What is not needed any more and takes room.
    unneeded: Vec<Span>,
    /// The same, of a while ago: nobody begins to read it any more.
    given_up: Vec<Span>,
    /// One for each who reads, and ours.
    readers: Arc<()>,
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

    /// Writes content behind what there is. It is durable after [`Segments::sync`].
    pub(super) fn append(&self, id: QueueId, content: &[u8]) -> io::Result<Place> {
        let mut state = self.state();
        let mut open = match state.open.take() {
            Some(open) => open,
            None => self.begin(&mut state)?,
        };
        let place = Place {
            segment: open.number,
            start: open.end,
        };
        // Only with the last step it is open again: after an error nothing follows in it.
        open.is_synced = false;
        let start = u64::from(place.start);
        open.file.write_all_at(content, start)?;
        let sum = sum(id, content).to_le_bytes();
        open.file.write_all_at(&sum, start + content.len() as u64)?;
        (_, open.end) = span(place.start, content.len() as u64);
        state.segments.entry(open.number).or_default().messages += 1;
        if open.end >= SEGMENT_OCTETS_ENOUGH {
            open.file.sync_data()?;
        } else {
            state.open = Some(open);
        }
        Ok(place)
    }

    fn begin(&self, state: &mut State) -> io::Result<Appended> {
        let last = state
            .segments
            .last_key_value()
            .map_or(0, |(number, _)| *number);
        let number = last + 1;
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let file = options.open(self.path(number))?;
        state.segments.entry(number).or_default();
        state.is_new = true;
        Ok(Appended {
            number,
            file,
            end: 0,
            is_synced: true,
        })
    }

    /// Makes all that was appended durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        // Taken out first: what could not be synced is never just synced again.
        if let Some(mut open) = state.open.take_if(|open| !open.is_synced) {
            open.file.sync_data()?;
            open.is_synced = true;
            state.open = Some(open);
        }
        if std::mem::take(&mut state.is_new) {
            sync_names(&self.directory)?;
        }
        Ok(())
    }

    /// A commit has forgotten the message with this content.
    pub(super) fn forget(&self, place: Place, octets: u64) {
        let mut state = self.state();
        let is_open = (state.open.as_ref()).is_some_and(|open| open.number == place.segment);
        let Some(segment) = state.segments.get_mut(&place.segment) else {
            return;
        };
        segment.messages = segment.messages.saturating_sub(1);
        segment.unneeded.push(span(place.start, octets));
        if segment.messages == 0 && !is_open {
            state.segments.remove(&place.segment);
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
        if end.is_none_or(|end| end > file.metadata().map_or(0, |facts| facts.len())) {
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
    /// do not name goes. Nothing is appended meanwhile.
    pub(super) fn take_stock(&self, rows: impl Iterator<Item = (Place, u64)>) -> io::Result<()> {
        let mut state = self.state();
        let before = std::mem::take(&mut *state).segments;
        let mut needed: BTreeMap<u32, Vec<Span>> = BTreeMap::new();
        for (place, octets) in rows {
            let spans = needed.entry(place.segment).or_default();
            spans.push(span(place.start, octets));
        }
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let number = name
                .to_str()
                .and_then(|name| u32::from_str_radix(name, 16).ok());
            let Some(number) = number else { continue };
            state.last = state.last.max(number);
            if !needed.contains_key(&number) {
                self.remove(number);
            }
        }
        for (number, spans) in needed {
            state.last = state.last.max(number);
            let readers = before
                .get(&number)
                .map(|segment| Arc::clone(&segment.readers));
            let segment = Segment {
                messages: spans.len() as u64,
                unneeded: excess(&self.path(number), &spans),
                given_up: Vec::new(),
                readers: readers.unwrap_or_default(),
            };
            state.segments.insert(number, segment);
        }
        Ok(())
    }

    /// Gives the file system the room of what was not needed any more when this was done last.
    pub(super) fn give_back(&self) {
        let mut given_up = Vec::new();
        let mut state = self.state();
        let open = state.open.as_ref().map(|open| open.number);
        for (number, segment) in &mut state.segments {
            let is_read = Arc::strong_count(&segment.readers) > 1;
            if Some(*number) != open && !is_read {
                let unneeded = std::mem::take(&mut segment.unneeded);
                given_up.push((*number, std::mem::replace(&mut segment.given_up, unneeded)));
            }
        }
        // The writer does not wait for it.
        drop(state);
        for (number, spans) in given_up {
            punch(&self.path(number), &spans);
        }
    }
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

/// What is not needed of a segment, if that is much: between those spans, which are in order.
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
    let ends = std::iter::once(0).chain(needed.iter().map(|(_, end)| *end));
    let starts = needed.iter().map(|(start, _)| *start).chain([length]);
    let gaps = ends.zip(starts);
    gaps.filter(|(start, end)| start < end).collect()
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
