//! A message as rules of screening change it.

use std::sync::Arc;

use contents::edit::{self, CannotEdit, Edit};
use contents::{Attachment, Contents, Limits, Octets, parts};
use screening::Change;

/// What makes changes to a message.
#[derive(Default)]
pub(super) struct Edits {
    pub edits: Vec<Edit>,
    /// Why it must not go on: what had to go cannot be taken out.
    pub left_in: Option<String>,
    /// The footer that cannot be added: by which rule, and why.
    pub without: Option<Unadded>,
}

/// A footer that cannot be added, by the name of its rule.
pub(super) type Unadded = (Arc<str>, CannotEdit);

/// What makes these changes to a message.
pub(super) fn edits(
    whole: &dyn Octets,
    contents: &Contents,
    changes: &[Change],
    limits: &Limits,
) -> Edits {
    let parts = parts(whole, limits);
    let (mut edits, mut left_in, mut without) = (Vec::new(), None, None);
    for change in changes {
        match change {
            Change::AddField { name, value } => edits.push(Edit {
                range: 0..0,
                with: format!("{name}: {value}\r\n").into_bytes(),
            }),
            Change::TagSubject(tag) => edits.extend(edit::tag_subject(whole, &parts, tag)),
            // What cannot have it stays without: the rule wished for words, not for harm.
            Change::Footer { footer, rule } => match edit::add_footer(whole, &parts, footer) {
                Ok(added) => edits.extend(added),
                Err(why) => without = Some((Arc::clone(rule), why)),
            },
            Change::Strip { attachments, rule } => {
                for at in attachments {
                    let Some(attachment) = contents.attachments.get(*at) else {
                        continue;
                    };
                    let note = note(attachment, rule);
                    match edit::remove_part(whole, &parts, attachment.part, &note) {
                        Ok(removed) => edits.extend(removed),
                        Err(why) => {
                            left_in = Some(format!("{} stays in: {why}", attachment.place));
                        }
                    }
                }
            }
        }
    }
    Edits {
        edits,
        left_in,
        without,
    }
}

/// What stands in the place of an attachment.
fn note(attachment: &Attachment, rule: &str) -> String {
    let name = attachment
        .names
        .first()
        .map_or("without a name", |name| name);
    format!("The attachment {name:?} was removed by the rule {rule:?} of the mail gateway.\n")
}
