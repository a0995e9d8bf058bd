//! The MTA's side of the milter protocol (Sendmail's, version 6), and what milters make of a message.
//!
//! A milter is a program beside us that is told of a message step by step and may refuse it, hold it
//! or change it. Here one is asked when the message is there as a whole and its 250 is not given yet:
//! all steps are played at once from [`Facts`], an [`Envelope`] and the content. A [`Conversation`] is
//! one milter and one message, without I/O: octets in, octets out. It ends with an [`Answer`] that
//! was checked, or with a [`Fault`] that says what broke. An [`Edited`] message takes answers, and
//! tells the next milter, and whoever stores the message, what became of it.
//!
//! # How a chain is driven
//!
//! 1. Make an [`Edited`] of the message, or of its beginning with the whole header. How long that is
//!    says the same scan that our own trace goes by (`message::HeaderScan::header_len`).
//! 2. For each milter take a kept connection whose [`Kept`] knows the client, else one that takes
//!    others, or make one, and begin [`Conversation::new`]. Then ask [`Conversation::wants`] until it
//!    wants nothing:
//!    - [`Wants::Write`]: write [`Conversation::output`] and clear it, within the milter's time-out.
//!      When that fails, [`Conversation::on_closed`].
//!    - [`Wants::Read`]: read once and give it to [`Conversation::receive`]; at the end of the stream
//!      [`Conversation::on_closed`]. Each wait has the milter's time-out, after which
//!      [`Conversation::on_time_out`]. Where [`Conversation::awaits_several`], over TCP, what comes is to
//!      be acknowledged at once (`TCP_QUICKACK`): libmilter has each answer wait for that. A milter that
//!      asks for more time sends octets, so the wait begins anew. All waits together need a limit as
//!      well.
//!    - [`Wants::Body`]: give [`Conversation::body`] what follows, up to [`BODY_PIECE_MAX`] octets at
//!      once, from [`Edited::new_body`] if there is one and else from what came, behind
//!      [`Edited::body_start`]. An empty piece ends it.
//! 3. [`Conversation::end`]: write its output, then keep the connection with [`End::kept`] or close
//!    it. After [`End::is_stale`] the same is tried on a new connection, once.
//! 4. A fault is the milter's alone: what becomes of the message is the configuration's to say.
//!    [`Verdict::Refuse`] and [`Verdict::Discard`] end the chain. Of an answer with
//!    [`Verdict::Accept`] keep [`Answer::refused`] and [`Answer::quarantine`], give it to
//!    [`Edited::apply`], and go on with the next milter.
//! 5. What goes out is [`Edited::top`], then our own trace, then what came with [`Edited::edits`]
//!    made, to [`Edited::envelope`]. Its added recipients ([`Recipient::is_added`]) were decided upon
//!    by nobody yet: they go through the relay decision. Nobody is left where milters took out all.
//!
//! The header's size is the caller's to bound. libmilter takes another client on a connection only
//! behind a message against which it had nothing: opendkim, which ends each with "accept", never does.
//! Another message of the same client it takes behind both, as MTAs have all messages of a session on
//! one connection; so a milter is told of a client once where messages follow each other.
//! Commands that nobody knows belong to no message, so milters are not told of them.
//!
//! # Where it differs from Postfix
//!
//! - A value with a line that does not continue it is a fault. Postfix puts a tab before that line.
//! - CRLF in a value is one line end, and line ends behind a value are none of it. Postfix keeps the
//!   CR, and makes lines of blanks.
//! - A body with a CR alone or a NUL is a fault. Postfix passes it on.
//! - A new body may come in pieces between other changes.
//! - A later milter is told of what an earlier one put above our own trace, and of another sender and
//!   other recipients. Our own trace stays out of reach.

mod answer;
mod changes;
mod conversation;
mod edited;
mod envelope;
mod facts;
mod fault;
mod macros;
mod modification;
mod negotiation;
mod packet;
mod response;
mod step;

pub use answer::{Answer, Verdict};
pub use changes::{Changes, Fate, RecipientChange};
pub use conversation::{
    ANSWERS_MAX, BODY_PIECE_MAX, Conversation, End, Kept, MODIFICATIONS_MAX, Wants,
};
pub use edited::{Edit, Edited};
pub use envelope::{Envelope, Recipient};
pub use facts::Facts;
pub use fault::Fault;
pub use modification::{Field, Modification, Parameter};
pub use packet::PACKET_LEN_MAX;
pub use step::Step;
