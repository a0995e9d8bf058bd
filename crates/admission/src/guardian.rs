//! Watches what those send out who may send through us: a stolen account, or a program that runs
//! wild, shows by how much it sends, and to whom.
//!
//! Each user, client and sender domain has counts of its hours of late, and a usual of its own,
//! learned from its days. What is over a limit of the configuration, or over the usual, begins an
//! episode: its messages go out, are postponed or held, and the postmaster is to be told once. The
//! episode is over when nothing was too much for a day.

mod file;
mod known;
mod record;
mod records;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use mail::{Domain, Timestamp};

use known::{Known, Pair};
use record::{Episode, HOURS, Record};
use records::Records;

pub use rules::{GuardianLimits, GuardianRules, Over, Reaction};

use crate::{Measure, Subject, Tally};

/// So many new recipients of one subject are remembered in a day: a flood of them is not to push out
/// what others wrote.
const REMEMBERED_IN_A_DAY: u32 = 10_000;
/// An episode is over when nothing was too much for so long.
const EPISODE_ENDS_MILLIS: u64 = HOURS * HOUR_MILLIS;
const HOUR_MILLIS: u64 = 3_600_000;

/// What was sent of late, by whom, and what is usual. Times are of any clock that goes on after a
/// restart.
#[derive(Debug, Default)]
pub struct Guardian {
    /// Users, clients and accounts.
    senders: Records,
    /// Apart from them, since a sender can name any number of domains.
    domains: Records,
    known: Known,
}

/// Who sends a message, in both ways in which that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// A user, or a client or account that may relay.
    pub who: Subject,
    /// The domain that it is sent as; `None` for the null sender, and where it is not known yet.
    pub domain: Option<Domain>,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// What decides, when there is too much of anything.
    pub over: Option<Over>,
    /// Of whom an episode begins with it: the postmaster is to be told.
    pub begun: Vec<Over>,
}

/// One subject, as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// Who.
    pub subject: Subject,
    /// What it sent in this hour.
    pub hour: Tally,
    /// In this hour and the 23 before it.
    pub day: Tally,
    /// How many recipients are usual in a day, once that is known.
    pub usual: Option<f32>,
    /// While an episode lasts: since when, and what it was over last, in words.
    pub over: Option<(Timestamp, String)>,
}

impl Guardian {
    /// What is to be kept over a restart: 2 MiB, and up to 600 octets for each subject.
    pub fn to_octets(&self) -> Vec<u8> {
        file::write(&self.senders, &self.domains, &self.known)
    }

    /// What [`Guardian::to_octets`] gave, in this version or one before it; `None` when it is
    /// anything else.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let (senders, domains, known) = file::read(octets)?;
        Some(Self {
            senders,
            domains,
            known,
        })
    }

    /// Counts a message that is about to be stored, with its recipients elsewhere, and says what
    /// becomes of it. One that is
    /// postponed does not count, since it comes again; one that is held counts for those alone who
    /// are over something, and its recipients stay new.
    pub fn judge(
        &mut self,
        rules: &GuardianRules,
        sender: &Sender,
        recipients: &[&str],
        now: Timestamp,
    ) -> Verdict {
        let distinct: HashSet<&str> = recipients.iter().copied().collect();
        let recipients = u32::try_from(recipients.len()).unwrap_or(u32::MAX);
        let mut looked = Vec::new();
        for subject in sender.subjects() {
            let kind = format!("{subject} {}", subject.name());
            let pairs = distinct.iter().map(|recipient| Pair::new(&kind, recipient));
            let new: Vec<Pair> = pairs.filter(|pair| !self.known.has(*pair)).collect();
            let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
            let more = Tally::message(recipients, count);
            let over = rules.over(&subject, self.record(&subject, now), &more);
            looked.push((subject, more, new, over));
        }
        let verdict = self.verdict(looked.iter().filter_map(|(.., over)| over.clone()), now);
        let reaction = verdict.over.as_ref().map(|over| over.reaction.value);
        for (subject, more, new, over) in looked {
            let goes_out = matches!(reaction, None | Some(Reaction::Tell));
            let is_kept = reaction == Some(Reaction::Hold) && over.is_some();
            if goes_out || is_kept {
                let record = self.record(&subject, now);
                record.count(&more);
                let day = record.within(HOURS).of(Measure::NewRecipients);
                if goes_out && day <= REMEMBERED_IN_A_DAY {
                    new.into_iter().for_each(|pair| self.known.remember(pair));
                }
            }
        }
        verdict
    }

    /// Whether a message that begins now would be postponed, whoever it is for, and of whom an episode
    /// begins with that. Counts nothing.
    pub fn begin(&mut self, rules: &GuardianRules, sender: &Sender, now: Timestamp) -> Verdict {
        let least = Tally::message(1, 0);
        let subjects = sender.subjects();
        // Whoever sent nothing yet is over nothing, and needs no record.
        let over = subjects.filter_map(|subject| {
            let record = self.records(&subject).known(&subject)?;
            record.advance(hour(now));
            rules.over(&subject, record, &least)
        });
        let postponed: Vec<Over> = over
            .filter(|over| over.reaction.value == Reaction::Postpone)
            .collect();
        self.verdict(postponed.into_iter(), now)
    }

    /// Counts so many recipients that were refused for good; gives of whom an episode begins with it.
    pub fn failed(
        &mut self,
        rules: &GuardianRules,
        sender: &Sender,
        count: u32,
        now: Timestamp,
    ) -> Vec<Over> {
        let mut all = Vec::new();
        for subject in sender.subjects() {
            let record = self.record(&subject, now);
            record.count(&Tally::failures(count));
            all.extend(rules.over(&subject, record, &Tally::default()));
        }
        self.verdict(all.into_iter(), now).begun
    }

    /// The postmaster could not be told of this episode: what is too much next begins it again.
    pub fn not_told(&mut self, subject: &Subject, now: Timestamp) {
        self.record(subject, now).episode = None;
    }

    /// Begins to count anew for whoever an operator trusts again; what is usual stays. `false` when
    /// nothing is known of it.
    pub fn clear(&mut self, subject: &Subject) -> bool {
        let record = self.records(subject).known(subject);
        record.map(Record::clear).is_some()
    }

    /// Who sends too much, and since when.
    pub fn over(&self, now: Timestamp) -> Vec<Watched> {
        let all = self.senders.iter().chain(self.domains.iter());
        let over = all.filter(|(_, record)| record.episode.iter().any(|one| one.lasts(now)));
        over.map(|(subject, record)| watched(subject, record, now))
            .collect()
    }

    /// Everybody: who sends too much, and then who sent to most recipients in a day.
    pub fn watched(&self, now: Timestamp) -> Vec<Watched> {
        let all = self.senders.iter().chain(self.domains.iter());
        let mut all: Vec<Watched> = all
            .map(|(subject, record)| watched(subject, record, now))
            .collect();
        all.sort_by_cached_key(|one| {
            let recipients = one.day.of(Measure::Recipients);
            (
                one.over.is_none(),
                std::cmp::Reverse(recipients),
                one.subject.to_string(),
                one.subject.name(),
            )
        });
        all
    }

    /// What decides, and what begins.
    fn verdict(&mut self, over: impl Iterator<Item = Over>, now: Timestamp) -> Verdict {
        let mut verdict = Verdict::default();
        for over in over {
            if self.note(&over, now) {
                verdict.begun.push(over.clone());
            }
            let decided = verdict.over.as_ref().map(|over| over.reaction.value);
            if decided.is_none_or(|decided| decided < over.reaction.value) {
                verdict.over = Some(over);
            }
        }
        verdict
    }

    /// Whether an episode begins.
    fn note(&mut self, over: &Over, now: Timestamp) -> bool {
        let (now_millis, why) = (now.as_millis(), over.to_string());
        let episode = &mut self.record(&over.subject, now).episode;
        match episode.as_mut().filter(|episode| episode.lasts(now)) {
            Some(episode) => {
                (episode.last, episode.why) = (now_millis, why);
                false
            }
            None => {
                *episode = Some(Episode {
                    began: now_millis,
                    last: now_millis,
                    why,
                });
                true
            }
        }
    }

    /// The record of a subject, as it is now.
    fn record(&mut self, subject: &Subject, now: Timestamp) -> &mut Record {
        let record = self.records(subject).touch(subject);
        record.advance(hour(now));
        record
    }

    /// Those among which it is.
    fn records(&mut self, subject: &Subject) -> &mut Records {
        match subject {
            Subject::SenderDomain(_) => &mut self.domains,
            Subject::User(_) | Subject::Client(_) | Subject::Account(_) | Subject::Network(_) => {
                &mut self.senders
            }
        }
    }
}

impl Sender {
    fn subjects(&self) -> impl Iterator<Item = Subject> + use<> {
        let domain = self.domain.clone().map(Subject::SenderDomain);
        [Some(self.who.clone()), domain].into_iter().flatten()
    }
}

impl Episode {
    fn lasts(&self, now: Timestamp) -> bool {
        now.as_millis().saturating_sub(self.last) < EPISODE_ENDS_MILLIS
    }
}

fn watched(subject: &Subject, record: &Record, now: Timestamp) -> Watched {
    let mut record = record.clone();
    record.advance(hour(now));
    let episode = record.episode.as_ref();
    let over = episode.filter(|episode| episode.lasts(now));
    Watched {
        subject: subject.clone(),
        hour: record.within(1),
        day: record.within(HOURS),
        usual: record.usual(Measure::Recipients),
        over: over.map(|over| (Timestamp::from_millis(over.began), over.why.clone())),
    }
}

fn hour(now: Timestamp) -> u64 {
    now.as_millis() / HOUR_MILLIS
}
