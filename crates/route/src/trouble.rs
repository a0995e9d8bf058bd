use mail::{Failure, Outcome, Reply, Scope};

use crate::site::TLS_REPORTS;

/// Why there is no way to a site; in order of weight: of several troubles the last one decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// DNS knows no such name.
    NoSuchName,
    /// The domain says by a null MX that it takes no mail.
    TakesNoMail,
    /// No mail server of the domain has an address.
    NoAddress,
    /// Addresses, but none of the family that `outbound.ip` wants.
    WrongFamily,
    /// Every address is one that a stranger must not send us to.
    Inner,
    /// The way leads back here.
    Loop,
    /// The domain's MTA-STS policy lists none of its hosts.
    NotInPolicy,
    /// DNS could not tell; why. Stands above all others: as long as one thing is unknown, nothing
    /// is final.
    CannotTell(Box<str>),
}

impl Trouble {
    /// An answer is of another kind than its question.
    pub(crate) fn misfit() -> Self {
        Self::CannotTell("the answer does not fit the question".into())
    }

    /// Whether nobody was found to whom mail could be handed, so that somebody else may know one;
    /// what is found, and means that it takes none or must not be followed, is no such trouble.
    pub(crate) fn is_unfound(&self) -> bool {
        match self {
            Self::NoSuchName | Self::NoAddress | Self::WrongFamily | Self::CannotTell(_) => true,
            Self::TakesNoMail | Self::Inner | Self::Loop | Self::NotInPolicy => false,
        }
    }

    /// For a destination that the recipient's domain chose: final unless DNS could not tell.
    pub(crate) fn outcome(self, site: &str) -> Outcome {
        let name = (["mx:", TLS_REPORTS].iter())
            .find_map(|before| site.strip_prefix(before))
            .unwrap_or(site);
        let reply = match self {
            // RFC 5321 section 5.1: "If a temporary error is returned, the message MUST be queued
            // and retried later"
            Self::CannotTell(why) => return deferred(cannot_tell(name, &why)),
            // RFC 8461 section 5: such mail waits; the policy or the MX records may be put right.
            Self::NotInPolicy => {
                let text = format!("no mail server of {name} is in its MTA-STS policy");
                return deferred(Reply::new(451, 7, 5, text));
            }
            // RFC 5321 section 5.1: "If a non-existent domain error is returned, this situation
            // MUST be reported as an error."
            Self::NoSuchName => Reply::new(550, 1, 2, format!("{name} does not exist in the DNS")),
            // RFC 7505 section 4: the code 556 and 5.1.10 belong to the null MX.
            Self::TakesNoMail => Reply::new(556, 1, 10, format!("{name} does not accept mail")),
            // RFC 5321 section 5.1: "If MX records are present, but none of them are usable, or the
            // implicit MX is unusable, this situation MUST be reported as an error."
            Self::NoAddress => Reply::new(
                550,
                1,
                2,
                format!("no mail server of {name} has an address"),
            ),
            Self::WrongFamily => Reply::new(
                550,
                4,
                4,
                format!("no mail server of {name} has an address of the family in outbound.ip"),
            ),
            Self::Inner => Reply::new(
                550,
                4,
                6,
                format!("{name} points to a private or loopback address; see outbound.private_mx"),
            ),
            // RFC 5321 section 5.1: "If there are no records left at that point, it is an error
            // condition, and the message MUST be returned as undeliverable."
            Self::Loop => Reply::new(
                554,
                4,
                6,
                format!("mail for {name} loops back to this relay"),
            ),
        };
        Outcome::Failed(Failure {
            scope: Scope::Site,
            reply,
            host: None,
        })
    }

    /// For a route that the administrator wrote: whatever is wrong with it can be put right in the
    /// configuration or the inner DNS, so the mail waits instead of bouncing.
    pub(crate) fn of_route(self, site: &str) -> Outcome {
        let reply = match self {
            Self::CannotTell(why) => cannot_tell(site, &why),
            Self::NoSuchName => wrong_route(site, "does not exist in the DNS"),
            Self::TakesNoMail => wrong_route(site, "has a null MX record"),
            Self::NoAddress => wrong_route(site, "has no address"),
            Self::WrongFamily => wrong_route(site, "has no address of the family in outbound.ip"),
            Self::Inner => wrong_route(site, "has no address that can be reached"),
            Self::NotInPolicy => wrong_route(site, "is in no MTA-STS policy"),
            Self::Loop => Reply::new(
                451,
                4,
                6,
                format!("the route {site} loops back to this relay"),
            ),
        };
        deferred(reply)
    }
}

/// There is no such route any more: mail that was led there waits for somebody to say where it goes.
pub(crate) fn no_route(site: &str) -> Outcome {
    deferred(wrong_route(site, "is not in the configuration any more"))
}

fn wrong_route(site: &str, what: &str) -> Reply {
    Reply::new(451, 3, 5, format!("the route {site} {what}"))
}

fn cannot_tell(name: &str, why: &str) -> Reply {
    Reply::new(451, 4, 3, format!("no DNS answer for {name}: {why}"))
}

fn deferred(reply: Reply) -> Outcome {
    Outcome::Deferred(Failure {
        scope: Scope::Site,
        reply,
        host: None,
    })
}
