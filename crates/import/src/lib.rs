//! Configurations of other mail servers become ours: text in, text out, with a table of what became of
//! each setting and why.
//!
//! Nothing is read here but through [`Sources`]. Every result has been read by [`config::parse`], which
//! refuses open relays: what of the source would make one is left out, and the table says so.

mod address_list;
mod addresses;
mod checked;
mod draft;
mod iis;
mod octets;
mod postfix;
mod report;

use std::fmt;

pub use config::Environment;
pub use iis::iis;
pub use postfix::postfix;
pub use report::{Fate, Origin, Report, Row};

/// The files of the source.
pub trait Sources {
    /// The octets of a file, by its path as the source has it, relative paths within its folder; `None` when
    /// there is none.
    fn read(&self, path: &str) -> Option<Vec<u8>>;
}

/// A configuration of ours, made from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its text, with comments that name the source.
    pub configuration: String,
    /// What became of each setting.
    pub report: Report,
    /// What somebody should look at, in the words of `config check`.
    pub warnings: Vec<String>,
}

/// Nothing could be made of it; says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file of more octets is none of a mail server's configuration.
pub const FILE_BYTES_MAX: usize = 16 << 20;
