use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use admission::Rate;
use ipnet::IpNet;
use mail::{Domain, Mailbox};
use relay_policy::{CertificatePattern, Clients, SenderPattern};
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
    Signed(i64),
    Rate(Rate),
    Duration(Duration),
    Size(u64),
    Name(Domain),
    Mailbox(Mailbox),
    Secret(Secret),
    Socket(SocketAddr),
    Address(IpAddr),
    Clients(Clients, String),
    Sender(SenderPattern),
    Network(IpNet),
    Host(HostSpec),
    /// Answers of a DNS list, from first to last.
    Codes(Ipv4Addr, Ipv4Addr),
    Certificate(CertificatePattern, String),
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
