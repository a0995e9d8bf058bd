use std::borrow::Cow;
use std::ops::Range;

use mail::Domain;

use crate::raw_field::RawField;

/// What one check came to, as an `Authentication-Results` field says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'a> {
    method: &'static str,
    result: &'static str,
    /// For people; a stranger's words may be in it.
    comment: Cow<'a, str>,
    properties: Vec<(&'static str, Cow<'a, str>)>,
}

const NAME: &str = "Authentication-Results";

/// Octets of a line, if they can be had: a word that is longer stands alone.
const LINE_LEN: usize = 78;
/// Octets of a comment or a value: strangers' terms and names could be of any length.
const TEXT_LEN_MAX: usize = 255;

impl<'a> Statement<'a> {
    fn new(method: &'static str, result: &'static str) -> Self {
        Self {
            method,
            result,
            comment: Cow::Borrowed(""),
            properties: Vec::new(),
        }
    }

    /// SPF by the domain of the sender (RFC 8601 section 2.7.2).
    pub fn spf_of_sender(result: &'static str, domain: impl Into<Cow<'a, str>>) -> Self {
        Self::new("spf", result).with("smtp.mailfrom", domain)
    }

    /// SPF by the name of HELO, where there was no sender.
    pub fn spf_of_helo(result: &'static str, name: impl Into<Cow<'a, str>>) -> Self {
        Self::new("spf", result).with("smtp.helo", name)
    }

    /// A DKIM signature, by its domain, selector, algorithm, and the beginning of its `b=`, which
    /// tells it from others (RFC 6008); what is empty is left out. A message without signatures has
    /// the result `none`, and nothing of all that.
    pub fn dkim(
        result: &'static str,
        domain: impl Into<Cow<'a, str>>,
        selector: impl Into<Cow<'a, str>>,
        algorithm: impl Into<Cow<'a, str>>,
        begins: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self::new("dkim", result)
            .with("header.d", domain)
            .with("header.s", selector)
            .with("header.a", algorithm)
            .with("header.b", begins)
    }

    /// DMARC by the domain of the author, with the policy that it asks for; what is empty is left out.
    pub fn dmarc(
        result: &'static str,
        author: impl Into<Cow<'a, str>>,
        policy: &'static str,
    ) -> Self {
        Self::new("dmarc", result)
            .with("header.from", author)
            .with("policy.dmarc", policy)
    }

    /// The chain of those who passed the message on, with the first of them whose signature of it
    /// holds, where that is known (RFC 8617 section 10.1).
    pub fn arc(result: &'static str, oldest_pass: Option<usize>) -> Self {
        let oldest = oldest_pass.map(|instance| instance.to_string());
        Self::new("arc", result).with("header.oldest-pass", oldest.unwrap_or_default())
    }

    /// With a comment: how the result came to be.
    pub fn because(self, comment: impl Into<Cow<'a, str>>) -> Self {
        Self {
            comment: comment.into(),
            ..self
        }
    }

    fn with(mut self, property: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.properties.push((property, value));
        }
        self
    }

    /// The words between which a line may be broken.
    fn words(&self) -> Vec<String> {
        let mut words = vec![format!("{}={}", self.method, self.result)];
        if !self.comment.is_empty() {
            let comment = format!("({})", in_comment(&self.comment));
            words.extend(
                comment
                    .split(' ')
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned),
            );
        }
        for (property, value) in &self.properties {
            words.push(format!("{property}={}", as_value(value)));
        }
        words
    }
}

/// The `Authentication-Results` field in which the relay called `id` says what its checks came to,
/// folded, ending in CRLF, and in ASCII (RFC 8601 section 2.2).
pub fn authentication_results_field(id: &Domain, statements: &[Statement<'_>]) -> String {
    let mut field = format!("{NAME}: {id}");
    if statements.is_empty() {
        field.push_str("; none");
    }
    for statement in statements {
        field.push(';');
        let mut room = 0;
        for word in statement.words() {
            if word.len() < room {
                field.push(' ');
                room -= 1 + word.len();
            } else {
                field.push_str("\r\n\t");
                room = LINE_LEN.saturating_sub(1 + word.len());
            }
            field.push_str(&word);
        }
    }
    field.push_str("\r\n");
    field
}

/// The text of a comment: parentheses and backslashes are escaped, and what is not printable ASCII
/// could end the field.
fn in_comment(text: &str) -> String {
    let mut comment = String::new();
    for c in cut(text).chars() {
        match c {
            '(' | ')' | '\\' => comment.extend(['\\', c]),
            _ => comment.push(shown(c)),
        }
    }
    comment
}

/// A value: as it is if it can stand so (RFC 2045 `token`), else in quotes.
fn as_value(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_LEN_MAX && !text.is_empty() && text.bytes().all(is_of_token) {
        return Cow::Borrowed(text);
    }
    let mut value = String::from('"');
    for c in cut(text).chars() {
        match c {
            '"' | '\\' => value.extend(['\\', c]),
            _ => value.push(shown(c)),
        }
    }
    value.push('"');
    Cow::Owned(value)
}

fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(TEXT_LEN_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn shown(c: char) -> char {
    if matches!(c, ' '..='~') { c } else { '?' }
}

fn is_of_token(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet)
}

/// Where in a header those `Authentication-Results` fields stand that say they come from `id`.
///
/// RFC 8601 section 5: what arrives under our own name was put there by somebody else, and "MUST be
/// removed", as readers behind us believe it. A field whose beginning follows no grammar, so that
/// readers may differ about it, counts if our name is anywhere in it.
pub fn results_that_claim(id: &Domain, header: &[u8]) -> Vec<Range<usize>> {
    let mut claims = Vec::new();
    let mut at = 0;
    for field in RawField::all(header) {
        let end = at + field.raw.len();
        if field.is(NAME) && is_claim(id, field.value) {
            claims.push(at..end);
        }
        at = end;
    }
    claims
}

/// The header without the fields of [`results_that_claim`]; all other octets stay.
pub fn without_results_that_claim<'a>(id: &Domain, header: &'a [u8]) -> Cow<'a, [u8]> {
    let claims = results_that_claim(id, header);
    if claims.is_empty() {
        return Cow::Borrowed(header);
    }
    let mut kept = Vec::with_capacity(header.len());
    let mut from = 0;
    for claim in claims {
        kept.extend_from_slice(&header[from..claim.start]);
        from = claim.end;
    }
    kept.extend_from_slice(&header[from..]);
    Cow::Owned(kept)
}

fn is_claim(id: &Domain, value: &[u8]) -> bool {
    match server(value) {
        Some((server, _)) => {
            let server = String::from_utf8_lossy(&server);
            let name = server.strip_suffix('.').unwrap_or(&server);
            Domain::parse(name).is_ok_and(|name| name == *id)
        }
        None => {
            let is_plain = |octet: &u8| !octet.is_ascii_whitespace() && !b"\"\\".contains(octet);
            let mut plain: Vec<u8> = value.iter().copied().filter(is_plain).collect();
            plain.make_ascii_lowercase();
            memchr::memmem::find(&plain, id.as_str().as_bytes()).is_some()
        }
    }
}

/// The authserv-id at the beginning of a value, and what follows it from the first semicolon on; `None`
/// if what is there follows no grammar.
pub(crate) fn server(value: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let value = behind_comments(value)?;
    let (server, rest) = match value.split_first()? {
        (b'"', quoted) => unquoted(quoted)?,
        _ => {
            // RFC 6532 lets names beyond ASCII be tokens.
            let is_of_name = |octet: u8| is_of_token(octet) || !octet.is_ascii();
            let end = value.iter().position(|octet| !is_of_name(*octet));
            let (name, rest) = value.split_at(end.unwrap_or(value.len()));
            (name.to_vec(), rest)
        }
    };
    let rest = behind_comments(rest)?;
    // The version may follow.
    let version_end = rest.iter().position(|octet| !octet.is_ascii_digit());
    let rest = behind_comments(&rest[version_end.unwrap_or(rest.len())..])?;
    let is_whole = !server.is_empty() && matches!(rest.first(), None | Some(b';'));
    is_whole.then_some((server, rest))
}

/// What follows blanks, line ends and comments; `None` if a comment does not end.
pub(crate) fn behind_comments(value: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_usize;
    let mut octets = value.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b'\\' if depth > 0 => {
                octets.next();
            }
            _ if depth > 0 || octet.is_ascii_whitespace() => {}
            _ => return Some(&value[at..]),
        }
    }
    (depth == 0).then_some(&[])
}

/// The text of a quoted string whose opening quote is gone, and what follows it; `None` if it does
/// not end. Line ends within are those of folding (RFC 5322 section 3.2.4).
pub(crate) fn unquoted(quoted: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    let mut octets = quoted.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => return Some((text, &quoted[at + 1..])),
            b'\\' => text.push(*octets.next()?.1),
            b'\r' | b'\n' => {}
            _ => text.push(*octet),
        }
    }
    None
}

#[cfg(test)]
mod tests;
