//! Who gets to a page at all, and what every answer carries.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

use crate::cx::{Shared, address, cookie};
use crate::standing::is_still;

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every answer carries. Who leads elsewhere from here is not told of; within the console the
/// referrer stays, since browsers hide the origin of a form where it is forbidden altogether, and the
/// origin is what we look at.
const FIELDS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Lets through who asks for a page of ours, from a page of ours, and is signed in where he has to be.
pub(crate) async fn watch(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let response = match admit(&shared, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => *refusal,
    };
    carrying(FIELDS, response)
}

/// An answer with these fields, which no browser keeps unless it says so itself.
pub(crate) fn carrying(
    fields: impl IntoIterator<Item = (HeaderName, &'static str)>,
    mut response: Response,
) -> Response {
    let headers = response.headers_mut();
    for (name, value) in fields {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn admit(shared: &Shared, mut request: Request) -> Result<Request, Box<Response>> {
    let refused =
        |status: StatusCode, why: &'static str| Err(Box::new((status, why).into_response()));
    let host = host(shared, request.headers());
    let Some(host) = host else {
        return refused(
            StatusCode::MISDIRECTED_REQUEST,
            "This name does not belong to the console. Names that do are its address, localhost, and console.hostnames.\n",
        );
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && !comes_from_us(shared, &host, request.headers()) {
        return refused(
            StatusCode::FORBIDDEN,
            "This form was sent from a page of somebody else.\n",
        );
    }
    let path = request.uri().path();
    let asset = path.strip_prefix("/assets/");
    let is_asset = asset.is_some_and(|rest| rest.split('/').count() == 2);
    if path == "/login" || path.starts_with("/login/") || is_asset {
        return Ok(request);
    }
    let now = daemon::since_start();
    let cookie = cookie(request.headers(), shared.cookie_name());
    // What comes by itself is no sign that somebody is there.
    let is_stream = request.headers().get(header::ACCEPT);
    let is_stream = is_stream.is_some_and(|value| value.as_bytes() == b"text/event-stream");
    let visitor = cookie.and_then(|cookie| shared.sessions.find(&cookie, now, !is_stream));
    let visitor = match visitor {
        Some(visitor) => match is_still(shared, visitor).await {
            Ok(visitor) => visitor,
            Err(trouble) => return Err(Box::new(trouble.into_response())),
        },
        None => None,
    };
    match visitor {
        Some(visitor) => {
            request.extensions_mut().insert(visitor);
            Ok(request)
        }
        None if reads && !is_stream => {
            let back = request.uri().to_string();
            let back = if back == "/" { "" } else { &back };
            let fields: &[_] = if back.is_empty() {
                &[]
            } else {
                &[("next", back)]
            };
            let form = Redirect::to(&address("/login", fields));
            Err(Box::new(form.into_response()))
        }
        None => refused(
            StatusCode::UNAUTHORIZED,
            "You are not signed in any more.\n",
        ),
    }
}

/// The name by which the console was asked, with its port, where the name is one of ours. Somebody
/// else's page can lead a browser here by a name of its own alone (DNS rebinding): an address is as
/// good as a name of ours. The port may be another one than ours, as it is behind `ssh -L`.
fn host(shared: &Shared, fields: &HeaderMap) -> Option<String> {
    let mut named = fields.get_all(header::HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else {
        return None;
    };
    let host = host.to_str().ok()?.to_ascii_lowercase();
    let authority: Authority = host.parse().ok()?;
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let names = &shared.settings.names;
    let is_ours =
        address.parse::<IpAddr>().is_ok() || names.iter().any(|own| own.eq_ignore_ascii_case(name));
    (is_ours && !host.contains('@')).then_some(host)
}

/// Whether a form was sent from a page of ours: browsers say so with every form, and no page can
/// make them say another thing.
fn comes_from_us(shared: &Shared, host: &str, fields: &HeaderMap) -> bool {
    let scheme = match shared.settings.is_encrypted {
        true => "https",
        false => "http",
    };
    let origin = fields
        .get(header::ORIGIN)
        .and_then(|value| value.to_str().ok());
    origin.is_some_and(|origin| origin.eq_ignore_ascii_case(&format!("{scheme}://{host}")))
}
