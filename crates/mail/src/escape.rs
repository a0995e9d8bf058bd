use std::fmt;

/// Shows text from a peer so that it can stand on one line of a log or terminal.
///
/// Control characters (CR, LF, ESC and the C1 set among them) are written as `\x1b`-style escapes,
/// so no peer can forge a log line or drive a terminal. Printable Unicode passes as it is.
pub fn escaped(text: &str) -> impl fmt::Display + '_ {
    Escaped(text)
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_dangerous) {
            f.write_str(&rest[..at])?;
            let mut following = rest[at..].chars();
            if let Some(c) = following.next() {
                write!(f, "\\x{:02x}", c as u32)?;
            }
            rest = following.as_str();
        }
        f.write_str(rest)
    }
}

/// The name of a user within a sentence: with its controls escaped, and in quotation marks where one
/// could not see where it ends.
pub fn user_shown(name: &str) -> impl fmt::Display + '_ {
    UserShown(name)
}

struct UserShown<'a>(&'a str);

impl fmt::Display for UserShown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = escaped(self.0);
        match !self.0.is_empty() && self.0.chars().all(is_of_bare_user) {
            true => write!(f, "{name}"),
            false => write!(f, "\"{name}\""),
        }
    }
}

/// Whether this may stand in the name of a user that is in no quotation marks.
pub fn is_of_bare_user(c: char) -> bool {
    !c.is_whitespace() && !is_dangerous(c) && !",;()\"\\".contains(c)
}

/// Controls, and the marks that reorder what a terminal shows.
pub fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_cannot_reach_a_terminal() {
        assert_eq!(
            escaped("a\r\nb\x1b[2J\u{9b}").to_string(),
            "a\\x0d\\x0ab\\x1b[2J\\x9b"
        );
        assert_eq!(escaped("ünï code").to_string(), "ünï code");
    }

    #[test]
    fn one_sees_where_the_name_of_a_user_ends() {
        for (name, shown) in [
            ("ann", "ann"),
            ("ann@x.example", "ann@x.example"),
            ("ann lee", "\"ann lee\""),
            ("a,b", "\"a,b\""),
            ("a\x1b", "\"a\\x1b\""),
            ("", "\"\""),
        ] {
            assert_eq!(user_shown(name).to_string(), shown);
        }
    }
}
