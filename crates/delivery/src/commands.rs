//! MAIL and RCPT as they go out.

use std::io::Write;

use mail::ReversePath;
use spool::{Message, Recipient};

use crate::fitness::Plan;

/// `MAIL FROM:<ann@example.com> SIZE=...`
pub(crate) fn write_mail(
    output: &mut Vec<u8>,
    message: &Message,
    reverse_path: &ReversePath,
    plan: &Plan,
) {
    let ascii = reverse_path
        .in_ascii()
        .filter(|_| !plan.parameters.smtputf8);
    let path = ascii.as_deref().unwrap_or(reverse_path.as_str());
    write(output, format_args!("MAIL FROM:<{path}>"));
    if plan.size {
        write(output, format_args!(" SIZE={}", message.size));
    }
    write(output, format_args!("{}\r\n", plan.parameters));
}

/// `RCPT TO:<bob@example.com> ...`
pub(crate) fn write_rcpt(output: &mut Vec<u8>, recipient: &Recipient, plan: &Plan) {
    let mailbox = recipient.admitted.recipient();
    let ascii = mailbox.in_ascii().filter(|_| !plan.parameters.smtputf8);
    let address = ascii.as_deref().unwrap_or(mailbox.as_str());
    write(output, format_args!("RCPT TO:<{address}>"));
    if let Some(parameters) = plan.parameters_of(recipient) {
        write(output, format_args!("{parameters}"));
    }
    output.extend_from_slice(b"\r\n");
}

pub(crate) fn write(output: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    let _ = output.write_fmt(text);
}
