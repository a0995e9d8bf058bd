//! Text as people see it, and as it is compared.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};
use mail_parser::decoders::charsets::map::charset_decoder;
use unicode_normalization::UnicodeNormalization;

/// A text or HTML part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it is, as [`Attachment::place`](crate::Attachment).
    pub place: String,
    /// Whether it was HTML; `text` is then what a browser shows of it.
    pub is_html: bool,
    /// Decoded by its charset.
    pub text: String,
}

/// Text for comparing: NFKC, case folded, without invisible characters, each run of white space one
/// blank.
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        let mut text = text.to_owned();
        text.make_ascii_lowercase();
        return with_single_blanks(text.chars());
    }
    // Through upper case, since that brings together what has no pair of its own: ß and ss, both
    // sigmas. The capital ß is one only after it was small.
    let small = text.nfkc().flat_map(char::to_lowercase);
    let cases = small
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    with_single_blanks(cases.nfkc().filter(|&letter| !is_invisible(letter)))
}

fn with_single_blanks(letters: impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    for letter in letters {
        match letter.is_whitespace() {
            false => text.push(letter),
            true if !text.is_empty() && !text.ends_with(' ') => text.push(' '),
            true => {}
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Characters that are there and not seen: they part words for a machine and not for people, or turn
/// the direction in which a name is read.
pub(crate) fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

/// The text of octets by their charset, and whether that charset is known.
///
/// Without one it is UTF-8, and what cannot be that is read as Windows-1252, which is what clients
/// make of it.
pub(crate) fn of_octets(octets: Vec<u8>, charset: Option<&str>) -> (String, bool) {
    let utf8 = |octets: Vec<u8>| {
        String::from_utf8(octets).unwrap_or_else(|error| {
            let octets = error.as_bytes();
            charset_decoder(b"windows-1252")
                .map(|decode| decode(octets))
                .unwrap_or_else(|| String::from_utf8_lossy(octets).into_owned())
        })
    };
    match charset.map(|name| name.trim().to_ascii_lowercase()) {
        None => (utf8(octets), true),
        Some(name) if matches!(name.as_str(), "utf-8" | "us-ascii" | "ascii" | "utf8" | "") => {
            (utf8(octets), true)
        }
        Some(name) => match charset_decoder(name.as_bytes()) {
            Some(decode) => (decode(&octets), true),
            None => (utf8(octets), false),
        },
    }
}

/// Elements whose content a browser does not show as text.
const HIDDEN: [&[u8]; 5] = [b"script", b"style", b"template", b"noembed", b"noframes"];

/// Elements that do not part the words around them.
const WITHIN_WORDS: [&[u8]; 20] = [
    b"a", b"abbr", b"b", b"big", b"bdo", b"code", b"del", b"em", b"font", b"i", b"ins", b"mark",
    b"s", b"small", b"span", b"strong", b"sub", b"sup", b"u", b"wbr",
];

/// What a browser shows of HTML, entities decoded; elements that begin a line or a cell part words.
pub(crate) fn of_html(html: &str) -> String {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut text = Vec::with_capacity(html.len() / 2);
    let mut hidden: Option<Vec<u8>> = None;
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Token::String(string) if hidden.is_none() => text.extend_from_slice(&string),
            Token::StartTag(tag) => {
                part_words(&mut text, &tag.name);
                if hidden.is_none() && HIDDEN.contains(&tag.name.as_slice()) && !tag.self_closing {
                    hidden = Some(tag.name.to_vec());
                }
            }
            Token::EndTag(tag) => {
                part_words(&mut text, &tag.name);
                if hidden.as_deref() == Some(tag.name.as_slice()) {
                    hidden = None;
                }
            }
            _ => {}
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn part_words(text: &mut Vec<u8>, element: &[u8]) {
    if !WITHIN_WORDS.contains(&element) && text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_is_alike() {
        let table = [
            ("  Free\r\n\tMONEY ", "free money"),
            ("ＦＲＥＥ", "free"),
            ("Straße", "strasse"),
            ("ΟΔΟΣ οδος", "οδοσ οδοσ"),
            ("v\u{200b}i\u{ad}agra", "viagra"),
            ("ﬁne", "fine"),
            ("cafe\u{301}", "café"),
        ];
        for (text, expected) in table {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn html_is_read_as_a_browser_shows_it() {
        let table = [
            ("<p>one</p><p>two</p>", "one two"),
            ("fr<b>ee</b> mon<!-- x -->ey", "free money"),
            ("&lt;caf&eacute;&#x21;&nbsp;&amp;", "<café! &"),
            (
                "<style type=\"text/css\">p{}</style>a<script>if (a<b) {}</script>b",
                "a b",
            ),
            ("<td>a</td><td>b<br>c", "a b c"),
            ("<img alt=\"a > b\">x", "x"),
            ("a<style>never closed", "a"),
        ];
        for (html, expected) in table {
            assert_eq!(folded(&of_html(html)), expected, "{html}");
        }
    }

    #[test]
    fn octets_are_read_by_their_charset() {
        assert_eq!(
            of_octets(b"caf\xe9".to_vec(), Some("ISO-8859-1")),
            ("café".to_owned(), true)
        );
        assert_eq!(
            of_octets(b"caf\xe9".to_vec(), None),
            ("café".to_owned(), true)
        );
        assert_eq!(of_octets("café".into(), None), ("café".to_owned(), true));
        assert_eq!(
            of_octets(b"+AGE-".to_vec(), Some("utf-7")),
            ("a".to_owned(), true)
        );
        assert_eq!(
            of_octets(b"\x82\xa0".to_vec(), Some("Shift_JIS")),
            ("あ".to_owned(), true)
        );
        assert_eq!(
            of_octets(b"a".to_vec(), Some("klingon")),
            ("a".to_owned(), false)
        );
    }
}
