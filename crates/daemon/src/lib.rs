//! The world: sockets, DNS, the disk, the clock, the control socket, the log. Async code begins
//! here, and ends here.
//!
//! Everything that decides lives in the crates below and knows nothing of this one. What is here
//! carries octets, answers questions and keeps time: one task per incoming connection, one per
//! outgoing one, one for the queue manager, and one thread that writes the spool.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "clocks, sockets and randomness are here"
)]

mod accounts;
mod acme;
mod active;
mod agent;
pub mod api;
mod arrival;
mod attention;
mod audit;
mod beside;
mod brief_http;
mod called;
mod caller;
mod certificates;
mod check;
mod client_socket;
mod clock;
mod configuration;
mod connection;
mod console_flows;
mod console_links;
mod control;
mod devices;
mod diagnoses;
pub mod diagnosis;
mod digests;
mod disk;
mod dispatch;
mod doors;
mod drop_directory;
mod ending;
mod guardian;
mod hand_over;
mod health;
mod held;
mod history;
mod inbox;
mod journal;
mod kept;
mod key_file;
mod last_digest;
mod late;
mod listener;
mod local_session;
mod log;
mod machine;
mod monitoring;
mod observation;
mod operations;
mod outbound;
mod outlet;
mod own_mail;
mod pace;
mod pickup;
mod privileges;
mod protocol_logs;
mod rate_counts;
mod rate_keeping;
mod rates;
mod refusals;
mod relay;
mod release_links;
mod remote;
mod reporting;
mod ring;
mod run;
mod screening;
mod services;
mod sessions;
mod shared;
mod sightings;
mod sign_in;
mod site_rates;
mod socket;
mod spans;
mod start_error;
mod storage;
mod strangers;
mod submit;
mod syslog_sender;
mod syslog_trial;
mod tcp_socket;
mod tracker;
mod transcripts;
mod unix_socket;
mod upgrade;
mod veiling;
mod vital;
mod watch;
mod watchdog;
mod web;
mod whole_file;

pub use accounts::{Account, account_named, account_of, group_named};
pub use beside::{Beside, Served};
pub use caller::{hand_in, speak};
pub use check::check;
pub use clock::{now, since_start};
pub use configuration::write_configuration;
pub use control::{Actor, ControlApi, Way, openapi};
pub use doors::Doors;
pub use listener::{Bound, bind};
pub use log::{Guard as LogGuard, lost_lines, start as start_log};
pub use machine::environment;
pub use relay::Relay;
pub use remote::{Remote, RemoteError};
pub use run::{fixed_source, run};
pub use shared::Source;
pub use start_error::StartError;
pub use storage::{open_spool, spool_directory};
pub use submit::open_submit_socket;
pub use syslog_trial::{SyslogTrial, try_syslog};
pub use web::{WebListener, pause, random_name};
