//! What every store refuses, whatever it is built on.

use filter::Filter;
use mail::{QueueId, Timestamp};

use crate::operation::PENDING_MAX;
use crate::{Bulk, KeptMessage, NewMessage, Recipient, Settlement, SpoolError};

fn invalid(why: impl Into<Box<str>>) -> SpoolError {
    SpoolError::Invalid(why.into())
}

/// Why a message does not take the place of another one.
pub(crate) fn not_held(id: QueueId, number: u32) -> SpoolError {
    invalid(format!("recipient {number} of {id} is not held any longer"))
}

/// Why what was found out about a message is not what becomes of it.
pub(crate) fn not_unscreened(id: QueueId) -> SpoolError {
    invalid(format!("others of {id} are to be screened than were"))
}

/// What is kept of a message has a recipient, and none with the number of one in its `place`.
pub(crate) fn kept(kept: &KeptMessage, place: &[u32]) -> Result<(), SpoolError> {
    let id = kept.message.id;
    distinct(id, &kept.recipients)?;
    match kept
        .recipients
        .iter()
        .find(|one| place.contains(&one.number))
    {
        Some(one) => Err(invalid(format!(
            "recipient {} of {id} is there",
            one.number
        ))),
        None => Ok(()),
    }
}

/// A message has a recipient, and no two with one number.
pub(crate) fn new_message(new: &NewMessage) -> Result<(), SpoolError> {
    distinct(new.message.id, &new.recipients)
}

fn distinct(id: QueueId, recipients: &[Recipient]) -> Result<(), SpoolError> {
    if recipients.is_empty() {
        return Err(invalid(format!("message {id} has no recipient")));
    }
    let ascending = recipients
        .windows(2)
        .all(|pair| pair[0].number < pair[1].number);
    if ascending {
        return Ok(());
    }
    let mut numbers: Vec<u32> = recipients.iter().map(|r| r.number).collect();
    numbers.sort_unstable();
    if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(invalid(format!("message {id} has a recipient twice")));
    }
    Ok(())
}

/// Messages that are stored together: at least one, and none is there twice.
pub(crate) fn new_messages(all: &[NewMessage]) -> Result<(), SpoolError> {
    if all.is_empty() {
        return Err(invalid("there is no message to be stored"));
    }
    for (at, new) in all.iter().enumerate() {
        new_message(new)?;
        let id = new.message.id;
        if all[..at].iter().any(|other| other.message.id == id) {
            return Err(invalid(format!("message {id} is named twice")));
        }
    }
    Ok(())
}

/// Every notice is a message that can be stored, and none is there twice.
pub(crate) fn settlement(settlement: &Settlement) -> Result<(), SpoolError> {
    for (i, notice) in settlement.notices.iter().enumerate() {
        new_message(notice)?;
        let id = notice.message.id;
        if id == settlement.id || settlement.notices[..i].iter().any(|n| n.message.id == id) {
            return Err(invalid(format!("notice {id} is named twice")));
        }
    }
    Ok(())
}

/// There are not more operations than can be asked whenever mail goes out, and the text of the
/// filter, as it is stored, says the same when it is read again.
pub(crate) fn operation(bulk: &Bulk, pending: usize) -> Result<(), SpoolError> {
    if pending >= PENDING_MAX {
        let why = format!("{PENDING_MAX} operations are pending already: wait for one, or stop it");
        return Err(invalid(why));
    }
    let read = Filter::parse(&bulk.filter.to_string(), Timestamp::default());
    if read.as_ref() != Ok(&bulk.filter) {
        return Err(invalid("the filter is too long"));
    }
    Ok(())
}
