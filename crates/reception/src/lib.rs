//! One incoming connection, from the greeting to the end: what we answer to each command, and when
//! a message counts as received.
//!
//! A client greets, names the sender and the recipients, sends the message, and hears 250 only when
//! the message is on stable storage. Every recipient is put to the relay policy; what it refuses
//! never enters the envelope. Everything a client can send or withhold has a limit (see
//! [`Limits`]), and every order of commands has an answer (RFC 5321 section 4.1.4).
//!
//! A [`Session`] does no input or output: bytes go in ([`Session::receive`]), replies
//! ([`Session::output`]) and events ([`Session::next_event`]) come out, and whoever drives it
//! answers the events that ask. The same code therefore runs behind a socket, in a simulation and
//! in a test that cuts the input at every octet.

mod command;
mod content;
mod event;
mod fact;
mod head;
mod incoming;
mod named;
mod on_demand;
mod phase;
mod recipient;
mod session;
mod settings;
mod sign_in;
mod starttls;
mod storing;
mod transaction;
mod xforward;

pub use event::{Accepted, Admission, Event, SignIn, SignedIn, StoreTrouble};
pub use fact::{
    AcceptedFact, AcceptedRecipient, Complaint, End, RefusedBy, RefusedMessage, RefusedRecipient,
    SessionFact, SignInFailed, SignInRefusal, SignedInFact, Summary,
};
pub use named::{Named, Refusal};
pub use session::Session;
pub use settings::{Limits, Settings, Timeouts};
pub use storing::taken;
