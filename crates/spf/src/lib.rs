//! Whether a client may send for a domain: the Sender Policy Framework (RFC 7208).
//!
//! The domain of a sender publishes in DNS which addresses send its mail. [`check`] reads that policy
//! for one client and one sender, and says what it comes to, by which term of whose record, or what
//! was wrong with it, so that every result can be explained ([`Outcome`]).
//!
//! It asks nobody: what it must know of DNS is a [`Question`], and it is called again with the answers
//! until it is done. However long a policy is, and wherever it leads, it ends by the limits of
//! section 4.6.4: ten terms that look something up, two of them in vain, ten names of MX or PTR.

mod check;
mod dns;
mod evaluation;
mod expansion;
mod facts;
mod macro_string;
mod mechanism;
mod name;
mod network;
mod outcome;
mod question;
mod record;
mod stop;

pub use check::{Step, check};
pub use facts::Facts;
pub use name::DnsName;
pub use outcome::{Identity, Matched, Outcome, SpfResult, Why};
pub use question::{Answer, Answers, Question};
