//! Who may relay, and the proof that nobody else does.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mail::Mailbox;
use relay_audit::prove::{Parts, prove as play_all};

use crate::api::{LastRelayProof, Posture, RelayProof, RelayProofParts, RelayProved};
use crate::control::{Answer, Trouble};
use crate::diagnoses::Proved;
use crate::shared::Shared;

/// `GET /v1/relay/posture`
pub(super) async fn posture(State(shared): State<Arc<Shared>>) -> Answer<Posture> {
    let active = shared.services.active();
    Ok(Json((&active.setup.config.posture).into()))
}

/// `GET /v1/relay/prove`
pub(super) async fn last_proof(State(shared): State<Arc<Shared>>) -> Answer<LastRelayProof> {
    let proved = shared.diagnoses.proved.lock().await;
    let last = proved.as_ref().map(|proved| shown(&shared, proved));
    Ok(Json(LastRelayProof { last }))
}

/// `POST /v1/relay/prove`
pub(super) async fn prove(
    State(shared): State<Arc<Shared>>,
    Json(parts): Json<RelayProofParts>,
) -> Answer<RelayProved> {
    let parts = Parts {
        sender: mailbox("sender", parts.sender.as_deref())?,
        recipient: mailbox("recipient", parts.recipient.as_deref())?,
    };
    // One at a time.
    let mut proved = shared.diagnoses.proved.lock().await;
    let setup = Arc::clone(&shared.services.active().setup);
    let at = shared.services.clock.moment().wall;
    let fingerprint = setup.config.fingerprint;
    let played = tokio::task::spawn_blocking(move || {
        let listeners = setup.config.listeners.iter();
        let sessions = listeners.filter_map(|listener| setup.sessions.get(&listener.name));
        RelayProof::from(&*play_all(sessions, &parts))
    });
    let proof = played.await.map_err(|fault| {
        let why = fault.to_string();
        Trouble(StatusCode::INTERNAL_SERVER_ERROR, why)
    })?;
    let proved = proved.insert(Proved {
        at,
        fingerprint,
        proof,
    });
    Ok(Json(shown(&shared, proved)))
}

fn shown(shared: &Shared, proved: &Proved) -> RelayProved {
    let fingerprint = shared.services.active().setup.config.fingerprint;
    RelayProved {
        at: proved.at.to_string(),
        is_current: proved.fingerprint == fingerprint,
        proof: proved.proof.clone(),
    }
}

fn mailbox(what: &str, text: Option<&str>) -> Result<Option<Mailbox>, Trouble> {
    let parse = |text: &str| {
        let why = |why| Trouble::bad(format!("{what} {}: {why}", mail::escaped(text)));
        Mailbox::parse(text).map_err(why)
    };
    text.map(parse).transpose()
}
