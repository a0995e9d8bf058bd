use std::net::{IpAddr, Ipv4Addr};

use mail::{Domain, Mailbox, ReversePath, Timestamp};
use reception::Settings;
use relay_policy::{AcceptFrom, DomainKind, DomainRule, NamePattern, Rewritten, Rules};

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
    /// Addresses that stand for whoever is elsewhere, where the relay makes such.
    pub srs: Option<SrsAddresses>,
}

/// Addresses of the relay's that stand for senders (SRS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrsAddresses {
    /// Where they are.
    pub domain: Domain,
    /// One for whoever is elsewhere, made on the day of the probe; `None`: we have no secret.
    pub good: Option<Mailbox>,
    /// One that has expired.
    pub expired: Option<Mailbox>,
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
        let recipient = recipient.or_else(|| foreign("victim"))?;
        Some(Self {
            srs: srs_addresses(rules, &recipient),
            relay: settings.hostname.clone(),
            address: address(rules),
            // Where there is no elsewhere, one sender is as good as another.
            sender: sender.or_else(|| mailbox("sender", ELSEWHERE[0]))?,
            recipient,
            hosted: hosted(rules).map(|domain| Mailbox::postmaster(&domain)),
        })
    }
}

/// The day of the probes.
pub(super) const NOW: Timestamp = Timestamp::from_millis(20_000 * DAY_MILLIS);
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// The rules of the relay make them, and then say whether they count.
fn srs_addresses(rules: &Rules, sender: &Mailbox) -> Option<SrsAddresses> {
    let rewriting = rules.rewriting.as_ref()?;
    let sender = ReversePath::Mailbox(sender.clone());
    let made = |now| match rewriting.rewrite(&sender, true, &rules.domains, now) {
        Rewritten::To(address) => Some(address),
        Rewritten::Not | Rewritten::TooLong => None,
    };
    // Longer ago than any age may be, and not as long as until the days of a stamp begin anew.
    let long_ago = Timestamp::from_millis(NOW.as_millis() - 500 * DAY_MILLIS);
    Some(SrsAddresses {
        domain: rewriting.domain.clone(),
        good: made(NOW),
        expired: made(long_ago),
    })
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
pub(super) fn hosted(rules: &Rules) -> Option<Domain> {
    let ours = rules.domains.rules().filter(|rule| is_for_anyone(rule));
    // The table has no order of its own.
    ours.filter_map(|rule| example(&rule.pattern)).min()
}

/// A domain that the pattern matches.
fn example(pattern: &NamePattern) -> Option<Domain> {
    Domain::parse(&pattern.to_string().replacen('*', "prove", 1)).ok()
}
