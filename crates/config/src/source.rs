//! The text of the files, and where in them something stands.

use std::ops::Range;
use std::sync::Arc;

use mail::Place;

use crate::Location;
use crate::diagnostic::HIDDEN;

/// A part of one of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// Which file, in the order of reading.
    pub file: usize,
    /// Which octets of that file's text.
    pub range: Range<usize>,
}

/// One file's text, indexed so that a place is found in no time even in a line of a megabyte.
#[derive(Debug)]
pub(crate) struct Source {
    pub name: Arc<str>,
    pub text: String,
    line_starts: Vec<usize>,
    /// How many characters stand before each block.
    chars_before: Vec<usize>,
}

const BLOCK_LEN: usize = 256;

/// How much of a long line is shown on each side of what is meant.
const CONTEXT_CHARS: usize = 60;
const LINE_CHARS_MAX: usize = 160;

/// What keys have in them, known here or misspelt, behind which somebody may have written a secret.
const SECRET_KEYS: [&str; 4] = ["secret", "pass", "pasw", "authorization"];

impl Source {
    pub fn new(name: &str, text: String) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(i, _)| i + 1))
            .collect();
        let mut chars_before = vec![0];
        for block in text.as_bytes().chunks(BLOCK_LEN) {
            let before = chars_before.last().copied().unwrap_or(0);
            chars_before.push(before + count_chars(block));
        }
        Self {
            name: name.into(),
            text,
            line_starts,
            chars_before,
        }
    }

    /// Line and column, both from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self
            .line_starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        (line, self.chars_up_to(offset) - self.chars_up_to(start) + 1)
    }

    fn chars_up_to(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        let block = offset / BLOCK_LEN;
        self.chars_before[block] + count_chars(&self.text.as_bytes()[block * BLOCK_LEN..offset])
    }

    pub fn place(&self, offset: usize) -> Place {
        let (line, column) = self.position(offset);
        Place::line(&self.name, line as u32, column as u32)
    }

    /// What a diagnostic shows of a range.
    pub fn location(&self, range: &Range<usize>) -> Location {
        let (line, column) = self.position(range.start);
        let start = self.line_starts[line - 1];
        let end = self.text[start..]
            .find(['\n', '\r'])
            .map_or(self.text.len(), |n| start + n);
        let mut shown: Vec<char> = self.text[start..end].chars().map(printable).collect();
        hide_secrets(&mut shown);
        let meant = self
            .text
            .get(range.start..range.end.min(end))
            .unwrap_or("")
            .chars()
            .count();
        let (text, indent) = window(&shown, column - 1);
        let width = meant.clamp(1, text.chars().count().saturating_sub(indent).max(1));
        Location {
            file: self.name.to_string(),
            line: line as u32,
            column: column as u32,
            text,
            indent,
            width,
        }
    }
}

/// The line whole when it is short, else what stands around `at`.
fn window(line: &[char], at: usize) -> (String, usize) {
    if line.len() <= LINE_CHARS_MAX {
        return (line.iter().collect::<String>().trim_end().to_owned(), at);
    }
    let from = at.saturating_sub(CONTEXT_CHARS);
    let to = (at + CONTEXT_CHARS).min(line.len());
    let head = if from > 0 { "..." } else { "" };
    let tail = if to < line.len() { "..." } else { "" };
    let middle: String = line[from.min(to)..to].iter().collect();
    (format!("{head}{middle}{tail}"), at - from + head.len())
}

/// Whether a key looks as if a secret might stand behind it.
pub(crate) fn may_be_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_KEYS.iter().any(|word| key.contains(word))
}

/// A line as others may read it.
pub(crate) fn without_secrets(line: &str) -> String {
    let mut line: Vec<char> = line.chars().collect();
    hide_secrets(&mut line);
    line.into_iter().collect()
}

/// Whoever wrote a secret into the file is told so where others read it, too: in the log. One character
/// for one, so that the caret stands right. What only says where a secret is stays.
fn hide_secrets(line: &mut [char]) {
    let begins = |line: &[char], word: &str| {
        let mut chars = line.iter();
        word.chars()
            .all(|c| chars.next().is_some_and(|own| own.eq_ignore_ascii_case(&c)))
    };
    let mut at = 0;
    while at < line.len() {
        let rest = &line[at..];
        at += 1;
        if begins(rest, "://") {
            let is_end = |c: &char| c.is_whitespace() || "\"'/@".contains(*c);
            let user = rest.iter().skip(3).take(LINE_CHARS_MAX);
            let user = user.take_while(|c| !is_end(c)).count();
            if rest.get(3 + user) == Some(&'@') {
                line[at + 2..at + 2 + user].fill(HIDDEN);
            }
        } else if SECRET_KEYS.iter().any(|word| begins(rest, word)) {
            let is_key = |c: &char| c.is_alphanumeric() || "_-\"' \t".contains(*c);
            let key = rest.iter().take(LINE_CHARS_MAX);
            let key = key.take_while(|c| is_key(c)).count();
            if rest.get(key) == Some(&'=') {
                at += key;
                at += hide_value(&mut line[at..]);
            }
        }
    }
}

/// Hides the value that begins here, and gives how many characters it has; one of a table ends at a
/// comma.
fn hide_value(line: &mut [char]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&c) = line.get(at) {
        match c {
            '"' | '\'' => {
                let end = end_of_text(&line[at + 1..], c);
                let text = &mut line[at + 1..at + 1 + end];
                let begin: String = text.iter().take(5).collect();
                if !begin.starts_with("file:") && !begin.starts_with("env:") {
                    text.fill(HIDDEN);
                }
                at += 1 + end;
            }
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => return at,
            '#' | '}' => return at,
            _ if c.is_whitespace() || c == ',' => {}
            _ => line[at] = HIDDEN,
        }
        at += 1;
    }
    at
}

/// How many characters stand before the quotation mark that ends a text.
fn end_of_text(line: &[char], quote: char) -> usize {
    let mut is_escaped = false;
    let end = line.iter().position(|&c| {
        let is_end = c == quote && !is_escaped;
        is_escaped = c == '\\' && quote == '"' && !is_escaped;
        is_end
    });
    end.unwrap_or(line.len())
}

/// One character for one, so that the caret stands right and no file drives a terminal.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
            '\u{fffd}'
        }
        c => c,
    }
}

/// All octets that begin a character.
fn count_chars(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| **b & 0xC0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters() {
        let source = Source::new("f", "ab\r\nüü x\n".to_owned());
        let x = source.text.find('x').unwrap();
        assert_eq!(source.place(x).to_string(), "f:2");
        let at = source.location(&(x..x + 1));
        assert_eq!((at.line, at.column, at.text.as_str()), (2, 4, "üü x"));
        let end = source.location(&(source.text.len()..source.text.len()));
        assert_eq!((end.line, end.column, end.width), (3, 1, 1));
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for (line, shown) in [
            ("secret = \"hunter2\"", "secret = \"*******\""),
            ("client_secret='a\\' # b", "client_secret='**' # b"),
            ("auth.secret = hunter2", "auth.secret = *******"),
            ("secret = \"a\\\"b", "secret = \"****"),
            (
                "auth = { secret = \"a,b\", user = \"us\" }",
                "auth = { secret = \"***\", user = \"us\" }",
            ),
            (
                "old_secrets = [\"a\", \"file:b\"], user = \"us\"",
                "old_secrets = [\"*\", \"file:b\"], user = \"us\"",
            ),
            ("\"Passwort\" = \"a\"", "\"Passwort\" = \"*\""),
            ("secret = \"env:NAME\"", "secret = \"env:NAME\""),
            ("a = \"https://us:pw@x/y\"", "a = \"https://*****@x/y\""),
            (
                "a = \"https://x/@\" # secret",
                "a = \"https://x/@\" # secret",
            ),
            ("secret", "secret"),
        ] {
            let source = Source::new("f", line.to_owned());
            assert_eq!(source.location(&(0..1)).text, shown);
        }
    }

    #[test]
    fn a_long_line_is_shown_in_part() {
        let text = format!("{}X{}", "ü".repeat(100_000), "b".repeat(100_000));
        let source = Source::new("f", text);
        let at = source.location(&(200_000..200_001));
        assert_eq!(at.column, 100_001);
        assert!(at.text.chars().count() < LINE_CHARS_MAX);
        assert_eq!(at.text.chars().nth(at.indent), Some('X'));
    }
}
