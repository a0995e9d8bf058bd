use mail::{Client, Mailbox, Reply, ReversePath};

use crate::access::Standing;
use crate::decision::name_unknown;
use crate::list::Found;
use crate::recipients::Existence;
use crate::returned::decide_returned;
use crate::screened::{Screened, screened};
use crate::standing::relay_standing;
use crate::{
    AcceptFrom, Admitted, Connect, Decision, DomainKind, DomainRule, Facts, Grounds, List,
    LocalRule, Question, Reason, Rewriting, Rights, Rules, Why,
};

/// Connection control: whether `client` may talk to this listener at all.
pub fn may_connect(rules: &Rules, client: &Client, facts: &Facts) -> Connect {
    match rules.connect.standing(client, facts) {
        Standing::Permitted(why) => Connect::Yes(why),
        Standing::Barred(why) => Connect::Refuse {
            reply: Reply::new(
                554,
                7,
                1,
                format!("{} may not connect here", client.address()),
            ),
            why,
        },
        Standing::CannotTell(why) => Connect::Postpone {
            reply: name_unknown(),
            why,
        },
        Standing::Ask(question) => Connect::Ask(question),
    }
}

/// Decides about one recipient: the relay's one rule, in this order.
///
/// A blocked sender is refused, and one as whom the signed-in user may not send. An address of ours
/// that stands for a sender elsewhere is for bounces alone. A domain of ours (or a blocked one) answers by its own rule, whoever asks; a local part that holds a route to
/// elsewhere counts as relaying. For every other domain, and every address literal: the deny list
/// first, then permitted clients, certificates and users who signed in; everybody else is refused.
/// What is carried to a domain of ours may still be refused because DNS lists name the client, and
/// last because there is no such recipient. A question is asked only when its answer can change the
/// decision.
pub fn decide(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Decision {
    trace(rules, client, reverse_path, recipient, facts).decision
}

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

/// A decision with what led to it, for explanations.
#[derive(Debug)]
pub struct Trace {
    /// What [`decide`] answers.
    pub decision: Decision,
    /// Which of the rules made it.
    pub stage: Stage,
    /// What let the recipient pass before a later stage decided.
    pub passed: Option<(Stage, Reason)>,
}

/// Decides as [`decide`] does, and says which rule it was.
pub fn trace(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Trace {
    let by = |stage, decision| Trace {
        decision,
        stage,
        passed: None,
    };
    if let Some(refusal) = refuse_sender(rules, client, reverse_path, facts) {
        return by(Stage::Sender, refusal);
    }
    let rule = rule_for(rules, recipient);
    let (stage, decision) = match (rewriting_for(rules, recipient), rule) {
        (Some(own), _) => {
            let decision = decide_returned(rules, own, client, reverse_path, recipient, facts);
            (Stage::TurnBack, decision)
        }
        (None, Some(rule)) => decide_ours(rules, rule, client, recipient, facts),
        (None, None) => {
            return by(Stage::Relay, decide_relay(rules, client, recipient, facts));
        }
    };
    match decision {
        Decision::Carry { admitted, why } => {
            let asked = rule.filter(|_| stage != Stage::TurnBack);
            check_further(rules, asked, client, facts, admitted, (stage, why))
        }
        Decision::Refuse { .. } | Decision::Postpone { .. } | Decision::Ask(_) => {
            by(stage, decision)
        }
    }
}

/// How an address is turned back that stands for a sender elsewhere, or looks so, if it is one.
fn rewriting_for<'a>(rules: &'a Rules, recipient: &Mailbox) -> Option<&'a Rewriting> {
    let rewriting = rules.rewriting.as_deref();
    rewriting.filter(|rewriting| rewriting.is_for(recipient))
}

/// The rule for the recipient's domain, if it is one of ours or blocked.
pub fn rule_for<'a>(rules: &'a Rules, recipient: &Mailbox) -> Option<&'a DomainRule> {
    let domain = recipient.host().domain()?;
    rules.domains.find(domain)
}

fn refuse_sender(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    facts: &Facts,
) -> Option<Decision> {
    if let Some(place) = rules.senders.blocked(reverse_path) {
        let text = format!("Mail from {reverse_path} is not accepted here");
        return Some(Decision::refused(
            text,
            Reason::new(Why::BlockedSender, place),
        ));
    }
    if let (Some(uid), Some(local)) = (client.uid, &rules.local) {
        return refuse_local_sender(local, uid, reverse_path);
    }
    let user = client.user.as_ref()?;
    let rights = facts.rights.as_deref();
    let matching = (rules.sender_match, &rules.sender_match_place);
    let place = Rights::forbidden_sender(rights, matching, user, reverse_path)?;
    let text = format!("Sender address {reverse_path} is not allowed for this user");
    let why = Why::SenderNotAllowed(user.clone());
    Some(Decision::refused(text, Reason::new(why, place)))
}

/// The null sender is everybody's, as it is for users.
fn refuse_local_sender(local: &LocalRule, uid: u32, sender: &ReversePath) -> Option<Decision> {
    let named = local.senders.iter().any(|one| one.matches(sender));
    if local.senders.is_empty() || named || *sender == ReversePath::Null {
        return None;
    }
    let text = format!("Sender address {sender} is not allowed for uid {uid}");
    let why = Why::SenderNotLocal { uid };
    Some(Decision::refused(
        text,
        Reason::new(why, &local.senders_place),
    ))
}

/// What a domain's own rule says; where it leaves the answer to the relay rules, what those say.
fn decide_ours(
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

fn decide_relay(rules: &Rules, client: &Client, recipient: &Mailbox, facts: &Facts) -> Decision {
    let standing = relay_standing(rules, client, facts);
    let grounds = match &standing {
        Standing::Permitted(reason) => reason.grounds(),
        Standing::Barred(_) | Standing::Ask(_) | Standing::CannotTell(_) => Grounds::ListedClient,
    };
    Decision::of(standing, recipient, grounds)
}

/// What can still stand against a recipient that `passed`, in a domain of ours or turned back: the
/// latter, whose address says that it exists, has no rule to ask.
fn check_further(
    rules: &Rules,
    rule: Option<&DomainRule>,
    client: &Client,
    facts: &Facts,
    admitted: Admitted,
    passed: (Stage, Reason),
) -> Trace {
    let carry = |admitted, (stage, why)| Trace {
        decision: Decision::Carry { admitted, why },
        stage,
        passed: None,
    };
    // RFC 5321 section 4.5.1: "SMTP systems are expected to make every reasonable effort to accept
    // mail directed to Postmaster from any other system on the Internet."
    if is_postmaster(admitted.recipient()) {
        return carry(admitted, passed);
    }
    let against = check_dns_lists(rules, client, facts)
        .map(|decision| (Stage::DnsLists, decision))
        .or_else(|| {
            let decision = check_recipient(rules, rule?, &admitted, facts)?;
            Some((Stage::Recipient, decision))
        });
    match against {
        Some((stage, decision)) => Trace {
            decision,
            stage,
            passed: Some(passed),
        },
        None => carry(admitted, passed),
    }
}

/// Whether this is the one mailbox that every mail system has.
pub fn is_postmaster(recipient: &Mailbox) -> bool {
    let is = |local: &str| local.eq_ignore_ascii_case("postmaster");
    let local = recipient.local();
    is(local) || local.starts_with('"') && is(&recipient.unquoted_local())
}

/// What the DNS lists have against the client, if anything.
fn check_dns_lists(rules: &Rules, client: &Client, facts: &Facts) -> Option<Decision> {
    match screened(rules, client, facts) {
        Screened::Exempt(_) | Screened::Clear { .. } => None,
        Screened::Barred { reply, why } => Some(Decision::refused(reply, why)),
        Screened::CannotTell(why) => Some(Decision::Postpone {
            reply: name_unknown(),
            why,
        }),
        Screened::Ask(question) => Some(Decision::Ask(question)),
    }
}

/// A refusal or a delay of a recipient who may not exist; a carried one whose reason is that nobody
/// could be asked. Whoever has a forward of its own exists here, and perhaps nowhere else.
fn check_recipient(
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
