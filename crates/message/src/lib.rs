//! RFC 5322 text, and what a relay adds to it.
//!
//! A relay leaves the messages it carries as they are. It reads the header once, on the way in, to
//! count how many relays a message has passed and to see which of `Date`, `Message-ID` and `From`
//! are there ([`HeaderScan`]); it puts its own `Received` line on top ([`received_field`]); and
//! when a message cannot be delivered, is late, or its sender wanted to know that it arrived, it
//! writes a notice (RFC 3464) to the sender ([`notice`]). One thing it changes, where the
//! configuration says so: as whom a message is sent ([`with_author`]). From those who may relay it
//! takes out who gets a message without others knowing ([`BlindCopies`]). What its checks came to it
//! says in a field of its own ([`authentication_results_field`]), and takes out those that strangers
//! wrote in its name; what others say in theirs it can read ([`StatedResults`]). Nothing here reads a clock.

mod authentication_results;
mod author;
mod author_domains;
mod automatic;
mod blind_copies;
mod digest;
mod display_name;
mod eight_bit;
mod fields;
mod header_scan;
mod mailbox_list;
mod notice;
mod own_mail;
mod raw_field;
mod report_mail;
mod stated_results;
mod trace_parent;
mod warning;

pub use authentication_results::{
    Statement, authentication_results_field, results_that_claim, without_results_that_claim,
};
pub use author::with_author;
pub use author_domains::author_domains;
pub use automatic::is_automatic;
pub use blind_copies::{BlindCopies, names_blind_copies};
pub use digest::{DigestFacts, Held, digest};
pub use eight_bit::EightBitUse;
pub use fields::{
    Protocol, ReceivedFacts, ReceivedFrom, date_field, from_field, message_id_field, read_received,
    received_field,
};
pub use header_scan::{HeaderScan, written_message_id};
pub use mailbox_list::{ListedMailbox, listed_mailboxes};
pub use notice::{
    Action, ActionKind, Notice, NoticeFacts, NoticeRecipient, Original, notice, shortened,
};
pub use raw_field::{RawField, without_fields};
pub use report_mail::{ReportKind, ReportMail, is_report, report_mail};
pub use stated_results::{StatedResult, StatedResults, sealed_results};
pub use trace_parent::TraceParent;
pub use warning::{WarningFacts, warning};
