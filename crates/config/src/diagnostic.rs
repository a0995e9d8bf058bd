use std::fmt;
use std::ops::Range;

use mail::Place;

/// Stands for each character of what is not for everybody to see.
pub(crate) const HIDDEN: char = '*';

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// It is used; somebody should look.
    Warning,
}

impl Severity {
    /// `error` or `warning`
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Where something is in a file, with the text to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file's name.
    pub file: String,
    /// The number of the line in the file; the first line is 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The line, or the part of a long line around the column; control characters are replaced.
    pub text: String,
    /// How many characters of `text` stand before what is meant.
    pub indent: usize,
    /// How many characters are meant.
    pub width: usize,
}

impl Location {
    /// What is meant is not for everybody to see.
    pub(crate) fn hide(&mut self) {
        self.hide_chars(self.indent..self.indent + self.width);
    }

    /// What stands behind it is not.
    pub(crate) fn hide_behind(&mut self) {
        self.hide_chars(self.indent + self.width..usize::MAX);
    }

    fn hide_chars(&mut self, range: Range<usize>) {
        let chars = self.text.chars().enumerate();
        let hidden = chars.map(|(at, c)| match range.contains(&at) && c.is_alphanumeric() {
            true => HIDDEN,
            false => c,
        });
        self.text = hidden.collect();
    }
}

/// A line under the text: `= help: ...`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `help`, `proof`, `note`
    pub kind: &'static str,
    /// What it says.
    pub text: String,
}

/// One thing that is wrong with the configuration, or looks so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// In one line.
    pub message: String,
    /// Where; `None` when it is about a file as a whole.
    pub location: Option<Location>,
    /// What stands behind the caret.
    pub label: String,
    /// Further lines under the text: a help, a proof or a note.
    pub notes: Vec<Note>,
}

impl Diagnostic {
    /// A diagnostic without a place.
    pub fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            message: message.into(),
            location: None,
            label: String::new(),
            notes: Vec::new(),
        }
    }

    /// With one more line under the text.
    #[must_use]
    pub fn with_note(mut self, kind: &'static str, text: impl Into<String>) -> Self {
        self.notes.push(Note {
            kind,
            text: text.into(),
        });
        self
    }

    /// Where it is, as decisions name it.
    pub fn place(&self) -> Place {
        match &self.location {
            None => Place::Default,
            Some(at) => Place::line(&at.file.as_str().into(), at.line, at.column),
        }
    }
}

/// As the terminal shows it: the message, the place, the line, the caret, the notes. Ends without a
/// line end.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            self.severity.as_str(),
            mail::escaped(&self.message)
        )?;
        let width = match &self.location {
            None => 1,
            Some(at) => write_location(f, at, &self.label)?,
        };
        for note in &self.notes {
            write!(
                f,
                "\n{:width$} = {}: {}",
                "",
                note.kind,
                mail::escaped(&note.text)
            )?;
        }
        Ok(())
    }
}

/// Gives the width of the margin.
fn write_location(
    f: &mut fmt::Formatter<'_>,
    at: &Location,
    label: &str,
) -> Result<usize, fmt::Error> {
    let number = at.line.to_string();
    let width = number.len();
    write!(
        f,
        "\n{:width$}--> {}:{}:{}",
        "",
        mail::escaped(&at.file),
        at.line,
        at.column
    )?;
    write!(f, "\n{number} | {}", at.text)?;
    let carets = "^".repeat(at.width.max(1));
    let line = format!(
        "{:width$} | {:indent$}{carets} {label}",
        "",
        "",
        indent = at.indent
    );
    write!(f, "\n{}", line.trim_end())?;
    Ok(width)
}

/// Everything that is wrong with a configuration: at least one error, and the warnings beside it,
/// in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
