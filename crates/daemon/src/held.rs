//! What is read of messages that screening holds.

use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use contents::{Contents, Limits, Wanted, look_into};
use spool::{Body, Message, Spool, SpoolError};

/// A subject is looked for in so many octets of a message.
const HEADER_OCTETS: u64 = 64 * 1024;
/// Octets of text that are shown of a message.
const TEXT_OCTETS: usize = 64 * 1024;

/// The message from its first octet on, as much of it as is wanted; what is gone meanwhile has only
/// its head.
pub(crate) fn octets(
    spool: &dyn Spool,
    message: &Message,
    most: u64,
) -> Result<Vec<u8>, SpoolError> {
    let mut octets = message.head.to_vec();
    match spool.body(message.id)? {
        None => {}
        Some(Body::Memory(body)) => octets.extend_from_slice(&body),
        Some(Body::Stream(body)) => {
            let read = body.take(most).read_to_end(&mut octets);
            read.map_err(|error| SpoolError::Io(error.to_string().into()))?;
        }
    }
    Ok(octets)
}

/// The subject of a message, decoded: anything may be in it.
pub(crate) fn subject(spool: &dyn Spool, message: &Message) -> Result<String, SpoolError> {
    let octets = octets(spool, message, HEADER_OCTETS)?;
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n");
    let header = &octets[..end.map_or(octets.len(), |end| end + 2)];
    let contents = contents(header, Wanted::default());
    let subject = contents.map(|contents| contents.subject);
    Ok(subject.unwrap_or_default())
}

/// What is in a message; `None` where a parser panics at it, which is why some of them are here.
pub(crate) fn contents(message: &[u8], wanted: Wanted) -> Option<Contents> {
    let limits = Limits {
        text: TEXT_OCTETS,
        ..Limits::default()
    };
    catch_unwind(AssertUnwindSafe(|| look_into(message, wanted, &limits))).ok()
}
