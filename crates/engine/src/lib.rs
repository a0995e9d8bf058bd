//! The glue: how a received message becomes a stored one, how a stored one is carried to its next
//! hop, and what is written down and told to the sender afterwards.
//!
//! Each part below knows its own trade (reception, spool, queue, route, delivery); this crate joins
//! them, once, for the daemon and for the simulation alike. Still without I/O: events in, actions
//! out, with time, randomness and answers as arguments. [`Incoming`] is an incoming connection,
//! [`Agent`] an outgoing one, [`dispatch::Dispatch`] the queue manager with its agents and all that
//! is written down.

mod agent;
mod announced;
mod arrival;
mod digest;
pub mod dispatch;
mod incoming;
mod kept;
mod outbound;
mod reporting;
pub mod rows;
#[cfg(test)]
mod sample;
mod settle;
mod setup;
mod sign_in;
mod signing;
mod standing;
mod store;
mod strangers;
mod warning;

pub use agent::{Agent, NotFiled, Order, Piece, Report, Step, StoredContent};
use announced::announced;
pub use arrival::{Arrival, ArrivalStep, TurnedAway};
pub use digest::{Digest, DigestSettings};
pub use incoming::{
    Acceptance, Action, BodyWrite, BodyWritten, CannotRelease, Coming, ContentMemory, ForMilters,
    Incoming, Judgement, Late, LateEnd, LateOutcome, NotResumed, Pending, Screened, ScreenedFact,
    Screening, SignInOutcome, SignInStep, Storing, WithoutAttachments, begun, facts_for_hooks,
    reputation, unended, unscanned, without_attachments,
};
pub use kept::{Kept, KeptAs, KeptLimits, Surplus, surplus};
pub use reporting::{Seen, WrittenReport};
pub use settle::{Composition, NoticeSettings};
pub use setup::{DeliverySettings, Setup};
pub use sign_in::{
    BANNED, NotSignedIn, SignInResult, conclude, is_refused_unheard, refused_unheard,
    sign_in_unavailable, wrong_sign_in,
};
pub use signing::signer;
pub use standing::{
    explain_guardian, explain_limits, standing, standing_encrypted, standing_of_user,
};
pub use store::{admission, new_message, stored, stored_event, trouble};
pub use strangers::Stranger;
pub use warning::warn_of;
