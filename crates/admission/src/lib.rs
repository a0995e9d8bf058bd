//! How much a client may do at once, and how fast.
//!
//! A client that connects has a [`Standing`]: it may relay and is free, or it is a stranger, or,
//! later, a user. [`Slots`] says whether it gets one of a listener's sessions, so that strangers
//! never shut out a mail server of ours. [`Rates`] counts connections, messages and recipients of
//! clients, networks and users, and recipients that do not exist: who names many of those is
//! guessing addresses, and is turned away. [`Guard`] remembers failed sign-ins: it bans the pair of
//! user and client network for ever longer, slows the user as a whole, and never locks anybody out.
//!
//! [`Refusals`] says which refusal of a session a stranger has to wait for.
//!
//! [`Guardian`] watches what those send out who may: by limits, and by what is usual for each. It is
//! the one memory here that outlasts a restart.
//!
//! Whoever is turned away hears a [`Reply`](mail::Reply), and [`TurnAway`] names the line of the
//! configuration that set the limit; [`Standing::explain`] tells the same before anything happens.
//!
//! Nothing here has a clock, a lock or a task: the time is an argument, in which only differences
//! count. The relay asks with its sessions, `gatepost relay check` with the client that it is told
//! of, and the simulation with the clients of its own world. All memories are bounded, and forget
//! with time.

mod counters;
mod explain;
mod guard;
mod guardian;
mod limits;
mod rates;
mod recent;
mod slots;
mod standing;
mod subject;
mod tally;
mod tarpit;
mod turn_away;

pub use counters::COUNTERS_MAX;
pub use guard::{Guard, Judgement, REFUSAL_AFTER, SIGN_IN_STEPS_MAX, SIGN_IN_WAIT};
pub use guardian::{
    Guardian, GuardianLimits, GuardianRules, Over, Reaction, Sender, Verdict, Watched,
};
pub use limits::{Allowance, Limit, Limits, Rate, RateLimits, SlotLimits};
pub use rates::Rates;
pub use recent::Recent;
pub use slots::{Slot, Slots};
pub use standing::{Freedom, OwnRates, Standing};
pub use subject::Subject;
pub use tally::{Measure, Tally};
pub use tarpit::Refusals;
pub use turn_away::{Excess, TurnAway};
