//! Who may send through us, and to whom.
//!
//! For every recipient one pure function, [`decide`], answers: carry it, refuse it, or come back
//! later. A domain of ours is taken from whom its own rule says (usually anyone); every other
//! domain is only for clients on the relay list and for users who signed in, and the deny list
//! overrides both. Each answer names the configuration line that made it. [`explain`] tells the
//! same story step by step, and [`posture`] says whether a set of rules would make an open relay.
//!
//! Only [`decide`] (and the few named constructors of [`Admitted`]) makes an [`Admitted`]
//! recipient, and an [`Envelope`] takes nothing else. A forgotten check is a type error, not an
//! open relay.

mod access;
mod addressee;
mod admitted;
mod advice;
mod certificates;
mod decide;
mod decision;
mod dns_lists;
mod domains;
mod envelope;
mod explain;
mod explanation;
mod facts;
mod gate;
mod holes;
mod list;
mod names;
mod permission;
mod posture;
mod ranges;
mod reach;
mod reason;
mod recipients;
mod rights;
mod rules;
mod screened;
mod senders;
mod standing;
mod suffix;
mod suspicions;

pub use access::{Access, Mode};
pub use addressee::addressee;
pub use admitted::{Admitted, Grounds};
pub use certificates::{CertificateEntry, CertificatePattern};
pub use decide::{decide, may_connect};
pub use decision::{Connect, Decision};
pub use dns_lists::{DnsList, DnsLists};
pub use domains::{AcceptFrom, DomainKind, DomainRule, DomainTable};
pub use envelope::{Envelope, EnvelopeRecipient};
pub use explain::explain;
pub use explanation::{Explanation, Step, StepResult};
pub use facts::{Answer, Fact, Facts, Listing, Question};
pub use gate::gate;
pub use holes::{Hole, HoleKind, PUBLIC_ADDRESSES_MAX, Proof};
pub use list::{Clients, Entry, EntryError, List};
pub use names::{NameMap, NamePattern};
pub use permission::{Permission, Permitted};
pub use posture::{Posture, posture};
pub use ranges::AddressRange;
pub use reason::{Reason, Why};
pub use recipients::{RecipientList, RecipientSource, Recipients};
pub use rights::{Rights, SenderMatch};
pub use rules::{Demand, Listener, RelayRule, Rules};
pub use senders::{SenderPattern, SenderRules};
pub use standing::{is_listed, is_permitted};
pub use suspicions::Suspicion;
