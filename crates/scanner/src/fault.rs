use std::fmt;

/// Characters of what a scanner said that a [`Fault`] shows.
const SHOWN_MAX: usize = 200;

/// Why a scanner's answer says nothing about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It closed the connection before its answer was whole.
    Closed,
    /// It sent more than we read, which is so many octets of this.
    TooLong(&'static str, usize),
    /// This is not as its protocol has it; what it sent, fit to be shown.
    Malformed(&'static str, String),
    /// It says that it could not do it; its words, fit to be shown.
    Failed(String),
    /// Our own fault: of the content, as long as was told first, so much was given last.
    Size {
        /// What [`Subject::size`](crate::Subject::size) said.
        told: u64,
        /// What was given as content.
        given: u64,
    },
}

impl Fault {
    /// What came is not `what` should be.
    pub(crate) fn malformed(what: &'static str, octets: &[u8]) -> Self {
        Self::Malformed(what, shown(octets))
    }

    /// The scanner failed, and said so.
    pub(crate) fn failed(octets: &[u8]) -> Self {
        Self::Failed(shown(octets))
    }
}

/// One sentence without a full stop, for log and tracking.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "closed the connection before its answer was whole"),
            Self::TooLong(what, max) => write!(f, "sent more than {max} octets as {what}"),
            Self::Malformed(what, text) => write!(f, "sent \"{text}\", which is not {what}"),
            Self::Failed(text) => write!(f, "failed: {text}"),
            Self::Size { told, given } => {
                write!(f, "was given {given} octets of a content of {told}")
            }
        }
    }
}

impl std::error::Error for Fault {}

/// Octets of a peer as a short text on one line: cut, control characters escaped, without blanks
/// around it.
pub(crate) fn shown(octets: &[u8]) -> String {
    text(octets, SHOWN_MAX)
}

/// The same, of at most so many characters before they are escaped.
pub(crate) fn text(octets: &[u8], max: usize) -> String {
    // No character has more than four octets.
    let cut = &octets[..octets.len().min(max.saturating_mul(4))];
    let text = String::from_utf8_lossy(cut);
    let text: String = text.trim().chars().take(max).collect();
    mail::escaped(&text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_short_and_cannot_drive_a_terminal() {
        let fault = Fault::malformed("an answer", b" \x1b[2J\r\nx\xff ");
        assert_eq!(
            fault.to_string(),
            "sent \"\\x1b[2J\\x0d\\x0ax\u{fffd}\", which is not an answer"
        );
        assert_eq!(shown(&[b'a'; 100_000]).len(), SHOWN_MAX);
        assert_eq!(
            shown("\u{1f600}".repeat(1000).as_bytes()).chars().count(),
            SHOWN_MAX
        );
    }
}
