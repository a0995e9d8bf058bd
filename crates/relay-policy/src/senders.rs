use std::collections::HashMap;
use std::fmt;

use mail::{Host, Mailbox, Place, ReversePath};

use crate::{NameMap, NamePattern};

/// One entry of `[senders] blocked`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SenderPattern {
    /// The null sender `<>`, which notices have.
    Null,
    /// One address; compared without regard to case, as nobody tells two senders apart by it.
    Mailbox(Mailbox),
    /// `example.com`, `*.example.com` or `*`: everybody there.
    Domain(NamePattern),
}

impl SenderPattern {
    /// Reads `<>`, `user@example.com`, `example.com` or `*.example.com`; what is wrong with it
    /// otherwise.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "<>" {
            return Ok(Self::Null);
        }
        if text.contains('@') {
            return Mailbox::parse(text)
                .map(Self::Mailbox)
                .map_err(|why| why.to_string());
        }
        NamePattern::parse(text)
            .map(Self::Domain)
            .map_err(|why| why.to_string())
    }

    /// Whether this sender is meant.
    pub fn matches(&self, sender: &ReversePath) -> bool {
        match sender {
            ReversePath::Null => *self == Self::Null,
            ReversePath::Mailbox(mailbox) => self.names(mailbox),
        }
    }

    /// Whether this mailbox is meant, whatever its part.
    pub fn names(&self, mailbox: &Mailbox) -> bool {
        match self {
            Self::Null => false,
            Self::Mailbox(one) => is_same(one, mailbox),
            Self::Domain(pattern) => {
                let domain = mailbox.host().domain();
                domain.is_some_and(|domain| pattern.matches(domain))
            }
        }
    }
}

/// As it is written in the configuration.
impl fmt::Display for SenderPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
            Self::Domain(pattern) => pattern.fmt(f),
        }
    }
}

/// Senders from whom nothing is taken, whoever connects.
#[derive(Debug, Clone, Default)]
pub struct SenderRules {
    null: Option<Place>,
    mailboxes: HashMap<(String, Host), Place>,
    domains: NameMap<Place>,
}

impl SenderRules {
    /// Blocks one more.
    pub fn block(&mut self, sender: SenderPattern, place: Place) {
        match sender {
            SenderPattern::Null => self.null = Some(place),
            SenderPattern::Mailbox(mailbox) => {
                self.mailboxes.insert(key(&mailbox), place);
            }
            SenderPattern::Domain(pattern) => {
                self.domains.insert(pattern, place);
            }
        }
    }

    /// Whether nobody is blocked.
    pub fn is_empty(&self) -> bool {
        self.null.is_none() && self.mailboxes.is_empty() && self.domains.is_empty()
    }

    /// The line that blocks this sender, if one does.
    pub fn blocked(&self, sender: &ReversePath) -> Option<&Place> {
        match sender {
            ReversePath::Null => self.null.as_ref(),
            ReversePath::Mailbox(mailbox) => self.blocked_mailbox(mailbox),
        }
    }

    fn blocked_mailbox(&self, mailbox: &Mailbox) -> Option<&Place> {
        let by_domain = mailbox
            .host()
            .domain()
            .and_then(|domain| self.domains.find(domain));
        if by_domain.is_some() || self.mailboxes.is_empty() {
            return by_domain;
        }
        self.mailboxes.get(&key(mailbox))
    }
}

/// Whether two addresses name the same mailbox as far as anybody can tell: case and quotes make no
/// difference.
pub(crate) fn is_same(one: &Mailbox, other: &Mailbox) -> bool {
    one.host() == other.host() && key(one) == key(other)
}

/// What is the same for all spellings of an address.
pub(crate) fn key(mailbox: &Mailbox) -> (String, Host) {
    (
        mail::lower_case(&mailbox.unquoted_local()),
        mailbox.host().clone(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_blocked_by_address_by_domain_and_when_null() {
        let mut rules = SenderRules::default();
        for text in [
            "<>",
            "Spam@a.example",
            "b.example",
            "*.c.example",
            "x@[192.0.2.1]",
        ] {
            rules.block(SenderPattern::parse(text).unwrap(), Place::Default);
        }
        let cases = [
            ("", true),
            ("spam@A.example", true),
            ("\"spam\"@a.example", true),
            ("ham@a.example", false),
            ("x@b.example", true),
            ("x@sub.b.example", false),
            ("x@y.c.example", true),
            ("x@c.example", false),
            ("x@[192.0.2.1]", true),
        ];
        for (text, blocked) in cases {
            let path = ReversePath::parse(text).unwrap();
            assert_eq!(rules.blocked(&path).is_some(), blocked, "{text}");
        }
    }
}
