//! SMTP as it stands on the wire, in both directions: how lines, commands, replies and message
//! content are written and read.
//!
//! This is grammar alone. Whether a command is welcome at this moment, and what follows from it, is
//! decided elsewhere (`reception` for mail that comes in, `delivery` for mail that goes out). The
//! rule that everything here keeps: a line ends at CRLF and only there, a message ends at CRLF `.`
//! CRLF and only there. Whoever sends anything else is refused and not interpreted, because two
//! servers that interpret it differently can be made to see different messages ("SMTP smuggling").

mod auth;
mod bare_lf;
mod bdat;
mod command;
mod content;
mod data;
mod dialogue;
mod extension;
mod line;
mod proxy;
mod reply_reader;
mod said;
mod stuffing;
mod syntax_error;
mod time_limit;
mod verb;
mod xforward;

pub use auth::{Auth, from_base64, to_base64};
pub use bare_lf::BareLf;
pub use bdat::{Chunk, ContentCheck};
pub use command::{Command, EtrnNode, HelloName, Mail, Rcpt, RcptPath};
pub use content::{CONTENT_LINE_MAX, ContentFault};
pub use data::{DataDecoder, Progress};
pub use dialogue::{DIALOGUE_ENTRIES_MAX, DIALOGUE_OCTETS_MAX, Dialogue};
pub use extension::{Extension, Offers, write_ehlo_reply, write_reply};
pub use line::{Line, LineFault, LineLimits, LineReader};
pub use proxy::{PROXY_LEN_MAX, ProxyFault, ProxyHeader, ProxyNotes};
pub use reply_reader::{
    REPLY_LEN_MAX, REPLY_LINE_LEN_MAX, REPLY_LINES_MAX, ReplyFault, ReplyReader, ServerReply,
};
pub use said::{Doubt, MARK, SAID_LEN_MAX, Said, Spoken};
pub use stuffing::Stuffer;
pub use syntax_error::{SyntaxError, SyntaxFault};
pub use time_limit::TimeLimit;
pub use verb::Verb;
pub use xforward::{Origin, OriginFact, Source};
