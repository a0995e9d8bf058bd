use std::sync::Arc;

use mail::{Client, Mailbox};

use crate::hosted::rule_for;
use crate::routed::holds_route;
use crate::send_only_to::Named;
use crate::{Bound, Decision, Facts, Reason, Rules, SendOnlyTo, Why};

/// Whether something says to whom alone `client` may send, whatever that is.
pub fn is_bound(rules: &Rules, client: &Client, facts: &Facts) -> bool {
    bonds(rules, client, facts).next().is_some()
}

/// All that binds the client. Each of them has to hold a recipient.
fn bonds<'a>(
    rules: &'a Rules,
    client: &'a Client,
    facts: &'a Facts,
) -> impl Iterator<Item = (Bound, &'a SendOnlyTo)> {
    let account = client.uid.into_iter().flat_map(|uid| {
        let local = rules.local.as_ref();
        let only_to = local.and_then(|local| local.only_to.as_ref());
        only_to.map(|only_to| (Bound::Account(uid), only_to))
    });
    // Who hands a message in on this machine is on no network.
    let by_network = rules.bound_clients.iter().filter(|_| client.uid.is_none());
    let clients = by_network
        .filter(|bound| bound.clients.holds(client.address()))
        .map(|bound| (Bound::Client(client.address()), &bound.only_to));
    let certificate = client.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
    let holders = rules.bound_clients.iter().filter_map(move |bound| {
        let mut entries = bound.certificates.iter();
        let entry = entries.find(|entry| certificate.is_some_and(|shown| entry.names(shown)))?;
        Some((Bound::Holder(Arc::clone(&entry.text)), &bound.only_to))
    });
    let user = client.user.iter().flat_map(|user| {
        let rights = facts.rights.iter();
        let bonds = rights.flat_map(|rights| rights.only_to.iter());
        bonds.map(|only_to| (Bound::User(user.clone()), only_to))
    });
    account.chain(clients).chain(holders).chain(user)
}

/// A refusal of a recipient to whom the client may not send, whoever else may. What the client named
/// counts, not to whom the mail goes on.
pub(crate) fn refuse_recipient(
    rules: &Rules,
    client: &Client,
    recipient: &Mailbox,
    facts: &Facts,
) -> Option<Decision> {
    let named = Named {
        recipient,
        is_hosted: rule_for(rules, recipient).is_some(),
        leads_elsewhere: holds_route(recipient) || stands_for_sender(rules, recipient),
    };
    let (bound, only_to) =
        bonds(rules, client, facts).find(|(_, only_to)| !only_to.holds(&named))?;
    let text = format!("{bound} may send only to {}", only_to.kinds());
    let why = Reason::new(Why::NotAmongRecipients(bound), &only_to.place);
    Some(Decision::refused(text, why))
}

/// Whether it is one of the addresses that we give to senders elsewhere.
fn stands_for_sender(rules: &Rules, recipient: &Mailbox) -> bool {
    let rewriting = rules.rewriting.as_ref();
    rewriting.is_some_and(|rewriting| rewriting.is_for(recipient))
}
