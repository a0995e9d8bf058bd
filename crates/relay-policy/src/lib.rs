//! Who may send through us, and to whom.
//!
//! For every recipient one pure function, [`decide`], answers: carry it, refuse it, or come back
//! later. A domain of ours is taken from whom its own rule says (usually anyone); every other
//! domain is only for clients on the relay list and for users who signed in, and the deny list
//! overrides both. What is for a recipient of ours may go on to others, and only where the
//! configuration says so ([`forwarded`]). Each answer names the configuration line that made it. What this crate holds is what
//! has to be trusted with the decision, and no more.
//!
//! Only [`decide`], [`forwarded`] (and the few named constructors of [`Admitted`]) makes an [`Admitted`]
//! recipient, and an [`Envelope`] takes nothing else. A forgotten check is a type error, not an
//! open relay.

mod access;
mod addressee;
mod admitted;
mod bonds;
mod certificates;
mod consultation;
mod consulted;
mod decide;
mod decision;
mod dns_lists;
mod domains;
mod envelope;
mod fact;
mod facts;
mod familiar;
mod forwarded;
mod forwards;
mod gate;
mod greylist;
mod greylisting;
mod hosted;
mod list;
mod names;
mod on_demand;
mod policy_service;
mod ranges;
mod reason;
mod recipients;
mod request;
mod returned;
mod rewriting;
mod rights;
mod routed;
mod rules;
mod screened;
mod send_only_to;
mod senders;
mod standing;
mod way_back;

pub use access::{Access, Mode};
pub use addressee::addressee;
pub use admitted::{Admitted, Grounds};
pub use bonds::is_bound;
pub use certificates::{CertificateEntry, CertificatePattern};
pub use consultation::{Consultation, Consulted};
pub use decide::{Trace, decide, may_connect, may_write_as, trace};
pub use decision::{Connect, Decision};
pub use dns_lists::{DnsList, DnsLists};
pub use domains::{AcceptFrom, DomainKind, DomainRule, DomainTable};
pub use envelope::{Envelope, EnvelopeRecipient};
pub use fact::Fact;
pub use facts::{Answer, Facts, Listing, Question, RecipientSource};
pub use familiar::{Approach, Familiar, Greylisted};
pub use forwarded::{check_redirected, forwarded, redirected};
pub use forwards::{FORWARD_STEPS_MAX, Forward, Forwards, Party};
pub use gate::gate;
pub use greylist::{Exempt, Greylist, greylist};
pub use greylisting::{Greylisting, Listed};
pub use hosted::{Stage, is_postmaster, rule_for};
pub use list::{Clients, Entry, EntryError, List};
pub use names::{NameMap, NamePattern};
pub use on_demand::{AskedBy, OnDemand};
pub use policy_service::PolicyService;
pub use ranges::AddressRange;
pub use reason::{Reason, Why};
pub use recipients::{RecipientList, Recipients};
pub use request::{NamedDomain, Request, Requested, could_ask, request};
pub use rewriting::{Rewriting, Rewritten};
pub use rights::{Rights, SenderMatch};
pub use rules::{BoundClients, Demand, Listener, LocalRule, RelayRule, Rules, WayBack};
pub use screened::{Screened, listed, screened};
pub use send_only_to::{Bound, RecipientPattern, SendOnlyTo};
pub use senders::{SenderPattern, SenderRules};
pub use standing::{is_completed, is_listed, is_permitted};
