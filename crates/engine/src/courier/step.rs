use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mail::{Failure, Outcome, TlsFacts};
use queue::{CourierId, Job, Reach};
use route::{Assurance, Hop, Question};

#[cfg(doc)]
use super::Courier;

/// What the driver is to do next.
#[derive(Debug)]
pub enum Step {
    /// Find these out, and give each answer to [`Courier::on_answers`].
    Ask(Vec<Question>),
    /// Connect there; then [`Courier::on_connected`] or [`Courier::on_connect_failed`]. Where the site's route signs in, say as whom before:
    /// [`Courier::sign_in_as`].
    Connect {
        /// Where.
        hop: Hop,
        /// The address to connect from; of the same family as the hop's.
        source: Option<IpAddr>,
    },
    /// Write what the conversation's `output` holds, and shake hands as a TLS client, as the hop's `security` demands; then
    /// [`Courier::on_encrypted`] or [`Courier::on_handshake_failed`].
    StartTls(Hop),
    /// The conversation is to be fed from the start of the content: open it.
    Content,
    /// Serve the connection: write `output`, read, feed content, keep time, until the conversation has events.
    Talk,
    /// For the queue: a server of the site has let the courier in, and taken MAIL. Told once.
    Begun,
    /// Put the message into this directory as a file; then [`Courier::on_filed`].
    File(PathBuf),
    /// For the log: this host failed, and the site's next one is tried, or the same in clear. What the last one said is in the report.
    HostFailed {
        /// Which.
        hop: Hop,
        /// Why.
        failure: Failure,
    },
    /// A job is done: report it to the queue.
    Report(Report),
    /// The courier has no connection and no job: it is to be forgotten.
    Leave,
}

/// What became of one job.
#[derive(Debug)]
pub struct Report {
    /// Who reports.
    pub courier: CourierId,
    /// What it was.
    pub job: Option<Job>,
    /// By recipient number.
    pub results: Vec<(u32, Outcome)>,
    /// How far the job came.
    pub reach: Reach,
    /// Another job for the same site may follow.
    pub reusable: bool,
    /// Numbers, ascending, of the recipients that a host took which sends notices of success itself (RFC 3461). Two hosts may share a
    /// job, and differ in this.
    pub dsn_passed: Vec<u32>,
    /// The answer to the final dot was lost: a duplicate is possible.
    pub unknown: bool,
    /// The encryption of the last connection that was made for it, if there was any.
    pub tls: Option<Arc<TlsFacts>>,
    /// How sure it is whom that connection was with; `None` when none came about.
    pub assurance: Option<Assurance>,
}
