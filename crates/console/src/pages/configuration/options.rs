//! Every option, by groups that administrators of other systems know.

use askama::Template;
use daemon::api::{ConfigOption, ConfigText};

use super::TABS;
use crate::cx::{Cx, address};
use crate::page::{Page, Section};
use crate::sessions::Role;
use crate::trouble::Trouble;
use crate::words;

/// Options and values on a page.
const ROWS: usize = 500;

/// A group of options: its word in the address, its words on the page, sections.
struct Group {
    word: &'static str,
    name: &'static str,
    sections: &'static [&'static str],
}

const GROUPS: [Group; 12] = [
    group("servers", "Virtual servers (listeners)", &["listener"]),
    group(
        "relay",
        "Relay restrictions",
        &["relay", "guardian", "greylisting", "reputation"],
    ),
    group(
        "domains",
        "Remote and local domains",
        &["domain", "forward", "send_only_to", "directory"],
    ),
    group(
        "routes",
        "Routes and smart hosts",
        &["route", "outbound", "sender_route", "dns"],
    ),
    group("sign-in", "Sign-in", &["auth", "oauth"]),
    group("tls", "TLS and certificates", &["tls"]),
    group(
        "screening",
        "Screening",
        &["screen", "scanner", "quarantine", "authentication", "dkim"],
    ),
    group("limits", "Limits", &["limits"]),
    group("queue", "Retry and notices", &["queue", "notify"]),
    group("spool", "Disk", &["spool"]),
    group(
        "logs",
        "Logs and tracking",
        &["log", "syslog", "tracking", "metrics", "reports"],
    ),
    group("console", "Console", &["console", "control"]),
];

const fn group(word: &'static str, name: &'static str, sections: &'static [&'static str]) -> Group {
    Group {
        word,
        name,
        sections,
    }
}

#[derive(Template)]
#[template(path = "options.html")]
struct Options {
    tabs: &'static [(&'static str, &'static str)],
    text: ConfigText,
    groups: Vec<(&'static str, String, bool)>,
    find: String,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

/// An option, or one of the places where it stands.
struct Row {
    key: String,
    value: String,
    place: String,
    is_default: bool,
    meaning: String,
    takes: String,
    default: String,
    change: Option<String>,
}

/// `GET /configuration`
pub(crate) async fn options(cx: Cx) -> Result<Page, Trouble> {
    let text: ConfigText = cx.api.get("/v1/config?brief=true").await?;
    let find = cx.query.get("find").to_lowercase();
    let chosen = cx.query.get("group");
    let chosen = if chosen.is_empty() && find.is_empty() {
        "relay"
    } else {
        chosen
    };
    let may_change = cx.may(Role::Admin);
    let skip = cx.query.get("skip").parse().unwrap_or(0_usize);
    let (skipped, limit) = (skip.to_string(), (ROWS + 1).to_string());
    let of_group = of_group(chosen);
    let wanted = match find.as_str() {
        "" => (of_group.0, of_group.1.as_str()),
        find => ("find", find),
    };
    let fields = [wanted, ("skip", &*skipped), ("limit", &*limit)];
    let path = address("/v1/config/options", &fields);
    let all: Vec<ConfigOption> = cx.api.get(&path).await?;
    let mut rows: Vec<Row> = all
        .iter()
        .flat_map(|option| rows(option, may_change))
        .collect();
    let is_more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let groups = GROUPS.iter().map(|group| (group.word, group.name));
    let groups = groups.chain([("other", "Other")]);
    let page = Options {
        tabs: &TABS,
        groups: groups
            .map(|(word, name)| {
                (
                    name,
                    address("/configuration", &[("group", word)]),
                    word == chosen,
                )
            })
            .collect(),
        next: is_more.then(|| cx.with("skip", &(skip + ROWS).to_string())),
        first: (skip > 0).then(|| cx.with("skip", "")),
        rows,
        find,
        text,
    };
    Page::still(Section::Configuration, "Configuration", &page)
}

/// How the API is asked for a group: the first part of a section's name says where it belongs.
fn of_group(word: &str) -> (&'static str, String) {
    match GROUPS.iter().find(|group| group.word == word) {
        Some(group) => ("sections", group.sections.join(",")),
        None => {
            let all = GROUPS.iter().flat_map(|group| group.sections);
            let all: Vec<&str> = all.copied().collect();
            ("except", all.join(","))
        }
    }
}

fn rows(option: &ConfigOption, may_change: bool) -> Vec<Row> {
    let link = |key: &str| {
        let path = address("/configuration/change", &[("key", key)]);
        may_change.then_some(path)
    };
    let row = |key: &str, value: &str, place: &str| Row {
        key: key.to_owned(),
        value: value.to_owned(),
        place: words::place(place).to_owned(),
        is_default: place == "default",
        meaning: option.meaning.clone(),
        takes: option.takes.clone(),
        default: option.default.clone(),
        change: link(key),
    };
    match option.values.as_slice() {
        // One that stands below a name which nobody has given has no value to show.
        [] => vec![row(&option.key, "", "")],
        values => (values.iter())
            .map(|value| row(&value.key, &value.value, &value.place))
            .collect(),
    }
}
