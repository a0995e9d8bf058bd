//! Where a scanner is: connections that are kept, and addresses that are left alone for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::scanner::IcapOptions;
use config::ScannerAddress;
use milter::Facts;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tls::plain;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::conversation::Socket;
use crate::dial;
use crate::kept::Kept;
use crate::resolver::Resolver;

/// For how long an address that failed is left alone.
const REST: Duration = Duration::from_secs(5);
/// After so many messages in a row that were not answered an address counts as one that failed.
const STUMBLES_MAX: u32 = 3;
/// For how long at most what an ICAP service said of itself is believed.
const OPTIONS_TIME: Duration = Duration::from_secs(3600);
/// For how long what a ClamAV says of itself is believed.
const VERSION_TIME: Duration = Duration::from_secs(60);
/// For how long a connection is kept while nobody asks on it.
const IDLE_TIME: Duration = Duration::from_secs(10);

pub(super) struct Places {
    all: Vec<Place>,
    resolver: Arc<Resolver>,
}

struct Place {
    address: ScannerAddress,
    state: Mutex<PlaceNow>,
    /// As many as messages are looked at side by side: they come in bursts, as many at a time as the
    /// disk has made safe at a time, and each of them would have to connect, and to agree upon terms.
    idle: Kept<(), Idle>,
}

/// What was done on a connection, where the next question depends on it.
#[derive(Default)]
pub(super) struct Past {
    /// What was agreed upon with a milter.
    pub agreed: Option<milter::Kept>,
    /// Questions that were asked on it.
    pub asked: u32,
}

impl Past {
    /// Whether a message of this client may follow, where it is a milter's, and else any question;
    /// `at_once`: without a word about the client before it.
    fn takes(&self, client: Option<&Facts>, at_once: bool) -> bool {
        match (&self.agreed, client) {
            (Some(kept), Some(client)) if at_once => kept.knows(client),
            (Some(kept), Some(_)) => kept.takes_others(),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// A connection that waits for the next message.
pub(super) struct Idle {
    pub socket: Box<dyn Socket>,
    /// What was done on it.
    pub past: Past,
}

#[derive(Default)]
struct PlaceNow {
    /// Why it failed last, and until when it is left alone; `None`: it answers.
    trouble: Option<(String, Instant)>,
    asked: u64,
    failed: u64,
    /// Messages in a row that it did not answer.
    stumbles: u32,
    /// What an ICAP service is, and until when that is so.
    options: Option<(IcapOptions, Instant)>,
    /// What ClamAV it is, as far as it says so, and since when that is known.
    version: Option<(Option<Version>, Instant)>,
}

/// How a scanner does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its name.
    pub name: Arc<str>,
    /// Messages that it looks at now.
    pub busy: usize,
    /// Messages that wait for their turn.
    pub waiting: usize,
    /// How it does at each of its addresses.
    pub places: Vec<PlaceState>,
}

/// How a scanner does at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceState {
    /// Which one.
    pub address: String,
    /// Why it does not answer; `None`: it does, as far as anybody asked.
    pub trouble: Option<String>,
    /// How often it was asked since the configuration was read.
    pub asked: u64,
    /// How often there was no answer.
    pub failed: u64,
    /// What it is, where it says so.
    pub version: Option<Version>,
}

/// What ClamAV there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// `ClamAV 1.4.6`
    pub engine: String,
    /// The number of its official signatures; none where it has none.
    pub signatures: Option<u64>,
    /// How many days old they are.
    pub age_days: Option<u64>,
}

impl Places {
    /// At each of these so many messages are looked at side by side.
    pub(super) fn new(
        addresses: &[ScannerAddress],
        parallel: usize,
        resolver: Arc<Resolver>,
    ) -> Self {
        let place = |address: &ScannerAddress| Place {
            address: address.clone(),
            state: Mutex::default(),
            idle: Kept::new(parallel, IDLE_TIME),
        };
        Self {
            all: addresses.iter().map(place).collect(),
            resolver,
        }
    }

    pub(super) fn states(&self) -> Vec<PlaceState> {
        let state = |place: &Place| {
            let now = place.now();
            PlaceState {
                address: place.address.to_string(),
                trouble: now.trouble.as_ref().map(|(why, _)| why.clone()),
                asked: now.asked,
                failed: now.failed,
                version: None,
            }
        };
        self.all.iter().map(state).collect()
    }

    /// In the order in which they are asked: as they are written.
    pub(super) fn in_order(&self) -> std::ops::Range<usize> {
        0..self.all.len()
    }

    /// Whether this one may be asked now. After its rest one message tries it, and the others pass it by
    /// until that one is through, or has taken as long as a rest.
    ///
    /// # Errors
    /// It rests; why.
    pub(super) fn begin(&self, place: usize) -> Result<(), String> {
        let mut now = self.all[place].now();
        if let Some((why, until)) = &mut now.trouble {
            if *until > Instant::now() {
                return Err(format!("not asked again yet after: {why}"));
            }
            *until = Instant::now() + REST;
        }
        now.asked += 1;
        Ok(())
    }

    pub(super) fn answered(&self, place: usize, scanner: &str) {
        let place = &self.all[place];
        place.now().stumbles = 0;
        if place.now().trouble.take().is_some() {
            // It may be another one now.
            place.now().version = None;
            tracing::info!(scanner, address = %place.address, "the scanner answers again");
        }
    }

    pub(super) fn failed(&self, place: usize, scanner: &str, why: &str) {
        let place = &self.all[place];
        let mut now = place.now();
        now.failed += 1;
        place.idle.clear();
        let was_well = now.trouble.is_none();
        now.trouble = Some((why.to_owned(), Instant::now() + REST));
        drop(now);
        if was_well {
            tracing::warn!(scanner, address = %place.address, why, "the scanner does not answer");
        }
    }

    /// It did not answer one message, which may be the message's fault: so many in a row are its own.
    pub(super) fn stumbled(&self, place: usize, scanner: &str, why: &str) {
        let mut now = self.all[place].now();
        now.stumbles += 1;
        let is_down = now.stumbles >= STUMBLES_MAX;
        // Somebody else may try at once.
        if let Some((_, until)) = &mut now.trouble {
            *until = Instant::now();
        }
        if !is_down {
            now.failed += 1;
        }
        drop(now);
        if is_down {
            self.failed(place, scanner, why);
        }
    }

    /// A connection that was kept, and on which nothing came since: neither its end, nor an answer that
    /// nobody waits for and that would be taken for the one to the next question. A milter is asked
    /// about this client.
    pub(super) fn kept(&self, place: usize, client: Option<&Facts>) -> Option<Idle> {
        let idle = &self.all[place].idle;
        let take = |at_once| idle.take_where(|(), one| one.past.takes(client, at_once));
        while let Some(one) = take(true).or_else(|| take(false)) {
            if is_quiet(&*one.socket) {
                return Some(one);
            }
        }
        None
    }

    /// Keeps a connection for the next message.
    pub(super) fn keep(&self, place: usize, socket: Box<dyn Socket>, past: Past) {
        self.all[place].idle.keep((), Idle { socket, past });
    }

    /// What the ICAP service there is, where that is known and still so.
    pub(super) fn options(&self, place: usize) -> Option<IcapOptions> {
        let now = self.all[place].now();
        let (options, until) = now.options.as_ref()?;
        (*until > Instant::now()).then(|| options.clone())
    }

    pub(super) fn learned(&self, place: usize, options: IcapOptions) {
        let ttl = options.ttl_seconds.map(Duration::from_secs);
        let ttl = ttl.map_or(OPTIONS_TIME, |ttl| ttl.min(OPTIONS_TIME));
        self.all[place].now().options = Some((options, Instant::now() + ttl));
    }

    /// What ClamAV there is, where it was asked of late.
    pub(super) fn version(&self, place: usize) -> Option<Option<Version>> {
        let now = self.all[place].now();
        let (version, since) = now.version.as_ref()?;
        (since.elapsed() < VERSION_TIME).then(|| version.clone())
    }

    pub(super) fn keep_version(&self, place: usize, version: Option<Version>) {
        self.all[place].now().version = Some((version, Instant::now()));
    }

    /// Its host and port, as they stand in a request.
    pub(super) fn host(&self, place: usize) -> String {
        host(&self.all[place].address)
    }

    pub(super) fn resolver(&self) -> &Arc<Resolver> {
        &self.resolver
    }

    pub(super) async fn connect(&self, place: usize) -> Result<Box<dyn Socket>, String> {
        Self::connect_to(&self.all[place].address, &self.resolver).await
    }

    pub(super) async fn connect_to(
        address: &ScannerAddress,
        resolver: &Resolver,
    ) -> Result<Box<dyn Socket>, String> {
        match address {
            ScannerAddress::Unix(path) => {
                let socket = UnixStream::connect(path).await;
                let socket =
                    socket.map_err(|error| format!("{}: {}", path.display(), plain(&error)));
                Ok(Box::new(socket?))
            }
            ScannerAddress::Tcp(host, port) => {
                Ok(Box::new(dial::dial(resolver, host, *port).await?))
            }
        }
    }
}

/// The host and port of an address, as they stand in a request.
pub(super) fn host(address: &ScannerAddress) -> String {
    match address {
        ScannerAddress::Unix(_) => "localhost".to_owned(),
        tcp @ ScannerAddress::Tcp(..) => tcp.to_string(),
    }
}

/// Whether there is nothing to read, by the word of the system: the runtime hears of it later.
fn is_quiet(socket: &dyn Socket) -> bool {
    let mut descriptors = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut descriptors, PollTimeout::ZERO) == Ok(0)
}

impl Place {
    fn now(&self) -> MutexGuard<'_, PlaceNow> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
