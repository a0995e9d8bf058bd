/// A connection's number.
pub(crate) type LinkId = u64;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// The end that the relay has.
    Ours,
    /// The client's or the server's.
    Theirs,
}

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Ours => Self::Theirs,
            Self::Theirs => Self::Ours,
        }
    }
}
