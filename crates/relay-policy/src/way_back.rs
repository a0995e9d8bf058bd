//! What comes back from a filter to which messages go on their way through.

use std::sync::Arc;

use mail::{Client, Mailbox, ReversePath};

use crate::access::Standing;
use crate::returned::turned_back;
use crate::standing::relay_standing;
use crate::{Decision, Facts, Grounds, Reason, Rewriting, Rules, WayBack, Why};

/// About a recipient of a message on this way. Whoever was named before the message went to the filter
/// was decided about then; but a bounce of the filter to a sender whose address stands for another
/// one is turned back, where the address has the form of one of these (`rewriting`).
pub(crate) fn decide_came_back(
    (rules, way_back): (&Rules, &WayBack),
    rewriting: Option<&Rewriting>,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Decision {
    let standing = match relay_standing(rules, client, facts) {
        Standing::Permitted(_) => {
            let why = Why::CameBack(Arc::clone(&way_back.filter));
            Standing::Permitted(Reason::new(why, &way_back.place))
        }
        other => other,
    };
    let grounds = if facts.came_of_ours {
        Grounds::Filtered
    } else {
        Grounds::FilteredOfStrangers
    };
    let sender = rewriting
        .and_then(|own| turned_back(rules, own, reverse_path, recipient, facts).ok())
        .map(|(sender, _)| sender);
    let recipient = sender.as_ref().unwrap_or(recipient);
    Decision::of(standing, recipient, grounds)
}
