//! A message that is sent as somebody else: its author in the header.

use std::borrow::Cow;

use mail::Mailbox;

use crate::display_name;
use crate::mailbox_list::{ListedMailbox, listed_mailboxes};
use crate::raw_field::RawField;

/// RFC 5322 section 2.1.1: lines "SHOULD be no more than 78 characters".
const LINE_LEN: usize = 78;

/// A header from `author` alone: one From with that address and the display name of the first
/// author before, at the place where From was.
///
/// Where nobody said where answers go, they go to those of the authors before whom `reaches` finds.
/// RFC 5322 section 3.6.2: Sender "SHOULD NOT be used" where the author is the one who sends. All
/// other octets stay. `header` ends before the empty line.
pub fn with_author(header: &[u8], author: &Mailbox, reaches: &dyn Fn(&Mailbox) -> bool) -> Vec<u8> {
    let address = author.in_ascii().unwrap_or(author.as_str().into());
    let fields = || RawField::all(header);
    let authors: Vec<ListedMailbox<'_>> = fields()
        .filter(|field| field.is("From"))
        .flat_map(|field| listed_mailboxes(field.value))
        .collect();
    let answered = fields().any(|field| field.is("Reply-To"));
    let reached = authors.iter().filter_map(|listed| {
        let mailbox = listed.mailbox().filter(reaches)?;
        let bare = || format!("<{mailbox}>").into_bytes().into();
        Some(if listed.is_sound {
            listed.raw.into()
        } else {
            bare()
        })
    });
    let readers: Vec<Cow<'_, [u8]>> = reached.filter(|_| !answered).collect();
    let mut own = from(&authors, &address);
    if !readers.is_empty() {
        own.extend_from_slice(b"Reply-To: ");
        own.extend_from_slice(&readers.join(&b",\r\n "[..]));
        own.extend_from_slice(b"\r\n");
    }
    let mut written = Vec::with_capacity(header.len() + own.len() + 2);
    let mut own = Some(own);
    for field in fields() {
        if field.is("From") {
            written.extend(own.take().unwrap_or_default());
        } else if !field.is("Sender") {
            written.extend_from_slice(field.raw);
        }
    }
    if let Some(own) = own {
        if !written.is_empty() && !written.ends_with(b"\n") {
            written.extend_from_slice(b"\r\n");
        }
        written.extend(own);
    }
    written
}

/// The field, with what the first author was called, where that may stand there.
fn from(authors: &[ListedMailbox<'_>], address: &str) -> Vec<u8> {
    let first = authors.iter().find(|listed| listed.mailbox().is_some());
    let first = first.or_else(|| authors.first());
    let first = first.filter(|listed| listed.is_sound);
    let mut field = b"From: ".to_vec();
    if let Some(name) = first.and_then(|listed| listed.name) {
        field.extend(display_name::without_at(name));
        let line = field.rsplit(|octet| *octet == b'\n').next();
        let fits = line.is_some_and(|line| line.len() + address.len() + 3 <= LINE_LEN);
        field.extend_from_slice(if fits { b" " } else { b"\r\n " });
    }
    field.extend_from_slice(format!("<{address}>").as_bytes());
    if let Some(comment) = first.and_then(|listed| listed.comment) {
        field.push(b' ');
        field.extend(display_name::without_at(comment));
    }
    field.extend_from_slice(b"\r\n");
    field
}

#[cfg(test)]
mod tests;
