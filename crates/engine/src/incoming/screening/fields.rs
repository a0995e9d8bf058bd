//! What scanners want changed, in the words of milters, who have such changes made already.

use mail::{Mailbox, ReversePath};
use message::RawField;
use milter::{Answer, Field, Modification, Verdict};
use scanner::{Edit, Position, Which};

/// What a scanner wants changed in a message with this header, in its order. What is no field and no
/// address is left out.
pub(super) fn modifications(header: &[u8], edits: &[Edit]) -> Answer {
    let modifications = edits.iter().flat_map(|edit| match edit {
        Edit::Add { name, value, place } => {
            let field = Field::new(name.as_bytes(), value.as_bytes(), false).ok();
            let add = field.map(|field| match place {
                Position::Top(behind) => Modification::InsertField(*behind, field),
                Position::End(_) => Modification::AddField(field),
            });
            add.into_iter().collect()
        }
        Edit::Set { name, value } => {
            let field = Field::new(name.as_bytes(), value.as_bytes(), false).ok();
            let change = field.map(|field| Modification::ChangeField(1, field));
            change.into_iter().collect()
        }
        Edit::Remove { name, which } => removals(header, name, *which),
        Edit::Sender(address) => {
            let sender = match address.is_empty() {
                true => Some(ReversePath::Null),
                false => Mailbox::parse(address).ok().map(ReversePath::Mailbox),
            };
            let change = sender.map(|sender| Modification::ChangeSender(sender, Vec::new()));
            change.into_iter().collect()
        }
        Edit::AddRecipient(address) => {
            let add = |mailbox| Modification::AddRecipient(mailbox, Vec::new());
            Mailbox::parse(address).map(add).into_iter().collect()
        }
        Edit::RemoveRecipient(address) => {
            let remove = Mailbox::parse(address).map(Modification::DeleteRecipient);
            remove.into_iter().collect()
        }
    });
    Answer {
        verdict: Verdict::Accept,
        refused: Vec::new(),
        modifications: modifications.collect(),
        quarantine: None,
    }
}

/// The last one first, so that the others keep their numbers.
fn removals(header: &[u8], name: &str, which: Which) -> Vec<Modification> {
    let fields = RawField::all(header).filter(|field| field.is(name));
    let count = u32::try_from(fields.count()).unwrap_or(u32::MAX);
    let numbers = match which {
        Which::All => 1..count.saturating_add(1),
        Which::FromTop(number) => number..number.saturating_add(1),
        Which::FromEnd(number) => match count.checked_sub(number) {
            Some(before) => before + 1..before + 2,
            None => 0..0,
        },
    };
    let delete = |number| Modification::DeleteField(number, name.into());
    numbers.rev().map(delete).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(which: Which) -> Vec<u32> {
        let header = b"A: 1\r\nX: 1\r\nx: 2\r\n more\r\nX: 3\r\n";
        let removals = removals(header, "X", which).into_iter();
        let number = |one| match one {
            Modification::DeleteField(number, _) => number,
            other => panic!("{other:?}"),
        };
        removals.map(number).collect()
    }

    #[test]
    fn fields_are_counted_from_either_side() {
        assert_eq!(numbers(Which::All), [3, 2, 1]);
        assert_eq!(numbers(Which::FromTop(2)), [2]);
        assert_eq!(numbers(Which::FromEnd(1)), [3]);
        assert_eq!(numbers(Which::FromEnd(3)), [1]);
        assert_eq!(numbers(Which::FromEnd(4)), [0; 0]);
    }

    #[test]
    fn what_is_no_field_is_left_out() {
        let edits = [
            Edit::Add {
                name: "X-Spam".to_owned(),
                value: "Yes".to_owned(),
                place: Position::Top(0),
            },
            Edit::Set {
                name: "X Spam".to_owned(),
                value: "Yes".to_owned(),
            },
            Edit::Add {
                name: "X-Spam".to_owned(),
                value: "Yes\r\n\r\nbody".to_owned(),
                place: Position::End(0),
            },
        ];
        assert_eq!(modifications(b"", &edits).modifications.len(), 1);
        let edits = [
            Edit::Sender(String::new()),
            Edit::AddRecipient("no address".to_owned()),
            Edit::RemoveRecipient("a@b.example".to_owned()),
        ];
        assert_eq!(modifications(b"", &edits).modifications.len(), 2);
    }
}
