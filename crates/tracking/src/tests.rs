use std::path::Path;
use std::time::Duration;

use filter::Filter;
use mail::{QueueId, Timestamp, TrackedResult};
use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_millis(1_775_001_600_000);

fn after(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn id(number: u64) -> QueueId {
    QueueId::new(after(number), u128::from(number))
}

/// One row of many, of few senders, recipients, clients and results: four for each message, two for
/// each of its two recipients, of whom the first tells of its arrival.
fn sample(number: u64) -> Row {
    let message = number / 4;
    let of = |texts: &[&str], by: u64| texts[(by % texts.len() as u64) as usize].to_owned();
    let result = TrackedResult::ALL[(number / 3 % 6) as usize];
    let is_of_message = !message.is_multiple_of(7);
    let is_arrival = number % 4 < 2;
    let of_arrival = |texts: &[&str], by: u64| match is_arrival {
        true => of(texts, by),
        false => String::new(),
    };
    let clients = ["192.0.2.1", "192.0.3.1", "2001:db8::1", "local", "uid:33"];
    let senders = ["", "ann@client.example", "Bob@x.Client.example"];
    let recipients = [
        "carl@x.example",
        "dora@y.x.example",
        "postmaster",
        "Carla@x.example",
    ];
    let replies = ["250 2.0.0 Ok", "550 5.7.1 spam", "450 4.7.1 greylisted"];
    Row {
        id: is_of_message.then(|| id(message)),
        number: is_of_message.then_some((number % 2) as u32),
        client: of(&clients, message).into(),
        sender: (!message.is_multiple_of(11)).then(|| of(&senders, message / 2).into()),
        recipient: of(&recipients, message * 2 + number % 2).into(),
        message_id: of_arrival(&["", "1@client.example", "2@client.example"], message / 3).into(),
        listener: of_arrival(&["internet", "submission"], message / 2).into(),
        hello: of_arrival(
            &["mx.client.example", "[192.0.2.1]", "printer"],
            message / 5,
        )
        .into(),
        subject: of_arrival(&["", "Your order 17", "Invoice"], message / 2).into(),
        user: of(&["", "ann@client.example", "scanner"], message / 4).into(),
        route: of(&["exchange", "x.example", ""], message / 6).into(),
        host: of(
            &["mx1.x.example [192.0.2.25]:25", "[2001:db8::25]:25", ""],
            message / 3,
        )
        .into(),
        reply: of(&replies, number / 4 + number % 4).into(),
        size: 100 + message,
        ..Row::new(after(number), result, Stage::Rcpt)
    }
}

/// Each word that can be asked for, and what finds rows by more than one of them.
const FILTERS: [&str; 48] = [
    "",
    "to:carl@x.example",
    "to:*@x.example",
    "to:car*@x.example",
    "to:*@*.x.example",
    "to:*.x.example",
    "to:*master",
    "to:postmaster",
    "to:CARL@X.EXAMPLE from:<>",
    "from:<>",
    "from:*@client.example",
    "from:*@*client.example state:refused",
    "from:bob*",
    "from:BOB@*",
    "to:carl@x*",
    "to:post*",
    "to:*a*",
    "client:192.0.2.1",
    "client:192.0.0.0/16",
    "client:2001:db8::/32 state:failed",
    "client:local",
    "state:received",
    "state:delivered to:dora@y.x.example",
    "message-id:<1@client.example>",
    "message-id:1@*",
    "reply:SPAM size:>120B",
    "listener:internet state:deferred",
    "listener:sub*",
    "hello:printer",
    "hello:*.client.example to:*@x.example",
    "subject:order_17",
    "subject:INVOICE from:<>",
    "user:ann@client.example",
    "user:scan* state:refused",
    "route:exchange",
    "route:*.example message-id:1@*",
    "host:mx1.x.example",
    "host:192.0.2.25 client:local",
    "host:2001:db8::25",
    "code:5.7.*",
    "code:450",
    "code:5* subject:invoice",
    "size:<110B",
    "age:<1h",
    "age:>1h",
    "reply:grey route:x.example",
    "client:2001:db8::1 size:>101B size:<130B",
    "arrived:>2026-04-01T00:01:00Z arrived:<2026-04-01T00:02:00Z to:*@x.example",
];

/// All pages of an answer, one after the other.
fn all(reader: &Reader, text: &str, limit: usize, last_only: bool, looks: usize) -> Vec<Row> {
    let filter = Filter::parse_tracked(text, START).unwrap();
    let (mut rows, mut before) = (Vec::new(), None);
    loop {
        let question = Question {
            filter: &filter,
            before,
            limit,
            last_only,
            looks,
        };
        let page = reader.page(&question).unwrap();
        assert!(page.rows.len() <= limit);
        assert!(
            page.next
                .is_none_or(|next| before.is_none_or(|before| next < before))
        );
        rows.extend(page.rows.into_iter().map(|(_, row)| row));
        before = page.next;
        if before.is_none() {
            return rows;
        }
    }
}

/// What the answer has to be, by looking at each row with all others.
fn expected(rows: &[Row], text: &str, last_only: bool) -> Vec<Row> {
    let filter = Filter::parse_tracked(text, START).unwrap();
    let same = |a: &Row, b: &Row| a.id.is_some() && (a.id, a.number) == (b.id, b.number);
    let mut found = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let mut row = row.clone();
        if last_only && rows[at + 1..].iter().any(|later| same(later, &row)) {
            continue;
        }
        let arrival = rows[..at].iter().find(|earlier| same(earlier, &row));
        if let Some(arrival) = arrival.filter(|_| last_only && filter.asks_arrival()) {
            row.listener = arrival.listener.clone();
            row.message_id = arrival.message_id.clone();
            row.hello = arrival.hello.clone();
            row.subject = arrival.subject.clone();
        }
        found.extend(filter.matches(&row.facts()).then_some(row));
    }
    found.reverse();
    found
}

fn filled(path: &Path, rows: &[Row], at_once: usize, segment_rows: i64) -> Store {
    let mut store = Store::open_in_segments(path, segment_rows).unwrap();
    for rows in rows.chunks(at_once) {
        store.append(rows).unwrap();
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However rows fall into segments, batches and pages: what is found is what matches.
    #[test]
    fn what_matches_is_found(
        count in 0_u64..200, at_once in 1_usize..50, segment_rows in 1_i64..60, limit in 1_usize..30,
        looks in 40_usize..400, last_only: bool, reopened: bool, other in 0..FILTERS.len(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tracking.db");
        let rows: Vec<Row> = (0..count).map(sample).collect();
        let mut store = filled(&path, &rows, at_once, segment_rows);
        if reopened {
            drop(store);
            store = Store::open_in_segments(&path, segment_rows).unwrap();
        }
        let reader = Reader::open(&path).unwrap();
        for one in FILTERS {
            let both = format!("{one} {}", FILTERS[other]);
            for text in [one, both.trim()] {
                let mut found = all(&reader, text, limit, last_only, looks);
                // What the arrival leads to comes in the order of arrivals.
                found.sort_by_key(|row| std::cmp::Reverse(row.at));
                prop_assert_eq!(found, expected(&rows, text, last_only), "{}", text);
            }
        }
        prop_assert_eq!(store.newest().unwrap(), rows.last().map(|row| row.at));
    }
}

/// Many rows have one time, and a page may end between them: each comes once, the later one first.
#[test]
fn rows_of_one_moment_come_once_each_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracking.db");
    let rows: Vec<Row> = (0..50)
        .map(|number| Row {
            at: START,
            session: Some(number),
            ..sample(number)
        })
        .collect();
    let _store = filled(&path, &rows, 50, 8);
    let reader = Reader::open(&path).unwrap();
    let newest_first: Vec<Row> = rows.into_iter().rev().collect();
    for limit in [1, 7, 49, 50, 51] {
        assert_eq!(all(&reader, "", limit, false, 60), newest_first, "{limit}");
    }
}

#[test]
fn a_row_comes_back_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracking.db");
    let full = Row {
        session: Some(7),
        client_name: "client.example".into(),
        hello: "client".into(),
        tls: "TLSv1.3 TLS_AES_128_GCM_SHA256 X25519".into(),
        user: "ann".into(),
        subject: "=?utf-8?q?x?=".into(),
        route: "exchange".into(),
        host: "mx.x.example [192.0.2.7]:25".into(),
        place: "gatepost.toml:13".into(),
        note: "listed-client".into(),
        queued: Some(Duration::from_millis(1500)),
        took: Some(Duration::from_millis(20)),
        replied: Some(Duration::ZERO),
        tries: 3,
        other: Some(id(9)),
        recovered: true,
        ..sample(40)
    };
    let bare = Row::new(after(1), TrackedResult::Refused, Stage::Connect);
    let rows = [full, bare];
    let mut store = filled(&path, &rows, 2, 100);
    let reader = Reader::open(&path).unwrap();
    assert_eq!(
        all(&reader, "", 10, false, 100),
        [rows[1].clone(), rows[0].clone()]
    );
    assert_eq!(
        reader.of_message(rows[0].id.unwrap()).unwrap(),
        [rows[0].clone()]
    );
    let known = store.last_of(rows[0].id.unwrap(), 0).unwrap();
    assert_eq!(known, Some((1, rows[0].clone())));
    assert_eq!(store.last_of(rows[0].id.unwrap(), 5), Ok(None));

    let mut long = bare_with_reply(&"\u{e9}".repeat(400));
    store.append(&[long.clone()]).unwrap();
    long.reply = "\u{e9}".repeat(256).into();
    assert_eq!(
        reader.since(&Filter::everything(), 2, 9, 9).unwrap(),
        (vec![(3, long)], 3)
    );
    assert_eq!(reader.end(), Ok(3));
}

fn bare_with_reply(reply: &str) -> Row {
    Row {
        reply: reply.into(),
        ..Row::new(after(2), TrackedResult::Refused, Stage::Connect)
    }
}

#[test]
fn what_is_old_or_too_much_goes_in_steps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracking.db");
    let rows: Vec<Row> = (0..20_000).map(sample).collect();
    let mut store = filled(&path, &rows, 500, 500);
    let reader = Reader::open(&path).unwrap();
    let oldest = || {
        reader.since(&Filter::everything(), 0, 1, 9).unwrap().0[0]
            .1
            .at
    };

    let whole = store.octets().unwrap();
    let mut steps = 0;
    while store.trim(after(9_000), u64::MAX).unwrap() {
        steps += 1;
    }
    assert_eq!(oldest(), after(9_000));
    assert!(steps > 3, "{steps}");
    assert_eq!(
        all(&reader, "to:*@x.example", 1000, false, 9999),
        expected(&rows[9_000..], "to:*@x.example", false)
    );

    // Room that became free is used again; it is given back when the file is larger than it may be.
    assert_eq!(store.octets().unwrap(), whole);
    let most = whole / 4;
    while store.trim(START, most).unwrap() {}
    assert!(
        store.octets().unwrap() <= most,
        "{} of {whole}",
        store.octets().unwrap()
    );
    assert!(oldest() > after(15_000));
    // What is too old goes though its segment is not full.
    store.append(&[sample(20_000)]).unwrap();
    while store.trim(after(20_001), whole).unwrap() {}
    assert_eq!(all(&reader, "", 10, false, 100), []);
    store.append(&[sample(20_001)]).unwrap();
    assert_eq!(all(&reader, "", 10, false, 100)[0], sample(20_001));
}

/// A row whose deciding line nobody else has.
fn of_line(number: u64) -> Row {
    Row {
        place: format!("gatepost.toml:{number}").into(),
        ..Row::new(after(number), TrackedResult::Refused, Stage::Rcpt)
    }
}

#[test]
fn texts_are_forgotten_that_no_row_uses_any_more_a_few_rows_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracking.db");
    let (mut store, reader) = (Store::open(&path).unwrap(), Reader::open(&path).unwrap());
    let stored = || all(&reader, "", 8192, false, 8192);
    let most = crate::words::WORDS_MAX as u64;
    let rows: Vec<Row> = (0..most + 1).map(of_line).collect();
    store.append(&rows).unwrap();
    // One too many: that row does not say its line.
    assert_eq!(&*stored()[0].place, "");

    // No text goes as long as rows use it; it is looked through once.
    let mut steps = 0;
    while store.trim(START, u64::MAX).unwrap() {
        steps += 1;
    }
    assert_eq!(steps, rows.len().div_ceil(4096));
    assert_eq!(stored()[1], of_line(most - 1));
    drop(store);

    // Those of rows that went do, also when rows come meanwhile; the others stay, and there is room.
    let mut store = Store::open(&path).unwrap();
    let kept = most - 10_000;
    assert!(store.trim(after(kept), u64::MAX).unwrap());
    store.append(&[of_line(kept), of_line(most - 1)]).unwrap();
    while store.trim(after(kept), u64::MAX).unwrap() {}
    store.append(&[of_line(most + 2)]).unwrap();
    let stored = stored();
    assert_eq!(stored[..3], [most + 2, most - 1, kept].map(of_line));
    assert!(
        stored[4..]
            .iter()
            .eq(rows[kept as usize..most as usize].iter().rev())
    );
}

#[test]
fn whoever_opens_it_knows_whether_it_was_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracking.db");
    let open = || Store::open(&path).unwrap();
    let mut store = open();
    assert!(!store.was_closed());
    store.append(&[sample(1)]).unwrap();
    store.close().unwrap();
    assert!(open().was_closed());
    // That one was not.
    let mut store = open();
    assert!(!store.was_closed());
    store.append(&[sample(2)]).unwrap();
    drop(store);
    assert!(!open().was_closed());
}

#[test]
fn what_is_missing_is_remembered_until_it_is_not_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracking.db");
    let gap = |since, end| Gap {
        since: after(since),
        end,
    };
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.gap(), Ok(None));
    store.set_gap(Some(gap(20, 7))).unwrap();
    store.set_gap(Some(gap(30, 9))).unwrap();
    drop(store);
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.gap(), Ok(Some(gap(20, 9))));
    store.set_gap(None).unwrap();
    drop(store);
    assert_eq!(Store::open(&path).unwrap().gap(), Ok(None));
}

/// What came of it was written before, and is what happened last all the same.
#[test]
fn an_arrival_that_is_made_again_stands_before_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracking.db");
    let row = |seconds, result, recovered| Row {
        id: Some(id(1)),
        number: Some(0),
        recipient: "carl@x.example".into(),
        recovered,
        ..Row::new(after(seconds), result, Stage::Data)
    };
    let deferred = row(3, TrackedResult::Deferred, false);
    let arrived = Row {
        message_id: "1@client.example".into(),
        ..row(1, TrackedResult::Received, true)
    };
    let held = row(9, TrackedResult::Held, true);
    let mut store = Store::open(&path).unwrap();
    store.append(std::slice::from_ref(&deferred)).unwrap();
    assert!(!store.knows_arrival(id(1)).unwrap());
    store.append(std::slice::from_ref(&arrived)).unwrap();
    assert!(store.knows_arrival(id(1)).unwrap());
    assert_eq!(store.last_of(id(1), 0), Ok(Some((1, deferred.clone()))));
    let reader = Reader::open(&path).unwrap();
    let both = [arrived.clone(), deferred.clone()];
    assert_eq!(reader.of_message(id(1)), Ok(both.to_vec()));
    let last = |filter| all(&reader, filter, 10, true, 100);
    let shown = Row {
        message_id: arrived.message_id.clone(),
        ..deferred.clone()
    };
    assert_eq!(last("message-id:<1@client.example>"), [shown]);
    assert_eq!(last("to:carl@x.example"), std::slice::from_ref(&deferred));
    assert_eq!(last("state:received"), []);
    // Anything else that is made again happened last.
    store.append(std::slice::from_ref(&held)).unwrap();
    assert_eq!(store.last_of(id(1), 0), Ok(Some((3, held.clone()))));
    assert_eq!(last("to:carl@x.example"), std::slice::from_ref(&held));
    let rows = vec![(3, held), (2, arrived)];
    assert_eq!(store.backwards(3, 2), Ok(rows));
}

#[test]
fn a_file_that_is_no_store_is_told_apart_from_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracking.db");
    std::fs::write(
        &path,
        b"no database at all, but long enough to be read as one".repeat(100),
    )
    .unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Damaged(_))));

    let path = folder.path().join("later.db");
    drop(Store::open(&path).unwrap());
    let later = rusqlite::Connection::open(&path).unwrap();
    later.execute_batch("PRAGMA user_version = 2").unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Newer(_))));

    let nowhere = folder.path().join("nowhere/tracking.db");
    assert!(matches!(Store::open(&nowhere), Err(StoreError::Io(_))));
}

/// Rows that could not be written leave nothing behind, in the file or in memory.
#[test]
fn what_could_not_be_written_is_as_if_it_had_never_come() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracking.db");
    let rows: Vec<Row> = (0..60).map(sample).collect();
    let mut store = filled(&path, &rows[..30], 7, 20);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TRIGGER no BEFORE INSERT ON row WHEN NEW.n = 45 BEGIN SELECT RAISE(FAIL, 'no'); END").unwrap();
    assert!(store.append(&rows[30..]).is_err());
    other.execute_batch("DROP TRIGGER no").unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(
        all(&reader, "", 9, false, 99),
        expected(&rows[..30], "", false)
    );
    store.append(&rows[30..]).unwrap();
    for text in FILTERS {
        assert_eq!(
            all(&reader, text, 9, false, 99),
            expected(&rows, text, false),
            "{text}"
        );
    }
}

fn transcript(number: u64, text: &str) -> Transcript {
    Transcript {
        at: after(number),
        session: number.is_multiple_of(2).then_some(number),
        ids: vec![id(number), id(number + 1)],
        text: text.to_owned(),
    }
}

#[test]
fn transcripts_are_found_by_message_and_by_session() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tracking.db");
    let mut store = Store::open(&file).unwrap();
    for number in 0..4 {
        let one = transcript(number, &format!("dialogue {number}"));
        store.append_transcript(&one).unwrap();
    }
    let reader = Reader::open(&file).unwrap();
    let texts = |of| -> Vec<String> {
        let found = reader.transcripts(of).unwrap();
        found.into_iter().map(|one| one.text).collect()
    };
    let of_message = texts(TranscriptsOf::Message(id(2)));
    assert_eq!(of_message, ["dialogue 1", "dialogue 2"]);
    assert_eq!(texts(TranscriptsOf::Session(2)), ["dialogue 2"]);
    assert_eq!(texts(TranscriptsOf::Session(1)), [""; 0]);
    let found = reader.transcripts(TranscriptsOf::Session(2)).unwrap();
    assert_eq!((found[0].at, found[0].session), (after(2), Some(2)));
}

#[test]
fn transcripts_go_by_age_and_take_no_more_than_half_of_the_room() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tracking.db");
    let mut store = Store::open(&file).unwrap();
    let text = "x".repeat(1000);
    for number in 0..1000 {
        store.append_transcript(&transcript(number, &text)).unwrap();
    }
    // What was there before counts after a start, too.
    drop(store);
    let mut store = Store::open(&file).unwrap();
    while store.trim(START, 2_000_000).unwrap() {}
    let reader = Reader::open(&file).unwrap();
    let has = |number| {
        let found = reader.transcripts(TranscriptsOf::Message(id(number)));
        !found.unwrap().is_empty()
    };
    // They go in steps of 256.
    assert!(!has(511) && has(520) && has(999));
    while store.trim(after(990), 2_000_000).unwrap() {}
    assert!(!has(900) && has(990) && has(999));
}

#[test]
fn what_a_later_version_wrote_is_passed_over_and_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tracking.db");
    let mut store = Store::open(&file).unwrap();
    store
        .append(&(0..8).map(sample).collect::<Vec<_>>())
        .unwrap();
    drop(store);
    let later = rusqlite::Connection::open(&file).unwrap();
    later
        .execute("UPDATE row SET result = 200 WHERE n = 2", ())
        .unwrap();
    later
        .execute("UPDATE row SET stage = 99 WHERE n = 5", ())
        .unwrap();
    drop(later);
    let mut store = Store::open(&file).unwrap();
    store.append(&[sample(8)]).unwrap();
    let reader = Reader::open(&file).unwrap();
    let filter = Filter::everything();
    let page = reader
        .page(&Question {
            filter: &filter,
            before: None,
            limit: 100,
            last_only: false,
            looks: 1000,
        })
        .unwrap();
    let numbers: Vec<i64> = page.rows.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, [9, 8, 7, 6, 4, 3, 1]);
    assert_eq!(reader.since(&filter, 0, 100, 1000).unwrap().0.len(), 7);
}
