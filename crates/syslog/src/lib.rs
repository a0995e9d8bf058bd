//! Syslog: one message as octets on the wire, as a server of today takes it.
//!
//! A [`Message`] is written by a [`Format`]: in the form of RFC 5424, or of RFC 3164 as local
//! sockets take it; never longer than the server takes, cut between characters and marked so, on
//! one line; framed for connections (RFC 6587). [`Destination`] says where it goes. Pure: time is an
//! argument, and whoever owns the sockets sends what is made here.

mod destination;
mod facility;
mod format;
mod severity;

pub use destination::{Destination, NoDestination};
pub use facility::Facility;
pub use format::{Form, Format, Framing, Message};
pub use severity::Severity;
