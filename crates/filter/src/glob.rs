use std::fmt;

/// A pattern where `*` stands for any run of characters. Letters of ASCII match in either case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// Takes any text; only `*` means more than itself.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all of `text` matches.
    ///
    /// Remembers only the last `*`: an earlier one never needs to take more once a later one was
    /// reached, so the time is at most the product of the two lengths.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match (pattern.get(p), star) {
                (Some(b'*'), _) => {
                    star = Some((p + 1, t));
                    p += 1;
                }
                (Some(b), _) if b.eq_ignore_ascii_case(&text[t]) => {
                    p += 1;
                    t += 1;
                }
                (_, Some((after_star, taken))) => {
                    star = Some((after_star, taken + 1));
                    p = after_star;
                    t = taken + 1;
                }
                (_, None) => return false,
            }
        }
        pattern[p..].iter().all(|b| *b == b'*')
    }
}

/// A pattern is printed as it was written.
impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_any_run_and_case_is_ignored() {
        let cases = [
            ("*@x.example", "bob@X.Example", true),
            ("*@x.example", "bob@y.example", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("a**", "a", true),
            ("*ab", "aab", true),
            ("ab", "abc", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                Glob::new(pattern).matches(text),
                expected,
                "{pattern} on {text}"
            );
        }
    }
}
