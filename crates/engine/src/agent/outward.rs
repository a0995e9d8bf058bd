use std::sync::Arc;

use delivery::{SendAs, SentAs};
use message::HeaderScan;
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
        let header = [of_head, &start[..skip]].concat();
        let reaches = |mailbox: &_| send_as.reaches(mailbox);
        let mut written = message::with_author(&header, &sent_as.sender, &reaches);
        written.extend_from_slice(separator);
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
