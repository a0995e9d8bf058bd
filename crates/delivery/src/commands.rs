//! MAIL and RCPT as they go out.

use std::io::Write;

use mail::{OriginalRecipient, Ret, ReversePath};
use spool::{Message, Recipient};

use crate::fitness::Plan;

/// `MAIL FROM:<ann@example.com> SIZE=...`
pub(crate) fn write_mail(
    output: &mut Vec<u8>,
    message: &Message,
    reverse_path: &ReversePath,
    plan: &Plan,
) {
    let ascii = reverse_path.in_ascii().filter(|_| !plan.smtputf8);
    let path = ascii.as_deref().unwrap_or(reverse_path.as_str());
    write(output, format_args!("MAIL FROM:<{path}>"));
    if plan.size {
        write(output, format_args!(" SIZE={}", message.size));
    }
    if plan.eight_bit {
        output.extend_from_slice(b" BODY=8BITMIME");
    }
    if plan.smtputf8 {
        output.extend_from_slice(b" SMTPUTF8");
    }
    if plan.dsn {
        write_return(output, message);
    }
    output.extend_from_slice(b"\r\n");
}

/// RFC 3461 section 5.2.1: RET and ENVID go along as they came.
fn write_return(output: &mut Vec<u8>, message: &Message) {
    match message.ret {
        Some(Ret::Full) => output.extend_from_slice(b" RET=FULL"),
        Some(Ret::Headers) => output.extend_from_slice(b" RET=HDRS"),
        None => {}
    }
    // The spool keeps it as text: a damaged one must not become a second command.
    if let Some(envid) = message
        .envid
        .as_deref()
        .filter(|e| e.bytes().all(|b| b.is_ascii_graphic()))
    {
        write(output, format_args!(" ENVID={envid}"));
    }
}

/// `RCPT TO:<bob@example.com> ...`
pub(crate) fn write_rcpt(output: &mut Vec<u8>, recipient: &Recipient, plan: &Plan) {
    let mailbox = recipient.admitted.recipient();
    let ascii = mailbox.in_ascii().filter(|_| !plan.smtputf8);
    let address = ascii.as_deref().unwrap_or(mailbox.as_str());
    write(output, format_args!("RCPT TO:<{address}>"));
    if plan.dsn {
        if let Some(notify) = recipient.notify {
            write(output, format_args!(" NOTIFY={notify}"));
        }
        if let Some(original) = recipient.original.as_ref().map(OriginalRecipient::as_str) {
            write(output, format_args!(" ORCPT={original}"));
        }
    }
    output.extend_from_slice(b"\r\n");
}

pub(crate) fn write(output: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    let _ = output.write_fmt(text);
}
