//! What policy services beside the relay have against a recipient that is otherwise taken (Postfix's
//! `check_policy_service`). They can take away, and never permit.

use std::sync::Arc;

use mail::{Client, Mailbox, Place, ReversePath};

use crate::hosted::is_postmaster;
use crate::{
    Consultation, Consulted, Decision, Facts, PolicyService, Question, Reason, Rules, Why,
    is_permitted,
};

/// What they have against a recipient that is carried otherwise, or what has to be found out first.
/// Nobody is asked about mail for postmaster, nor about mail that comes by no network.
pub(crate) fn consulted(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Option<Decision> {
    let passes = facts.consulted == Some(Consulted::Passes);
    if passes || client.uid.is_some() || is_postmaster(recipient) {
        return None;
    }
    let mut meant = rules.policies.iter().filter(|service| {
        let (listeners, to) = (&service.listeners, &service.to);
        (listeners.is_empty() || listeners.contains(&client.listener))
            && (to.is_empty() || to.iter().any(|one| one.names(recipient)))
    });
    // They tell clients apart by their names, and so may the rules who is a stranger.
    let Some(name) = &facts.confirmed_name else {
        let question = Question::ConfirmedName(client.address());
        return meant.next().map(|_| Decision::Ask(question));
    };
    let of_submitters = client.user.is_some() || is_permitted(rules, client, facts);
    let asked: Vec<&PolicyService> = meant
        .filter(|service| service.of_submitters == of_submitters)
        .collect();
    if asked.is_empty() {
        return None;
    }
    match &facts.consulted {
        None => Some(Decision::Ask(Question::Consult(Box::new(Consultation {
            services: asked.iter().map(|one| Arc::clone(&one.name)).collect(),
            client: client.clone(),
            name: name.clone(),
            sender: reverse_path.clone(),
            recipient: recipient.clone(),
        })))),
        Some(Consulted::Passes) => None,
        Some(Consulted::Against {
            service,
            reply,
            why,
        }) => {
            let by = asked.iter().find(|one| one.name == *service);
            let place = by.map_or(&Place::Default, |one| &one.place);
            let (reply, service, said) = (reply.clone(), Arc::clone(service), Arc::clone(why));
            let is_permanent = reply.is_permanent();
            let why = Reason::new(Why::Policy { service, said }, place);
            Some(match is_permanent {
                true => Decision::Refuse { reply, why },
                false => Decision::Postpone { reply, why },
            })
        }
    }
}
