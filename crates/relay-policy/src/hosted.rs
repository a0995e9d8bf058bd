//! What the rule of a domain of ours says about a recipient there, and what the relay rules say.

use mail::{Client, Mailbox, Reply};

use crate::access::Standing;
use crate::list::Found;
use crate::recipients::Existence;
use crate::routed::holds_route;
use crate::standing::relay_standing;
use crate::{
    AcceptFrom, Admitted, Decision, DomainKind, DomainRule, Facts, Grounds, List, Question, Reason,
    Rules, Why,
};

/// Which of the rules decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The rules for senders.
    Sender,
    /// To whom alone the client may send.
    OnlyTo,
    /// What becomes of addresses of ours that stand for senders elsewhere.
    TurnBack,
    /// The rule of a domain of ours, or of a blocked one.
    Domain,
    /// Who may relay.
    Relay,
    /// The DNS lists.
    DnsLists,
    /// Whether the recipient exists.
    Recipient,
    /// Whether the client has to come again.
    Greylist,
    /// Whether it comes back from a filter.
    WayBack,
    /// What policy services say.
    Policy,
}

/// The rule for the recipient's domain, if it is one of ours or blocked.
pub fn rule_for<'a>(rules: &'a Rules, recipient: &Mailbox) -> Option<&'a DomainRule> {
    rules.domains.at(recipient.host())
}

/// What a domain's own rule says; where it leaves the answer to the relay rules, what those say.
pub(crate) fn decide_ours(
    rules: &Rules,
    rule: &DomainRule,
    client: &Client,
    recipient: &Mailbox,
    facts: &Facts,
) -> (Stage, Decision) {
    let own = match (rule.kind, &rule.accept_from) {
        (DomainKind::Blocked, _) => return (Stage::Domain, refuse_blocked(rule, recipient)),
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::Relay) => {
            let decision = decide_relay(rules, client, recipient, facts);
            return (Stage::Relay, decision);
        }
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::Anyone) => {
            Standing::Permitted(Reason::of_domain(rule))
        }
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::List(list)) => {
            listed_standing(rule, list, client, facts)
        }
    };
    // What the next hop might take for a route to a third party is relaying, not mail for our
    // domain.
    if matches!(own, Standing::Permitted(_)) && holds_route(recipient) {
        let decision = decide_routed(rules, client, recipient, facts);
        return (Stage::Relay, decision);
    }
    (
        Stage::Domain,
        Decision::of(own, recipient, Grounds::OurDomain),
    )
}

fn listed_standing(rule: &DomainRule, list: &List, client: &Client, facts: &Facts) -> Standing {
    let address = client.address();
    match list.find(address, facts) {
        Found::Entry(entry) => Standing::Permitted(Reason::listed("accept_from", entry)),
        Found::Nothing => {
            let why = Reason::unlisted("accept_from", list, address, &rule.place);
            Standing::Barred(why)
        }
        Found::NeedsName => Standing::Ask(Question::ConfirmedName(address)),
        Found::CannotTell => {
            Standing::CannotTell(Reason::nameless("accept_from", client, list.place()))
        }
    }
}

pub(crate) fn refuse_blocked(rule: &DomainRule, recipient: &Mailbox) -> Decision {
    let text = match &rule.message {
        Some(text) => text.to_string(),
        None => format!("Mail for {recipient} is not accepted here"),
    };
    Decision::refused(text, Reason::of_domain(rule))
}

fn decide_routed(rules: &Rules, client: &Client, recipient: &Mailbox, facts: &Facts) -> Decision {
    match decide_relay(rules, client, recipient, facts) {
        Decision::Refuse { reply, why } => Decision::Refuse {
            reply,
            why: Reason::new(Why::RoutedLocalPart, &why.place),
        },
        other @ (Decision::Carry { .. } | Decision::Postpone { .. } | Decision::Ask(_)) => other,
    }
}

pub(crate) fn decide_relay(
    rules: &Rules,
    client: &Client,
    recipient: &Mailbox,
    facts: &Facts,
) -> Decision {
    let standing = relay_standing(rules, client, facts);
    let grounds = match &standing {
        Standing::Permitted(reason) => reason.grounds(),
        Standing::Barred(_) | Standing::Ask(_) | Standing::CannotTell(_) => Grounds::ListedClient,
    };
    Decision::of(standing, recipient, grounds)
}

/// A refusal or a delay of a recipient who may not exist; a carried one whose reason is that nobody
/// could be asked. Whoever has a forward of its own exists here, and perhaps nowhere else.
pub(crate) fn check_recipient(
    rules: &Rules,
    rule: &DomainRule,
    admitted: &Admitted,
    facts: &Facts,
) -> Option<Decision> {
    let recipient = admitted.recipient();
    if rules.forwards.names(recipient) {
        return None;
    }
    match rule.recipients.existence(recipient, facts) {
        Existence::Granted => None,
        Existence::Unknown(place) => Some(Decision::Refuse {
            reply: Reply::new(550, 1, 1, format!("{recipient}: no such recipient here")),
            why: Reason::new(Why::UnknownRecipient, place),
        }),
        Existence::Unasked {
            accept: true,
            place,
        } => Some(Decision::Carry {
            admitted: admitted.clone(),
            why: Reason::new(Why::RecipientUnasked, place),
        }),
        Existence::Unasked {
            accept: false,
            place,
        } => {
            let text = format!("Cannot find out now whether {recipient} exists, try again later");
            Some(Decision::Postpone {
                reply: Reply::new(451, 4, 3, text),
                why: Reason::new(Why::RecipientUnasked, place),
            })
        }
        Existence::Ask(question) => Some(Decision::Ask(question)),
    }
}

/// Whether this is the one mailbox that every mail system has.
pub fn is_postmaster(recipient: &Mailbox) -> bool {
    let is = |local: &str| local.eq_ignore_ascii_case("postmaster");
    let local = recipient.local();
    is(local) || local.starts_with('"') && is(&recipient.unquoted_local())
}
