/// What an exchange waits for, once what it has to write is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// The next piece of the content, of at most so many octets, or that it is over. An answer may
    /// come nevertheless, and is read as ever.
    Content(usize),
    /// What the scanner says; until something came there is nothing to write.
    Answer,
}

/// The longest piece of content that is put on the wire as one.
pub const PIECE_MAX: usize = 64 * 1024;
