//! Look-ups against little servers on loopback.

mod directory;
mod next_hop;
mod pretend_directory;
