//! Style, script and sign of the console, as part of the binary.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

/// Name, type, content.
const FILES: [(&str, &str, &str); 3] = [
    (
        "console.css",
        "text/css; charset=utf-8",
        include_str!("../assets/console.css"),
    ),
    (
        "console.js",
        "text/javascript; charset=utf-8",
        include_str!("../assets/console.js"),
    ),
    (
        "sign.svg",
        "image/svg+xml",
        include_str!("../assets/sign.svg"),
    ),
];

/// Stands in the address of each file, so that browsers may keep them for ever.
pub(crate) fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let all: Vec<&str> = FILES.iter().map(|(_, _, content)| *content).collect();
        let sum = digest(&SHA256, all.concat().as_bytes());
        mail::hex(&sum.as_ref()[..6])
    });
    &VERSION
}

/// `GET /assets/VERSION/NAME`
pub(crate) async fn serve(Path((_, name)): Path<(String, String)>) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(own, _, _)| *own == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let fields = [
        (CONTENT_TYPE, *kind),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (fields, *content).into_response()
}
