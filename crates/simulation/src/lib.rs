//! The relay's own code among simulated clients, servers, network and disk, in virtual time, while
//! everything fails that can.
//!
//! One number decides everything in a run: who sends what to whom, how the network cuts the octets
//! and when it breaks, what each server answers, when the disk fails and when the relay dies. In
//! the end nothing fails any more, everything comes to rest, and the checker looks at what is left:
//! whoever heard 250 must find the message delivered, bounced, or held, and nothing may have gone
//! out that nobody was allowed to send. What happens in between is `reception`, `queue`, `engine`,
//! `delivery` and the model of the spool, unchanged; this crate only drives them, as the daemon
//! does with sockets and threads.
//!
//! A run that breaks a rule names its seed; the same seed gives the same run, with a trace if one
//! is wanted.

mod checker;
mod client;
mod domains;
mod fetcher;
mod random;
mod relay;
mod rules;
mod server;
mod settings;
mod simulation;
mod submission;
mod totals;
mod wish;
mod world;

pub use totals::Totals;

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    /// The number that decides everything.
    pub seed: u64,
    /// Print every step.
    pub trace: bool,
    /// Break what is between the parts on purpose, to see the checks notice.
    pub sabotage: Option<Sabotage>,
}

/// Ways to break what is between the parts of the relay on purpose: what the engine says, or what
/// it hears, is changed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// New messages are said to be stored, and are not.
    DropMessages,
    /// Settlements are said to be written, and are not.
    ForgetSettlements,
    /// Settlements are written without their notices.
    DropNotices,
    /// An octet of the content that is read from the spool changes on its way out.
    SpoilContent,
    /// What became of one recipient is told of another.
    MixUpOutcomes,
    /// Settlements count as written before they are.
    ReleaseEarly,
    /// A job for an agent that was leaving is forgotten.
    ForgetLateJobs,
    /// A job is given to two agents.
    JobsTwice,
    /// The queue manager is told of notices that the spool did not take.
    AnnounceAnyway,
    /// That an agent has gone overtakes its last report.
    OvertakeReports,
    /// Everybody is taken for a permitted client.
    OpenRelay,
    /// The queue manager is not told of the limits on connections.
    IgnoreLimits,
    /// The queue manager is not told of the rates of sites.
    IgnoreRates,
    /// The queue manager is not told when routes are open.
    IgnoreHours,
    /// The same for large messages.
    IgnoreLargeHours,
    /// The queue manager is not told which mail waits until somebody asks for it.
    SendUnasked,
    /// A client hears 250 when its message is given to the disk.
    PromiseEarly,
    /// A client hears 250 though nobody knows whether its message is stored.
    PromiseUnknown,
    /// A message is stored under another queue id than that in its head.
    SecondId,
    /// Of several messages that rules made of one, the first alone is stored.
    StoreFirst,
    /// The queue manager is told of new messages that the spool did not take.
    AnnounceUnstored,
    /// The queue manager is not told of new messages.
    StoreSilently,
    /// A file that is tried again gets another queue id.
    ForgetFileIds,
    /// A file is removed before its message is stored.
    RemoveFilesEarly,
    /// A scanner that does not answer is taken for one that found nothing.
    TrustSilentScanners,
    /// A session gets the answer to another one's question.
    SwapAnswers,
    /// The queue manager is told of messages that have yet to be looked at as if they had been.
    SendUnscreened,
    /// Messages that were taken first are never looked at.
    ForgetUnscreened,
    /// That a message was looked at counts as written before it is.
    PassUnwritten,
    /// The queue manager is not told that some of what it has must not go out any more.
    SendWithheld,
    /// An operation is for everybody, whatever its filter says.
    IgnoreFilters,
    /// What the administrator wants deleted is bounced.
    BounceForDelete,
    /// What an attempt that was under way says of those who were deleted meanwhile is sent to their
    /// senders.
    BounceDeleted,
    /// An operation that a crash interrupted is not gone on with.
    AbandonOperations,
    /// A part of an operation counts twice.
    Miscount,
}

/// How a run ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What happened in it.
    pub totals: Totals,
    /// The same for the same seed, and hardly for another.
    pub digest: u64,
}

/// Runs one seed to its end.
///
/// # Errors
/// Which rule was broken, at which step.
pub fn run(plan: &Plan) -> Result<Run, String> {
    simulation::Simulation::new(*plan).run()
}
