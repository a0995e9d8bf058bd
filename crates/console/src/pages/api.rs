//! The HTTP API that the console is made from, as a page.

use askama::Template;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use crate::cx::Cx;
use crate::page::{Page, Section, framed};
use crate::trouble::Trouble;

#[derive(Template)]
#[template(path = "api.html")]
struct Api {
    routes: Vec<(String, String, String)>,
}

/// `GET /api`
pub(crate) async fn api(cx: Cx) -> Result<Page, Trouble> {
    let described: Value = cx.api.get("/v1/openapi.json").await?;
    let paths = described["paths"].as_object().into_iter().flatten();
    let routes = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(|(method, described)| {
            let summary = described["summary"].as_str().unwrap_or_default();
            (method.to_uppercase(), path.clone(), summary.to_owned())
        })
    });
    let page = Api {
        routes: routes.collect(),
    };
    Page::still(Section::Other, "API", &page)
}

/// `GET /api/openapi.json`
pub(crate) async fn openapi(cx: Cx) -> Response {
    let asked = cx
        .api
        .answer(Method::GET, "/v1/openapi.json", Vec::new())
        .await;
    match asked {
        Ok((status, text)) => (status, [(CONTENT_TYPE, "application/json")], text).into_response(),
        Err(trouble) => framed(&cx, Err(trouble)),
    }
}
