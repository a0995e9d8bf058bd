//! What the administrator wants done, and to whom: in the words of the filter, and as whoever wrote
//! it sees it.

use std::fmt;

use spool::{HoldReason, Message, Recipient, RecipientState, Verb};

use crate::domains::{FOREIGN, HOPELESS, HOSTED, SENDERS};
use crate::random::Random;

/// One wish; it may be said several times.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) verb: Verb,
    /// All of it must be so; nothing: everybody.
    whom: Vec<Whom>,
    /// Where those go who are rerouted; none: by the routes again.
    pub(crate) route: Option<&'static str>,
}

/// What is asked of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    At(&'static str),
    /// Its sender is that of the submission of this number, at the domain where senders read mail.
    From(u64),
    FromNobody,
    /// More octets than this.
    Over(u64),
    Held,
    Waiting,
}

/// Where mail is led.
const ROUTES: [Option<&str>; 4] = [
    Some("route:pool"),
    Some("route:pool"),
    Some("route:gone"),
    None,
];

/// How many submissions have a number that a wish may name.
const NUMBERS: u64 = 12;
/// Some messages are larger.
const OVER: u64 = 1_000;

impl Wish {
    /// For all mail to a host.
    pub(crate) fn at(host: &'static str, verb: Verb, random: &mut Random) -> Self {
        Self {
            verb,
            whom: vec![Whom::At(host)],
            route: pick_route(verb, random),
        }
    }

    /// For everybody; whoever is rerouted is given back to the routes.
    pub(crate) fn for_all(verb: Verb) -> Self {
        Self {
            verb,
            whom: Vec::new(),
            route: None,
        }
    }

    /// Any verb, for anybody.
    pub(crate) fn random(random: &mut Random) -> Self {
        let verb = match random.chance(35) {
            true => Verb::Delete,
            false => *random.pick(&Verb::ALL),
        };
        let mut whom = vec![Whom::random(random)];
        if random.chance(30) {
            whom.push(Whom::random(random));
        }
        Self {
            verb,
            whom: if random.chance(5) { Vec::new() } else { whom },
            route: pick_route(verb, random),
        }
    }

    /// Whether all that is asked holds for ever, or for nothing that becomes of a recipient.
    pub(crate) fn is_lasting(&self) -> bool {
        let is_state = |one: &Whom| matches!(one, Whom::Held | Whom::Waiting);
        !self.whom.iter().any(is_state)
    }

    /// Whether mail that it is for waits until somebody lets it go.
    pub(crate) fn detains(&self) -> bool {
        self.verb == Verb::Hold || self.route.is_some()
    }

    /// Whether it may be for this recipient, whatever its state is when its turn comes.
    pub(crate) fn may_be_for(&self, message: &Message, recipient: &Recipient) -> bool {
        let is_state = |one: &Whom| matches!(one, Whom::Held | Whom::Waiting);
        let mut lasting = self.whom.iter().filter(|one| !is_state(one));
        lasting.all(|one| one.is(message, recipient))
    }

    /// Whether it is for this recipient, as it is now.
    pub(crate) fn is_for(&self, message: &Message, recipient: &Recipient) -> bool {
        let gives_back = self.verb == Verb::Reroute && self.route.is_none();
        concerns(self.verb, recipient.state)
            && (recipient.rerouted().is_some() || !gives_back)
            && self.whom.iter().all(|one| one.is(message, recipient))
    }

    /// Whether the recipient, which may be gone by now, is as the wish was that it be.
    pub(crate) fn is_done_to(&self, now: Option<&Recipient>) -> bool {
        let state = now.map(|one| one.state);
        let held = |reason| Some(RecipientState::Held(reason));
        match self.verb {
            Verb::Retry | Verb::Release => state == Some(RecipientState::Waiting),
            Verb::Hold => state == held(HoldReason::Operator),
            Verb::Bounce => state == held(HoldReason::Bouncing),
            Verb::Delete => state.is_none(),
            Verb::Reroute => now.is_some_and(|one| one.rerouted() == self.route),
        }
    }
}

/// The filter.
impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.whom {
            match one {
                Whom::At(host) => write!(f, "to:*@{host} ")?,
                Whom::From(number) => write!(f, "from:s{number}@{SENDERS} ")?,
                Whom::FromNobody => write!(f, "from:<> ")?,
                Whom::Over(octets) => write!(f, "size:>{octets}B ")?,
                Whom::Held => write!(f, "state:held ")?,
                Whom::Waiting => write!(f, "state:waiting ")?,
            }
        }
        Ok(())
    }
}

impl Whom {
    fn random(random: &mut Random) -> Self {
        match random.below(100) {
            0..30 => Self::At(random.pick::<&str>(&HOSTED)),
            30..40 => Self::At(random.pick::<&str>(&FOREIGN)),
            40..45 => Self::At(random.pick::<&str>(&HOPELESS)),
            45..50 => Self::At(SENDERS),
            50..65 => Self::From(random.below(NUMBERS)),
            65..70 => Self::FromNobody,
            70..80 => Self::Over(OVER),
            80..90 => Self::Held,
            _ => Self::Waiting,
        }
    }

    fn is(&self, message: &Message, recipient: &Recipient) -> bool {
        let (from, to) = (
            message.reverse_path.as_str(),
            recipient.admitted.recipient().as_str(),
        );
        let is_waiting = recipient.state == RecipientState::Waiting;
        match self {
            Self::At(host) => to
                .split_once('@')
                .is_some_and(|(_, domain)| domain == *host),
            Self::From(number) => from == format!("s{number}@{SENDERS}"),
            Self::FromNobody => from.is_empty(),
            Self::Over(octets) => message.size > *octets,
            Self::Held => !is_waiting,
            Self::Waiting => is_waiting,
        }
    }
}

fn pick_route(verb: Verb, random: &mut Random) -> Option<&'static str> {
    let route = *random.pick(&ROUTES);
    route.filter(|_| verb == Verb::Reroute)
}

/// Whom a verb is for, as the manual has it.
fn concerns(verb: Verb, state: RecipientState) -> bool {
    let held = |reason| state == RecipientState::Held(reason);
    match verb {
        Verb::Retry | Verb::Hold => state == RecipientState::Waiting,
        Verb::Release => state != RecipientState::Waiting && !held(HoldReason::Unscreened),
        Verb::Delete => true,
        Verb::Bounce | Verb::Reroute => !held(HoldReason::Bouncing),
    }
}
