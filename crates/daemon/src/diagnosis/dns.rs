//! What an administrator looks at in DNS before mail flows.

mod domain;
mod finding;
mod ours;

use std::net::IpAddr;

use lookups::Inquiries;
use mail::Domain;
use relay_policy::{DomainKind, NamePattern};

pub use self::finding::{Finding, Mark};
pub(super) use self::ours::Ours;
use crate::machine;

/// How DNS shows this relay to others, and leads mail to its domains. `told` are addresses from which
/// mail goes out, as somebody says.
pub async fn look(inquiries: &Inquiries, told: &[IpAddr]) -> Vec<Finding> {
    let config = inquiries.config();
    let ours = Ours::new(config, &machine::environment().addresses, told);
    let mut findings = ours.look(inquiries).await;
    for rule in config.rules.domains.rules() {
        match (&rule.pattern, rule.kind) {
            (NamePattern::Exact(name), DomainKind::Remote | DomainKind::Local) => {
                findings.extend(domain::look(inquiries, &ours, name).await);
            }
            (NamePattern::Exact(_), DomainKind::Blocked)
            | (NamePattern::Below(_) | NamePattern::Any, _) => {}
        }
    }
    findings
}

/// How DNS leads mail to one domain, whether it is ours or not. `told` as in [`look`].
pub async fn look_at(inquiries: &Inquiries, domain: &Domain, told: &[IpAddr]) -> Vec<Finding> {
    let ours = Ours::new(inquiries.config(), &machine::environment().addresses, told);
    domain::look(inquiries, &ours, domain).await
}
