//! What mail of our own to people has in common: its octets in base64, and how it has to be sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::{BodyKind, MailParameters, Mailbox};

use crate::Notice;

/// Octets that make a line of 76 characters in base64 (RFC 2045 section 6.8).
const LINE_OCTETS: usize = 57;

/// Adds octets in base64, in lines.
pub(crate) fn push_base64(octets: &[u8], text: &mut String) {
    for line in octets.chunks(LINE_OCTETS) {
        STANDARD.encode_string(line, text);
        text.push_str("\r\n");
    }
}

/// The message to be sent, in ASCII but for these addresses in its header.
pub(crate) fn with_addresses(text: String, from: &Mailbox, to: &Mailbox) -> Notice {
    let smtputf8 = to.needs_smtputf8() || from.needs_smtputf8();
    Notice {
        content: text.into_bytes(),
        parameters: MailParameters {
            // An address in UTF-8 in the header.
            body: if smtputf8 {
                BodyKind::EightBit
            } else {
                BodyKind::SevenBit
            },
            smtputf8,
            ..MailParameters::default()
        },
    }
}
