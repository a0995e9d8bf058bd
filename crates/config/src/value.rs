use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use mail::{Domain, Mailbox};
use relay_policy::{Clients, SenderPattern};
use route::HostSpec;

use crate::source::Span;

/// Where a secret is to be found; the secret itself is never in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// `file:PATH`
    File(PathBuf),
    /// `env:NAME`
    Variable(String),
}

/// A value that was read according to its option's [`crate::Kind`].
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Bool(bool),
    Number(u64),
    Duration(Duration),
    Size(u64),
    Name(Domain),
    Mailbox(Mailbox),
    Secret(#[allow(dead_code)] Secret),
    Socket(SocketAddr),
    Address(#[allow(dead_code)] IpAddr),
    Clients(Clients, String),
    Sender(SenderPattern),
    Network(IpNet),
    Host(HostSpec),
    List(Vec<Item>),
    /// Of an option that does nothing yet.
    Unread,
}

/// An element of a list.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub value: Value,
    pub span: Span,
}
