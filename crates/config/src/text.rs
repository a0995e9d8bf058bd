//! From the octets of a file to its text.

use crate::diagnostic::{Diagnostic, Severity};
use crate::settings::Settings;
use crate::source::{Source, Span};

/// A file larger than this is no configuration.
const FILE_BYTES_MAX: usize = 64 << 20;

/// The text of a file; what is wrong with its size or encoding goes into `settings`.
pub(crate) fn text_of(settings: &mut Settings, name: &str, octets: Vec<u8>) -> Option<String> {
    if octets.len() > FILE_BYTES_MAX {
        let message = format!("{name} is larger than {FILE_BYTES_MAX} octets");
        settings.push("", None, Diagnostic::new(Severity::Error, message));
        return None;
    }
    match String::from_utf8(octets) {
        // Some editors begin a file with a byte order mark; it means nothing.
        Ok(text) => Some(match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        }),
        Err(why) => {
            not_utf8(settings, name, &why);
            None
        }
    }
}

fn not_utf8(settings: &mut Settings, name: &str, why: &std::string::FromUtf8Error) {
    let file = settings.sources.len();
    let at = why.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(why.as_bytes()).into_owned();
    settings.sources.push(Source::new(name, text));
    let span = Span {
        file,
        range: at..at + '\u{fffd}'.len_utf8(),
    };
    settings.error(
        &span,
        "the file is not UTF-8".into(),
        "this octet is in another encoding",
    );
}
