use mail::{Mailbox, Reply, ReversePath};
use srs::Fault;

use crate::hosted::rule_for;
use crate::{Decision, Facts, Reason, Rewriting, Rules, Why};

/// The sender for whom a recipient stands that has the form of an SRS address of ours, with the line
/// that says so. Only what such an address is for passes, a bounce, and only with a hash that we
/// made, not too long ago.
pub(crate) fn turned_back(
    rules: &Rules,
    rewriting: &Rewriting,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Result<(Mailbox, Reason), Box<Decision>> {
    let because = |why| Reason::new(why, &rewriting.place);
    if *reverse_path != ReversePath::Null {
        let text = format!("{recipient} takes notices from <> alone");
        return Err(Decision::refused(text, because(Why::NoBounce)).into());
    }
    let Some(now) = facts.now else {
        let text = format!("Cannot find out now how old {recipient} is, try again later");
        return Err(Decision::Postpone {
            reply: Reply::new(451, 3, 0, text),
            why: because(Why::DayUnknown),
        }
        .into());
    };
    let refused = |fault| {
        let why = because(Why::NotTurnedBack(fault));
        Err(Box::new(refused(recipient, fault, why)))
    };
    match rewriting.turn_back(recipient, now) {
        // A stranger wrote that, and nobody is there.
        Ok(sender) if rewriting.is_at(&sender) && rule_for(rules, &sender).is_none() => {
            refused(Fault::Form)
        }
        Ok(sender) => {
            let why = because(Why::TurnedBack(sender.clone()));
            Ok((sender, why))
        }
        Err(fault) => refused(fault),
    }
}

/// One that is too old was ours; whoever names another has guessed.
fn refused(recipient: &Mailbox, fault: Fault, why: Reason) -> Decision {
    match fault {
        Fault::Age => Decision::refused(format!("{recipient} is too old"), why),
        Fault::Form | Fault::Hash => Decision::Refuse {
            reply: Reply::new(550, 1, 1, format!("{recipient}: no such recipient here")),
            why,
        },
    }
}
