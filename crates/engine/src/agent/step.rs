use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use delivery::SentAs;
use mail::{Failure, QueueId, TlsFacts};
use queue::{AgentId, Job, JobReport, SiteHost};
use relay_policy::Rewritten;
use reports::TlsSighting;
use route::{Assurance, Hop, Question, Site};
use smtp::{Dialogue, Said};

#[cfg(doc)]
use super::{Agent, StoredContent};

/// What the queue manager tells an agent.
#[derive(Debug)]
pub enum Order {
    /// The next message.
    Give(Box<Job>),
    /// Others need its connection: it goes on only if a server has let it in.
    Hurry,
    /// QUIT, and go; not before the job under way is done.
    Dismiss,
}

/// What the driver is to do next. While it waits for something, [`Agent::on_order`] may say to
/// leave it off.
#[derive(Debug)]
pub enum Step {
    /// Find these out, and give each answer to [`Agent::on_answers`].
    Ask(Vec<Question>),
    /// Say as whom to sign in at the site: [`Agent::on_identity`]. With a token, as long as that is
    /// fresh; so it is asked before each connection.
    Identify,
    /// Connect there; then [`Agent::on_connected`] or [`Agent::on_connect_failed`].
    Connect {
        /// The host and the address to connect to.
        hop: Hop,
        /// The address to connect from; of the same family as the hop's.
        source: Option<IpAddr>,
        /// How long to try.
        within: Duration,
    },
    /// Shake hands as a TLS client, as the hop's `security` demands; then [`Agent::on_encrypted`]
    /// or [`Agent::on_handshake_failed`]. All output has been written.
    StartTls {
        /// The host at the other end of the connection, to shake hands with.
        hop: Hop,
        /// How long that may take.
        within: Duration,
    },
    /// Read a piece of this message's content from the spool ([`StoredContent::read`]), and give it
    /// to [`Agent::on_read`].
    Read {
        /// The queue id of the message.
        id: QueueId,
        /// From the start of its content, rather than from where the last piece ended.
        from_start: bool,
    },
    /// Serve the connection: write all of [`Agent::output`], or else read, or wait for an order,
    /// until [`Agent::deadline`]. Then ask for the next step.
    Talk,
    /// For the queue: a server of the site has let the agent in, and taken MAIL. Told once of each
    /// host.
    Begun(SiteHost),
    /// For the queue: a host of the site, which has others, let the agent not in.
    HostDown {
        /// The host.
        host: SiteHost,
        /// Why it did not.
        failure: Failure,
    },
    /// Put the message into this directory as a file; then [`Agent::on_filed`].
    File(PathBuf),
    /// For the log: this host failed, and the site's next one is tried, or the same in clear. What
    /// the last one said is in the report.
    HostFailed {
        /// The site of which it is a host.
        site: Site,
        /// The host and the address that were tried in vain.
        hop: Hop,
        /// Why it failed.
        failure: Failure,
    },
    /// A host of the site did not take our sign-in: the token that it was given is not to be given
    /// again.
    SignInRefused,
    /// For the reports that domains ask for: what came of encryption on a connection, or why there is
    /// none. Told where [`DeliverySettings`](crate::DeliverySettings) ask for it.
    Encryption(Box<TlsSighting>),
    /// For the log: the content of this message could not be read.
    Unreadable {
        /// The queue id of the message.
        id: QueueId,
        /// What went wrong when it was read, as text.
        why: String,
    },
    /// For those who record it: this was said on the connection to `peer`.
    Said {
        /// The other end, as it stands in protocol logs: this machine for a socket in the file
        /// system.
        peer: SocketAddr,
        /// What was said.
        said: Said,
    },
    /// A job is done: report it to the queue.
    Report(Box<Report>),
    /// The agent has no connection and no job: it is to be forgotten.
    Leave,
}

/// Why there is no file.
#[derive(Debug, PartialEq, Eq)]
pub enum NotFiled {
    /// The content could not be read, which says nothing of the directory.
    Unreadable(String),
    /// The directory, or the disk that it is on, does not take it.
    Unwritable(String),
    /// The directory holds as much as it may.
    Full(String),
    /// It may never hold as much as the message wants.
    TooLarge(String),
}

/// What became of one job, and how.
#[derive(Debug)]
pub struct Report {
    /// The agent that did the job.
    pub agent: AgentId,
    /// What it was.
    pub job: Job,
    /// Where it was tried last: its own site, or where its mail goes otherwise.
    pub site: Site,
    /// For the queue manager.
    pub ended: JobReport,
    /// The answer to the final dot was lost: a duplicate is possible.
    pub unknown: bool,
    /// The host of the last connection that was tried, or the directory; empty if none was.
    pub host: String,
    /// How long it took.
    pub took: Duration,
    /// How long the message had been here by its end.
    pub age: Duration,
    /// How long it took until its last connection was open, where it opened one itself.
    pub connecting: Option<Duration>,
    /// How long the server took to answer the end of the message, where that came.
    pub answering: Option<Duration>,
    /// As whom it went to those to whom it is forwarded.
    pub rewritten: Rewritten,
    /// As whom it went to the others, where that is not as it came.
    pub sent_as: Option<SentAs>,
    /// The encryption of that connection, if there was any.
    pub tls: Option<Arc<TlsFacts>>,
    /// How sure it is whom that connection was with; `None` when none came about.
    pub assurance: Option<Assurance>,
    /// What was said about it to all hosts that were tried; empty unless the agent was recorded.
    pub dialogue: Box<Dialogue>,
}
