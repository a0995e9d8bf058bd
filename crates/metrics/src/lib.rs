//! What is counted and measured, under which names and with which labels, and the page that
//! Prometheus reads.
//!
//! [`Metrics`] is told what happened, as the log is, and counts it. [`Snapshot`] is what is so when
//! somebody looks. Both become one page ([`Metrics::page`]). The files `listener.rs`, `route.rs`,
//! `scanner.rs`, `relay.rs` and `snapshot.rs` hold all names. No label bears anything that a client or a server
//! said: a label is a word of ours, or a name in the configuration, so there are only so many
//! series. Each of them is there from the start, at 0: an alert on the rise of a counter misses
//! what happens before the first look at it.

mod dns;
mod each;
mod listener;
mod metrics;
mod page;
mod relay;
mod route;
mod scanner;
mod snapshot;
mod words;

pub use dns::DnsAnswer;
pub use metrics::Metrics;
pub use page::Format;
pub use snapshot::{Alarms, Lost, Queue, ScannerNow, Snapshot};
pub use words::AtConsole;
