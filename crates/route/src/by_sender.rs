use std::collections::HashMap;
use std::sync::Arc;

use mail::{Host, Mailbox};

use crate::by_domain::ByDomain;
use crate::target::Target;
use crate::{DomainPattern, Site};

/// Whose mail has a route of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SenderPattern {
    /// One address; compared without regard to case and quotes, as nobody tells two senders apart
    /// by them.
    Mailbox(Mailbox),
    /// Everybody there.
    Domain(DomainPattern),
}

impl SenderPattern {
    /// Whether both are about the same senders.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mailbox(one), Self::Mailbox(other)) => key(one) == key(other),
            (Self::Domain(one), Self::Domain(other)) => one == other,
            (Self::Mailbox(_), Self::Domain(_)) | (Self::Domain(_), Self::Mailbox(_)) => false,
        }
    }
}

/// The routes by sender.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BySender {
    mailboxes: HashMap<(String, Host), Target>,
    domains: ByDomain,
    /// The sites among them, by name.
    sites: HashMap<Arc<str>, Site>,
    /// The way by MX, where that is one; whoever has it goes by the same.
    mx: Option<Target>,
}

impl BySender {
    pub(crate) fn insert(&mut self, pattern: &SenderPattern, target: Target) {
        match &target {
            Target::Site(site) => {
                self.sites.insert(Arc::clone(&site.name), site.clone());
            }
            Target::Mx(..) => self.mx = Some(target.clone()),
            Target::Directory(..) => {}
        }
        match pattern {
            SenderPattern::Mailbox(mailbox) => {
                self.mailboxes.insert(key(mailbox), target);
            }
            SenderPattern::Domain(pattern) => self.domains.insert(pattern, target),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mailboxes.is_empty() && self.domains.is_empty()
    }

    /// The most specific entry: the address, then its domain as [`ByDomain::find`] has it.
    pub(crate) fn find(&self, sender: &Mailbox) -> Option<&Target> {
        let exact = (!self.mailboxes.is_empty()).then(|| self.mailboxes.get(&key(sender)));
        exact.flatten().or_else(|| match sender.host().domain() {
            Some(domain) => self.domains.find(domain),
            None => self.domains.any(),
        })
    }

    /// The site of this name to which mail for `host` may go for its sender's sake.
    pub(crate) fn site_named(&self, name: &str, host: &Host) -> Option<Site> {
        let site = self.sites.get(name).cloned();
        let site = site.or_else(|| self.by_mx(host));
        site.filter(|site| *site.name == *name)
    }

    /// The site of the MX hosts of `host`, where any sender's mail goes by those.
    pub(crate) fn by_mx(&self, host: &Host) -> Option<Site> {
        self.mx.as_ref().map(|mx| mx.site_of(host))
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.mailboxes.values().chain(self.domains.targets())
    }
}

/// What is the same for all spellings of an address.
fn key(mailbox: &Mailbox) -> (String, Host) {
    (
        mail::lower_case(&mailbox.unquoted_local()),
        mailbox.host().clone(),
    )
}
