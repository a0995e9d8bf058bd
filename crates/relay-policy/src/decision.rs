use mail::{Mailbox, Reply};

use crate::access::Standing;
use crate::{Admitted, Grounds, Question, Reason, Why};

/// What becomes of one recipient at RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may go into the envelope.
    Carry {
        /// The recipient with its grounds; nothing else can be put into an envelope.
        admitted: Admitted,
        /// The rule that admitted the recipient, and its line of the configuration.
        why: Reason,
    },
    /// Not here, for good.
    Refuse {
        /// 550 5.7.1, or 550 5.1.1 when there is no such recipient.
        reply: Reply,
        /// The rule that refused the recipient, and its line of the configuration.
        why: Reason,
    },
    /// A fact could not be found out: neither yes nor no.
    Postpone {
        /// 451 4.7.0, or 451 4.4.3 when it is about the recipient.
        reply: Reply,
        /// The rule that needs the fact, and its line of the configuration.
        why: Reason,
    },
    /// Find this out, put the answer into the facts, and decide again.
    Ask(Question),
}

impl Decision {
    /// 550 5.7.1 with this text.
    pub(crate) fn refused(text: String, why: Reason) -> Self {
        Self::Refuse {
            reply: Reply::new(550, 7, 1, text),
            why,
        }
    }

    /// The same about `named`, whose mail was to go on to `to`; the client hears nothing of that.
    pub(crate) fn onward(self, named: &Mailbox, to: &Mailbox) -> Self {
        let told = |reply: Reply| {
            let status = reply.status();
            let text = reply.text().replace(to.as_str(), named.as_str());
            Reply::new(reply.code(), status.subject, status.detail, text)
        };
        let because = |why: Reason| {
            let (to, why_not) = (to.clone(), Box::new(why.why));
            Reason::new(Why::Onward { to, why: why_not }, &why.place)
        };
        match self {
            Self::Refuse { reply, why } => Self::Refuse {
                reply: told(reply),
                why: because(why),
            },
            Self::Postpone { reply, why } => Self::Postpone {
                reply: told(reply),
                why: because(why),
            },
            other @ (Self::Carry { .. } | Self::Ask(_)) => other,
        }
    }

    /// What follows from the standing of a client for a recipient, who is taken on these grounds.
    pub(crate) fn of(standing: Standing, recipient: &Mailbox, grounds: Grounds) -> Self {
        match standing {
            Standing::Permitted(why) => Self::Carry {
                admitted: Admitted::new(recipient.clone(), grounds),
                why,
            },
            Standing::Barred(why) => Self::refused(format!("Unable to relay for {recipient}"), why),
            Standing::CannotTell(why) => Self::Postpone {
                reply: name_unknown(),
                why,
            },
            Standing::Ask(question) => Self::Ask(question),
        }
    }
}

/// The client's name is needed, and DNS does not answer.
pub(crate) fn name_unknown() -> Reply {
    Reply::new(
        451,
        7,
        0,
        "The name of your host cannot be looked up now, try again later",
    )
}

/// Whether a client may connect at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connect {
    /// The client may connect, for this reason; greet it.
    Yes(Reason),
    /// Answer this in place of the greeting, and close.
    Refuse {
        /// The reply `554 5.7.1`, with the client's address in its text.
        reply: Reply,
        /// The rule that forbids the client to connect, and its line of the configuration.
        why: Reason,
    },
    /// Answer this in place of the greeting, and close.
    Postpone {
        /// The reply `451 4.7.0`: the client's name cannot be looked up now.
        reply: Reply,
        /// The list that needs the client's name, and its line of the configuration.
        why: Reason,
    },
    /// Find this out, and ask again.
    Ask(Question),
}
