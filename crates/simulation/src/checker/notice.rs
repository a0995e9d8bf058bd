use mail::QueueId;

/// A notice of the relay's, as a sender's program reads it (RFC 3464).
pub(super) struct Notice {
    /// The message that it is about, from the returned header.
    pub(super) about: QueueId,
    /// Each recipient with the action told.
    pub(super) recipients: Vec<(String, String)>,
}

impl Notice {
    /// Reads a notice. What is missing reads as an id of zeros.
    pub(super) fn read(content: &[u8]) -> Self {
        let text = String::from_utf8_lossy(content).replace("\r\n ", " ");
        let mut recipients = Vec::new();
        let mut address = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("Final-Recipient: rfc822; ") {
                address = Some(rest.to_owned());
            } else if let Some(action) = line.strip_prefix("Action: ")
                && let Some(address) = address.take()
            {
                recipients.push((address, action.to_owned()));
            }
        }
        let returned = text.split("Received: from ").nth(1).unwrap_or_default();
        let id = returned
            .split_once(" id ")
            .and_then(|(_, rest)| rest.get(..26)?.parse().ok());
        let about = id.unwrap_or(QueueId::from_bytes([0; 16]));
        Self { about, recipients }
    }
}
