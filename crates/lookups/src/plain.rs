//! What the system says of a failure, for people.

use std::io;

/// `Connection refused`, without the number that the system puts behind.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
