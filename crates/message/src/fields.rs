use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;

use mail::{Domain, Host, Mailbox, QueueId, ReversePath, Timestamp, TlsFacts};

/// How the message came to us; printed behind `with` in `Received` (RFC 3848, RFC 6531 section
/// 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protocol {
    /// EHLO rather than HELO.
    pub extended: bool,
    /// The message was sent with SMTPUTF8.
    pub smtputf8: bool,
    /// The connection was encrypted.
    pub tls: bool,
    /// The client signed in.
    pub signed_in: bool,
}

impl Protocol {
    /// `SMTP`, `ESMTP`, `ESMTPSA`, `UTF8SMTPS` ...
    pub fn as_str(self) -> &'static str {
        match (self.smtputf8, self.extended, self.tls, self.signed_in) {
            (true, _, false, false) => "UTF8SMTP",
            (true, _, true, false) => "UTF8SMTPS",
            (true, _, false, true) => "UTF8SMTPA",
            (true, _, true, true) => "UTF8SMTPSA",
            (false, false, false, false) => "SMTP",
            (false, true, false, false) => "ESMTP",
            // There is neither TLS nor sign-in without EHLO.
            (false, _, true, false) => "ESMTPS",
            (false, _, false, true) => "ESMTPA",
            (false, _, true, true) => "ESMTPSA",
        }
    }
}

/// What a `Received` field tells.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedFacts<'a> {
    /// What the client called itself, as it came; hostile until shown.
    pub helo: &'a str,
    /// The address from which the client connected.
    pub client_address: IpAddr,
    /// The account of this machine that handed it in; the address is then loopback.
    pub uid: Option<u32>,
    /// The client's confirmed name, when one was looked up.
    pub client_name: Option<&'a Domain>,
    /// The session's encryption, if it had any.
    pub tls: Option<&'a TlsFacts>,
    /// The name under which we took the message.
    pub by: &'a Domain,
    /// The way in which it came, named behind `with`.
    pub protocol: Protocol,
    /// The message's name in the spool.
    pub id: QueueId,
    /// The recipient, only when there is exactly one: with more, one would learn of the others (RFC
    /// 5321 section 7.2).
    pub recipient: Option<&'a Mailbox>,
    /// When we took the message.
    pub now: Timestamp,
}

/// The `Received` field for a message, folded, ending in CRLF (RFC 5321 section 4.4).
///
/// ASCII, unless the local part of the one recipient is not and came with SMTPUTF8.
pub fn received_field(facts: &ReceivedFacts<'_>) -> String {
    let mut field = String::with_capacity(320);
    field.push_str("Received: from ");
    push_helo(&mut field, facts.helo);
    field.push_str(" (");
    if let Some(name) = facts.client_name {
        field.push_str(name.as_str());
        field.push(' ');
    }
    // Writing to a String cannot fail.
    let _ = write!(field, "{})", Host::Literal(facts.client_address));
    if let Some(uid) = facts.uid {
        // Beside the address: SpamAssassin counts a field without one as a relay that nobody knows.
        let _ = write!(field, "\r\n\t(uid {uid} of this machine)");
    }
    if let Some(TlsFacts {
        version,
        cipher,
        group,
        ..
    }) = facts.tls
    {
        // The form that Postfix made usual.
        let _ = write!(field, "\r\n\t(using {version} with cipher {cipher}");
        if !group.is_empty() {
            let _ = write!(field, "\r\n\t key-exchange {group}");
        }
        field.push(')');
    }
    let _ = write!(field, "\r\n\tby {}", facts.by);
    let _ = write!(field, " with {} id {}", facts.protocol.as_str(), facts.id);
    if let Some(recipient) = facts.recipient.and_then(|r| shown(r, facts.protocol)) {
        let _ = write!(field, "\r\n\tfor <{recipient}>");
    }
    let _ = write!(field, ";\r\n\t{}\r\n", facts.now.rfc5322());
    field
}

/// What [`received_field`] wrote of the client and the way in which the message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedFrom<'a> {
    /// What the client called itself, as it is shown.
    pub helo: &'a str,
    /// The client's confirmed name.
    pub client_name: Option<&'a str>,
    /// Version and cipher of the session's encryption, and its key exchange group or nothing.
    pub tls: Option<[&'a str; 3]>,
    /// What stands behind `with`.
    pub protocol: &'a str,
}

/// Reads the `Received` field in a head that we put before a message; `None` where there is none, or
/// none of ours.
pub fn read_received(head: &[u8]) -> Option<ReceivedFrom<'_>> {
    let head = std::str::from_utf8(head).ok()?;
    let before = "\nReceived: from ";
    let field = match head.strip_prefix(&before[1..]) {
        Some(field) => field,
        None => head.split_once(before)?.1,
    };
    let (helo, rest) = field.split_once(" (")?;
    let (client, rest) = rest.split_once(')')?;
    let (using, rest) = rest.split_once("\r\n\tby ")?;
    let (_, rest) = rest.split_once(" with ")?;
    Some(ReceivedFrom {
        helo,
        client_name: client.split_once(" [").map(|(name, _)| name),
        tls: encryption(using),
        protocol: rest.split_once(' ')?.0,
    })
}

/// What [`received_field`] wrote of the encryption.
fn encryption(using: &str) -> Option<[&str; 3]> {
    let using = using.strip_prefix("\r\n\t(using ")?.strip_suffix(')')?;
    let (version, cipher) = using.split_once(" with cipher ")?;
    let (cipher, group) = cipher
        .split_once("\r\n\t key-exchange ")
        .unwrap_or((cipher, ""));
    Some([version, cipher, group])
}

/// The recipient, in ASCII where it can be: a field beyond ASCII keeps the message from servers
/// without SMTPUTF8.
fn shown(recipient: &Mailbox, protocol: Protocol) -> Option<Cow<'_, str>> {
    let as_written = || protocol.smtputf8.then(|| Cow::Borrowed(recipient.as_str()));
    recipient.in_ascii().or_else(as_written)
}

/// A name as long as a domain may be; what is longer is cut.
const HELO_LEN_MAX: usize = 255;

/// Writes the client's name for itself. Anything but the characters of a domain or an address
/// literal becomes `?`: parentheses, semicolons and line ends could otherwise forge parts of the
/// field.
fn push_helo(field: &mut String, helo: &str) {
    let shown = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    field.extend(
        helo.chars()
            .take(HELO_LEN_MAX)
            .map(|c| if shown(c) { c } else { '?' }),
    );
    if helo.is_empty() {
        field.push_str("unknown");
    }
}

/// The `Date` field for a submitter who left it out (RFC 6409 section 8.1), ending in CRLF.
pub fn date_field(now: Timestamp) -> String {
    format!("Date: {}\r\n", now.rfc5322())
}

/// The `Message-ID` field for a submitter who left it out (RFC 6409 section 8.2), ending in CRLF.
/// Unique because the queue id is.
pub fn message_id_field(id: QueueId, hostname: &Domain) -> String {
    format!("Message-ID: <{id}@{hostname}>\r\n")
}

/// The `From` field for a submitter who left it out, ending in CRLF: the sender of the envelope,
/// or, when that is nobody, whoever looks after the relay.
pub fn from_field(sender: &ReversePath, hostname: &Domain) -> String {
    match sender {
        ReversePath::Mailbox(mailbox) => format!("From: <{mailbox}>\r\n"),
        ReversePath::Null => format!("From: <{}>\r\n", Mailbox::postmaster(hostname)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_769_903_999_000);

    fn facts<'a>(by: &'a Domain, helo: &'a str) -> ReceivedFacts<'a> {
        ReceivedFacts {
            helo,
            client_address: [192, 0, 2, 7].into(),
            uid: None,
            client_name: None,
            tls: None,
            by,
            protocol: Protocol {
                extended: true,
                ..Protocol::default()
            },
            id: QueueId::new(NOW, 1),
            recipient: None,
            now: NOW,
        }
    }

    #[test]
    fn received_tells_the_facts() {
        let (by, name) = (
            Domain::parse("relay.example").unwrap(),
            Domain::parse("c.example").unwrap(),
        );
        let bob = Mailbox::parse("bob@example.com").unwrap();
        let mut facts = facts(&by, "client.example");
        let id = facts.id;
        assert_eq!(
            received_field(&facts),
            format!(
                "Received: from client.example ([192.0.2.7])\r\n\tby relay.example with ESMTP id {id};\r\n\tSat, 31 Jan 2026 23:59:59 +0000\r\n"
            )
        );
        facts.client_name = Some(&name);
        facts.recipient = Some(&bob);
        facts.client_address = "2001:db8::1".parse().unwrap();
        assert!(received_field(&facts).starts_with(
            "Received: from client.example (c.example [IPv6:2001:db8::1])\r\n\tby relay.example"
        ));
        assert!(received_field(&facts).contains("\r\n\tfor <bob@example.com>;\r\n"));
        (facts.client_name, facts.uid) = (None, Some(33));
        facts.client_address = [127, 0, 0, 1].into();
        assert!(received_field(&facts).starts_with(
            "Received: from client.example ([127.0.0.1])\r\n\t(uid 33 of this machine)\r\n\tby relay.example"
        ));
    }

    #[test]
    fn received_tells_how_the_message_was_encrypted() {
        let by = Domain::parse("relay.example").unwrap();
        let tls = TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384".into(),
            group: "X25519",
            handshake: mail::Handshake::Full,
            certificate: None,
        };
        let mut facts = facts(&by, "client.example");
        facts.tls = Some(&tls);
        (facts.protocol.tls, facts.protocol.signed_in) = (true, true);
        assert!(received_field(&facts).starts_with(
            "Received: from client.example ([192.0.2.7])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384\r\n\t key-exchange X25519)\r\n\tby relay.example with ESMTPSA id "
        ));
    }

    #[test]
    fn what_is_told_is_read_back() {
        let by = Domain::parse("relay.example").unwrap();
        let name = Domain::parse("c.example").unwrap();
        let facts = facts(&by, "x) by evil with SMTP id");
        let head = format!("X-First: 1\r\n{}Date: x\r\n", received_field(&facts));
        let plain = ReceivedFrom {
            helo: "x??by?evil?with?SMTP?id",
            client_name: None,
            tls: None,
            protocol: "ESMTP",
        };
        assert_eq!(read_received(head.as_bytes()), Some(plain));
        for group in ["", "X25519"] {
            let tls = TlsFacts {
                version: "TLSv1.3",
                cipher: "TLS_AES_256_GCM_SHA384".into(),
                group,
                handshake: mail::Handshake::Full,
                certificate: None,
            };
            let mut facts = facts;
            (facts.client_name, facts.tls) = (Some(&name), Some(&tls));
            (facts.helo, facts.protocol.tls) = ("[192.0.2.7]", true);
            let encrypted = ReceivedFrom {
                helo: "[192.0.2.7]",
                client_name: Some("c.example"),
                tls: Some(["TLSv1.3", "TLS_AES_256_GCM_SHA384", group]),
                protocol: "ESMTPS",
            };
            let field = received_field(&facts);
            assert_eq!(read_received(field.as_bytes()), Some(encrypted));
        }
        for other in [
            "",
            "Received: here\r\n",
            "Received: from x (y)\r\n",
            "X: Received: from",
        ] {
            assert_eq!(read_received(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_hostile_name_forges_nothing() {
        let by = Domain::parse("relay.example").unwrap();
        let field = received_field(&facts(&by, "x) by evil; \r\nBcc: \u{7f}\u{1b}é"));
        assert!(
            field.starts_with("Received: from x??by?evil????Bcc:???? ([192.0.2.7])\r\n"),
            "{field}"
        );
        let field = received_field(&facts(&by, &"a".repeat(5000)));
        assert!(field.lines().all(|line| line.len() < 998));
        assert!(received_field(&facts(&by, "")).starts_with("Received: from unknown (["));
    }

    #[test]
    fn a_recipient_beyond_ascii_stands_there_only_with_smtputf8() {
        let by = Domain::parse("relay.example").unwrap();
        let recipient = Mailbox::parse("jürgen@example.com").unwrap();
        let mut facts = ReceivedFacts {
            recipient: Some(&recipient),
            ..facts(&by, "x")
        };
        assert!(received_field(&facts).is_ascii());
        facts.protocol.smtputf8 = true;
        assert!(received_field(&facts).contains("with UTF8SMTP id"));
        assert!(received_field(&facts).contains("for <jürgen@example.com>"));
        // A domain has another form.
        let recipient = Mailbox::parse("bob@bücher.test").unwrap();
        facts.recipient = Some(&recipient);
        assert!(received_field(&facts).contains("for <bob@xn--bcher-kva.test>"));
    }

    #[test]
    fn protocols_have_their_registered_names() {
        let p = |smtputf8, extended, tls, signed_in| {
            Protocol {
                extended,
                smtputf8,
                tls,
                signed_in,
            }
            .as_str()
        };
        assert_eq!(p(false, false, false, false), "SMTP");
        assert_eq!(p(false, true, true, true), "ESMTPSA");
        assert_eq!(p(true, true, true, false), "UTF8SMTPS");
    }

    #[test]
    fn added_fields_are_whole_lines() {
        let by = Domain::parse("relay.example").unwrap();
        assert_eq!(date_field(NOW), "Date: Sat, 31 Jan 2026 23:59:59 +0000\r\n");
        let id = QueueId::new(NOW, 1);
        assert_eq!(
            message_id_field(id, &by),
            format!("Message-ID: <{id}@relay.example>\r\n")
        );
        let from = |sender| from_field(&ReversePath::parse(sender).unwrap(), &by);
        assert_eq!(from("a@x.example"), "From: <a@x.example>\r\n");
        assert_eq!(from(""), "From: <postmaster@relay.example>\r\n");
    }
}
