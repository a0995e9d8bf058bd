//! One outgoing attempt, as a state machine without I/O.
//!
//! A [`Conversation`] is one connection to one server: the server's octets go in, ours come out,
//! and what became of each recipient is told by events. It greets, asks what the server can do, and
//! sends one message after the other in the best way that the server offers. Every trouble ends as
//! an outcome that says how far it reaches: this recipient, this message, this host. An [`Attempt`]
//! walks over the hosts of a site while the trouble is theirs. A reply of success counts only after
//! the whole message was sent; when the connection is lost between the final dot and the answer,
//! nobody can know, so the message is sent again and the doubt is counted. What a hop demands of
//! the encryption is kept before anything else is said: where STARTTLS is missing, refused or
//! broken, the message waits or goes to another host, and goes out in clear only where nobody
//! demands more.
//!
//! Whoever drives a conversation:
//! 1. connects, makes one with [`Conversation::new`], and may give it a [`Transaction`] at once;
//! 2. gives what arrives to [`Conversation::receive`] and writes what [`Conversation::output`]
//!    holds;
//! 3. answers [`Event::Content`] by feeding the content from its beginning, a piece whenever
//!    `output` has been written, while [`Conversation::wants_content`], then calls
//!    [`Conversation::content_end`];
//! 4. answers [`Event::StartTls`] by shaking hands, then calls [`Conversation::on_encrypted`] or
//!    [`Conversation::on_handshake_failed`];
//! 5. restarts its timer whenever the phase of [`Conversation::time_limit`] changes.
//!
//! A conversation can also be asked whether the server takes a recipient, without a message:
//! [`Conversation::verify`], and [`Conversation::take_verified`] for the answer.

mod attempt;
mod commands;
mod conversation;
mod event;
mod fitness;
mod send_as;
mod settings;
mod sign_in;
mod stage;
mod transaction;
mod transmission;
mod trouble;
mod wire;

pub use attempt::{Attempt, HOSTS_MAX};
pub use conversation::{Conversation, Verified};
pub use event::{Again, CertificateFlaw, Ended, Event, HandshakeFault};
pub use send_as::{SendAs, SendAsRule, SentAs, Submitted};
pub use settings::{EightBit, Protocol, Settings, Timeouts};
pub use sign_in::{Credentials, Identity, SignIn, SignInStart};
pub use stage::Stage;
pub use transaction::Transaction;
pub use transmission::ROUNDS_MAX;
