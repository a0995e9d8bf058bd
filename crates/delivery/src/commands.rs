//! MAIL and RCPT as they go out.

use mail::ReversePath;
use spool::{Message, Recipient};

use crate::fitness::Plan;
use crate::wire::Wire;

/// `MAIL FROM:<ann@example.com> SIZE=...`
pub(crate) fn write_mail(
    output: &mut Wire,
    message: &Message,
    reverse_path: &ReversePath,
    plan: &Plan,
) {
    let ascii = reverse_path
        .in_ascii()
        .filter(|_| !plan.parameters.smtputf8);
    let path = ascii.as_deref().unwrap_or(reverse_path.as_str());
    let parameters = &plan.parameters;
    if plan.size {
        let size = message.size;
        output.command(format_args!("MAIL FROM:<{path}> SIZE={size}{parameters}"));
    } else {
        output.command(format_args!("MAIL FROM:<{path}>{parameters}"));
    }
}

/// `RCPT TO:<bob@example.com> ...`
pub(crate) fn write_rcpt(output: &mut Wire, recipient: &Recipient, plan: &Plan) {
    let mailbox = recipient.admitted.recipient();
    let ascii = mailbox.in_ascii().filter(|_| !plan.parameters.smtputf8);
    let address = ascii.as_deref().unwrap_or(mailbox.as_str());
    match plan.parameters_of(recipient) {
        Some(parameters) => output.command(format_args!("RCPT TO:<{address}>{parameters}")),
        None => output.command(format_args!("RCPT TO:<{address}>")),
    }
}
