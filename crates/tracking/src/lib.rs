//! What became of every recipient, refused ones included: one row for each thing that happened to
//! one, with who sent it, where it went, what was answered, and the line of the configuration that
//! decided.
//!
//! The store is apart from the spool, and expendable: it is written behind what it tells of, and
//! when it is lost, no mail is. It is one SQLite file, ordered by time. Rows are only ever added at
//! its end and taken away at its start, in both cases many at a time, so that writing costs little
//! and old rows go in small steps.
//!
//! What is asked for is found by *terms*: addresses, clients, results and Message-IDs, kept in order
//! for each *segment* of rows. A segment's terms are written at once, sorted, when it is full, which
//! costs a fraction of keeping one index over all rows in order; rows of the last segment, which is
//! not full, are looked through.

mod record;
mod row;
mod schema;
mod search;
mod store;
mod term;
#[cfg(test)]
mod tests;
mod transcript;
mod words;

pub use row::{Row, Stage};
pub use schema::StoreError;
pub use search::{Page, Question, Reader};
pub use store::{Gap, Store};
pub use transcript::{Transcript, TranscriptsOf};
