use mail::{Client, Mailbox, Reply, ReversePath};

use crate::access::Standing;
use crate::list::Found;
use crate::{
    AcceptFrom, Admitted, DomainKind, DomainRule, Facts, Grounds, Question, Reason, Rules, Why,
};

/// What becomes of one recipient at RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may go into the envelope.
    Carry {
        /// The recipient with its grounds; nothing else can be put into an envelope.
        admitted: Admitted,
        /// What decided.
        why: Reason,
    },
    /// Not here, for good.
    Refuse {
        /// 550 5.7.1
        reply: Reply,
        /// What decided.
        why: Reason,
    },
    /// A fact could not be found out: neither yes nor no.
    Postpone {
        /// 451 4.7.0
        reply: Reply,
        /// What decided.
        why: Reason,
    },
    /// Find this out, put the answer into the facts, and decide again.
    Ask(Question),
}

/// Whether a client may connect at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connect {
    /// Greet it.
    Yes(Reason),
    /// Answer this in place of the greeting, and close.
    Refuse {
        /// 554 5.7.1
        reply: Reply,
        /// What decided.
        why: Reason,
    },
    /// Answer this in place of the greeting, and close.
    Postpone {
        /// 451 4.7.0
        reply: Reply,
        /// What decided.
        why: Reason,
    },
    /// Find this out, and ask again.
    Ask(Question),
}

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
/// A blocked sender is refused. A domain of ours (or a blocked one) answers by its own rule, whoever asks; a local part that holds a
/// route to elsewhere counts as relaying. For every other domain, and every address literal: the deny list first, then permitted
/// clients, then users who signed in; everybody else is refused. A question is asked only when its answer can change the decision.
pub fn decide(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Decision {
    if let Some(place) = rules.senders.blocked(reverse_path) {
        let text = format!("Mail from {reverse_path} is not accepted here");
        let why = Reason {
            why: Why::BlockedSender,
            place: place.clone(),
        };
        return Decision::Refuse {
            reply: Reply::new(550, 7, 1, text),
            why,
        };
    }
    match recipient
        .host()
        .domain()
        .and_then(|domain| rules.domains.find(domain))
    {
        Some(rule) => decide_ours(rules, rule, client, recipient, facts),
        None => decide_relay(rules, client, recipient, facts),
    }
}

/// Whether `client` certainly may relay, by what is known so far: it is then a submitter of ours, not a stranger.
pub fn is_permitted(rules: &Rules, client: &Client, facts: &Facts) -> bool {
    matches!(relay_standing(rules, client, facts), Standing::Permitted(_))
}

fn decide_ours(
    rules: &Rules,
    rule: &DomainRule,
    client: &Client,
    recipient: &Mailbox,
    facts: &Facts,
) -> Decision {
    let own = match (rule.kind, &rule.accept_from) {
        (DomainKind::Blocked, _) => return refuse_blocked(rule, recipient),
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::Relay) => {
            return decide_relay(rules, client, recipient, facts);
        }
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::Anyone) => {
            Standing::Permitted(domain_reason(rule))
        }
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::List(list)) => {
            match list.find(client.address(), facts) {
                Found::Entry(entry) => Standing::Permitted(Reason::listed("accept_from", entry)),
                Found::Nothing => {
                    let address = client.address();
                    Standing::Barred(Reason::unlisted("accept_from", list, address, &rule.place))
                }
                Found::NeedsName => Standing::Ask(Question::ConfirmedName(client.address())),
                Found::CannotTell => Standing::CannotTell(Reason {
                    why: Why::NameUnknown {
                        list: "accept_from",
                        address: client.address(),
                    },
                    place: list.place().clone(),
                }),
            }
        }
    };
    // What the next hop might take for a route to a third party is relaying, not mail for our domain.
    if matches!(own, Standing::Permitted(_)) && holds_route(recipient) {
        return decide_routed(rules, client, recipient, facts);
    }
    conclude(own, recipient, Grounds::OurDomain)
}

fn domain_reason(rule: &DomainRule) -> Reason {
    let why = Why::Domain {
        name: rule.name.clone(),
        kind: rule.kind,
    };
    Reason {
        why,
        place: rule.place.clone(),
    }
}

fn refuse_blocked(rule: &DomainRule, recipient: &Mailbox) -> Decision {
    let text = match &rule.message {
        Some(text) => text.to_string(),
        None => format!("Mail for {recipient} is not accepted here"),
    };
    Decision::Refuse {
        reply: Reply::new(550, 7, 1, text),
        why: domain_reason(rule),
    }
}

fn decide_routed(rules: &Rules, client: &Client, recipient: &Mailbox, facts: &Facts) -> Decision {
    match decide_relay(rules, client, recipient, facts) {
        Decision::Refuse { reply, why } => Decision::Refuse {
            reply,
            why: Reason {
                why: Why::RoutedLocalPart,
                place: why.place,
            },
        },
        other @ (Decision::Carry { .. } | Decision::Postpone { .. } | Decision::Ask(_)) => other,
    }
}

fn decide_relay(rules: &Rules, client: &Client, recipient: &Mailbox, facts: &Facts) -> Decision {
    let standing = relay_standing(rules, client, facts);
    let signed_in = matches!(
        &standing,
        Standing::Permitted(Reason {
            why: Why::SignedIn(_),
            ..
        })
    );
    let grounds = if signed_in {
        Grounds::SignedInUser
    } else {
        Grounds::ListedClient
    };
    conclude(standing, recipient, grounds)
}

fn conclude(standing: Standing, recipient: &Mailbox, grounds: Grounds) -> Decision {
    match standing {
        Standing::Permitted(why) => Decision::Carry {
            admitted: Admitted::new(recipient.clone(), grounds),
            why,
        },
        Standing::Barred(why) => Decision::Refuse {
            reply: Reply::new(550, 7, 1, format!("Unable to relay for {recipient}")),
            why,
        },
        Standing::CannotTell(why) => Decision::Postpone {
            reply: name_unknown(),
            why,
        },
        Standing::Ask(question) => Decision::Ask(question),
    }
}

fn name_unknown() -> Reply {
    Reply::new(
        451,
        7,
        0,
        "The name of your host cannot be looked up now, try again later",
    )
}

/// The deny list overrides everything; but whoever would not be permitted anyway is barred without asking DNS for it.
fn relay_standing(rules: &Rules, client: &Client, facts: &Facts) -> Standing {
    let denied = rules.relay.deny.find(client.address(), facts);
    if let Found::Entry(entry) = denied {
        return Standing::Barred(Reason::listed("relay.deny", entry));
    }
    let permitted = list_or_user(rules, client, facts);
    match (denied, permitted) {
        (_, Standing::Barred(why)) => Standing::Barred(why),
        (Found::Entry(_) | Found::Nothing, permitted) => permitted,
        (Found::NeedsName, _) | (_, Standing::Ask(_)) => {
            Standing::Ask(Question::ConfirmedName(client.address()))
        }
        (Found::CannotTell, Standing::Permitted(_) | Standing::CannotTell(_)) => {
            let why = Why::NameUnknown {
                list: "relay.deny",
                address: client.address(),
            };
            Standing::CannotTell(Reason {
                why,
                place: rules.relay.deny.place().clone(),
            })
        }
    }
}

/// Users who signed in may relay regardless of the list, so the list is not even asked about names for them.
fn list_or_user(rules: &Rules, client: &Client, facts: &Facts) -> Standing {
    let listed = rules.relay.access.standing(client, facts);
    match (listed, &client.user) {
        (Standing::Permitted(why), _) => Standing::Permitted(why),
        (_, Some(user)) if rules.relay.signed_in => Standing::Permitted(Reason {
            why: Why::SignedIn(user.clone()),
            place: rules.relay.signed_in_place.clone(),
        }),
        (listed, _) => listed,
    }
}

/// Whether a server behind us might take the local part for a route: `user%elsewhere`, `elsewhere!user`, `"user@elsewhere"`, or
/// the encapsulated form that Exchange once unpacked.
fn holds_route(recipient: &Mailbox) -> bool {
    const ENCAPSULATED: &str = "IMCEASMTP-";
    let local = recipient.local();
    let plain = local.strip_prefix('"').unwrap_or(local);
    let encapsulated = plain
        .get(..ENCAPSULATED.len())
        .is_some_and(|p| p.eq_ignore_ascii_case(ENCAPSULATED));
    encapsulated || local.contains(['%', '!', '@'])
}
