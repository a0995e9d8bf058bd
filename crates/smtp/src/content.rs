use std::fmt;

/// What message content may not hold (RFC 5321 section 2.3.8; a NUL is refused because no two mail
/// systems treat it alike).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentFault {
    /// A CR stands without an LF behind it.
    BareCr,
    /// An LF stands without a CR before it.
    BareLf,
    /// The octet zero stands in the content.
    Nul,
}

impl fmt::Display for ContentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BareCr => "message holds a bare CR",
            Self::BareLf => "message holds a bare LF",
            Self::Nul => "message holds a NUL",
        })
    }
}

/// Longest line of content taken unless the configuration says otherwise. RFC 5321 section
/// 4.5.3.1.6 allows senders 1,000 octets, yet many programs send whole paragraphs as one line, and
/// a relay that refuses those loses good mail.
pub const CONTENT_LINE_MAX: usize = 65_536;
