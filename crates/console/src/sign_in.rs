//! Signing in and out. Passwords, second factors, and the guard against guessing are the relay's, as
//! for SMTP; here is what browsers need.

pub(crate) mod issuer;

use std::net::SocketAddr;
use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::header::{HeaderMap, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use daemon::api::{ConsoleRedeemed, ConsoleSignIn, ConsoleSignedIn, ConsoleToken};

use crate::assets;
use crate::cx::{Cx, Fields, Shared, Theme, cookie};
use crate::page::Posted;
use crate::sessions::{Role, Visitor};
use crate::trouble::Trouble;

/// A year: how long a browser remembers how pages look.
const THEME_SECONDS: u32 = 365 * 24 * 3600;

/// Octets of a form by which somebody signs in: strangers send it.
pub(crate) const FORM_OCTETS_MAX: usize = 16 << 10;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginForm<'a> {
    host: &'a str,
    theme: &'static str,
    version: &'static str,
    next: &'a str,
    /// Of a one-time link.
    token: &'a str,
    user: &'a str,
    needs_code: bool,
    /// Who else vouches for people.
    issuer: Option<String>,
    why: Option<&'a str>,
}

/// `GET /login`
pub(crate) async fn form(
    State(shared): State<Arc<Shared>>,
    fields: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let query = Fields(query);
    render(&shared, &fields, &query, None).await
}

/// The form again, with what is wrong.
async fn refused(
    shared: &Shared,
    fields: &HeaderMap,
    form: &Fields,
    trouble: &Trouble,
) -> Response {
    render(shared, fields, form, Some(trouble)).await
}

async fn render(
    shared: &Shared,
    fields: &HeaderMap,
    form: &Fields,
    trouble: Option<&Trouble>,
) -> Response {
    let page = LoginForm {
        host: &shared.settings.hostname,
        theme: Theme::parse(&cookie(fields, "theme").unwrap_or_default()).as_str(),
        version: assets::version(),
        next: within(form.get("next")),
        token: form.get("token"),
        user: form.get("user"),
        needs_code: trouble.is_some_and(|trouble| trouble.needs_code),
        issuer: issuer::name(shared).await,
        why: trouble.map(|trouble| &*trouble.why),
    };
    match page.render() {
        Ok(text) => {
            let status = trouble.map_or(StatusCode::OK, |trouble| trouble.status);
            (status, Html(text)).into_response()
        }
        Err(error) => Trouble::ours(error).into_response(),
    }
}

/// `POST /login`: with a one-time token, or with name and password.
pub(crate) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    fields: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let form = Fields(form);
    let signed_in = match form.get("token") {
        "" => typed(&shared, &form, client).await,
        token => linked(&shared, token).await,
    };
    match signed_in {
        Ok(visitor) => {
            let next = within(form.get("next"));
            let to = if next.is_empty() { "/" } else { next };
            (seated(&shared, &fields, visitor), Redirect::to(to)).into_response()
        }
        Err(trouble) => {
            // A link that is used up is of no more use: what is left are name and password.
            let mut again = form;
            again.0.retain(|(name, _)| name != "token");
            refused(&shared, &fields, &again, &trouble).await
        }
    }
}

/// Who has typed his name and password.
async fn typed(shared: &Shared, form: &Fields, client: SocketAddr) -> Result<Visitor, Trouble> {
    let question = ConsoleSignIn {
        user: form.get("user").to_owned(),
        password: form.raw("password").to_owned(),
        code: Some(form.get("code").to_owned()).filter(|code| !code.is_empty()),
        client: client.ip().to_string(),
    };
    let asked = shared.api.post("/v1/console/sign-in", &question).await;
    let ConsoleSignedIn {
        name, role, stamp, ..
    } = asked?;
    Ok(Visitor {
        name,
        role: known(&role)?,
        is_user: true,
        stamp,
        stays: None,
        token: daemon::random_name(),
    })
}

/// Who comes by a one-time link.
async fn linked(shared: &Shared, token: &str) -> Result<Visitor, Trouble> {
    let question = ConsoleToken {
        token: token.to_owned(),
    };
    let asked = shared.api.post("/v1/console/redeem", &question).await;
    let ConsoleRedeemed { name, role } = asked?;
    Ok(Visitor {
        name,
        role: known(&role)?,
        is_user: false,
        stamp: String::new(),
        stays: None,
        token: daemon::random_name(),
    })
}

fn known(role: &str) -> Result<Role, Trouble> {
    let unknown = || Trouble::ours("the relay gave a role that the console does not know");
    Role::parse(role).ok_or_else(unknown)
}

/// Begins a session under a new cookie, which the browser is told. The one that it had before ends:
/// nobody holds its cookie any longer.
fn seated(shared: &Shared, fields: &HeaderMap, visitor: Visitor) -> HeaderMap {
    let now = daemon::since_start();
    if let Some(before) = cookie(fields, shared.cookie_name()) {
        shared.sessions.end(&before, now);
    }
    let cookie = daemon::random_name();
    shared.sessions.begin(&cookie, visitor, now);
    with_cookie(shared, &cookie, None)
}

/// A field that sets the cookie of a session; for so many seconds, or as long as the browser runs.
fn with_cookie(shared: &Shared, value: &str, seconds: Option<u32>) -> HeaderMap {
    let secure = if shared.settings.is_encrypted {
        "; Secure"
    } else {
        ""
    };
    let age = seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    let name = shared.cookie_name();
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    set_cookie(&text)
}

fn set_cookie(text: &str) -> HeaderMap {
    let value = HeaderValue::from_str(text);
    value
        .map(|value| HeaderMap::from_iter([(SET_COOKIE, value)]))
        .unwrap_or_default()
}

/// `POST /logout`
pub(crate) async fn sign_out(cx: Cx, _posted: Posted) -> Response {
    cx.shared.sessions.end(&cx.cookie, daemon::since_start());
    let gone = with_cookie(&cx.shared, "", Some(0));
    (gone, Redirect::to("/login")).into_response()
}

/// `POST /theme`: how pages look from now on, in this browser.
pub(crate) async fn theme(cx: Cx, posted: Posted) -> Response {
    let theme = Theme::parse(posted.fields.get("theme")).as_str();
    let secure = if cx.shared.settings.is_encrypted {
        "; Secure"
    } else {
        ""
    };
    let text = format!("theme={theme}; Path=/; SameSite=Strict; Max-Age={THEME_SECONDS}{secure}");
    let back = within(posted.fields.get("back"));
    let back = if back.is_empty() { "/" } else { back };
    (set_cookie(&text), Redirect::to(back)).into_response()
}

/// A path of the console, or nothing: nobody is led elsewhere from here.
fn within(path: &str) -> &str {
    let leads_elsewhere = path.starts_with("//") || path.contains('\\');
    let is_plain = path.bytes().all(|octet| octet.is_ascii_graphic());
    match path.starts_with('/') && !leads_elsewhere && is_plain {
        true => path,
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn nobody_is_led_elsewhere() {
        for path in ["/", "/queues?filter=to%3Aann", "/message/01h#end"] {
            assert_eq!(within(path), path);
        }
        for path in [
            "",
            "//evil.example/",
            "/\\evil.example",
            "https://evil.example/",
            "queues",
            "/a\r\nSet-Cookie: a=b",
            "\\\\evil.example",
            "/ä",
        ] {
            assert_eq!(within(path), "", "{path}");
        }
    }
}
