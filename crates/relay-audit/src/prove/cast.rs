use std::net::{IpAddr, Ipv4Addr};

use mail::{Domain, Mailbox};
use reception::Settings;
use relay_policy::{AcceptFrom, DomainKind, DomainRule, NamePattern, Rules};

use super::Parts;

/// Who is who in the battery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// The name of the relay that is tested.
    pub relay: Domain,
    /// The IP address by which probes name the relay.
    pub address: IpAddr,
    /// The sender that a probe names unless it tries another kind of sender.
    pub sender: Mailbox,
    /// Who is elsewhere.
    pub recipient: Mailbox,
    /// Somebody at a domain of the relay's, who is accepted from anyone.
    pub hosted: Option<Mailbox>,
}

impl Cast {
    /// As the rules suggest where `parts` say nothing; `victim` is the recipient of choice. `None`
    /// when there is no elsewhere.
    pub(super) fn of_settings(
        settings: &Settings,
        parts: &Parts,
        victim: Option<Mailbox>,
    ) -> Option<Self> {
        let rules = &settings.rules;
        let foreign = |local: &str| foreign(rules, local);
        let recipient = parts.recipient.clone().or(victim);
        let sender = parts.sender.clone().or_else(|| foreign("sender"));
        Some(Self {
            relay: settings.hostname.clone(),
            address: address(rules),
            // Where there is no elsewhere, one sender is as good as another.
            sender: sender.or_else(|| mailbox("sender", ELSEWHERE[0]))?,
            recipient: recipient.or_else(|| foreign("victim"))?,
            hosted: hosted(rules).map(|domain| Mailbox::postmaster(&domain)),
        })
    }
}

/// Domains of nobody (RFC 2606).
const ELSEWHERE: [&str; 3] = ["elsewhere.example", "elsewhere.invalid", "elsewhere.test"];

/// What the listener calls itself by number.
fn address(rules: &Rules) -> IpAddr {
    let bound = rules.listener.binds.first().map(|bind| bind.ip());
    bound
        .filter(|address| !address.is_unspecified())
        .unwrap_or(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 25)))
}

/// Somebody at a domain that is not taken from anyone; `None` when every domain is.
fn foreign(rules: &Rules, local: &str) -> Option<Mailbox> {
    let mut mailboxes = ELSEWHERE.iter().filter_map(|domain| mailbox(local, domain));
    mailboxes.find(|mailbox| {
        let domain = mailbox.host().domain();
        let rule = domain.and_then(|domain| rules.domains.find(domain));
        !rule.is_some_and(is_for_anyone)
    })
}

fn mailbox(local: &str, domain: &str) -> Option<Mailbox> {
    Mailbox::parse(&format!("{local}@{domain}")).ok()
}

fn is_for_anyone(rule: &DomainRule) -> bool {
    rule.kind != DomainKind::Blocked && matches!(rule.accept_from, AcceptFrom::Anyone)
}

/// A domain of ours that takes mail from anyone.
fn hosted(rules: &Rules) -> Option<Domain> {
    let ours = rules.domains.rules().filter(|rule| is_for_anyone(rule));
    // The table has no order of its own.
    ours.filter_map(|rule| example(&rule.pattern)).min()
}

/// A domain that the pattern matches.
fn example(pattern: &NamePattern) -> Option<Domain> {
    Domain::parse(&pattern.to_string().replacen('*', "prove", 1)).ok()
}
