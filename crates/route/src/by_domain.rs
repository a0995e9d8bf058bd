use std::collections::HashMap;

use mail::Domain;

use crate::DomainPattern;
use crate::target::Target;

/// What the configuration says about domains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ByDomain {
    exact: HashMap<Domain, Target>,
    /// By the name behind `*.`; the empty name stands for `*`.
    below: HashMap<Box<str>, Target>,
}

impl ByDomain {
    pub(crate) fn insert(&mut self, pattern: &DomainPattern, target: Target) {
        match pattern {
            DomainPattern::Exact(domain) => self.exact.insert(domain.clone(), target),
            DomainPattern::Below(domain) => self.below.insert(domain.as_str().into(), target),
            DomainPattern::Any => self.below.insert("".into(), target),
        };
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }

    /// Whether an entry is of this very name.
    pub(crate) fn names(&self, domain: &Domain) -> bool {
        self.exact.contains_key(domain)
    }

    /// The most specific entry: the name itself, then the longest `*.` name, then `*`.
    pub(crate) fn find(&self, domain: &Domain) -> Option<&Target> {
        if let Some(target) = self.exact.get(domain) {
            return Some(target);
        }
        if self.below.is_empty() {
            return None;
        }
        let mut rest = domain.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(target) = self.below.get(parent) {
                return Some(target);
            }
            rest = parent;
        }
        self.any()
    }

    /// The entry for all that nothing else is about.
    pub(crate) fn any(&self) -> Option<&Target> {
        self.below.get("")
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.exact.values().chain(self.below.values())
    }

    /// Those that are about one name each.
    pub(crate) fn has_exact(&self) -> bool {
        !self.exact.is_empty()
    }
}
