//! The head of a message that is made of another one: its name in it, and its place in a trace.

use contents::{Octets, Rope};
use mail::QueueId;
use message::TraceParent;

/// Of fields that were added above a head, so many octets are looked at for its place in a trace.
const ADDED_OCTETS_MAX: usize = 64 << 10;

/// A head with the name of another message, which it holds as text of one length; where its place in a
/// trace is written in it, that is the other one's.
pub(super) fn renamed(head: &[u8], old: QueueId, new: QueueId) -> Vec<u8> {
    let text = String::from_utf8_lossy(head).replace(&old.to_string(), &new.to_string());
    if text.len() != head.len() {
        return head.to_vec();
    }
    let (own, place) = (TraceParent::of(old), TraceParent::in_header(head));
    match place.filter(|place| place.span == own.span) {
        Some(place) => {
            let renamed = match place.trace == own.trace {
                true => TraceParent::of(new),
                false => place.of_message(new),
            };
            let text = text.replacen(&place.field(), &renamed.field(), 1);
            text.into_bytes()
        }
        None => text.into_bytes(),
    }
}

/// Divides a message of which all was made anew, with what was its head `before`, into head and
/// content: where its place in a trace was written there, all down to that stays the head, where it
/// is looked for.
pub(super) fn divided<'a>(before: &[u8], new: &'a Rope<'a>) -> (Vec<u8>, Rope<'a>) {
    let place = TraceParent::in_header(before);
    let end = place.and_then(|place| {
        let start = new.copy(0..new.size().min(before.len() + ADDED_OCTETS_MAX));
        let (found, end) = TraceParent::find(&start)?;
        (found == place).then_some(end)
    });
    let end = end.unwrap_or(0);
    let mut content = Rope::default();
    content.push_from(new, end..new.size());
    (new.copy(0..end), content)
}

#[cfg(test)]
mod tests {
    use mail::Timestamp;

    use super::*;

    fn id(number: u32) -> QueueId {
        QueueId::new(Timestamp::from_millis(number.into()), number.into())
    }

    #[test]
    fn another_message_has_its_own_name_and_place() {
        let head = |id: QueueId, place: TraceParent| {
            format!("Received: by x id {id}\r\n{}Date: now\r\n", place.field())
        };
        let (one, two) = (id(1), id(2));
        let theirs = TraceParent {
            trace: 7,
            span: 9,
            flags: 0,
        };
        for (of_one, of_two) in [
            (TraceParent::of(one), TraceParent::of(two)),
            (theirs.of_message(one), theirs.of_message(two)),
            // Not written by us.
            (theirs, theirs),
        ] {
            let renamed = renamed(head(one, of_one).as_bytes(), one, two);
            assert_eq!(String::from_utf8(renamed).unwrap(), head(two, of_two));
        }
    }

    #[test]
    fn the_head_goes_down_to_the_place_in_a_trace_that_we_wrote() {
        let ours = TraceParent::of(id(1));
        let before = format!("Received: by x\r\n{}Date: now\r\n", ours.field());
        let mut new = Rope::default();
        new.push(format!("X-Seen: yes\r\n{before}Subject: x\r\n\r\ntext\r\n"));
        let (head, content) = divided(before.as_bytes(), &new);
        assert!(head.ends_with(ours.field().as_bytes()) && head.starts_with(b"X-Seen"));
        assert_eq!(
            [head, content.copy(0..content.size())].concat(),
            new.copy(0..new.size())
        );
        for before in [
            "Received: by x\r\n".to_owned(),
            TraceParent::of(id(2)).field(),
        ] {
            let (head, content) = divided(before.as_bytes(), &new);
            assert_eq!((head.len(), content.size()), (0, new.size()));
        }
    }
}
