use mail::{Client, Mailbox, Place};

use crate::hosted::{check_recipient, decide_ours, is_postmaster, refuse_blocked, rule_for};
use crate::{Admitted, Decision, DomainKind, Facts, Forward, Grounds, Reason, Rules, Why};

/// Who gets what a recipient was admitted for by [`decide`](crate::decide), from the same facts:
/// itself, or those to whom the configuration forwards it, each with the line that names it. Whoever
/// is at a domain of ours keeps the grounds that there were; elsewhere the grounds are that it is
/// forwarded.
pub fn forwarded(
    rules: &Rules,
    client: &Client,
    facts: &Facts,
    admitted: Admitted,
    why: Reason,
) -> Vec<(Admitted, Reason)> {
    let from = admitted.recipient();
    let Some(targets) = Onward::from(rules, client, from, facts).targets else {
        return vec![(admitted, why)];
    };
    let forwarded = targets.into_iter().map(|(to, forward)| {
        let grounds = match rule_for(rules, &to) {
            Some(_) => admitted.grounds(),
            None => Grounds::Forwarded,
        };
        let why = Why::Forwarded {
            from: from.clone(),
            to: to.clone(),
        };
        let admitted = admitted.forwarded(to, grounds);
        (admitted, Reason::new(why, &forward.place))
    });
    forwarded.collect()
}

/// Somebody who gets what a recipient was admitted for, in its place or as a copy, by a rule of
/// screening at `place` that names nobody but `to`. At a domain of ours it keeps the grounds that
/// there were; elsewhere the grounds are that it is forwarded.
pub fn redirected(
    rules: &Rules,
    admitted: &Admitted,
    to: &Mailbox,
    is_copy: bool,
    place: &Place,
) -> (Admitted, Reason) {
    let grounds = match rule_for(rules, to) {
        Some(_) => admitted.grounds(),
        None => Grounds::Forwarded,
    };
    let why = Why::ByRule {
        from: admitted.recipient().clone(),
        to: to.clone(),
    };
    let admitted = admitted.redirected(to.clone(), grounds, is_copy);
    (admitted, Reason::new(why, place))
}

/// What a domain of ours has against somebody there to whom a rule sends messages ([`redirected`]):
/// it is blocked, or has no such recipient; or what has to be known first. Where nobody could be
/// asked there is nothing against it: who takes the mail there will say.
pub fn check_redirected(rules: &Rules, to: &Mailbox, facts: &Facts) -> Option<Decision> {
    let rule = rule_for(rules, to)?;
    if rule.kind == DomainKind::Blocked {
        return Some(refuse_blocked(rule, to));
    }
    if is_postmaster(to) {
        return None;
    }
    let admitted = Admitted::new(to.clone(), Grounds::OurDomain);
    let against = check_recipient(rules, rule, &admitted, facts);
    against.filter(|one| matches!(one, Decision::Refuse { .. } | Decision::Ask(_)))
}

/// What stands against all to whom the mail of a recipient goes on, or is not known of one of them.
pub(crate) fn check_targets(
    rules: &Rules,
    client: &Client,
    recipient: &Mailbox,
    facts: &Facts,
) -> Option<Decision> {
    let Onward { targets, against } = Onward::from(rules, client, recipient, facts);
    let nobody = targets.is_some_and(|targets| targets.is_empty());
    let order = |decision: &Decision| match decision {
        Decision::Ask(_) => Some(0),
        Decision::Postpone { .. } => Some(1),
        Decision::Refuse { .. } => nobody.then_some(2),
        Decision::Carry { .. } => None,
    };
    let against = against.into_iter().filter(|one| order(one).is_some());
    against.min_by_key(order)
}

/// To whom the mail of a recipient goes on, and what stands against others.
struct Onward<'a> {
    targets: Option<Vec<(Mailbox, &'a Forward)>>,
    against: Vec<Decision>,
}

impl<'a> Onward<'a> {
    fn from(rules: &'a Rules, client: &Client, recipient: &Mailbox, facts: &Facts) -> Self {
        let mut against = Vec::new();
        let targets = rules.forwards.targets(recipient, |to| {
            let refused = check_target(rules, client, to, facts);
            let is_free = refused.is_none();
            against.extend(refused.map(|decision| decision.onward(recipient, to)));
            is_free
        });
        Self { targets, against }
    }
}

/// What a domain of ours has against a recipient there whom the client chose, by naming the same one
/// at a domain that is forwarded to it: as if it had been named itself.
fn check_target(rules: &Rules, client: &Client, to: &Mailbox, facts: &Facts) -> Option<Decision> {
    let rule = rule_for(rules, to)?;
    let against = match decide_ours(rules, rule, client, to, facts).1 {
        Decision::Carry { .. } if is_postmaster(to) => None,
        Decision::Carry { admitted, .. } => check_recipient(rules, rule, &admitted, facts),
        against => Some(against),
    };
    against.filter(|decision| !matches!(decision, Decision::Carry { .. }))
}
