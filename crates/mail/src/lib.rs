//! The words a mail administrator uses, as types: domain, mailbox, client, reply, outcome, queue
//! id.
//!
//! Everything else in Gatepost speaks in these. They hold no policy: a value here says what
//! something *is*, never whether it is welcome. Each can be built only in a valid form, so no later
//! code needs to check again: a [`Domain`] is lower-case A-labels, a [`Mailbox`] came through the
//! address parser, the text of a [`Reply`] holds no line break.

mod body_kind;
mod certificate;
mod client;
mod domain;
mod dsn;
mod escape;
mod hex;
mod lower_case;
mod mailbox;
mod outcome;
mod parameter_fault;
mod parameters;
mod place;
pub mod quantity;
mod queue_id;
mod reply;
mod time_of_day;
mod timestamp;
mod tracked_result;
mod xtext;
mod zone;

pub use body_kind::BodyKind;
pub use certificate::{Certificate, Trust};
pub use client::{Client, Handshake, TlsFacts};
pub use domain::{Domain, DomainError, Host};
pub use dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};
pub use escape::{escaped, is_dangerous, is_of_bare_user, user_shown};
pub use hex::hex;
pub use lower_case::lower_case;
pub use mailbox::{AddressError, Mailbox, ReversePath};
pub use outcome::{Delivery, Failure, Outcome, Scope};
pub use parameter_fault::ParameterFault;
pub use parameters::{MailParameters, RcptParameters};
pub use place::Place;
pub use queue_id::QueueId;
pub use reply::{EnhancedStatus, Reply};
pub use time_of_day::{NoTimeOfDay, TimeOfDay};
pub use timestamp::{NoTimestamp, Timestamp};
pub use tracked_result::TrackedResult;
pub use xtext::{from_xtext, is_printable_xtext, xtext};
pub use zone::Zone;
