//! Who may relay by one set of rules and not by another: what a change of the configuration gives and
//! takes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use relay_policy::{Clients, List, Mode, RecipientPattern, Rules, SendOnlyTo};

use crate::reach::Reach;

/// So many networks are named of each listener.
const NETWORKS_SHOWN_MAX: usize = 50;

/// So many recipients are named, where somebody may send to those alone.
const RECIPIENTS_SHOWN_MAX: usize = 10;

/// Somebody who may relay by one set of rules alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gain {
    /// Addresses (`192.0.2.0/28`, `10.0.0.1-10.0.0.9`), hosts below a name, a certificate, users who
    /// signed in, this machine.
    pub who: String,
    /// Through which listeners.
    pub listeners: Vec<Arc<str>>,
}

/// Who may send to domains that are not ours by the rules of `these` listeners, and may not by
/// `those`. Who is the more by one set is told by asking twice.
pub fn gains<'a>(
    these: impl IntoIterator<Item = &'a Rules>,
    those: impl IntoIterator<Item = &'a Rules>,
) -> Vec<Gain> {
    let those: Vec<&Rules> = those.into_iter().collect();
    let mut gains: Vec<Gain> = Vec::new();
    for rules in these {
        let name = &rules.listener.name;
        let other = those.iter().find(|other| other.listener.name == *name);
        let who = Permitted::of(rules).without(other.map(|other| Permitted::of(other)));
        for who in who {
            match gains.iter_mut().find(|gain| gain.who == who) {
                Some(gain) => gain.listeners.push(Arc::clone(name)),
                None => gains.push(Gain {
                    who,
                    listeners: vec![Arc::clone(name)],
                }),
            }
        }
    }
    gains
}

/// Who may relay through one listener.
struct Permitted {
    addresses: Reach,
    /// Everybody who is no network: hosts by name, certificates, users.
    others: BTreeSet<String>,
}

impl Permitted {
    fn of(rules: &Rules) -> Self {
        let mut others = BTreeSet::new();
        if let Some(local) = &rules.local {
            others.extend(
                local
                    .may_relay
                    .then(|| "accounts of this machine".to_owned()),
            );
            return Self {
                addresses: Reach::of_list(&List::default()),
                others,
            };
        }
        let relay = &rules.relay;
        if relay.access.mode == Mode::OnlyList {
            others.extend(names(&relay.access.list));
        }
        if rules.listener.tls.offered {
            let certificates = relay.certificates.iter();
            others.extend(certificates.filter_map(|entry| {
                let mut bound = rules.bound_clients.iter();
                let own = bound.find(|bound| bound.certificates.iter().any(|own| own == entry));
                let to = match own {
                    Some(bound) => format!(" to {} alone", elsewhere(&bound.only_to)?),
                    None => String::new(),
                };
                Some(format!("the certificate {}{to}", entry.text))
            }));
        }
        if relay.signed_in && rules.listener.sign_in.offered {
            others.insert("users who signed in".to_owned());
        }
        let mut addresses = Reach::of_access(&relay.access);
        // Who may connect by name may have any address.
        let connect = &rules.connect;
        if connect.mode == Mode::AllExcept || names(&connect.list).next().is_none() {
            addresses = addresses.intersected(&Reach::of_access(connect));
        }
        addresses = addresses.without(&Reach::of_list(&relay.deny));
        // Who is bound to some recipients may not send to all others.
        for bound in rules.bound_clients.iter() {
            let clients = Reach::of_list(&bound.clients);
            if let Some(to) = elsewhere(&bound.only_to) {
                let own = shown(&addresses.intersected(&clients));
                others.extend(own.iter().map(|network| format!("{network} to {to} alone")));
            }
        }
        for bound in rules.bound_clients.iter() {
            addresses = addresses.without(&Reach::of_list(&bound.clients));
        }
        Self { addresses, others }
    }

    fn without(self, other: Option<Self>) -> Vec<String> {
        let (addresses, others) = match &other {
            None => (self.addresses, self.others),
            Some(other) => (
                self.addresses.without(&other.addresses),
                self.others.difference(&other.others).cloned().collect(),
            ),
        };
        let mut who = shown(&addresses);
        who.extend(others);
        who
    }
}

/// Recipients at domains that are not ours, as an administrator wrote them; `None` where there are none.
fn elsewhere(only_to: &SendOnlyTo) -> Option<String> {
    let patterns = only_to.recipients.iter();
    let named: Vec<String> = patterns
        .filter(|pattern| **pattern != RecipientPattern::Hosted)
        .map(ToString::to_string)
        .collect();
    let shown = named.get(..RECIPIENTS_SHOWN_MAX).unwrap_or(&named);
    let more = match named.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty()).then(|| shown.join(", ") + &more)
}

fn names(list: &List) -> impl Iterator<Item = String> {
    let named = list
        .entries()
        .iter()
        .filter(|entry| matches!(entry.clients, Clients::Below(_)));
    named.map(|entry| entry.text.to_string())
}

fn shown(addresses: &Reach) -> Vec<String> {
    let v4 = |n| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(n).unwrap_or(u32::MAX)));
    let v6 = |n| IpAddr::V6(Ipv6Addr::from_bits(n));
    let (of_v4, of_v6) = addresses.intervals();
    let of_v4 = of_v4
        .iter()
        .map(|&(first, last)| network(first, last, 32, v4));
    let of_v6 = of_v6
        .iter()
        .map(|&(first, last)| network(first, last, 128, v6));
    let mut all: Vec<String> = of_v4.chain(of_v6).collect();
    let more = all.len().saturating_sub(NETWORKS_SHOWN_MAX);
    if more > 0 {
        all.truncate(NETWORKS_SHOWN_MAX);
        all.push(format!("{more} more networks"));
    }
    all
}

/// As a block, where it is one.
fn network(first: u128, last: u128, bits: u32, address: impl Fn(u128) -> IpAddr) -> String {
    if first == last {
        return address(first).to_string();
    }
    // One less than the size, as all of IPv6 has a size of one more than the type holds.
    let host = last - first;
    let is_block = (host & host.wrapping_add(1)) == 0 && first & host == 0;
    let mut text = address(first).to_string();
    // Writing to a String cannot fail.
    let _ = match is_block {
        true => write!(text, "/{}", bits - host.count_ones()),
        false => write!(text, "-{}", address(last)),
    };
    text
}

#[cfg(test)]
mod tests {
    use mail::Place;
    use relay_policy::{Access, BoundClients};

    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> Rules {
        let mut rules = Rules::closed("a");
        let list = List::from_texts(allow).unwrap();
        rules.relay.access = Access::only_list(list, "relay.allow", Place::Default);
        rules.relay.deny = List::from_texts(deny).unwrap();
        rules
    }

    fn told(these: &Rules, those: &Rules) -> Vec<String> {
        gains([these], [those])
            .into_iter()
            .map(|gain| gain.who)
            .collect()
    }

    #[test]
    fn networks_are_told_as_they_would_be_written() {
        let before = rules(&["10.0.0.0/24", "*.ours.test"], &[]);
        let after = rules(
            &["10.0.0.0/25", "2001:db8::/64", "192.0.2.1-192.0.2.3"],
            &["192.0.2.3"],
        );
        assert_eq!(
            told(&after, &before),
            ["192.0.2.1-192.0.2.2", "2001:db8::/64"]
        );
        assert_eq!(told(&before, &after), ["10.0.0.128/25", "*.ours.test"]);
        assert_eq!(told(&before, &before), [""; 0]);
    }

    #[test]
    fn who_is_bound_to_some_recipients_may_not_send_to_all() {
        let bound = |recipients: &[&str]| {
            let mut rules = rules(&["10.0.0.0/24", "*.ours.test"], &["10.0.0.7"]);
            let recipients = recipients
                .iter()
                .map(|text| RecipientPattern::parse(text).unwrap());
            rules.bound_clients = Arc::new([BoundClients {
                clients: List::from_texts(&["10.0.0.0/29"]).unwrap(),
                certificates: Vec::new(),
                only_to: SendOnlyTo {
                    recipients: recipients.collect(),
                    place: Place::Default,
                },
            }]);
            rules
        };
        let free = rules(&["10.0.0.0/24", "*.ours.test"], &["10.0.0.7"]);
        assert_eq!(told(&free, &bound(&["hosted"])), ["10.0.0.0-10.0.0.6"]);
        assert_eq!(told(&bound(&["hosted"]), &free), [""; 0]);
        assert_eq!(
            told(&bound(&["hosted", "partner.test"]), &bound(&["hosted"])),
            ["10.0.0.0-10.0.0.6 to partner.test alone"]
        );
    }

    #[test]
    fn everybody_is_everybody() {
        let mut open = rules(&[], &[]);
        open.relay.access = Access::all_except(List::default(), "relay.except", Place::Default);
        assert_eq!(told(&open, &rules(&[], &[])), ["0.0.0.0/0", "::/0"]);
        let elsewhere = gains(
            [
                &open,
                &Rules {
                    listener: Rules::closed("b").listener,
                    ..open.clone()
                },
            ],
            [],
        );
        assert_eq!(elsewhere[0].listeners, ["a".into(), "b".into()]);
    }
}
