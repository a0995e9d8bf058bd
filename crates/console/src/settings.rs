//! What the console has to know of its place.

use std::time::Duration;

/// The settings of the console at one of its addresses, of `[console]`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The relay's name.
    pub hostname: String,
    /// Whether it is served over TLS.
    pub is_encrypted: bool,
    /// The names, without ports, by which browsers may ask for it, beside every address. A request
    /// with another name was led here by somebody else's DNS.
    pub names: Vec<String>,
}

/// When sessions end.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Without a page that was asked for.
    pub idle: Duration,
    /// In any case.
    pub absolute: Duration,
}
