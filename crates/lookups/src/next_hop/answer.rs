//! What a reply to RCPT says about the recipient.

use mail::Reply;
use relay_policy::Fact;

/// What the answer to RCPT says about the recipient. Only a refusal of this very recipient is a no:
/// policy, full mailboxes and faults of the server say nothing about who exists.
pub(super) fn judged(reply: &Reply) -> Fact<()> {
    if reply.is_positive() {
        return Fact::Yes(());
    }
    if !reply.is_permanent() {
        return Fact::CannotTell;
    }
    let status = reply.has_status().then(|| reply.status());
    match status.map(|status| (status.subject, status.detail)) {
        // Addressing status: bad mailbox, bad domain, moved.
        Some((1, _)) => Fact::No,
        // Policy; a mailbox that is full, and one for which the message is too long.
        Some((7, _) | (2, 2 | 3)) => Fact::CannotTell,
        // RFC 5321 section 4.2.3: mailbox unavailable, user not local, mailbox name not allowed.
        Some(_) | None if matches!(reply.code(), 550 | 551 | 553) => Fact::No,
        Some(_) | None => Fact::CannotTell,
    }
}

#[cfg(test)]
mod tests {
    use smtp::ReplyReader;

    use super::*;

    #[test]
    fn only_a_refusal_of_the_recipient_is_a_no() {
        let cases = [
            ("250 2.1.5 ok", Fact::Yes(())),
            ("251 will forward", Fact::Yes(())),
            ("550 5.1.1 unknown", Fact::No),
            ("550 no such user", Fact::No),
            (
                "550 5.4.1 Recipient address rejected: Access denied",
                Fact::No,
            ),
            ("550 5.2.1 disabled", Fact::No),
            ("551 user not local", Fact::No),
            ("553 5.1.3 bad address", Fact::No),
            ("501 5.1.3 bad address", Fact::No),
            ("554 5.1.0 unknown", Fact::No),
            ("550 5.7.1 relaying denied", Fact::CannotTell),
            ("554 go away", Fact::CannotTell),
            ("552 5.2.2 full", Fact::CannotTell),
            ("552 full", Fact::CannotTell),
            (
                "530 5.7.0 Must issue a STARTTLS command first",
                Fact::CannotTell,
            ),
            ("503 bad sequence", Fact::CannotTell),
            ("450 4.2.0 greylisted", Fact::CannotTell),
            ("421 closing", Fact::CannotTell),
            ("354 what", Fact::CannotTell),
        ];
        for (text, expected) in cases {
            let line = format!("{text}\r\n");
            let reply = ReplyReader::new().read(&mut line.as_bytes()).unwrap();
            let reply = reply.unwrap();
            assert_eq!(judged(reply.reply()), expected, "{text}");
        }
    }
}
