//! `queue.time_zone`: the clock on the wall by which hours are told.

use std::path::Path;

use mail::Zone;

use crate::Files;
use crate::options::{quarantine, queue, route, route_large};
use crate::settings::Settings;

/// Where systems keep what they know of zones.
const DATABASE: &str = "/usr/share/zoneinfo";
/// The system's own zone.
const LOCAL: &str = "/etc/localtime";

/// The zone that is written; or else the system's, and UTC where that says nothing, which is told
/// where hours go by it.
pub(crate) fn read(settings: &mut Settings, files: &dyn Files) -> Zone {
    let Some(name) = settings.get(queue::TIME_ZONE) else {
        let local = files.read(Path::new(LOCAL)).ok();
        let zone = local.and_then(|octets| Zone::read("the system's zone", &octets).ok());
        return zone.unwrap_or_else(|| {
            warn_of_utc(settings);
            Zone::utc()
        });
    };
    if name.eq_ignore_ascii_case("UTC") {
        return Zone::utc();
    }
    let octets = if is_name(&name) {
        files.read(&Path::new(DATABASE).join(&name)).ok()
    } else {
        None
    };
    let zone = octets.and_then(|octets| Zone::read(&name, &octets).ok());
    zone.unwrap_or_else(|| {
        let message = format!(
            "this machine knows no time zone \"{}\"",
            mail::escaped(&name)
        );
        let label = "write UTC, or a name as Europe/Berlin whose file is below /usr/share/zoneinfo";
        settings.error_at(queue::TIME_ZONE, message, label);
        Zone::utc()
    })
}

/// Once: it holds for the hours of all routes, and for that of the digest.
fn warn_of_utc(settings: &mut Settings) {
    let sections = settings.sections_of(route::SECTION).into_iter();
    let hours = sections.flat_map(|section| {
        let large = section.at(route_large::HOURS);
        [section.at(route::HOURS), large]
    });
    let message = "this machine does not say in which time zone it is: hours are in UTC".to_owned();
    let label = "write queue.time_zone = \"Europe/Berlin\", or \"UTC\" where that is meant";
    if let Some(at) = hours.into_iter().find(|at| settings.is_set(at)) {
        settings.warn_at(at, message, label);
    } else if settings.get(quarantine::DIGEST).is_some() {
        settings.warn_at(quarantine::DIGEST, message, label);
    }
}

/// Such a name leads to no file elsewhere.
fn is_name(text: &str) -> bool {
    let is_letter = |octet: u8| octet.is_ascii_alphanumeric() || b"_+-".contains(&octet);
    text.split('/')
        .all(|part| !part.is_empty() && part.bytes().all(is_letter))
}
