use std::sync::Arc;

use bytes::Bytes;
use mail::{Host, MailParameters, Mailbox, Outcome, QueueId, ReversePath, Scope, Timestamp};
use proptest::prelude::*;
use relay_policy::{Admitted, Grounds};
use spool::{Message, Recipient};

use super::*;
use crate::{EightBit, Ended, Timeouts};

const CONTENT: &[u8] = b"A: b\r\n\r\nc\r\n";

fn transaction() -> Transaction {
    let bob = Mailbox::parse("bob@example.com").unwrap();
    let recipient = Recipient::waiting(
        7,
        Admitted::from_stored(bob, Grounds::OurDomain),
        Timestamp::default(),
    );
    let message = Message {
        id: QueueId::new(Timestamp::from_millis(1), 1),
        arrived: Timestamp::from_millis(1),
        reverse_path: ReversePath::Null,
        parameters: MailParameters::default(),
        client: "local".into(),
        user: None,
        from_stranger: false,
        head: Bytes::new(),
        size: CONTENT.len() as u64,
    };
    Transaction {
        message: Arc::new(message),
        recipients: vec![recipient],
        reverse_path: ReversePath::Null,
        forwarded_from: None,
        eight_bit: None,
        eight_bit_policy: EightBit::Send,
    }
}

fn conversation() -> Conversation {
    let hop = Hop::new("mx.example", ([192, 0, 2, 1], 25).into());
    Conversation::new(
        Arc::new(Settings::new(Host::parse("relay.example").unwrap())),
        hop,
    )
}

/// A conversation that waits for content.
fn at_content() -> Conversation {
    let mut c = conversation();
    c.start(transaction());
    for reply in [
        "220 a\r\n",
        "250 b\r\n",
        "250 c\r\n",
        "250 d\r\n",
        "354 e\r\n",
    ] {
        c.output().clear();
        c.receive(reply.as_bytes());
    }
    assert_eq!(c.next_event(), Some(Event::Content));
    assert!(c.wants_content());
    c
}

fn ended(c: &mut Conversation) -> Ended {
    match c.next_event() {
        Some(Event::Ended(ended)) => ended,
        other => panic!("not ended: {other:?}"),
    }
}

#[test]
fn a_success_before_the_dot_was_written_is_not_believed() {
    let mut c = at_content();
    c.content(CONTENT);
    c.content_end();
    assert!(c.output().ends_with(b"\r\n.\r\n"));
    c.receive(b"250 taken already\r\n");
    let ended = ended(&mut c);
    assert!(matches!(ended.outcomes[..], [(7, Outcome::Deferred(_))]) && !ended.unknown);
    assert!(c.output().is_empty(), "nothing more may be written");
}

#[test]
fn content_of_another_length_than_stored_never_gets_its_dot() {
    let mut short = at_content();
    short.content(&CONTENT[1..]);
    short.content_end();
    let mut long = at_content();
    long.content(CONTENT);
    long.content(b"x");
    for mut c in [short, long] {
        let ended = ended(&mut c);
        assert!(ended.host_failure().is_none() && c.trouble().is_none());
        let [(7, Outcome::Deferred(failure))] = &ended.outcomes[..] else {
            panic!("{ended:?}")
        };
        assert_eq!(failure.reply.status().to_string(), "4.3.0");
        assert_eq!((failure.scope, &failure.host), (Scope::Message, &None));
        assert!(c.output().is_empty() && c.is_closed());
    }
}

#[test]
fn each_step_has_its_patience() {
    let limits = Timeouts::default();
    let mut c = conversation();
    assert_eq!(c.time_limit().limit, limits.greeting);
    let greeting = c.time_limit().phase;
    c.receive(b"220-slow");
    assert_eq!(c.time_limit().phase, greeting, "half a reply buys no time");
    c.receive(b"\r\n220 a\r\n");
    assert_eq!(c.time_limit().limit, limits.command);
    assert_ne!(c.time_limit().phase, greeting);

    let mut c = at_content();
    let block = c.time_limit();
    assert_eq!(block.limit, limits.data_block);
    c.content(CONTENT);
    assert_ne!(c.time_limit().phase, block.phase);
    c.content_end();
    let unwritten = c.time_limit();
    assert_eq!(unwritten.limit, limits.data_block);
    c.output().clear();
    assert_eq!(c.time_limit().limit, limits.data_end);
    assert_ne!(c.time_limit().phase, unwritten.phase);
}

#[test]
fn a_message_given_ahead_waits_for_its_turn_and_a_third_is_turned_away() {
    let mut c = at_content();
    c.start(transaction());
    c.start(transaction());
    assert_eq!(ended(&mut c).again, Some(Again::Fresh));
    c.content(CONTENT);
    c.content_end();
    c.output().clear();
    c.receive(b"250 first\r\n");
    assert!(ended(&mut c).reusable);
    assert!(c.output().starts_with(b"MAIL FROM:<>"));
}

#[test]
fn a_broken_connection_leaves_no_message_behind() {
    let mut c = at_content();
    c.start(transaction());
    c.on_disconnected();
    assert_eq!(ended(&mut c).again, None);
    assert_eq!(ended(&mut c).again, Some(Again::Fresh));
    assert_eq!(c.next_event(), Some(Event::Closed));
    assert_eq!(
        c.trouble().unwrap().host.as_deref(),
        Some("mx.example [192.0.2.1]:25")
    );
}

#[test]
fn what_8_bit_content_may_do_is_said_by_each_message() {
    let mut c = conversation();
    let found = Some(message::EightBitUse {
        header: false,
        anywhere: true,
    });
    let strict = Transaction {
        eight_bit: found,
        eight_bit_policy: EightBit::Bounce,
        ..transaction()
    };
    let lenient = Transaction {
        eight_bit: found,
        ..transaction()
    };
    c.start(strict);
    c.receive(b"220 a\r\n250 b\r\n");
    assert!(matches!(
        ended(&mut c).outcomes[..],
        [(7, Outcome::Failed(_))]
    ));
    c.output().clear();
    c.start(lenient);
    assert!(c.output().starts_with(b"MAIL FROM:<>"));
}

#[test]
fn unreadable_content_is_not_held_against_the_host() {
    let mut c = at_content();
    c.content_failed("disk error");
    let ended = ended(&mut c);
    let [(7, Outcome::Deferred(failure))] = &ended.outcomes[..] else {
        panic!("{ended:?}")
    };
    assert_eq!((failure.scope, &failure.host), (Scope::Message, &None));
    assert_eq!(c.next_event(), Some(Event::Closed));
    assert!(c.output().is_empty() && c.trouble().is_none());
}

fn facts() -> TlsFacts {
    TlsFacts {
        version: "TLSv1.3",
        cipher: "TLS13_AES_128_GCM_SHA256".into(),
        group: "X25519",
        handshake: mail::Handshake::Full,
        certificate: None,
    }
}

/// A conversation that waits for a handshake.
fn at_handshake() -> Conversation {
    let mut c = conversation();
    c.start(transaction());
    c.receive(b"220 a\r\n250-b\r\n250 STARTTLS\r\n220 c\r\n");
    assert_eq!(c.next_event(), Some(Event::StartTls));
    assert!(c.wants_handshake());
    c.output().clear();
    c
}

#[test]
fn a_handshake_has_its_own_patience() {
    let limits = Timeouts::default();
    let mut c = at_handshake();
    let handshake = c.time_limit();
    assert_eq!(handshake.limit, limits.handshake);
    c.on_encrypted(facts(), None);
    assert_eq!(c.time_limit().limit, limits.command);
    assert_ne!(c.time_limit().phase, handshake.phase);
}

#[test]
fn a_handshake_that_nobody_waits_for_changes_nothing() {
    let mut c = conversation();
    c.on_encrypted(facts(), None);
    c.on_handshake_failed(&HandshakeFault::Broken("alert".into()));
    assert!(c.tls().is_none() && !c.is_closed());
    // Overtaken by octets in clear, the event is void.
    let mut c = at_handshake();
    c.receive(b"2");
    assert!(!c.wants_handshake() && c.is_closed());
    c.on_encrypted(facts(), None);
    assert!(c.tls().is_none() && c.output().is_empty());
}

#[test]
fn nothing_secret_is_printed() {
    let mut c = at_handshake();
    c.on_encrypted(facts(), Some([0x5a; 32]));
    c.output().extend_from_slice(b"AUTH PLAIN c2VjcmV0");
    let printed = format!("{c:?}");
    for secret in ["90, 90", "c2Vj", "65, 85"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(printed.contains("mx.example"));
}

proptest! {
    #[test]
    fn no_server_can_cause_a_panic(pieces in proptest::collection::vec("([2-5][0-5][0-9][- ])?\\PC{0,20}(\r\n|\n)?|250 a\r\n|250 STARTTLS\r\n|354 b\r\n|\\x00", 0..20)) {
        let mut c = conversation();
        c.start(transaction());
        let mut ended = 0;
        for piece in pieces {
            c.receive(piece.as_bytes());
            c.on_encrypted(facts(), None);
            c.content(CONTENT);
            c.content_end();
            ended += std::iter::from_fn(|| c.next_event()).filter(|e| matches!(e, Event::Ended(_))).count();
        }
        c.on_timeout();
        c.on_disconnected();
        ended += std::iter::from_fn(|| c.next_event()).filter(|e| matches!(e, Event::Ended(_))).count();
        prop_assert_eq!(ended, 1);
    }
}

/// LMTP: what stands behind the last answer was said before the next transaction was sent.
#[test]
fn an_answer_too_many_is_not_taken_for_the_next_transactions() {
    let mut settings = Settings::new(Host::parse("relay.example").unwrap());
    settings.protocol = crate::Protocol::Lmtp;
    settings.recipients_max = 1;
    let hop = Hop::new("mx.example", ([192, 0, 2, 1], 24).into());
    let mut c = Conversation::new(Arc::new(settings), hop);
    let mut transaction = transaction();
    let carol = Mailbox::parse("carol@example.com").unwrap();
    let carol = Admitted::from_stored(carol, Grounds::OurDomain);
    let carol = Recipient::waiting(8, carol, Timestamp::default());
    transaction.recipients.push(carol);
    c.start(transaction);
    for reply in ["220 a", "250 b", "250 c", "250 d", "354 e"] {
        c.output().clear();
        c.receive(format!("{reply}\r\n").as_bytes());
    }
    assert_eq!(c.next_event(), Some(Event::Content));
    c.content(CONTENT);
    c.content_end();
    c.output().clear();
    c.receive(b"250 saved\r\n550 5.1.1 no such user\r\n");
    let ended = ended(&mut c);
    let [(7, Outcome::Delivered(_)), (8, Outcome::Deferred(failure))] = &ended.outcomes[..] else {
        panic!("{:?}", ended.outcomes);
    };
    assert!(!ended.reusable && failure.reply.to_string().contains("out of place"));
}
