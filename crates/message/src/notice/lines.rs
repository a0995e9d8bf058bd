//! Lines that stay lines, whatever stands in them.

/// A readable width; a single word may be longer.
const WIDTH: usize = 76;
/// RFC 5322 section 2.1.1: "Each line of characters MUST be no more than 998 characters". Longer
/// words are cut.
pub(super) const LINE_LEN_MAX: usize = 998;
/// What a cut word leaves for indentation.
const WORD_LEN_MAX: usize = 900;

/// Writes `text` after `first`, broken between words; each further line begins with `indent`. Ends
/// in CRLF. Controls become blanks, and unless `utf8` whatever is beyond ASCII becomes `?`.
pub(super) fn push_wrapped(out: &mut String, first: &str, indent: &str, text: &str, utf8: bool) {
    let text = clean(text, utf8);
    out.push_str(first);
    let mut width = first.len();
    let mut begun = first.trim_end().is_empty();
    for word in text.split_ascii_whitespace().flat_map(cut) {
        if !begun && width + 1 + word.len() > WIDTH {
            out.push_str("\r\n");
            out.push_str(indent);
            width = indent.len();
        } else if !begun && !out.ends_with(' ') {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += word.len();
        begun = false;
    }
    out.push_str("\r\n");
}

/// Writes `name: value` on one line, with its blanks as they are. Controls become blanks, and
/// unless `utf8` whatever is beyond ASCII `?`.
pub(super) fn push_whole(out: &mut String, name: &str, value: &str, utf8: bool) {
    let value = clean(value, utf8);
    let piece = cut(&value).next().unwrap_or_default();
    for part in [name, ": ", piece, "\r\n"] {
        out.push_str(part);
    }
}

fn clean(text: &str, utf8: bool) -> String {
    let shown = |c: char| match c {
        c if c.is_control() => ' ',
        c if !utf8 && !c.is_ascii() => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The word, in pieces that fit on a line.
fn cut(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let mut end = rest.len().min(WORD_LEN_MAX);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, following) = rest.split_at(end);
        rest = following;
        (!piece.is_empty()).then_some(piece)
    })
}
