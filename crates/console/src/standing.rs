//! Whether who has signed in may still be here.

use serde::Deserialize;
use serde_json::json;

use crate::cx::Shared;
use crate::sessions::{Role, Visitor};

/// What somebody may still do.
#[derive(Deserialize)]
struct Still {
    role: String,
}

/// The visitor with the role of now; nobody where the users file has none for him any more.
pub(crate) async fn is_still(shared: &Shared, visitor: Visitor) -> Option<Visitor> {
    if !visitor.is_user {
        return Some(visitor);
    }
    let question = json!({ "user": visitor.name });
    let asked = shared
        .api
        .post::<Still>("/v1/console/still", &question)
        .await;
    let role = asked.ok().and_then(|still| Role::parse(&still.role));
    if role != Some(visitor.role) {
        let now = daemon::since_start();
        shared.sessions.set_role(&visitor.name, role, now);
    }
    Some(Visitor {
        role: role?,
        ..visitor
    })
}
