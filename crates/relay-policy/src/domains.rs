use std::sync::Arc;

use mail::{Domain, Host, Place};

use crate::{List, NameMap, NamePattern, OnDemand, Recipients};

/// What a configured domain is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DomainKind {
    /// Taken here and handed on to its own mail server.
    #[default]
    Remote,
    /// Taken here and kept here.
    Local,
    /// Taken from nobody.
    Blocked,
}

impl DomainKind {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Remote => "remote",
            Self::Local => "local",
            Self::Blocked => "blocked",
        }
    }
}

/// From whom mail for a domain of ours is taken.
#[derive(Debug, Clone)]
pub enum AcceptFrom {
    /// Mail for the domain is taken from every client, strangers included.
    Anyone,
    /// Only from those who may relay anyway.
    Relay,
    /// Only from these clients, whatever else they may do.
    List(List),
}

/// The rule of one `[domain.NAME]`.
#[derive(Debug, Clone)]
pub struct DomainRule {
    /// The name as configured.
    pub pattern: NamePattern,
    /// The same as text, for reasons.
    pub name: Arc<str>,
    /// What it is to us.
    pub kind: DomainKind,
    /// From whom it is taken; not read for a blocked one.
    pub accept_from: AcceptFrom,
    /// Which recipients exist; not read for a blocked one.
    pub recipients: Recipients,
    /// Who may ask for its mail, where that waits until somebody does.
    pub on_demand: Option<OnDemand>,
    /// The text of the refusal of a blocked domain, when one was given.
    pub message: Option<Arc<str>>,
    /// Where it was configured.
    pub place: Place,
    /// Where `accept_from` was configured.
    pub accept_from_place: Place,
}

impl DomainRule {
    /// A domain that is taken from anyone, to be handed on: what `[domain.NAME]` says when it says
    /// nothing more.
    pub fn remote(pattern: NamePattern, place: Place) -> Self {
        Self {
            name: pattern.to_string().into(),
            pattern,
            kind: DomainKind::Remote,
            accept_from: AcceptFrom::Anyone,
            recipients: Recipients::Any,
            on_demand: None,
            message: None,
            place,
            accept_from_place: Place::Default,
        }
    }
}

/// All configured domains; shared by every listener's rules.
#[derive(Debug, Clone, Default)]
pub struct DomainTable {
    /// Each in a place of its own: a good part of a map's places is empty.
    map: NameMap<Box<DomainRule>>,
    /// Those of which some have mail on demand: few, and looked through by every EHLO.
    on_demand: Vec<(NamePattern, OnDemand)>,
}

impl DomainTable {
    /// Adds a rule, and gives back the one for the same name that it replaces.
    pub fn insert(&mut self, rule: DomainRule) -> Option<DomainRule> {
        self.on_demand
            .retain(|(pattern, _)| *pattern != rule.pattern);
        if let Some(on_demand) = &rule.on_demand {
            let entry = (rule.pattern.clone(), on_demand.clone());
            self.on_demand.push(entry);
        }
        let earlier = self.map.insert(rule.pattern.clone(), Box::new(rule));
        earlier.map(|earlier| *earlier)
    }

    /// Who may ask for mail that waits until somebody does, by the entry of the configuration.
    pub fn on_demand(&self) -> impl Iterator<Item = (&NamePattern, &OnDemand)> {
        self.on_demand.iter().map(|(pattern, who)| (pattern, who))
    }

    /// The rule for a recipient's domain: the most specific one, whatever the order of definition.
    pub fn find(&self, domain: &Domain) -> Option<&DomainRule> {
        self.map.find(domain).map(|rule| &**rule)
    }

    /// The same for whoever is at this host; `None`: elsewhere.
    pub fn at(&self, host: &Host) -> Option<&DomainRule> {
        self.find(host.domain()?)
    }

    /// All rules, in no particular order.
    pub fn rules(&self) -> impl Iterator<Item = &DomainRule> {
        self.map.values().map(|rule| &**rule)
    }
}
