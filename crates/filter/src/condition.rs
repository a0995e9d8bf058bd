use mail::{QueueId, Timestamp};

use crate::{Glob, Network, Tracked, TrackedFacts};

/// A filter: every condition must hold. No condition means everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// All of them must hold.
    pub conditions: Vec<Condition>,
}

/// One condition on a recipient of a stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `id:`, or a bare queue id.
    Id(QueueId),
    /// `to:` the recipient's address.
    To(Glob),
    /// `from:` the sender's address; `<>` is the null sender.
    From(Glob),
    /// `state:`
    State(State),
    /// `arrived:<` (or `age:>`): accepted before this moment.
    ArrivedBefore(Timestamp),
    /// `arrived:>` (or `age:<`): accepted after this moment.
    ArrivedAfter(Timestamp),
    /// `size:>`: more octets than this.
    LargerThan(u64),
    /// `size:<`: fewer octets than this.
    SmallerThan(u64),
    /// `code:` what the last attempt ended with.
    Code(Code),
    /// `client:` who handed the message in.
    Client(Network),
    /// `user:` who had signed in for that.
    User(Glob),
    /// What only the tracking store can answer.
    Tracked(Tracked),
}

/// A state that a filter can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Tried when due, whether or not it was tried before.
    Waiting,
    /// Waiting, and tried before.
    Deferred,
    /// Kept until somebody releases or deletes it.
    Held,
    /// Held as a notice of our own that could not be delivered.
    Badmail,
    /// Held by what screening found in it.
    Quarantined,
    /// Given up by an operator, while its bounce is not written yet.
    Bouncing,
    /// Taken, and yet to be looked at by screening.
    Unscreened,
}

/// A reply code (`450`) or an enhanced status (`4.7.1`), with `*` for any run of digits and dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(pub(crate) Glob);

/// What a filter needs to know about one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The message's queue id.
    pub id: QueueId,
    /// MAIL FROM without brackets; empty for the null sender.
    pub from: &'a str,
    /// The address of the recipient.
    pub to: &'a str,
    /// Held, or else waiting.
    pub held: bool,
    /// Whether it is held as badmail.
    pub badmail: bool,
    /// Whether it is held by screening.
    pub quarantined: bool,
    /// Whether it is held until its bounce is written.
    pub bouncing: bool,
    /// Its message has yet to be looked at.
    pub unscreened: bool,
    /// How often it was tried so far.
    pub tries: u32,
    /// When the message was accepted.
    pub arrived: Timestamp,
    /// Octets of the message.
    pub size: u64,
    /// The client's address as text, or `local`.
    pub client: &'a str,
    /// Who had signed in.
    pub user: Option<&'a str>,
    /// What the last attempt ended with.
    pub last: Option<&'a str>,
    /// What became of it, where that is known: of a tracking row.
    pub tracked: Option<TrackedFacts<'a>>,
}

impl Filter {
    /// The same with its moments turned into those of another clock.
    #[must_use]
    pub fn with_moments(mut self, turned: impl Fn(Timestamp) -> Timestamp) -> Self {
        for condition in &mut self.conditions {
            if let Condition::ArrivedBefore(at) | Condition::ArrivedAfter(at) = condition {
                *at = turned(*at);
            }
        }
        self
    }

    /// Every recipient of every message.
    pub fn everything() -> Self {
        Self::default()
    }

    /// The recipients of one message.
    pub fn id(id: QueueId) -> Self {
        Self {
            conditions: vec![Condition::Id(id)],
        }
    }

    /// All recipients in this state.
    pub fn state(state: State) -> Self {
        Self {
            conditions: vec![Condition::State(state)],
        }
    }

    /// The one message that can match, when the filter names one.
    pub fn single_id(&self) -> Option<QueueId> {
        self.conditions
            .iter()
            .find_map(|condition| match condition {
                Condition::Id(id) => Some(*id),
                _ => None,
            })
    }

    /// Whether a recipient matches.
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.conditions
            .iter()
            .all(|condition| condition.holds(facts))
    }

    /// Whether nothing can match but what is in this state.
    pub fn asks(&self, state: State) -> bool {
        self.conditions.contains(&Condition::State(state))
    }

    /// Those conditions that hold for all that ever happens to a recipient, or for nothing of it.
    #[must_use]
    pub fn lasting(&self) -> Self {
        let lasting = self.conditions.iter().filter(|one| one.is_lasting());
        Self {
            conditions: lasting.cloned().collect(),
        }
    }

    /// Whether anything is asked that is only known of the arrival of a message.
    pub fn asks_arrival(&self) -> bool {
        let of_arrival =
            |one: &Condition| matches!(one, Condition::Tracked(asked) if asked.is_of_arrival());
        self.conditions.iter().any(of_arrival)
    }

    /// Whether anything is asked that only the message knows (sender, client, user, size, arrival), not
    /// the recipient.
    pub fn asks_message(&self) -> bool {
        self.conditions.iter().any(Condition::asks_message)
    }
}

impl Condition {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Id(id) => facts.id == *id,
            Self::To(glob) => glob.matches(facts.to),
            Self::From(glob) => glob.matches(facts.from),
            Self::State(state) => state.holds(facts),
            Self::ArrivedBefore(at) => facts.arrived < *at,
            Self::ArrivedAfter(at) => facts.arrived > *at,
            Self::LargerThan(octets) => facts.size > *octets,
            Self::SmallerThan(octets) => facts.size < *octets,
            Self::Code(code) => facts.last.is_some_and(|last| code.matches(last)),
            Self::Client(network) => network.contains(facts.client),
            Self::User(glob) => facts.user.is_some_and(|user| glob.matches(user)),
            Self::Tracked(asked) => facts.tracked.is_some_and(|facts| asked.holds(&facts)),
        }
    }

    fn is_lasting(&self) -> bool {
        match self {
            Self::Id(_)
            | Self::To(_)
            | Self::From(_)
            | Self::LargerThan(_)
            | Self::SmallerThan(_)
            | Self::Client(_)
            | Self::User(_) => true,
            Self::Tracked(asked) => asked.is_of_arrival(),
            Self::State(_) | Self::ArrivedBefore(_) | Self::ArrivedAfter(_) | Self::Code(_) => {
                false
            }
        }
    }

    fn asks_message(&self) -> bool {
        match self {
            Self::Id(_) | Self::To(_) | Self::State(_) | Self::Code(_) | Self::Tracked(_) => false,
            Self::From(_)
            | Self::ArrivedBefore(_)
            | Self::ArrivedAfter(_)
            | Self::LargerThan(_)
            | Self::SmallerThan(_)
            | Self::Client(_)
            | Self::User(_) => true,
        }
    }
}

impl State {
    fn holds(self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Waiting => !facts.held,
            Self::Deferred => !facts.held && facts.tries > 0,
            Self::Held => facts.held,
            Self::Badmail => facts.badmail,
            Self::Quarantined => facts.quarantined,
            Self::Bouncing => facts.bouncing,
            Self::Unscreened => facts.unscreened,
        }
    }
}

impl Code {
    /// Whether the first reply code in `last`, or the enhanced status right behind it, matches.
    /// Numbers further on are somebody's prose.
    pub fn matches(&self, last: &str) -> bool {
        let mut words = last.split(|c: char| c.is_whitespace() || ":;,()".contains(c));
        let Some(first) = words.find(|word| is_reply_code(word) || is_status(word)) else {
            return false;
        };
        let status = words
            .next()
            .filter(|word| is_reply_code(first) && is_status(word));
        self.0.matches(first) || status.is_some_and(|status| self.0.matches(status))
    }
}

fn is_reply_code(word: &str) -> bool {
    word.len() == 3
        && matches!(word.as_bytes()[0], b'2'..=b'5')
        && word.bytes().all(|b| b.is_ascii_digit())
}

/// RFC 3463 section 2: `status-code = class "." subject "." detail`.
fn is_status(word: &str) -> bool {
    let mut parts = word.split('.');
    let class = parts
        .next()
        .is_some_and(|class| matches!(class, "2" | "4" | "5"));
    let number =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    class && parts.clone().count() == 2 && parts.all(number)
}
