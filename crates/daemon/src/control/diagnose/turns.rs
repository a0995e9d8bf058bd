//! So much is asked at one time, and each for so long.

use std::future::Future;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::control::Trouble;
use crate::diagnoses::Diagnoses;
use crate::diagnosis::Fault;
use crate::shared::Shared;

/// So long one may take.
const TIME_MAX: Duration = Duration::from_secs(180);

/// The right to find out one thing.
pub(super) fn turn(shared: &Shared) -> Result<OwnedSemaphorePermit, Trouble> {
    shared.diagnoses.turn().ok_or_else(|| {
        let most = Diagnoses::SIDE_BY_SIDE;
        let why = format!("{most} things are being found out already: try again later");
        Trouble(StatusCode::SERVICE_UNAVAILABLE, why)
    })
}

/// Waits for what is found out, but not for ever.
pub(super) async fn in_time<T>(
    turn: OwnedSemaphorePermit,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Trouble> {
    let ended = timeout(TIME_MAX, work).await;
    drop(turn);
    let late = |_| {
        let why = format!("nothing was found out within {TIME_MAX:?}");
        Trouble(StatusCode::GATEWAY_TIMEOUT, why)
    };
    Ok(ended.map_err(late)??)
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        let status = match &fault {
            Fault::Asked { .. } | Fault::Unknown(_) => StatusCode::BAD_REQUEST,
            Fault::No(_) => StatusCode::NOT_FOUND,
            Fault::Configuration(_) | Fault::CannotTell(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, fault.to_string())
    }
}
