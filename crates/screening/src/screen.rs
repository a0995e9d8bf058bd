use std::sync::Arc;

use authentication::Checks;
use contents::{Limits, Wanted};
use mail::Place;

use crate::{Action, When};

/// One rule: `[[screen]]`.
#[derive(Debug, Clone)]
pub struct Screen {
    /// What it is called.
    pub name: Arc<str>,
    /// Where it was written.
    pub place: Place,
    /// Which messages it is about; every condition has to hold.
    pub when: When,
    /// What becomes of them.
    pub then: Box<[Action]>,
    /// It only says what it would have done.
    pub dry_run: bool,
}

/// All rules, in the order in which they are asked.
#[derive(Debug, Clone, Default)]
pub struct Screens {
    rules: Arc<[Screen]>,
    wanted: Wanted,
    checks: Checks,
    limits: Limits,
}

impl Screens {
    /// Takes the rules in order.
    pub fn new(rules: Vec<Screen>) -> Self {
        let (mut wanted, mut checks) = (Wanted::default(), Checks::default());
        for screen in &rules {
            let of_rule = screen.when.checks();
            checks.spf |= of_rule.spf;
            checks.dkim |= of_rule.dkim;
            checks.arc |= of_rule.arc;
            checks.dmarc |= of_rule.dmarc;
            let of_rule = screen.when.wanted();
            wanted.texts |= of_rule.texts;
            wanted.archives |= of_rule.archives;
        }
        Self {
            rules: rules.into(),
            wanted,
            checks,
            limits: Limits::default(),
        }
    }

    /// The rules in order.
    pub fn rules(&self) -> &[Screen] {
        &self.rules
    }

    /// Whether a message may be refused.
    pub fn refuses(&self) -> bool {
        let mut in_force = self.rules.iter().filter(|screen| !screen.dry_run);
        let is_refusal = |action: &Action| matches!(action, Action::Refuse(_));
        in_force.any(|screen| screen.then.iter().any(is_refusal))
    }

    /// Whether a rule asks what clients and senders are worth.
    pub fn asks_reputation(&self) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|screen| screen.when.reputation_below.is_some())
    }

    /// Whether nothing is asked of any message.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// How far a message is looked into.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether one of them asks for DNS lists.
    pub fn asks_dns_lists(&self) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|screen| !screen.when.dns_lists.is_empty())
    }

    /// Which checks of senders have to be made for them.
    pub fn checks(&self) -> Checks {
        self.checks
    }

    /// What has to be found out of a message's content for them.
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }
}
