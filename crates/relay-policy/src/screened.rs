use mail::{Client, Domain};

use crate::access::Standing;
use crate::list::Found;
use crate::standing::relay_standing;
use crate::{Facts, Question, Reason, Rules, Why};

/// What the DNS lists mean for one client.
#[derive(Debug)]
pub enum Screened {
    /// They have no say about it; why.
    Exempt(&'static str),
    /// They have nothing against it.
    Clear {
        /// What the lists that name it count, added.
        weight: i64,
    },
    /// They name it, and it is not to be taken for that.
    Barred {
        /// The text of the refusal.
        reply: String,
        /// The list that refuses.
        why: Reason,
    },
    /// Whether it is exempt could not be found out.
    CannotTell(Reason),
    /// What has to be found out first.
    Ask(Question),
}

/// What the DNS lists mean for `client`. The lists are asked before names are: most clients are on
/// none, and then no name matters.
pub fn screened(rules: &Rules, client: &Client, facts: &Facts) -> Screened {
    let lists = &*rules.dns_lists;
    if lists.lists.is_empty() {
        return Screened::Exempt("there are none");
    }
    let exemption = exemption(rules, client, facts);
    if let Exemption::Yes(why) = exemption {
        return Screened::Exempt(why);
    }
    let address = client.address();
    let Some(listings) = &facts.listings else {
        return Screened::Ask(Question::Listings(address));
    };
    let Some(unwanted) = lists.unwanted(listings) else {
        let weight = lists.weight(listings);
        return Screened::Clear { weight };
    };
    match exemption {
        Exemption::Yes(why) => Screened::Exempt(why),
        Exemption::NeedsName => Screened::Ask(Question::ConfirmedName(address)),
        Exemption::CannotTell(why) => Screened::CannotTell(why),
        Exemption::No => {
            let why = Why::DnsListed {
                zone: unwanted.list.zone.clone(),
                address,
                weight: unwanted.weight,
                threshold: lists.threshold,
            };
            Screened::Barred {
                reply: unwanted.list.reply_text(address),
                why: Reason::new(why, &unwanted.list.place),
            }
        }
    }
}

/// Whether a client is one about whom no DNS list is asked.
enum Exemption {
    Yes(&'static str),
    No,
    NeedsName,
    CannotTell(Reason),
}

/// The zones of the lists that name `client`, as far as their answers are known; none where they have
/// no say about it.
pub fn listed(rules: &Rules, client: &Client, facts: &Facts) -> Vec<Domain> {
    if let Exemption::Yes(_) = exemption(rules, client, facts) {
        return Vec::new();
    }
    let listings = facts.listings.iter();
    let naming = listings.flat_map(|listings| rules.dns_lists.naming(listings));
    naming.map(|list| list.zone.clone()).collect()
}

fn exemption(rules: &Rules, client: &Client, facts: &Facts) -> Exemption {
    if client.user.is_some() {
        return Exemption::Yes("not asked about users who signed in");
    }
    let except = &rules.dns_lists.except;
    let excepted = except.find(client.address(), facts);
    if let Found::Entry(_) = excepted {
        return Exemption::Yes("not asked about clients in dnsbl_except");
    }
    match (relay_standing(rules, client, facts), excepted) {
        (Standing::Permitted(_), _) => Exemption::Yes("not asked about clients that may relay"),
        (Standing::Ask(_), _) | (_, Found::NeedsName) => Exemption::NeedsName,
        (Standing::CannotTell(why), _) => Exemption::CannotTell(why),
        (Standing::Barred(_), Found::CannotTell) => {
            Exemption::CannotTell(Reason::nameless("dnsbl_except", client, except.place()))
        }
        (Standing::Barred(_), Found::Entry(_) | Found::Nothing) => Exemption::No,
    }
}
