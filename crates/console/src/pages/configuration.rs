//! The configuration: what every option is and means, and changes to the file, whose effect is shown
//! before they are made.

mod change;
mod options;
mod versions;

pub(crate) use self::change::{apply, change, file, try_edit, try_text};
pub(crate) use self::options::options;
pub(crate) use self::versions::versions;

/// The views: path, words.
const TABS: [(&str, &str); 3] = [
    ("/configuration", "Options"),
    ("/configuration/file", "The file"),
    ("/configuration/versions", "Versions"),
];
