use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use mail::{Domain, Mailbox, Timestamp};

use crate::{Approach, Consultation, Consulted, Fact, Greylisted, Rights};

/// What a decision must know of the world before it can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The name of this address by reverse DNS, confirmed by a forward look-up that leads back to
    /// the address.
    ConfirmedName(IpAddr),
    /// What the DNS lists of the rules say of this address; every list is asked.
    Listings(IpAddr),
    /// Whether this recipient exists.
    Recipient {
        /// The recipient that is asked about.
        mailbox: Mailbox,
        /// Who is asked whether the recipient exists.
        source: RecipientSource,
    },
    /// Whether these were here before. Asked of a recipient that nothing else stands against but, may
    /// be, policy services.
    Greylist(Box<Approach>),
    /// What policy services say. Asked last, of a recipient that nothing else stands against.
    Consult(Box<Consultation>),
}

/// Who is asked whether a recipient exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecipientSource {
    /// The directory of this name: `[ldap.NAME]`.
    Ldap(Arc<str>),
    /// The server to which the domain's mail goes, by RCPT.
    NextHop,
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The answer to [`Question::ConfirmedName`]: the client's confirmed name, if it has one.
    ConfirmedName(Fact<Domain>),
    /// To [`Question::Listings`]: one for each list that knows the address. A list that could not
    /// be asked has no say.
    Listings(Arc<[Listing]>),
    /// To [`Question::Recipient`], about this recipient.
    Recipient(Mailbox, Fact<()>),
    /// To [`Question::Greylist`].
    Greylist(Greylisted),
    /// To [`Question::Consult`].
    Consulted(Consulted),
}

/// What one DNS list answered about a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The DNS zone of the list.
    pub zone: Domain,
    /// Its answers, `127.0.0.2` and the like.
    pub codes: Box<[Ipv4Addr]>,
}

/// What has been found out about a client so far; a fact that nobody asked for yet is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The client's forward-confirmed name.
    pub confirmed_name: Option<Fact<Domain>>,
    /// What DNS lists say of the client.
    pub listings: Option<Arc<[Listing]>>,
    /// The recipients that were asked about, and whether they exist: the one that was named last, and
    /// those to whom its mail goes on.
    pub recipients: Vec<(Mailbox, Fact<()>)>,
    /// Whether the recipient that was named last has to be named again later.
    pub greylisted: Option<Greylisted>,
    /// What policy services say of the recipient that was named last.
    pub consulted: Option<Consulted>,
    /// What the system's clock shows: an address that stands for a sender is good for some days.
    pub now: Option<Timestamp>,
    /// What the user who signed in may do. A user whose rights are not known has none.
    pub rights: Option<Arc<Rights>>,
    /// Of what comes back from a filter: it says that somebody had sent it who may relay.
    pub came_of_ours: bool,
}

impl Facts {
    /// Takes an answer, for the next run of the decision.
    pub fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::ConfirmedName(fact) => self.confirmed_name = Some(fact),
            Answer::Listings(listings) => self.listings = Some(listings),
            Answer::Recipient(mailbox, fact) => self.recipients.push((mailbox, fact)),
            Answer::Greylist(greylisted) => self.greylisted = Some(greylisted),
            Answer::Consulted(consulted) => self.consulted = Some(consulted),
        }
    }

    /// Another recipient is named: what was found out about the one before it does not hold of it.
    pub fn forget_recipient(&mut self) {
        self.recipients.clear();
        self.greylisted = None;
        self.consulted = None;
    }
}
