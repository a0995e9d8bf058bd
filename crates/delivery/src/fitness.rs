//! Whether a message can go to this server at all, and in which way: decided from the server's
//! offers before a word is said.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use mail::{BodyKind, Domain, MailParameters, RcptParameters, Reply, ReversePath};
use message::EightBitUse;
use smtp::{Offers, Origin, Source};
use spool::{Message, Recipient};

use crate::{EightBit, Protocol, Settings, Transaction};

/// How a message is sent to this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Commands go out in one write (RFC 2920).
    pub pipelining: bool,
    /// Content goes by BDAT (RFC 3030).
    pub chunking: bool,
    /// The sender's wishes for notices go along (RFC 3461).
    pub dsn: bool,
    /// `SIZE=` is told (RFC 1870).
    pub size: bool,
    /// What else MAIL tells: the parameters of the message, as far as the server offers to take
    /// them. With SMTPUTF8 (RFC 6531) addresses go out as they were written, without it domains go
    /// as A-labels.
    pub parameters: MailParameters,
    /// Recipients with NOTIFY=NEVER have the null reverse path (RFC 3461 section 5.2.2).
    pub never_as_null: bool,
    /// Each recipient has a reply of its own after the content (RFC 2033 section 4.2).
    pub per_recipient: bool,
    /// It is a filter of ours, which is to give back all that it is told.
    pub is_filter: bool,
    /// What is said before each MAIL of where the message came from (XFORWARD).
    pub origin: Vec<String>,
    /// Recipients in one transaction; at least one.
    pub recipients_max: usize,
}

/// How `transaction` goes to a server that offers this, or the refusal of the whole message.
pub(crate) fn plan(
    transaction: &Transaction,
    offers: &Offers,
    settings: &Settings,
) -> Result<Plan, Reply> {
    let message = &transaction.message;
    let used = eight_bit_use(transaction);
    check_size(message.size, offers)?;
    let sender_needs = transaction.reverse_path.in_ascii().is_none();
    if message.parameters.smtputf8 && !offers.smtputf8 && (sender_needs || used.header) {
        return Err(no_smtputf8());
    }
    if used.anywhere && !offers.eight_bit_mime {
        match transaction.eight_bit_policy {
            EightBit::Send => {}
            EightBit::Bounce => return Err(no_eight_bit()),
        }
    }
    let limit = offers
        .recipients_max
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(usize::MAX);
    Ok(Plan {
        pipelining: offers.pipelining,
        chunking: offers.chunking,
        dsn: offers.dsn,
        size: offers.size.is_some(),
        parameters: parameters(&message.parameters, used, offers),
        never_as_null: settings.never_as_null
            && !offers.dsn
            && transaction.reverse_path != ReversePath::Null,
        is_filter: settings.is_filter,
        origin: if settings.is_filter {
            origin(message).commands(&offers.xforward)
        } else {
            Vec::new()
        },
        per_recipient: settings.protocol == Protocol::Lmtp,
        recipients_max: settings.recipients_max.min(limit).max(1),
    })
}

/// Where the message came from, as a filter may know it: what is stored of it, and the rest as our own
/// `Received` has it.
fn origin(message: &Message) -> Origin {
    let received = message::read_received(&message.head);
    let known = |text: &str| (!text.is_empty()).then(|| text.into());
    // Handed in on this machine: a filter may pass on nothing without an address.
    let here = (!message.from_stranger).then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Origin {
        name: received.and_then(|received| Domain::parse(received.client_name?).ok()),
        address: message.client.parse().ok().or(here),
        port: None,
        protocol: received.and_then(|received| known(received.protocol)),
        helo: received.and_then(|received| known(received.helo)),
        ident: Some(message.id.to_string().into()),
        source: Some(match message.from_stranger {
            true => Source::Remote,
            false => Source::Local,
        }),
    }
}

/// What MAIL tells a server that offers this.
fn parameters(wanted: &MailParameters, used: EightBitUse, offers: &Offers) -> MailParameters {
    let eight_bit = used.anywhere || wanted.body == BodyKind::EightBit;
    MailParameters {
        body: if offers.eight_bit_mime && eight_bit {
            BodyKind::EightBit
        } else {
            BodyKind::SevenBit
        },
        smtputf8: wanted.smtputf8 && offers.smtputf8,
        // RFC 3461 section 5.2.1: RET and ENVID go along as they came.
        ret: wanted.ret.filter(|_| offers.dsn),
        envid: wanted.envid.clone().filter(|_| offers.dsn),
    }
}

impl Plan {
    /// What RCPT tells of this recipient beside its address.
    pub(crate) fn parameters_of<'a>(
        &self,
        recipient: &'a Recipient,
    ) -> Option<Cow<'a, RcptParameters>> {
        let parameters = &recipient.parameters;
        let told = if self.is_filter {
            let original = parameters.original.as_ref();
            Cow::Owned(RcptParameters {
                original: recipient.admitted.original_for_filter(original),
                ..parameters.clone()
            })
        } else {
            Cow::Borrowed(parameters)
        };
        self.dsn.then_some(told)
    }
}

/// The refusal of one recipient whose address the server cannot read.
///
/// RFC 6531 section 3.2: such an address must not be sent to a server that does not offer SMTPUTF8.
/// Where only the domain is beyond ASCII, its A-labels are sent.
pub(crate) fn refused_recipient(recipient: &Recipient, offers: &Offers) -> Option<Reply> {
    let needs = recipient.admitted.recipient().in_ascii().is_none();
    (needs && !offers.smtputf8).then(no_smtputf8)
}

/// What was found in the content; when nobody looked, what the client declared.
fn eight_bit_use(transaction: &Transaction) -> EightBitUse {
    let parameters = &transaction.message.parameters;
    transaction.eight_bit.unwrap_or(EightBitUse {
        header: parameters.smtputf8,
        anywhere: parameters.smtputf8 || parameters.body == BodyKind::EightBit,
    })
}

fn check_size(size: u64, offers: &Offers) -> Result<(), Reply> {
    match offers.size.flatten() {
        Some(limit) if size > limit => {
            let text = format!("The message has {size} octets, the next server takes {limit}");
            Err(Reply::new(552, 3, 4, text))
        }
        Some(_) | None => Ok(()),
    }
}

/// An address, or the header, needs what the server does not offer.
pub(crate) fn no_smtputf8() -> Reply {
    Reply::new(
        550,
        6,
        7,
        "The next server does not take addresses or headers beyond ASCII",
    )
}

fn no_eight_bit() -> Reply {
    Reply::new(
        554,
        6,
        3,
        "The next server does not take 8-bit content, and it is not converted",
    )
}
