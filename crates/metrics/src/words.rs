use admission::Reaction;
use engine::TurnedAway;
use mail::{Handshake, Outcome, Reply, TlsFacts};
use queue::Disposition;
use reception::{End, RefusedMessage, RefusedRecipient, SignInFailed};
use relay_policy::{Familiar, Greylisted, Grounds, Why};
use route::Assurance;
use screening::Class;

use crate::each::Word;

/// The values of a label: an enumeration with the word of each variant, or the words for one that
/// others know as well.
macro_rules! words {
    ($(#[doc = $meaning:literal])+ enum $type:ident { $($variant:ident = $word:literal,)+ }) => {
        $(#[doc = $meaning])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $type {
            $($variant,)+
        }

        words! { for $type { $($variant = $word,)+ } }
    };
    (for $type:ident { $($variant:ident = $word:literal,)+ }) => {
        impl Word for $type {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

words! {
    /// Why a client hears something else than the greeting.
    enum AtTheDoor {
        Busy = "busy",
        Rule = "rule",
        Rate = "rate",
        Early = "early",
    }
}

impl From<&TurnedAway> for AtTheDoor {
    fn from(why: &TurnedAway) -> Self {
        match why {
            TurnedAway::Busy(..) => Self::Busy,
            TurnedAway::ByRule(..) => Self::Rule,
            TurnedAway::TooOften(..) => Self::Rate,
            TurnedAway::Early => Self::Early,
        }
    }
}

// Not `words!`: their words are those of rules.
impl Word for Class {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.name()
    }
}

words! {
    for End {
        Quit = "quit",
        TurnedAround = "turned-around",
        Disconnected = "disconnected",
        TimedOut = "timed-out",
        Shutdown = "shutdown",
        TurnedAway = "turned-away",
        TooManyErrors = "too-many-errors",
        Exhausted = "exhausted",
        Garbled = "garbled",
        Hasty = "hasty",
        Foreign = "foreign",
    }
}

words! {
    /// A version of TLS with a client.
    enum Version {
        V1_2 = "1.2",
        V1_3 = "1.3",
    }
}

impl From<&TlsFacts> for Version {
    fn from(tls: &TlsFacts) -> Self {
        if tls.version == "TLSv1.2" {
            Self::V1_2
        } else {
            Self::V1_3
        }
    }
}

words! {
    /// A group of the key exchange with a client.
    enum Group {
        X25519 = "X25519",
        X25519MlKem768 = "X25519MLKEM768",
        Secp256r1 = "secp256r1",
        Secp384r1 = "secp384r1",
        Other = "other",
    }
}

words! {
    for Handshake {
        Full = "full",
        Retried = "retried",
        Resumed = "resumed",
    }
}

impl From<&TlsFacts> for Group {
    fn from(tls: &TlsFacts) -> Self {
        let mut all = Self::ALL.iter().copied();
        let named = all.find(|group| group.word().eq_ignore_ascii_case(tls.group));
        named.unwrap_or(Self::Other)
    }
}

words! {
    /// How a sign-in ended.
    enum SignIn {
        Succeeded = "succeeded",
        Refused = "refused",
        Postponed = "postponed",
    }
}

impl From<&SignInFailed> for SignIn {
    fn from(failed: &SignInFailed) -> Self {
        if failed.refusal.reply.is_transient() {
            Self::Postponed
        } else {
            Self::Refused
        }
    }
}

words! {
    for Grounds {
        OurDomain = "our-domain",
        ListedClient = "listed-client",
        SignedInUser = "signed-in-user",
        CertificateHolder = "certificate-holder",
        OwnNotice = "own-notice",
        LocalSubmission = "local-submission",
        Forwarded = "forwarded",
        ForwardedSender = "forwarded-sender",
        Filtered = "filtered",
        FilteredOfStrangers = "filtered-of-strangers",
    }
}

words! {
    /// Why a recipient was refused or postponed.
    enum NotForThem {
        RelayingDenied = "relaying-denied",
        SenderNotAllowed = "sender-not-allowed",
        RecipientNotAllowed = "recipient-not-allowed",
        Blocked = "blocked",
        DnsListed = "dns-listed",
        Greylisted = "greylisted",
        PolicyService = "policy-service",
        UnknownRecipient = "unknown-recipient",
        TlsRequired = "tls-required",
        SignInRequired = "sign-in-required",
        Limit = "limit",
        CannotTell = "cannot-tell",
        Content = "content",
        Other = "other",
    }
}

impl From<&RefusedRecipient> for NotForThem {
    fn from(refused: &RefusedRecipient) -> Self {
        match &refused.reason {
            Some(reason) => Self::of(&reason.why),
            None => Self::without_a_rule(&refused.reply),
        }
    }
}

impl NotForThem {
    fn of(why: &Why) -> Self {
        match why {
            Why::Unlisted { .. }
            | Why::NoRelayRight(_)
            | Why::NotLocal { .. }
            | Why::RoutedLocalPart => Self::RelayingDenied,
            Why::SenderNotAllowed(_) | Why::SenderNotLocal { .. } => Self::SenderNotAllowed,
            Why::NotAmongRecipients(_) => Self::RecipientNotAllowed,
            Why::BlockedSender | Why::Listed { .. } => Self::Blocked,
            Why::Domain { kind, .. } if *kind == relay_policy::DomainKind::Blocked => Self::Blocked,
            Why::DnsListed { .. } => Self::DnsListed,
            Why::Greylisted { .. } => Self::Greylisted,
            Why::Policy { .. } => Self::PolicyService,
            Why::UnknownRecipient | Why::NotTurnedBack(_) | Why::NoBounce => Self::UnknownRecipient,
            Why::RecipientUnasked | Why::DayUnknown | Why::NameUnknown { .. } => Self::CannotTell,
            Why::TlsRequired => Self::TlsRequired,
            Why::SignInRequired => Self::SignInRequired,
            Why::Onward { why, .. } => Self::of(why),
            // What speaks for a recipient is named where only a limit stood against it.
            Why::Domain { .. }
            | Why::SignedIn(_)
            | Why::Certificate(_)
            | Why::Local { .. }
            | Why::Forwarded { .. }
            | Why::ByRule { .. }
            | Why::CameBack(_)
            | Why::Taken
            | Why::TurnedBack(_) => Self::Limit,
        }
    }

    fn without_a_rule(reply: &Reply) -> Self {
        let status = reply.status();
        match (reply.code(), status.subject, status.detail) {
            (452, ..) => Self::Limit,
            (550, 1, 1) => Self::UnknownRecipient,
            (451, ..) => Self::CannotTell,
            _ => Self::Other,
        }
    }
}

words! {
    /// Why a message was refused or postponed.
    enum NotTaken {
        TooLarge = "too-large",
        NoRoom = "no-room",
        Storage = "storage",
        Loop = "loop",
        Content = "content",
        Policy = "policy",
        Other = "other",
    }
}

impl From<&RefusedMessage> for NotTaken {
    fn from(refused: &RefusedMessage) -> Self {
        let status = refused.reply.status();
        match (refused.reply.code(), status.subject, status.detail) {
            (552, ..) => Self::TooLarge,
            (_, 3, 1) => Self::NoRoom,
            (451, 3, _) => Self::Storage,
            (_, 4, 6) => Self::Loop,
            (_, 6, _) => Self::Content,
            (_, 7, _) => Self::Policy,
            _ => Self::Other,
        }
    }
}

words! {
    for Reaction {
        Tell = "told",
        Postpone = "postponed",
        Hold = "held",
    }
}

words! {
    /// What greylisting made of a recipient.
    enum Met {
        Waits = "waits",
        Retried = "retried",
        Known = "known",
        Network = "network",
        SenderDomain = "sender-domain",
    }
}

impl From<&Greylisted> for Met {
    fn from(greylisted: &Greylisted) -> Self {
        match greylisted {
            Greylisted::Waits { .. } => Self::Waits,
            Greylisted::Passes(Familiar::Retried { .. }) => Self::Retried,
            Greylisted::Passes(Familiar::Triplet) => Self::Known,
            Greylisted::Passes(Familiar::Network { .. }) => Self::Network,
            Greylisted::Passes(Familiar::SenderDomain(_)) => Self::SenderDomain,
        }
    }
}

words! {
    /// What an attempt did for a recipient.
    enum Tried {
        Delivered = "delivered",
        Deferred = "deferred",
        Failed = "failed",
    }
}

impl From<&Outcome> for Tried {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Delivered(_) => Self::Delivered,
            Outcome::Deferred(_) => Self::Deferred,
            Outcome::Failed(_) => Self::Failed,
        }
    }
}

words! {
    for Assurance {
        Clear = "clear",
        Encrypted = "encrypted",
        Verified = "verified",
        MtaSts = "mta-sts",
        Dane = "dane",
        TestingPassed = "mta-sts-testing-passed",
        TestingFailed = "mta-sts-testing-failed",
    }
}

words! {
    /// How a recipient left the queue.
    enum Fate {
        Delivered = "delivered",
        Failed = "failed",
        Expired = "expired",
        Badmail = "badmail",
        Dropped = "dropped",
    }
}

impl Fate {
    /// `None`: it is tried again.
    pub(crate) fn of(disposition: &Disposition) -> Option<Self> {
        match disposition {
            Disposition::Delivered(_) => Some(Self::Delivered),
            Disposition::TryAgain { .. } => None,
            Disposition::GiveUp(end) if end.expired => Some(Self::Expired),
            Disposition::GiveUp(_) => Some(Self::Failed),
            Disposition::Badmail(_) => Some(Self::Badmail),
            Disposition::Dropped(_) => Some(Self::Dropped),
        }
    }
}

words! {
    /// What became of a file of the pickup directory.
    enum PickedUp {
        Accepted = "accepted",
        Postponed = "postponed",
        Refused = "refused",
    }
}

words! {
    /// How an order of a certificate by ACME ended.
    enum Ordered {
        Issued = "issued",
        Failed = "failed",
    }
}

/// How somebody came in at the console, or that he did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtConsole {
    /// By name and password.
    Password,
    /// By a one-time link.
    Link,
    /// By the word of an issuer.
    Issuer,
    /// Not at all.
    Refused,
}

impl AtConsole {
    /// Its word, in metrics and in the log.
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

words! {
    for AtConsole {
        Password = "password",
        Link = "link",
        Issuer = "issuer",
        Refused = "refused",
    }
}

words! {
    /// By which command a client asked for its mail.
    enum AskedBy {
        Etrn = "etrn",
        Atrn = "atrn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who finds something in the log looks for it among the metrics by the same word.
    #[test]
    fn words_of_the_log_are_the_values_of_labels() {
        for grounds in Grounds::ALL {
            assert_eq!(grounds.word(), grounds.as_str());
        }
        for assurance in Assurance::ALL {
            assert_eq!(assurance.word(), assurance.to_string());
        }
    }
}
