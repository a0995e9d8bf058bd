use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mail::{Client, Domain, Mailbox, Place, escaped};

use crate::{Bound, DomainKind, DomainRule, Entry, Grounds, List};

/// Why a decision was made, and which configuration line made it. The text is written only when
/// somebody reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Which rule decided, and what it went by.
    pub why: Why,
    /// The line that decided.
    pub place: Place,
}

/// What decided; its text is short and for humans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The recipient's domain is configured as such.
    Domain {
        /// The configured name.
        name: Arc<str>,
        /// What it is to us.
        kind: DomainKind,
    },
    /// The sender is on the list of blocked senders.
    BlockedSender,
    /// The local part holds a route to somewhere else (`%`, `!`, a quoted `@`).
    RoutedLocalPart,
    /// The client matches an entry of a list.
    Listed {
        /// `relay.allow`
        list: &'static str,
        /// The entry's text.
        entry: Arc<str>,
    },
    /// The client matches no entry of a list.
    Unlisted {
        /// `relay.allow`
        list: &'static str,
        /// How many entries there are.
        entries: usize,
        /// The address of the client.
        address: IpAddr,
    },
    /// The client signed in.
    SignedIn(Arc<str>),
    /// The client signed in, but the user may not relay.
    NoRelayRight(Arc<str>),
    /// The user who signed in may not send as this sender.
    SenderNotAllowed(Arc<str>),
    /// The client showed a certificate that matches this entry of `relay.certificates`.
    Certificate(Arc<str>),
    /// An account of this machine handed the message in, and the rule for that way lets it relay.
    Local {
        /// `relay.submit`
        rule: &'static str,
        /// The account.
        uid: u32,
    },
    /// The rule for that way of handing messages in lets nobody relay.
    NotLocal {
        /// `relay.submit`
        rule: &'static str,
    },
    /// The sender is none of those that may be named there.
    SenderNotLocal {
        /// The account.
        uid: u32,
    },
    /// Whoever that is may not send to this recipient, whatever else permits it.
    NotAmongRecipients(Bound),
    /// DNS lists name the client.
    DnsListed {
        /// The first of them.
        zone: Domain,
        /// The address of the client.
        address: IpAddr,
        /// What all of them count, added.
        weight: i64,
        /// From where on clients are refused.
        threshold: i32,
    },
    /// The client has to come again.
    Greylisted {
        /// In so many seconds.
        seconds: u32,
        /// How long ago it was here for the first time; `None`: it is now.
        since: Option<Duration>,
    },
    /// A policy service stands against it, or did not answer.
    Policy {
        /// Its name in the configuration.
        service: Arc<str>,
        /// What it said, or why it said nothing.
        said: Arc<str>,
    },
    /// The recipient's domain is ours and has no such recipient.
    UnknownRecipient,
    /// Whether the recipient exists has to be asked, and nobody could be.
    RecipientUnasked,
    /// The configuration forwards what is for this recipient.
    Forwarded {
        /// The recipient that was named.
        from: Mailbox,
        /// Who gets it.
        to: Mailbox,
    },
    /// A rule of screening sends it to somebody else, in place of the recipient or as well.
    ByRule {
        /// Whom the rule was asked about.
        from: Mailbox,
        /// Who gets it.
        to: Mailbox,
    },
    /// The configuration forwards what is for this recipient, and nobody gets it.
    Onward {
        /// Who was to get it.
        to: Mailbox,
        /// What stands against that.
        why: Box<Why>,
    },
    /// The recipient is an address of ours that stands for this sender elsewhere (SRS).
    TurnedBack(Mailbox),
    /// It looks like one, and is none.
    NotTurnedBack(srs::Fault),
    /// It is one, but only the null sender is turned back.
    NoBounce,
    /// How old it is cannot be told.
    DayUnknown,
    /// It was taken before now, and the reason told then.
    Taken,
    /// The client is this filter, which gives back what it had from us.
    CameBack(Arc<str>),
    /// The listener takes mail only over TLS.
    TlsRequired,
    /// The listener takes mail only from users who signed in.
    SignInRequired,
    /// The client's confirmed name is needed and could not be found out.
    NameUnknown {
        /// The list whose names need it.
        list: &'static str,
        /// The address of the client.
        address: IpAddr,
    },
}

impl Why {
    /// Whether the recipient does not exist: whoever names many such is guessing.
    pub fn is_of_nobody(&self) -> bool {
        use srs::Fault::{Form, Hash};
        match self {
            Self::UnknownRecipient | Self::NotTurnedBack(Form | Hash) => true,
            Self::Onward { why, .. } => why.is_of_nobody(),
            _ => false,
        }
    }
}

impl Reason {
    pub(crate) fn new(why: Why, place: &Place) -> Self {
        Self {
            why,
            place: place.clone(),
        }
    }

    /// A domain is configured as what it is.
    pub(crate) fn of_domain(rule: &DomainRule) -> Self {
        let why = Why::Domain {
            name: rule.name.clone(),
            kind: rule.kind,
        };
        Self::new(why, &rule.place)
    }

    /// The list decided nothing, as the client's name could not be found out.
    pub(crate) fn nameless(list: &'static str, client: &Client, place: &Place) -> Self {
        let address = client.address();
        Self::new(Why::NameUnknown { list, address }, place)
    }

    /// On what grounds a client is let in for this reason, when it may relay.
    pub(crate) fn grounds(&self) -> Grounds {
        match self.why {
            Why::SignedIn(_) => Grounds::SignedInUser,
            Why::Certificate(_) => Grounds::CertificateHolder,
            Why::Local { .. } => Grounds::LocalSubmission,
            Why::Listed { .. }
            | Why::Unlisted { .. }
            | Why::Domain { .. }
            | Why::BlockedSender
            | Why::RoutedLocalPart
            | Why::NoRelayRight(_)
            | Why::SenderNotAllowed(_)
            | Why::NotLocal { .. }
            | Why::SenderNotLocal { .. }
            | Why::NotAmongRecipients(_)
            | Why::DnsListed { .. }
            | Why::Greylisted { .. }
            | Why::Policy { .. }
            | Why::UnknownRecipient
            | Why::RecipientUnasked
            | Why::Forwarded { .. }
            | Why::ByRule { .. }
            | Why::Onward { .. }
            | Why::TurnedBack(_)
            | Why::NotTurnedBack(_)
            | Why::NoBounce
            | Why::CameBack(_)
            | Why::Taken
            | Why::DayUnknown
            | Why::TlsRequired
            | Why::SignInRequired
            | Why::NameUnknown { .. } => Grounds::ListedClient,
        }
    }

    pub(crate) fn listed(list: &'static str, entry: &Entry) -> Self {
        let why = Why::Listed {
            list,
            entry: Arc::clone(&entry.text),
        };
        Self {
            why,
            place: entry.place.clone(),
        }
    }

    /// The list decided by what it does not hold; where nobody wrote a list, its mode did.
    pub(crate) fn unlisted(
        list_name: &'static str,
        list: &List,
        address: IpAddr,
        mode: &Place,
    ) -> Self {
        let place = if *list.place() == Place::Default {
            mode
        } else {
            list.place()
        };
        let why = Why::Unlisted {
            list: list_name,
            entries: list.entries().len(),
            address,
        };
        Self {
            why,
            place: place.clone(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl Why {
    /// What is said of accounts of this machine.
    fn fmt_local(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { rule, uid } => {
                write!(
                    f,
                    "handed in on this machine by uid {uid}, which {rule} lets relay"
                )
            }
            Self::NotLocal { rule } => {
                write!(f, "handed in on this machine, and {rule} lets nobody relay")
            }
            Self::SenderNotLocal { uid } => {
                write!(f, "uid {uid} of this machine may not send as this sender")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain { name, kind } => write!(f, "{name} is a {} domain", kind.as_str()),
            Self::BlockedSender => f.write_str("the sender is in senders.blocked"),
            Self::RoutedLocalPart => f.write_str("the local part holds a route to another host"),
            Self::Listed { list, entry } => write!(f, "matches {list} entry {entry}"),
            Self::Unlisted {
                list,
                entries: 0,
                address,
            } => {
                write!(f, "{address} is not listed, {list} is empty")
            }
            Self::Unlisted {
                list,
                entries,
                address,
            } => {
                let noun = if *entries == 1 { "entry" } else { "entries" };
                write!(f, "{address} matches none of {entries} {noun} in {list}")
            }
            Self::SignedIn(user) => write!(f, "signed in as {}", mail::user_shown(user)),
            Self::NoRelayRight(user) => {
                write!(f, "user {} may not relay", mail::user_shown(user))
            }
            Self::SenderNotAllowed(user) => {
                let user = mail::user_shown(user);
                write!(f, "user {user} may not send as this sender")
            }
            Self::Certificate(it) => write!(f, "matches relay.certificates entry {}", escaped(it)),
            Self::Local { .. } | Self::NotLocal { .. } | Self::SenderNotLocal { .. } => {
                self.fmt_local(f)
            }
            Self::NotAmongRecipients(bound) => write!(f, "{bound} may not send to this recipient"),
            Self::DnsListed {
                zone,
                address,
                weight,
                threshold,
            } => write!(
                f,
                "{address} is named by {zone}: weight {weight}, refused from {threshold} on"
            ),
            Self::Greylisted { seconds, since } => fmt_greylisted(f, *seconds, *since),
            Self::Policy { service, said } => fmt_policy(f, service, said),
            Self::UnknownRecipient => f.write_str("there is no such recipient"),
            Self::RecipientUnasked => {
                f.write_str("nobody could be asked whether the recipient exists")
            }
            Self::Forwarded { from, to } => write!(f, "{from} is forwarded to {to}"),
            Self::ByRule { from, to } => write!(f, "a rule sends what is for {from} to {to}"),
            Self::Onward { to, why } => write!(f, "forwarded to {to}: {why}"),
            Self::TurnedBack(sender) => write!(f, "an SRS address of ours, for {sender}"),
            Self::NotTurnedBack(fault) => write!(f, "no SRS address of ours: {fault}"),
            Self::NoBounce => f.write_str("an SRS address takes mail from <> alone"),
            Self::DayUnknown => f.write_str("the age of the SRS address could not be found out"),
            Self::Taken => f.write_str("taken before"),
            Self::CameBack(filter) => {
                write!(f, "came back from the filter {}", mail::escaped(filter))
            }
            Self::TlsRequired => f.write_str("TLS is required here"),
            Self::SignInRequired => f.write_str("signing in is required here"),
            Self::NameUnknown { list, address } => {
                write!(
                    f,
                    "{list} has host names, and the name of {address} could not be found out"
                )
            }
        }
    }
}

fn fmt_policy(f: &mut fmt::Formatter<'_>, service: &str, said: &str) -> fmt::Result {
    write!(f, "policy service {service}: {}", mail::escaped(said))
}

fn fmt_greylisted(
    f: &mut fmt::Formatter<'_>,
    seconds: u32,
    since: Option<Duration>,
) -> fmt::Result {
    match since {
        None => write!(f, "seen for the first time, waits for {seconds} s"),
        Some(since) => {
            let ago = since.as_secs();
            write!(f, "first seen {ago} s ago, waits for {seconds} s more")
        }
    }
}
