use crate::decide::rule_for;
use crate::{Admitted, Grounds, Reason, Rules, Why};

/// Who gets what a recipient was admitted for: itself, or those to whom the configuration forwards
/// it, each with the line that names it. Whoever is at a domain of ours keeps the grounds that there
/// were; elsewhere the grounds are that it is forwarded.
pub fn forwarded(rules: &Rules, admitted: Admitted, why: Reason) -> Vec<(Admitted, Reason)> {
    let from = admitted.recipient();
    let targets = rules.forwards.targets(from);
    if targets.is_empty() {
        return vec![(admitted, why)];
    }
    let forwarded = targets.into_iter().map(|(to, forward)| {
        let grounds = match rule_for(rules, &to) {
            Some(_) => admitted.grounds(),
            None => Grounds::Forwarded,
        };
        let why = Why::Forwarded {
            from: from.clone(),
            to: to.clone(),
        };
        (Admitted::new(to, grounds), Reason::new(why, &forward.place))
    });
    forwarded.collect()
}
