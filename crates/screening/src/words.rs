use std::fmt;

use contents::folded;
use regex::{Regex, RegexBuilder};

/// So much memory may the patterns of one list take once they are compiled.
const COMPILED_OCTETS_MAX: usize = 32 << 20;

/// Words, phrases and patterns that are looked for in text.
///
/// `lottery win` stands for these words as whole words, whatever the case, however the blanks between
/// them are written; `/.../` holds a regular expression, which also knows no case. All are
/// looked for in one pass, in time that grows with the text alone.
#[derive(Debug, Clone)]
pub struct Words {
    pattern: Regex,
    count: usize,
}

/// Why words cannot be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordsError {
    /// An entry holds nothing to be looked for.
    Empty,
    /// A regular expression is none; what is wrong with it.
    Pattern(String),
    /// All together take too much memory.
    TooMany,
}

impl Words {
    /// Reads one entry: how it is written is all that can be wrong with it.
    ///
    /// # Errors
    /// When it is empty or no regular expression.
    pub fn check(entry: &str) -> Result<(), WordsError> {
        let source = source(entry)?;
        match compiled(&source) {
            Ok(_) => Ok(()),
            Err(regex::Error::CompiledTooBig(_)) => Err(WordsError::TooMany),
            Err(why) => Err(WordsError::Pattern(why_of(&why))),
        }
    }

    /// All entries, each of which has been checked.
    ///
    /// # Errors
    /// As [`Words::check`], and when they are too many.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, WordsError> {
        let sources: Result<Vec<String>, WordsError> = entries.into_iter().map(source).collect();
        let sources = sources?;
        match compiled(&sources.join("|")) {
            Ok(pattern) => Ok(Self {
                pattern,
                count: sources.len(),
            }),
            Err(regex::Error::CompiledTooBig(_)) => Err(WordsError::TooMany),
            Err(why) => Err(WordsError::Pattern(why_of(&why))),
        }
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first of them in a text that was folded ([`contents::folded`]).
    pub fn found_in<'a>(&self, folded: &'a str) -> Option<&'a str> {
        self.pattern.find(folded).map(|found| found.as_str())
    }
}

fn compiled(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source)
        .case_insensitive(true)
        .size_limit(COMPILED_OCTETS_MAX)
        .build()
}

/// The last line of what the crate says: the others draw where.
fn why_of(why: &regex::Error) -> String {
    let text = why.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// One entry as a regular expression over folded text.
fn source(entry: &str) -> Result<String, WordsError> {
    let inner = entry
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'));
    if let Some(pattern) = inner {
        if pattern.is_empty() {
            return Err(WordsError::Empty);
        }
        // By itself first: put in brackets, half of one could look whole.
        compiled(pattern).map_err(|why| WordsError::Pattern(why_of(&why)))?;
        return Ok(format!("(?:{pattern})"));
    }
    let words = folded(entry);
    let (Some(first), Some(last)) = (words.chars().next(), words.chars().next_back()) else {
        return Err(WordsError::Empty);
    };
    // No boundary is asked for where the entry itself ends in what is no letter: "50%".
    let bound = |end: char| if end.is_alphanumeric() { r"\b" } else { "" };
    let (before, behind) = (bound(first), bound(last));
    Ok(format!("{before}{}{behind}", regex::escape(&words)))
}

impl fmt::Display for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an entry without a word"),
            Self::Pattern(why) => write!(f, "no regular expression: {why}"),
            Self::TooMany => f.write_str("too much to look for at once"),
        }
    }
}

impl std::error::Error for WordsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(entries: &[&str], text: &str) -> Option<String> {
        let words = Words::new(entries.iter().copied()).unwrap();
        words.found_in(&folded(text)).map(str::to_owned)
    }

    #[test]
    fn whole_words_are_found_however_they_are_written() {
        let list = ["Lottery  win", "50%", "GEWINN"];
        assert_eq!(found(&list, "A LOTTERY\r\n win!").unwrap(), "lottery win");
        assert_eq!(found(&list, "now 50% less").unwrap(), "50%");
        assert_eq!(found(&list, "ｇｅｗｉｎｎ").unwrap(), "gewinn");
        assert_eq!(found(&list, "Gewinner, lottery wins"), None);
    }

    #[test]
    fn an_expression_knows_no_case_and_is_whole_by_itself() {
        assert_eq!(found(&["/V[i1]agra/"], "vIAGRAS").unwrap(), "viagra");
        for (entry, wrong) in [
            ("/a)(b/", "unopened"),
            ("/(/", "unclosed"),
            ("/[/", "unclosed"),
        ] {
            let Err(WordsError::Pattern(why)) = Words::check(entry) else {
                panic!("{entry} is taken");
            };
            assert!(why.contains(wrong), "{entry}: {why}");
        }
        for empty in ["", " ", "//"] {
            assert_eq!(Words::check(empty), Err(WordsError::Empty), "{empty:?}");
        }
        let huge = "/(?:a{1000}){1000}{1000}/";
        assert!(Words::check(huge).is_err());
    }
}
