//! The part for programs (RFC 3464 section 2; RFC 6533 section 3).

use std::fmt::Write;

use mail::{EnhancedStatus, OriginalRecipient};

use super::lines::{push_whole, push_wrapped};
use super::{Action, NoticeFacts, NoticeRecipient};

pub(super) fn push(text: &mut String, facts: &NoticeFacts<'_>, boundary: &str, utf8: bool) {
    let kind = if utf8 {
        "message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit"
    } else {
        "message/delivery-status"
    };
    let _ = write!(
        text,
        "\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Description: Delivery report\r\n\r\n\
         Reporting-MTA: dns; {}\r\n",
        facts.hostname,
    );
    if let Some(envid) = facts.original.envid {
        push_whole(text, "Original-Envelope-Id", &decoded(envid), utf8);
    }
    let _ = write!(
        text,
        "Arrival-Date: {}\r\n",
        facts.original.arrived.rfc5322()
    );
    for recipient in facts.recipients {
        push_recipient(text, recipient, utf8);
    }
}

fn push_recipient(text: &mut String, recipient: &NoticeRecipient<'_>, utf8: bool) {
    text.push_str("\r\n");
    if let Some(original) = recipient.original {
        let original = original_recipient(original);
        push_whole(text, "Original-Recipient", &original, utf8);
    }
    let kind = if recipient.recipient.needs_smtputf8() {
        "utf-8"
    } else {
        "rfc822"
    };
    let _ = write!(
        text,
        "Final-Recipient: {kind}; {}\r\nAction: {}\r\nStatus: {}\r\n",
        recipient.recipient,
        recipient.action.as_str(),
        status(recipient),
    );
    if let Some(reply) = &recipient.reply {
        // RFC 3464 section 2.3.5: the MTA "that returned delivery status". One that could not be
        // reached has not.
        if let Some(host) = recipient.host.filter(|_| reply.is_from_peer()) {
            push_wrapped(text, "Remote-MTA: dns;", " ", &mta_name(host), utf8);
        }
        // What no server said is in no server's language (section 2.3.6).
        let kind = if reply.is_from_peer() {
            "smtp"
        } else {
            "x-gatepost"
        };
        push_wrapped(
            text,
            &format!("Diagnostic-Code: {kind};"),
            " ",
            &reply.to_string(),
            utf8,
        );
    }
    if let Some(at) = recipient.last_attempt {
        let _ = write!(text, "Last-Attempt-Date: {}\r\n", at.rfc5322());
    }
    if let Some(until) = recipient.retry_until {
        let _ = write!(text, "Will-Retry-Until: {}\r\n", until.rfc5322());
    }
}

/// A host (as in [`mail::Failure::host`]) as RFC 3464 section 2.3.5 wants it: a domain, or an
/// address literal, without a port.
fn mta_name(host: &str) -> String {
    let name = host.split(' ').next().unwrap_or_default();
    let Some((address, _port)) = name.strip_prefix('[').and_then(|rest| rest.split_once(']'))
    else {
        return name.to_owned();
    };
    // RFC 5321 section 4.1.3 puts this tag before an IPv6 address.
    let tag = if address.contains(':') { "IPv6:" } else { "" };
    format!("[{tag}{address}]")
}

/// The server's status in the class that the action is of: a reply of 554 may stand behind a delay.
fn status(recipient: &NoticeRecipient<'_>) -> EnhancedStatus {
    let class = match recipient.action {
        // RFC 3463 section 3.5: "Delivery time expired".
        Action::Expired => {
            return EnhancedStatus {
                class: 5,
                subject: 4,
                detail: 7,
            };
        }
        Action::Failed => 5,
        Action::Delayed => 4,
        Action::Relayed | Action::Delivered => 2,
    };
    let none = EnhancedStatus {
        class,
        subject: 0,
        detail: 0,
    };
    recipient
        .reply
        .as_ref()
        .map_or(none, |reply| EnhancedStatus {
            class,
            ..reply.status()
        })
}

/// `rfc822;bob@example.com`: the address type, and the address no longer in xtext. The escapes of
/// the type `utf-8` (RFC 6533 section 3) stand as they are.
fn original_recipient(original: &OriginalRecipient) -> String {
    match original.as_str().split_once(';') {
        Some((kind, address)) if !kind.eq_ignore_ascii_case("utf-8") => {
            format!("{kind};{}", decoded(address))
        }
        Some(_) | None => original.as_str().to_owned(),
    }
}

/// Reads xtext (RFC 3461 section 4). What would decode to anything but printable ASCII and blanks
/// stays as it is.
fn decoded(xtext: &str) -> String {
    let mut plain = String::with_capacity(xtext.len());
    let mut rest = xtext;
    while let Some((before, after)) = rest.split_once('+') {
        let octet = after
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match octet.filter(|octet| matches!(octet, b' '..=b'~')) {
            Some(octet) => {
                plain.push_str(before);
                plain.push(char::from(octet));
                rest = &after[2..];
            }
            None => return xtext.to_owned(),
        }
    }
    plain.push_str(rest);
    plain
}
