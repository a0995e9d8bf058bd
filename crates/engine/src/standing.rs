//! What relay policy and sign-in know of a client, in the terms of [`admission`]: sessions,
//! simulation and `gatepost relay check` all learn here who is held to which limits.

use std::sync::Arc;

use ::sign_in::Account;
use admission::{GuardianRules, Limits, OwnRates, SlotLimits, Standing, Subject};
use mail::Client;
use relay_policy::{Facts, Rules, is_permitted};

/// A client that has just connected: it may relay by its address, or nobody knows yet. No name is
/// looked up for this, as that would take longer than to serve it.
pub fn standing(rules: &Rules, client: &Client, limits: &Arc<Limits>) -> Standing {
    let permitted = is_permitted(rules, client, &Facts::default());
    Standing::new(client.address(), permitted, limits)
}

/// The same client when it has encrypted the connection: one that may relay by its certificate is
/// no stranger, whatever its address.
pub fn standing_encrypted(before: Standing, rules: &Rules, client: &Client) -> Standing {
    if client.tls.is_some() && is_permitted(rules, client, &Facts::default()) {
        Standing::permitted()
    } else {
        before
    }
}

/// The client when it has signed in.
pub fn standing_of_user(account: &Account, limits: &Limits) -> Standing {
    let own = OwnRates {
        messages_per_hour: account.messages_per_hour,
        recipients_per_hour: account.recipients_per_hour,
        place: account.rights.place.clone(),
    };
    Standing::user(&account.name, &own, limits)
}

/// What holds for this client from its connection on, in words, before it has done anything; its
/// `account` when it is to sign in. The counters are those of a running relay, and are not looked
/// at.
pub fn explain_limits(
    rules: &Rules,
    client: &Client,
    account: Option<&Account>,
    slots: &SlotLimits,
    limits: &Arc<Limits>,
    guardian: &GuardianRules,
) -> Vec<String> {
    let connected = Client {
        tls: None,
        user: None,
        ..client.clone()
    };
    let came = standing(rules, &connected, limits);
    let encrypted = Client {
        user: None,
        ..client.clone()
    };
    let later = match account {
        Some(account) => standing_of_user(account, limits),
        None => standing_encrypted(came.clone(), rules, &encrypted),
    };
    let mut all = came.explain(slots, &later);
    if rules.rewriting.is_some() {
        all.extend(later.explain_bounces());
    }
    all.extend(explain_guardian(client, later.is_permitted(), guardian));
    all
}

/// How much mail of this client is too much for the guardian, in words; none where it may not send
/// through us.
pub fn explain_guardian(
    client: &Client,
    is_permitted: bool,
    guardian: &GuardianRules,
) -> Vec<String> {
    let subject = match &client.user {
        Some(user) => Subject::User(Arc::clone(user)),
        None if is_permitted => Subject::of(client),
        None => return Vec::new(),
    };
    let mut all = guardian.explain(&subject);
    all.extend(guardian.explain_of_domains());
    all.extend(guardian.explain_usual());
    all
}

#[cfg(test)]
mod tests {
    use mail::Domain;

    use super::*;

    fn config(text: &str) -> config::Config {
        let environment = config::Environment {
            hostname: Domain::parse("relay.test").ok(),
            addresses: Vec::new(),
        };
        let loaded = config::parse("gatepost.toml", text, &environment);
        loaded.unwrap_or_else(|why| panic!("{why}")).config
    }

    #[test]
    fn who_may_send_through_us_hears_what_is_too_much() {
        let config = config(
            "[relay]\nallow = [\"10.0.0.5\"]\n\
             [guardian]\nover_limit = \"hold\"\nover_usual = \"off\"\n\
             [guardian.per_client]\nmessages = \"9/1h\"\n\
             [listener.in]\nbind = \"0.0.0.0:25\"\n",
        );
        let (listener, limits) = (&config.listeners[0], &config.limits);
        for (peer, expected) in [("10.0.0.5:1", true), ("10.0.0.6:1", false)] {
            let local = listener.rules.listener.binds[0];
            let client = Client::new(peer.parse().unwrap(), local, "in".into());
            let (rules, slots) = (&listener.rules, &listener.slots);
            let (admission, guardian) = (&limits.admission, &limits.guardian);
            let told = explain_limits(rules, &client, None, slots, admission, guardian);
            let line = "over 9 messages to other domains in 1 h of one client: held \
                        (gatepost.toml:7)";
            assert_eq!(told.iter().any(|told| told == line), expected, "{told:?}");
        }
    }

    #[test]
    fn only_those_who_relay_by_their_address_are_permitted_from_the_start() {
        let config = config(
            "[relay]\nallow = [\"10.0.0.5\", \"*.office.test\"]\n\
             [listener.in]\nbind = \"0.0.0.0:25\"\n",
        );
        let rules = &config.listeners[0].rules;
        for (peer, permitted, free) in [
            ("10.0.0.5:1", true, true),
            ("10.0.0.6:1", false, false),
            ("127.0.0.1:1", false, true),
        ] {
            let local = rules.listener.binds[0];
            let client = Client::new(peer.parse().unwrap(), local, "in".into());
            let standing = standing(rules, &client, &config.limits.admission);
            assert_eq!(standing.is_permitted(), permitted, "{peer}");
            assert_eq!(matches!(standing, Standing::Free(_)), free, "{peer}");
        }
    }
}
