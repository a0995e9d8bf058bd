//! A test message that is really sent.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use daemon::api::{TestDoor, TestMessage, TestSent};

use super::TABS;
use crate::cx::Cx;
use crate::page::{Page, Posted, Section, framed};
use crate::sessions::Role;
use crate::trouble::Trouble;

#[derive(Template)]
#[template(path = "send.html")]
struct Send<'a> {
    tabs: &'static [(&'static str, &'static str)],
    token: &'a str,
    to: &'a str,
    why_not: Option<&'a str>,
    /// Why none could be sent at all.
    no_door: Option<String>,
}

/// `GET /diagnose/send`
pub(crate) async fn send(cx: Cx) -> Result<Page, Trouble> {
    cx.require(Role::Operator)?;
    form(&cx, cx.query.get("to"), None).await
}

async fn form(cx: &Cx, to: &str, why_not: Option<&str>) -> Result<Page, Trouble> {
    let door: TestDoor = cx.api.get("/v1/test/send").await?;
    let page = Send {
        tabs: &TABS,
        token: &cx.visitor.token,
        to,
        why_not,
        no_door: door.why_not,
    };
    Page::still(Section::Diagnose, "Test message", &page)
}

/// `POST /diagnose/send`
pub(crate) async fn send_test(cx: Cx, posted: Posted) -> Response {
    let to = posted.fields.get("to").to_owned();
    let message = TestMessage { to: to.clone() };
    let sent = match cx.require(Role::Operator) {
        Ok(()) => cx.api.post::<TestSent>("/v1/test/send", &message).await,
        Err(trouble) => Err(trouble),
    };
    match sent {
        Ok(sent) => Redirect::to(&format!("/message/{}", sent.id)).into_response(),
        Err(trouble) if trouble.status.is_client_error() => {
            framed(&cx, form(&cx, &to, Some(&trouble.why)).await)
        }
        Err(trouble) => framed(&cx, Err(trouble)),
    }
}
