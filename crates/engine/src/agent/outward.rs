use std::sync::Arc;

use delivery::{SendAs, SentAs};
use message::{HeaderScan, RawField};
use spool::Message;

/// A message as it goes out where its header is not as it came.
pub(super) struct Outward {
    /// With a head that holds the whole header.
    pub message: Arc<Message>,
    /// Octets of the content as stored that are the header: they are not sent.
    pub skip: usize,
}

impl Outward {
    /// `start` is the content, or so much of it that its header is whole.
    pub fn new(message: &Message, start: &[u8], sent_as: &SentAs, send_as: &SendAs) -> Self {
        let head = &message.head;
        let mut scan = HeaderScan::new();
        scan.push(head);
        scan.push(start);
        let end = usize::try_from(scan.octets()).unwrap_or(usize::MAX);
        // What has to stand between the head and a content that begins with no field ends it.
        let (of_head, separator) = head.split_at(end.min(head.len()));
        let skip = end.saturating_sub(head.len()).min(start.len());
        let header = [without_signatures(of_head), &start[..skip]].concat();
        let reaches = |mailbox: &_| send_as.reaches(mailbox);
        let mut written = message::with_author(&header, &sent_as.sender, &reaches);
        written.extend_from_slice(separator);
        // A line that is no field ends the header for us, and not for readers who pass over it: they
        // would find further fields, perhaps another From, behind it.
        let rest = &start[skip..];
        // Of a line end the first octet may be all that was read.
        let is_line_end = rest.starts_with(b"\r\n") || rest == b"\r" || rest.is_empty();
        if separator.is_empty() && !is_line_end {
            written.extend_from_slice(b"\r\n");
        }
        let before = (head.len() + skip) as u64;
        let message = Message {
            size: message.size.saturating_sub(before) + written.len() as u64,
            head: written.into(),
            ..message.clone()
        };
        Self {
            message: Arc::new(message),
            skip,
        }
    }
}

/// Without the signatures that we put on top: what was signed is not what goes out.
fn without_signatures(head: &[u8]) -> &[u8] {
    let fields = RawField::all(head);
    let signatures = fields.take_while(|field| field.is("DKIM-Signature"));
    let octets = signatures.map(|field| field.raw.len()).sum();
    &head[octets..]
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mail::{MailParameters, Mailbox, QueueId, ReversePath, Timestamp};

    use super::*;

    fn written(start: &str) -> String {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let message = Message {
            id: QueueId::new(now, 7),
            arrived: now,
            reverse_path: ReversePath::Null,
            parameters: MailParameters::default(),
            client: "192.0.2.1".into(),
            user: None,
            from_stranger: false,
            head: Bytes::from_static(b"DKIM-Signature: d=x;\r\n b=y\r\nReceived: here\r\n"),
            size: (44 + start.len()) as u64,
        };
        let sent_as = SentAs {
            sender: Mailbox::parse("scanner@a.test").unwrap(),
            author: true,
            place: mail::Place::Default,
        };
        let outward = Outward::new(&message, start.as_bytes(), &sent_as, &SendAs::default());
        let Outward { message, skip } = outward;
        let text = [&message.head[..], &start.as_bytes()[skip..]].concat();
        assert_eq!(message.size, text.len() as u64);
        String::from_utf8(text).unwrap()
    }

    /// A reader who passes over a line that is no field finds no second From behind it.
    #[test]
    fn what_is_no_field_ends_the_header_for_all() {
        for (start, expected) in [
            ("From: p@localhost\r\n\r\nhi\r\n", "\r\n\r\nhi\r\n"),
            (
                "Subject: x\r\nfloor 3\r\nFrom: p@localhost\r\n\r\nhi\r\n",
                "\r\n\r\nfloor 3\r\nFrom: p@localhost\r\n\r\nhi\r\n",
            ),
        ] {
            let written = written(start);
            assert!(
                written.starts_with("Received: here\r\n"),
                "what was signed is gone: {written}"
            );
            assert!(written.contains("From: <scanner@a.test>\r\n"), "{written}");
            assert!(written.ends_with(expected), "{written}");
        }
    }
}
