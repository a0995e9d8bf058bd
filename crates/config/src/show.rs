use std::fmt::Write;

use mail::Place;

use crate::config::Config;

/// The effective configuration as text, one option a line with its place; `changed_only` leaves
/// defaults out.
pub fn show(config: &Config, changed_only: bool) -> String {
    let mut text = String::new();
    for option in config
        .options()
        .filter(|option| !changed_only || option.place != Place::Default)
    {
        let idle = if option.idle {
            ", not in force yet"
        } else {
            ""
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} = {}  # {}{idle}",
            option.key, option.value, option.place
        );
    }
    text
}
