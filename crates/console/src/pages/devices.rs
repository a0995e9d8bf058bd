//! Who sends through the relay: the printers, applications and users that may, and who tried.

use askama::Template;
use daemon::api::{DeviceLists, DeviceRow};

use crate::cx::{Cx, address};
use crate::page::{Page, Section};
use crate::sessions::Role;
use crate::trouble::Trouble;
use crate::words;

/// Of each kind on the page.
const DEVICES: usize = 200;

/// How far back: words, value.
const SPANS: [(&str, &str); 3] = [("a day", "1d"), ("a week", "7d"), ("a month", "31d")];

#[derive(Template)]
#[template(path = "devices.html")]
struct Devices {
    spans: Vec<(&'static str, String, bool)>,
    devices: Vec<Device>,
    not_permitted: Vec<Device>,
}

struct Device {
    row: DeviceRow,
    /// What it sent.
    tracked: String,
    /// What would have to be so, for one that is not permitted.
    check: String,
    permit: Option<String>,
}

/// `GET /devices`
pub(crate) async fn devices(cx: Cx) -> Result<Page, Trouble> {
    let wanted = match cx.query.get("for") {
        "" => "7d",
        wanted => wanted,
    };
    let limit = DEVICES.to_string();
    let path = address("/v1/devices", &[("for", wanted), ("limit", &limit)]);
    let lists: DeviceLists = cx.api.get(&path).await?;
    let may_permit = cx.may(Role::Admin);
    let device = |row| device(row, may_permit);
    let page = Devices {
        spans: SPANS
            .map(|(word, value)| (word, cx.with("for", value), value == wanted))
            .to_vec(),
        devices: lists.devices.into_iter().map(device).collect(),
        not_permitted: lists.not_permitted.into_iter().map(device).collect(),
    };
    Page::live(Section::Devices, "Devices", &page)
}

fn device(row: DeviceRow, may_permit: bool) -> Device {
    let filter = match &row.user {
        Some(user) => format!("user:{user}"),
        None => format!("client:{}", row.client),
    };
    // An address alone can be permitted.
    let is_address = row.client.parse::<std::net::IpAddr>().is_ok() && row.user.is_none();
    let permit = [("edit", "relay.allow"), ("append", &*row.client)];
    Device {
        tracked: address("/tracking", &[("filter", &filter)]),
        check: address("/diagnose", &[("client", &row.client)]),
        permit: (is_address && may_permit).then(|| address("/configuration/try", &permit)),
        row,
    }
}
