//! Lines as Postfix reads them: those that begin with a blank go on with the one before, also over comments
//! and empty ones between them.

/// A file of more lines is cut there.
const LINES_MAX: usize = 1_000_000;

/// One logical line and the number, from 1, of the line at which it begins.
pub(super) fn logical(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate().take(LINES_MAX) {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        match lines.last_mut() {
            Some((_, before)) if line.starts_with(char::is_whitespace) => {
                before.push(' ');
                before.push_str(bare);
            }
            _ => lines.push((number + 1, bare.to_owned())),
        }
    }
    lines
}

/// The words of a list: blanks and commas separate them, but not within braces.
pub(super) fn words(text: &str) -> Vec<String> {
    split(text, |c| c == ',' || c.is_whitespace())
}

/// The same, where blanks alone separate.
pub(super) fn by_blanks(text: &str) -> Vec<String> {
    split(text, char::is_whitespace)
}

fn split(text: &str, separates: impl Fn(char) -> bool) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut depth = 0usize;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && separates(c) {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// What stands in braces around the whole.
pub(super) fn unbraced(text: &str) -> &str {
    let text = text.trim();
    let inner = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    inner.map_or(text, str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_on_over_comments() {
        let text = "# c\na = 1,\n  # between\n\n\t2\nb = 3\n";
        let lines = logical(text);
        assert_eq!(lines, [(2, "a = 1, 2".to_owned()), (6, "b = 3".to_owned())]);
    }

    #[test]
    fn braces_hold_a_word_together() {
        let found = words("a, b  inline:{{x = y}, {z = a b}},c");
        assert_eq!(found, ["a", "b", "inline:{{x = y}, {z = a b}}", "c"]);
        assert_eq!(unbraced(" { x } "), "x");
        assert_eq!(words("}}{ a"), ["}}{ a"]);
    }
}
