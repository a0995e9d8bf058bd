//! The configuration: what every option is and means, and changes to the file, whose effect is shown
//! before they are made.

mod change;
mod options;
mod rules;
mod sections;
mod versions;

use axum::extract::DefaultBodyLimit;

pub(crate) use self::change::{apply, change, file, try_edit, try_form};
pub(crate) use self::options::options;
pub(crate) use self::rules::rules;
pub(crate) use self::sections::{section, sections, settings};
pub(crate) use self::versions::versions;

/// A file of a megabyte, with each octet written as three.
const FORM_OCTETS_MAX: usize = 4 << 20;

const SETTINGS: &str = "/configuration/settings";

/// The views: path, words.
const TABS: [(&str, &str); 8] = [
    ("/configuration", "Options"),
    ("/configuration/sections?of=listener", "Listeners"),
    ("/configuration/sections?of=domain", "Domains"),
    ("/configuration/sections?of=route", "Routes"),
    (SETTINGS, "Settings"),
    ("/configuration/rules", "Rules"),
    ("/configuration/file", "The file"),
    ("/configuration/versions", "Versions"),
];

/// How long a form may be: the text of a whole file is one.
pub(crate) fn form_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(FORM_OCTETS_MAX)
}
