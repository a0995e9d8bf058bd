//! Mail addresses in text, made unrecognisable: for logs of those who must not keep who wrote to
//! whom.
//!
//! What stands before the `@` is replaced, by a keyed hash of the address or by `*`; the domain
//! stays, as it says whose server is meant. A hash is the same for the same address, whatever its
//! case, so that what happened to one can be followed, and without the key nobody can try names.
//! Text is looked through for anything that has the form of an address, so that one within a reply
//! of a server is found as well as one in a field of its own.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::hmac;
use mail::lower_case;

/// Octets of a key.
pub const KEY_LEN: usize = 32;
/// What a hash begins with. It may stand in an address (RFC 5321 section 4.1.2, `atext`).
const MARK: char = '~';
/// Octets of a hash, of which each is two digits: of a million addresses no two are alike but with
/// one chance in 500.
const HASH_LEN: usize = 6;
/// What stands in place of what is cut.
const CUT: &str = "*";
/// Fields of the log in which names of users stand.
const USERS: [&str; 2] = ["user", "known_as"];
/// What no local part that is not quoted has in it (RFC 5321 section 4.1.2).
const SPECIALS: &str = "\"<>(),;:[]@";

/// How addresses are made unrecognisable.
pub struct Veil {
    /// `None`: they are cut.
    key: Option<hmac::Key>,
}

/// Never the key.
impl fmt::Debug for Veil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = self.key.as_ref().map_or("cut", |_| "hash");
        f.debug_tuple("Veil").field(&how).finish()
    }
}

impl Veil {
    /// By a hash under this key: `~4f2a9c01b3d7@example.com`.
    pub fn hashing(key: &[u8; KEY_LEN]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        Self { key: Some(key) }
    }

    /// By cutting off what stands before the domain: `*@example.com`.
    pub fn cutting() -> Self {
        Self { key: None }
    }

    /// The text, with each address in it made unrecognisable. An address that was veiled before
    /// stays as it is.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = String::new();
        let (mut done, mut next) = (0, 0);
        while let Some(found) = text[next..].find('@') {
            let at = next + found;
            next = at + 1;
            let domain = domain(&text[next..]);
            let local = local(&text[done..at]);
            if domain.is_empty() || local.is_empty() || is_veiled(local) {
                continue;
            }
            out.push_str(&text[done..at - local.len()]);
            self.veil(&format!("{local}@{domain}"), &mut out);
            done = at;
        }
        if done == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[done..]);
        Cow::Owned(out)
    }

    /// The name of a user, which may be an address or not.
    pub fn user(&self, name: &str) -> String {
        let text = self.text(name);
        if *text != *name || name.is_empty() || is_veiled(name) || name.contains('@') {
            return text.into_owned();
        }
        let mut out = String::new();
        self.veil(name, &mut out);
        out
    }

    /// The value of a field of the log, by the field's name.
    pub fn field<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        match USERS.contains(&name) {
            true => self.user(value).into(),
            false => self.text(value),
        }
    }

    /// A line of the log: as [`Veil::text`], and the values of fields in which users are named, as
    /// `user=ann`, `user="ann"` or `"user":"ann"`.
    pub fn line<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let (mut out, mut rest) = (String::new(), line);
        while let Some((start, end)) = user_in(rest) {
            out.push_str(&self.text(&rest[..start]));
            out.push_str(&self.user(&rest[start..end]));
            rest = &rest[end..];
        }
        if out.is_empty() {
            return self.text(line);
        }
        out.push_str(&self.text(rest));
        Cow::Owned(out)
    }

    fn veil(&self, name: &str, out: &mut String) {
        let Some(key) = &self.key else {
            out.push_str(CUT);
            return;
        };
        let hash = hmac::sign(key, lower_case(name).as_bytes());
        out.push(MARK);
        for octet in hash.as_ref().iter().take(HASH_LEN) {
            out.extend(
                [octet >> 4, octet & 15]
                    .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])),
            );
        }
    }
}

/// The domain, or the address of a host in brackets, at the start of what stands behind an `@`.
fn domain(behind: &str) -> &str {
    let is_domain = |c: char| c.is_alphanumeric() || "-._".contains(c);
    let literal = behind.strip_prefix('[').and_then(|rest| rest.find(']'));
    let end = literal.map_or_else(|| behind.find(|c| !is_domain(c)), |end| Some(end + 2));
    behind[..end.unwrap_or(behind.len())].trim_end_matches('.')
}

/// The local part at the end of what stands before an `@`. Of one in quotes rather too much than too
/// little: all of the text in which it stands, back to where that was quoted in turn.
fn local(before: &str) -> &str {
    if let Some(quoted) = before.strip_suffix('"') {
        let is_escaped = |at: usize| before[..at].ends_with('\\');
        let mut quotes = quoted.rmatch_indices('"').map(|(at, _)| at);
        let start = match quotes.find(|at| !is_escaped(*at)) {
            Some(at) if quoted.ends_with('\\') => at + 1,
            Some(at) => at,
            None => 0,
        };
        return &before[start..];
    }
    let is_local = |c: char| !c.is_whitespace() && !c.is_control() && !SPECIALS.contains(c);
    let start = before.rfind(|c| !is_local(c));
    let start = start.map_or(0, |at| before.ceil_char_boundary(at + 1));
    let local = before[start..].trim_start_matches(['\'', '`']);
    // A field of a line, whose value is not quoted.
    let field = |name: &&str| local.strip_prefix(name)?.strip_prefix('=');
    USERS.iter().find_map(field).unwrap_or(local)
}

fn is_veiled(name: &str) -> bool {
    let is_hash = |hash: &str| {
        hash.len() == 2 * HASH_LEN && hash.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    name == CUT || name.strip_prefix(MARK).is_some_and(is_hash)
}

/// Where in a line of the log the name of a user stands first.
fn user_in(line: &str) -> Option<(usize, usize)> {
    let begins = |key: &str| line.find(key).map(|at| at + key.len());
    let forms = USERS.map(|name| [format!(" {name}="), format!("\"{name}\":")]);
    let starts = forms.iter().flatten().filter_map(|form| begins(form));
    let start = starts.min()?;
    let Some(quoted) = line[start..].strip_prefix('"') else {
        let end = line[start..].find(char::is_whitespace);
        return Some((start, end.map_or(line.len(), |end| start + end)));
    };
    let mut is_escaped = false;
    let end = quoted.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    let end = end.map_or(line.len(), |end| start + 1 + end);
    Some((start + 1, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashing() -> Veil {
        Veil::hashing(&[7; KEY_LEN])
    }

    #[test]
    fn the_domain_stays_and_the_same_address_is_the_same() {
        let veil = hashing();
        let bob = veil.text("bob@example.com");
        let (hash, domain) = bob.split_once('@').unwrap();
        assert_eq!(domain, "example.com");
        assert!(is_veiled(hash), "{hash}");
        assert_eq!(veil.text("BOB@Example.COM").to_lowercase(), *bob);
        assert_eq!(veil.text("bob@example.com."), format!("{bob}."));
        assert_eq!(veil.text(&bob), bob, "not hashed twice");
        assert_ne!(veil.text("ann@example.com"), bob);
        assert_ne!(veil.text("bob@example.net").split('@').next(), Some(hash));
        let other = Veil::hashing(&[8; KEY_LEN]);
        assert_ne!(other.text("bob@example.com"), bob, "another key");
    }

    #[test]
    fn an_address_is_found_wherever_it_stands() {
        let veil = Veil::cutting();
        let cases = [
            (
                "550 5.1.1 <bob@x.example>: unknown",
                "550 5.1.1 <*@x.example>: unknown",
            ),
            (
                " TO:<bob+tag@x.example> NOTIFY=NEVER",
                " TO:<*@x.example> NOTIFY=NEVER",
            ),
            (
                "user 'bob@x.example' not found",
                "user '*@x.example' not found",
            ),
            ("\"a b\"@[192.0.2.1]", "*@[192.0.2.1]"),
            ("<\"a\\\"b\"@x.example>", "<*@x.example>"),
            (r#"to="\"a b\"@x.example" n=1"#, r#"to="*@x.example" n=1"#),
            (
                r#"{"to":"\"a\\\"b\"@x.example"}"#,
                r#"{"to":"*@x.example"}"#,
            ),
            ("b\u{fc}cher@b\u{fc}cher.example", "*@b\u{fc}cher.example"),
            (
                "a@b.example,c@d.example;@e.example",
                "*@b.example,*@d.example;@e.example",
            ),
            ("prvs=1=bob@x.example", "*@x.example"),
            ("a@b@c.example", "*@*@c.example"),
            (
                "bob @ home, *@x.example, @, a@",
                "bob @ home, *@x.example, @, a@",
            ),
            ("", ""),
        ];
        for (text, veiled) in cases {
            assert_eq!(veil.text(text), veiled, "{text}");
        }
    }

    #[test]
    fn users_are_veiled_where_a_field_of_the_log_names_them() {
        let veil = Veil::cutting();
        let cases = [
            (r#"signed in user="ann" n=1"#, r#"signed in user="*" n=1"#),
            ("refused user=ann why=1", "refused user=* why=1"),
            ("refused user=ann@x.example", "refused user=*@x.example"),
            (
                r#"{"user":"a\"n","to":"b@x"}"#,
                r#"{"user":"*","to":"*@x"}"#,
            ),
            ("unknown user", "unknown user"),
            (
                r#"wrong sign-in user="ann@x.example" known_as="ann" n=1"#,
                r#"wrong sign-in user="*@x.example" known_as="*" n=1"#,
            ),
            (
                r#"{"user":"ann@x.example","known_as":"ann"}"#,
                r#"{"user":"*@x.example","known_as":"*"}"#,
            ),
            (
                "refused known_as=ann@x.example",
                "refused known_as=*@x.example",
            ),
            (
                r#"hello="x user=\"" user="ann""#,
                r#"hello="x user=* user="*""#,
            ),
        ];
        for (line, veiled) in cases {
            assert_eq!(veil.line(line), veiled, "{line}");
        }
        let hashed = hashing().user("ann");
        assert_eq!(hashing().user(&hashed), hashed);
        assert!(is_veiled(&hashed), "{hashed}");
    }

    proptest! {
        #[test]
        fn no_local_part_is_left(
            before in "[ -~\u{e9}]{0,20}",
            local in "[a-zA-Z0-9!#$%&*+/=?^_{|}~.-]{3,12}",
            behind in "[ -~\u{e9}]{0,20}",
        ) {
            prop_assume!(!is_veiled(&local));
            let text = format!("{before}<{local}@x.example>{behind}");
            let around = format!("{before}{behind}x.example");
            for veil in [hashing(), Veil::cutting()] {
                let veiled = veil.line(&text);
                prop_assert!(!veiled.contains(&format!("<{local}@")), "{veiled}");
            }
            let cut = Veil::cutting().line(&text).into_owned();
            prop_assert!(around.contains(&local) || !cut.contains(&local), "{cut}");
        }

        #[test]
        fn nothing_panics(text in "[\\\\\"@<a\u{e9} =.~\\[\\]:,]{0,40}") {
            for veil in [hashing(), Veil::cutting()] {
                let (_text, _line, _user) = (veil.text(&text), veil.line(&text), veil.user(&text));
            }
        }

        #[test]
        fn what_is_veiled_stays(local in "[a-z0-9.~*+-]{1,20}", domain in "[a-z]{1,9}") {
            let address = format!("{local}@{domain}.example");
            for veil in [hashing(), Veil::cutting()] {
                let once = veil.text(&address).into_owned();
                prop_assert_eq!(veil.text(&once), &*once);
                let user = veil.user(&local);
                prop_assert_eq!(veil.user(&user), &*user);
            }
        }
    }
}
