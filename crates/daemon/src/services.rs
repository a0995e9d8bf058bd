//! What every task of the relay shares: the spool, the way to the disk thread and to the queue
//! manager, the configuration in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::ContentMemory;
pub use engine::dispatch::Stop;
use mail::QueueId;
use spool::Spool;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::active::ActiveConfiguration;
use crate::audit::AuditLog;
use crate::certificates::Certificates;
use crate::clock::Clock;
use crate::console_flows::ConsoleFlows;
use crate::console_links::ConsoleLinks;
use crate::disk::Disk;
use crate::drop_directory::Rooms;
use crate::guardian::Guardian;
use crate::history::History;
use crate::inbox::Input;
use crate::journal::Journal;
use crate::last_digest::LastDigest;
use crate::pace::Pace;
use crate::rate_counts::RateCounts;
use crate::release_links::ReleaseLinks;
use crate::sessions::Sessions;
use crate::sightings::Sightings;
use crate::sign_in::SignInService;

/// Services by all tasks of one relay.
pub struct Services {
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) journal: Journal,
    pub(crate) disk: Disk,
    /// Without a limit of its own, because the disk thread must never wait for it. What can be in
    /// it is bounded by those who send: one message for each session and agent, one page for each
    /// load asked for, and the changes that the disk thread holds.
    pub(crate) dispatch: mpsc::UnboundedSender<Input>,
    pub(crate) active: watch::Sender<Arc<ActiveConfiguration>>,
    /// Told when sessions must no longer go by the rules they began with.
    pub(crate) new_rules: watch::Sender<()>,
    /// Told when there are other users than before: who signed in must do so again.
    pub(crate) new_users: watch::Sender<()>,
    pub(crate) stop: watch::Sender<Stop>,
    pub(crate) pace: Pace,
    /// For content on its way in that is larger than most.
    pub(crate) memory: ContentMemory,
    pub(crate) guardian: Guardian,
    pub(crate) sightings: Sightings,
    pub(crate) last_digest: LastDigest,
    pub(crate) release_links: ReleaseLinks,
    pub(crate) history: History,
    pub(crate) rate_counts: RateCounts,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) sign_ins: SignInService,
    pub(crate) certificates: Certificates,
    pub(crate) console_links: ConsoleLinks,
    pub(crate) console_flows: ConsoleFlows,
    /// So many large messages may be looked into at one time: each is in memory meanwhile.
    pub(crate) screening: Arc<Semaphore>,
    /// The same for those that are signed and nothing else: strangers' packed mail does not hold them
    /// up.
    pub(crate) signing: Arc<Semaphore>,
    /// The same for those for which no client waits: they hold up none for which one does.
    pub(crate) late: Arc<Semaphore>,
    /// Told when there is a message more that has yet to be looked at.
    pub(crate) unscreened: Notify,
    /// Who is connected.
    pub(crate) sessions: Arc<Sessions>,
    /// Told when an operation of an operator may have been begun.
    pub(crate) operation_begun: Notify,
    /// Told after each part of an operation.
    pub(crate) operation_moved: watch::Sender<()>,
    /// Where files are dropped within a quota.
    pub(crate) rooms: Rooms,
    /// Told when there is more badmail.
    pub(crate) badmail: Notify,
    /// Recipients of mail from the null sender, badmail and quarantined mail that were dropped since
    /// the start.
    pub(crate) dropped: AtomicU64,
    session_numbers: AtomicU64,
}

/// Octets of content that messages on their way in may have in memory together, beyond what each
/// session has anyway.
const CONTENT_MEMORY: usize = 16 << 20;
/// As many as there are processors on a small machine: more would only take memory.
const LOOKED_INTO_MAX: usize = 2;

impl Services {
    pub(crate) fn new(
        spool: Arc<dyn Spool>,
        clock: Arc<Clock>,
        disk: Disk,
        dispatch: mpsc::UnboundedSender<Input>,
        active: ActiveConfiguration,
        journal: Journal,
    ) -> Self {
        let config = &active.setup.config;
        journal.configured(config);
        let guardian = Guardian::resume(config.data_dir.join("guardian"));
        let reports = config.data_dir.join("reports");
        let last_digest = LastDigest::resume(config.data_dir.join("digest"));
        let release_links = ReleaseLinks::new(config.data_dir.join("release-links.key"));
        let sightings = Sightings::resume(reports, config.reports.is_on(), clock.moment().wall);
        let most = config.limits.greylisting.max_entries;
        let history = History::resume(config.data_dir.join("greylist"), most);
        let rate_counts = RateCounts::new(config.data_dir.join("rates"));
        let audit = AuditLog::resume(config.data_dir.join("audit.jsonl"));
        Self {
            spool,
            clock,
            journal,
            disk,
            dispatch,
            active: watch::Sender::new(Arc::new(active)),
            new_rules: watch::Sender::new(()),
            new_users: watch::Sender::new(()),
            stop: watch::Sender::new(Stop::Running),
            pace: Pace::default(),
            memory: ContentMemory::new(CONTENT_MEMORY),
            guardian,
            sightings,
            last_digest,
            release_links,
            history,
            rate_counts,
            audit: Arc::new(audit),
            sign_ins: SignInService::default(),
            certificates: Certificates::default(),
            console_links: ConsoleLinks::default(),
            console_flows: ConsoleFlows::default(),
            screening: Arc::new(Semaphore::new(LOOKED_INTO_MAX)),
            signing: Arc::new(Semaphore::new(LOOKED_INTO_MAX)),
            late: Arc::new(Semaphore::new(1)),
            unscreened: Notify::new(),
            sessions: Arc::default(),
            operation_begun: Notify::new(),
            operation_moved: watch::Sender::new(()),
            rooms: Rooms::default(),
            badmail: Notify::new(),
            dropped: AtomicU64::new(0),
            session_numbers: AtomicU64::new(0),
        }
    }

    /// What is in force at this moment.
    pub(crate) fn active(&self) -> Arc<ActiveConfiguration> {
        Arc::clone(&self.active.borrow())
    }

    pub(crate) fn next_session(&self) -> u64 {
        self.session_numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A fresh queue id from the system's randomness and the queue's time: later ones are greater,
    /// whatever is done to the system's clock.
    pub(crate) fn new_id(&self) -> QueueId {
        QueueId::new(self.clock.line(), rand::random())
    }
}
