//! Mail that waits until its server asks for it (RFC 1985, RFC 2645): who may ask for what.
//!
//! Asking admits no recipient and stores nothing. It only brings out what [`crate::decide`] has let
//! in before.

use std::fmt;

use mail::{Client, Domain};

use crate::on_demand::{AskedBy, Standing};
use crate::{Facts, NamePattern, Question, Rules};

/// Mail that somebody asks for, and may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The domains that were named; none stands for all.
    named: Vec<NamedDomain>,
    /// The entries of the configuration whose mail this client may ask for.
    granted: Vec<NamePattern>,
}

/// A domain as ETRN or ATRN names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedDomain {
    /// Its name.
    pub domain: Domain,
    /// All below it are meant, too.
    pub with_subdomains: bool,
}

impl NamedDomain {
    fn covers(&self, domain: &Domain) -> bool {
        let below = || NamePattern::Below(self.domain.clone()).matches(domain);
        self.domain == *domain || self.with_subdomains && below()
    }

    /// Whether domains can be meant of which this entry of the configuration speaks.
    fn meets(&self, entry: &NamePattern) -> bool {
        let (NamePattern::Exact(name) | NamePattern::Below(name)) = entry else {
            return true;
        };
        self.covers(name) || entry.matches(&self.domain)
    }
}

impl Requested {
    /// Whether the mail of `domain` is wanted, of which this entry of the configuration speaks.
    pub fn covers(&self, domain: &Domain, entry: &NamePattern) -> bool {
        let is_named = || self.named.iter().any(|named| named.covers(domain));
        self.granted.contains(entry) && (self.named.is_empty() || is_named())
    }
}

/// As a client would name it: `office.example, @branch.example`; `all` where it named nothing.
impl fmt::Display for Requested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.named.is_empty() {
            return f.write_str("all");
        }
        for (i, named) in self.named.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            let at = if named.with_subdomains { "@" } else { "" };
            write!(f, "{comma}{at}{}", named.domain)?;
        }
        Ok(())
    }
}

/// What becomes of a client that asks for mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// It may have this.
    Granted(Requested),
    /// It may not, or there is no such domain: nobody learns which.
    Refused,
    /// Find this out, and ask again.
    Ask(Question),
    /// Its name is needed, and nobody knows it now.
    CannotTell,
}

/// What a client asks for that names these domains; none stands for all that it may ask for.
///
/// What is found out first depends on the client alone, never on the names, so that neither answer
/// nor time tells a stranger which domains there are.
pub fn request(
    rules: &Rules,
    client: &Client,
    facts: &Facts,
    by: AskedBy,
    named: Vec<NamedDomain>,
) -> Request {
    let mut granted = Vec::new();
    let mut cannot_tell = false;
    for (entry, on_demand) in rules.domains.on_demand() {
        match on_demand.standing(client, facts, by) {
            Standing::Granted => granted.push(entry.clone()),
            Standing::Refused => {}
            Standing::NeedsName => {
                return Request::Ask(Question::ConfirmedName(client.address()));
            }
            Standing::CannotTell => cannot_tell = true,
        }
    }
    if cannot_tell && granted.is_empty() {
        return Request::CannotTell;
    }
    let is_granted = |named: &NamedDomain| {
        if named.with_subdomains {
            return granted.iter().any(|entry| named.meets(entry));
        }
        let rule = rules.domains.find(&named.domain);
        rule.is_some_and(|rule| granted.contains(&rule.pattern))
    };
    if granted.is_empty() || !named.iter().all(is_granted) {
        return Request::Refused;
    }
    Request::Granted(Requested { named, granted })
}

/// Whether a client that has done no more yet than to connect, or to sign in, could ask for
/// anything, for all that is known so far.
pub fn could_ask(
    rules: &Rules,
    client: &Client,
    facts: &Facts,
    by: AskedBy,
    may_sign_in: bool,
) -> bool {
    let mut entries = rules.domains.on_demand();
    entries.any(|(_, on_demand)| {
        let by_signing_in = may_sign_in && !on_demand.users.is_empty() && on_demand.can(by);
        let standing = on_demand.standing(client, facts, by);
        by_signing_in || matches!(standing, Standing::Granted | Standing::NeedsName)
    })
}
