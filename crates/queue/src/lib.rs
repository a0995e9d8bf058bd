//! The queue manager: which message goes out when, over how many connections, and when to give up.
//!
//! It keeps in memory only what is due and about to go out (at most a named number of messages per
//! site and in all); everything else waits in the spool and is fetched when there is room, so a
//! restart with a million waiting messages is instant. A site that does not answer is left alone
//! for a while, then tried with a single message; when that gets through, everything due follows at
//! full speed. Sites take turns when connections are scarce, so one busy destination does not hold
//! up the others; those that the configuration names have slots of their own, and no kind of
//! traffic holds more than its share. A site that turns connections away while it serves others
//! gets fewer for a while. Of several hosts of a
//! site one that lets nobody in rests, and the others get its mail. No more goes to a site in a time than its
//! rates allow, and one that says that mail comes too fast gets it at half the pace, until it takes
//! more again. What a rate has counted over more than a minute is given out for a restart.
//!
//! [`Queue`] is pure: events and the time go in, [`Action`]s come out. It never hands out a
//! recipient that is already being delivered or whose outcome is not yet written down: a *claim*,
//! in memory, covers each from the moment it is made ready until it is settled. And it never
//! forgets one: every waiting recipient without a claim is covered by the next due time that is
//! kept for its host.

mod agents;
mod alarm;
mod allowance;
mod claims;
mod event;
mod gathering;
mod hosts;
mod job;
mod occurrence;
mod pace;
mod pauses;
mod queue;
mod rate_count;
mod ready;
mod rests;
mod schedule;
mod settings;
mod settling;
mod shape;
mod site;
mod slots;
mod time_line;
mod ways;

pub use alarm::{Alarm, Stuck};
pub use event::{Action, Decided, Disposition, Event, GivenUp, JobReport, Judged, Reach};
pub use job::{AgentId, Job};
pub use occurrence::Occurrence;
pub use queue::{Counts, Queue};
pub use rate_count::RateCount;
pub use rests::{RestingHost, SiteHost};
pub use schedule::may_bounce;
pub use settings::{OnDemand, Settings};
pub use shape::{Condition, LargeClosed, SiteShape};
pub use time_line::{Moment, TimeLine};
pub use ways::{own_way, site_of, way_of};
