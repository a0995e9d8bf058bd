//! How scanners of mail are asked: octets out, octets in, and a finding.
//!
//! Sites run software that looks at mail: ClamAV, rspamd, SpamAssassin, ICAP servers, programs of
//! their own behind HTTP, policy services. Each has a protocol of its own for the same question: here
//! is a message, what is it? An [`Exchange`] asks it once over a connection that its caller owns,
//! takes the content in pieces, so that it is copied nowhere, and gives a [`Finding`] or a [`Fault`].
//!
//! A scanner reads what strangers send, so nothing that it says is believed to be well-formed: every
//! answer has a bound, text in it is fit to be shown, and fields that it adds are fields.
//!
//! Nothing here opens a socket, reads a clock or knows what becomes of the message.

mod answer;
mod chunks;
/// ClamAV's daemon.
pub mod clamd;
mod clamd_version;
mod content;
mod digest;
mod edit;
mod exchange;
mod fault;
mod field;
mod finding;
/// Programs of a site's own, asked by HTTP.
pub mod hook;
mod http;
/// ICAP services.
pub mod icap;
mod icap_options;
mod icap_verdict;
mod learned;
/// Policy services, as Postfix asks them.
pub mod policy;
mod policy_action;
mod policy_state;
mod protocol;
/// Rspamd, by its HTTP interface.
pub mod rspamd;
mod secret;
/// SpamAssassin's daemon.
pub mod spamd;
mod subject;
mod wants;

pub use answer::Answer;
pub use clamd_version::ClamdVersion;
pub use content::{Content, InMemory};
pub use edit::{Edit, Position, Which};
pub use exchange::Exchange;
pub use fault::Fault;
pub use finding::{Class, Finding, Wish};
pub use icap_options::{IcapOptions, Method};
pub use learned::Learned;
pub use policy_action::PolicyAction;
pub use secret::Secret;
pub use subject::{Subject, TlsFacts};
pub use wants::{PIECE_MAX, Wants};
