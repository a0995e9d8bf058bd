use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use mail::{Timestamp, Zone};

/// The calendar and the clock on the wall at this moment.
pub(crate) fn civil(at: Timestamp, zone: Option<&Zone>) -> DateTime {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    let zone = zone.map_or(TimeZone::UTC, |zone| zone.time_zone().clone());
    zone.to_datetime(moment)
}
