use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mail::{Failure, Outcome, TlsFacts};
use queue::{AgentId, Job, Reach};
use route::{Assurance, Hop, Question};

#[cfg(doc)]
use super::Agent;

/// What the driver is to do next.
#[derive(Debug)]
pub enum Step {
    /// Find these out, and give each answer to [`Agent::on_answers`].
    Ask(Vec<Question>),
    /// Connect there; then [`Agent::on_connected`] or [`Agent::on_connect_failed`]. Where the
    /// site's route signs in, say as whom before: [`Agent::sign_in_as`].
    Connect {
        /// Where.
        hop: Hop,
        /// The address to connect from; of the same family as the hop's.
        source: Option<IpAddr>,
    },
    /// Write what the conversation's `output` holds, and shake hands as a TLS client, as the hop's
    /// `security` demands; then [`Agent::on_encrypted`] or [`Agent::on_handshake_failed`].
    StartTls(Hop),
    /// The conversation is to be fed from the start of the content: open it.
    Content,
    /// Serve the connection: write `output`, read, feed content, keep time, until the conversation
    /// has events.
    Talk,
    /// For the queue: a server of the site has let the agent in, and taken MAIL. Told once.
    Begun,
    /// Put the message into this directory as a file; then [`Agent::on_filed`].
    File(PathBuf),
    /// For the log: this host failed, and the site's next one is tried, or the same in clear. What
    /// the last one said is in the report.
    HostFailed {
        /// Which.
        hop: Hop,
        /// Why.
        failure: Failure,
    },
    /// A job is done: report it to the queue.
    Report(Report),
    /// The agent has no connection and no job: it is to be forgotten.
    Leave,
}

/// What became of one job.
#[derive(Debug)]
pub struct Report {
    /// Who reports.
    pub agent: AgentId,
    /// What it was.
    pub job: Option<Job>,
    /// By recipient number.
    pub results: Vec<(u32, Outcome)>,
    /// How far the job came.
    pub reach: Reach,
    /// Another job for the same site may follow.
    pub reusable: bool,
    /// Numbers, ascending, of the recipients that a host took which sends notices of success itself
    /// (RFC 3461). Two hosts may share a job, and differ in this.
    pub dsn_passed: Vec<u32>,
    /// The answer to the final dot was lost: a duplicate is possible.
    pub unknown: bool,
    /// The encryption of the last connection that was made for it, if there was any.
    pub tls: Option<Arc<TlsFacts>>,
    /// How sure it is whom that connection was with; `None` when none came about.
    pub assurance: Option<Assurance>,
}
