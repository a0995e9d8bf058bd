//! What the configuration says about mail that goes out.

use std::fmt;
use std::time::Duration;

use super::record::{HOURS, Record};
use crate::{Excess, Limit, Measure, Rate, Subject, Tally, TurnAway};

/// What becomes of a message whose sender sends too much; the later of two goes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Reaction {
    /// It goes out; the postmaster is told.
    #[default]
    Tell,
    /// Its client is asked to come again later.
    Postpone,
    /// It is taken and kept until an operator releases it.
    Hold,
}

/// What one kind of subject may send in a time of 1 to 24 hours; `None`: as much as it likes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuardianLimits {
    /// [`Measure::Messages`]
    pub messages: Option<Limit<Rate>>,
    /// [`Measure::Recipients`]
    pub recipients: Option<Limit<Rate>>,
    /// [`Measure::NewRecipients`]
    pub new_recipients: Option<Limit<Rate>>,
    /// [`Measure::Failures`]
    pub failures: Option<Limit<Rate>>,
}

/// When somebody sends too much, and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuardianRules {
    /// What follows for whoever is over a limit.
    pub over_limit: Limit<Reaction>,
    /// What follows for whoever is over its usual; `None`: nothing, and nobody is told.
    pub over_usual: Option<Limit<Reaction>>,
    /// More than so many usual days in a day are over it,
    pub usual_times: Limit<u32>,
    /// and never less than this.
    pub usual_least: Limit<u32>,
    /// Of one user.
    pub per_user: GuardianLimits,
    /// Of one client that may relay, and of one account of this machine.
    pub per_client: GuardianLimits,
    /// Of everybody together who sends as one domain.
    pub per_sender_domain: GuardianLimits,
}

/// What a subject is over, what follows, and by which line.
#[derive(Debug, Clone, PartialEq)]
pub struct Over {
    /// Who.
    pub subject: Subject,
    /// Of what there is too much.
    pub measure: Measure,
    /// How many there are.
    pub count: u32,
    /// How many there may be, and in which time.
    pub most: Rate,
    /// For whoever is over its usual: how many a day that is.
    pub usual: Option<f32>,
    /// What follows; its place is the line that decided: of the limit, or of what is over the usual.
    pub reaction: Limit<Reaction>,
}

impl GuardianRules {
    /// The worst that `subject` is over with what its record says and `more`.
    pub(crate) fn over(&self, subject: &Subject, record: &Record, more: &Tally) -> Option<Over> {
        let all = Measure::ALL.into_iter();
        let over = all.flat_map(|measure| {
            [
                self.over_limit(subject, measure, record, more),
                self.over_usual(subject, measure, record, more),
            ]
        });
        // The first of those that are equal.
        over.flatten().reduce(|worst, over| {
            if over.reaction.value > worst.reaction.value {
                over
            } else {
                worst
            }
        })
    }

    fn over_limit(
        &self,
        subject: &Subject,
        measure: Measure,
        record: &Record,
        more: &Tally,
    ) -> Option<Over> {
        let limit = self.limits_of(subject)?.of(measure)?;
        let within = record.within(hours(limit.value.per)).of(measure);
        let count = within.saturating_add(more.of(measure));
        (count > limit.value.count).then(|| Over {
            subject: subject.clone(),
            measure,
            count,
            most: limit.value,
            usual: None,
            reaction: limit.with(self.over_limit.value),
        })
    }

    fn over_usual(
        &self,
        subject: &Subject,
        measure: Measure,
        record: &Record,
        more: &Tally,
    ) -> Option<Over> {
        let reaction = self.over_usual.clone()?;
        let usual = record.usual(measure)?;
        let times = usual * self.usual_times.value as f32;
        // Rounds towards zero, and ends at the greatest number.
        let most = (times as u32).max(self.usual_least.value);
        let count = record.within(HOURS).of(measure);
        let count = count.saturating_add(more.of(measure));
        (count > most).then(|| Over {
            subject: subject.clone(),
            measure,
            count,
            most: Rate {
                count: most,
                per: Duration::from_secs(HOURS * HOUR),
            },
            usual: Some(usual),
            reaction,
        })
    }

    fn limits_of(&self, subject: &Subject) -> Option<&GuardianLimits> {
        match subject {
            Subject::User(_) => Some(&self.per_user),
            Subject::Client(_) | Subject::Account(_) => Some(&self.per_client),
            Subject::SenderDomain(_) => Some(&self.per_sender_domain),
            Subject::Network(_) => None,
        }
    }

    /// What holds for this subject, in words, before it sends anything; the line that says so stands
    /// behind each.
    pub fn explain(&self, subject: &Subject) -> Vec<String> {
        let limits = self.limits_of(subject).into_iter();
        limits
            .flat_map(|limits| self.told(limits, &subject.to_string()))
            .collect()
    }

    /// The same of a sender domain, whichever it is.
    pub fn explain_of_domains(&self) -> Vec<String> {
        self.told(&self.per_sender_domain, "sender domain")
    }

    fn told(&self, limits: &GuardianLimits, of: &str) -> Vec<String> {
        let told = Measure::ALL.into_iter().filter_map(|measure| {
            let limit = limits.of(measure)?;
            let Rate { count, per } = limit.value;
            let (hours, reaction, place) = (hours(per), self.over_limit.value, &limit.place);
            Some(format!(
                "over {count} {measure} to other domains in {hours} h of one {of}: {reaction} \
                 ({place})"
            ))
        });
        told.collect()
    }

    /// The same of what is over its usual.
    pub fn explain_usual(&self) -> Option<String> {
        let Limit { value, place } = self.over_usual.as_ref()?;
        let (times, least) = (self.usual_times.value, self.usual_least.value);
        Some(format!(
            "over {times} times its usual in a day, and {least}: {value} ({place})"
        ))
    }
}

impl Over {
    /// What a client hears whose message is postponed for it.
    pub fn turn_away(&self) -> TurnAway {
        TurnAway {
            excess: Excess::Outbound(self.measure),
            place: self.reaction.place.clone(),
        }
    }
}

impl GuardianLimits {
    fn of(&self, measure: Measure) -> Option<&Limit<Rate>> {
        match measure {
            Measure::Messages => self.messages.as_ref(),
            Measure::Recipients => self.recipients.as_ref(),
            Measure::NewRecipients => self.new_recipients.as_ref(),
            Measure::Failures => self.failures.as_ref(),
        }
    }
}

const HOUR: u64 = 3600;

fn hours(per: Duration) -> u64 {
    per.as_secs() / HOUR
}

impl fmt::Display for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tell => "the postmaster is told",
            Self::Postpone => "postponed",
            Self::Hold => "held",
        })
    }
}

/// `61 new recipients of user ann in 1 h, more than 50 (gatepost.toml:9)`
impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subject,
            measure,
            count,
            most,
            usual,
            reaction,
        } = self;
        let (subject, hours) = (subject.shown(), hours(most.per));
        write!(f, "{count} {measure} of {subject} in {hours} h, ")?;
        if let Some(usual) = usual {
            write!(f, "where {usual:.0} are usual, and ")?;
        }
        write!(f, "more than {} ({})", most.count, reaction.place)
    }
}
