//! Whether who has signed in may still be here.

use axum::http::StatusCode;
use daemon::api::{ConsoleStill, ConsoleUser};

use crate::cx::Shared;
use crate::sessions::{Role, Visitor};
use crate::trouble::Trouble;

/// The visitor with the role of now; nobody where the users file has none for him any more.
///
/// # Errors
/// Nobody can tell now: he stays signed in, and sees nothing.
pub(crate) async fn is_still(
    shared: &Shared,
    visitor: Visitor,
) -> Result<Option<Visitor>, Trouble> {
    if !visitor.is_user {
        return Ok(Some(visitor));
    }
    let question = ConsoleUser {
        user: visitor.name.clone(),
        stamp: Some(visitor.stamp.clone()),
    };
    let asked = shared
        .api
        .post::<ConsoleStill>("/v1/console/still", &question)
        .await;
    let still = match asked {
        Ok(still) => Role::parse(&still.role).map(|role| (role, still.stamp)),
        Err(trouble) if trouble.status == StatusCode::NOT_FOUND => None,
        Err(trouble) => return Err(trouble),
    };
    let still = still.as_ref().map(|(role, stamp)| (*role, &**stamp));
    if still != Some((visitor.role, &*visitor.stamp)) {
        let now = daemon::since_start();
        shared.sessions.set_role(&visitor, still, now);
    }
    let still = still.filter(|(_, stamp)| **stamp == *visitor.stamp);
    Ok(still.map(|(role, _)| Visitor {
        role,
        ..visitor.clone()
    }))
}
