use mail::{Failure, Outcome, Scope};

/// What a conversation tells its driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server is greeted and no message was given yet:
    /// [`Conversation::start`](crate::Conversation::start) now, or quit. Told at most once; after a
    /// reusable end the next message may be given at once.
    Ready,
    /// Write what `output` still holds, then shake hands as a TLS client, as the hop's `security`
    /// demands: then [`Conversation::on_encrypted`](crate::Conversation::on_encrypted) or
    /// [`Conversation::on_handshake_failed`](crate::Conversation::on_handshake_failed). What was
    /// read in clear before belongs to nobody: give it to `receive`, which ends the conversation
    /// for it. To be left undone when
    /// [`Conversation::wants_handshake`](crate::Conversation::wants_handshake) says no.
    StartTls,
    /// Feed the content now, from its beginning. Told again when a server takes the recipients in
    /// several transactions.
    Content,
    /// The message given last is through: every recipient has its outcome. Stop feeding.
    Ended(Ended),
    /// Write what `output` still holds, then close. Nothing follows.
    Closed,
}

/// How the delivery of one message over one connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// By recipient number, each recipient exactly once.
    pub outcomes: Vec<(u32, Outcome)>,
    /// The connection takes another message: `start` may be called at once.
    pub reusable: bool,
    /// The whole content was sent and the answer was lost: the recipients deferred for that may get
    /// the message twice.
    pub unknown: bool,
    /// A server took MAIL for it: from then on trouble may be the message's own.
    pub begun: bool,
    /// It was put off at MAIL, in words that may mean the connection and not the message. The
    /// connection takes no further message.
    pub put_off: bool,
    /// The server took on the sender's wishes for notices (RFC 3461): a notice of success is its
    /// task, not ours.
    pub dsn_passed: bool,
    /// The same host deserves another connection before it is given up.
    pub again: Option<Again>,
}

impl Ended {
    /// What a server refused for the IPv6 address that we come from becomes what it will never take
    /// over this family ([`Ended::unfit`]): it may take it over IPv4. True when there was any.
    pub fn leave_to_ipv4(&mut self) -> bool {
        let mut found = false;
        for (_, outcome) in &mut self.outcomes {
            if let Outcome::Failed(failure) = outcome
                && failure.is_about_ipv6()
            {
                failure.scope = Scope::Host;
                found = true;
            }
        }
        found
    }

    /// The trouble with the host, when there was one: its recipients go to the next host.
    pub fn host_failure(&self) -> Option<&Failure> {
        self.outcomes.iter().find_map(|(_, outcome)| match outcome {
            Outcome::Deferred(failure) if failure.scope == Scope::Host => Some(failure),
            Outcome::Delivered(_) | Outcome::Deferred(_) | Outcome::Failed(_) => None,
        })
    }

    /// Why the host will never take the message for some recipients, when that is for what it
    /// offers: they go to the next host, which may offer more.
    pub fn unfit(&self) -> Option<&Failure> {
        self.outcomes.iter().find_map(|(_, outcome)| match outcome {
            Outcome::Failed(failure) if failure.scope == Scope::Host => Some(failure),
            Outcome::Delivered(_) | Outcome::Deferred(_) | Outcome::Failed(_) => None,
        })
    }
}

/// Why to connect to the same host once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// A connection kept open for the next message had died meanwhile, or takes no further one:
    /// nothing of this message was taken. While the conversation is not closed, it says QUIT first.
    Fresh,
    /// It hung up on EHLO: say HELO ([`Conversation::with_helo`](crate::Conversation::with_helo)).
    WithHelo,
    /// It offers encryption that does not come about, and nobody demands any: talk in clear, to a
    /// hop with [`Security::None`](route::Security::None).
    InClear,
}

/// Why a handshake gave no encryption that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandshakeFault {
    /// Its certificate is not the one demanded, or leads to nobody we trust; why.
    Certificate(CertificateFlaw, Box<str>),
    /// There is no encryption; why.
    Broken(Box<str>),
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFlaw {
    /// Its time is over, or has not come.
    Expired,
    /// It is for somebody else.
    OtherName,
    /// None of the TLSA records matches it.
    NoRecord,
    /// Nobody that we trust vouches for it, or there is none, or it cannot be read.
    Untrusted,
}

impl HandshakeFault {
    pub(crate) fn timed_out() -> Self {
        Self::Broken("no answer in time".into())
    }

    pub(crate) fn dropped() -> Self {
        Self::Broken("the connection was lost".into())
    }
}
