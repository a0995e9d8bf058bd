//! Changes to a message, as edits of ranges of its octets: all else stays as it came.
//!
//! An edit is made of what [`parts`](crate::parts) has found, and keeps to the part's own charset and
//! transfer encoding. What cannot be done without harm is refused, with the reason.

use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use encoding_rs::Encoding;

use crate::encoding::{Decoded, TransferEncoding};
use crate::field::{self, RawField, Which};
use crate::octets::{Octets, PIECE, Shared};
use crate::quoting::{base64_lines, encoded_word, quoted_printable};
use crate::structure::{content_types, is_message};
use crate::{Part, PartNumber, Rope, Seal};

/// Octets that take the place of others; an empty range inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What goes.
    pub range: Range<usize>,
    /// What comes.
    pub with: Vec<u8>,
}

/// Why a change would do harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotEdit {
    /// The message has no such part.
    NoSuchPart,
    /// It is signed or encrypted.
    Sealed(Seal),
    /// It begins with no text.
    NoText,
    /// Its transfer encoding is broken or unknown.
    Encoding,
    /// Its charset does not have the letters, or is unknown.
    Charset,
    /// It would have to be written anew as a whole, and is too large for that.
    TooLarge,
}

impl fmt::Display for CannotEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchPart => "there is no such part",
            Self::Sealed(Seal::Signed) => "it is signed",
            Self::Sealed(Seal::Encrypted) => "it is encrypted",
            Self::NoText => "it does not begin with a text",
            Self::Encoding => "its transfer encoding cannot be read",
            Self::Charset => "its charset does not have the letters",
            Self::TooLarge => "it is too large to be written anew",
        })
    }
}

/// The message with all edits made. One that lies in another, or overlaps one before it, is left out:
/// what it would change is gone.
pub fn apply(message: &dyn Octets, mut edits: Vec<Edit>) -> Rope<'_> {
    edits.sort_by_key(|edit| (edit.range.start, Reverse(edit.range.end)));
    let mut edited = Rope::default();
    let mut at = 0;
    for edit in edits {
        if edit.range.start < at || edit.range.end > message.size() {
            continue;
        }
        edited.push_from(message, at..edit.range.start);
        edited.push(edit.with);
        at = edit.range.end;
    }
    edited.push_from(message, at..message.size());
    edited
}

/// Puts a text in the place of a part, which says what was there. `parts` are those of the message.
///
/// A part that is a whole message, the top one too, keeps its header but for what tells its type. A
/// signature over the part does not hold any longer.
pub fn remove_part(
    message: &dyn Octets,
    parts: &[Part],
    number: PartNumber,
    note: &str,
) -> Result<Vec<Edit>, CannotEdit> {
    let part = parts.get(number.0 as usize).ok_or(CannotEdit::NoSuchPart)?;
    let parent = part.parent.and_then(|parent| parts.get(parent.0 as usize));
    let is_in_multipart = parent.is_some_and(|parent| !is_message(&parent.content_type));
    let text = quoted_printable(&with_line_ends(note));
    if is_in_multipart {
        let range = part.whole();
        // Between two boundaries with nothing between them, not even a line end of the second.
        let end: &[u8] = if range.is_empty() { b"\r\n" } else { b"" };
        let with = [type_fields(TEXT_TYPE).as_bytes(), b"\r\n", &text, end].concat();
        return Ok(vec![Edit { range, with }]);
    }
    let mut edits = retyped(message, part, TEXT_TYPE);
    let is_parted = empty_line_len(message, part) > 0;
    let empty_line: &[u8] = if is_parted { b"" } else { b"\r\n" };
    let (mut range, header_end) = (part.body.clone(), header_end(message, part));
    // Its last line ends, unless what follows is a boundary with a line end of its own.
    let is_last = part.parent.is_none() || header_end > range.end;
    if header_end > range.end {
        range = header_end..header_end;
    }
    let end: &[u8] = if is_last { b"\r\n" } else { b"" };
    let with = [empty_line, &text, end].concat();
    edits.push(Edit { range, with });
    Ok(edits)
}

/// What is put under the text of a message. An empty text is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Where the text is plain; lines end in LF.
    pub text: Arc<str>,
    /// Where it is HTML.
    pub html: Arc<str>,
    /// Into what is signed, too (S/MIME, PGP): the signature does not hold any longer.
    pub in_signed: bool,
}

/// Puts a footer under the text of a message, and each of its forms in its place where there are
/// alternatives.
pub fn add_footer(
    message: &dyn Octets,
    parts: &[Part],
    footer: &Footer,
) -> Result<Vec<Edit>, CannotEdit> {
    let Footer {
        text,
        html,
        in_signed,
    } = footer;
    let mut edits = Vec::new();
    for part in main_texts(parts, *in_signed)? {
        match part.content_type.as_str() {
            "text/html" if !html.is_empty() => edits.push(html_footer(message, part, html)?),
            "text/plain" if !text.is_empty() => edits.extend(text_footer(message, part, text)?),
            _ => {}
        }
    }
    Ok(edits)
}

/// Puts a tag before the subject. None where the subject has it already.
pub fn tag_subject(message: &dyn Octets, parts: &[Part], tag: &str) -> Option<Edit> {
    let top = parts.first()?;
    let mut fields = top.fields.iter();
    let word = |text: &str| {
        if text.is_ascii() {
            text.to_owned()
        } else {
            encoded_word(text)
        }
    };
    let Some(subject) = fields.find(|field| field.which == Which::Subject) else {
        let end = fields_end(message, top);
        return Some(Edit {
            range: end..end,
            with: format!("Subject: {}\r\n", word(tag)).into_bytes(),
        });
    };
    let value = message.copy(subject.value.clone());
    if field::decoded(&value).starts_with(tag) {
        return None;
    }
    let blanks = value
        .iter()
        .take_while(|octet| matches!(octet, b' ' | b'\t'))
        .count();
    let start = subject.value.start;
    // A blank between two encoded words is not shown, so it is part of the first.
    let tag = if tag.is_ascii() {
        tag.to_owned()
    } else {
        encoded_word(&format!("{tag} "))
    };
    Some(Edit {
        range: start..start + blanks,
        with: format!(" {tag} ").into_bytes(),
    })
}

const TEXT_TYPE: &str = "text/plain; charset=utf-8";

fn type_fields(content_type: &str) -> String {
    format!("Content-Type: {content_type}\r\nContent-Transfer-Encoding: quoted-printable\r\n")
}

/// The edits that make a part a text in quoted-printable: its header keeps all fields but those of
/// MIME.
fn retyped(message: &dyn Octets, part: &Part, content_type: &str) -> Vec<Edit> {
    let whole = |field: &RawField| field.name.start..field.value.end;
    let mut edits: Vec<Edit> = part
        .fields
        .iter()
        .filter(|field| field.is_of_mime())
        .map(|field| Edit {
            range: whole(field),
            with: Vec::new(),
        })
        .collect();
    let mut with = type_fields(content_type);
    if part.parent.is_none()
        && !part
            .fields
            .iter()
            .any(|field| field.which == Which::MimeVersion)
    {
        with.insert_str(0, "MIME-Version: 1.0\r\n");
    }
    match edits.first_mut() {
        Some(first) => first.with = with.into_bytes(),
        None => {
            let end = fields_end(message, part);
            edits.push(Edit {
                range: end..end,
                with: with.into_bytes(),
            });
        }
    }
    edits
}

/// Where the last field of a header ends.
fn fields_end(message: &dyn Octets, part: &Part) -> usize {
    header_end(message, part) - empty_line_len(message, part)
}

/// Where a header ends, with the end of its last line: a boundary right behind it has that for its own.
fn header_end(message: &dyn Octets, part: &Part) -> usize {
    let Range { start, end } = part.header;
    let around = message.copy(start.max(end.saturating_sub(1))..end + 2);
    match &*around {
        [last, b'\r', b'\n'] if start < end && *last != b'\n' => end + 2,
        [last, b'\n', ..] if start < end && *last != b'\n' => end + 1,
        _ => end,
    }
}

/// How long the empty line is that ends a header; there may be none.
fn empty_line_len(message: &dyn Octets, part: &Part) -> usize {
    let Range { start, end } = part.header;
    let last = message.copy(start.max(end.saturating_sub(3))..end);
    let is_all = end - start <= 2;
    [&b"\r\n"[..], b"\n"]
        .into_iter()
        .find(|line| {
            let before = last.strip_suffix(*line);
            before.is_some_and(|before| before.ends_with(b"\n") || before.is_empty() && is_all)
        })
        .map_or(0, <[u8]>::len)
}

/// Octets of a text for a message: each line with CRLF, none behind the last.
fn with_line_ends(text: &str) -> Vec<u8> {
    text.lines().collect::<Vec<_>>().join("\r\n").into_bytes()
}

/// The texts that a reader sees first: one, or the alternatives of it.
fn main_texts(parts: &[Part], in_signed: bool) -> Result<Vec<&Part>, CannotEdit> {
    let mut found = Vec::new();
    let mut waiting: Vec<&Part> = parts.first().into_iter().collect();
    while let Some(part) = waiting.pop() {
        let is_open = |seal: &Seal| in_signed && *seal == Seal::Signed;
        if let Some(seal) = part.seal.filter(|seal| !is_open(seal)) {
            return Err(CannotEdit::Sealed(seal));
        }
        let children = parts
            .iter()
            .filter(|child| child.parent == Some(part.number));
        match part.content_type.as_str() {
            "multipart/alternative" if part.is_container => waiting.extend(children),
            multipart if multipart.starts_with("multipart/") && part.is_container => {
                waiting.extend(children.take(1));
            }
            "text/plain" | "text/html" if !part.is_attachment && part.names.is_empty() => {
                found.push(part);
            }
            _ => {}
        }
    }
    if found.is_empty() {
        Err(CannotEdit::NoText)
    } else {
        Ok(found)
    }
}

/// What ASCII is in all charsets but these.
fn is_unlike_ascii(charset: &str) -> bool {
    ["utf-7", "utf7", "utf-16", "utf16", "utf-32", "ucs"]
        .iter()
        .any(|name| {
            charset
                .get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        })
}

fn is_ascii_charset(charset: Option<&str>) -> bool {
    charset.is_none_or(|name| {
        ["us-ascii", "ascii"]
            .iter()
            .any(|ascii| name.eq_ignore_ascii_case(ascii))
    })
}

/// The footer goes in as it is where the part's charset and encoding have its letters; else the
/// part is written anew in quoted-printable, and what was plain ASCII becomes UTF-8.
fn text_footer(message: &dyn Octets, part: &Part, text: &str) -> Result<Vec<Edit>, CannotEdit> {
    let charset = part.charset.as_deref();
    if charset.is_some_and(is_unlike_ascii) {
        return Err(CannotEdit::Charset);
    }
    let footer = with_line_ends(text);
    if text.is_ascii() {
        return Ok(vec![inserted(message, part, &footer)?]);
    }
    let is_ascii = is_ascii_charset(charset);
    let charset = charset.filter(|_| !is_ascii).unwrap_or("utf-8").trim();
    let encoding = Encoding::for_label(charset.as_bytes()).ok_or(CannotEdit::Charset)?;
    let (footer, _, is_lossy) = encoding.encode(std::str::from_utf8(&footer).unwrap_or_default());
    if is_lossy {
        return Err(CannotEdit::Charset);
    }
    let needs_8bit =
        || part.encoding == TransferEncoding::Identity && is_all_ascii(message, &part.body);
    if !is_ascii && !needs_8bit() {
        return Ok(vec![inserted(message, part, &footer)?]);
    }
    let octets = decoded(message, part)?;
    if !octets.is_ascii() {
        return Err(CannotEdit::Charset);
    }
    let whole = with_footer(&octets, &footer, octets.len(), b"\r\n");
    let content_type = format!("text/plain; charset={charset}{}", format_of(message, part));
    let mut edits = retyped(message, part, &content_type);
    edits.push(Edit {
        range: part.body.clone(),
        with: quoted_printable(&whole),
    });
    Ok(edits)
}

/// A text that is larger is not written anew.
const REWRITTEN_MAX: usize = 1 << 20;

/// What the body of a part stands for.
fn decoded(message: &dyn Octets, part: &Part) -> Result<Vec<u8>, CannotEdit> {
    let message: Shared<'_> = Rc::new(message);
    let decoded = Decoded::new(&message, part.body.clone(), part.encoding, &mut |_| false);
    if decoded.is_broken() {
        return Err(CannotEdit::Encoding);
    }
    if decoded.size() > REWRITTEN_MAX {
        return Err(CannotEdit::TooLarge);
    }
    Ok(decoded.copy(0..REWRITTEN_MAX))
}

fn is_all_ascii(message: &dyn Octets, range: &Range<usize>) -> bool {
    let mut is_ascii = true;
    message.pieces(range.clone(), &mut |piece| {
        is_ascii &= piece.is_ascii();
        is_ascii
    });
    is_ascii
}

/// The parameters of a text that say how its lines are to be shown (RFC 3676).
fn format_of(message: &dyn Octets, part: &Part) -> String {
    let Some(value) = content_types(message, &part.fields).next() else {
        return String::new();
    };
    let is_token = |text: &&str| text.bytes().all(|octet| octet.is_ascii_alphanumeric());
    let parameter = |name| {
        value
            .parameter(name)
            .filter(is_token)
            .map(|own| format!("; {name}={own}"))
    };
    [parameter("format"), parameter("delsp")]
        .into_iter()
        .flatten()
        .collect()
}

/// Letters beyond ASCII are written as entities, which every charset has.
fn html_footer(message: &dyn Octets, part: &Part, html: &str) -> Result<Edit, CannotEdit> {
    if part.charset.as_deref().is_some_and(is_unlike_ascii) {
        return Err(CannotEdit::Charset);
    }
    let mut footer = String::new();
    for letter in html.chars() {
        match letter.is_ascii() {
            true => footer.push(letter),
            false => footer.push_str(&format!("&#{};", u32::from(letter))),
        }
    }
    inserted(message, part, &with_line_ends(&footer))
}

/// Before the end of a page's body, where it has one in a range.
fn end_of_html(octets: &dyn Octets, range: &Range<usize>) -> usize {
    let last = |tag: &[u8]| rfind_ignoring_case(octets, range, tag);
    last(b"</body")
        .or_else(|| last(b"</html"))
        .unwrap_or(range.end)
}

/// Where a tag in small letters stands last in a range.
fn rfind_ignoring_case(octets: &dyn Octets, range: &Range<usize>, tag: &[u8]) -> Option<usize> {
    let mut end = range.end;
    loop {
        let start = range.start.max(end.saturating_sub(PIECE));
        let mut piece = octets.copy(start..end);
        piece.make_ascii_lowercase();
        if let Some(at) = memchr::memmem::rfind(&piece, tag) {
            return Some(start + at);
        }
        if start == range.start {
            return None;
        }
        // It may lie in both.
        end = start + tag.len() - 1;
    }
}

/// Puts a footer into a part, at its end or at that of the page in it, by its transfer encoding.
fn inserted(message: &dyn Octets, part: &Part, footer: &[u8]) -> Result<Edit, CannotEdit> {
    let is_html = part.content_type == "text/html";
    let Range { start, end } = part.body;
    let (footer, join) = match part.encoding {
        TransferEncoding::Identity => (footer.to_vec(), &b"\r\n"[..]),
        TransferEncoding::QuotedPrintable => (quoted_printable(footer), &b"=\r\n"[..]),
        TransferEncoding::Base64 => {
            let octets = decoded(message, part)?;
            let at = match is_html {
                true => end_of_html(&octets, &(0..octets.len())),
                false => octets.len(),
            };
            let mut with = base64_lines(&with_footer(&octets, footer, at, b"\r\n"));
            if !message
                .copy(end.saturating_sub(1).max(start)..end)
                .ends_with(b"\n")
            {
                with.truncate(with.trim_ascii_end().len());
            }
            return Ok(Edit {
                range: start..end,
                with,
            });
        }
        TransferEncoding::Uuencode | TransferEncoding::Unknown => return Err(CannotEdit::Encoding),
    };
    let at = match is_html {
        true => end_of_html(message, &part.body),
        false => end,
    };
    let before = message.copy(start.max(at.saturating_sub(BEFORE_MAX))..at);
    let after = message.copy(at..end.min(at + 1));
    Ok(Edit {
        range: at..at,
        with: between(&before, &footer, &after, join),
    })
}

/// What is seen of the text before a footer: a line that is longer than lines of mail are.
const BEFORE_MAX: usize = 1024;

fn with_footer(octets: &[u8], footer: &[u8], at: usize, line_end: &[u8]) -> Vec<u8> {
    let (before, after) = octets.split_at(at);
    [before, &between(before, footer, after, line_end), after].concat()
}

/// A footer as lines of their own. `join` ends it where more follows on the line: in quoted-printable
/// by a soft line end.
fn between(before: &[u8], footer: &[u8], after: &[u8], join: &[u8]) -> Vec<u8> {
    let is_quoted = join == b"=\r\n";
    let is_soft = is_quoted && before.trim_ascii_end().ends_with(b"=");
    let first: &[u8] = match before.last() {
        // The last line end was a soft one, which nothing follows as yet.
        Some(b'\n') if is_soft => b"\r\n",
        Some(_) if is_soft => b"\r\n\r\n",
        None | Some(b'\n') => b"",
        Some(_) => b"\r\n",
    };
    // The line that the footer takes ends as the one before it did.
    let last: &[u8] = match (after.is_empty(), before.ends_with(b"\n")) {
        (false, _) => join,
        (true, true) => b"\r\n",
        (true, false) => b"",
    };
    [first, footer, last].concat()
}
