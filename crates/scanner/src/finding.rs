use crate::Edit;

/// What a scanner says of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finding {
    /// What it comes to.
    pub class: Class,
    /// What the scanner would have done, where its protocol can say that.
    pub wish: Wish,
    /// What was found: names of viruses and signatures, as the scanner calls them. Fit to be shown,
    /// as is all text here.
    pub names: Vec<String>,
    /// How bad it is, on a scale of the scanner's own.
    pub score: Option<f64>,
    /// From which score on it is spam for the scanner.
    pub threshold: Option<f64>,
    /// Which tests matched, and what each added to the score, where that is told.
    pub symbols: Vec<(String, f64)>,
    /// What the scanner calls its decision: `add header`, `soft reject`.
    pub action: Option<String>,
    /// What the client should be told.
    pub reply: Option<String>,
    /// What should be changed in the message, in this order.
    pub edits: Vec<Edit>,
    /// What found it, where a scanner is several.
    pub engine: Option<String>,
}

impl Finding {
    /// One that says this alone.
    pub(crate) fn of(class: Class) -> Self {
        Self {
            class,
            ..Self::default()
        }
    }
}

/// What a message is for a scanner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Class {
    /// Nothing was found.
    Clean,
    /// Malware, or what is treated as such.
    Infected,
    /// Unwanted.
    Spam,
    /// It holds what only somebody with a password can look into.
    Encrypted,
    /// A limit of the scanner was reached, so that not all of it was looked at.
    Limit,
    /// The scanner refuses it and does not say what it found.
    Rejected,
    /// The scanner did not look at it, or says nothing of what it is.
    #[default]
    Unscanned,
}

impl Class {
    /// What ClamAV found, by the name that it gives it, whoever asked it.
    pub(crate) fn of_name(name: &str) -> Self {
        if name.starts_with("Heuristics.Encrypted.") {
            Self::Encrypted
        } else if name.starts_with("Heuristics.Limits.") {
            Self::Limit
        } else {
            Self::Infected
        }
    }
}

/// What a scanner asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wish {
    /// Nothing that keeps the message from going on.
    #[default]
    None,
    /// It should be marked as spam.
    Mark,
    /// It should be held for somebody to look at.
    Hold,
    /// Its client should come again later (4xx).
    Postpone,
    /// It should be refused (5xx).
    Refuse,
    /// It should be taken and thrown away.
    Discard,
}
