//! A message as rules of screening change it.

use contents::edit::{self, Edit};
use contents::{Attachment, Contents, Limits, parts};
use screening::Change;

/// The message with these changes, and which of what had to go could not be taken out.
pub(super) fn edited(
    whole: &[u8],
    contents: &Contents,
    changes: &[Change],
    limits: &Limits,
) -> (Vec<u8>, Option<String>) {
    let parts = parts(whole, limits);
    let (mut edits, mut left_in) = (Vec::new(), None);
    for change in changes {
        match change {
            Change::AddField { name, value } => edits.push(Edit {
                range: 0..0,
                with: format!("{name}: {value}\r\n").into_bytes(),
            }),
            Change::TagSubject(tag) => edits.extend(edit::tag_subject(whole, &parts, tag)),
            // What is signed or encrypted stays without: the rule wished for words, not for harm.
            Change::Footer { text, html } => {
                edits.extend(
                    edit::add_footer(whole, &parts, text, html)
                        .into_iter()
                        .flatten(),
                );
            }
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
    (edit::apply(whole, &edits), left_in)
}

/// What stands in the place of an attachment.
fn note(attachment: &Attachment, rule: &str) -> String {
    let name = attachment
        .names
        .first()
        .map_or("without a name", |name| name);
    format!("The attachment {name:?} was removed by the rule {rule:?} of the mail gateway.\n")
}
