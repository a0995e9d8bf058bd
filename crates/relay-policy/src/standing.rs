//! Whether a client may relay: one order, whoever asks. The deny list beats everything that
//! permits; then the list of clients, then certificates, then users.

use mail::{Client, Place};

use crate::access::Standing;
use crate::list::Found;
use crate::{CertificateEntry, Facts, Grounds, Question, Reason, Rules, Why};

/// Whether `client` certainly may relay, by what is known so far: it is then a submitter of ours,
/// not a stranger.
pub fn is_permitted(rules: &Rules, client: &Client, facts: &Facts) -> bool {
    matches!(relay_standing(rules, client, facts), Standing::Permitted(_))
}

/// Whether `client` may relay because it is on the list of clients that may (or, where all may but
/// those on a list, because it is not on that), by what is known so far.
pub fn is_listed(rules: &Rules, client: &Client, facts: &Facts) -> bool {
    match relay_standing(rules, client, facts) {
        Standing::Permitted(why) => why.grounds() == Grounds::ListedClient,
        Standing::Barred(_) | Standing::Ask(_) | Standing::CannotTell(_) => false,
    }
}

/// Whether `client` is one whose messages are completed in all that they lack, by what is known so
/// far: a program that knows no header may be on the list of clients, or on this machine.
pub fn is_completed(rules: &Rules, client: &Client, facts: &Facts) -> bool {
    let is_local = client.uid.is_some() && is_permitted(rules, client, facts);
    is_local || is_listed(rules, client, facts)
}

/// The deny list overrides everything; but whoever would not be permitted anyway is barred without
/// asking DNS for it.
pub(crate) fn relay_standing(rules: &Rules, client: &Client, facts: &Facts) -> Standing {
    undenied(rules, client, facts, || permission(rules, client, facts))
}

/// What is `permitted`, unless the deny list says otherwise.
pub(crate) fn undenied(
    rules: &Rules,
    client: &Client,
    facts: &Facts,
    permitted: impl FnOnce() -> Standing,
) -> Standing {
    if client.uid.is_some() {
        // It comes by no network.
        return permitted();
    }
    let denied = rules.relay.deny.find(client.address(), facts);
    if let Found::Entry(entry) = denied {
        return Standing::Barred(Reason::listed("relay.deny", entry));
    }
    match (denied, permitted()) {
        (_, Standing::Barred(why)) => Standing::Barred(why),
        (Found::Entry(_) | Found::Nothing, permitted) => permitted,
        (Found::NeedsName, _) | (_, Standing::Ask(_)) => {
            Standing::Ask(Question::ConfirmedName(client.address()))
        }
        (Found::CannotTell, Standing::Permitted(_) | Standing::CannotTell(_)) => {
            let place = rules.relay.deny.place();
            Standing::CannotTell(Reason::nameless("relay.deny", client, place))
        }
    }
}

/// The lists of clients are about networks: who hands a message in on this machine is on none.
fn local_standing(rules: &Rules, uid: u32) -> Standing {
    match &rules.local {
        Some(local) if local.may_relay => {
            let rule = local.name;
            Standing::Permitted(Reason::new(Why::Local { rule, uid }, &local.place))
        }
        Some(local) => {
            let rule = local.name;
            Standing::Barred(Reason::new(Why::NotLocal { rule }, &local.place))
        }
        // At a listener there is no such client.
        None => Standing::Barred(Reason::new(
            Why::NotLocal {
                rule: "the listener",
            },
            &rules.listener.place,
        )),
    }
}

/// A certificate or a user that permits makes the names on the list of clients needless, so DNS is
/// not asked for them.
fn permission(rules: &Rules, client: &Client, facts: &Facts) -> Standing {
    if let Some(uid) = client.uid {
        return local_standing(rules, uid);
    }
    let listed = rules.relay.access.standing(client, facts);
    if matches!(listed, Standing::Permitted(_)) {
        return listed;
    }
    if let Some(entry) = certificate_entry(rules, client) {
        let why = Why::Certificate(entry.text.clone());
        return Standing::Permitted(Reason::new(why, &entry.place));
    }
    user_standing(rules, client, facts, listed)
}

fn certificate_entry<'a>(rules: &'a Rules, client: &Client) -> Option<&'a CertificateEntry> {
    let certificate = client.tls.as_ref()?.certificate.as_ref()?;
    let mut entries = rules.relay.certificates.iter();
    entries.find(|entry| entry.matches(certificate))
}

/// Users who signed in may relay regardless of the list, where the rules and their own rights say
/// so.
fn user_standing(rules: &Rules, client: &Client, facts: &Facts, listed: Standing) -> Standing {
    let Some(user) = client.user.as_ref().filter(|_| rules.relay.signed_in) else {
        return listed;
    };
    let place = match &facts.rights {
        Some(rights) if rights.place != Place::Default => &rights.place,
        Some(_) | None => &rules.relay.signed_in_place,
    };
    if facts.rights.as_ref().is_some_and(|rights| rights.may_relay) {
        return Standing::Permitted(Reason::new(Why::SignedIn(user.clone()), place));
    }
    match listed {
        Standing::Barred(_) => {
            Standing::Barred(Reason::new(Why::NoRelayRight(user.clone()), place))
        }
        undecided @ (Standing::Permitted(_) | Standing::Ask(_) | Standing::CannotTell(_)) => {
            undecided
        }
    }
}
