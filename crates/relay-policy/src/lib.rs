//! Who may send through us, and to whom.
//!
//! For every recipient one pure function, [`decide`], answers: carry it, refuse it, or come back later. A domain of ours is taken
//! from whom its own rule says (usually anyone); every other domain is only for clients on the relay list and for users who signed
//! in, and the deny list overrides both. Each answer names the configuration line that made it. [`explain`] tells the same story
//! step by step, and [`posture`] says whether a set of rules would make an open relay.
//!
//! Only [`decide`] (and the few named constructors of [`Admitted`]) makes an [`Admitted`] recipient, and an [`Envelope`] takes
//! nothing else. A forgotten check is a type error, not an open relay.

mod access;
mod admitted;
mod decide;
mod domains;
mod envelope;
mod explain;
mod facts;
mod list;
mod names;
mod posture;
mod ranges;
mod reach;
mod reason;
mod rules;
mod senders;
mod suffix;

pub use access::{Access, Mode};
pub use admitted::{Admitted, Grounds};
pub use decide::{Connect, Decision, decide, is_permitted, may_connect};
pub use domains::{AcceptFrom, DomainKind, DomainRule, DomainTable};
pub use envelope::{Envelope, EnvelopeRecipient};
pub use explain::{Explanation, Step, Verdict, explain};
pub use facts::{Fact, Facts, Question};
pub use list::{Clients, Entry, EntryError, List};
pub use names::{NameMap, NamePattern};
pub use posture::{Hole, HoleKind, PUBLIC_ADDRESSES_MAX, Posture, Proof, Suspicion, posture};
pub use ranges::AddressRange;
pub use reason::{Reason, Why};
pub use rules::{Demand, Listener, RelayRule, Rules};
pub use senders::{SenderPattern, SenderRules};
