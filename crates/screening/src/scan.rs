use std::fmt;
use std::sync::Arc;

use mail::Reply;

/// How far a scanner has come with a message; of one that is not asked about it there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// The scanner's name: `[scanner.NAME]`.
    pub scanner: Arc<str>,
    /// What it came to; `None`: it is still to be heard.
    pub finding: Option<Finding>,
}

/// What a scanner came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finding {
    /// What it says of the message; nothing wrong is [`Class::Clean`] alone.
    pub classes: Vec<Class>,
    /// The score it gave.
    pub score: Option<f64>,
    /// Names of what was found, rules that hit, or why there is no answer; for people, one line.
    pub what: String,
    /// How it wants the message answered where it is refused or postponed.
    pub reply: Option<Reply>,
}

/// What a scanner says of a message, whatever its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing.
    Clean,
    /// It holds malware.
    Infected,
    /// It is spam, or is to be marked as such.
    Spam,
    /// It is to be refused.
    Reject,
    /// It is to be refused for now.
    Postpone,
    /// It is to be kept until somebody has looked at it.
    Quarantine,
    /// It is to be taken and thrown away.
    Discard,
    /// Something in it is encrypted, and so was not looked into.
    Encrypted,
    /// The scanner's own limits kept it from looking into all of it.
    Limit,
    /// It was not asked: the message is larger than it gets to see.
    TooLarge,
    /// There is no answer.
    Error,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Clean,
        Self::Infected,
        Self::Spam,
        Self::Reject,
        Self::Postpone,
        Self::Quarantine,
        Self::Discard,
        Self::Encrypted,
        Self::Limit,
        Self::TooLarge,
        Self::Error,
    ];

    /// As it stands in the configuration, the log and our header field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Infected => "infected",
            Self::Spam => "spam",
            Self::Reject => "reject",
            Self::Postpone => "postpone",
            Self::Quarantine => "quarantine",
            Self::Discard => "discard",
            Self::Encrypted => "encrypted",
            Self::Limit => "limit",
            Self::TooLarge => "too-large",
            Self::Error => "error",
        }
    }

    /// The class of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

impl Finding {
    /// Nothing was heard of it, and why.
    pub fn error(why: impl Into<String>) -> Self {
        Self {
            classes: vec![Class::Error],
            what: why.into(),
            ..Self::default()
        }
    }

    /// Nobody asks it any more: the message has met its end.
    pub fn not_asked() -> Self {
        Self {
            what: "not asked".to_owned(),
            ..Self::default()
        }
    }

    /// Whether it changes nothing by itself.
    pub fn is_clean(&self) -> bool {
        self.classes == [Class::Clean]
    }
}

/// In a few words: `infected (Win.Test.EICAR_HDB-1)`, `spam 7.3 (BAYES_99, URIBL)`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes: Vec<&str> = self.classes.iter().map(|class| class.name()).collect();
        f.write_str(&classes.join(", "))?;
        if let Some(score) = self.score {
            write!(f, " {score}")?;
        }
        if !self.what.is_empty() {
            write!(f, " ({})", self.what)?;
        }
        Ok(())
    }
}

/// What is asked of a scanner's finding.
#[derive(Debug, Clone, PartialEq)]
pub struct ScannerSays {
    /// Which scanner.
    pub scanner: Arc<str>,
    /// What it has to say.
    pub says: Says,
}

/// What a scanner has to say for a rule to match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Says {
    /// This of the message.
    Class(Class),
    /// A score above this.
    ScoreAbove(f64),
    /// A score below this.
    ScoreBelow(f64),
}

impl Says {
    /// From `infected`, `score > 6` or `score < 0`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let Some(bound) = text.strip_prefix("score") else {
            return Class::parse(text).map(Self::Class);
        };
        let bound = bound.trim_start();
        let number = |text: &str| {
            let number: f64 = text.trim().parse().ok()?;
            number.is_finite().then_some(number)
        };
        if let Some(bound) = bound.strip_prefix('>') {
            number(bound).map(Self::ScoreAbove)
        } else {
            number(bound.strip_prefix('<')?).map(Self::ScoreBelow)
        }
    }

    fn holds_of(self, finding: &Finding) -> bool {
        match self {
            Self::Class(class) => finding.classes.contains(&class),
            Self::ScoreAbove(bound) => finding.score.is_some_and(|score| score > bound),
            Self::ScoreBelow(bound) => finding.score.is_some_and(|score| score < bound),
        }
    }
}

/// Whether one of these is said; what was said then, in words. `Err`: of this scanner it has still
/// to be heard.
pub(crate) fn heard<'a>(
    asked: &'a [ScannerSays],
    scans: &[Scan],
) -> Result<Option<String>, &'a Arc<str>> {
    let mut pending = None;
    for one in asked {
        let Some(scan) = scans.iter().find(|scan| scan.scanner == one.scanner) else {
            continue;
        };
        match &scan.finding {
            Some(finding) if one.says.holds_of(finding) => {
                return Ok(Some(format!("scanner {}: {finding}", scan.scanner)));
            }
            Some(_) => {}
            None => pending = pending.or(Some(&one.scanner)),
        }
    }
    pending.map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_scanner_has_to_say_is_read() {
        for class in Class::ALL {
            assert_eq!(Says::parse(class.name()), Some(Says::Class(class)));
        }
        assert_eq!(Says::parse("score > 6"), Some(Says::ScoreAbove(6.0)));
        assert_eq!(Says::parse("score>6.5"), Some(Says::ScoreAbove(6.5)));
        assert_eq!(Says::parse("score < -1"), Some(Says::ScoreBelow(-1.0)));
        for wrong in [
            "",
            "score",
            "score > ",
            "score > NaN",
            "score = 6",
            "Infected",
            "scores > 6",
        ] {
            assert_eq!(Says::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_still_to_be_heard_is_neither_yes_nor_no() {
        let says = |scanner: &str, text| ScannerSays {
            scanner: scanner.into(),
            says: Says::parse(text).unwrap(),
        };
        let scan = |scanner: &str, finding| Scan {
            scanner: scanner.into(),
            finding,
        };
        let infected = Finding {
            classes: vec![Class::Infected],
            what: "Test.Signature".to_owned(),
            ..Finding::default()
        };
        let both = [says("one", "infected"), says("two", "infected")];
        let scans = [scan("one", None), scan("two", Some(infected.clone()))];
        let found = "scanner two: infected (Test.Signature)".to_owned();
        assert_eq!(heard(&both, &scans), Ok(Some(found)));
        assert_eq!(heard(&both[..1], &scans), Err(&"one".into()));
        // It is not asked about this message.
        assert_eq!(heard(&[says("three", "error")], &scans), Ok(None));
        let scored = Finding {
            classes: vec![Class::Spam],
            score: Some(7.5),
            ..Finding::default()
        };
        let scans = [scan("one", Some(scored))];
        assert_eq!(heard(&[says("one", "score > 7.5")], &scans), Ok(None));
        let found = "scanner one: spam 7.5".to_owned();
        assert_eq!(heard(&[says("one", "score > 7")], &scans), Ok(Some(found)));
    }
}
