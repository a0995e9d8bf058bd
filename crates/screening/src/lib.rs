//! What we think of a message: facts in, verdict out.
//!
//! The rules (`[[screen]]`) are asked in the order in which they were written, about each recipient
//! by itself: the same message may pass for one and be refused for another. An [`Examination`] holds
//! what was found of one message by one set of rules, so that nothing is looked for twice however
//! many recipients there are; [`Examination::verdict`] is what one recipient gets, and
//! [`Examination::tests`] says of each rule whether it matched and what decided so. A rule that only
//! tries ([`Screen::dry_run`]) is told of and changes nothing. Scanners are heard while the rules are asked:
//! [`Examination::awaits`] says whether anything can still depend on one that has not answered.
//!
//! Nothing here reads a clock, asks anybody or changes a message.

mod action;
mod examination;
mod facts;
mod found;
mod scan;
mod screen;
mod verdict;
mod when;
mod words;

pub use action::Action;
pub use examination::Examination;
pub use facts::{Addressee, Direction, Facts, Reputation};
pub use scan::{Class, Finding, Says, Scan, ScannerSays};
pub use screen::{Screen, Screens};
pub use verdict::{Change, End, Matched, Test, Verdict, rule_in};
pub use when::{AttachmentIs, FieldWords, When};
pub use words::{Words, WordsError};
