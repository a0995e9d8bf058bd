//! What holds for any client, however hostile, and however its octets are cut.

mod driver;

use driver::{Driver, Store, replies, settings};
use proptest::prelude::*;

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
    let mut settings = settings(true);
    let limits = &mut settings.limits;
    (limits.message_size, limits.passed_over) = (1000, 500);
    (limits.content_inline, limits.content_line) = (40, 200);
    (limits.recipients, limits.errors, limits.idle_commands) = (3, 8, 20);
    (limits.command_line.line, limits.command_line.passed_over) = (100, 200);
    let mut driver = Driver::new(settings, ([203, 0, 113, 9], 40_000).into());
    driver.store = store;
    driver.send(input, cut.min(input.len().max(1)));
    driver
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
    fn a_broken_store_promises_nothing(input in input(), store in proptest::sample::select(&[Store::LowSpace, Store::Full, Store::Rejects, Store::Unknown])) {
        let driver = run(&input, usize::MAX, store);
        prop_assert!(!replies(&driver.output).iter().any(|r| r[0].contains("queued as")));
    }
}
