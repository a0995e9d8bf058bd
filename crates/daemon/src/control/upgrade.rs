//! Another program in place of this one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::act::Act;
use super::routes::Routes;
use super::{Answer, Trouble};
use crate::api::Upgrading;
use crate::shared::Shared;

pub(super) fn with(routes: Routes) -> Routes {
    routes.post(
        "/v1/upgrade",
        "Lets the program that stands where this one was started from take its place",
        begin,
    )
}

/// `POST /v1/upgrade`
async fn begin(State(shared): State<Arc<Shared>>, act: Act) -> Answer<Upgrading> {
    let looked = shared.upgrades.look().await;
    let program = looked.map_err(|why| Trouble(StatusCode::CONFLICT, why))?;
    let program = program.path.display().to_string();
    act.on(&program);
    let begin = Arc::clone(&shared);
    act.afterwards(move || begin.upgrades.begin());
    Ok(Json(Upgrading { program }))
}
