//! What would become of mail, and why: asked of a configuration, by the command line as of the
//! relay that runs. Nothing is sent, noted or counted.

pub mod delivery;
pub mod dns;
pub mod doctor;
mod fault;
pub mod relay_check;
pub mod route;

pub use fault::Fault;
