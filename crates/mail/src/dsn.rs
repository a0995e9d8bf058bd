use std::fmt;

use crate::{Mailbox, is_printable_xtext};

/// RFC 3461 section 4.4: no more than 100 characters.
const ENVID_LEN_MAX: usize = 100;
/// RFC 3461 section 4.2: no more than 500 characters.
const ORCPT_LEN_MAX: usize = 500;

/// For which events the sender wants a notice about this recipient (RFC 3461 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Notify {
    /// Tell when it is delivered (or handed to a server that cannot tell: "relayed").
    pub success: bool,
    /// Tell when it failed for good.
    pub failure: bool,
    /// Tell when it is late.
    pub delay: bool,
}

impl Notify {
    /// `NOTIFY=NEVER`.
    pub const NEVER: Notify = Notify {
        success: false,
        failure: false,
        delay: false,
    };

    /// Reads the value of `NOTIFY` (RFC 3461 section 4.1): `NEVER` stands alone, the others form a
    /// list.
    pub(crate) fn from_parameter(value: &str) -> Option<Self> {
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(Notify::NEVER);
        }
        let mut notify = Notify::NEVER;
        for word in value.split(',') {
            if word.eq_ignore_ascii_case("SUCCESS") {
                notify.success = true;
            } else if word.eq_ignore_ascii_case("FAILURE") {
                notify.failure = true;
            } else if word.eq_ignore_ascii_case("DELAY") {
                notify.delay = true;
            } else {
                return None;
            }
        }
        Some(notify)
    }

    /// The bits as stored: 1 success, 2 failure, 4 delay.
    pub fn to_bits(self) -> u8 {
        u8::from(self.success) | u8::from(self.failure) << 1 | u8::from(self.delay) << 2
    }

    /// Reads what [`Notify::to_bits`] wrote; other bits are ignored.
    pub fn from_bits(bits: u8) -> Self {
        Notify {
            success: bits & 1 != 0,
            failure: bits & 2 != 0,
            delay: bits & 4 != 0,
        }
    }
}

/// What a sender gets who said nothing: failures, and one notice of delay (RFC 3461 section 4.1
/// leaves this to us).
impl Default for Notify {
    fn default() -> Self {
        Notify {
            success: false,
            failure: true,
            delay: true,
        }
    }
}

/// The value of the `NOTIFY` parameter.
impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Notify::NEVER {
            return f.write_str("NEVER");
        }
        let mut first = true;
        for (on, word) in [
            (self.success, "SUCCESS"),
            (self.failure, "FAILURE"),
            (self.delay, "DELAY"),
        ] {
            if on {
                if !first {
                    f.write_str(",")?;
                }
                f.write_str(word)?;
                first = false;
            }
        }
        Ok(())
    }
}

/// How much of the message a notice of failure returns (RFC 3461 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ret {
    /// `RET=FULL`
    Full,
    /// `RET=HDRS`
    Headers,
}

impl Ret {
    /// Reads the value of `RET`.
    pub(crate) fn from_parameter(value: &str) -> Option<Self> {
        if value.eq_ignore_ascii_case("FULL") {
            Some(Self::Full)
        } else if value.eq_ignore_ascii_case("HDRS") {
            Some(Self::Headers)
        } else {
            None
        }
    }
}

/// The `ENVID` parameter as given, still in xtext: the sender's own name for the message, which
/// comes back in notices (RFC 3461 section 4.4).
///
/// Kept verbatim, as [`OriginalRecipient`] is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnvelopeId(Box<str>);

impl EnvelopeId {
    /// Takes a value that was found valid before. Anything but printable ASCII is refused: a
    /// damaged one must not become a second command.
    pub fn new(value: &str) -> Option<Self> {
        let valid = value.bytes().all(|b| b.is_ascii_graphic());
        valid.then(|| Self(value.into()))
    }

    /// Reads the value of `ENVID`.
    pub(crate) fn from_parameter(value: &str) -> Option<Self> {
        let valid = value.len() <= ENVID_LEN_MAX && is_printable_xtext(value);
        Self::new(value).filter(|_| valid)
    }

    /// The value as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The `ORCPT` parameter as given, still in xtext: `rfc822;bob@example.com` (RFC 3461 section 4.2).
///
/// Kept verbatim: we pass it on and print it, and never act on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginalRecipient(Box<str>);

impl OriginalRecipient {
    /// Takes a value that was found valid before. Anything but printable ASCII is refused.
    pub fn new(value: &str) -> Option<Self> {
        let valid = value.bytes().all(|b| b.is_ascii_graphic()) && value.contains(';');
        valid.then(|| Self(value.into()))
    }

    /// The address itself, for a message that goes on to others; `None` for one beyond ASCII.
    pub fn of(mailbox: &Mailbox) -> Option<Self> {
        let mut value = "rfc822;".to_owned();
        for byte in mailbox.in_ascii()?.bytes() {
            match byte {
                b'+' | b'=' | b' ' => value.push_str(&format!("+{byte:02X}")),
                plain => value.push(char::from(plain)),
            }
        }
        Self::from_parameter(&value)
    }

    /// Reads the value of `ORCPT`: `addr-type ";" xtext`.
    pub fn from_parameter(value: &str) -> Option<Self> {
        let (kind, address) = value.split_once(';')?;
        let atom = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let valid = value.len() <= ORCPT_LEN_MAX
            && !kind.is_empty()
            && kind.bytes().all(atom)
            && is_printable_xtext(address);
        Self::new(value).filter(|_| valid)
    }

    /// The value as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
