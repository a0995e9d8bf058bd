//! What scanners say of a message: programs beside us that are asked over a socket.
//!
//! Guarantees: a finding comes within the scanner's time, whatever it does; it looks at so many
//! messages at one time as it is allowed to, and the others wait for their turn within their time; an
//! address that failed is left alone for a while, and then tried by one message alone; where there is
//! no answer, the finding says so and why. The content is read where it lies, piece by piece.

mod conversation;
mod found;
mod learning;
mod milters;
mod places;
mod policies;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::scanner::clamd::{self, Clamd};
use ::scanner::hook::{self, Hook};
use ::scanner::icap::{AskOptions, Icap, Service};
use ::scanner::policy::{Policy, Request};
use ::scanner::rspamd::{self, Rspamd};
use ::scanner::spamd::{self, Spamd};
use ::scanner::{Answer, Content, Exchange, InMemory, Method, Secret, Subject};
use config::{Scanner as Settings, ScannerKind};
use message::RawField;
use milter::{Changes, Edited, Facts, Verdict};
use screening::Finding;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use self::conversation::{Socket, Trouble};
pub use self::found::Found;
pub use self::learning::{Lesson, Taught};
use self::places::{Idle, Past, Places};
pub use self::places::{PlaceState, State, Version};
pub use self::policies::{Advice, Caller};
use crate::resolver::Resolver;
use crate::secret;

/// All scanners of a configuration.
pub struct Scanners {
    by_name: BTreeMap<Arc<str>, One>,
}

struct One {
    settings: Arc<Settings>,
    secret: Option<Secret>,
    learn_secret: Option<Secret>,
    turns: Semaphore,
    /// Messages that wait for their turn.
    waiting: AtomicUsize,
    places: Places,
}

impl Scanners {
    /// Those of the configuration; hosts are looked up by `resolver`.
    ///
    /// # Errors
    /// Which of their secrets cannot be read, and why.
    pub fn new(scanners: &[Arc<Settings>], resolver: &Arc<Resolver>) -> Result<Self, Vec<String>> {
        let (mut by_name, mut problems) = (BTreeMap::new(), Vec::new());
        for settings in scanners {
            let learning = settings.learning.as_ref();
            let secret = read(settings.secret.as_ref());
            let learn_secret = read(learning.and_then(|learning| learning.secret.as_ref()));
            match secret.and_then(|secret| Ok((secret, learn_secret?))) {
                Ok((secret, learn_secret)) => {
                    let parallel = settings.parallel as usize;
                    let one = One {
                        settings: Arc::clone(settings),
                        secret,
                        learn_secret,
                        turns: Semaphore::new(parallel),
                        waiting: AtomicUsize::new(0),
                        places: Places::new(&settings.addresses, parallel, Arc::clone(resolver)),
                    };
                    by_name.insert(Arc::clone(&settings.name), one);
                }
                Err(why) => problems.push(format!("{why} ({})", settings.place)),
            }
        }
        if problems.is_empty() {
            Ok(Self { by_name })
        } else {
            Err(problems)
        }
    }

    /// Asks one of them about a message, a policy service by `request`; milters are asked by
    /// [`Scanners::ask_milters`].
    pub async fn ask(
        &self,
        name: &str,
        (subject, request): &(Subject, Request),
        content: &Arc<dyn Content>,
    ) -> Found {
        let Some(one) = self.by_name.get(name) else {
            return Finding::error("there is no such scanner").into();
        };
        let begin = Instant::now();
        let heard = match one.settings.kind {
            ScannerKind::Policy => one.ask_policy(subject, request, content).await,
            _ => one.ask(Question::Subject(subject), content).await,
        };
        let found: Found = match heard {
            Ok(Heard::Answer(Answer::Action(action))) => {
                policies::found(&one.settings.name, action)
            }
            Ok(Heard::Answer(answer)) => answer.into(),
            Ok(Heard::Milter(_)) => Finding::error("it is a milter").into(),
            Err(why) => Finding::error(why).into(),
        };
        Found {
            took: Some(begin.elapsed()),
            ..found
        }
    }

    /// Asks milters about a message, in this order, up to one that refuses it or throws it away and is
    /// obeyed; no new body has more than `body_max` octets.
    pub async fn ask_milters(
        &self,
        milters: &[Arc<str>],
        facts: &Facts,
        mut message: Edited<'_>,
        content: &Arc<dyn Content>,
        body_max: usize,
    ) -> Chain {
        let mut chain = Chain::default();
        let mut has_ended = false;
        for name in milters {
            let Some(one) = self.by_name.get(name) else {
                continue;
            };
            if has_ended {
                let not_asked = Finding::not_asked().into();
                chain.findings.push((Arc::clone(name), not_asked));
                continue;
            }
            let asked = milters::Asked {
                facts,
                message: &message,
                body_max,
            };
            let begin = Instant::now();
            let heard = one.ask(Question::Milter(&asked), content).await;
            let (finding, answer) = match heard {
                Ok(Heard::Milter(answer)) => (milters::finding(&answer), Some(answer)),
                Ok(Heard::Answer(_)) => (Finding::error("it is no milter"), None),
                Err(why) => (Finding::error(why), None),
            };
            let found = Found {
                took: Some(begin.elapsed()),
                ..finding.into()
            };
            chain.findings.push((Arc::clone(name), found));
            if let Some(answer) = answer {
                match answer.verdict {
                    Verdict::Accept => chain.changes.make(name, &answer, &mut message),
                    Verdict::Refuse(_) | Verdict::Discard => has_ended = one.settings.obey,
                }
            }
        }
        chain
    }

    /// How each of them does; of ClamAV, where it answers within two seconds, also what it is.
    pub async fn states(&self) -> Vec<State> {
        let mut states = Vec::new();
        for one in self.by_name.values() {
            let mut places = one.places.states();
            for (place, state) in places.iter_mut().enumerate() {
                if one.settings.kind == ScannerKind::Clamd && state.trouble.is_none() {
                    state.version = one.version(place).await;
                }
            }
            states.push(State {
                name: Arc::clone(&one.settings.name),
                busy: one.settings.parallel as usize - one.turns.available_permits(),
                waiting: one.waiting.load(Ordering::Relaxed),
                places,
            });
        }
        states
    }
}

/// What milters have come to together.
#[derive(Debug, Default)]
pub struct Chain {
    /// What each of those came to that were asked.
    pub findings: Vec<(Arc<str>, Found)>,
    /// What they make of the message.
    pub changes: Changes,
}

/// What a scanner is asked.
#[derive(Clone, Copy)]
enum Question<'a> {
    Subject(&'a Subject),
    Milter(&'a milters::Asked<'a>),
    Policy(&'a Request, &'a Subject),
}

/// What it answers.
enum Heard {
    Answer(Answer),
    Milter(milter::Answer),
}

impl One {
    /// What it answers within its time.
    async fn ask(
        &self,
        question: Question<'_>,
        content: &Arc<dyn Content>,
    ) -> Result<Heard, String> {
        let within = self.settings.timeout;
        self.ask_within(within, question, content).await
    }

    async fn ask_within(
        &self,
        within: Duration,
        question: Question<'_>,
        content: &Arc<dyn Content>,
    ) -> Result<Heard, String> {
        let mut at = None;
        let asked = timeout(within, self.answer(question, content, &mut at)).await;
        asked.unwrap_or_else(|_| {
            let why = format!("no answer within {within:?}");
            if let Some(at) = at {
                self.places.stumbled(at, &self.settings.name, &why);
            }
            Err(why)
        })
    }

    /// Its turn, once it comes.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, String> {
        let _waiting = Waiting::among(&self.waiting);
        let turn = self.turns.acquire().await;
        turn.map_err(|error| error.to_string())
    }

    /// Asks one address after the other. `at` is the one that is asked now.
    async fn answer(
        &self,
        question: Question<'_>,
        content: &Arc<dyn Content>,
        at: &mut Option<usize>,
    ) -> Result<Heard, String> {
        let _turn = self.turn().await?;
        let mut trouble = String::new();
        for place in self.places.in_order() {
            if let Err(resting) = self.places.begin(place) {
                trouble = resting;
                continue;
            }
            *at = Some(place);
            match self.answer_at(place, question, content).await {
                Ok(heard) => {
                    self.places.answered(place, &self.settings.name);
                    return Ok(heard);
                }
                Err(Trouble { why, is_unheard }) if is_unheard => {
                    self.places.failed(place, &self.settings.name, &why);
                    trouble = why;
                }
                // It may be the message that it cannot do: another address could not do it either.
                Err(Trouble { why, .. }) => {
                    self.places.stumbled(place, &self.settings.name, &why);
                    return Err(why);
                }
            }
            *at = None;
        }
        Err(trouble)
    }

    async fn answer_at(
        &self,
        place: usize,
        question: Question<'_>,
        content: &Arc<dyn Content>,
    ) -> Result<Heard, Trouble> {
        // A kept connection may have been closed by the other side since.
        let client = match question {
            Question::Milter(about) => Some(about.facts),
            Question::Subject(_) | Question::Policy(..) => None,
        };
        while let Some(Idle { socket, past }) = self.places.kept(place, client) {
            match self.hold(place, (socket, past), question, content).await {
                Err(Trouble {
                    is_unheard: true, ..
                }) => {}
                heard => return heard,
            }
        }
        let unheard = |why| Trouble {
            why,
            is_unheard: true,
        };
        self.learn(place).await.map_err(unheard)?;
        let socket = self.places.connect(place).await.map_err(unheard)?;
        let past = Past::default();
        self.hold(place, (socket, past), question, content).await
    }

    /// Asks over a connection, which is kept where the scanner goes on with it.
    async fn hold(
        &self,
        place: usize,
        (mut socket, past): (Box<dyn Socket>, Past),
        question: Question<'_>,
        content: &Arc<dyn Content>,
    ) -> Result<Heard, Trouble> {
        let asked = past.asked.saturating_add(1);
        let mut exchange = match question {
            Question::Subject(subject) => self.exchange(place, asked, subject, content).await?,
            Question::Policy(request, subject) => Policy::new(request, subject).into(),
            Question::Milter(about) => {
                let end = milters::hold(&mut *socket, about, content, past.agreed).await;
                if end.kept.is_some() {
                    let (agreed, asked) = (end.kept, 0);
                    self.places.keep(place, socket, Past { agreed, asked });
                }
                let is_unheard = end.is_stale;
                return end.answer.map(Heard::Milter).map_err(|fault| Trouble {
                    why: fault.to_string(),
                    is_unheard,
                });
            }
        };
        let answer = conversation::hold(&mut *socket, &mut exchange, content).await?;
        if exchange.is_reusable() {
            let agreed = None;
            self.places.keep(place, socket, Past { agreed, asked });
        }
        Ok(Heard::Answer(answer))
    }

    /// Asks an ICAP service what it is, where that is not known any more.
    async fn learn(&self, place: usize) -> Result<(), String> {
        if self.settings.kind != ScannerKind::Icap || self.places.options(place).is_some() {
            return Ok(());
        }
        let mut socket = self.places.connect(place).await?;
        let mut exchange = Exchange::from(AskOptions::new(&self.service(place)));
        let nothing: Arc<dyn Content> = Arc::new(InMemory(Vec::new()));
        let answer = conversation::hold(&mut *socket, &mut exchange, &nothing).await;
        match answer.map_err(|trouble| trouble.why)? {
            Answer::Options(options) => self.places.learned(place, options),
            _ => return Err("it answers OPTIONS by something else".to_owned()),
        }
        if exchange.is_reusable() {
            self.places.keep(place, socket, Past::default());
        }
        Ok(())
    }

    /// What clamd there is, as it said not long ago or says now.
    async fn version(&self, place: usize) -> Option<Version> {
        if let Some(known) = self.places.version(place) {
            return known;
        }
        let asked = timeout(VERSION_TIME, self.ask_version(place)).await;
        let version = asked.ok().flatten();
        self.places.keep_version(place, version.clone());
        version
    }

    async fn ask_version(&self, place: usize) -> Option<Version> {
        let mut socket = self.places.connect(place).await.ok()?;
        let mut exchange = Exchange::from(Clamd::new(clamd::Command::Version));
        let nothing: Arc<dyn Content> = Arc::new(InMemory(Vec::new()));
        let answer = conversation::hold(&mut *socket, &mut exchange, &nothing).await;
        let Ok(Answer::Version(version)) = answer else {
            return None;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Some(Version {
            age_days: version.age_days(now.unwrap_or_default()),
            signatures: version.signatures,
            engine: version.engine,
        })
    }

    /// The ICAP service there, as far as it is known.
    fn service(&self, place: usize) -> Service {
        let options = self.places.options(place);
        let methods = options.as_ref().map(|options| &options.methods[..]);
        let method = methods.and_then(|methods| methods.first());
        Service {
            host: self.places.host(place),
            path: self.settings.service.to_string(),
            method: method.copied().unwrap_or(Method::Response),
            preview: options.and_then(|options| options.preview),
        }
    }

    /// The nth question on a connection.
    async fn exchange(
        &self,
        place: usize,
        number: u32,
        subject: &Subject,
        content: &Arc<dyn Content>,
    ) -> Result<Exchange, Trouble> {
        let host = || self.places.host(place);
        Ok(match self.settings.kind {
            ScannerKind::Clamd => Clamd::new(clamd::Command::Scan(number)).into(),
            ScannerKind::Rspamd => {
                let settings = rspamd::Settings {
                    host: host(),
                    password: self.secret.clone(),
                    settings_id: self.settings.settings_id.as_deref().map(str::to_owned),
                };
                Rspamd::new(rspamd::Command::Check, &settings, subject).into()
            }
            ScannerKind::Spamd => Spamd::new(spamd::Command::Symbols, None, subject).into(),
            ScannerKind::Icap => Icap::new(&self.service(place), subject).into(),
            ScannerKind::Hook => {
                let settings = hook::Settings {
                    host: host(),
                    path: self.settings.service.to_string(),
                    key: self.secret.clone(),
                };
                let details = hook::Details {
                    header: header_of(content).await?,
                    content: hook::Content::Inline(INLINE_MAX),
                };
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                Hook::new(&settings, subject, &details, now.unwrap_or_default()).into()
            }
            ScannerKind::Milter => return Err(no_content("it is a milter")),
            ScannerKind::Policy => return Err(no_content("it is a policy service")),
        })
    }
}

/// One message among those that wait, until this is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(all: &'a AtomicUsize) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(all)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn read(secret: Option<&config::Secret>) -> Result<Option<Secret>, String> {
    secret
        .map(secret::read)
        .transpose()
        .map(|read| read.map(Secret::new))
}

/// What it is not asked about.
fn no_content(why: &str) -> Trouble {
    Trouble {
        why: why.to_owned(),
        is_unheard: false,
    }
}

/// Names and values of the fields of a message.
async fn header_of(content: &Arc<dyn Content>) -> Result<Vec<(String, String)>, Trouble> {
    let mut start = Vec::new();
    while start.len() < HEADER_MAX {
        let piece = conversation::piece_of(content, start.len() as u64, Vec::new(), HEADER_MAX);
        let piece = piece.await?;
        if piece.is_empty() {
            break;
        }
        start.extend_from_slice(&piece);
    }
    let text = |octets: &[u8]| String::from_utf8_lossy(octets.trim_ascii()).into_owned();
    let fields = RawField::all(&start).take_while(|field| !field.name.is_empty());
    Ok(fields
        .map(|field| (text(field.name), text(field.value)))
        .collect())
}

/// How long ClamAV may take to say what it is, which is asked each minute at most.
const VERSION_TIME: Duration = Duration::from_secs(2);
/// Octets of a content that a hook is given within its question, which is in memory; it sees the
/// header alone of what is larger.
const INLINE_MAX: u64 = 1 << 20;
/// Octets at the beginning of a message in which a hook is shown the fields.
const HEADER_MAX: usize = 64 << 10;
