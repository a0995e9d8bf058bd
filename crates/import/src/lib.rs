//! Configurations of other mail servers become ours: text in, text out, with a table of what became of
//! each setting and why.
//!
//! Nothing is read here but through [`Sources`]. Every result has been read by [`config::parse`], which
//! refuses open relays: what of the source would make one is left out, and the table says so.

mod address_list;
mod addresses;
mod base64;
mod checked;
mod draft;
mod exchange;
mod iis;
mod line_numbers;
mod octets;
mod postfix;
mod report;

use std::fmt;

pub use config::Environment;
use config::{Diagnostics, Loaded};

pub use exchange::{Export, Wishes, exchange};
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
    /// Files that belong beside it, which it names.
    pub lists: Lists,
}

impl Imported {
    /// Reads it as a start would that finds its files beside it.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn load(&self, environment: &Environment) -> Result<Loaded, Diagnostics> {
        checked::load(&self.configuration, &self.lists, environment)
    }
}

/// Lists of recipients: the names of files and their texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists(pub Vec<(String, String)>);

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
