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
use mail::{from_xtext, lower_case, xtext};

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
/// Fields in which an operator's filter stands, and the name of a file that somebody handed in.
const FILTER: &str = "filter";
const HANDED_IN: &str = "handed_in";
/// Keys of a filter that ask for people.
const ASKS: [&str; 3] = ["to", "from", "user"];
/// Fields in which sentences of ours stand, or replies of servers.
const SENTENCES: [&str; 3] = ["why", "note", "reply"];
/// What stands before the name of a user in a sentence of ours ([`mail::user_shown`]).
const BEFORE_USERS: [&str; 2] = ["user ", "signed in as "];
/// Parameters of MAIL and RCPT that hold an address in xtext, where `+40` is an `@` (RFC 3461 section
/// 4, RFC 4954 section 5).
const IN_XTEXT: [&str; 2] = ["orcpt=", "auth="];
/// Commands that hold a path (RFC 5321 sections 4.1.1.2 and 4.1.1.3, RFC 821 section 3.4).
const WITH_PATH: [&str; 5] = ["MAIL", "RCPT", "SEND", "SOML", "SAML"];
/// Commands that hold a domain, which has a dot (RFC 1985, RFC 2645).
const WITH_DOMAINS: [&str; 2] = ["ETRN", "ATRN"];
/// Commands whose argument says something else: names of hosts, numbers. For a response there is none.
const WITHOUT_PEOPLE: [&str; 10] = [
    "", "HELO", "EHLO", "LHLO", "BDAT", "DATA", "QUIT", "AUTH", "STARTTLS", "RSET",
];
/// Commands that people may stand behind in any form; in all others, too, which nobody knows.
const WITH_PEOPLE: [&str; 4] = ["VRFY", "EXPN", "HELP", "NOOP"];
/// Who is no person.
const POSTMASTER: &str = "postmaster";
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
        match self.plain(text) {
            Cow::Borrowed(text) => self.addresses(text),
            Cow::Owned(text) => Cow::Owned(self.addresses(&text).into_owned()),
        }
    }

    /// The text, with parameters in xtext as plain as xtext can be, and the addresses in them veiled.
    /// One that cannot be read is left out.
    fn plain<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((start, end)) = hidden_in(rest) {
            out.push_str(&rest[..start]);
            match from_xtext(&rest[start..end]) {
                Some(value) => out.push_str(&xtext(&self.parameter(&value))),
                None => out.push_str(CUT),
            }
            rest = &rest[end..];
        }
        if rest.len() == text.len() {
            return Cow::Borrowed(text);
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// The value of ORCPT (RFC 3461 section 4.2) or AUTH (RFC 4954 section 5), without xtext: an
    /// address as it is elsewhere, and all of what has another form.
    fn parameter(&self, value: &str) -> String {
        let (kind, name) = match value.split_once(';') {
            Some((kind, name)) => (&value[..kind.len() + 1], name),
            None => ("", value),
        };
        let plain = name.trim_start_matches('<').trim_end_matches('>');
        let is_mailbox = ["", "rfc822;", "utf-8;"]
            .iter()
            .any(|of| kind.eq_ignore_ascii_case(of));
        let mut out = kind.to_owned();
        match plain.rsplit_once('@') {
            _ if plain.is_empty() || is_veiled(plain) => return value.to_owned(),
            Some((local, of)) if is_mailbox && !of.is_empty() && domain(of) == of => {
                if is_veiled(local) {
                    return value.to_owned();
                }
                self.veil(plain, &mut out);
                out.push('@');
                out.push_str(of);
            }
            _ => self.veil(plain, &mut out),
        }
        out
    }

    fn addresses<'a>(&self, text: &'a str) -> Cow<'a, str> {
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

    /// A recipient or a sender, which may lack a domain; the postmaster is no person, and the null
    /// sender nobody.
    pub fn mailbox(&self, address: &str) -> String {
        match address.eq_ignore_ascii_case(POSTMASTER) {
            true => address.to_owned(),
            false => self.user(address),
        }
    }

    /// The verb of an SMTP command. One that is none may be anything that somebody typed.
    pub fn verb<'a>(&self, verb: &'a str) -> Cow<'a, str> {
        match is_command(verb) || !verb.contains(char::is_alphanumeric) {
            true => verb.into(),
            false => self.user(verb).into(),
        }
    }

    /// The argument of an SMTP command, in which a mailbox may lack a domain.
    pub fn argument<'a>(&self, verb: &str, argument: &'a str) -> Cow<'a, str> {
        let is = |name: &&str| verb.eq_ignore_ascii_case(name);
        let has_dot = || argument.contains('.');
        let named = if WITHOUT_PEOPLE.iter().any(is) || WITH_DOMAINS.iter().any(is) && has_dot() {
            None
        } else if WITH_PATH.iter().any(is) {
            path_in(argument)
        } else {
            // Anything: RFC 5321 section 4.1.1.6 takes names of persons, too.
            let start = argument.len() - argument.trim_start().len();
            Some((start, argument.trim_end().len()))
        };
        let named = named.filter(|(start, end)| start < end);
        let name = named.and_then(|(start, end)| argument.get(start..end));
        let (Some((start, end)), Some(name)) = (named, name) else {
            return self.text(argument);
        };
        if name.contains('@') && !name.contains(char::is_whitespace) {
            return self.text(argument);
        }
        let mut out = argument[..start].to_owned();
        if name.contains('@') {
            self.veil(name, &mut out);
        } else {
            out.push_str(&self.mailbox(name));
        }
        out.push_str(&self.text(&argument[end..]));
        Cow::Owned(out)
    }

    /// A sentence of ours, or the reply of a server: as [`Veil::text`], and in the former the names
    /// of users.
    pub fn sentence<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let is_reply = text.starts_with(|c: char| c.is_ascii_digit()) && is_code(text);
        let (mut out, mut rest) = (String::new(), text);
        while let Some((start, end)) = shown_in(rest).filter(|_| !is_reply) {
            out.push_str(&self.text(&rest[..start]));
            out.push_str(&self.user(&rest[start..end]));
            rest = &rest[end..];
        }
        if out.is_empty() {
            return self.text(text);
        }
        out.push_str(&self.text(rest));
        Cow::Owned(out)
    }

    /// What an operator asks for, as it is printed.
    fn filter(&self, text: &str) -> String {
        let words = text.split_inclusive(' ').map(|word| {
            let (bare, end) = word.split_at(word.trim_end().len());
            match bare.split_once(':') {
                Some((key, value)) if ASKS.contains(&key) => {
                    format!("{key}:{}{end}", self.pattern(value))
                }
                Some((key, _)) if filter::KEYS.contains(&key) => {
                    format!("{}{end}", self.text(bare))
                }
                // The rest of a name in quotes.
                Some(_) | None => format!("{}{end}", self.pattern(bare)),
            }
        });
        words.collect()
    }

    /// A pattern of addresses or names: what stands before the domain, if that is more than `*`.
    fn pattern(&self, value: &str) -> String {
        let bare = value.trim_matches(['<', '>']);
        let (local, domain) = match bare.rsplit_once('@') {
            Some((local, domain)) => (local, format!("@{domain}")),
            None => (bare, String::new()),
        };
        if local.is_empty() || is_veiled(local) {
            return value.to_owned();
        }
        let mut out = value[..value.len() - value.trim_start_matches('<').len()].to_owned();
        self.veil(bare, &mut out);
        out.push_str(&domain);
        out.push_str(&value[value.trim_end_matches('>').len()..]);
        out
    }

    /// The name of a file that somebody handed in, without what stands behind its last dot; a queue id
    /// in front of it stays, and so does its folder.
    fn handed_in(&self, path: &str) -> String {
        let is_quote = |c: char| c == '"' || c == '\\';
        let start = path.rfind('/').map_or(0, |at| at + 1);
        let start = path.len() - path[start..].trim_start_matches(is_quote).len();
        let end = path.trim_end_matches(is_quote).len().max(start);
        let name = &path[start..end];
        let id = name
            .split_once('.')
            .filter(|(id, _)| id.parse::<mail::QueueId>().is_ok());
        let start = start + id.map_or(0, |(id, _)| id.len() + 1);
        let name = &path[start..end];
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        if stem.is_empty() || is_veiled(stem) {
            return path.to_owned();
        }
        let mut out = path[..start].to_owned();
        self.veil(stem, &mut out);
        out.push_str(&path[start + stem.len()..]);
        out
    }

    /// The value of a field of the log, by the field's name.
    pub fn field<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        if USERS.contains(&name) {
            self.user(value).into()
        } else if name == FILTER {
            self.filter(value).into()
        } else if name == HANDED_IN {
            self.handed_in(value).into()
        } else if SENTENCES.contains(&name) {
            self.sentence(value)
        } else {
            self.text(value)
        }
    }

    /// A line of the log: as [`Veil::text`], and as [`Veil::field`] the values of fields in which users
    /// are named, as `user=ann`, `user="ann"` or `"user":"ann"`.
    pub fn line<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let (mut out, mut rest) = (String::new(), line);
        while let Some((name, start, end)) = field_in(rest) {
            out.push_str(&self.text(&rest[..start]));
            out.push_str(&self.field(name, &rest[start..end]));
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
    // A field of a line, whose value is not quoted; a parameter of a command.
    let field = |name: &&str| local.strip_prefix(name)?.strip_prefix('=');
    let parameter = |name: &&str| {
        let begins = local.get(..name.len())?.eq_ignore_ascii_case(name);
        begins.then(|| &local[name.len()..])
    };
    let value = USERS.iter().find_map(field);
    value
        .or_else(|| IN_XTEXT.iter().find_map(parameter))
        .unwrap_or(local)
}

fn is_command(verb: &str) -> bool {
    let known = [&WITH_PATH[..], &WITH_DOMAINS, &WITHOUT_PEOPLE, &WITH_PEOPLE];
    let mut known = known.into_iter().flatten();
    known.any(|known| verb.eq_ignore_ascii_case(known))
}

fn is_veiled(name: &str) -> bool {
    let is_hash = |hash: &str| {
        hash.len() == 2 * HASH_LEN && hash.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    name == CUT || name.strip_prefix(MARK).is_some_and(is_hash)
}

/// Whether a text begins as a reply does: with three digits.
fn is_code(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit());
    end.unwrap_or(text.len()) == 3
}

/// Where in a text the first value stands that is in xtext, and may hide something or have another
/// form than an address has.
fn hidden_in(text: &str) -> Option<(usize, usize)> {
    let mut next = 0;
    let mut words = text.split_inclusive(char::is_whitespace).map(|word| {
        let start = next;
        next += word.len();
        (start, word.trim_end())
    });
    words.find_map(|(start, word)| {
        let begins = |name: &&&str| {
            let begins = word.get(..name.len());
            begins.is_some_and(|begins| begins.eq_ignore_ascii_case(name))
        };
        let name = IN_XTEXT.iter().find(begins)?;
        Some((start + name.len(), start + word.len()))
    })
}

/// Where in the argument of MAIL or RCPT the path stands, without its brackets; none when it is empty.
fn path_in(argument: &str) -> Option<(usize, usize)> {
    let start = argument.find(':')? + 1;
    let start = argument.len() - argument[start..].trim_start().len();
    let (start, is_end): (_, fn(char) -> bool) = match argument[start..].starts_with('<') {
        true => (start + 1, |c| c == '>'),
        false => (start, char::is_whitespace),
    };
    let end = argument[start..].find(is_end);
    let end = end.map_or(argument.len(), |end| start + end);
    (start < end).then_some((start, end))
}

/// Where in a sentence of ours the name of a user stands first. Of one in quotes rather too much than
/// too little: all up to the last quotation mark.
fn shown_in(text: &str) -> Option<(usize, usize)> {
    let begins = |phrase: &&str| {
        let mut found = text.match_indices(*phrase).map(|(at, _)| at);
        let is_word = |at: &usize| !text[..*at].ends_with(char::is_alphanumeric);
        found.find(is_word).map(|at| at + phrase.len())
    };
    let start = BEFORE_USERS.iter().filter_map(begins).min()?;
    let name = &text[start..];
    for quote in ["\\\"", "\""] {
        let Some(quoted) = name.strip_prefix(quote) else {
            continue;
        };
        let start = start + quote.len();
        let end = quoted.rfind(quote).unwrap_or(quoted.len());
        return Some((start, start + end));
    }
    let end = name.find(|c| !mail::is_of_bare_user(c));
    Some((start, end.map_or(text.len(), |end| start + end)))
}

/// Which field in a line of the log stands first of those that may name a user, and where its value
/// does.
fn field_in(line: &str) -> Option<(&'static str, usize, usize)> {
    let begins = |key: &str| line.find(key).map(|at| at + key.len());
    let names = USERS
        .into_iter()
        .chain(SENTENCES)
        .chain([FILTER, HANDED_IN]);
    let starts = names.filter_map(|name| {
        let forms = [format!(" {name}="), format!("\"{name}\":")];
        let start = forms.iter().filter_map(|form| begins(form)).min()?;
        Some((start, name))
    });
    let (start, name) = starts.min()?;
    let Some(quoted) = line[start..].strip_prefix('"') else {
        let end = line[start..].find(char::is_whitespace);
        return Some((name, start, end.map_or(line.len(), |end| start + end)));
    };
    let mut is_escaped = false;
    let end = quoted.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    let end = end.map_or(line.len(), |end| start + 1 + end);
    Some((name, start + 1, end))
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

    #[test]
    fn users_are_veiled_in_sentences_of_ours_and_replies_of_servers_stay() {
        let veil = Veil::cutting();
        let cases = [
            (
                "61 new recipients of user ann in 1 h, more than 50 (gatepost.toml:9)",
                "61 new recipients of user * in 1 h, more than 50 (gatepost.toml:9)",
            ),
            ("user ann may not relay", "user * may not relay"),
            ("relayed: signed in as ann", "relayed: signed in as *"),
            ("user ann@x.example, from b@x", "user *@x.example, from *@x"),
            ("user \"ann lee\" may not relay", "user \"*\" may not relay"),
            ("user \"a\"b\", from b@x", "user \"*\", from *@x"),
            (
                "550 5.1.1 user bob@x is unknown",
                "550 5.1.1 user *@x is unknown",
            ),
            ("250 for the user ann", "250 for the user ann"),
            (
                "2000 messages of user ann in 1 h",
                "2000 messages of user * in 1 h",
            ),
            ("superuser ann", "superuser ann"),
            ("the user ", "the user "),
        ];
        for (text, veiled) in cases {
            assert_eq!(veil.sentence(text), veiled, "{text}");
            let line = format!("m id=1 why={text:?} n=1");
            assert_eq!(veil.line(&line), format!("m id=1 why={veiled:?} n=1"));
            let line = format!(r#"{{"why":{text:?},"n":1}}"#);
            assert_eq!(veil.line(&line), format!(r#"{{"why":{veiled:?},"n":1}}"#));
        }
        let hashed = hashing().sentence("signed in as ann").into_owned();
        assert_eq!(hashed, format!("signed in as {}", hashing().user("ann")));
        assert_eq!(hashing().sentence(&hashed), hashed);
    }

    #[test]
    fn commands_name_people_without_a_domain_and_in_xtext() {
        let veil = Veil::cutting();
        let cases = [
            ("VRFY", " bob", " *"),
            ("vrfy", " <bob@x.example>", " <*@x.example>"),
            ("EXPN", " Bob Smith <bob@x.example> ", " * "),
            ("RCPT", " TO:<bob> NOTIFY=NEVER", " TO:<*> NOTIFY=NEVER"),
            ("RCPT", "TO: bob", "TO: *"),
            ("RCPT", " TO:<Postmaster>", " TO:<Postmaster>"),
            ("MAIL", " FROM:<> SIZE=1", " FROM:<> SIZE=1"),
            ("MAIL", " FROM", " FROM"),
            (
                "RCPT",
                " TO:<a@x> ORCPT=rfc822;bob+40x.example NOTIFY=NEVER",
                " TO:<*@x> ORCPT=rfc822;*@x.example NOTIFY=NEVER",
            ),
            (
                "RCPT",
                " TO:<a@x> orcpt=rfc822;b+2Bob@x",
                " TO:<*@x> orcpt=rfc822;*@x",
            ),
            ("RCPT", " TO:<a+40b@x>", " TO:<*@x>"),
            ("MAIL", " FROM:<a@x> AUTH=bob+40x", " FROM:<*@x> AUTH=*@x"),
            ("MAIL", " FROM:<a@x> AUTH=bob+4", " FROM:<*@x> AUTH=*"),
            ("MAIL", " FROM:<a@x> AUTH=+0D@x", " FROM:<*@x> AUTH=*"),
            ("MAIL", " FROM:<a@x> AUTH=<> X", " FROM:<*@x> AUTH=<> X"),
            ("MAIL", " FROM:<a@x> AUTH=bob", " FROM:<*@x> AUTH=*"),
            (
                "RCPT",
                " TO:<a@x> ORCPT=x400;/c=us/s=bob NOTIFY=NEVER",
                " TO:<*@x> ORCPT=x400;* NOTIFY=NEVER",
            ),
            (
                "RCPT",
                " TO:<a@x> ORCPT=x-id;bob+40x.example",
                " TO:<*@x> ORCPT=x-id;*",
            ),
            (
                "RCPT",
                " TO:<a@x> ORCPT=rfc822;bob+20lee+40x.example",
                " TO:<*@x> ORCPT=rfc822;*@x.example",
            ),
            (
                "RCPT",
                " TO:<a@x> ORCPT=utf-8;b\\x{F6}b@x.example",
                " TO:<*@x> ORCPT=utf-8;*@x.example",
            ),
            ("SEND", " FROM:<bob>", " FROM:<*>"),
            ("HELP", " bob", " *"),
            ("noop", " bob lee", " *"),
            ("ETRN", " bob", " *"),
            ("ETRN", " @x.example", " @x.example"),
            ("BOB", " lee", " *"),
            ("BOB", " ", " "),
            ("EHLO", " bob", " bob"),
            ("", "250 bob", "250 bob"),
        ];
        for (verb, argument, veiled) in cases {
            assert_eq!(veil.argument(verb, argument), veiled, "{verb}{argument}");
        }
        assert_eq!(
            (veil.verb("Rcpt"), veil.verb("BOB")),
            ("Rcpt".into(), "*".into())
        );
        let veil = hashing();
        let plain = veil.text("ORCPT=rfc822;bob@x.example").into_owned();
        assert_eq!(veil.text("ORCPT=rfc822;Bob+40x.example"), plain);
        assert_eq!(veil.mailbox("postmaster"), "postmaster");
        assert_eq!(veil.mailbox("bob"), veil.user("bob"));
    }

    #[test]
    fn what_operators_ask_for_and_names_of_files_name_nobody() {
        let veil = Veil::cutting();
        for (filter, veiled) in [
            (
                "to:<bob@x.example> state:held",
                "to:<*@x.example> state:held",
            ),
            ("from:<bo*@x*> user:bob", "from:<*@x*> user:*"),
            ("to:<bob*>", "to:<*>"),
            (
                "to:<*@x.example> from:<> user:*",
                "to:<*@x.example> from:<> user:*",
            ),
            (r#"to:<\"bob lee\"@x.example>"#, "to:<* *@x.example>"),
            (
                "client:192.0.2.0/24 size:>1B id:abc",
                "client:192.0.2.0/24 size:>1B id:abc",
            ),
            ("", ""),
        ] {
            assert_eq!(veil.field("filter", filter), veiled, "{filter}");
            let line = format!("changes filter=\"{filter}\" by=\"ann\"");
            let expected = format!("changes filter=\"{veiled}\" by=\"ann\"");
            assert_eq!(veil.line(&line), expected);
        }
        let id = mail::QueueId::new(mail::Timestamp::default(), 7);
        for (name, veiled) in [
            ("bob.eml", "*.eml".to_owned()),
            ("\"bob lee.v2.eml\"", "\"*.eml\"".to_owned()),
            (
                &format!("/var/bad/{id}.bob.eml"),
                format!("/var/bad/{id}.*.eml"),
            ),
            ("\\\"bob\\\"", "\\\"*\\\"".to_owned()),
            ("", String::new()),
        ] {
            assert_eq!(veil.field("handed_in", name), veiled, "{name}");
        }
        let hashed = hashing().field("filter", "to:<Bob@x.example>").into_owned();
        assert_eq!(hashed, format!("to:<{}>", hashing().text("bob@x.example")));
        assert_eq!(hashing().field("filter", &hashed), hashed);
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
        fn nothing_panics(
            text in "([\\\\\"@<a\u{e9} =.~\\[\\]:,+]| orcpt=|user | why=){0,40}",
        ) {
            for veil in [hashing(), Veil::cutting()] {
                let (_text, _line, _user) = (veil.text(&text), veil.line(&text), veil.user(&text));
                let _sentence = veil.sentence(&text);
                for verb in ["VRFY", "RCPT", "EHLO", "ETRN"] {
                    let _argument = veil.argument(verb, &text);
                }
                for name in ["filter", "handed_in"] {
                    let _field = veil.field(name, &text);
                }
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
