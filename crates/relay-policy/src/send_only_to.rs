use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use mail::{Mailbox, Place};

use crate::{NamePattern, senders};

/// Some recipients, as a list of them is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientPattern {
    /// `hosted`: everybody at a domain of ours.
    Hosted,
    /// One address; case makes no difference.
    Mailbox(Mailbox),
    /// `example.com`, `*.example.com`: everybody there.
    Domain(NamePattern),
}

impl RecipientPattern {
    /// Reads `user@example.com`, `example.com`, `*.example.com` or `hosted`; what is wrong with it
    /// otherwise.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "hosted" {
            return Ok(Self::Hosted);
        }
        if text.contains('@') {
            let mailbox = Mailbox::parse(text).map_err(|why| why.to_string())?;
            return Ok(Self::Mailbox(mailbox));
        }
        match NamePattern::parse(text) {
            Ok(NamePattern::Any) => Err("`*` is everybody: leave the list out".to_owned()),
            Ok(pattern) => Ok(Self::Domain(pattern)),
            Err(why) => Err(why.to_string()),
        }
    }

    /// A whole domain holds no address that leads elsewhere.
    fn matches(&self, named: &Named<'_>) -> bool {
        let is_there = match self {
            Self::Mailbox(one) => return senders::is_same(one, named.recipient),
            Self::Hosted => named.is_hosted,
            Self::Domain(pattern) => {
                let domain = named.recipient.host().domain();
                domain.is_some_and(|domain| pattern.matches(domain))
            }
        };
        is_there && !named.leads_elsewhere
    }
}

/// A recipient as a client named it.
pub(crate) struct Named<'a> {
    pub(crate) recipient: &'a Mailbox,
    /// It is at a domain of ours.
    pub(crate) is_hosted: bool,
    /// A server behind us might take it for a route to elsewhere, or it stands for a sender there.
    pub(crate) leads_elsewhere: bool,
}

/// As it is written in the configuration.
impl fmt::Display for RecipientPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosted => f.write_str("hosted"),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
            Self::Domain(pattern) => pattern.fmt(f),
        }
    }
}

/// To whom alone somebody may send. It takes away and never gives: what is not permitted without it
/// is not permitted with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendOnlyTo {
    /// The recipients that may be named.
    pub recipients: Box<[RecipientPattern]>,
    /// Where they were written.
    pub place: Place,
}

impl SendOnlyTo {
    /// Whether the recipient is one of them.
    pub(crate) fn holds(&self, named: &Named<'_>) -> bool {
        self.recipients.iter().any(|pattern| pattern.matches(named))
    }

    /// To whom, without a name: who is bound by it need not hear who else may be written to.
    pub(crate) fn kinds(&self) -> String {
        let has = |is: fn(&RecipientPattern) -> bool| self.recipients.iter().any(is);
        let kinds = [
            (
                has(|one| *one == RecipientPattern::Hosted),
                "domains hosted here",
            ),
            (
                has(|one| matches!(one, RecipientPattern::Domain(_))),
                "listed domains",
            ),
            (
                has(|one| matches!(one, RecipientPattern::Mailbox(_))),
                "listed addresses",
            ),
        ];
        let kinds = kinds.into_iter().filter(|(is, _)| *is);
        let words: Vec<&str> = kinds.map(|(_, word)| word).collect();
        words.join(" and ")
    }
}

/// Who is bound by a [`SendOnlyTo`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// A client, by its address.
    Client(IpAddr),
    /// Who holds a certificate, by the entry that names it.
    Holder(Arc<str>),
    /// A user who signed in.
    User(Arc<str>),
    /// An account of this machine.
    Account(u32),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(address) => write!(f, "client {address}"),
            Self::Holder(entry) => write!(f, "holder of certificate {}", mail::escaped(entry)),
            Self::User(user) => write!(f, "user {}", mail::user_shown(user)),
            Self::Account(uid) => write!(f, "uid {uid} of this machine"),
        }
    }
}
