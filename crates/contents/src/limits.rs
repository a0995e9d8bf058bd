/// How far a message is looked into. What lies beyond is named in [`Contents::unread`](crate::Contents).
///
/// Work is counted in octets and things, never in time, so that a message is read alike on every
/// machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// MIME parts, of nested messages too.
    pub parts: u32,
    /// How deep archives and messages may lie in each other.
    pub depth: u8,
    /// Entries of all archives of a message.
    pub entries: u32,
    /// Octets unpacked from all archives of a message. Those of one archive that is in another count
    /// twice: once as an entry, once for what is in it.
    pub octets: u64,
    /// How many times its own size an archive may unpack to; the size is taken as 4 KiB at least.
    pub ratio: u32,
    /// Octets of text that are made readable, in all.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parts: 1000,
            depth: 6,
            entries: 2000,
            octets: 64 << 20,
            ratio: 100,
            text: 1 << 20,
        }
    }
}

/// An archive of a few octets may unpack to many times that: the ratio is taken of this at least.
const RATIO_BASE_MIN: u64 = 4096;

impl Limits {
    /// How many octets an archive of so many octets may unpack to.
    pub(crate) fn room_of_archive(&self, octets: usize) -> u64 {
        let base = (octets as u64).max(RATIO_BASE_MIN);
        base.saturating_mul(u64::from(self.ratio))
    }
}

/// What is asked for; the rest is left undone, as it costs time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Text and HTML parts as text.
    pub texts: bool,
    /// The entries of archives: ZIP (stored, Deflate, Deflate64, bzip2, LZMA), 7z, tar, gzip, bzip2,
    /// xz, zstd.
    pub archives: bool,
}
