use mail::{Client, Mailbox, Reply, ReversePath};
use srs::Fault;

use crate::access::Standing;
use crate::standing::undenied;
use crate::{Decision, DomainKind, Facts, Grounds, Reason, Rewriting, Rules, Why};

/// Decides about a recipient that has the form of an address of ours which stands for the sender of
/// a message that we forwarded: only what such an address is for passes, a bounce, and only with a
/// hash that we made, not too long ago. The deny list holds, as for everybody who sends elsewhere.
pub(crate) fn decide_returned(
    rules: &Rules,
    rewriting: &Rewriting,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Decision {
    let because = |why| Reason::new(why, &rewriting.place);
    if *reverse_path != ReversePath::Null {
        let text = format!("{recipient} takes notices from <> alone");
        return Decision::refused(text, because(Why::NoBounce));
    }
    let Some(now) = facts.now else {
        let text = format!("Cannot find out now how old {recipient} is, try again later");
        return Decision::Postpone {
            reply: Reply::new(451, 3, 0, text),
            why: because(Why::DayUnknown),
        };
    };
    let sender = match rewriting.turn_back(recipient, now) {
        Ok(sender) => sender,
        Err(fault) => return refused(recipient, fault, because(Why::NotTurnedBack(fault))),
    };
    let domain = sender.host().domain();
    let blocked = domain.and_then(|domain| rules.domains.find(domain));
    if let Some(rule) = blocked.filter(|rule| rule.kind == DomainKind::Blocked) {
        let text = format!("Mail for {sender} is not accepted here");
        return Decision::refused(text, Reason::of_domain(rule));
    }
    let turned_back = because(Why::TurnedBack(sender.clone()));
    let standing = undenied(rules, client, facts, || Standing::Permitted(turned_back));
    Decision::of(standing, &sender, Grounds::ForwardedSender)
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
