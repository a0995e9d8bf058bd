use crate::{Field, Row, iis, json, ncsa, w3c};

/// How a log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// W3C extended, with chosen fields.
    #[default]
    W3c,
    /// Microsoft IIS.
    Iis,
    /// NCSA common.
    Ncsa,
    /// Lines of JSON.
    Json,
    /// What became of messages, in the words of Postfix.
    Maillog,
}

impl Form {
    /// What file names begin with: of files by time, and of files by size.
    pub(crate) fn prefixes(self) -> (&'static str, &'static str) {
        match self {
            Self::W3c => ("ex", "extend"),
            Self::Iis => ("in", "inetsv"),
            Self::Ncsa => ("nc", "ncsa"),
            Self::Json => ("js", "json"),
            Self::Maillog => ("ml", "maillog"),
        }
    }

    /// Whether it has a row for each command; otherwise it has lines for messages.
    pub fn has_rows(self) -> bool {
        self != Self::Maillog
    }

    /// Appends the row in this form, with its line end. `fields` are for W3C.
    pub(crate) fn write(self, row: &Row, fields: &[Field], out: &mut String) {
        match self {
            Self::W3c => w3c::write(row, fields, out),
            Self::Iis => iis::write(row, out),
            Self::Ncsa => ncsa::write(row, out),
            Self::Json => json::write(row, out),
            Self::Maillog => {}
        }
    }
}
