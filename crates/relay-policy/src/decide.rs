use std::sync::Arc;

use mail::{Client, Mailbox, Reply, ReversePath};

use crate::access::Standing;
use crate::bonds::refuse_recipient;
use crate::consulted::consulted;
use crate::decision::name_unknown;
use crate::forwarded::check_targets;
use crate::greylist::greylist;
use crate::hosted::{check_recipient, decide_ours, decide_relay, is_postmaster, rule_for};
use crate::returned::turned_back;
use crate::screened::{Screened, screened};
use crate::standing::undenied;
use crate::way_back::decide_came_back;
use crate::{
    Admitted, Connect, Decision, DomainRule, Facts, Greylist, Grounds, LocalRule, Reason,
    Rewriting, Rights, Rules, Stage, Why,
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
/// On the way back from a filter its clients send to anybody, everybody else to nobody. At any other
/// listener, a blocked sender is refused, and one as whom the signed-in user may not send, and then a recipient
/// to whom the client, user or account may not send, whatever permits others to. An address of ours
/// that stands for a sender is for bounces alone, and a sender at a domain of ours is then decided
/// about as if it had been named itself. A domain of ours (or a blocked one) answers by its own
/// rule, whoever asks; a local part that holds a route to elsewhere counts as relaying. For every other domain, and every address literal: the deny list
/// first, then permitted clients, certificates and users who signed in; everybody else is refused.
/// What is carried to a domain of ours may still be refused because DNS lists name the client, and
/// then because there is no such recipient; then greylisting may have a stranger come again. Last, policy
/// services may refuse or postpone what is carried, wherever it goes. A question is asked only when its
/// answer can change the decision.
pub fn decide(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Decision {
    trace(rules, client, reverse_path, recipient, facts).decision
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
    /// The sender for whom the recipient stands, if it is an SRS address of ours: about whom was
    /// decided in its place.
    pub turned_back: Option<(Mailbox, Reason)>,
}

impl Trace {
    fn by(stage: Stage, decision: Decision) -> Self {
        Self {
            decision,
            stage,
            passed: None,
            turned_back: None,
        }
    }

    /// A later stage decides against what passed before.
    fn overruled(self, stage: Stage, decision: Decision) -> Self {
        let passed = self.passed.or(match self.decision {
            Decision::Carry { why, .. } => Some((self.stage, why)),
            Decision::Refuse { .. } | Decision::Postpone { .. } | Decision::Ask(_) => None,
        });
        Self {
            decision,
            stage,
            passed,
            turned_back: self.turned_back,
        }
    }
}

/// Decides as [`decide`] does, and says which rule it was.
pub fn trace(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Trace {
    if let Some(way_back) = &rules.way_back {
        let rewriting = rewriting_for(rules, recipient);
        let of_filter = (rules, &**way_back);
        let decision =
            decide_came_back(of_filter, rewriting, client, reverse_path, recipient, facts);
        return Trace::by(Stage::WayBack, decision);
    }
    let traced = trace_by_rules(rules, client, reverse_path, recipient, facts);
    if !matches!(traced.decision, Decision::Carry { .. }) {
        return traced;
    }
    match consulted(rules, client, reverse_path, recipient, facts) {
        Some(decision) => traced.overruled(Stage::Policy, decision),
        None => traced,
    }
}

/// The same, whatever policy services say.
fn trace_by_rules(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Trace {
    if let Some(refusal) = refuse_sender(rules, client, reverse_path, facts) {
        return Trace::by(Stage::Sender, refusal);
    }
    if let Some(refusal) = refuse_recipient(rules, client, recipient, facts) {
        return Trace::by(Stage::OnlyTo, refusal);
    }
    let Some(own) = rewriting_for(rules, recipient) else {
        return trace_named(rules, client, reverse_path, recipient, facts);
    };
    let (sender, why) = match turned_back(rules, own, reverse_path, recipient, facts) {
        Ok(found) => found,
        Err(decision) => return Trace::by(Stage::TurnBack, *decision),
    };
    let traced = match rule_for(rules, &sender) {
        // An address that anybody could have made is no way around the rules of our own domains.
        Some(_) => trace_named(rules, client, reverse_path, &sender, facts),
        None => trace_returned(rules, client, &sender, facts, why.clone()),
    };
    Trace {
        turned_back: Some((sender, why)),
        ..traced
    }
}

/// About a recipient that is meant as it was named.
fn trace_named(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Trace {
    let Some(rule) = rule_for(rules, recipient) else {
        return Trace::by(Stage::Relay, decide_relay(rules, client, recipient, facts));
    };
    match decide_ours(rules, rule, client, recipient, facts) {
        (stage, Decision::Carry { admitted, why }) => {
            let traced = check_further(rules, Some(rule), client, facts, admitted, (stage, why));
            delayed(rules, client, reverse_path, recipient, facts, traced)
        }
        (stage, decision) => Trace::by(stage, decision),
    }
}

/// About a sender elsewhere, to whom a bounce goes back. The deny list holds, as for everybody who
/// sends elsewhere.
fn trace_returned(
    rules: &Rules,
    client: &Client,
    sender: &Mailbox,
    facts: &Facts,
    why: Reason,
) -> Trace {
    let standing = undenied(rules, client, facts, || Standing::Permitted(why));
    match Decision::of(standing, sender, Grounds::ForwardedSender) {
        Decision::Carry { admitted, why } => {
            let passed = (Stage::TurnBack, why);
            check_further(rules, None, client, facts, admitted, passed)
        }
        decision => Trace::by(Stage::TurnBack, decision),
    }
}

/// How an address is turned back that stands for a sender elsewhere, or looks so, if it is one.
fn rewriting_for<'a>(rules: &'a Rules, recipient: &Mailbox) -> Option<&'a Rewriting> {
    let rewriting = rules.rewriting.as_deref();
    rewriting.filter(|rewriting| rewriting.is_for(recipient))
}

/// Whether this client, who may relay, may write as this sender, by what the rules say of its user
/// or account. Nothing is said against the senders of listed clients.
pub fn may_write_as(
    rules: &Rules,
    client: &Client,
    rights: Option<&Arc<Rights>>,
    sender: &Mailbox,
) -> bool {
    let facts = Facts {
        rights: rights.cloned(),
        ..Facts::default()
    };
    let sender = ReversePath::Mailbox(sender.clone());
    refuse_sender(rules, client, &sender, &facts).is_none()
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

/// What can still stand against a recipient that `passed`, at a domain of ours or turned back: the
/// latter, whose address says that it exists, has no rule to ask.
fn check_further(
    rules: &Rules,
    rule: Option<&DomainRule>,
    client: &Client,
    facts: &Facts,
    admitted: Admitted,
    passed: (Stage, Reason),
) -> Trace {
    let recipient = admitted.recipient();
    // RFC 5321 section 4.5.1: "SMTP systems are expected to make every reasonable effort to accept
    // mail directed to Postmaster from any other system on the Internet."
    let is_checked = !is_postmaster(recipient);
    let checked = is_checked
        .then(|| check_dns_lists(rules, client, facts))
        .flatten()
        .map(|decision| (Stage::DnsLists, decision))
        .or_else(|| {
            let rule = rule.filter(|_| is_checked)?;
            let decision = check_recipient(rules, rule, &admitted, facts)?;
            Some((Stage::Recipient, decision))
        });
    let is_carried = |(_, decision): &(_, Decision)| matches!(decision, Decision::Carry { .. });
    let decided = match checked {
        Some(against) if !is_carried(&against) => Some(against),
        carried => check_targets(rules, client, recipient, facts)
            .map(|decision| (Stage::Recipient, decision))
            .or(carried),
    };
    match decided {
        Some((stage, decision)) => Trace {
            passed: Some(passed),
            ..Trace::by(stage, decision)
        },
        None => {
            let (stage, why) = passed;
            Trace::by(stage, Decision::Carry { admitted, why })
        }
    }
}

/// The same, unless greylisting has a stranger come again. That is asked behind all other rules, so that
/// nothing is remembered of whoever is refused.
fn delayed(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
    traced: Trace,
) -> Trace {
    let Decision::Carry { why, .. } = &traced.decision else {
        return traced;
    };
    let passed = traced.passed.as_ref().map_or(why, |(_, why)| why);
    let decision = match greylist(rules, client, reverse_path, recipient, passed, facts) {
        Greylist::Exempt(_) | Greylist::Passes(_) => return traced,
        Greylist::Waits { reply, why } => Decision::Postpone { reply, why },
        Greylist::Ask(question) => Decision::Ask(question),
    };
    traced.overruled(Stage::Greylist, decision)
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
