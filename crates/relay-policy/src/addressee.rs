use mail::{Domain, Mailbox};

use crate::Rules;
use crate::hosted::{is_postmaster, rule_for};

/// Who is meant by `recipient`: postmaster at one of our own names is who `<postmaster>` is, so
/// that whoever reads a notice of ours, or our greeting, can write to somebody; so it is at the
/// domain of rewritten senders, which is our own as well. A name that is a domain of ours answers
/// for itself.
pub fn addressee<'a>(
    rules: &Rules,
    own_names: &[Domain],
    postmaster: Option<&'a Mailbox>,
    recipient: &'a Mailbox,
) -> &'a Mailbox {
    let domain = recipient.host().domain();
    let of_senders = rules.rewriting.as_ref().map(|rewriting| &rewriting.domain);
    let is_own =
        domain.is_some_and(|domain| own_names.contains(domain) || of_senders == Some(domain));
    match postmaster {
        Some(postmaster)
            if is_own && is_postmaster(recipient) && rule_for(rules, recipient).is_none() =>
        {
            postmaster
        }
        Some(_) | None => recipient,
    }
}
