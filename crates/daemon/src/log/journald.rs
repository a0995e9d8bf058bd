//! The journal of systemd, to which the log goes with its fields.

mod entry;
mod socket;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use privacy::Veil;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use self::entry::Entry;
use super::LINES_WAITING_MAX;
use crate::outlet::{Outlet, State};
use crate::syslog_sender::Record;

/// Where it listens on every system.
const PATH: &str = "/run/systemd/journal/socket";
/// Pauses between attempts.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

static OUTLET: OnceLock<Outlet<Vec<u8>>> = OnceLock::new();
static LOST: LazyLock<Arc<AtomicU64>> = LazyLock::new(Arc::default);

/// How many lines did not come to the journal since the start.
pub fn lost_entries() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// What keeps lines from it at present.
pub(super) fn trouble() -> Option<String> {
    OUTLET.get().and_then(Outlet::trouble)
}

/// Waits until all is sent, but not for ever.
pub(super) fn finish() {
    if let Some(outlet) = OUTLET.get() {
        outlet.finish();
    }
}

/// Begins a thread for it; what takes events for it. `None` where there is one since earlier.
///
/// # Errors
/// There are no more threads.
pub(super) fn start(veil: Option<Arc<Veil>>) -> io::Result<Option<ToJournal>> {
    if OUTLET.get().is_some() {
        return Ok(None);
    }
    let name = "journald".to_owned();
    let outlet = Outlet::start(name, LINES_WAITING_MAX, &LOST, |entries, state| {
        send(Path::new(PATH), entries, state, |entry| [entry]);
    })?;
    OUTLET.get_or_init(|| outlet);
    Ok(Some(ToJournal { veil }))
}

/// Gives each event to the journal, with addresses behind the veil if there is one.
pub(super) struct ToJournal {
    veil: Option<Arc<Veil>>,
}

impl<S: Subscriber> Layer<S> for ToJournal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Some(outlet) = OUTLET.get() {
            let mut entry = Entry::of(event);
            if let Some(veil) = &self.veil {
                entry.veil(veil);
            }
            outlet.put(entry.encoded());
        }
    }
}

/// Sends what is put down for a protocol log, as the records that `records` makes of an entry, until
/// nobody has anything more to say.
pub(crate) fn send_records<T, R: IntoIterator<Item = Record>>(
    log: &str,
    entries: &Receiver<T>,
    state: &State,
    records: impl Fn(T) -> R,
) {
    send(Path::new(PATH), entries, state, |entry| {
        let records = records(entry).into_iter();
        records.map(|record| Entry::of_record(log, &record).encoded())
    });
}

/// Until nobody has anything more to say. An entry waits for a journal that cannot be reached.
fn send<T, E: IntoIterator<Item = Vec<u8>>>(
    path: &Path,
    entries: &Receiver<T>,
    state: &State,
    encoded: impl Fn(T) -> E,
) {
    let (mut socket, mut pause) = (None, PAUSE_MIN);
    for entry in entries.iter().flat_map(encoded) {
        while let Err(error) = socket::send(&mut socket, path, &entry) {
            let why = format!("{}: {error}", path.display());
            if state.set_trouble(Some(why)).is_none() {
                tracing::warn!(%error, "the journal takes no entries");
            }
            if state.rest(pause) {
                return state.lose(1 + entries.try_iter().count());
            }
            pause = (2 * pause).min(PAUSE_MAX);
        }
        pause = PAUSE_MIN;
        if state.set_trouble(None).is_some() {
            tracing::info!("the journal takes entries again");
        }
    }
}
