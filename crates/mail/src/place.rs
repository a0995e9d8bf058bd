use std::fmt;
use std::sync::Arc;

/// Where in the configuration something was written, so that a decision can name the line that made
/// it.
///
/// Shown as `gatepost.toml:13`; a built-in default is shown as `default`, what a preset
/// says as `preset`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Place {
    /// Nobody wrote it: the built-in default decided.
    #[default]
    Default,
    /// Nobody wrote it itself: a preset that somebody chose brought it along.
    Preset,
    /// A line that somebody wrote.
    Line {
        /// The file's name as the administrator gave it.
        file: Arc<str>,
        /// The line; the first one is 1.
        line: u32,
        /// The column, counted in characters; the first one is 1.
        column: u32,
    },
}

impl Place {
    /// A line of `file`; both numbers count from 1.
    pub fn line(file: &Arc<str>, line: u32, column: u32) -> Self {
        Self::Line {
            file: Arc::clone(file),
            line,
            column,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset => f.write_str("preset"),
            Self::Line { file, line, .. } => write!(f, "{file}:{line}"),
        }
    }
}
