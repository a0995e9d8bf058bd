//! What is done over the API, and how it gets into the audit log: whatever is posted to change
//! something is written there before it is answered, also where it is refused.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Extension;
use axum::extract::{FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use super::actor::{Actor, Way};
use super::{Refusal, Trouble, name, reason};
use crate::api::AuditRow;
use crate::audit::AuditLog;
use crate::clock;

/// Of each word in the audit log, so many characters are written.
const WORD_CHARACTERS_MAX: usize = 2_000;

/// What is done by one request. Its handler says what it knows of it.
#[derive(Clone)]
pub(super) struct Act {
    actor: Actor,
    row: Arc<Mutex<AuditRow>>,
    afterwards: Arc<Mutex<Option<Afterwards>>>,
}

/// What is done once an act is written down.
type Afterwards = Box<dyn FnOnce() + Send>;

impl Act {
    fn new(actor: Actor, path: &str) -> Self {
        let row = AuditRow {
            verb: bounded(path.trim_start_matches("/v1/")),
            result: "done".to_owned(),
            ..signed(&actor)
        };
        Self {
            actor,
            row: Arc::new(Mutex::new(row)),
            afterwards: Arc::default(),
        }
    }

    /// Who says so, for what is stored of it. At the console that is who is signed in. On the command
    /// line it is as `said`: whoever became root tells who he was before.
    pub(super) fn by(&self, said: String) -> Result<Box<str>, Trouble> {
        if matches!(self.actor.way, Way::Console | Way::Link) {
            return name(self.actor.name.clone());
        }
        let said = name(said)?;
        if *said != *self.actor.name {
            self.row().by = Some(said.to_string());
        }
        Ok(said)
    }

    /// Why, as it is said.
    pub(super) fn because(&self, said: Option<String>) -> Result<Option<Box<str>>, Trouble> {
        let why = reason(said)?;
        self.row().reason = why.as_deref().map(str::to_owned);
        Ok(why)
    }

    /// To what it is done.
    pub(super) fn on(&self, what: impl Display) {
        self.row().what = Some(bounded(&what.to_string()));
    }

    /// What it begins, which must not come before it is written down: the end of this process.
    pub(super) fn afterwards(&self, then: impl FnOnce() + Send + 'static) {
        *self.kept() = Some(Box::new(then));
    }

    fn begin(&self) {
        let then = self.kept().take();
        if let Some(then) = then {
            then();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Afterwards>> {
        self.afterwards
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// To how many it was done.
    pub(super) fn counted(&self, count: u64) {
        self.row().count = Some(count);
    }

    /// It goes on as an operation.
    pub(super) fn begun(&self, operation: u64) {
        let mut row = self.row();
        row.operation = Some(operation);
        row.result = "begun".to_owned();
    }

    fn ended(&self, response: &Response) -> AuditRow {
        let row = self.row().clone();
        let status = response.status();
        let at = clock::now().to_string();
        if status.is_success() {
            return AuditRow { at, ..row };
        }
        let why = response.extensions().get::<Refusal>();
        let why = why.map_or_else(|| status.to_string(), |Refusal(why)| why.clone());
        let result = match status.is_server_error() {
            true => "failed",
            false => "refused",
        };
        AuditRow {
            at,
            result: result.to_owned(),
            why: Some(bounded(&why)),
            ..row
        }
    }

    fn row(&self) -> MutexGuard<'_, AuditRow> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is one where [`written`] stands around a handler.
impl<S: Sync> FromRequestParts<S> for Act {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Trouble> {
        let unwritten = || {
            let why = "what is done here is not written down".to_owned();
            Trouble(StatusCode::INTERNAL_SERVER_ERROR, why)
        };
        parts.extensions.get().cloned().ok_or_else(unwritten)
    }
}

/// Has an act done, and written down before it is answered. Nothing is done where nobody is named.
pub(super) async fn written(
    Extension(log): Extension<Arc<AuditLog>>,
    Extension(actor): Extension<Actor>,
    mut request: Request,
    next: Next,
) -> Response {
    let act = Act::new(actor, request.uri().path());
    request.extensions_mut().insert(act.clone());
    let response = next.run(request).await;
    let row = act.ended(&response);
    write(log, row).await;
    act.begin();
    response
}

/// Writes down that somebody came in at the console. Who does not is not written down: strangers
/// could fill the log.
pub(super) async fn came_in(log: Arc<AuditLog>, name: &str, how: &str, what: String) {
    let row = AuditRow {
        at: clock::now().to_string(),
        verb: format!("console/{how}"),
        what: Some(bounded(&what)),
        result: "done".to_owned(),
        ..signed(&Actor::at_console(name))
    };
    write(log, row).await;
}

async fn write(log: Arc<AuditLog>, row: AuditRow) {
    let writing = tokio::task::spawn_blocking(move || log.write(row)).await;
    if let Err(fault) = writing {
        tracing::error!(%fault, "writing to the audit log ended by a fault");
    }
}

fn signed(actor: &Actor) -> AuditRow {
    let (way, uid) = match actor.way {
        Way::CommandLine { uid } => ("command line", Some(uid)),
        Way::Console => ("console", None),
        Way::Link => ("link", None),
    };
    AuditRow {
        who: bounded(&actor.name),
        uid,
        way: way.to_owned(),
        ..AuditRow::default()
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(WORD_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    #[tokio::test]
    async fn nothing_is_done_in_nobodys_name() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(AuditLog::resume(folder.path().join("audit.jsonl")));
        let done = Arc::new(AtomicBool::new(false));
        let work = {
            let done = Arc::clone(&done);
            move |act: Act| async move {
                act.on("it");
                done.store(true, Ordering::Relaxed);
            }
        };
        let router = Router::new().route("/v1/work", post(work).route_layer(from_fn(written)));
        let router = router.layer(Extension(Arc::clone(&log)));
        let service = TowerToHyperService::new(router);
        let ask = || Request::post("/v1/work").body(Body::empty()).unwrap();
        let response = service.call(ask()).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!done.load(Ordering::Relaxed));
        let mut named = ask();
        named.extensions_mut().insert(Actor::at_console("ann"));
        let response = service.call(named).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let page = log.page(None, 9).unwrap();
        let [row] = &*page else { panic!("{page:?}") };
        assert_eq!(
            (&*row.who, &*row.way, &*row.verb),
            ("ann", "console", "work")
        );
        assert_eq!((row.what.as_deref(), &*row.result), (Some("it"), "done"));
    }
}
