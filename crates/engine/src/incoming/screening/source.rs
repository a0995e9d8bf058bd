//! Where the octets of a message are that is looked at: on disk where it is large, and so is what is
//! unpacked of it.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use contents::{Octets, Scratch};
use mail::QueueId;
use spool::{BodyWriter, Content, SharedBody, Spool, SpoolError};

/// The content of a message as it came.
pub(super) enum Source {
    Memory(Bytes),
    Disk(Unfinished),
    /// Stored long since, in a file of its own.
    Stored(Stored),
    /// Synced before anybody looked at it: it is on its way as it is.
    Synced(Content),
}

impl Source {
    /// `size`: octets of the content, where `body` has it.
    pub(super) fn new(content: &Content, body: Option<Box<dyn BodyWriter>>, size: u64) -> Self {
        match (body, content) {
            (Some(body), _) => Self::Disk(Unfinished::new(body, size)),
            (None, Content::Inline(content)) => Self::Memory(content.clone()),
            (None, large @ Content::Large(_)) => Self::Synced(large.clone()),
        }
    }

    /// Whether all that was read could be.
    pub(super) fn check(&self) -> Result<(), SpoolError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Disk(body) => body.check(),
            Self::Stored(body) => body.check(),
            // What was synced unseen is a fault of ours.
            Self::Synced(_) => Err(SpoolError::Invalid("it is synced, and was not read".into())),
        }
    }

    /// Another body may have its name.
    pub(super) fn give_up_name(&self) {
        if let Self::Disk(body) = self {
            body.body.borrow_mut().give_up_name();
        }
    }

    /// What several may read side by side.
    pub(super) fn share(&self) -> Result<SharedSource, SpoolError> {
        match self {
            Self::Memory(content) => Ok(SharedSource::Memory(content.clone())),
            Self::Disk(body) => body.body.borrow_mut().share().map(SharedSource::Disk),
            Self::Stored(stored) => Ok(SharedSource::Disk(Arc::clone(&stored.body))),
            // What was synced unseen is a fault of ours.
            Self::Synced(_) => Err(SpoolError::Invalid("it is synced, and was not read".into())),
        }
    }

    /// To be stored as it is; nothing of what is stored already.
    pub(super) fn finish(self) -> Result<Content, SpoolError> {
        match self {
            Self::Memory(content) => Ok(Content::Inline(content)),
            Self::Disk(body) => body.body.into_inner().finish(),
            Self::Stored(_) => Ok(Content::Inline(Bytes::new())),
            Self::Synced(content) => Ok(content),
        }
    }
}

impl Octets for Source {
    fn size(&self) -> usize {
        match self {
            Self::Memory(content) => content.len(),
            Self::Disk(body) => body.size(),
            Self::Stored(body) => body.size(),
            Self::Synced(_) => 0,
        }
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        match self {
            Self::Memory(content) => content[..].read_at(at, to),
            Self::Disk(body) => body.read_at(at, to),
            Self::Stored(body) => body.read_at(at, to),
            Self::Synced(_) => 0,
        }
    }
}

/// The content of a message as it came, for several readers.
pub(super) enum SharedSource {
    Memory(Bytes),
    Disk(Arc<dyn SharedBody>),
}

/// A message, for scanners: head and content as they are by then.
pub(super) struct Shared {
    pub(super) start: Vec<u8>,
    /// Where it goes on in what came.
    pub(super) rest: usize,
    pub(super) source: SharedSource,
    pub(super) size: u64,
}

impl scanner::Content for Shared {
    fn size(&self) -> u64 {
        self.size
    }

    fn is_in_memory(&self) -> bool {
        matches!(self.source, SharedSource::Memory(_))
    }

    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        if let Some(start) = self.start.get(from..).filter(|start| !start.is_empty()) {
            return Ok(start.read_at(0, to));
        }
        let from = from - self.start.len() + self.rest;
        match &self.source {
            SharedSource::Memory(content) => Ok(content[..].read_at(from, to)),
            SharedSource::Disk(body) => {
                // What was never written may not be asked for.
                let most = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
                let most = most.min(to.len());
                let read = body.read_at(from as u64, &mut to[..most]);
                match read.map_err(io::Error::other)? {
                    0 if most > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
                    octets => Ok(octets),
                }
            }
        }
    }
}

/// A body that a message has.
pub(super) struct Stored {
    body: Arc<dyn SharedBody>,
    size: usize,
    fault: RefCell<Option<SpoolError>>,
}

impl Stored {
    pub(super) fn new(body: Arc<dyn SharedBody>, size: u64) -> Self {
        Self {
            body,
            size: usize::try_from(size).unwrap_or(usize::MAX),
            fault: RefCell::default(),
        }
    }

    fn check(&self) -> Result<(), SpoolError> {
        self.fault.borrow().clone().map_or(Ok(()), Err)
    }
}

impl Octets for Stored {
    fn size(&self) -> usize {
        self.size
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        let most = self.size.saturating_sub(at).min(to.len());
        let read = self.body.read_at(at as u64, &mut to[..most]);
        or_fault(read, most, &self.fault)
    }
}

/// How many octets were read of at most so many; where not even one was, that is a fault.
fn or_fault(
    read: Result<usize, SpoolError>,
    most: usize,
    fault: &RefCell<Option<SpoolError>>,
) -> usize {
    let error = match read {
        Ok(0) if most > 0 => SpoolError::Corrupt("a body that lacks its end".into()),
        Ok(octets) => return octets,
        Err(error) => error,
    };
    *fault.borrow_mut() = Some(error);
    0
}

/// A body that is read while it is not finished.
pub(super) struct Unfinished {
    body: RefCell<Box<dyn BodyWriter>>,
    size: usize,
    fault: RefCell<Option<SpoolError>>,
}

impl Unfinished {
    fn new(body: Box<dyn BodyWriter>, size: u64) -> Self {
        Self {
            body: RefCell::new(body),
            size: usize::try_from(size).unwrap_or(usize::MAX),
            fault: RefCell::default(),
        }
    }

    fn check(&self) -> Result<(), SpoolError> {
        self.fault.borrow().clone().map_or(Ok(()), Err)
    }

    fn write(&mut self, octets: &[u8]) {
        match self.body.get_mut().write(octets) {
            Ok(()) => self.size += octets.len(),
            Err(error) => *self.fault.get_mut() = Some(error),
        }
    }
}

impl Octets for Unfinished {
    fn size(&self) -> usize {
        self.size
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        let most = self.size.saturating_sub(at).min(to.len());
        let read = self.body.borrow_mut().read_at(at as u64, &mut to[..most]);
        or_fault(read, most, &self.fault)
    }
}

/// What is unpacked of a message and too much for memory: a body in the spool that is never finished,
/// so that nothing is left of it, and that takes no room which other mail needs.
pub(super) struct Unpacked<'a> {
    spool: &'a dyn Spool,
    next_id: &'a mut dyn FnMut() -> QueueId,
    body: Option<Unfinished>,
    fault: Option<SpoolError>,
}

impl<'a> Unpacked<'a> {
    pub(super) fn new(spool: &'a dyn Spool, next_id: &'a mut dyn FnMut() -> QueueId) -> Self {
        Self {
            spool,
            next_id,
            body: None,
            fault: None,
        }
    }

    /// Whether all could be written and read.
    pub(super) fn check(mut self) -> Result<(), SpoolError> {
        self.clear();
        self.fault.map_or(Ok(()), Err)
    }
}

impl Octets for Unpacked<'_> {
    fn size(&self) -> usize {
        self.body.as_ref().map_or(0, Octets::size)
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        self.body.as_ref().map_or(0, |body| body.read_at(at, to))
    }
}

impl Scratch for Unpacked<'_> {
    fn append(&mut self, octets: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        if self.body.is_none() {
            match self.spool.open_body((self.next_id)()) {
                Ok(body) => self.body = Some(Unfinished::new(body, 0)),
                Err(error) => self.fault = Some(error),
            }
        }
        if let Some(body) = &mut self.body {
            body.write(octets);
        }
    }

    fn clear(&mut self) {
        if let Some(body) = self.body.take() {
            let fault = body.check().err();
            self.fault = self.fault.take().or(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use mail::Timestamp;
    use spool::Model;

    use super::*;

    fn id() -> QueueId {
        QueueId::new(Timestamp::from_millis(1), 1)
    }

    #[test]
    fn what_is_unpacked_is_read_back_and_leaves_nothing() {
        let spool = Model::new();
        let mut next_id = id;
        let mut unpacked = Unpacked::new(&spool, &mut next_id);
        unpacked.append(b"some ");
        unpacked.append(b"octets");
        assert_eq!(unpacked.copy(3..8), b"e oct");
        assert!(spool.open_body(id()).is_err());
        unpacked.clear();
        assert_eq!(unpacked.size(), 0);
        assert!(spool.open_body(id()).is_ok());
        assert_eq!(unpacked.check(), Ok(()));
    }

    #[test]
    fn what_cannot_be_unpacked_for_want_of_room_is_told() {
        let spool = Model::new();
        let _taken = spool.open_body(id()).unwrap();
        let mut next_id = id;
        let mut unpacked = Unpacked::new(&spool, &mut next_id);
        unpacked.append(b"octets");
        assert_eq!(unpacked.copy(0..6), b"");
        assert!(unpacked.check().is_err());
    }

    #[test]
    fn content_that_lacks_its_end_is_told() {
        let spool = Model::new();
        let mut body = spool.open_body(id()).unwrap();
        body.write(b"octets").unwrap();
        let source = Source::new(&Content::Inline(Bytes::new()), Some(body), 9);
        assert_eq!(source.copy(0..9), b"octets");
        assert!(matches!(source.check(), Err(SpoolError::Corrupt(_))));
    }
}
