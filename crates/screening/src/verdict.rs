use std::fmt;
use std::sync::Arc;

use contents::edit::Footer;
use mail::{Mailbox, Place, Reply};

use crate::Screen;

/// What one recipient gets of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of it.
    pub end: End,
    /// The rule that decided so; `None` where none did and it passes.
    pub by: Option<Matched>,
    /// How the message is changed for this recipient, in the order of the rules.
    pub changes: Vec<Change>,
    /// Who gets it, too, and by which rule.
    pub copies: Vec<(Arc<Mailbox>, Matched)>,
    /// Who gets it, too, with all changes: who was added to its recipients, and by what.
    pub added: Vec<(Arc<Mailbox>, Matched)>,
    /// The sum of the scores.
    pub score: i32,
    /// Every rule that matched, those that only try included, in order.
    pub matched: Vec<Matched>,
}

impl Verdict {
    /// It passes as it came.
    pub fn pass() -> Self {
        Self {
            end: End::Pass,
            by: None,
            changes: Vec::new(),
            copies: Vec::new(),
            added: Vec::new(),
            score: 0,
            matched: Vec::new(),
        }
    }

    /// It is held by this.
    pub fn hold(by: Matched) -> Self {
        Self {
            end: End::Hold,
            by: Some(by.clone()),
            matched: vec![by],
            ..Self::pass()
        }
    }
}

/// What becomes of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It goes on.
    Pass,
    /// It is refused.
    Refuse(Reply),
    /// It is taken and thrown away.
    Discard,
    /// It is taken and kept.
    Hold,
    /// It goes to somebody else in place of this recipient.
    Redirect(Arc<Mailbox>),
}

/// One change of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Take these out, by their place in [`contents::Contents::attachments`].
    Strip {
        /// Which ones.
        attachments: Vec<usize>,
        /// The rule's name, for the text in their place.
        rule: Arc<str>,
    },
    /// Put this in front of the subject.
    TagSubject(Arc<str>),
    /// Add a field to the header.
    AddField {
        /// Its name.
        name: Arc<str>,
        /// Its value, one line.
        value: Arc<str>,
    },
    /// Add this below the text.
    Footer {
        /// What that is.
        footer: Arc<Footer>,
        /// The rule's name, for the log where it cannot be added.
        rule: Arc<str>,
    },
}

/// A rule that matched, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// What it is called.
    pub name: Arc<str>,
    /// Where it was written.
    pub place: Place,
    /// What it went by, in words.
    pub why: String,
    /// What it has done, in words: `hold, score +3`.
    pub does: String,
    /// It only says what it would have done.
    pub dry_run: bool,
}

impl Matched {
    pub(crate) fn new(screen: &Screen, why: String) -> Self {
        let does: Vec<String> = screen.then.iter().map(ToString::to_string).collect();
        Self {
            name: Arc::clone(&screen.name),
            place: screen.place.clone(),
            why,
            does: does.join(", "),
            dry_run: screen.dry_run,
        }
    }
}

/// As it stands in log and tracking: `screen "macros": hold: attachment 2 "a.docm" (macro)`.
impl fmt::Display for Matched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = if self.dry_run { "would " } else { "" };
        write!(
            f,
            "screen {:?}: {would}{}: {}",
            self.name, self.does, self.why
        )
    }
}

/// The rule, and what follows its name, in a text that [`Matched`] has written somewhere; `None`
/// where no rule is named.
pub fn rule_in(text: &str) -> Option<(String, &str)> {
    let (before, behind) = text.split_once("screen \"")?;
    // What somebody else wrote, a name of a file perhaps, names no rule.
    let is_ours = |c: char| c.is_ascii_alphabetic() || " ,:".contains(c);
    if !before.chars().all(is_ours) {
        return None;
    }
    let (mut name, mut letters) = (String::new(), behind.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((name, behind[at + 1..].trim_start_matches([':', ' ']))),
            '\\' => name.extend(letters.next().map(|(_, escaped)| escaped)),
            letter => name.push(letter),
        }
    }
    None
}

/// What a rule says of a message and one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// All its conditions hold: what it went by, in words.
    Matches(String),
    /// This condition does not hold, by its name in the configuration.
    Misses(&'static str),
    /// It depends on this scanner, which was not heard.
    Awaits(Arc<str>),
    /// It was not asked: an `accept` before it ended the list.
    NotAsked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_found_in_what_was_written_of_it() {
        for name in ["macros", "the \"big\" one", "a\\b", "größe"] {
            let matched = Matched {
                name: name.into(),
                place: Place::Default,
                why: "attachment 2 \"a.docm\" (macro)".to_owned(),
                does: "hold".to_owned(),
                dry_run: false,
            };
            let written = format!("held: {matched} (x.toml:5)");
            let why = "hold: attachment 2 \"a.docm\" (macro) (x.toml:5)";
            assert_eq!(rule_in(&written), Some((name.to_owned(), why)));
        }
        assert_eq!(rule_in("a.zip stays in: it is signed"), None);
        assert_eq!(
            rule_in("2/screen \"mine\": a.zip stays in: it is signed"),
            None
        );
        assert_eq!(rule_in("screen \"never ends"), None);
    }
}
