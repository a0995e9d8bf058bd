use std::sync::Arc;

use delivery::{SendAs, SentAs};
use dkim::{HashedBody, Signers};
use mail::{Mailbox, Timestamp};
use message::HeaderScan;
use spool::Message;

use crate::signing::{signer_by_header, without_signatures};

/// A message as it goes out where its header is not as it came.
pub(super) struct Outward {
    /// With a head that holds the whole header.
    pub message: Arc<Message>,
    /// Octets of the content as stored that are the header: they are not sent.
    pub skip: usize,
}

/// Where the header of a stored message ends, and where its body begins.
pub(super) struct Bounds {
    /// Octets of the head that belong to the header.
    of_head: usize,
    /// Octets of the content that are the header.
    skip: usize,
    /// Octets of the content before the body.
    pub body: usize,
    /// An empty line has to be put behind the header.
    is_open: bool,
    /// More of the content would change nothing.
    pub is_final: bool,
}

impl Bounds {
    /// `start` is the content, or the first part of it.
    pub fn of(head: &[u8], start: &[u8]) -> Self {
        let mut scan = HeaderScan::new();
        scan.push(head);
        scan.push(start);
        let end = usize::try_from(scan.octets()).unwrap_or(usize::MAX);
        let skip = end.saturating_sub(head.len()).min(start.len());
        let of_head = end.min(head.len());
        let rest = &start[skip..];
        // What has to stand between the head and a content that begins with no field ends it.
        let is_ended = of_head < head.len();
        let has_line = rest.starts_with(b"\r\n");
        Self {
            of_head,
            skip,
            body: if has_line && !is_ended {
                skip + 2
            } else {
                skip
            },
            // A line that is no field ends the header for us, and not for readers who pass over it:
            // they would find further fields, perhaps another From, behind it. Of a line end the
            // first octet may be all that was read.
            is_open: !is_ended && !has_line && rest != b"\r" && !rest.is_empty(),
            is_final: is_ended || scan.has_ended() && rest.len() >= 2,
        }
    }
}

impl Outward {
    /// `start` is the content, or so much of it that its header is whole.
    pub fn new(message: &Message, start: &[u8], sent_as: &SentAs, send_as: &SendAs) -> Self {
        let head = &message.head;
        let bounds = Bounds::of(head, start);
        let skip = bounds.skip;
        let (of_head, separator) = head.split_at(bounds.of_head);
        let header = [without_signatures(of_head), &start[..skip]].concat();
        let reaches = |mailbox: &_| send_as.reaches(mailbox);
        let mut written = message::with_author(&header, &sent_as.sender, &reaches);
        written.extend_from_slice(separator);
        if bounds.is_open {
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

    /// Signs it by the domain of its new author, who alone is shown; with this body.
    pub fn sign(&mut self, signers: &Signers, sent_as: &SentAs, body: &HashedBody, now: Timestamp) {
        let head = &self.message.head;
        let is_author = |author: &Mailbox| *author == sent_as.sender;
        let signer = signer_by_header(signers, head, &is_author);
        // One whose signature could not be computed goes out without it, as most mail does.
        let signed = signer.and_then(|one| one.signer.sign(head, body, now).ok());
        if let Some(fields) = signed {
            let message = Message {
                size: self.message.size + fields.len() as u64,
                head: [fields.as_bytes(), head].concat().into(),
                ..Message::clone(&self.message)
            };
            self.message = Arc::new(message);
        }
    }
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
