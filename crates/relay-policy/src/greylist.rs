//! Whether a stranger has to come again before its mail is taken. Who was here before is asked; who is
//! no stranger is known here.

use mail::{Client, Mailbox, Reply, ReversePath};

use crate::access::Standing;
use crate::hosted::is_postmaster;
use crate::list::Found;
use crate::standing::relay_standing;
use crate::{
    Approach, Facts, Familiar, Greylisted, Greylisting, Listed, Question, Reason, Rules, Why,
};

/// What greylisting makes of one recipient.
#[derive(Debug)]
pub enum Greylist {
    /// It has no say.
    Exempt(Exempt),
    /// They were here before.
    Passes(Familiar),
    /// They have to come again.
    Waits {
        /// 451 4.7.1
        reply: Reply,
        /// For how long, and by which line.
        why: Reason,
    },
    /// What has to be found out first.
    Ask(Question),
}

/// Why greylisting has no say.
#[derive(Debug)]
pub enum Exempt {
    /// This is no matter for it.
    As(&'static str),
    /// The entry of one of its lists.
    By(Reason),
}

/// What greylisting makes of this recipient at a domain of ours, who `passed` for this reason. The
/// memory is asked before names are, as for most clients no name matters.
pub fn greylist(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    passed: &Reason,
    facts: &Facts,
) -> Greylist {
    let Some(own) = rules.greylisting.as_deref() else {
        return Greylist::Exempt(Exempt::As("off"));
    };
    let exemption = own.exemption(rules, client, reverse_path, recipient, passed, facts);
    let needs_name = match exemption {
        Exemption::Yes(why) => return Greylist::Exempt(why),
        Exemption::NeedsName => true,
        Exemption::No => false,
    };
    match &facts.greylisted {
        None => Greylist::Ask(Question::Greylist(Box::new(Approach {
            client: client.address(),
            sender: reverse_path.clone(),
            recipient: recipient.clone(),
        }))),
        Some(Greylisted::Passes(familiar)) => Greylist::Passes(familiar.clone()),
        Some(Greylisted::Waits { .. }) if needs_name => {
            Greylist::Ask(Question::ConfirmedName(client.address()))
        }
        Some(Greylisted::Waits { seconds, since }) => {
            let (seconds, since) = (*seconds, *since);
            let why = Why::Greylisted { seconds, since };
            let text = format!("Greylisted, try again in {seconds} s");
            Greylist::Waits {
                reply: Reply::new(451, 7, 1, text),
                why: Reason::new(why, &own.place),
            }
        }
    }
}

/// Whether somebody is never delayed.
enum Exemption {
    Yes(Exempt),
    No,
    NeedsName,
}

impl Greylisting {
    fn exemption(
        &self,
        rules: &Rules,
        client: &Client,
        reverse_path: &ReversePath,
        recipient: &Mailbox,
        passed: &Reason,
        facts: &Facts,
    ) -> Exemption {
        let as_known = |why| Exemption::Yes(Exempt::As(why));
        if client.uid.is_some() {
            return as_known("not asked about mail of this machine");
        }
        if client.user.is_some() {
            return as_known("not asked about users who signed in");
        }
        if is_postmaster(recipient) {
            return as_known("not asked about mail for postmaster");
        }
        // Of this domain, or for it alone.
        if matches!(passed.why, Why::Listed { .. }) {
            return as_known("not asked about clients that are listed");
        }
        let by = |list, listed: &Listed| {
            let entry = listed.pattern.to_string().into();
            let why = Reason::new(Why::Listed { list, entry }, &listed.place);
            Exemption::Yes(Exempt::By(why))
        };
        let mut senders = self.senders.iter();
        if let Some(listed) = senders.find(|one| one.pattern.matches(reverse_path)) {
            return by("greylisting.senders", listed);
        }
        let mut recipients = self.recipients.iter();
        if let Some(listed) = recipients.find(|one| one.pattern.names(recipient)) {
            return by("greylisting.recipients", listed);
        }
        let listed = self.clients.find(client.address(), facts);
        if let Found::Entry(entry) = listed {
            let why = Reason::listed("greylisting.clients", entry);
            return Exemption::Yes(Exempt::By(why));
        }
        match (relay_standing(rules, client, facts), listed) {
            (Standing::Permitted(_), _) => as_known("not asked about clients that may relay"),
            (Standing::Ask(_), _) | (_, Found::NeedsName) => Exemption::NeedsName,
            // A name that cannot be told makes nobody known: it waits, as whoever has to come again.
            (Standing::CannotTell(_) | Standing::Barred(_), _) => Exemption::No,
        }
    }
}
