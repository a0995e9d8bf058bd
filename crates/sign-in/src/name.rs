//! One spelling of names and passwords, so that what was stored and what is typed compare equal.

use std::borrow::Cow;

/// The longest user name, in octets.
pub const NAME_OCTETS_MAX: usize = 254;
/// The longest password, in octets.
pub const PASSWORD_OCTETS_MAX: usize = 1024;

/// The one spelling of a user's name: SASLprep (RFC 4013), lower case and single blanks, as nobody
/// tells two users apart by these. None for a name that cannot be one: empty, too long, with
/// control characters.
pub fn prepare_name(raw: &str) -> Option<String> {
    if raw.len() > NAME_OCTETS_MAX {
        return None;
    }
    let prepared = stringprep::saslprep(raw).ok()?.to_lowercase();
    // A directory takes several blanks for one, and none for those at the ends (RFC 4518 section
    // 2.6.1): one user would have names without number, each with failures and rates of its own.
    let words: Vec<&str> = prepared
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect();
    let name = words.join(" ");
    let fits = !name.is_empty() && name.len() <= NAME_OCTETS_MAX;
    (fits && !name.contains(char::is_control)).then_some(name)
}

/// The one spelling of a password. None for one that cannot be: empty, too long, no UTF-8, with a
/// NUL.
///
/// SASLprep knows only Unicode 3.2 and refuses newer characters, emoji among them; such a password
/// stays as it was typed.
pub(crate) fn prepare_password(raw: &[u8]) -> Option<Cow<'_, str>> {
    let raw = std::str::from_utf8(raw).ok()?;
    if raw.len() > PASSWORD_OCTETS_MAX || raw.contains('\0') {
        return None;
    }
    let password = stringprep::saslprep(raw).unwrap_or(Cow::Borrowed(raw));
    (!password.is_empty()).then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        for (raw, expected) in [
            ("ann@example.com", Some("ann@example.com")),
            ("Ann@Example.COM", Some("ann@example.com")),
            ("I\u{ad}X", Some("ix")),
            ("\u{2168}", Some("ix")),
            (" Ann\u{a0}  Smith ", Some("ann smith")),
            ("  ", None),
            ("", None),
            ("\u{ad}", None),
            ("a\nb", None),
            ("a\0b", None),
        ] {
            assert_eq!(prepare_name(raw).as_deref(), expected, "{raw:?}");
        }
        assert!(prepare_name(&"x".repeat(NAME_OCTETS_MAX)).is_some());
        assert!(prepare_name(&"x".repeat(NAME_OCTETS_MAX + 1)).is_none());
    }

    #[test]
    fn passwords_keep_their_case_and_newer_characters() {
        for (raw, expected) in [
            ("Secret", Some("Secret")),
            ("a\u{a0}b", Some("a b")),
            ("\u{1f980}", Some("\u{1f980}")),
            ("", None),
            ("a\0b", None),
        ] {
            assert_eq!(
                prepare_password(raw.as_bytes()).as_deref(),
                expected,
                "{raw:?}"
            );
        }
        assert!(prepare_password(b"\xff").is_none());
        assert!(prepare_password(&[b'x'; PASSWORD_OCTETS_MAX]).is_some());
        assert!(prepare_password(&[b'x'; PASSWORD_OCTETS_MAX + 1]).is_none());
    }
}
