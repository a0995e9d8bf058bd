use mail::QueueId;
use proptest::prelude::*;

use super::*;
use crate::{Facts, TrackedFacts};

const ID: &str = "01knbfey7k0000000000000001";
const NOW: Timestamp = Timestamp::from_millis(1_775_001_600_000);

fn facts() -> Facts<'static> {
    Facts {
        id: ID.parse().unwrap(),
        from: "Ann@Client.example",
        to: "\"bob b\"@x.example",
        held: false,
        badmail: false,
        quarantined: false,
        bouncing: false,
        unscreened: false,
        tries: 2,
        arrived: NOW - std::time::Duration::from_secs(7200),
        size: 2_000_000,
        client: "10.1.2.3",
        user: Some("scanner@client.example"),
        last: Some("mx.x.example [192.0.2.7]:25: 450 4.7.1 greylisted for 300 s"),
        tracked: None,
    }
}

fn matches(text: &str, facts: &Facts<'_>) -> bool {
    Filter::parse(text, NOW)
        .unwrap_or_else(|e| panic!("{text}: {e}"))
        .matches(facts)
}

#[test]
fn conditions_choose_what_they_say() {
    let cases = [
        ("", true),
        (ID, true),
        ("01knbfey7k0000000000000002", false),
        ("id:01KNBFEY7K0000000000000001", true),
        ("to:*@x.example", true),
        ("to:\"bob b\"@x.example", true),
        ("TO:*@X.EXAMPLE", true),
        ("to:*@y.example", false),
        ("from:<ann@client.example>", true),
        ("from:<>", false),
        ("from:*", true),
        ("state:waiting", true),
        ("state:deferred", true),
        ("state:held", false),
        ("age:>1h", true),
        ("age:>1d", false),
        ("age:<1h30m", false),
        ("age:<3h", true),
        ("arrived:>2026-03-31T00:00:00Z", true),
        ("arrived:<2026-03-31T00:00:00Z", false),
        ("size:>1MB", true),
        ("size:>2MB", false),
        ("size:<2MiB", true),
        ("code:4.7.*", true),
        ("code:450", true),
        ("code:4*", true),
        ("code:300", false),
        ("code:5.*", false),
        ("client:10.0.0.0/8", true),
        ("client:local", false),
        ("user:Scanner@Client.example", true),
        ("user:*@client.example", true),
        ("user:ann", false),
        (
            "  to:*@x.example\tstate:deferred age:>1h code:4.7.* client:10.0.0.0/8 ",
            true,
        ),
        ("to:*@x.example state:held", false),
    ];
    for (text, expected) in cases {
        assert_eq!(matches(text, &facts()), expected, "{text}");
    }
}

#[test]
fn facts_that_are_absent_or_different() {
    let notice = Facts {
        from: "",
        client: "local",
        user: None,
        last: None,
        tries: 0,
        ..facts()
    };
    let held = Facts {
        held: true,
        ..facts()
    };
    let badmail = Facts {
        badmail: true,
        ..held
    };
    let quarantined = Facts {
        quarantined: true,
        ..held
    };
    let cases = [
        ("from:<>", &notice, true),
        ("client:local", &notice, true),
        ("code:*", &notice, false),
        ("user:*", &notice, false),
        ("state:deferred", &notice, false),
        ("state:waiting", &held, false),
        ("state:deferred", &held, false),
        ("state:held", &held, true),
        ("state:held", &badmail, true),
        ("state:badmail", &badmail, true),
        ("state:badmail", &held, false),
        ("state:held", &quarantined, true),
        ("state:quarantined", &quarantined, true),
        ("state:quarantined", &held, false),
    ];
    for (text, facts, expected) in cases {
        assert_eq!(matches(text, facts), expected, "{text}");
    }
}

#[test]
fn errors_name_the_place_and_what_was_meant() {
    let cases = [
        ("stat:held", 0, Some("state")),
        ("to:a@b stat:held", 7, Some("state")),
        ("state:hold", 6, Some("held")),
        ("to:ü@b state:foo", 13, None),
        ("bob@x.example", 0, Some("to:bob@x.example")),
        ("10.0.0.0/8", 0, Some("client:10.0.0.0/8")),
        ("held", 0, Some("state:held")),
        ("nonsense", 0, None),
        ("to:", 3, None),
        ("age:1h", 4, Some("age:>1h")),
        ("age:>", 4, Some("age:>1h")),
        ("age:>1y", 4, None),
        ("age:>h", 4, None),
        ("size:>1TB", 5, None),
        ("arrived:<2026-02-29T00:00:00Z", 8, None),
        ("code:4.x", 5, None),
        ("client:10.0.0.1/8", 7, None),
        ("id:abc", 3, None),
        ("to:\"bob", 3, None),
    ];
    for (text, position, suggestion) in cases {
        let error = Filter::parse(text, NOW).expect_err(text);
        assert_eq!(
            (error.position, error.suggestion.as_deref()),
            (position, suggestion),
            "{text}"
        );
    }
    let shown = Filter::parse("stat\x1b:held", NOW).unwrap_err().to_string();
    assert!(!shown.contains('\x1b'), "{shown}");
}

#[test]
fn length_and_number_are_limited() {
    let most = "to:* ".repeat(CONDITIONS_MAX);
    assert_eq!(
        Filter::parse(&most, NOW).map(|f| f.conditions.len()),
        Ok(CONDITIONS_MAX)
    );
    assert!(Filter::parse(&format!("{most} to:*"), NOW).is_err());
    assert!(Filter::parse(&" ".repeat(FILTER_BYTES_MAX + 1), NOW).is_err());
}

#[test]
fn one_id_is_recognised_and_the_message_is_asked_only_when_needed() {
    let parse = |text: &str| Filter::parse(text, NOW).unwrap();
    let id: QueueId = ID.parse().unwrap();
    assert_eq!(parse(&format!("state:held id:{ID}")).single_id(), Some(id));
    assert_eq!(parse("state:held").single_id(), None);
    assert!(!parse("to:* state:held code:4*").asks_message());
    assert!(parse("to:* client:local").asks_message());
    assert!(parse("user:ann").asks_message());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = Filter::parse(&text, NOW);
    }

    #[test]
    fn print_and_parse_are_inverses(words in proptest::collection::vec(word(), 0..6)) {
        let filter = Filter::parse(&words.join(" "), NOW).unwrap();
        // Another moment: what was an age is a fixed moment by now.
        let again = Filter::parse(&filter.to_string(), Timestamp::default()).unwrap();
        prop_assert_eq!(again, filter);
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(ID.to_owned()),
        "to:[a-z*]{1,8}@[a-z*.]{1,8}",
        "from:<[a-z*@]{0,8}>",
        "from:\"[a-z ]{1,5}\"@x",
        "state:(waiting|deferred|held)",
        "age:[<>][0-9]{1,6}[smhdw]",
        "size:[<>][0-9]{1,6}(B|KB|MB|GB|KiB|MiB|GiB)",
        "code:[245*][.0-9*]{0,4}",
        "user:[a-z*@]{1,8}",
        "client:(local|10[.]0[.]0[.]0/8|192[.]0[.]2[.]1|2001:db8::/32)",
    ]
}

#[test]
fn sizes_may_be_bare_numbers() {
    assert_eq!(octets("7"), Some(7));
    assert_eq!(octets("25MB"), Some(25_000_000));
    for text in ["", "MB", "25mb", "1TB", "+7"] {
        assert_eq!(octets(text), None, "{text}");
    }
}

#[test]
fn more_is_known_of_what_is_tracked() {
    let tracked = TrackedFacts {
        result: TrackedResult::Failed,
        listener: "internet",
        hello: "client.example",
        route: "exchange",
        host: "mx.x.example [192.0.2.7]:25",
        reply: "550 5.7.1 Looks like SPAM to us",
        message_id: "a.1@client.example",
        subject: "Your invoice",
    };
    let facts = Facts {
        tracked: Some(tracked),
        ..facts()
    };
    let cases = [
        ("state:failed", true),
        ("state:Failed to:*@x.example", true),
        ("state:delivered", false),
        ("listener:inter*", true),
        ("hello:*.example", true),
        ("route:exchange", true),
        ("host:mx.x.example", true),
        ("host:192.0.2.7", true),
        ("host:mx.y.*", false),
        ("reply:spam", true),
        ("reply:like_spam", true),
        ("reply:ham", false),
        ("message-id:<A.1@client.example>", true),
        ("subject:INVOICE", true),
        ("subject:voicemail", false),
    ];
    for (text, expected) in cases {
        let filter = Filter::parse_tracked(text, NOW).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(filter.matches(&facts), expected, "{text}");
        let printed = Filter::parse_tracked(&filter.to_string(), NOW).unwrap();
        assert_eq!(printed, filter, "{text}");
    }
    for (text, says) in [
        ("state:waiting", "no state; there are received, refused,"),
        ("hots:mx", "did you mean `host`"),
        ("failed", "did you mean `state:failed`"),
    ] {
        let error = Filter::parse_tracked(text, NOW)
            .expect_err(text)
            .to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    let error = Filter::parse("host:mx", NOW).unwrap_err().to_string();
    assert!(error.contains("not of the queue"), "{error}");
}
