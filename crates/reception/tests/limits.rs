//! TimeLimit and memory: what a slow, silent or greedy client can cost.

mod driver;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use driver::{Driver, NOW, replies, settings, tls, with_sign_in};
use mail::Place;
use reception::{Admission, Event, Session, SignedIn, StoreTrouble};
use relay_policy::{Answer, Rights};

const MINUTE: Duration = Duration::from_secs(60);

fn started() -> Driver {
    let mut driver = Driver::new(settings(false), ([203, 0, 113, 9], 40_000).into());
    driver.send(
        b"EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.com>\r\n",
        usize::MAX,
    );
    driver
}

#[test]
fn a_command_must_come_whole_in_its_time() {
    let mut driver = started();
    let before = driver.session.time_limit();
    assert_eq!(before.limit, 5 * MINUTE);
    driver.send(b"NO", 1);
    assert_eq!(
        driver.session.time_limit(),
        before,
        "half a command renews nothing"
    );
    driver.send(b"OP\r\n", 1);
    assert_ne!(driver.session.time_limit().phase, before.phase);
}

#[test]
fn a_message_must_come_block_by_block() {
    let mut driver = started();
    driver.send(b"DATA\r\n", 1);
    let initiation = driver.session.time_limit();
    assert_eq!(initiation.limit, 2 * MINUTE);
    driver.send(b"a", 1);
    let first = driver.session.time_limit();
    assert_eq!(first.limit, 3 * MINUTE);
    assert_ne!(first.phase, initiation.phase);
    driver.send(&[b'a'; 4095], 1);
    assert_eq!(
        driver.session.time_limit(),
        first,
        "less than a block renews nothing"
    );
    driver.send(b"a", 1);
    assert_ne!(driver.session.time_limit().phase, first.phase);
}

#[test]
fn our_own_side_has_its_own_time() {
    let mut driver = started();
    let used = driver.session.receive(b"DATA\r\n.\r\nNOOP\r\n", NOW);
    assert_eq!(used, 9, "nothing is read while the message is being stored");
    assert!(!driver.session.wants_input());
    assert_eq!(driver.session.time_limit().limit, 10 * MINUTE);
    assert!(matches!(
        driver.session.next_event(),
        Some(Event::Message(_))
    ));
    driver.session.on_shutdown();
    assert!(
        !driver.session.is_closed(),
        "the client is owed an answer first"
    );
}

#[test]
fn replies_wait_until_they_are_written() {
    let mut settings = settings(false);
    settings.limits.recipients_of_strangers = 100_000;
    let mut driver = Driver::new(settings, ([203, 0, 113, 9], 40_000).into());
    driver.send(b"EHLO c.example\r\nMAIL FROM:<>\r\n", usize::MAX);
    let input = b"RCPT TO:<bob@example.com>\r\n".repeat(10_000);
    let used = driver.session.receive(&input, NOW);
    assert!(used < input.len() && !driver.session.wants_input());
    assert!(driver.session.output().len() < 17_000);
    driver.session.output().clear();
    assert!(driver.session.wants_input());
}

#[test]
fn facts_wait_until_they_are_fetched() {
    let mut settings = settings(false);
    settings.limits.errors = 100_000;
    let mut driver = Driver::new(settings, ([203, 0, 113, 9], 40_000).into());
    let input = b"X\r\n".repeat(1000);
    let used = driver.session.receive(&input, NOW);
    assert_eq!(used, 64 * 3);
    driver.settle();
    assert!(driver.session.wants_input());
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() < 1024, "{}", size_of::<Session>());
}

#[test]
fn a_receipt_for_another_message_is_no_proof() {
    let mut mine = started();
    let mut other = started();
    other.send(
        b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.com>\r\n",
        usize::MAX,
    );
    let accepted = |driver: &mut Driver| {
        driver.session.receive(b"DATA\r\n.\r\n", NOW);
        match driver.session.next_event() {
            Some(Event::Message(accepted)) => *accepted,
            event => panic!("{event:?}"),
        }
    };
    let (_mine, others) = (accepted(&mut mine), accepted(&mut other));
    let receipt = other.commit(others).unwrap();
    mine.session.on_stored(Ok(receipt));
    assert!(
        mine.session
            .output()
            .ends_with(b"451 4.3.0 Message cannot be stored now, try again later\r\n")
    );
}

#[test]
fn who_does_not_wait_for_a_reply_is_noted() {
    let mut driver = Driver::new(settings(false), ([203, 0, 113, 9], 40_000).into());
    driver.send(b"EHLO c.example\r\nMAIL FROM:<>\r\n", usize::MAX);
    driver.send(b"RSET\r\nNOOP\r\n", usize::MAX);
    driver.session.on_disconnected();
    driver.settle();
    assert_eq!(driver.summary.map(|summary| summary.hasty), Some(1));
}

#[test]
fn a_handshake_has_its_own_time_and_nothing_is_read_in_it() {
    let settings = with_sign_in(settings(false), &["PLAIN"]);
    let mut driver = Driver::new(settings, ([203, 0, 113, 9], 40_000).into());
    driver.send(b"EHLO c.example\r\nSTARTTLS\r\n", usize::MAX);
    assert!(driver.handshake && !driver.session.wants_input());
    assert_eq!(driver.session.time_limit().limit, Duration::from_secs(30));
    let before = driver.session.time_limit().phase;
    driver.shake_hands();
    assert!(driver.session.wants_input());
    assert_ne!(driver.session.time_limit().phase, before);
    assert_eq!(driver.session.time_limit().limit, 5 * MINUTE);
}

fn yes_to_ann() -> SignedIn {
    SignedIn::Yes {
        user: "ann".into(),
        rights: Arc::new(Rights {
            may_relay: true,
            senders: Box::default(),
            only_to: Box::default(),
            place: Place::Default,
        }),
    }
}

type UnaskedAnswer = fn(&mut Session);

/// Every answer that a session may wait for.
const ANSWERS: [UnaskedAnswer; 7] = [
    |session| session.on_encrypted(tls()),
    |session| session.on_sign_in(yes_to_ann()),
    |session| session.begin_message(Admission::LowSpace),
    |session| session.on_fact(Answer::Listings(Arc::default())),
    |session| session.on_stored(Err(StoreTrouble::Full)),
    |session| session.content_taken(Err(StoreTrouble::Full)),
    |session| assert!(session.take_content().is_empty()),
];

/// It is noticed where there are assertions, and changes nothing where there are none.
#[test]
fn an_answer_to_a_question_that_was_not_asked_is_a_fault_and_changes_nothing() {
    let mut driver = started();
    for answer in ANSWERS {
        let noticed = catch_unwind(AssertUnwindSafe(|| answer(&mut driver.session))).is_err();
        assert_eq!(noticed, cfg!(debug_assertions));
    }
    driver.session.on_paused();
    driver.settle();
    let client = driver.session.client();
    assert_eq!((&client.tls, &client.user), (&None, &None));
    driver.send(b"DATA\r\n.\r\n", 1);
    assert_eq!(driver.stored().len(), 1, "the message goes on");
}

/// A session may end while a question is open.
#[test]
fn an_answer_after_the_end_changes_nothing() {
    let mut driver = started();
    driver.session.receive(b"DATA\r\n.\r\n", NOW);
    driver.session.on_timeout();
    assert!(driver.session.is_closed());
    let said = driver.session.output().len();
    for answer in ANSWERS {
        answer(&mut driver.session);
    }
    assert_eq!(driver.session.output().len(), said);
    assert!(driver.session.is_closed());
}

#[test]
fn a_sign_in_has_the_time_of_an_answer_and_shows_no_password() {
    let settings = with_sign_in(settings(false), &["PLAIN"]);
    let mut driver = Driver::new(settings, ([203, 0, 113, 9], 40_000).into());
    driver.send(b"EHLO c.example\r\nSTARTTLS\r\n", usize::MAX);
    driver.shake_hands();
    driver.send(b"EHLO c.example\r\n", usize::MAX);
    let line = b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n";
    driver.session.receive(&line[..28], NOW);
    let shown = format!("{:?}", driver.session);
    assert!(!shown.contains("65, 71, 70, 117"), "{shown}");
    driver.session.receive(&line[28..], NOW);
    assert_eq!(driver.session.time_limit().limit, 10 * MINUTE);
    let event = driver.session.next_event();
    let shown = format!("{event:?}");
    assert_eq!(shown, "Some(SignIn(Start))");
}

/// A stranger with three refusals, the third of which waits.
fn in_the_tarpit() -> Session {
    let mut settings = settings(false);
    settings.tarpit = Duration::from_secs(5);
    let mut session = Driver::new(settings, ([203, 0, 113, 9], 40_000).into()).session;
    let input = b"X\r\nX\r\nX\r\nNOOP\r\n";
    assert_eq!(session.receive(input, NOW), 9, "nothing is read in a pause");
    assert!(!session.wants_input());
    assert_eq!(replies(session.output()).len(), 2);
    let pause = |event| matches!(event, Event::Pause(time) if time == Duration::from_secs(5));
    assert!(std::iter::from_fn(|| session.next_event()).any(pause));
    session.output().clear();
    session
}

#[test]
fn a_pause_ends_with_the_reply() {
    let mut session = in_the_tarpit();
    assert!(session.time_limit().limit >= Duration::from_secs(5));
    session.on_paused();
    assert!(session.wants_input());
    assert!(session.output().starts_with(b"500 5.5.2"));
    session.output().clear();
    session.on_paused();
    assert!(session.output().is_empty(), "a pause ends once");
}

#[test]
fn a_pause_holds_up_no_end() {
    let mut session = in_the_tarpit();
    session.on_shutdown();
    assert!(session.is_closed());
    let said = replies(session.output());
    assert!(said[0][0].starts_with("500 5.5.2") && said[1][0].starts_with("421 4.3.2"));
    let mut session = in_the_tarpit();
    session.on_disconnected();
    assert!(session.is_closed());
}

/// A line that turns out to be none of the header does not count, wherever it is cut.
#[test]
fn a_header_within_its_limit_is_taken_however_it_is_cut() {
    let message = b"Subject: hello\r\nnotAFieldAndLongerThanTheLimitLeavesRoomFor hello\r\n";
    for cut in 1..message.len() {
        let mut settings = settings(false);
        settings.limits.header_size = 20;
        let mut driver = Driver::new(settings, ([203, 0, 113, 9], 40_000).into());
        let envelope = b"EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n";
        driver.send(envelope, usize::MAX);
        driver.send(&message[..cut], usize::MAX);
        driver.send(&message[cut..], usize::MAX);
        driver.send(b".\r\n", usize::MAX);
        let stored = driver.stored();
        assert_eq!(stored.len(), 1, "cut at {cut}");
        assert_eq!(stored[0].content, message, "cut at {cut}");
    }
}
