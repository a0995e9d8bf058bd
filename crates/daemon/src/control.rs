//! The control socket: HTTP and JSON on a Unix socket that only its owner (and root) can use.

mod acme;
mod act;
mod actor;
mod audit;
mod configuration;
mod console;
mod diagnose;
mod events;
mod greylist;
mod guardian;
mod held_message;
mod in_process;
mod learning;
mod linked;
mod log_lines;
mod observed;
mod operations;
mod pauses;
mod protocol_files;
mod quarantine;
mod routes;
mod sessions;
mod track;
mod transcripts;
mod upgrade;
mod without_attachments;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use filter::Filter;
use lookups::ScannerState;
use mail::{Place, QueueId, Timestamp};
use queue::{Alarm, Condition, Counts, Moment, RestingHost, SiteShape};
use serde_json::Value;
use spool::{Found, Health, HoldReason, Page, RecipientState, SpoolError, Waiting};
use tokio::net::{UnixListener, UnixStream};

use self::actor::Peer;
pub use self::actor::{Actor, Way};
pub use self::in_process::ControlApi;
use self::routes::Routes;
use crate::active::ActiveConfiguration;
use crate::api::{
    Counted, LargeRow, ListenerStatus, QueuePage, QueueQuery, QueueRow, QueueStatus, Refused,
    Reloaded, RestingRow, ScannerStatus, ShapeQuery, SiteRow, SpoolStatus, Status, TrackingStatus,
};
use crate::attention::Attention;
use crate::doors::Doors;
use crate::inbox::{self, Input};
use crate::shared::Shared;
use crate::watchdog::Silent;
use crate::{log, storage, watchdog};

/// Messages in one answer, unless fewer are asked for.
const PAGE_MESSAGES: usize = 1000;

/// A reason goes into a line of the log and of a notice.
const REASON_OCTETS_MAX: usize = 300;

/// A site's name, and that of an account, is no longer.
const NAME_OCTETS_MAX: usize = 1000;

/// What a refusal says is no longer.
const REFUSAL_OCTETS_MAX: usize = 10_000;

/// The mode of the socket.
const OWNER_ONLY: u32 = 0o600;

/// So long the status waits for the queue manager.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);

/// Opens the socket at `path` and serves the API there until aborted.
pub(crate) fn serve(
    path: &Path,
    api: &ControlApi,
    doors: &Doors,
) -> io::Result<tokio::task::JoinHandle<()>> {
    let (socket, _) = doors.lasting_at(path, OWNER_ONLY)?;
    let socket = UnixListener::from_std(socket)?;
    let router = api.router().layer(middleware::from_fn(actor::named));
    let service = router.into_make_service_with_connect_info::<Peer>();
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(OwnerOnly(socket), service).await {
            tracing::error!(%error, "the control socket failed");
        }
    }))
}

/// All that can be asked.
fn routes() -> Routes {
    let routes = with_observation(configuration::with_configuration(Routes::default()));
    let routes = protocol_files::with(log_lines::with(diagnose::with(routes)));
    let routes = upgrade::with(acme::with(with_console(routes)));
    with_strangers(with_quarantine(with_tracking(routes)))
        .get("/v1/openapi.json", "This description", description)
        .get("/v1/status", "What the relay is and does", status)
        .get(
            "/v1/queue",
            "Recipients in the queue that match a filter, oldest message first",
            queue_list,
        )
        .get("/v1/queue/page", "The same, and where to go on", queue_page)
        .get("/v1/queue/count", "How many there are", queue_count)
        .get(
            "/v1/queue/shape",
            "The sites to which mail goes or waits",
            queue_shape,
        )
        .get(
            "/v1/queue/pauses",
            "What operators have paused",
            pauses::list,
        )
        .post(
            "/v1/queue/pause",
            "Lets nothing go out, to a site or at all",
            pauses::pause,
        )
        .post("/v1/queue/resume", "Ends a pause", pauses::resume)
        .get(
            "/v1/queue/operations",
            "Verbs that are carried out, and those of late",
            operations::list,
        )
        .get(
            "/v1/queue/operations/{number}",
            "One of them",
            operations::one,
        )
        .post(
            "/v1/queue/operations/{number}/stop",
            "Stops one: who it has not come to stays as he is",
            operations::stop,
        )
        .post(
            "/v1/queue/{verb}",
            "Carries out a verb on all recipients that match a filter",
            operations::begin,
        )
        .get(
            "/v1/sessions",
            "The connections of clients, and those to next hops",
            sessions::list,
        )
        .get(
            "/v1/guardian",
            "Who sends how much to other domains, the worst first",
            guardian::list,
        )
        .post(
            "/v1/guardian/clear",
            "Counts anew for one of them, and ends what was too much",
            guardian::clear,
        )
        .post("/v1/sessions/{id}/kill", "Ends one of them", sessions::kill)
        .post(
            "/v1/reload",
            "Reads the configuration again and puts it in force as a whole",
            reload,
        )
}

/// What was done here, as an operator sees it at a glance.
fn with_observation(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/audit",
            "Who did what through the control socket and the console, newest first",
            audit::list,
        )
        .get(
            "/v1/rates",
            "How much was received, refused and delivered, for charts, and why clients are refused",
            observed::rates,
        )
        .get(
            "/v1/devices",
            "Clients and users who send to anybody, and those who tried and are not permitted",
            observed::devices,
        )
}

/// Who comes in at the console.
fn with_console(routes: Routes) -> Routes {
    routes
        .ask(
            "/v1/console/sign-in",
            "Who somebody at the console is, by name, password and code",
            console::sign_in,
        )
        .post(
            "/v1/console/links",
            "A link that signs in at the console once, as admin",
            console::link,
        )
        .ask(
            "/v1/console/redeem",
            "Who somebody at the console is, by such a link, which is then used up",
            console::redeem,
        )
        .get(
            "/v1/console/issuer",
            "Who else vouches for people at the console (OpenID Connect)",
            console::issuer,
        )
        .ask(
            "/v1/console/issuer/begin",
            "A sign-in at the console by the issuer: where the browser goes",
            console::issuer_begin,
        )
        .ask(
            "/v1/console/issuer/end",
            "Who somebody at the console is, by what the issuer gave to the browser",
            console::issuer_end,
        )
        .ask(
            "/v1/console/still",
            "What somebody who is signed in at the console may do there now",
            console::still,
        )
}

/// What became of mail, and what was said about it.
fn with_tracking(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/track",
            "What became of recipients, newest first, refused ones included",
            track::list,
        )
        .get(
            "/v1/trace/{id}",
            "All that happened to one message, by its queue id or its Message-ID",
            track::trace,
        )
        .get(
            "/v1/transcripts/{name}",
            "The dialogues that were kept about a message, by its queue id, or of a session, as in-5",
            transcripts::list,
        )
        .get(
            "/v1/log/traces",
            "Whose dialogues are kept for a while",
            transcripts::traces,
        )
        .post(
            "/v1/log/traces",
            "Keeps the dialogues of somebody for a while",
            transcripts::trace,
        )
}

/// What is remembered of strangers.
fn with_strangers(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/greylist",
            "What is remembered of strangers, the latest of each kind first",
            greylist::list,
        )
        .post(
            "/v1/greylist/clear",
            "Forgets a client's network or a sender's domain",
            greylist::clear,
        )
        .ask(
            "/v1/greylist/check",
            "Whether a stranger would have to come again, and notes nothing",
            greylist::check,
        )
        .get(
            "/v1/reputation",
            "What a client and a sender's domain are worth by what they did here",
            greylist::reputation,
        )
}

/// What screening holds, and what could go nowhere.
fn with_quarantine(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/badmail/{id}",
            "What is in a message that is held as badmail, as text that is safe to show",
            held_message::badmail,
        )
        .get(
            "/v1/quarantine",
            "Recipients for whom screening holds a message, oldest message first",
            quarantine::list,
        )
        .get(
            "/v1/quarantine/page",
            "The same, and where to go on",
            quarantine::page,
        )
        .get(
            "/v1/quarantine/report",
            "How many there are, by rule, by the sender's domain and by recipient",
            quarantine::report,
        )
        .get(
            "/v1/quarantine/{id}",
            "What is in one of the messages, as text that is safe to show",
            held_message::quarantined,
        )
        .post(
            "/v1/quarantine/release",
            "Lets those that match go on, past the rules",
            quarantine::release,
        )
        .post(
            "/v1/quarantine/delete",
            "Deletes those that match, without telling anybody",
            quarantine::delete,
        )
        .post(
            "/v1/quarantine/{id}/release-without-attachments",
            "Lets one go on as a new message, with a text in the place of each attachment",
            without_attachments::release,
        )
        .post(
            "/v1/quarantine/{id}/learn",
            "Teaches scanners that one is spam, or that it is none (ham)",
            learning::learn,
        )
        .post(
            "/v1/quarantine/digest",
            "Tells at once what is held since the last digest, as quarantine.digest says",
            quarantine::digest,
        )
        .ask(
            "/v1/quarantine/link",
            "For whom a link of a digest stands, while the message is held",
            linked::show,
        )
        .post(
            "/v1/quarantine/link/{verb}",
            "Does what the page behind such a link offers: release or delete",
            linked::act,
        )
}

/// What can be asked over the control socket, and what the answers are: OpenAPI 3.1.
pub fn openapi() -> Value {
    routes().into_description()
}

async fn description() -> Answer<Value> {
    Ok(Json(openapi()))
}

/// A refusal looks alike whoever wrote it: what is asked wrongly is refused before our code sees it.
async fn in_json(response: Response) -> Response {
    let status = response.status();
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json");
    if status.is_success() || is_json {
        return response;
    }
    let text = axum::body::to_bytes(response.into_body(), REFUSAL_OCTETS_MAX).await;
    let text = text.unwrap_or_default();
    let why = match String::from_utf8_lossy(&text).into_owned() {
        empty if empty.is_empty() => status.to_string(),
        why => why,
    };
    Trouble(status, why).into_response()
}

/// What is begun is finished, also when whoever asked hangs up: else something would be written down
/// of which the queue manager never hears.
async fn to_its_end(request: Request, next: Next) -> Response {
    let ended = tokio::spawn(next.run(request)).await;
    ended.unwrap_or_else(|fault| {
        Trouble(StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()).into_response()
    })
}

/// Hangs up on everybody but the socket's owner and root: the file's mode alone is not honoured on
/// every system.
struct OwnerOnly(UnixListener);

impl axum::serve::Listener for OwnerOnly {
    type Io = UnixStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, _) = axum::serve::Listener::accept(&mut self.0).await;
            let ours = nix::unistd::geteuid().as_raw();
            match stream.peer_cred().map(|peer| peer.uid()) {
                Ok(uid) if uid == ours || uid == 0 => return (stream, Peer { uid }),
                Ok(uid) => tracing::warn!(uid, "control socket: not the owner"),
                Err(error) => tracing::warn!(%error, "control socket: unknown peer"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        let uid = nix::unistd::geteuid().as_raw();
        Ok(Peer { uid })
    }
}

/// What goes wrong for whoever asks.
struct Trouble(StatusCode, String);

/// Its words beside the response, for the audit log.
#[derive(Clone)]
struct Refusal(String);

impl Trouble {
    fn bad(why: impl ToString) -> Self {
        Self(StatusCode::BAD_REQUEST, why.to_string())
    }
}

impl From<SpoolError> for Trouble {
    fn from(error: SpoolError) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let refusal = Extension(Refusal(self.1.clone()));
        let refused = Refused {
            needs_code: self.1 == console::NEEDS_CODE,
            error: self.1,
        };
        (self.0, refusal, Json(refused)).into_response()
    }
}

type Answer<T> = Result<Json<T>, Trouble>;

async fn status(State(shared): State<Arc<Shared>>) -> Answer<Status> {
    let alarms = watchdog::alarms(&shared.services.dispatch, STATUS_PATIENCE).await;
    let counts = match alarms {
        Ok(_) => shared.queue_counts().await,
        Err(Silent) => Counts::default(),
    };
    let spool = Arc::clone(&shared.services.spool);
    let active = shared.services.active();
    let setup = Arc::clone(&active.setup);
    let tracker = shared.services.journal.tracking.tracker().cloned();
    let look = move || {
        let stored = spool.count(&Filter::everything())?;
        let set_aside = tracker.and_then(|tracker| tracker.set_aside());
        Ok((stored, storage::free(&setup.config), set_aside))
    };
    let (stored, free, set_aside) = blocking(look).await?;
    let pauses = pauses::rows(&shared).await?;
    let now = shared.services.clock.moment();
    let tracking = track::status(shared.services.journal.tracking.tracker());
    let scanners = scanners(&active).await;
    let attention = Attention {
        oldest: stored.oldest.map(|oldest| now.line.since(oldest)),
        certificates: active.certificates_end(),
        acme: acme_troubles(&shared, &active, now.wall),
        free,
        min_free: active.setup.config.spool.min_free,
        senders: over(&shared, now),
        lost_log_lines: log::lost_lines() as u64,
        lost_protocol_rows: shared.services.journal.protocol_logs.lost(),
        lost_lines_elsewhere: log::lost_records() + log::lost_entries(),
        log_troubles: log_troubles(&shared),
        scanner_troubles: scanners.iter().filter_map(scanner_trouble).collect(),
        absent: shared.absent().clone(),
        upgrade_refused: shared.upgrades.refused(),
        is_reload_due: shared.reload_due.load(Ordering::Relaxed),
        lost_rows: tracking.as_ref().map_or(0, TrackingStatus::missing),
        tracking_trouble: tracking.as_ref().and_then(|store| store.trouble.clone()),
        tracking_set_aside: set_aside.map(|file| file.display().to_string()),
    };
    let alarms = alarm_lines(alarms, now);
    let config = &active.setup.config;
    Ok(Json(Status {
        hostname: config.hostname.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: shared.start.to_string(),
        uptime_seconds: shared.started.elapsed().as_secs(),
        listeners: listeners(&shared, config).await,
        sessions: shared.services.pace.sessions(),
        posture: config.posture.to_string(),
        queue: QueueStatus {
            messages: stored.messages,
            waiting: stored.waiting,
            active: counts.active_recipients as u64,
            held: stored.held,
            quarantined: stored.quarantined,
            unscreened: stored.unscreened,
            dropped: shared.services.dropped.load(Ordering::Relaxed),
            connections: counts.agents as u64,
            suspended_sites: counts.suspended_sites as u64,
        },
        spool: spool_status(&shared.services.spool.health()),
        tracking,
        scanners,
        pauses,
        alarms,
        attention: attention.lines(now.wall),
        warnings: config.listeners.iter().filter_map(withheld).collect(),
    }))
}

/// What has come to a stand, or that nobody can tell.
fn alarm_lines(alarms: Result<Vec<Alarm>, Silent>, now: Moment) -> Vec<String> {
    match alarms {
        Ok(alarms) => alarms.iter().map(|alarm| alarm_line(alarm, now)).collect(),
        Err(silent) => vec![silent.to_string()],
    }
}

/// What is wrong with certificates by ACME.
fn acme_troubles(shared: &Shared, active: &ActiveConfiguration, now: Timestamp) -> Vec<String> {
    let wrong = active.obtained.wrong().into_iter();
    let wrong = wrong.map(|wrong| wrong.to_string());
    wrong
        .chain(shared.services.certificates.troubles(now))
        .collect()
}

/// What keeps logs from their places.
fn log_troubles(shared: &Shared) -> Vec<String> {
    let protocol_logs = &shared.services.journal.protocol_logs;
    let audit = shared.services.audit.trouble().into_iter();
    let beside = audit
        .chain(shared.services.journal.spans.trouble())
        .collect();
    [log::troubles(), protocol_logs.troubles(), beside].concat()
}

/// How the scanners do.
async fn scanners(active: &ActiveConfiguration) -> Vec<ScannerStatus> {
    let states = active.scanners().states().await.into_iter();
    let each = states.flat_map(
        |ScannerState {
             name, busy, places, ..
         }| {
            places.into_iter().map(move |place| ScannerStatus {
                name: name.to_string(),
                address: place.address,
                trouble: place.trouble,
                busy: busy as u64,
                asked: place.asked,
                failed: place.failed,
                signatures_age_days: place.version.as_ref().and_then(|version| version.age_days),
                version: place.version.map(|version| version.engine),
            })
        },
    );
    each.collect()
}

/// ClamAV has new signatures each day.
const OLD_SIGNATURES_DAYS: u64 = 7;

fn scanner_trouble(scanner: &ScannerStatus) -> Option<String> {
    let (name, address) = (&scanner.name, &scanner.address);
    let old = scanner
        .signatures_age_days
        .filter(|age| *age > OLD_SIGNATURES_DAYS);
    if let Some(age) = old {
        return Some(format!(
            "the signatures of the scanner {name} at {address} are {age} days old"
        ));
    }
    let why = scanner.trouble.as_ref()?;
    Some(format!(
        "the scanner {name} does not answer at {address}: {why}"
    ))
}

/// Who sends too much, what is too much, and since when.
fn over(shared: &Shared, now: Moment) -> Vec<String> {
    let over = shared.services.guardian.over(now.line).into_iter();
    let over = over.filter_map(|one| {
        let (since, why) = one.over?;
        Some(format!("{why}, too much since {}", now.shown(since)))
    });
    over.collect()
}

fn alarm_line(alarm: &Alarm, now: Moment) -> String {
    let since = now.shown(alarm.since);
    format!(
        "{}: {} since {since}: {}",
        alarm.site, alarm.what, alarm.why
    )
}

/// Who is kept from encrypting.
fn withheld(listener: &config::Listener) -> Option<String> {
    let except = &listener.rules.listener.starttls_except;
    let devices: Vec<&str> = except.entries().iter().map(|entry| &*entry.text).collect();
    (!devices.is_empty()).then(|| {
        let (devices, name) = (devices.join(", "), &listener.name);
        let place = except.place();
        format!(
            "STARTTLS is withheld from {devices} on {name}: their mail comes in clear ({place})"
        )
    })
}

async fn listeners(shared: &Shared, config: &config::Config) -> Vec<ListenerStatus> {
    let open = shared.listeners.lock().await.addresses();
    let kind = |name: &str| {
        let listener = config.listeners.iter().find(|l| &*l.name == name);
        listener.map_or("", |l| kind_word(l.kind)).to_owned()
    };
    let status = |(name, address): &(Arc<str>, SocketAddr)| ListenerStatus {
        name: name.to_string(),
        address: address.to_string(),
        kind: kind(name),
    };
    open.iter().map(status).collect()
}

fn kind_word(kind: config::ListenerKind) -> &'static str {
    match kind {
        config::ListenerKind::Mx => "mx",
        config::ListenerKind::Submission => "submission",
        config::ListenerKind::Submissions => "submissions",
    }
}

fn spool_status(health: &Health) -> SpoolStatus {
    let stopped = |why: String| SpoolStatus {
        state: "stopped".to_owned(),
        why: Some(why),
    };
    match health {
        Health::Accepting => SpoolStatus {
            state: "accepting".to_owned(),
            why: None,
        },
        Health::LowSpace { free, floor } => stopped(format!(
            "{} MB are free on the spool's disk, new mail waits for {} MB (spool.min_free, and what the reserve lacks)",
            free / 1_000_000,
            floor / 1_000_000
        )),
        Health::Failed(error) => stopped(error.to_string()),
    }
}

async fn queue_count(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<QueueQuery>,
) -> Answer<Counted> {
    let filter = filter(&query.filter, shared.services.clock.moment())?;
    let spool = Arc::clone(&shared.services.spool);
    let looks = query.looks.unwrap_or(usize::MAX);
    let counts = blocking(move || spool.count_within(&filter, looks)).await?;
    Ok(Json(Counted {
        messages: counts.messages,
        waiting: counts.waiting,
        held: counts.held,
        unscreened: counts.unscreened,
        is_cut: counts.is_cut,
    }))
}

async fn queue_list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<QueueQuery>,
) -> Answer<Vec<QueueRow>> {
    let looks = None;
    let page = listed(&shared, QueueQuery { looks, ..query }).await?;
    Ok(Json(page.rows))
}

async fn queue_page(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<QueueQuery>,
) -> Answer<QueuePage> {
    listed(&shared, query).await.map(Json)
}

async fn listed(shared: &Shared, query: QueueQuery) -> Result<QueuePage, Trouble> {
    let now = shared.services.clock.moment();
    let filter = filter(&query.filter, now)?;
    let after = match &query.after {
        None => None,
        Some(id) => Some(id.parse::<QueueId>().map_err(Trouble::bad)?),
    };
    let limit = query.limit.unwrap_or(PAGE_MESSAGES).min(PAGE_MESSAGES);
    let looks = query.looks.unwrap_or(usize::MAX).max(1);
    let spool = Arc::clone(&shared.services.spool);
    let Found { messages, next } =
        blocking(move || spool.find_within(&filter, Page { after, limit }, looks)).await?;
    let found = messages;
    let names: Vec<_> = found
        .iter()
        .flat_map(|waiting| {
            waiting
                .recipients
                .iter()
                .map(|r| (waiting.message.id, r.number))
        })
        .collect();
    let dispatch = &shared.services.dispatch;
    let active = inbox::ask(dispatch, |answer| Input::Active(names, answer)).await;
    let active = active.unwrap_or_default();
    let configuration = shared.services.active();
    let sites = sites_of(&found, &configuration.setup);
    let shapes = inbox::ask(dispatch, |answer| Input::ShapeOf(sites, answer)).await;
    let shapes: BTreeMap<String, SiteRow> = (shapes.into_iter().flatten())
        .map(|shape| site_row(shape, now))
        .map(|row| (row.site.clone(), row))
        .collect();
    let rows = found
        .iter()
        .flat_map(|waiting| rows(waiting, &configuration.setup, now));
    let marked = rows
        .zip(active.into_iter().chain(std::iter::repeat(false)))
        .map(|(row, active)| {
            if active {
                QueueRow {
                    state: "active".to_owned(),
                    ..row
                }
            } else {
                let waits = row.state == "waiting";
                let site = shapes.get(&row.site).filter(|_| waits);
                let of_site = site.and_then(|site| site.message_waits_for(row.size));
                QueueRow {
                    waits_for: row.waits_for.or(of_site),
                    ..row
                }
            }
        });
    let is_short = found.len() < limit;
    Ok(QueuePage {
        rows: marked.collect(),
        reached: (next.filter(|_| is_short)).map(|id| id.made().to_string()),
        next: next.map(|id| id.to_string()),
    })
}

/// Where the recipients of these messages go, each site once.
fn sites_of(found: &[Waiting], setup: &engine::Setup) -> Vec<Arc<str>> {
    let names = found.iter().flat_map(|waiting| {
        let site = |recipient| setup.site_of(&waiting.message, recipient).name;
        waiting.recipients.iter().map(site)
    });
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

async fn queue_shape(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<ShapeQuery>,
) -> Answer<Vec<SiteRow>> {
    let now = shared.services.clock.moment();
    let shapes = inbox::ask(&shared.services.dispatch, Input::Shape).await;
    let shapes = chosen(shapes.unwrap_or_default(), &query);
    Ok(Json(
        shapes
            .into_iter()
            .map(|shape| observed::with_rates(site_row(shape, now), &shared, now))
            .collect(),
    ))
}

/// Those that are asked for, as they are.
fn chosen(mut shapes: Vec<SiteShape>, query: &ShapeQuery) -> Vec<SiteShape> {
    let named = |text: &Option<String>| text.clone().filter(|name| !name.is_empty());
    if let Some(site) = named(&query.site) {
        shapes.retain(|shape| *shape.name == *site);
    }
    if query.worst {
        shapes.sort_by_key(|shape| (trouble_of(shape), std::cmp::Reverse(shape.ready)));
    }
    if let Some(after) = named(&query.after) {
        match shapes.iter().position(|shape| *shape.name == *after) {
            Some(at) => drop(shapes.drain(..=at)),
            // It has nothing to do any more.
            None => shapes.retain(|shape| *shape.name > *after),
        }
    }
    shapes.truncate(query.limit.unwrap_or(usize::MAX));
    shapes
}

/// The least is the worst.
fn trouble_of(shape: &SiteShape) -> u8 {
    match &shape.condition {
        Condition::Suspended { .. } => 0,
        Condition::Probing => 1,
        Condition::Paused(_) => 2,
        Condition::Paced { .. } => 3,
        Condition::Closed { .. } => 4,
        Condition::Up | Condition::Unasked(_)
            if shape.slowed.is_some() || !shape.resting.is_empty() =>
        {
            5
        }
        Condition::Up | Condition::Unasked(_) => 6,
    }
}

/// Of a site to which nothing goes at this time.
const CLOSED: &str = "outside its hours";

fn site_row(shape: SiteShape, now: Moment) -> SiteRow {
    let (state, until, why) = match shape.condition {
        Condition::Up => ("up", None, None),
        Condition::Probing => ("probing", None, None),
        Condition::Paused(pause) => {
            let words = pauses::row(&pause, now).words();
            ("paused", pause.until, Some(words))
        }
        Condition::Unasked(place) => ("on demand", None, Some(unasked(&place))),
        Condition::Closed { until } => ("closed", Some(until), Some(CLOSED.to_owned())),
        Condition::Paced { until, why } => ("paced", Some(until), Some(why)),
        Condition::Suspended { until, why } => {
            let why = why.map(|failure| failure.reply.to_string());
            ("suspended", Some(until), why)
        }
    };
    SiteRow {
        site: shape.name.to_string(),
        state: state.to_owned(),
        until: until.map(|at| now.shown(at).to_string()),
        why,
        large: shape.large.map(|large| LargeRow {
            over: large.over,
            until: now.shown(large.until).to_string(),
        }),
        slowed: shape.slowed,
        resting: (shape.resting.into_iter())
            .map(|host| resting_row(host, now))
            .collect(),
        connections: shape.connections as u64,
        connections_max: shape.connections_max as u64,
        ready: shape.ready as u64,
        delivered_in_hour: 0,
        p95_millis: None,
    }
}

/// What mail waits for that somebody has to ask for.
fn unasked(place: &Place) -> String {
    format!("until its server asks for it by ETRN or ATRN ({place})")
}

fn resting_row(resting: RestingHost, now: Moment) -> RestingRow {
    RestingRow {
        host: resting.host.into(),
        until: now.shown(resting.until).to_string(),
        why: resting.why.reply.to_string(),
    }
}

/// Who asks reads the system's clock; the spool holds the queue's time.
fn filter(text: &str, now: Moment) -> Result<Filter, Trouble> {
    let filter = Filter::parse(text, now.wall).map_err(Trouble::bad)?;
    Ok(filter.with_moments(|wall| now.reckoned(wall)))
}

fn rows<'a>(
    waiting: &'a Waiting,
    setup: &'a engine::Setup,
    now: Moment,
) -> impl Iterator<Item = QueueRow> + 'a {
    let message = &waiting.message;
    waiting.recipients.iter().map(move |recipient| {
        let site = setup.site_of(message, recipient);
        let on_demand = setup.queue.on_demand_of(recipient);
        let on_demand = on_demand.filter(|_| recipient.state == RecipientState::Waiting);
        QueueRow {
            id: message.id.to_string(),
            from: message.reverse_path.as_str().to_owned(),
            to: recipient.admitted.recipient().to_string(),
            state: match recipient.state {
                RecipientState::Waiting => "waiting".to_owned(),
                RecipientState::Held(HoldReason::Bouncing) => "bouncing".to_owned(),
                RecipientState::Held(HoldReason::Unscreened) => "unscreened".to_owned(),
                RecipientState::Held(_) => "held".to_owned(),
            },
            tries: recipient.tries,
            due: now.shown(recipient.due).to_string(),
            last_reply: recipient.last.as_ref().map(ToString::to_string),
            size: message.size,
            arrived: now.shown(message.arrived).to_string(),
            client: message.client.to_string(),
            user: message.user.as_deref().map(str::to_owned),
            grounds: recipient.admitted.grounds().to_string(),
            site: site.name.to_string(),
            place: site.place.to_string(),
            rerouted: recipient.rerouted().is_some(),
            waits_for: on_demand.map(|on_demand| unasked(&on_demand.place)),
        }
    })
}

/// The name of a site or of an account.
fn name(text: String) -> Result<Box<str>, Trouble> {
    if text.is_empty() || text.len() > NAME_OCTETS_MAX || text.chars().any(char::is_control) {
        return Err(Trouble::bad("this is the name of no site and of nobody"));
    }
    Ok(text.into())
}

/// A reason as it is given: `None` when nothing is said.
fn reason(text: Option<String>) -> Result<Option<Box<str>>, Trouble> {
    let text = text.map(|text| text.trim().to_owned());
    match text.filter(|text| !text.is_empty()) {
        Some(long) if long.len() > REASON_OCTETS_MAX => Err(Trouble::bad(format!(
            "a reason has at most {REASON_OCTETS_MAX} octets"
        ))),
        Some(text) if text.chars().any(char::is_control) => {
            Err(Trouble::bad("a reason has no control characters"))
        }
        text => Ok(text.map(Into::into)),
    }
}

async fn reload(State(shared): State<Arc<Shared>>) -> Answer<Reloaded> {
    match shared.reload().await {
        Ok(warnings) => Ok(Json(Reloaded { warnings })),
        Err(error) => Err(Trouble(StatusCode::CONFLICT, error)),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, Trouble> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(fault) => Err(Trouble(
            StatusCode::INTERNAL_SERVER_ERROR,
            fault.to_string(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;
    use tokio::io::AsyncWriteExt as _;
    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn sites_come_in_pages_and_the_worst_ones_first_when_they_are_asked_for() {
        let shape = |name: &str, is_suspended: bool, ready: usize| SiteShape {
            name: name.into(),
            condition: match is_suspended {
                true => Condition::Suspended {
                    until: mail::Timestamp::default(),
                    why: None,
                },
                false => Condition::Up,
            },
            connections: 0,
            connections_max: 20,
            ready,
            resting: Vec::new(),
            large: None,
            slowed: None,
        };
        let all = vec![
            shape("a.test", false, 1),
            shape("b.test", false, 7),
            shape("c.test", true, 0),
        ];
        let names = |query: ShapeQuery| {
            let chosen = chosen(all.clone(), &query).into_iter();
            chosen
                .map(|shape| shape.name.to_string())
                .collect::<Vec<_>>()
        };
        let usual = ShapeQuery::default;
        assert_eq!(names(usual()), ["a.test", "b.test", "c.test"]);
        let (worst, limit) = (true, Some(2));
        let query = ShapeQuery {
            worst,
            limit,
            ..usual()
        };
        assert_eq!(names(query), ["c.test", "b.test"]);
        let behind = |name: &str| ShapeQuery {
            after: Some(name.to_owned()),
            ..usual()
        };
        assert_eq!(names(behind("a.test")), ["b.test", "c.test"]);
        // It was there when the page before was made.
        assert_eq!(names(behind("bb.test")), ["c.test"]);
        let one = ShapeQuery {
            site: Some("b.test".to_owned()),
            ..usual()
        };
        assert_eq!(names(one), ["b.test"]);
    }

    /// Else something would be written down of which the queue manager never hears.
    #[tokio::test]
    async fn what_is_begun_is_finished_though_the_asker_hangs_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let steps: [_; 3] = std::array::from_fn(|_| Arc::new(Semaphore::new(0)));
        let [begun, may_end, ended] = steps.clone();
        let work = move || async move {
            begun.add_permits(1);
            may_end.acquire().await.unwrap().forget();
            ended.add_permits(1);
        };
        let router = Router::new().route("/", post(work));
        let router = router.layer(middleware::from_fn(to_its_end));
        let socket = UnixListener::bind(&path).unwrap();
        let served = tokio::spawn(async { axum::serve(socket, router).await });
        let mut asker = UnixStream::connect(&path).await.unwrap();
        let request = b"POST / HTTP/1.1\r\nHost: gatepost\r\nContent-Length: 0\r\n\r\n";
        asker.write_all(request).await.unwrap();
        let [begun, may_end, ended] = steps;
        begun.acquire().await.unwrap().forget();
        drop(asker);
        // The server has every chance to see that.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        may_end.add_permits(1);
        let end = tokio::time::timeout(std::time::Duration::from_secs(10), ended.acquire());
        end.await.expect("it ends").unwrap().forget();
        served.abort();
    }
}
