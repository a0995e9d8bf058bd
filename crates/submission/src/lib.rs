//! How a program of this machine hands a message to the relay: as a file in the pickup directory,
//! or by calling `sendmail`.
//!
//! Both are read here into one [`Submission`], who sends it and who is to get it, and both go on by
//! one [`Handover`], an SMTP client that speaks with a session of ours as every other client does.
//! So nothing is decided here: whether the message is taken, and what becomes of it, is the answer
//! of that session. Still without input and output: octets, time and file names are arguments.

mod arguments;
mod backlog;
mod content;
mod handover;
mod header;
mod sightings;
mod submission;

pub use arguments::{Arguments, Mode, Usage};
pub use backlog::Backlog;
pub use content::{Content, is_lone_dot};
pub use handover::{Ended, Handover, Next};
pub use header::Header;
pub use sightings::{LOOK_MAX, Seen, Sightings};
pub use submission::{NotSubmitted, Origin, Submission};
