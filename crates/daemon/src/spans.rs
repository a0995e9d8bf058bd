//! Spans of what happens, on their way to OpenTelemetry.
//!
//! Nobody who tells it anything ever waits: a thread of its own posts spans, many at a time. Where
//! the other end is slow or away, a named number of them wait, and further ones are lost and
//! counted; mail never is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use config::{Config, OpenTelemetry};
use engine::dispatch::Fact;
use engine::{Acceptance, Late, LateOutcome, Report};
use lookups::{Cost, Posting, secret};
use mail::Client;
use reception::SessionFact;
use tokio::runtime::Runtime;
use traces::{Resource, Span, Tracer, request};

use crate::clock::Clock;
use crate::outlet::{Outlet, State};

/// Spans that may wait for the thread.
const SPANS_WAITING_MAX: usize = 16_384;
/// Spans of one POST.
const BATCH_SPANS: usize = 512;
/// How long spans wait for company.
const COMPANY: Duration = Duration::from_secs(1);
/// What one POST may cost.
const COST: Cost = Cost {
    timeout: Duration::from_secs(10),
    body_bytes_max: 64 << 10,
};
/// Pauses between attempts.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Tells of spans, where somebody takes them.
pub(crate) struct Spans {
    running: Option<Running>,
    lost: Arc<AtomicU64>,
}

struct Running {
    tracer: Tracer,
    clock: Arc<Clock>,
    outlet: Outlet<Span>,
}

impl Spans {
    /// Begins a thread for them, if `config` names an endpoint.
    ///
    /// # Errors
    /// The secret or the authorities cannot be read, or there is no thread; what it is about.
    pub(crate) fn start(config: &Config, clock: &Arc<Clock>) -> Result<Self, String> {
        let lost = Arc::default();
        let started = config.opentelemetry.as_ref().map(|wanted| {
            let poster = Poster::new(wanted, config.hostname.to_string());
            let poster = poster.map_err(|why| format!("[opentelemetry]: {why}"))?;
            let work = move |spans: &Receiver<Span>, state: &State| poster.run(spans, state);
            let outlet = Outlet::start("opentelemetry".into(), SPANS_WAITING_MAX, &lost, work);
            let outlet = outlet.map_err(|error| format!("[opentelemetry]: {error}"))?;
            let mut base = [0; 8];
            let drawn = aws_lc_rs::rand::fill(&mut base);
            drawn.map_err(|_| "there is no randomness".to_owned())?;
            Ok::<_, String>(Running {
                tracer: Tracer::new(u64::from_be_bytes(base)),
                clock: Arc::clone(clock),
                outlet,
            })
        });
        let running = started.transpose()?;
        Ok(Self { running, lost })
    }

    /// Spans that were lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What keeps spans from going out at present.
    pub(crate) fn trouble(&self) -> Option<String> {
        let running = self.running.as_ref()?;
        let why = running.outlet.trouble()?;
        Some(format!("[opentelemetry]: {why}"))
    }

    /// Waits until all is sent, but not for ever; blocks.
    pub(crate) fn finish(&self) {
        if let Some(running) = &self.running {
            running.outlet.finish();
        }
    }

    fn tell<S: IntoIterator<Item = Span>>(&self, spans: impl FnOnce(&Running) -> S) {
        if let Some(running) = &self.running {
            for span in spans(running) {
                running.outlet.put(span);
            }
        }
    }

    pub(crate) fn session(&self, number: u64, fact: &SessionFact) {
        if let Some(running) = &self.running {
            running.tracer.session(number, fact);
        }
    }

    pub(crate) fn session_over(&self, client: &Client, number: u64, lasted: Duration) {
        self.tell(|of| {
            let now = of.clock.moment().wall;
            [of.tracer.session_over(client, number, now, lasted)]
        });
    }

    pub(crate) fn accepted(&self, acceptance: &Acceptance) {
        self.tell(|of| {
            let now = of.clock.moment();
            let took = now.line.since(acceptance.message.message.id.made());
            of.tracer.accepted(acceptance, now.wall, took)
        });
    }

    pub(crate) fn screened_late(&self, late: &Late, outcome: &LateOutcome) {
        let of_message = late.message();
        self.tell(|of| {
            let now = of.clock.moment();
            let took = now.line.since(of_message.arrived);
            let made = outcome.others.iter();
            let made =
                made.filter_map(|other| of.tracer.made(of_message, &other.message, now.wall, took));
            made.collect::<Vec<Span>>()
        });
    }

    pub(crate) fn attempt(&self, report: &Report) {
        self.tell(|of| of.tracer.attempt(report, of.clock.moment().wall));
    }

    pub(crate) fn dispatched(&self, fact: &Fact) {
        let Fact::Notice { about, notice } = fact else {
            return;
        };
        self.tell(|of| [of.tracer.notice(*about, notice, of.clock.moment().wall)]);
    }
}

/// What the thread has.
struct Poster {
    resource: Resource,
    posting: Posting,
}

/// What became of a POST.
enum Posted {
    Taken,
    /// It may be taken another time.
    NotNow(String),
    /// It never will.
    Refused(String),
}

impl Poster {
    fn new(wanted: &OpenTelemetry, host: String) -> Result<Self, String> {
        let secret = wanted
            .authorization
            .as_ref()
            .map(secret::read)
            .transpose()?;
        let posting = Posting::new(&wanted.endpoint, secret.as_deref(), wanted.ca.as_deref())?;
        Ok(Self {
            resource: Resource {
                host,
                version: env!("CARGO_PKG_VERSION"),
            },
            posting,
        })
    }

    /// Until nobody has anything more to tell.
    fn run(self, spans: &Receiver<Span>, state: &State) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                tell(state, error.to_string());
                return state.lose(spans.iter().count());
            }
        };
        let mut pause = PAUSE_MIN;
        while let Some(batch) = gathered(spans) {
            loop {
                match self.post(&runtime, &batch) {
                    Posted::Taken => {
                        pause = PAUSE_MIN;
                        if state.set_trouble(None).is_some() {
                            tracing::info!(lost = state.lost(), "spans are taken again");
                        }
                        break;
                    }
                    Posted::Refused(why) => {
                        state.lose(batch.len());
                        tell(state, why);
                        break;
                    }
                    Posted::NotNow(why) => {
                        tell(state, why);
                        if state.rest(pause) {
                            return state.lose(batch.len() + spans.try_iter().count());
                        }
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                }
            }
        }
    }

    /// OTLP 1.x, "OTLP/HTTP Response".
    fn post(&self, runtime: &Runtime, batch: &[Span]) -> Posted {
        let body = request(&self.resource, batch);
        let posted = self.posting.post("application/x-protobuf", body, COST);
        match runtime.block_on(posted) {
            Ok(200..=299) => Posted::Taken,
            Ok(status @ (429 | 502..=504)) => Posted::NotNow(format!("HTTP {status}")),
            Ok(status) => Posted::Refused(format!("HTTP {status}: spans are refused")),
            Err(why) => Posted::NotNow(why),
        }
    }
}

fn tell(state: &State, why: String) {
    let before = state.set_trouble(Some(why.clone()));
    if before.as_ref() != Some(&why) {
        tracing::warn!(why, "spans do not go out");
    }
}

/// The next spans, once there are enough of them or they have waited long enough; `None` at the end.
fn gathered(spans: &Receiver<Span>) -> Option<Vec<Span>> {
    let mut batch = vec![spans.recv().ok()?];
    let until = Instant::now() + COMPANY;
    while batch.len() < BATCH_SPANS {
        let wait = until.saturating_duration_since(Instant::now());
        match spans.recv_timeout(wait) {
            Ok(span) => batch.push(span),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Some(batch)
}
