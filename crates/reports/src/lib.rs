//! Reports about mail, which those who receive it send to the domains it comes from: what came of
//! DMARC (RFC 9990, and RFC 7489 before it), and what came of TLS (RFC 8460).
//!
//! [`read`] finds them in files: as they are, packed, in archives of several, and in messages, as
//! they come by mail. Their makers keep to the formats more or less, so what is missing or strange
//! costs that value alone. [`Sum`] adds up what several reports say. [`Aggregate::to_xml`] and
//! [`TlsReport::to_json`] write them; a [`Tally`] counts what they are made of.
//!
//! A report is a stranger's file: nothing recurses by what is in it, no entity is expanded, and
//! every number of things has a limit.

mod aggregate;
mod bounded;
mod file;
mod flaw;
mod handovers;
mod reporter;
mod sum;
mod tally;
mod tls;

pub use aggregate::{
    Aggregate, Checked, Disposition, Evaluated, Identifiers, Override, Published, Record,
};
pub use file::{FILE_MAX, Found, Report, Unread, read};
pub use flaw::Flaw;
pub use handovers::Handover;
pub use reporter::{Period, Reporter};
pub use sum::{DmarcRow, FailureRow, Sum, TlsRow};
pub use tally::{Due, Sighting, Tally};
pub use tls::{PolicyKind, TlsFailure, TlsPlace, TlsPolicy, TlsReport, TlsSighting, tls_places};
