//! The part for people: what happened, to whom, what the server said, what to do.

use std::fmt::Write;

use mail::{ReversePath, Timestamp};

use super::lines::push_wrapped;
use super::{Action, NoticeFacts, NoticeRecipient};

/// In the order in which they are told.
const ACTIONS: [Action; 5] = [
    Action::Failed,
    Action::Expired,
    Action::Delayed,
    Action::Relayed,
    Action::Delivered,
];

pub(super) fn push(text: &mut String, facts: &NoticeFacts<'_>, boundary: &str, utf8: bool) {
    let (charset, encoding) = if utf8 {
        ("utf-8", "8bit")
    } else {
        ("us-ascii", "7bit")
    };
    let _ = write!(
        text,
        "\r\n--{boundary}\r\n\
         Content-Type: text/plain; charset={charset}\r\n\
         Content-Transfer-Encoding: {encoding}\r\n\
         Content-Description: Notice\r\n\r\n\
         This is the mail relay {}.\r\n",
        facts.hostname,
    );
    if let Some(sender) = facts.copy_of {
        push_copy(text, sender, utf8);
    }
    for action in ACTIONS {
        push_group(text, facts, action, utf8);
    }
    let arrived = facts.original.arrived.rfc5322();
    let _ = write!(
        text,
        "\r\nThe message came here on {arrived}.\r\nIn our log it is called {}.\r\n",
        facts.original.id,
    );
}

/// Whoever reads a copy did not send the message.
fn push_copy(text: &mut String, sender: &ReversePath, utf8: bool) {
    let words = match sender {
        ReversePath::Mailbox(_) => {
            format!("This is a copy of the notice that the sender of the message, {sender}, gets.")
        }
        ReversePath::Null => {
            "The message is a notice of this relay, which has no sender who could be told.".into()
        }
    };
    text.push_str("\r\n");
    push_wrapped(text, "", "", &words, utf8);
}

/// What happened, whom it concerns, what to do.
fn push_group(text: &mut String, facts: &NoticeFacts<'_>, action: Action, utf8: bool) {
    let mut recipients = facts
        .recipients
        .iter()
        .filter(|r| r.action == action)
        .peekable();
    if recipients.peek().is_none() {
        return;
    }
    text.push_str("\r\n");
    push_wrapped(text, "", "", what_happened(action), utf8);
    for recipient in recipients {
        push_recipient(text, recipient, utf8);
    }
    text.push_str("\r\n");
    push_wrapped(text, "", "", what_to_do(action), utf8);
}

fn push_recipient(text: &mut String, recipient: &NoticeRecipient<'_>, utf8: bool) {
    let _ = write!(text, "\r\n<{}>\r\n", recipient.recipient);
    if let Some(reply) = &recipient.reply {
        let who = match recipient.host {
            Some(host) if reply.is_from_peer() => format!("{host} said:"),
            Some(host) => format!("This relay says of {host}:"),
            None => "This relay says:".to_owned(),
        };
        push_wrapped(text, "    ", "    ", &who, utf8);
        push_wrapped(text, "    ", "    ", &reply.to_string(), utf8);
    }
    if let Some(until) = recipient.retry_until {
        push_date(text, "    It is tried until", until);
    }
}

fn push_date(text: &mut String, words: &str, at: Timestamp) {
    let _ = write!(text, "{words} {}.\r\n", at.rfc5322());
}

fn what_happened(action: Action) -> &'static str {
    match action {
        Action::Failed => {
            "Your message was not delivered to the following recipients, and it was given up for the reason that follows:"
        }
        Action::Expired => {
            "Your message was not delivered to the following recipients. It was tried again and again, and now the time for it is up:"
        }
        Action::Delayed => "Your message has not yet been delivered to the following recipients:",
        Action::Relayed => {
            "Your message was passed on for the following recipients, to a server that may not tell you of its delivery:"
        }
        Action::Delivered => "Your message was delivered to the following recipients:",
    }
}

fn what_to_do(action: Action) -> &'static str {
    match action {
        Action::Failed => {
            "It will not be tried again. Please check the address; if it is right, the answer above tells the reason, and \
             whoever gave it can say more."
        }
        Action::Expired => {
            "It will not be tried again. You may send it once more later, or reach the recipient another way."
        }
        Action::Delayed => {
            "This is only a warning: you need not send it again. It is still being tried, and you will hear from us if it fails."
        }
        Action::Relayed | Action::Delivered => "You asked for this notice. There is nothing to do.",
    }
}
