//! Whether a message can go to this server at all, and in which way: decided from the server's
//! offers before a word is said.

use mail::{BodyKind, Reply, ReversePath};
use message::EightBitUse;
use smtp::Offers;
use spool::Recipient;

use crate::{EightBit, Settings, Transaction};

/// How a message is sent to this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Commands go out in one write (RFC 2920).
    pub pipelining: bool,
    /// Content goes by BDAT (RFC 3030).
    pub chunking: bool,
    /// The sender's wishes for notices go along (RFC 3461).
    pub dsn: bool,
    /// `SIZE=` is told (RFC 1870).
    pub size: bool,
    /// `BODY=8BITMIME` is told (RFC 6152).
    pub eight_bit: bool,
    /// `SMTPUTF8` is told (RFC 6531); addresses go out as they were written. Without it, domains go
    /// as A-labels.
    pub smtputf8: bool,
    /// Recipients with NOTIFY=NEVER have the null reverse path (RFC 3461 section 5.2.2).
    pub never_as_null: bool,
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
    let sender_needs = message.reverse_path.in_ascii().is_none();
    if message.smtputf8 && !offers.smtputf8 && (sender_needs || used.header) {
        return Err(no_smtputf8());
    }
    if used.anywhere && !offers.eight_bit_mime {
        match transaction.eight_bit_policy {
            EightBit::Send => {}
            EightBit::Bounce => return Err(no_eight_bit()),
        }
    }
    let declared = message.body == BodyKind::EightBit;
    let limit = offers
        .recipients_max
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(usize::MAX);
    Ok(Plan {
        pipelining: offers.pipelining,
        chunking: offers.chunking,
        dsn: offers.dsn,
        size: offers.size.is_some(),
        eight_bit: offers.eight_bit_mime && (used.anywhere || declared),
        smtputf8: offers.smtputf8 && message.smtputf8,
        never_as_null: settings.never_as_null
            && !offers.dsn
            && message.reverse_path != ReversePath::Null,
        recipients_max: settings.recipients_max.min(limit).max(1),
    })
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
    let message = &transaction.message;
    transaction.eight_bit.unwrap_or(EightBitUse {
        header: message.smtputf8,
        anywhere: message.smtputf8 || message.body == BodyKind::EightBit,
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

fn no_smtputf8() -> Reply {
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
