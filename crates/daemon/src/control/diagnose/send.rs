//! A test message, which is really sent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use config::Config;
use mail::{Mailbox, RcptParameters, ReversePath};
use message::{WarningFacts, warning};
use submission::{Ended, Handover, Submission};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::trials::recipient;
use super::turns::turn;
use crate::api::{TestDoor, TestMessage, TestSent};
use crate::control::act::Act;
use crate::control::{Answer, Trouble};
use crate::hand_over::hand_over;
use crate::local_session;
use crate::shared::Shared;

/// So long the session may take for it.
const TIME_MAX: Duration = Duration::from_secs(180);

/// Why none could be sent.
const NO_DOOR: &str = "this machine may hand in nothing: set submit.socket, or pickup.directory";

/// By what a program of this machine comes in.
fn door(config: &Config) -> Option<&Arc<reception::Settings>> {
    let local = &config.local;
    let submit = local.submit.as_ref().map(|submit| &submit.session);
    submit.or(local.pickup.as_ref().map(|pickup| &pickup.session))
}

/// `GET /v1/test/send`
pub(super) async fn may_send(State(shared): State<Arc<Shared>>) -> Answer<TestDoor> {
    let active = shared.services.active();
    let is_open = door(&active.setup.config).is_some();
    Ok(Json(TestDoor {
        why_not: (!is_open).then(|| NO_DOOR.to_owned()),
    }))
}

/// `POST /v1/test/send`: by the door by which programs of this machine come, so that all rules count
/// for it.
pub(super) async fn send(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(wanted): Json<TestMessage>,
) -> Answer<TestSent> {
    act.on(&wanted.to);
    let to = recipient(&wanted.to)?;
    let services = &shared.services;
    let (active, id) = (services.active(), services.new_id());
    let Some(settings) = door(&active.setup.config).cloned() else {
        return Err(Trouble(StatusCode::CONFLICT, NO_DOOR.to_owned()));
    };
    let _turn = turn(&shared)?;
    let notices = &active.setup.notices;
    let text = [
        format!(
            "This is a test of the mail relay {}. Somebody who looks after it had it sent to {to}, \
             to see whether mail gets there.",
            notices.hostname
        ),
        format!("It needs no answer. Its name in the relay's queue is {id}."),
    ];
    let written = warning(&WarningFacts {
        id,
        hostname: &notices.hostname,
        sender_domain: &notices.sender_domain,
        now: services.clock.moment().wall,
        to: &to,
        subject: &format!("Test of the mail relay {}", notices.hostname),
        text: &text,
    });
    let submission = Submission {
        sender: ReversePath::Mailbox(Mailbox::postmaster(&notices.sender_domain)),
        parameters: written.parameters,
        recipients: vec![(to.clone(), RcptParameters::default())],
        head: written.content,
        taken: 0,
    };
    let failed = |error: io::Error| Trouble(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let uid = nix::unistd::geteuid().as_raw();
    let session = local_session::serve(Arc::clone(services), settings, theirs, uid, Some(id));
    let handed = hand_over(ours, Handover::new("localhost", submission), io::empty());
    let both = async { tokio::join!(session, handed).1 };
    match timeout(TIME_MAX, both).await {
        Ok(Ended::Taken(reply)) => {
            tracing::info!(%id, %to, "an operator had a test message sent");
            Ok(Json(TestSent {
                id: id.to_string(),
                answer: reply.to_string(),
            }))
        }
        Ok(Ended::Refused { reply, .. }) => Err(Trouble(StatusCode::CONFLICT, reply.to_string())),
        Ok(Ended::Postponed(reply)) => {
            Err(Trouble(StatusCode::SERVICE_UNAVAILABLE, reply.to_string()))
        }
        Err(_) => {
            let why = format!("no answer within {TIME_MAX:?}; whether {id} was taken is not known");
            Err(Trouble(StatusCode::GATEWAY_TIMEOUT, why))
        }
    }
}
