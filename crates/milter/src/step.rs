use std::fmt;

/// A step of a message, as milters are asked about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Version, actions and steps are agreed upon.
    Negotiation,
    /// A client has connected.
    Connect,
    /// EHLO or HELO.
    Helo,
    /// MAIL.
    Mail,
    /// RCPT, for each recipient.
    Rcpt,
    /// DATA.
    Data,
    /// One field of the header.
    Field,
    /// The header is over.
    EndOfHeader,
    /// A piece of the body.
    Body,
    /// The message is over.
    EndOfMessage,
}

impl Step {
    /// The command that tells of it.
    pub(crate) fn command(self) -> u8 {
        match self {
            Self::Negotiation => b'O',
            Self::Connect => b'C',
            Self::Helo => b'H',
            Self::Mail => b'M',
            Self::Rcpt => b'R',
            Self::Data => b'T',
            Self::Field => b'L',
            Self::EndOfHeader => b'N',
            Self::Body => b'B',
            Self::EndOfMessage => b'E',
        }
    }

    /// The stage whose macros go before it; none where it has none of its own.
    pub(crate) fn macros(self) -> Option<MacroStage> {
        match self {
            Self::Connect => Some(MacroStage::Connect),
            Self::Helo => Some(MacroStage::Helo),
            Self::Mail => Some(MacroStage::Mail),
            Self::Rcpt => Some(MacroStage::Rcpt),
            Self::Data => Some(MacroStage::Data),
            Self::EndOfHeader => Some(MacroStage::EndOfHeader),
            Self::EndOfMessage => Some(MacroStage::EndOfMessage),
            Self::Negotiation | Self::Field | Self::Body => None,
        }
    }

    /// The bit by which a milter does not want to hear of it.
    pub(crate) fn unwanted(self) -> u32 {
        match self {
            Self::Negotiation | Self::EndOfMessage => 0,
            Self::Connect => 0x1,
            Self::Helo => 0x2,
            Self::Mail => 0x4,
            Self::Rcpt => 0x8,
            Self::Body => 0x10,
            Self::Field => 0x20,
            Self::EndOfHeader => 0x40,
            Self::Data => 0x200,
        }
    }

    /// The bit by which a milter gives no answer to it.
    pub(crate) fn unanswered(self) -> u32 {
        match self {
            Self::Negotiation | Self::EndOfMessage => 0,
            Self::Field => 0x80,
            Self::Connect => 0x1000,
            Self::Helo => 0x2000,
            Self::Mail => 0x4000,
            Self::Rcpt => 0x8000,
            Self::Data => 0x1_0000,
            Self::EndOfHeader => 0x4_0000,
            Self::Body => 0x8_0000,
        }
    }

    /// Whether it is about the connection, and not about a message on it.
    pub(crate) fn is_of_connection(self) -> bool {
        self < Self::Mail
    }
}

/// A stage at which macros are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MacroStage {
    Connect,
    Helo,
    Mail,
    Rcpt,
    Data,
    EndOfHeader,
    EndOfMessage,
}

impl MacroStage {
    /// By its number in what a milter asks for.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [
            Self::Connect,
            Self::Helo,
            Self::Mail,
            Self::Rcpt,
            Self::Data,
            Self::EndOfMessage,
            Self::EndOfHeader,
        ]
        .get(usize::try_from(number).ok()?)
        .copied()
    }
}

/// `the negotiation`, `RCPT`, `the end of the message`
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Negotiation => "the negotiation",
            Self::Connect => "the connection",
            Self::Helo => "EHLO",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Field => "a header field",
            Self::EndOfHeader => "the end of the header",
            Self::Body => "the body",
            Self::EndOfMessage => "the end of the message",
        })
    }
}
