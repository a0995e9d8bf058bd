//! Whether the author that a message shows is who it says, and what its domain asks for if not: DMARC
//! (RFC 9989).
//!
//! SPF and DKIM vouch for domains that no reader sees. DMARC compares them with the one in `From`: a
//! message passes if one of them is that domain, or where the policy allows it belongs to the same
//! organization. Both the policy and where an organization begins stand in DNS, and are found by
//! walking up from the domain ([`evaluate`]).
//!
//! It asks nobody: what it must know of DNS is a [`Question`], and it is called again with the answers
//! until it is done. The [`Outcome`] names the record that counted, the tag of it, the organizational
//! domain, and how every signature and the sender stand to it. [`destinations`] says where reports about
//! a domain go.

mod answers;
mod destinations;
mod evaluate;
mod facts;
mod outcome;
mod record;
mod walk;

pub use answers::{Answer, Answers, Question};
pub use destinations::{Destinations, destinations, mail_address};
pub use evaluate::{Step, evaluate};
pub use facts::{Checked, Facts, Signature};
pub use outcome::{
    Alignment, Compared, DmarcResult, FoundRecord, InForce, Method, Outcome, Tag, Why,
};
pub use record::{Mode, Policy, Psd, Record};
