use std::sync::Arc;

use bytes::Bytes;
use mail::{Delivery, Failure, Outcome, QueueId, Reply, Timestamp};
use route::Routes;
use spool::{DuePage, Filed, Message, Page, Pause, Recipient, SpoolError, Verb, Waiting, Wanted};

use crate::{AgentId, Job, Occurrence, RateCount, Settings, SiteHost};

/// Something happened that the queue manager has to know.
#[derive(Debug)]
pub enum Event {
    /// The spool was opened: the answer of `Spool::domains`. Given once, first.
    Started {
        /// Every name under which somebody waits, with the earliest due time.
        domains: Vec<(String, Timestamp)>,
    },
    /// A message is on stable storage (from a client, or a notice of our own); all its recipients
    /// are due.
    Stored {
        /// The message.
        message: Arc<Message>,
        /// All of them, as stored.
        recipients: Vec<Recipient>,
        /// Its content, when it is in memory anyway.
        content: Option<Bytes>,
    },
    /// The answer to [`Action::Load`].
    Loaded {
        /// As in the action.
        host: Arc<str>,
        /// What `Spool::due` gave.
        result: Result<DuePage, SpoolError>,
    },
    /// A server has let an agent in: it took MAIL for the job under way.
    Begun {
        /// The agent's number.
        agent: AgentId,
        /// Which host the server is.
        host: SiteHost,
    },
    /// A host let an agent not in: no connection, no greeting, no encryption where that is
    /// demanded. Told only where its site has others.
    HostDown {
        /// The agent's number.
        agent: AgentId,
        /// The host.
        host: SiteHost,
        /// What was wrong.
        failure: Failure,
    },
    /// An agent did the job it had; it now waits for [`Action::Give`] or [`Action::Dismiss`].
    JobEnded {
        /// The agent's number.
        agent: AgentId,
        /// What became of it.
        report: JobReport,
    },
    /// An agent is gone, dismissed or not. A job that it still had counts as an attempt that
    /// failed.
    AgentGone {
        /// The agent's number.
        agent: AgentId,
    },
    /// The answer to [`Action::Settle`].
    Settled {
        /// The message whose recipients they are.
        id: QueueId,
        /// The numbers of the recipients, as in the action.
        numbers: Vec<u32>,
        /// It is on stable storage. Otherwise the same action comes again after a while, and until
        /// it is written nothing new goes out.
        ok: bool,
    },
    /// The configuration was reloaded. What is under way ends as it began; everything else takes
    /// the new routes, and sites that were left alone are tried again.
    Reloaded(Arc<Routes>, Box<Settings>),
    /// A bulk verb of an operator withholds some of what is in the spool: what waits in memory is
    /// dropped and read again, and so is what bounces. Sites that are left alone stay so.
    Withheld,
    /// What is in the spool was changed. What waits in memory is dropped and read again, and so is what
    /// bounces; sites that were left alone are tried again.
    Changed {
        /// The answer of `Spool::domains` after the change.
        domains: Vec<(String, Timestamp)>,
    },
    /// More is due than before; what is in memory is as it was.
    MoreDue {
        /// The answer of `Spool::domains`.
        domains: Vec<(String, Timestamp)>,
    },
    /// How far the system's clock is ahead of the queue's line of time, by which hours are told.
    /// Where it is at all at the start, this comes before [`Event::Started`], and again whenever it
    /// has changed.
    Clock {
        /// In milliseconds; less than 0 when it is behind.
        ahead: i64,
    },
    /// What went by rates that look far back before a restart, as [`rate_counts`](crate::Queue::rate_counts)
    /// gave it. When there is any at the start, this comes before [`Event::Started`].
    Counted(Vec<RateCount>),
    /// What operators have paused: the answer of `Spool::pauses` after each change. When there are
    /// pauses at the start, this comes before [`Event::Started`].
    Paused {
        /// All of them, in place of those that were told before.
        pauses: Vec<Pause>,
    },
    /// The answer to [`Action::LoadBouncing`].
    BouncingLoaded {
        /// Messages with those of their recipients that an operator gave up.
        result: Result<Vec<Waiting>, SpoolError>,
    },
    /// The answer to [`Action::LoadFiled`].
    FiledLoaded {
        /// Messages with all their recipients.
        result: Result<Vec<Waiting>, SpoolError>,
    },
    /// The answer to [`Action::File`].
    Filed {
        /// It is on stable storage. Otherwise the same recipients are looked at again.
        ok: bool,
    },
}

impl Event {
    /// An operation of this verb has come to its first recipients, or has ended; `domains` is the
    /// answer of `Spool::domains` after that. Whoever is to be tried is tried at once, also where a
    /// site is left alone. The other verbs were heeded when they were stored: what remains is to look
    /// at those to whom they came and whom they did not concern any more.
    pub fn of_operation(verb: Verb, domains: Vec<(String, Timestamp)>) -> Self {
        if verb.tries_at_once() {
            Self::Changed { domains }
        } else {
            Self::MoreDue { domains }
        }
    }
}

/// What an agent tells about the job it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// By recipient number; who is left out is tried again later.
    pub results: Vec<(u32, Outcome)>,
    /// How far it came.
    pub reach: Reach,
    /// Its connection can carry another message.
    pub reusable: bool,
    /// Recipients for whom the next hop took on the sender's wishes for notices (RFC 3461): a
    /// notice of success is its task.
    pub dsn_passed: Vec<u32>,
}

impl JobReport {
    /// Nothing is known of the job: it was lost with its agent.
    pub(crate) fn lost() -> Self {
        Self {
            results: Vec::new(),
            reach: Reach::ToTheEnd,
            reusable: false,
            dsn_passed: Vec::new(),
        }
    }
}

/// How far an attempt came: where trouble began says whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// No server took MAIL. Trouble is the site's; or it has too many connections of ours,
    /// when it serves others.
    BeforeMail,
    /// MAIL was taken, and later the connection failed (lost, silent, 421). Trouble is the
    /// message's until others meet it, too.
    AfterMail,
    /// Nothing was wrong with a connection.
    ToTheEnd,
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// Ask `Spool::due(host, wanted)` and answer with [`Event::Loaded`].
    Load {
        /// Host, as the spool indexes it.
        host: Arc<str>,
        /// What of it.
        wanted: Wanted,
    },
    /// Ask the spool for what is `state:bouncing`, and answer with [`Event::BouncingLoaded`].
    LoadBouncing(Page),
    /// Ask `Spool::find` for this page of all there is, and answer with [`Event::FiledLoaded`].
    LoadFiled(Page),
    /// Give the spool these as `Change::File`, and answer with [`Event::Filed`].
    File(Vec<Filed>),
    /// Start an agent of this number with this job.
    Hire {
        /// Its number from now on.
        agent: AgentId,
        /// Its first job; tells the site.
        job: Job,
    },
    /// The next job for an agent that waits; same site.
    Give {
        /// The agent's number.
        agent: AgentId,
        /// The message to be brought, and for whom.
        job: Job,
    },
    /// Others wait for its connection, and no server has let it in for long: give up the attempt as
    /// if there had been no answer in time. Changes nothing once a server has.
    Hurry {
        /// The agent's number.
        agent: AgentId,
    },
    /// QUIT, and go; answered by [`Event::AgentGone`].
    Dismiss {
        /// The agent's number.
        agent: AgentId,
    },
    /// Write this down, with the notices it causes, in one transaction; answered by
    /// [`Event::Settled`].
    Settle(Arc<Decided>),
    /// For the log.
    Log(Occurrence),
}

/// What becomes of some recipients of one message: one settlement.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The message whose recipients they are.
    pub message: Arc<Message>,
    /// Its content, when it is still in memory.
    pub content: Option<Bytes>,
    /// Numbers, ascending, of those whose sender is told of success by the next hop, if at all.
    pub dsn_passed: Vec<u32>,
    /// Numbers, ascending, of those who are delivered and of whom the sender hears nothing although
    /// he asked: strangers ask too often.
    pub untold: Vec<u32>,
    /// The recipients that are decided, at least one.
    pub recipients: Vec<Judged>,
}

/// What becomes of one recipient.
#[derive(Debug, Clone)]
pub struct Judged {
    /// As it was before: `tries`, `delay_told` not yet changed.
    pub recipient: Recipient,
    /// What becomes of it.
    pub disposition: Disposition,
    /// The name of the site where it was to go.
    pub site: Arc<str>,
    /// There was an attempt; otherwise it was decided without one (too old while the site is down).
    pub tried: bool,
}

impl Decided {
    /// The numbers of the recipients: what [`Event::Settled`] names.
    pub fn numbers(&self) -> Vec<u32> {
        self.recipients
            .iter()
            .map(|judged| judged.recipient.number)
            .collect()
    }
}

/// A decision about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// The next hop has it.
    Delivered(Delivery),
    /// To be tried again.
    TryAgain {
        /// When it is to be tried next.
        due: Timestamp,
        /// Attempts so far, this one included.
        tries: u32,
        /// What the last attempt ended with, as one printable line.
        last: Box<str>,
        /// What this attempt ended with, or without one what is wrong with the site, if that is
        /// known.
        failure: Option<Failure>,
        /// Tell the sender now that it is late, and store that it was told.
        delay_notice: bool,
    },
    /// Never: the sender is to be told, as `NOTIFY` allows.
    GiveUp(GivenUp),
    /// Never, and nobody is told: a notice of our own, or a stranger's message. It is held as
    /// badmail.
    Badmail(GivenUp),
    /// Never, and there is nobody to tell, since its sender is the null sender: nothing is left but
    /// a line in the log.
    Dropped(GivenUp),
}

/// Why a recipient is tried no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The refusal; after expiry what the last attempt ended with.
    pub failure: Failure,
    /// For age, not by a refusal.
    pub expired: bool,
}

impl GivenUp {
    /// The reason in one line.
    pub fn reason(&self) -> Reply {
        let Self { failure, expired } = self;
        if !expired {
            return failure.reply.clone();
        }
        // RFC 3463 section 3.5: 5.4.7, delivery time expired.
        let text = format!("delivery time expired; last: {}", failure.reply);
        Reply::new(554, 4, 7, text)
    }
}
