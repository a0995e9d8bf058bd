use std::fmt;

use mail::escaped;

use crate::Step;

/// What broke between a milter and us. It ends this milter's turn, and nothing that it asked for is
/// done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It closed the connection before it agreed upon anything, as milters do that miss an action.
    ClosedInNegotiation {
        /// The actions that were offered, as bits.
        actions: u32,
        /// So for the steps.
        steps: u32,
    },
    /// It closed the connection while its answer to a step was awaited, or before that.
    Closed(Step),
    /// It took longer than it may at a step.
    TimedOut(Step),
    /// A packet of no octet at all, or of more than [`PACKET_LEN_MAX`](crate::PACKET_LEN_MAX).
    Length(u32),
    /// It speaks a version that nobody does.
    Version(u32),
    /// An answer that the protocol does not have.
    UnknownAnswer(u8),
    /// An answer whose content is not what the protocol says.
    Malformed(u8),
    /// An answer that does not belong to this step.
    OutOfPlace(u8, Step),
    /// An answer where none was due.
    Unasked(u8),
    /// More answers to one message than [`ANSWERS_MAX`](crate::ANSWERS_MAX).
    Endless,
    /// More changes to one message, or more octets of them, than it may ask for.
    TooMuch,
    /// A reply that is no refusal in SMTP; its text, escaped.
    BadReply(Box<str>),
    /// A field whose name or value would not be one field of a header; its name, escaped.
    BadField(Box<str>),
    /// The place of a field is below zero.
    BadIndex(u32),
    /// An address that is none, or a parameter that does not hold what it should; escaped.
    BadAddress(Box<str>),
    /// A body with a CR alone or a NUL, which no server would take.
    BadBody,
    /// It asked that its connection be taken for broken.
    AsksForFailure,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedInNegotiation { actions, steps } => write!(
                f,
                "the milter closed the connection during the negotiation: actions offered were {actions:#x}, steps {steps:#x}"
            ),
            Self::Closed(step) => write!(f, "the milter closed the connection at {step}"),
            Self::TimedOut(step) => write!(f, "the milter gave no answer to {step} in time"),
            Self::Length(length) => write!(f, "the milter sent a packet of {length} octets"),
            Self::Version(version) => write!(f, "the milter speaks version {version}"),
            Self::UnknownAnswer(answer) => {
                write!(f, "the milter gave the unknown answer {}", letter(*answer))
            }
            Self::Malformed(answer) => {
                write!(f, "the milter's answer {} is malformed", letter(*answer))
            }
            Self::OutOfPlace(answer, step) => {
                write!(
                    f,
                    "the milter's answer {} does not belong to {step}",
                    letter(*answer)
                )
            }
            Self::Unasked(answer) => {
                write!(
                    f,
                    "the milter's answer {} came where none was due",
                    letter(*answer)
                )
            }
            Self::Endless => f.write_str("the milter gave answers without end"),
            Self::TooMuch => f.write_str("the milter asked for more changes than are taken"),
            Self::BadReply(text) => write!(f, "the milter's reply is no refusal: {text}"),
            Self::BadField(name) => write!(f, "the milter's header field is none: {name}"),
            Self::BadIndex(index) => {
                write!(
                    f,
                    "the milter names a header field by the number {index:#x}"
                )
            }
            Self::BadAddress(text) => write!(f, "the milter's address is none: {text}"),
            Self::BadBody => f.write_str("the milter's body has a CR alone, or a NUL"),
            Self::AsksForFailure => f.write_str("the milter asked to be taken for broken"),
        }
    }
}

impl std::error::Error for Fault {}

fn letter(octet: u8) -> String {
    match octet.is_ascii_graphic() {
        true => format!("{:?}", char::from(octet)),
        false => format!("{octet:#04x}"),
    }
}

/// Octets of a milter as they may stand in a log: escaped, and not many of them.
pub(crate) fn shown(octets: &[u8]) -> Box<str> {
    const SHOWN_MAX: usize = 200;
    let octets = octets.get(..SHOWN_MAX).unwrap_or(octets);
    escaped(&String::from_utf8_lossy(octets)).to_string().into()
}
