//! What holds for any client, however hostile, and however its octets are cut.

mod driver;

use std::sync::Arc;

use driver::{Driver, Store, replies, settings, tls, with_mail_on_demand, with_sign_in};
use mail::{Client, Place};
use proptest::prelude::*;
use reception::{Session, SignedIn};
use relay_policy::Rights;

/// Lines that a client may send, in any order, good and bad.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let good = [
        "EHLO client.example",
        "HELO x",
        "MAIL FROM:<ann@client.example>",
        "MAIL FROM:<> SIZE=900",
        "RCPT TO:<bob@example.com>",
        "RCPT TO:<carl@example.com> NOTIFY=NEVER",
        "DATA",
        "RSET",
        "NOOP",
        "VRFY x",
        ".",
        "Subject: x",
        "..dots",
        "BDAT 5",
        "BDAT 0 LAST",
        "BDAT 7 LAST",
        "ETRN office.example",
        "ETRN @com",
    ];
    let bad = [
        "RCPT TO:<x@elsewhere.example>",
        "RCPT TO:<\"x@elsewhere.example\"@example.com>",
        "MAIL FROM:<ann",
        "DATA now",
        "BDAT x",
        "FOO",
        "QUIT",
        "GET / HTTP/1.1",
        "MAIL FROM:<> SIZE=99999999999",
        "STARTTLS",
        "AUTH PLAIN AGFubgBzZWNyZXQ=",
        "AUTH LOGIN",
        "YW5u",
        "*",
        "",
    ];
    let ended = |lines: &'static [&'static str]| {
        proptest::sample::select(lines).prop_map(|line| format!("{line}\r\n").into_bytes())
    };
    prop_oneof![
        20 => ended(Vec::leak(good.to_vec())),
        4 => ended(Vec::leak(bad.to_vec())),
        2 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => Just(b"\n".to_vec()),
        1 => Just(vec![b'x'; 300]),
    ]
}

/// Long enough runs that messages happen: the start of a good one, then anything.
fn input() -> impl Strategy<Value = Vec<u8>> {
    const START: &[u8] =
        b"EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.com>\r\nRCPT TO:<x@elsewhere.example>\r\n";
    (any::<bool>(), proptest::collection::vec(line(), 0..40))
        .prop_map(|(started, lines)| [if started { START } else { b"" }, &lines.concat()].concat())
}

fn run(input: &[u8], cut: usize, store: Store) -> Driver {
    let mut settings = with_mail_on_demand(settings(true), "192.0.2.10");
    let limits = &mut settings.limits;
    (limits.message_size, limits.passed_over) = (1000, 500);
    (limits.content_inline, limits.content_line) = (40, 200);
    (
        limits.recipients_of_strangers,
        limits.errors,
        limits.idle_commands,
    ) = (3, 8, 20);
    (limits.command_line.line, limits.command_line.passed_over) = (100, 200);
    let mut driver = Driver::new(settings, ([203, 0, 113, 9], 40_000).into());
    driver.store = store;
    driver.send(input, cut.min(input.len().max(1)));
    driver
}

/// A listener that offers TLS and sign-in, where whoever tries to sign in is let in at once.
fn welcoming(encrypted: bool) -> Driver {
    let mut settings = with_sign_in(settings(true), &["PLAIN", "LOGIN"]);
    (settings.limits.errors, settings.limits.idle_commands) = (1000, 12);
    let make = |settings, mut client: Client| {
        client.tls = encrypted.then(tls);
        Session::new(settings, client, 1)
    };
    let mut driver = Driver::with(make, settings, ([203, 0, 113, 9], 40_000).into());
    let yes = || SignedIn::Yes {
        user: "ann".into(),
        rights: Arc::new(Rights {
            may_relay: true,
            senders: Box::default(),
            only_to: Box::default(),
            place: Place::Default,
        }),
    };
    driver.answers = std::iter::repeat_with(yes).take(100).collect();
    driver
}

/// Gives what comes before the handshake, however it is cut, as long as the session takes it.
fn send_plaintext(driver: &mut Driver, input: &[u8], cut: usize) {
    for piece in input.chunks(cut) {
        if driver.handshake || driver.session.is_closed() {
            return;
        }
        driver.send(piece, piece.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn nobody_signs_in_without_tls(input in input(), cut in 1usize..40) {
        let mut driver = welcoming(false);
        send_plaintext(&mut driver, &input, cut);
        prop_assert_eq!(&driver.session.client().user, &None);
        prop_assert!(driver.steps.is_empty());
        for message in driver.stored() {
            for recipient in &message.recipients {
                prop_assert!(recipient.admitted.recipient().as_str().ends_with("@example.com"));
            }
        }
    }

    #[test]
    fn what_comes_before_the_handshake_changes_nothing_after_it(before in input(), cut in 1usize..40, after in input()) {
        let mut fresh = welcoming(true);
        let mut busy = welcoming(false);
        send_plaintext(&mut busy, &before, cut);
        if !busy.handshake && !busy.session.is_closed() {
            // Out of a message, a chunk or half a line; what that cannot do never shakes hands.
            send_plaintext(&mut busy, b"\r\n.\r\nRSET\r\nEHLO x\r\n", 1000);
            send_plaintext(&mut busy, b"STARTTLS\r\n", 1000);
        }
        prop_assume!(busy.handshake && !busy.session.is_closed());
        busy.shake_hands();
        let outcome = |driver: &mut Driver| {
            let (said, stored, steps) = (driver.output.len(), driver.stored().len(), driver.steps.len());
            driver.send(&after, after.len().max(1));
            let said = driver.output[said..].escape_ascii().to_string();
            let kept = driver.stored().into_iter().skip(stored).map(|s| s.content).collect::<Vec<_>>();
            (without_ids(&said), kept, driver.steps.split_off(steps), driver.session.client().user.clone())
        };
        // As if there had been TLS from the start. Errors count for the whole session, but neither
        // comes near that limit.
        prop_assert_eq!(outcome(&mut fresh), outcome(&mut busy));
    }
}

/// Without the queue ids, which tell how many messages came before.
fn without_ids(said: &str) -> String {
    let cut = |line: &str| {
        line.split("queued as")
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    said.split("\\r\\n").map(cut).collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn cutting_the_input_changes_no_reply(input in input(), cut in 1usize..9) {
        let (whole, cut_up) = (run(&input, usize::MAX, Store::Works), run(&input, cut, Store::Works));
        prop_assert_eq!(whole.output.escape_ascii().to_string(), cut_up.output.escape_ascii().to_string());
        prop_assert_eq!(whole.session.is_closed(), cut_up.session.is_closed());
        let contents = |driver: &Driver| driver.stored().into_iter().map(|s| s.content).collect::<Vec<_>>();
        prop_assert_eq!(contents(&whole), contents(&cut_up));
    }

    #[test]
    fn every_reply_is_whole_lines_and_every_promise_is_kept(input in input()) {
        let driver = run(&input, usize::MAX, Store::Works);
        let promises = replies(&driver.output).iter().filter(|r| r[0].contains("queued as")).count();
        let stored = driver.stored();
        prop_assert_eq!(promises, stored.len());
        for message in stored {
            for recipient in &message.recipients {
                prop_assert!(recipient.admitted.recipient().as_str().ends_with("@example.com"));
            }
            // What can be carried is what no other server can read as two messages.
            let content = &message.content;
            prop_assert!(!content.contains(&0));
            let bare = |i: usize| match content[i] {
                b'\r' => content.get(i + 1) != Some(&b'\n'),
                b'\n' => i == 0 || content[i - 1] != b'\r',
                _ => false,
            };
            prop_assert!(!(0..content.len()).any(bare), "{}", content.escape_ascii());
        }
    }

    #[test]
    fn a_strangers_request_for_mail_changes_nothing_and_tells_nothing(input in input(), names in proptest::collection::vec("[@#]?[a-z]{1,9}(\\.(office\\.example|example|com))?", 1..9)) {
        let driver = run(&input, usize::MAX, Store::Works);
        prop_assert!(driver.started.is_empty());
        let lines: String = names.iter().map(|name| format!("ETRN {name}\r\n")).collect();
        let driver = run(format!("EHLO c.example\r\n{lines}").as_bytes(), usize::MAX, Store::Works);
        prop_assert!(driver.started.is_empty());
        let said = replies(&driver.output);
        let answers: Vec<_> = said[2..].iter().filter(|reply| !reply[0].starts_with("421")).collect();
        prop_assert!(answers.iter().all(|reply| reply[0] == "459 4.7.1 Node not allowed"), "{answers:?}");
    }

    #[test]
    fn a_broken_store_promises_nothing(input in input(), store in proptest::sample::select(&[Store::LowSpace, Store::Full, Store::Rejects, Store::Unknown])) {
        let driver = run(&input, usize::MAX, store);
        prop_assert!(!replies(&driver.output).iter().any(|r| r[0].contains("queued as")));
    }
}
