/// The first word of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `EHLO`
    Ehlo,
    /// `HELO`
    Helo,
    /// `MAIL`
    Mail,
    /// `RCPT`
    Rcpt,
    /// `DATA`
    Data,
    /// `BDAT` (RFC 3030)
    Bdat,
    /// `RSET`
    Rset,
    /// `NOOP`
    Noop,
    /// `VRFY`
    Vrfy,
    /// `HELP`
    Help,
    /// `QUIT`
    Quit,
    /// `STARTTLS` (RFC 3207)
    StartTls,
    /// `AUTH` (RFC 4954)
    Auth,
    /// `EXPN`
    Expn,
    /// `ETRN` (RFC 1985)
    Etrn,
    /// `ATRN` (RFC 2645)
    Atrn,
    /// `TURN`, withdrawn (RFC 5321 appendix F.1)
    Turn,
    /// `SEND`, `SOML`, `SAML`, withdrawn (RFC 5321 appendix F.6)
    Send,
    /// `XFORWARD`: only for filters of ours.
    Xforward,
    /// `XCLIENT`: for nobody.
    Xclient,
    /// A verb of another protocol: somebody speaks HTTP, TLS or SSH to the mail port.
    Foreign,
    /// A word that is no command of any protocol we know.
    Unknown,
}

/// One row of the command table.
struct Row {
    name: &'static str,
    verb: Verb,
    /// RFC 2920 section 3.1: these "can only appear as the last command in a group", because what
    /// follows depends on the reply.
    ends_group: bool,
}

const fn row(name: &'static str, verb: Verb, ends_group: bool) -> Row {
    Row {
        name,
        verb,
        ends_group,
    }
}

#[rustfmt::skip]
const COMMANDS: [Row; 23] = [
    // In the order in which a busy relay hears them.
    row("RCPT",     Verb::Rcpt,     false),
    row("MAIL",     Verb::Mail,     false),
    row("DATA",     Verb::Data,     true),
    row("BDAT",     Verb::Bdat,     false),
    row("RSET",     Verb::Rset,     false),
    row("EHLO",     Verb::Ehlo,     true),
    row("QUIT",     Verb::Quit,     true),
    row("HELO",     Verb::Helo,     true),
    row("NOOP",     Verb::Noop,     true),
    row("VRFY",     Verb::Vrfy,     true),
    row("HELP",     Verb::Help,     true),
    row("STARTTLS", Verb::StartTls, true),
    row("AUTH",     Verb::Auth,     true),
    row("EXPN",     Verb::Expn,     true),
    row("ETRN",     Verb::Etrn,     true),
    row("ATRN",     Verb::Atrn,     true),
    row("TURN",     Verb::Turn,     true),
    row("SEND",     Verb::Send,     false),
    row("SOML",     Verb::Send,     false),
    row("SAML",     Verb::Send,     false),
    row("XCLIENT",  Verb::Xclient,  true),
    row("XFORWARD", Verb::Xforward, false),
    row("LHLO",     Verb::Unknown,  true),
];

/// First words by which other protocols give themselves away. None is a prefix that an SMTP verb
/// could have.
const FOREIGN: [&str; 15] = [
    "GET",
    "POST",
    "PUT",
    "HEAD",
    "DELETE",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "PATCH",
    "PRI",
    "HOST:",
    "USER-AGENT:",
    "CONTENT-TYPE:",
    "CONTENT-LENGTH:",
    "ACCEPT:",
];

impl Verb {
    /// Reads the first word of a line, in any case.
    pub fn of(word: &[u8]) -> Self {
        let known = COMMANDS
            .iter()
            .find(|row| row.name.as_bytes().eq_ignore_ascii_case(word));
        match known {
            Some(row) => row.verb,
            None if is_foreign(word) => Self::Foreign,
            None => Self::Unknown,
        }
    }

    /// Whether a client that pipelines must wait for the reply before it sends more (RFC 2920
    /// section 3.1).
    pub fn ends_group(self) -> bool {
        COMMANDS
            .iter()
            .any(|row| row.verb == self && row.ends_group)
    }
}

fn is_foreign(word: &[u8]) -> bool {
    // TLS: a handshake record; SSH: its version line (RFC 4253 section 4.2).
    word.starts_with(b"\x16\x03")
        || word.starts_with(b"SSH-")
        || FOREIGN
            .iter()
            .any(|name| name.as_bytes().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_read_in_any_case() {
        let cases: [(&[u8], Verb); 9] = [
            (b"rcpt", Verb::Rcpt),
            (b"Mail", Verb::Mail),
            (b"STARTTLS", Verb::StartTls),
            (b"xclient", Verb::Xclient),
            (b"GET", Verb::Foreign),
            (b"SSH-2.0-OpenSSH_9.9", Verb::Foreign),
            (b"\x16\x03\x01", Verb::Foreign),
            (b"", Verb::Unknown),
            (b"MAI", Verb::Unknown),
        ];
        for (word, verb) in cases {
            assert_eq!(Verb::of(word), verb, "{}", word.escape_ascii());
        }
    }

    #[test]
    fn a_group_ends_where_rfc_2920_says() {
        let inside = [Verb::Mail, Verb::Rcpt, Verb::Rset, Verb::Bdat];
        let last = [
            Verb::Ehlo,
            Verb::Data,
            Verb::Vrfy,
            Verb::Expn,
            Verb::Turn,
            Verb::Quit,
            Verb::Noop,
        ];
        assert!(inside.iter().all(|verb| !verb.ends_group()));
        assert!(last.iter().all(|verb| verb.ends_group()));
    }
}
