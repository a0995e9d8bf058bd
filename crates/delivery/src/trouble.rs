//! What we say of a server when it does not say it itself. All of it is transient. It reaches as
//! far as the host, but for what no other host could do better or may be asked to do at once.

use mail::{Failure, Outcome, Reply, Scope};
use route::Hop;
use smtp::ReplyFault;

use crate::HandshakeFault;

/// The connection was closed or broke `when` (`while waiting for the greeting`).
pub(crate) fn dropped(when: &str) -> Reply {
    Reply::new(451, 4, 2, format!("Connection lost {when}"))
}

/// Nothing came in time `when`.
pub(crate) fn timed_out(when: &str) -> Reply {
    Reply::new(451, 4, 1, format!("No answer in time {when}"))
}

/// Behind the numbers of [`after_replies`].
pub(crate) const REPLIES_TO_THE_END: &str = "replies to the end of the message";

/// When it was that only some recipients of LMTP had been answered for.
pub(crate) fn after_replies(given: usize, asked: usize) -> String {
    format!("after {given} of {asked} {REPLIES_TO_THE_END}: whether it was taken is unknown")
}

/// What came `when` is no SMTP reply.
pub(crate) fn malformed(fault: ReplyFault, when: &str) -> Reply {
    Reply::new(451, 5, 0, format!("Not an SMTP reply {when}: {fault}"))
}

/// A reply that cannot be an answer to what was asked.
pub(crate) fn nonsense(reply: &Reply, when: &str) -> Reply {
    Reply::new(
        451,
        5,
        0,
        format!("The server answered out of place {when}: {reply}"),
    )
}

/// What may be behind a server that knows neither EHLO nor HELO.
pub(crate) const PERHAPS_LMTP: &str = "as at a port for LMTP: protocol = \"lmtp\"";
/// What may be behind a server that does not know LHLO.
pub(crate) const NO_LMTP: &str = "as at a port for SMTP, not for LMTP";

/// The reply of a server that does not know a command (500, 502), with what may be behind it.
pub(crate) fn hint(reply: Reply, what: &str) -> Reply {
    if !matches!(reply.code(), 500 | 502) {
        return reply;
    }
    let text = format!("The server does not know how it is greeted, {what}: {reply}");
    Reply::new(451, 5, 1, text)
}

/// TLS is demanded and cannot be begun; `off`: by our own will.
pub(crate) fn no_tls(off: bool) -> Reply {
    Reply::new(
        451,
        7,
        4,
        if off {
            "Signing in needs TLS, which is switched off for this host"
        } else {
            "STARTTLS is required and not offered"
        },
    )
}

/// TLS is demanded, offered, and then refused.
pub(crate) fn starttls_refused(reply: &Reply) -> Reply {
    Reply::new(
        451,
        7,
        4,
        format!("STARTTLS is required and was refused: {reply}"),
    )
}

/// TLS is demanded and did not come about as demanded.
pub(crate) fn handshake(fault: &HandshakeFault) -> Reply {
    let text = match fault {
        HandshakeFault::Certificate(_, why) => format!("The certificate is not accepted: {why}"),
        HandshakeFault::Broken(why) => format!("The TLS handshake failed: {why}"),
    };
    Reply::new(451, 7, 5, text)
}

/// Octets in clear behind the answer to STARTTLS.
pub(crate) fn injected() -> Reply {
    Reply::new(
        451,
        5,
        0,
        "Something was sent in clear where the TLS handshake belongs",
    )
}

/// The server offers nothing by which we could sign in.
pub(crate) fn no_mechanism(why: &str) -> Reply {
    Reply::new(454, 7, 8, format!("Cannot sign in: {why}"))
}

/// It does not let us in. Our configuration is to blame, most likely, and the mail can wait until
/// that was put right.
pub(crate) fn sign_in_refused(reply: &Reply) -> Reply {
    Reply::new(454, 7, 8, format!("Our sign-in was refused: {reply}"))
}

/// The other end of the exchange does not know what it must know.
pub(crate) fn no_proof(why: &str) -> Reply {
    Reply::new(454, 7, 8, format!("Signing in was broken off: {why}"))
}

/// Our own fault: the content could not be read to its end. The server is not to blame and is not
/// named, and no other is asked.
pub(crate) fn unreadable(why: &str) -> Failure {
    Failure {
        scope: Scope::Message,
        reply: Reply::new(451, 3, 0, format!("The message could not be read: {why}")),
        host: None,
    }
}

/// Said of each recipient when the answer to the end of the message was lost. Nobody else is asked
/// at once: the message may be there, and the next host of the site would deliver it again within
/// moments.
pub(crate) fn unknown(reply: Reply, hop: &Hop) -> Failure {
    Failure {
        scope: Scope::Message,
        ..of_host(reply, hop)
    }
}

/// Said of each recipient that the trouble of a host leaves open.
pub(crate) fn of_host(reply: Reply, hop: &Hop) -> Failure {
    Failure {
        scope: Scope::Host,
        reply,
        host: Some(hop.to_string().into()),
    }
}

/// Whether a 4yz to MAIL may mean the connection or the moment (`too many messages in this
/// session`) and not this message. RFC 3463 has subjects of their own for addresses (1), mailboxes
/// (2) and content (6), and x.3.1 and x.3.4 speak of its size.
pub(crate) fn may_mean_the_connection(reply: &Reply) -> bool {
    let status = reply.status();
    let of_the_message = matches!((status.subject, status.detail), (1 | 2 | 6, _) | (3, 1 | 4));
    reply.is_transient() && !(reply.has_status() && of_the_message)
}

/// The outcome that a server's refusal is; `None` when it is none (neither 4yz nor 5yz).
pub(crate) fn refusal(reply: &Reply, scope: Scope, hop: &Hop) -> Option<Outcome> {
    let failure = || Failure {
        scope,
        reply: reply.clone(),
        host: Some(hop.to_string().into()),
    };
    if reply.is_permanent() {
        return Some(Outcome::Failed(failure()));
    }
    reply.is_transient().then(|| Outcome::Deferred(failure()))
}
