use std::fmt;
use std::io::Write;

use mail::Reply;

/// One line of our answer to EHLO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extension {
    /// `PIPELINING` (RFC 2920)
    Pipelining,
    /// `SIZE n` (RFC 1870): octets.
    Size(u64),
    /// `8BITMIME` (RFC 6152)
    EightBitMime,
    /// `SMTPUTF8` (RFC 6531)
    SmtpUtf8,
    /// `CHUNKING` (RFC 3030)
    Chunking,
    /// `ENHANCEDSTATUSCODES` (RFC 2034)
    EnhancedStatusCodes,
    /// `DSN` (RFC 3461)
    Dsn,
    /// `STARTTLS` (RFC 3207)
    StartTls,
    /// `AUTH` with the mechanisms, separated by spaces (RFC 4954)
    Auth(Box<str>),
    /// `LIMITS RCPTMAX=n MAILMAX=n` (RFC 9422)
    Limits {
        /// Recipients in one transaction.
        rcpt_max: u32,
        /// Transactions in one session.
        mail_max: u32,
    },
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipelining => f.write_str("PIPELINING"),
            Self::Size(octets) => write!(f, "SIZE {octets}"),
            Self::EightBitMime => f.write_str("8BITMIME"),
            Self::SmtpUtf8 => f.write_str("SMTPUTF8"),
            Self::Chunking => f.write_str("CHUNKING"),
            Self::EnhancedStatusCodes => f.write_str("ENHANCEDSTATUSCODES"),
            Self::Dsn => f.write_str("DSN"),
            Self::StartTls => f.write_str("STARTTLS"),
            Self::Auth(mechanisms) => write!(f, "AUTH {mechanisms}"),
            Self::Limits { rcpt_max, mail_max } => {
                write!(f, "LIMITS RCPTMAX={rcpt_max} MAILMAX={mail_max}")
            }
        }
    }
}

/// Appends `reply` with its CRLF. The text of a [`Reply`] holds no line break, so this is always
/// exactly one line.
pub fn write_reply(reply: &Reply, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{reply}\r\n");
}

/// Appends the 250 answer to EHLO: our name, then a line for each extension (RFC 5321 section
/// 4.1.1.1).
pub fn write_ehlo_reply(hostname: &str, extensions: &[Extension], out: &mut Vec<u8>) {
    let dash = |last: bool| if last { ' ' } else { '-' };
    let _ = write!(out, "250{}{hostname}\r\n", dash(extensions.is_empty()));
    for (i, extension) in extensions.iter().enumerate() {
        let _ = write!(out, "250{}{extension}\r\n", dash(i + 1 == extensions.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_an_ehlo_reply_says_so() {
        let mut out = Vec::new();
        let offers = [
            Extension::Size(100),
            Extension::Limits {
                rcpt_max: 5,
                mail_max: 7,
            },
        ];
        write_ehlo_reply("relay.example", &offers, &mut out);
        assert_eq!(
            out,
            b"250-relay.example\r\n250-SIZE 100\r\n250 LIMITS RCPTMAX=5 MAILMAX=7\r\n"
        );
        out.clear();
        write_ehlo_reply("relay.example", &[], &mut out);
        assert_eq!(out, b"250 relay.example\r\n");
    }

    #[test]
    fn a_reply_is_one_line_whatever_its_text() {
        let mut out = Vec::new();
        write_reply(&Reply::new(550, 7, 1, "a\r\n250 b"), &mut out);
        assert_eq!(out, b"550 5.7.1 a  250 b\r\n");
    }
}
