//! What became of each setting of the source.

use std::fmt;

/// What became of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It means the same here.
    Translated,
    /// It has become something that is not quite the same.
    Changed,
    /// It is not in the configuration.
    NotTranslated,
    /// It would let strangers relay, and is not in the configuration.
    LeftOut,
}

impl Fate {
    /// As it stands in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Translated => "translated",
            Self::Changed => "changed",
            Self::NotTranslated => "not translated",
            Self::LeftOut => "LEFT OUT",
        }
    }
}

/// Where a setting stands in the source, and its name. Values are not part of it: one may be a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file, as the source names it; empty for what is so without being written.
    pub file: String,
    /// The line, from 1; 0 for what is so without being written.
    pub line: usize,
    /// The name of the setting.
    pub name: String,
}

impl Origin {
    pub(crate) fn new(file: &str, line: usize, name: &str) -> Self {
        Self {
            file: file.to_owned(),
            line,
            name: name.to_owned(),
        }
    }

    /// What stands at `key` there.
    pub(crate) fn keyed(&self, key: &str) -> Self {
        Self {
            name: format!("{} {key}", self.name),
            ..self.clone()
        }
    }

    /// Of a default.
    pub(crate) fn unwritten(name: &str) -> Self {
        Self::new("", 0, name)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return f.write_str("default");
        }
        write!(f, "{}:{}", mail::escaped(&self.file), self.line)
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What became of it.
    pub fate: Fate,
    /// What, and where it stands.
    pub origin: Origin,
    /// Our option that it has become; empty when it became none.
    pub option: String,
    /// Why it is not the same, or nothing.
    pub why: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:14}  {}  {}",
            self.fate.as_str(),
            self.origin,
            mail::escaped(&self.origin.name)
        )?;
        if !self.option.is_empty() {
            write!(f, " -> {}", mail::escaped(&self.option))?;
        }
        if !self.why.is_empty() {
            write!(f, ": {}", mail::escaped(&self.why))?;
        }
        Ok(())
    }
}

/// So many rows are kept; a table of more is read by nobody.
const ROWS_MAX: usize = 20_000;

/// The table: every setting of the source with what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    rows: Vec<Row>,
    /// How many rows had no room.
    more: usize,
}

impl Report {
    /// Its rows, in the order in which they were made.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rows of one kind.
    pub fn of(&self, fate: Fate) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.fate == fate)
    }

    /// By file, those named first before all others, and by line; what nobody wrote comes last.
    pub(crate) fn in_order(&mut self, first: &[&str]) {
        let rank = |file: &str| {
            first
                .iter()
                .position(|name| *name == file)
                .unwrap_or(first.len())
        };
        self.rows.sort_by_cached_key(|row| {
            let Origin { file, line, .. } = &row.origin;
            (*line == 0, rank(file), file.clone(), *line)
        });
    }

    pub(crate) fn add(
        &mut self,
        fate: Fate,
        origin: &Origin,
        option: &str,
        why: impl Into<String>,
    ) {
        let row = Row {
            fate,
            origin: origin.clone(),
            option: option.to_owned(),
            why: why.into(),
        };
        // Services that share a list tell the same of it.
        if self
            .rows
            .iter()
            .rev()
            .take(RECENT)
            .any(|before| *before == row)
        {
            return;
        }
        if self.rows.len() < ROWS_MAX {
            self.rows.push(row);
        } else {
            self.more += 1;
        }
    }
}

/// Among so many rows the same one is looked for.
const RECENT: usize = 500;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left_out = self.of(Fate::LeftOut).count();
        if left_out > 0 {
            writeln!(
                f,
                "WARNING: {left_out} settings would have made an open relay, and were left out:"
            )?;
            for row in self.of(Fate::LeftOut) {
                writeln!(f, "{row}")?;
            }
            writeln!(f)?;
        }
        for row in self.rows.iter().filter(|row| row.fate != Fate::LeftOut) {
            writeln!(f, "{row}")?;
        }
        if self.more > 0 {
            writeln!(f, "and {} more", self.more)?;
        }
        write!(
            f,
            "{} translated, {} changed, {} not translated, {left_out} left out",
            self.of(Fate::Translated).count(),
            self.of(Fate::Changed).count(),
            self.of(Fate::NotTranslated).count() + self.more,
        )
    }
}
