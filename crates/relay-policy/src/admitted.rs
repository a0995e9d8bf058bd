use std::fmt;

use mail::Mailbox;

/// Why a recipient was let in. Stored with the message, so that what waits was admitted once and
/// for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grounds {
    /// The recipient's domain is one of ours.
    OurDomain,
    /// The client is listed as one that may relay.
    ListedClient,
    /// The client signed in.
    SignedInUser,
    /// The client showed a certificate whose holder may relay.
    CertificateHolder,
    /// A notice of our own (RFC 3464) to the sender of a message that we carried.
    OwnNotice,
    /// Handed in on this machine.
    LocalSubmission,
    /// A recipient elsewhere to whom the configuration forwards one of ours.
    Forwarded,
    /// The sender of a message that we forwarded, named by the address that we gave it (SRS).
    ForwardedSender,
}

impl Grounds {
    const ALL: [(Grounds, &'static str); 8] = [
        (Grounds::OurDomain, "our-domain"),
        (Grounds::ListedClient, "listed-client"),
        (Grounds::SignedInUser, "signed-in-user"),
        (Grounds::CertificateHolder, "certificate-holder"),
        (Grounds::OwnNotice, "own-notice"),
        (Grounds::LocalSubmission, "local-submission"),
        (Grounds::Forwarded, "forwarded"),
        (Grounds::ForwardedSender, "forwarded-sender"),
    ];

    /// Whether anybody may have sent to a recipient on these grounds.
    pub fn is_of_strangers(self) -> bool {
        match self {
            Self::OurDomain | Self::Forwarded | Self::ForwardedSender => true,
            Self::ListedClient
            | Self::SignedInUser
            | Self::CertificateHolder
            | Self::OwnNotice
            | Self::LocalSubmission => false,
        }
    }

    /// The word by which the grounds are stored and logged.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(grounds, _)| *grounds == self)
            .map_or("", |(_, word)| word)
    }

    /// Reads what [`Grounds::as_str`] gave.
    pub fn from_stored(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, w)| *w == word)
            .map(|(grounds, _)| *grounds)
    }
}

impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A recipient that may be carried, and why. Cannot be built outside this crate but by the three
/// ways below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    recipient: Mailbox,
    grounds: Grounds,
}

impl Admitted {
    /// For `decide` and `forwarded` alone.
    pub(crate) fn new(recipient: Mailbox, grounds: Grounds) -> Self {
        Self { recipient, grounds }
    }

    /// The sender of a message that we carried, as recipient of our notice about it.
    pub fn own_notice(sender: Mailbox) -> Self {
        Self::new(sender, Grounds::OwnNotice)
    }

    /// A recipient read back from the spool, where only admitted ones are written.
    pub fn from_stored(recipient: Mailbox, grounds: Grounds) -> Self {
        Self::new(recipient, grounds)
    }

    /// Who is to get the message.
    pub fn recipient(&self) -> &Mailbox {
        &self.recipient
    }

    /// Why that is allowed.
    pub fn grounds(&self) -> Grounds {
        self.grounds
    }
}
