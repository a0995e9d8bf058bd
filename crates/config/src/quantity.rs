//! Durations and sizes as options take them, and what is said to who wrote them otherwise.

use std::time::Duration;

/// A year: nothing that is configured takes longer.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

pub(crate) const DURATION_HELP: &str =
    "write a number and a unit: \"500ms\", \"30s\", \"5m\", \"1h30m\", \"2d\"";
pub(crate) const SIZE_HELP: &str =
    "write a number and a unit: \"500kB\", \"25MB\" (1,000,000), \"25MiB\" (1,048,576), \"2GB\"";

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    mail::quantity::duration(text)
        .filter(|duration| *duration <= DURATION_MAX)
        .ok_or(DURATION_HELP.into())
}

pub(crate) fn size(text: &str) -> Result<u64, String> {
    mail::quantity::size(text).ok_or(SIZE_HELP.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_of_more_than_a_year_is_a_mistake() {
        assert_eq!(duration("366d"), Ok(DURATION_MAX));
        assert_eq!(duration("10000d"), Err(DURATION_HELP.into()));
        assert_eq!(size("25mb"), Err(SIZE_HELP.into()));
    }
}
