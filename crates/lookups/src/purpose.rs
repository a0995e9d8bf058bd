//! Why the files that a configuration names are read.

/// What a configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To serve by it: what is missing and can be made is made.
    Serve,
    /// To see whether it can be used: nothing is written.
    Look,
}
