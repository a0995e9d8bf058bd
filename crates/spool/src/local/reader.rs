//! Content on its way out of a file.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use mail::QueueId;

/// Octets of the checksum behind a content.
pub(super) const SUM_OCTETS: u64 = 4;
pub(super) const BUFFER_OCTETS: usize = 64 * 1024;

/// Reads one content; its last read fails when the checksum behind it does not agree.
pub(super) struct ContentReader {
    id: QueueId,
    file: BufReader<File>,
    left: u64,
    sum: crc32fast::Hasher,
    /// As long as it is held, nothing is taken out of a segment.
    _holds: Option<Arc<()>>,
}

impl ContentReader {
    /// Of message `id`: the next `octets` of the file, which go into `sum`.
    pub(super) fn new(
        id: QueueId,
        file: File,
        octets: u64,
        sum: crc32fast::Hasher,
        holds: Option<Arc<()>>,
    ) -> Self {
        Self {
            id,
            file: BufReader::with_capacity(BUFFER_OCTETS, file),
            left: octets,
            sum,
            _holds: holds,
        }
    }

    fn check(&mut self) -> io::Result<()> {
        let mut stored = [0; SUM_OCTETS as usize];
        self.file
            .read_exact(&mut stored)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => damaged(self.id),
                _ => error,
            })?;
        if u32::from_le_bytes(stored) == self.sum.clone().finalize() {
            return Ok(());
        }
        Err(damaged(self.id))
    }
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let got = self.file.read(&mut buffer[..room])?;
        if got == 0 {
            return Err(damaged(self.id));
        }
        self.sum.update(&buffer[..got]);
        self.left -= got as u64;
        if self.left == 0 {
            self.check()?;
        }
        Ok(got)
    }
}

/// What is in the file is not what was written.
pub(super) fn damaged(id: QueueId) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the content of {id} is damaged"),
    )
}
