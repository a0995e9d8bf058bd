//! Signing in by an issuer that vouches for people (OpenID Connect). The browser is sent there and
//! led back; what it holds meanwhile proves that it is the same one. What the issuer's answer is
//! worth is for the relay to say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::header::{HOST, HeaderMap, HeaderValue, SET_COOKIE};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use daemon::api::{
    ConsoleIssuerAnswer, ConsoleIssuerBegun, ConsoleIssuerRow, ConsoleIssuerWanted, ConsoleVouched,
};

use super::{known, refused, seated, within};
use crate::assets;
use crate::cx::{Fields, Shared, Theme, address, cookie};
use crate::sessions::Visitor;
use crate::trouble::Trouble;

/// Where the issuer leads a browser back to.
const BACK: &str = "/login/issuer/back";
/// How long a browser holds what it was given, in seconds; the relay takes it no longer either.
const HELD_SECONDS: u32 = 600;
/// Octets of the page that somebody wanted to see: browsers hold no more than four thousand in all.
const NEXT_OCTETS_MAX: usize = 2_000;

/// Who vouches for people here, where somebody does. That it cannot be told is no reason not to ask
/// for a password.
pub(crate) async fn name(shared: &Shared) -> Option<String> {
    let issuer = shared.api.get::<ConsoleIssuerRow>("/v1/console/issuer");
    Some(issuer.await.ok()?.name)
}

/// `GET /login/issuer`: to the issuer. A link, as no form may lead elsewhere from here.
pub(crate) async fn begin(
    State(shared): State<Arc<Shared>>,
    fields: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let query = Fields(query);
    let wanted = ConsoleIssuerWanted {
        redirect: redirect(&shared, &fields),
    };
    let path = "/v1/console/issuer/begin";
    let begun = shared.api.post::<ConsoleIssuerBegun>(path, &wanted).await;
    match begun {
        Ok(ConsoleIssuerBegun { url, ticket }) => {
            let next = within(query.get("next"));
            let next = if next.len() > NEXT_OCTETS_MAX {
                ""
            } else {
                next
            };
            let held = address("", &[("ticket", &ticket), ("next", next)]);
            let held = held.trim_start_matches('?');
            let kept = kept(&shared, held, HELD_SECONDS);
            (HeaderMap::from_iter(kept), Redirect::to(&url)).into_response()
        }
        Err(trouble) => refused(&shared, &fields, &query, &trouble).await,
    }
}

/// `GET /login/issuer/back`: from the issuer.
pub(crate) async fn end(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    fields: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let query = Fields(query);
    let held = held(&shared, &fields);
    let said = |name: &str| Some(query.get(name).to_owned()).filter(|text| !text.is_empty());
    let error = said("error").map(|error| match said("error_description") {
        Some(more) => format!("{error}: {more}"),
        None => error,
    });
    let answer = ConsoleIssuerAnswer {
        ticket: held.get("ticket").to_owned(),
        state: query.get("state").to_owned(),
        code: query.get("code").to_owned(),
        issuer: said("iss"),
        redirect: redirect(&shared, &fields),
        error,
        client: client.ip().to_string(),
    };
    let path = "/v1/console/issuer/end";
    let vouched = shared.api.post::<ConsoleVouched>(path, &answer).await;
    match vouched.and_then(visitor) {
        Ok(visitor) => landed(&shared, &fields, visitor, within(held.get("next"))),
        Err(trouble) => refused(&shared, &fields, &held, &trouble).await,
    }
}

fn visitor(vouched: ConsoleVouched) -> Result<Visitor, Trouble> {
    Ok(Visitor {
        role: known(&vouched.role)?,
        name: vouched.name,
        is_user: true,
        stamp: vouched.stamp,
        stays: Some(Duration::from_secs(vouched.seconds)),
        token: daemon::random_name(),
    })
}

#[derive(Template)]
#[template(path = "landing.html")]
struct Landing<'a> {
    host: &'a str,
    theme: &'static str,
    version: &'static str,
    name: &'a str,
    to: &'a str,
}

/// Browsers send the cookie of a session along only where a page of ours leads on: this one does. A
/// redirect would be the issuer's.
fn landed(shared: &Shared, fields: &HeaderMap, visitor: Visitor, next: &str) -> Response {
    let page = Landing {
        host: &shared.settings.hostname,
        theme: Theme::parse(&cookie(fields, "theme").unwrap_or_default()).as_str(),
        version: assets::version(),
        name: &visitor.name,
        to: if next.is_empty() { "/" } else { next },
    };
    match page.render() {
        Ok(text) => {
            let mut cookies = seated(shared, fields, visitor.clone());
            if let Some((name, gone)) = kept(shared, "", 0) {
                cookies.append(name, gone);
            }
            (cookies, Html(text)).into_response()
        }
        Err(error) => Trouble::ours(error).into_response(),
    }
}

/// The console's own address, by the name that the guard has found to be ours.
fn redirect(shared: &Shared, fields: &HeaderMap) -> String {
    let scheme = if shared.settings.is_encrypted {
        "https"
    } else {
        "http"
    };
    let host = fields.get(HOST).and_then(|host| host.to_str().ok());
    format!("{scheme}://{}{BACK}", host.unwrap_or_default())
}

fn cookie_name(shared: &Shared) -> String {
    format!("{}-issuer", shared.cookie_name())
}

/// A field that has a browser hold this. It has to come along when the issuer leads back, which is
/// somebody else's page.
fn kept(
    shared: &Shared,
    held: &str,
    seconds: u32,
) -> Option<(axum::http::HeaderName, HeaderValue)> {
    let name = cookie_name(shared);
    let secure = if shared.settings.is_encrypted {
        "; Secure"
    } else {
        ""
    };
    let text = format!("{name}={held}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    Some((SET_COOKIE, HeaderValue::from_str(&text).ok()?))
}

fn held(shared: &Shared, fields: &HeaderMap) -> Fields {
    let held = cookie(fields, &cookie_name(shared)).unwrap_or_default();
    let uri = format!("/?{held}").parse().ok();
    let parsed = uri.and_then(|uri| Query::<Vec<(String, String)>>::try_from_uri(&uri).ok());
    parsed
        .map(|Query(fields)| Fields(fields))
        .unwrap_or_default()
}
