//! One test of `relay.tests`: a client, an envelope, and what its author expects of the rules.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use mail::{Domain, Mailbox, Place, Reply, ReversePath};
use relay_policy::CertificatePattern;

/// One `[[test]]`: a client, an envelope, and what is expected of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayTest {
    /// What it is called; the client and the recipient when nobody named it.
    pub name: String,
    /// Through which listener; `None`: the first one.
    pub listener: Option<Arc<str>>,
    /// Where the client comes from.
    pub client: IpAddr,
    /// Its name by forward-confirmed reverse DNS; `None`: it has none.
    pub client_name: Option<Domain>,
    /// Whether the session is encrypted; `None`: when the listener begins with TLS, or a user or a
    /// certificate needs it.
    pub tls: Option<bool>,
    /// The client certificate that is shown.
    pub certificate: Option<CertificatePattern>,
    /// Who signed in.
    pub user: Option<Arc<str>>,
    /// Whether that user has the right to relay.
    pub may_relay: bool,
    /// The sender that MAIL names.
    pub mail: ReversePath,
    /// The recipient that RCPT names.
    pub rcpt: Mailbox,
    /// What the rules should answer.
    pub expected: Expected,
    /// Where it was written.
    pub place: Place,
}

/// What a [`RelayTest`] expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// The recipient is taken: the code of the reply begins with 2.
    Accepted,
    /// The answer is a refusal for good: its code begins with 5.
    Refused,
    /// The answer is a postponement: its code begins with 4.
    Postponed,
    /// A reply that begins so: `550`, `550 5.7.1`, `550 5.7.1 Unable to relay`.
    Reply(String),
}

impl Expected {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "accepted" => Self::Accepted,
            "refused" => Self::Refused,
            "postponed" => Self::Postponed,
            _ => {
                let code = text.split(' ').next()?;
                let is_code = code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit());
                (is_code && code.starts_with(['2', '4', '5'])).then(|| Self::Reply(text.into()))?
            }
        })
    }

    /// Whether it is this reply; `None`: the recipient is taken.
    pub(crate) fn is_met(&self, reply: Option<&Reply>) -> bool {
        match (self, reply) {
            (Self::Accepted, reply) => reply.is_none(),
            (Self::Refused, reply) => reply.is_some_and(Reply::is_permanent),
            (Self::Postponed, reply) => reply.is_some_and(Reply::is_transient),
            (Self::Reply(text), None) => text.starts_with('2'),
            (Self::Reply(text), Some(reply)) => begins_with(&reply.to_string(), text),
        }
    }
}

/// Word by word: `550 5.7.1` is no beginning of `550 5.7.13`.
fn begins_with(reply: &str, expected: &str) -> bool {
    reply
        .strip_prefix(expected.trim_end())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "acceptance",
            Self::Refused => "a refusal",
            Self::Postponed => "a postponement",
            Self::Reply(text) => text,
        })
    }
}
