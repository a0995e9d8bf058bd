//! Which SMTP dialogues are kept: by `log.transcript`, and for a while those that an operator asks
//! for.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use config::Transcripts as Wanted;
use engine::Report;
use ipnet::IpNet;
use mail::{Client, Outcome, QueueId, lower_case};
use reception::{End, SessionFact};
use smtp::{Dialogue, Said};

use crate::clock;

/// Dialogues are kept for an operator for so long at most: who asked is to remember it, and what is kept
/// is of everybody.
pub(crate) const TRACE_DAYS_MAX: u64 = 7;
/// What an operator may ask for at one time.
const TRACES_MAX: usize = 100;
/// Messages of one session under whose names its dialogue is found.
const IDS_MAX: usize = 100;

/// Which dialogues are kept.
#[derive(Debug, Default)]
pub(crate) struct Transcripts(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    wanted: Wanted,
    traces: Vec<Trace>,
}

/// What an operator asked for.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) whom: Whom,
    pub(crate) until: Instant,
}

/// Whose dialogues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Sessions of clients in this network.
    Client(IpNet),
    /// Sessions of this user.
    User(Box<str>),
    /// Attempts at this site.
    Site(Box<str>),
    /// Sessions and attempts for this recipient.
    Address(Box<str>),
}

impl Transcripts {
    /// From now on it goes by this.
    pub(crate) fn configured(&self, wanted: Wanted) {
        self.change(|state| state.wanted = wanted);
    }

    /// Whether anything may have to be kept.
    pub(crate) fn records(&self) -> bool {
        self.asked(|state| state.wanted != Wanted::Off || state.traces.iter().any(Trace::lasts))
    }

    /// Keeps what is asked for, for so long; false when there is too much of that already.
    pub(crate) fn trace(&self, whom: Whom, lasting: Duration) -> bool {
        self.change(|state| {
            state
                .traces
                .retain(|trace| trace.lasts() && trace.whom != whom);
            let has_room = state.traces.len() < TRACES_MAX;
            if has_room {
                let until = Instant::now() + lasting;
                state.traces.push(Trace { whom, until });
            }
            has_room
        })
    }

    /// What operators have asked for.
    pub(crate) fn traces(&self) -> Vec<Trace> {
        self.asked(|state| {
            state
                .traces
                .iter()
                .filter(|one| one.lasts())
                .cloned()
                .collect()
        })
    }

    /// The dialogue of an attempt, as text, if it is to be kept.
    pub(crate) fn of_attempt(&self, report: &Report) -> Option<String> {
        if report.dialogue.is_empty() {
            return None;
        }
        let results = &report.ended.results;
        let is_delivered = |outcome: &Outcome| matches!(outcome, Outcome::Delivered(_));
        let failed = !results.iter().all(|(_, outcome)| is_delivered(outcome));
        let recipients = report.job.recipients.iter();
        let recipients = recipients.map(|one| one.admitted.recipient().as_str());
        let sites = [&report.job.site.name, &report.site.name];
        let is_meant = |whom: &Whom| match whom {
            Whom::Site(name) => sites.iter().any(|site| ***site == **name),
            Whom::Address(address) => is_among(address, recipients.clone()),
            Whom::Client(_) | Whom::User(_) => false,
        };
        self.keeps(failed, is_meant)
            .then(|| report.dialogue.to_string())
    }

    fn keeps(&self, failed: bool, is_meant: impl Fn(&Whom) -> bool) -> bool {
        self.asked(|state| match state.wanted {
            Wanted::All => true,
            Wanted::Failures if failed => true,
            Wanted::Failures | Wanted::Off => {
                let mut lasting = state.traces.iter().filter(|one| one.lasts());
                lasting.any(|trace| is_meant(&trace.whom))
            }
        })
    }

    fn asked<T>(&self, question: impl FnOnce(&State) -> T) -> T {
        question(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Trace {
    fn lasts(&self) -> bool {
        Instant::now() < self.until
    }
}

/// Addresses are compared without regard to case: who asks means the person.
fn is_among<'a>(address: &str, mut all: impl Iterator<Item = &'a str>) -> bool {
    all.any(|one| lower_case(one) == *address)
}

/// What is said in a session, and what it is about.
#[derive(Debug, Default)]
pub(crate) struct SessionDialogue {
    dialogue: Dialogue,
    ids: Vec<QueueId>,
    recipients: Vec<Box<str>>,
    failed: bool,
}

impl SessionDialogue {
    pub(crate) fn said(&mut self, said: Said) {
        self.dialogue.add(clock::now(), said);
    }

    /// What happened in the session, its end at last.
    pub(crate) fn on_fact(&mut self, fact: &SessionFact) {
        match fact {
            SessionFact::RefusedRecipient(refused) => {
                self.failed = true;
                self.is_about(Some(refused.id));
                self.is_for(&refused.recipient);
            }
            SessionFact::RefusedMessage(refused) | SessionFact::RefusedFor(refused) => {
                self.failed = true;
                self.is_about(refused.id);
                for recipient in &refused.recipients {
                    self.is_for(recipient.recipient.as_str());
                }
            }
            SessionFact::Accepted(accepted) => {
                self.is_about(Some(accepted.id));
                for recipient in &accepted.recipients {
                    self.is_for(recipient.recipient.as_str());
                }
            }
            SessionFact::SignInFailed(_) | SessionFact::Complaint(_) => self.failed = true,
            SessionFact::Ended(summary) => {
                let is_usual = matches!(
                    summary.end,
                    End::Quit | End::TurnedAround | End::Disconnected | End::Shutdown
                );
                self.failed |= !is_usual;
            }
            SessionFact::Encrypted(_)
            | SessionFact::SignedIn(_)
            | SessionFact::AskedForMail(..) => {}
        }
    }

    fn is_about(&mut self, id: Option<QueueId>) {
        let new = id.filter(|id| self.ids.last() != Some(id) && self.ids.len() < IDS_MAX);
        self.ids.extend(new);
    }

    fn is_for(&mut self, recipient: &str) {
        if self.recipients.len() < IDS_MAX {
            self.recipients.push(recipient.into());
        }
    }

    /// The dialogue as text, if it is to be kept, and the messages that it is about.
    pub(crate) fn kept(
        self,
        client: &Client,
        transcripts: &Transcripts,
    ) -> Option<(Vec<QueueId>, String)> {
        let is_meant = |whom: &Whom| match whom {
            Whom::Client(network) => network.contains(&client.address()),
            Whom::User(user) => client.user.as_deref() == Some(&**user),
            Whom::Address(address) => is_among(address, self.recipients.iter().map(|one| &**one)),
            Whom::Site(_) => false,
        };
        let keeps = transcripts.keeps(self.failed, is_meant);
        keeps.then(|| (self.ids, self.dialogue.to_string()))
    }
}
