use std::sync::Arc;

use mail::{Client, Domain, Mailbox, Reply, ReversePath};

use crate::Fact;

/// What policy services are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consultation {
    /// Which of them, in this order.
    pub services: Box<[Arc<str>]>,
    /// Who is connected.
    pub client: Client,
    /// The client's confirmed name.
    pub name: Fact<Domain>,
    /// The sender.
    pub sender: ReversePath,
    /// The recipient that was named.
    pub recipient: Mailbox,
}

/// What they answer together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consulted {
    /// None of them has anything against it.
    Passes,
    /// One has.
    Against {
        /// Which one.
        service: Arc<str>,
        /// 4yz or 5yz.
        reply: Reply,
        /// What it said, or why it said nothing; for people.
        why: Arc<str>,
    },
}
