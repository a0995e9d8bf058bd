//! Keys and words, and what is not there.

use askama::Template;
use axum::http::StatusCode;

use crate::cx::Cx;
use crate::page::{Page, Section};
use crate::trouble::Trouble;

/// What a key does.
const KEYS: [(&str, &str); 7] = [
    ("/", "go to the filter"),
    ("j, k", "the next row, the row before"),
    ("Enter", "open the chosen row"),
    (
        "g and a letter",
        "go to a part: g o is the overview, g t tracking, g q queues, and so on by the first letters of the menu",
    ),
    ("?", "this page"),
    ("Esc", "leave a field, close a menu"),
    ("Tab", "every link and button can be reached"),
];

/// The words of the systems that people come from, and ours.
const WORDS: [(&str, &str); 12] = [
    (
        "SMTP virtual server",
        "a listener, [listener.NAME]: the addresses where clients connect",
    ),
    (
        "Relay restrictions: only the list below",
        "relay.mode = \"only-list\" with relay.allow",
    ),
    (
        "Relay restrictions: all except the list below",
        "relay.mode = \"all-except\" with relay.except; it does not start where strangers can connect",
    ),
    ("Connection control", "listener.NAME.connect"),
    (
        "Remote domain, local domain",
        "[domain.\"example.com\"]: a domain that is taken from anyone, and where it goes",
    ),
    (
        "Smart host",
        "route of a domain, [route.NAME], or outbound.route for everything else",
    ),
    (
        "Outbound connections",
        "outbound.max_connections, outbound.max_per_site",
    ),
    (
        "Masquerade domain",
        "outbound.masquerade_domain, [[send_as]]",
    ),
    ("Pickup directory", "pickup.directory"),
    (
        "Badmail directory",
        "mail held as badmail: the filter state:badmail in Queues",
    ),
    ("Current sessions", "Sessions"),
    ("Message tracking", "Tracking"),
];

#[derive(Template)]
#[template(path = "help.html")]
struct Help {
    keys: &'static [(&'static str, &'static str)],
    words: &'static [(&'static str, &'static str)],
}

/// `GET /help`
pub(crate) async fn help(_: Cx) -> Result<Page, Trouble> {
    let page = Help {
        keys: &KEYS,
        words: &WORDS,
    };
    Page::still(Section::Other, "Keys and words", &page)
}

/// Every other address.
pub(crate) async fn nothing(cx: Cx) -> Result<Page, Trouble> {
    let why = format!("The console has no page `{}`.", cx.path);
    Err(Trouble::new(StatusCode::NOT_FOUND, why))
}
