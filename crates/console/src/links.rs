//! The pages behind links of a digest, for readers who sign in nowhere: one message for one
//! recipient, to be released or deleted. Whoever has a link may; programs that look at mail follow
//! links, so opening one does nothing.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use daemon::ControlApi;
use daemon::api::{LinkedMessage, OperationRow, ReleaseLinkToken};

use crate::api::Api;
use crate::guard::carrying;
use crate::trouble::Trouble;
use crate::{assets, words};

/// Nothing from elsewhere, no script at all, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// What every answer carries. The address is the link: nobody is told of it.
const FIELDS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("x-robots-tag"), "noindex"),
];

#[derive(Template)]
#[template(path = "held_by_link.html")]
struct HeldPage<'a> {
    version: &'a str,
    /// From the page back to the folder of the links.
    up: &'a str,
    heading: &'a str,
    token: &'a str,
    held: Option<LinkedMessage>,
    what: Option<&'a str>,
}

/// The pages behind links of digests, and nothing else of the console.
pub fn links(api: ControlApi) -> Router {
    Router::new()
        .route("/{token}", get(show))
        .route("/{token}/release", post(release))
        .route("/{token}/delete", post(delete))
        .route("/assets/{version}/{name}", get(assets::serve))
        .fallback(async || page(StatusCode::NOT_FOUND, "", "There is nothing here", None))
        .layer(middleware::map_response(async |response| {
            carrying(FIELDS, response)
        }))
        .with_state(Api::by_link(api))
}

/// `GET /TOKEN`
async fn show(State(api): State<Api>, Path(token): Path<String>) -> Response {
    let held = match held(&api, &token).await {
        Ok(held) => held,
        Err(trouble) => return cannot(&trouble, ""),
    };
    let page = HeldPage {
        version: assets::version(),
        up: "",
        heading: "A message that is held",
        token: &token,
        held: Some(held),
        what: None,
    };
    written(StatusCode::OK, &page)
}

/// `POST /TOKEN/release`
async fn release(State(api): State<Api>, Path(token): Path<String>) -> Response {
    let what = "It goes on to its recipient now.";
    act(&api, token, "release", "Released", what).await
}

/// `POST /TOKEN/delete`
async fn delete(State(api): State<Api>, Path(token): Path<String>) -> Response {
    let what = "It is gone. Its sender is not told.";
    act(&api, token, "delete", "Deleted", what).await
}

async fn act(api: &Api, token: String, verb: &str, heading: &str, what: &str) -> Response {
    // What is asked for in vain is written to no audit log, which strangers could fill otherwise.
    if let Err(trouble) = held(api, &token).await {
        return cannot(&trouble, "../");
    }
    let path = format!("/v1/quarantine/link/{verb}");
    let body = ReleaseLinkToken { token };
    match api.post::<OperationRow>(&path, &body).await {
        Ok(_) => page(StatusCode::OK, "../", heading, Some(what)),
        Err(trouble) => cannot(&trouble, "../"),
    }
}

async fn held(api: &Api, token: &str) -> Result<LinkedMessage, Trouble> {
    let token = token.to_owned();
    api.post("/v1/quarantine/link", &ReleaseLinkToken { token })
        .await
}

fn cannot(trouble: &Trouble, up: &str) -> Response {
    let (heading, what) = match trouble.status {
        StatusCode::GONE => ("It is no longer held", "It was released or deleted before."),
        StatusCode::NOT_FOUND => (
            "This link does not count",
            "It has expired, or it was not copied whole. Ask your postmaster for the message.",
        ),
        _ => (
            "That cannot be done now",
            "The mail gateway could not answer. Try again in a while.",
        ),
    };
    page(trouble.status, up, heading, Some(what))
}

fn page(status: StatusCode, up: &str, heading: &str, what: Option<&str>) -> Response {
    let page = HeldPage {
        version: assets::version(),
        up,
        heading,
        token: "",
        held: None,
        what,
    };
    written(status, &page)
}

fn written(status: StatusCode, page: &HeldPage<'_>) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
