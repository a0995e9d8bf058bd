//! Whether a message comes from whom it says: SPF, DKIM, ARC and DMARC, in one.
//!
//! SPF is about the client and the sender, DKIM about the content, ARC about those who passed it on,
//! and DMARC puts the first two beside the author whom readers see; where they do not fit, one of the
//! third who is believed may have [`Vouched`] for the author. An [`Authentication`] runs them for one message: it asks [`Question`]s
//! of DNS, is told the [`Answer`]s, and comes to [`Results`], from which the
//! `Authentication-Results` field is written ([`Results::field`]). What each check is, the crates
//! `spf`, `dkim` and `dmarc` know; this one knows what they have in common.

mod authentication;
mod dns;
mod results;
mod vouched;

pub use authentication::{Authentication, Checks, Claims, HEADER_MAX, Stage, Start, Step};
pub use dns::{Answer, Question};
pub use results::{Results, Summary};
pub use vouched::Vouched;
