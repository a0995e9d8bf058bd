//! Protocol logs: what was said on each connection, one row a command, in the forms that IIS wrote
//! (W3C extended, Microsoft IIS, NCSA common), so that the tools around a relay go on working; as
//! lines of JSON; and what became of messages in the words of a Postfix `maillog`.
//!
//! Pure: rows are made of what was said ([`Exchanges`], [`Outgoing`]), written in a [`Form`], and
//! [`Settings`] say into which file they go ([`Period`], [`Settings::file_name`]) and which files are
//! to go ([`Settings::surplus`]). Time is an argument; whoever owns the files does what is said here.

mod calendar;
mod even_clock;
mod exchanges;
mod form;
mod iis;
mod json;
mod maillog;
mod ncsa;
mod outgoing;
mod period;
mod retention;
mod row;
mod settings;
mod w3c;

pub use even_clock::EvenClock;
pub use exchanges::{Exchanges, VirtualServer};
pub use form::Form;
pub use maillog::{MailLine, maillog};
pub use outgoing::Outgoing;
pub use period::{Period, Rotation};
pub use retention::LogFile;
pub use row::{Direction, Row};
pub use settings::Settings;
pub use w3c::{Field, header};
