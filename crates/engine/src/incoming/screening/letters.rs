//! Who gets what of a message, by the verdicts about its recipients.

use mail::{Mailbox, Notify, OriginalRecipient, RcptParameters};
use reception::Accepted;
use relay_policy::{EnvelopeRecipient, Rules, redirected};
use screening::{Change, End, Matched};
use spool::HoldReason;

use super::writing::Letters;

/// Those who get the same of a message.
pub(super) struct Letter<'a> {
    pub(super) changes: &'a [Change],
    pub(super) recipients: Vec<EnvelopeRecipient>,
    pub(super) held: Vec<Option<(HoldReason, Box<str>)>>,
}

/// Who gets what; whom the client named comes first. Who alone would be refused, and of whom the
/// client does not hear, is held, so that nobody wonders where it went.
pub(super) fn letters<'a>(
    accepted: &Accepted,
    made_of: &Letters<'a>,
    rules: &Rules,
) -> Vec<Letter<'a>> {
    let mut letters = Vec::new();
    let recipients = || {
        let all = accepted.envelope.recipients.iter().zip(made_of.verdicts);
        let taken = all.enumerate().filter(|(at, _)| !made_of.told.contains(at));
        taken.map(|(_, of_one)| of_one)
    };
    for (recipient, verdict) in recipients() {
        let by = verdict.by.as_ref();
        let held = match &verdict.end {
            End::Pass => None,
            End::Hold => Some("held"),
            End::Refuse(_) => Some("refused for this recipient alone, so held"),
            End::Discard | End::Redirect(_) => continue,
        };
        let held = held.map(|what| by.map(|by| held_by(by, what)).unwrap_or_default());
        add(&mut letters, &verdict.changes, recipient.clone(), held);
    }
    for (recipient, verdict) in recipients() {
        let End::Redirect(to) = &verdict.end else {
            continue;
        };
        let place = verdict.by.as_ref().map(|by| by.place.clone());
        let (from, place) = (&recipient.admitted, place.unwrap_or_default());
        let (admitted, why) = redirected(rules, from, to, false, &place);
        let mut parameters = recipient.parameters.clone();
        // What a notice says of it has to mean something to the sender.
        let original = parameters.original.take();
        parameters.original = original.or_else(|| OriginalRecipient::of(from.named()));
        let redirected = EnvelopeRecipient {
            admitted,
            why,
            parameters,
        };
        let mut of_letters = letters.iter();
        let same = of_letters.find(|letter: &&Letter<'_>| letter.changes == verdict.changes);
        if !same.is_some_and(|letter| letter.reaches(&redirected, Some(&redirected.parameters))) {
            add(&mut letters, &verdict.changes, redirected, None);
        }
    }
    for (recipient, verdict) in recipients() {
        for (to, by) in &verdict.copies {
            let copy = copied(recipient, to, by, rules);
            if !letters.iter().any(|letter| letter.reaches(&copy, None)) {
                add(&mut letters, &[], copy, None);
            }
        }
        for (to, by) in &verdict.added {
            let added = copied(recipient, to, by, rules);
            if !letters.iter().any(|letter| letter.reaches(&added, None)) {
                add(&mut letters, &verdict.changes, added, None);
            }
        }
    }
    letters
}

fn add<'a>(
    letters: &mut Vec<Letter<'a>>,
    changes: &'a [Change],
    recipient: EnvelopeRecipient,
    held: Option<Box<str>>,
) {
    let at = letters.iter().position(|one| one.changes == changes);
    let at = at.unwrap_or_else(|| {
        letters.push(Letter {
            changes,
            recipients: Vec::new(),
            held: Vec::new(),
        });
        letters.len() - 1
    });
    let letter = &mut letters[at];
    letter.recipients.push(recipient);
    letter
        .held
        .push(held.map(|why| (HoldReason::Screening, why)));
}

impl Letter<'_> {
    /// Whether it goes to this mailbox anyway, and its sender hears of it as `parameters` ask for.
    fn reaches(&self, other: &EnvelopeRecipient, parameters: Option<&RcptParameters>) -> bool {
        let mut all = self.recipients.iter().zip(&self.held);
        all.any(|(one, held)| {
            held.is_none()
                && one.admitted.is_same_mailbox(&other.admitted)
                && parameters.is_none_or(|wanted| wanted.notify == one.parameters.notify)
        })
    }
}

fn held_by(by: &Matched, what: &str) -> Box<str> {
    let why = format!("{what}: {by} ({})", by.place);
    mail::escaped(&why).to_string().into()
}

/// Its sender knows nothing of it, and hears nothing of what becomes of it.
fn copied(
    recipient: &EnvelopeRecipient,
    to: &Mailbox,
    by: &Matched,
    rules: &Rules,
) -> EnvelopeRecipient {
    let (admitted, why) = redirected(rules, &recipient.admitted, to, true, &by.place);
    EnvelopeRecipient {
        admitted,
        why,
        parameters: RcptParameters {
            notify: Some(Notify::NEVER),
            ..RcptParameters::default()
        },
    }
}
