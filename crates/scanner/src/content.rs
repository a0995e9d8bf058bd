use std::io;

/// A message as scanners read it: several at one time, each at its own pace, from where it lies.
pub trait Content: Send + Sync {
    /// Octets in all, as told in [`Subject::size`](crate::Subject::size).
    fn size(&self) -> u64;

    /// Whether reading is a matter of memory, so that nobody waits for a disk.
    fn is_in_memory(&self) -> bool;

    /// Reads those from `at` on into `to` and tells how many it were; none only at the end, or where
    /// `to` is empty.
    ///
    /// # Errors
    /// They cannot be read.
    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize>;
}

/// A message that is in memory whole.
#[derive(Debug, Clone, Default)]
pub struct InMemory<T>(pub T);

impl<T: AsRef<[u8]> + Send + Sync> Content for InMemory<T> {
    fn size(&self) -> u64 {
        self.0.as_ref().len() as u64
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(at).ok();
        let rest = rest
            .and_then(|at| self.0.as_ref().get(at..))
            .unwrap_or_default();
        let octets = rest.len().min(to.len());
        to[..octets].copy_from_slice(&rest[..octets]);
        Ok(octets)
    }
}
