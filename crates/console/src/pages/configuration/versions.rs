//! The last versions of the file: when, who, why, and back.

use askama::Template;
use daemon::api::ConfigVersion;

use super::TABS;
use super::change::diff;
use crate::cx::{Cx, address};
use crate::page::{Page, Section};
use crate::sessions::Role;
use crate::trouble::Trouble;
use crate::words;

#[derive(Template)]
#[template(path = "versions.html")]
struct Versions {
    tabs: &'static [(&'static str, &'static str)],
    versions: Vec<Version>,
}

struct Version {
    version: ConfigVersion,
    diff: Vec<(&'static str, String)>,
    back: Option<String>,
}

/// `GET /configuration/versions`
pub(crate) async fn versions(cx: Cx) -> Result<Page, Trouble> {
    let versions: Vec<ConfigVersion> = cx.api.get("/v1/config/versions").await?;
    let may_change = cx.may(Role::Admin);
    let shown = |version: ConfigVersion| {
        let number = version.number.to_string();
        let back = address("/act", &[("do", "roll-back"), ("version", &number)]);
        Version {
            diff: diff(&version.diff),
            back: (may_change && !version.current).then_some(back),
            version,
        }
    };
    let page = Versions {
        tabs: &TABS,
        versions: versions.into_iter().map(shown).collect(),
    };
    Page::still(Section::Configuration, "Versions", &page)
}
