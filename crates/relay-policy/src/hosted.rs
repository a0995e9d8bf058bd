//! What the rule of a domain of ours says about a recipient there, and what the relay rules say.

use mail::{Client, Mailbox, Reply};

use crate::access::Standing;
use crate::list::Found;
use crate::recipients::Existence;
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

fn refuse_blocked(rule: &DomainRule, recipient: &Mailbox) -> Decision {
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

/// The signs of a route, and what Unicode folds into one of them: full-width and small forms.
const ROUTE_SIGNS: [char; 9] = [
    '%', '!', '@', '\u{ff05}', '\u{ff01}', '\u{ff20}', '\u{fe6a}', '\u{fe57}', '\u{fe6b}',
];

/// Whether a server behind us might take the local part for a route: `user%elsewhere`,
/// `elsewhere!user`, `"user@elsewhere"`, the encapsulated form that Exchange once unpacked, or any
/// of these in an encoded word (RFC 2047), which has no place in an address and which some decode
/// all the same. It is looked at as such a server would read it, without quotes and backslashes.
fn holds_route(recipient: &Mailbox) -> bool {
    const ENCAPSULATED: &str = "IMCEASMTP-";
    let plain = recipient.unquoted_local();
    let encapsulated = plain
        .trim_start()
        .get(..ENCAPSULATED.len())
        .is_some_and(|p| p.eq_ignore_ascii_case(ENCAPSULATED));
    encapsulated || holds_encoded_word(&plain) || plain.contains(ROUTE_SIGNS)
}

/// RFC 2047 section 2: `=?charset?Q?text?=`, or B; how it ends does not matter to some decoders.
fn holds_encoded_word(text: &str) -> bool {
    let begins = |rest: &str| {
        let mut parts = rest.split('?');
        let (charset, encoding, text) = (parts.next(), parts.next(), parts.next());
        let is = |name: &str| encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case(name));
        charset.is_some_and(|charset| !charset.is_empty()) && (is("Q") || is("B")) && text.is_some()
    };
    text.match_indices("=?")
        .any(|(at, sign)| begins(&text[at + sign.len()..]))
}

/// Whether this is the one mailbox that every mail system has.
pub fn is_postmaster(recipient: &Mailbox) -> bool {
    let is = |local: &str| local.eq_ignore_ascii_case("postmaster");
    let local = recipient.local();
    is(local) || local.starts_with('"') && is(&recipient.unquoted_local())
}
