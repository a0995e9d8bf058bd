//! W3C extended, as the SMTP service of IIS wrote it: which fields there are, in which order, and
//! the lines above the rows.

use std::fmt::Write as _;

use mail::Timestamp;

use crate::calendar::civil;
use crate::row::{Word, or_hyphen};
use crate::{Direction, Row};

macro_rules! fields {
    ($($(#[doc = $what:literal])+ $variant:ident $name:literal,)+) => {
        /// A field of the W3C form, in the order in which IIS writes them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Field {
            $($(#[doc = $what])+ $variant,)+
        }

        impl Field {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As it stands in `#Fields`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

fields! {
    /// The day, in UTC.
    Date "date",
    /// The time of day, in UTC.
    Time "time",
    /// The other end.
    ClientIp "c-ip",
    /// What the client called itself, or that the connection is an outgoing one.
    UserName "cs-username",
    /// The virtual server: `SMTPSVC` and its number.
    SiteName "s-sitename",
    /// Our name.
    ComputerName "s-computername",
    /// Our end.
    ServerIp "s-ip",
    /// 0; on an outgoing connection the port of the server.
    ServerPort "s-port",
    /// The verb.
    Method "cs-method",
    /// Always a hyphen.
    UriStem "cs-uri-stem",
    /// What stands behind the verb, or the text of a server's reply.
    UriQuery "cs-uri-query",
    /// The code of our reply; 240 for QUIT, 0 on an outgoing connection.
    Status "sc-status",
    /// At QUIT, how long the session lasted in milliseconds.
    Win32Status "sc-win32-status",
    /// Octets of our reply.
    BytesSent "sc-bytes",
    /// Octets that were received.
    BytesReceived "cs-bytes",
    /// Milliseconds from the command to the reply.
    TimeTaken "time-taken",
    /// Always `SMTP`.
    Version "cs-version",
    /// Always a hyphen, as the fields behind it.
    Host "cs-host",
    /// See `cs-host`.
    UserAgent "cs(User-Agent)",
    /// See `cs-host`.
    Cookie "cs(Cookie)",
    /// See `cs-host`.
    Referer "cs(Referer)",
}

impl Field {
    /// Those that IIS writes unless told otherwise.
    pub const DEFAULT: &[Self] = &[
        Self::Time,
        Self::ClientIp,
        Self::Method,
        Self::UriStem,
        Self::Status,
    ];
}

/// The line that names the fields, without its end.
pub(crate) fn fields_line(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
    format!("#Fields: {}", names.join(" "))
}

/// The lines above the rows of a file that is begun, or gone on with, at this moment.
pub fn header(fields: &[Field], at: Timestamp) -> String {
    let moment = civil(at, None);
    let (date, time) = (moment.date(), moment.time());
    let fields = fields_line(fields);
    let version = env!("CARGO_PKG_VERSION");
    format!("#Software: Gatepost {version}\n#Version: 1.0\n#Date: {date} {time:.0}\n{fields}\n")
}

/// Appends the row with its line end.
pub(crate) fn write(row: &Row, fields: &[Field], out: &mut String) {
    let moment = civil(row.at, None);
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            out.push(' ');
        }
        // Writing to memory cannot fail.
        let _ = match field {
            Field::Date => write!(out, "{}", moment.date()),
            Field::Time => write!(out, "{:.0}", moment.time()),
            Field::ClientIp => write!(out, "{}", row.peer.ip()),
            Field::UserName => write!(out, "{}", word(row.name())),
            Field::SiteName => write!(out, "SMTPSVC{}", row.site),
            Field::ComputerName => write!(out, "{}", word(&row.computer)),
            Field::ServerIp => match row.local {
                Some(local) => write!(out, "{local}"),
                None => write!(out, "-"),
            },
            Field::ServerPort => match row.direction {
                Direction::Incoming => write!(out, "0"),
                Direction::Command | Direction::Response => write!(out, "{}", row.peer.port()),
            },
            Field::Method => write!(out, "{}", word(&row.verb)),
            Field::UriQuery => write!(out, "{}", word(&row.argument)),
            Field::Status => write!(out, "{}", row.status),
            Field::Win32Status => write!(out, "{}", row.lasted),
            // IIS has the octets of an outgoing row all in the first of the two columns.
            Field::BytesSent => write!(out, "{}", row.octets()),
            Field::BytesReceived => match row.direction {
                Direction::Incoming => write!(out, "{}", row.received),
                Direction::Command | Direction::Response => write!(out, "0"),
            },
            Field::TimeTaken => write!(out, "{}", row.taken),
            Field::Version => write!(out, "SMTP"),
            Field::UriStem | Field::Host | Field::UserAgent | Field::Cookie | Field::Referer => {
                write!(out, "-")
            }
        };
    }
    out.push('\n');
}

fn word(text: &str) -> Word<'_> {
    Word {
        text: or_hyphen(text),
        breaks: &[],
    }
}
