//! The world: sockets, DNS, the disk, the clock, the control socket, the log. Async code begins here, and ends here.
//!
//! Everything that decides lives in the crates below and knows nothing of this one. What is here carries octets, answers questions and
//! keeps time: one task per incoming connection, one per outgoing one, one for the queue manager, and one thread that writes the spool.

pub mod api;
mod clock;
mod connection;
mod control;
mod courier;
mod disk;
mod dispatch;
mod drop_directory;
mod journal;
mod listener;
mod log;
mod privileges;
mod relay;
mod remote;
mod resolver;
mod run;
mod sessions;
mod vital;
mod world;

pub use clock::now;
pub use listener::{Bound, bind};
pub use relay::{Relay, Source, open_spool, spool_directory};
pub use remote::{Remote, RemoteError};
pub use resolver::Resolver;
pub use run::{StartError, confirmed_name, fixed_source, run};
