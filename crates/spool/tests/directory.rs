//! The local store's directory: who may use it, what it holds, what is damaged in it.

mod sample;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use filter::Filter;
use rusqlite::Connection;
use sample::{
    Scratch, advance, applied, at, begin, bulk, carried_out, content, done, id, message, open,
    store,
};
use spool::{
    BULK_RECIPIENTS_MAX, Body, Bulk, Change, Commit, Content, Counts, Health, Local, LocalOptions,
    NewMessage, Page, Spool, SpoolError, Verb, Wanted,
};

fn edit(directory: &Path, statement: &str) {
    let connection = Connection::open(directory.join("spool.db")).unwrap();
    assert_eq!(connection.execute(statement, ()).unwrap(), 1, "{statement}");
}

fn hex(n: u64) -> String {
    id(n)
        .to_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn large(spool: &Local, n: u64) -> NewMessage {
    let mut writer = spool.open_body(id(n)).unwrap();
    writer.write(&content(n, 100_000)).unwrap();
    NewMessage {
        content: writer.finish().unwrap(),
        ..message(n, &["a@x.example"])
    }
}

#[test]
fn everything_is_there_after_a_restart() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    let new = message(1, &["a@x.example", "b@y.example"]);
    store(&spool, new.clone());
    store(&spool, large(&spool, 2));
    let hold = bulk(Verb::Hold, Filter::id(id(2)), at(0));
    carried_out(&spool, hold);
    let page = Page {
        after: None,
        limit: 10,
    };
    let before = spool.find(&Filter::everything(), page).unwrap();
    drop(spool);
    let log = fs::metadata(scratch.spool().join("spool.db-wal")).map_or(0, |facts| facts.len());
    assert_eq!(log, 0, "an orderly end empties the log");
    let spool = scratch.open();
    assert_eq!(spool.find(&Filter::everything(), page).unwrap(), before);
    assert_eq!(before[0].recipients, new.recipients);
    assert!(matches!(spool.body(id(1)), Ok(Some(Body::Memory(body))) if body == content(1, 300)));
    // Numbers of bodies go on where they were.
    store(&spool, message(3, &["a@x.example"]));
    assert!(matches!(spool.body(id(1)), Ok(Some(Body::Memory(body))) if body == content(1, 300)));
}

#[test]
fn an_operation_goes_on_after_a_restart_where_it_was() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    let most = BULK_RECIPIENTS_MAX as u64;
    (0..most + 5).for_each(|n| store(&spool, message(n, &["a@x.example"])));
    let said = Bulk {
        reason: Some("gone \"for good\"".into()),
        ..bulk(
            Verb::Bounce,
            Filter::parse("to:a@* age:>1s", at(9999)).unwrap(),
            at(7),
        )
    };
    begin(&spool, said.clone());
    let part = advance(&spool).unwrap();
    drop(spool);
    let spool = scratch.open();
    assert_eq!(spool.operations().unwrap(), std::slice::from_ref(&part));
    assert_eq!((&part.bulk, part.changed), (&said, most));
    let nobody = spool.due("x.example", &Wanted::due(at(9), 10)).unwrap();
    assert_eq!(nobody.messages, []);
    let end = advance(&spool).unwrap();
    assert_eq!((end.looked_at, end.changed), (most + 5, most + 5));
    drop(spool);
    // What is damaged must not be done to others than were meant.
    let spool = scratch.open();
    begin(&spool, bulk(Verb::Delete, Filter::id(id(1)), at(8)));
    drop(spool);
    edit(
        &scratch.spool(),
        "UPDATE operation SET filter = '' WHERE ended IS NULL",
    );
    let spool = scratch.open();
    assert_eq!(advance(&spool), None);
    assert_eq!(spool.operations().unwrap(), [end]);
    // It is said once, and the row is gone.
    let notes = spool.notes();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("operation 2 on the queue cannot be read (the checksum"));
    assert_eq!(advance(&spool), None);
    assert_eq!(spool.notes(), [""; 0]);
}

#[test]
fn one_process_at_a_time_and_its_owner_only() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    store(&spool, large(&spool, 1));
    store(&spool, shared(2, 20_000));
    let options = LocalOptions {
        directory: scratch.spool(),
        min_free: 0,
    };
    assert!(matches!(Local::open(options), Err(SpoolError::Invalid(_))));
    let mode = |name: &str| {
        fs::metadata(scratch.spool().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    for name in ["", "bodies", "segments"] {
        assert_eq!(mode(name), 0o700, "{name}");
    }
    let body = format!("bodies/{}", id(1));
    let database = ["spool.db", "spool.db-wal", "spool.db-shm"];
    for name in [&database[..], &["lock", &body, "segments/00000001"]].concat() {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    drop(spool);
    scratch.open();
}

#[test]
fn a_foreign_or_newer_file_is_left_alone() {
    let foreign = ["PRAGMA user_version = 7", "CREATE TABLE other (n)"];
    for statement in foreign {
        let scratch = Scratch::new();
        fs::create_dir(scratch.spool()).unwrap();
        let connection = Connection::open(scratch.spool().join("spool.db")).unwrap();
        connection.execute_batch(statement).unwrap();
        drop(connection);
        let options = LocalOptions {
            directory: scratch.spool(),
            min_free: 0,
        };
        assert!(
            matches!(Local::open(options), Err(SpoolError::Invalid(_))),
            "{statement}"
        );
    }
    let scratch = Scratch::new();
    fs::create_dir(scratch.spool()).unwrap();
    fs::write(scratch.spool().join("spool.db"), "a text").unwrap();
    let looked = Local::look(&scratch.spool());
    assert!(matches!(looked, Err(SpoolError::Invalid(_))), "{looked:?}");
    let scratch = Scratch::new();
    Local::look(&scratch.spool()).expect("none yet");
    drop(scratch.open());
    Local::look(&scratch.spool()).expect("our own");
    let connection = Connection::open(scratch.spool().join("spool.db")).unwrap();
    connection
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    drop(connection);
    let options = LocalOptions {
        directory: scratch.spool(),
        min_free: 0,
    };
    let looked = Local::look(&scratch.spool()).map_err(|error| error.to_string());
    assert!(looked.is_err_and(|why| why.contains("version 99")));
    assert!(matches!(Local::open(options), Err(SpoolError::Invalid(_))));
}

#[test]
fn a_spool_is_looked_at_beside_whoever_has_it_open() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    Local::look(&scratch.spool()).expect("just made");
    store(&spool, message(1, &["a@x.example"]));
    Local::look(&scratch.spool()).expect("in use");
}

#[test]
fn below_the_floor_mail_is_refused_and_settled_all_the_same() {
    let scratch = Scratch::new();
    store(&scratch.open(), message(1, &["a@x.example"]));
    let options = LocalOptions {
        directory: scratch.spool(),
        min_free: u64::MAX,
    };
    let spool = Local::open(options).unwrap();
    assert!(matches!(
        spool.health(),
        Health::LowSpace {
            floor: u64::MAX,
            ..
        }
    ));
    let answers = spool.commit(vec![
        Change::Store(message(2, &["a@x.example"])),
        Change::Settle(done(1, &[0])),
    ]);
    assert_eq!(answers[0], Commit::Rejected(SpoolError::Full));
    assert_eq!(answers[1], Commit::Applied { recipients: 1 });
    assert!(matches!(spool.heal(), Health::LowSpace { .. }));
    drop(spool);
    store(&scratch.open(), message(2, &["a@x.example"]));
}

#[test]
fn the_sweep_takes_only_what_nobody_names() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    let kept = large(&spool, 1);
    store(&spool, kept);
    let bodies = scratch.spool().join("bodies");
    fs::write(bodies.join(id(2).to_string()), b"left by a crash").unwrap();
    let mut writing = spool.open_body(id(3)).unwrap();
    let finished = large(&spool, 4);
    store(&spool, message(5, &["a@x.example"]));
    let refused = large(&spool, 5);
    assert!(matches!(
        spool.commit(vec![Change::Store(refused)])[0],
        Commit::Rejected(_)
    ));
    // That one went with its rejection.
    assert_eq!(spool.sweep(), Ok(1));
    assert_eq!(spool.sweep(), Ok(0));
    assert_eq!(fs::read_dir(&bodies).unwrap().count(), 3);
    store(&spool, finished);
    writing.write(b"x").unwrap();
    writing.finish().unwrap();
    for n in [1, 4] {
        assert!(matches!(spool.body(id(n)), Ok(Some(Body::Stream(_)))));
        applied(&spool, Change::Settle(done(n, &[0])));
    }
    assert_eq!(fs::read_dir(&bodies).unwrap().count(), 1);
}

#[test]
fn a_damaged_recipient_is_set_aside_and_the_others_go_on() {
    let scratch = Scratch::new();
    for n in 1..=3 {
        store(&scratch.open(), message(n, &["a@x.example", "b@x.example"]));
    }
    let edits = [
        format!(
            "UPDATE recipient SET address = 'eve@x.example' WHERE id = x'{}' AND number = 0",
            hex(1)
        ),
        format!(
            "UPDATE message SET sender = 'eve@x.example' WHERE id = x'{}'",
            hex(2)
        ),
    ];
    edits.iter().for_each(|edit_| edit(&scratch.spool(), edit_));
    let spool = scratch.open();
    for _ in 0..2 {
        let page = spool.due("x.example", &Wanted::due(at(9), 10)).unwrap();
        let seen: Vec<_> = page
            .messages
            .iter()
            .map(|w| (w.message.id, w.recipients.len()))
            .collect();
        assert_eq!((seen, page.next), (vec![(id(1), 1), (id(3), 2)], None));
    }
    assert_eq!(spool.notes().len(), 3);
    assert_eq!(spool.notes(), Vec::<String>::new());
    // The next commit marks them, whatever it is about.
    applied(&spool, Change::Settle(done(3, &[0])));
    let counts = |filter: &Filter| spool.count(filter).unwrap();
    let expected = Counts {
        messages: 3,
        waiting: 2,
        oldest: Some(id(1).made()),
        corrupt: 3,
        ..Counts::default()
    };
    assert_eq!(counts(&Filter::everything()), expected);
    drop(spool);
    let spool = scratch.open();
    assert_eq!(spool.count(&Filter::everything()).unwrap(), expected);
    assert_eq!(
        spool
            .due("x.example", &Wanted::due(at(9), 10))
            .unwrap()
            .messages
            .len(),
        2
    );
    let waiting = Filter::parse("state:waiting", at(0)).unwrap();
    assert_eq!(spool.count(&waiting).unwrap().corrupt, 0);
    // An operator can get rid of them.
    assert_eq!(
        carried_out(&spool, bulk(Verb::Delete, Filter::id(id(2)), at(0))),
        2
    );
    assert!(matches!(spool.body(id(2)), Ok(None)));
    assert_eq!(spool.health(), Health::Accepting);
}

/// Neither in a row nor in a segment.
#[test]
fn nobody_gets_what_was_meant_for_another_one() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    for n in 0..3 {
        store(&spool, message(n, &["a@x.example"]));
        store(&spool, shared(10 + n, 20_000));
    }
    drop(spool);
    let other = |column: &str, n, of| {
        let (n, of) = (hex(n), hex(of));
        let its = format!("SELECT {column} FROM message WHERE id = x'{of}'");
        edit(
            &scratch.spool(),
            &format!("UPDATE message SET {column} = ({its}) WHERE id = x'{n}'"),
        );
    };
    other("body", 1, 2);
    other("place", 11, 12);
    let spool = scratch.open();
    let with_content = Wanted {
        content: 1 << 20,
        ..Wanted::due(at(9), 10)
    };
    let due = spool.due("x.example", &with_content).unwrap().messages;
    let seen = due
        .iter()
        .map(|waiting| (waiting.message.id, waiting.content.clone()));
    let whole = |n, octets| (id(n), Some(content(n, octets)));
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            whole(0, 300),
            whole(2, 300),
            whole(10, 20_000),
            whole(12, 20_000)
        ]
    );
    assert_eq!(spool.notes().len(), 2);
}

fn corrupt<T>(result: Result<T, SpoolError>) -> bool {
    matches!(result, Err(SpoolError::Corrupt(_)))
}

#[test]
fn a_damaged_body_is_never_sent_as_if_it_were_whole() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    store(&spool, message(1, &["a@x.example"]));
    (2..=4).for_each(|n| store(&spool, large(&spool, n)));
    drop(spool);
    edit(&scratch.spool(), "UPDATE body SET content = zeroblob(300)");
    let file = |n| scratch.spool().join("bodies").join(id(n).to_string());
    let mut damaged = fs::read(file(2)).unwrap();
    damaged[50_000] ^= 1;
    fs::write(file(2), damaged).unwrap();
    fs::write(file(3), b"too short").unwrap();
    fs::remove_file(file(4)).unwrap();
    let spool = open(&scratch.spool());
    assert!(corrupt(spool.body(id(1))));
    assert!(corrupt(spool.body(id(3))));
    assert!(corrupt(spool.body(id(4))));
    for n in 2..=4 {
        assert!(corrupt(spool.shared_body(id(n))), "{n}");
    }
    let Ok(Some(Body::Stream(mut stream))) = spool.body(id(2)) else {
        panic!("no stream")
    };
    let mut read = Vec::new();
    let error = stream.read_to_end(&mut read).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(
        read.len() < 100_000,
        "the end must not come before the error"
    );
    assert_eq!(spool.health(), Health::Accepting);
}

fn shared(n: u64, octets: usize) -> NewMessage {
    NewMessage {
        content: Content::Inline(content(n, octets)),
        ..message(n, &["a@x.example"])
    }
}

fn read(spool: &Local, n: u64) -> Result<Vec<u8>, std::io::Error> {
    let mut read = Vec::new();
    match spool.body(id(n)) {
        Ok(Some(Body::Memory(content))) => read.extend_from_slice(&content),
        Ok(Some(Body::Stream(mut stream))) => drop(stream.read_to_end(&mut read)?),
        other => panic!("{:?}", other.map(|_| "nothing")),
    }
    Ok(read)
}

/// The segments: octets, and how much room they take on the disk.
fn segments(scratch: &Scratch) -> Vec<(u64, u64)> {
    let files = fs::read_dir(scratch.spool().join("segments")).unwrap();
    let facts = files.map(|file| file.unwrap().metadata().unwrap());
    facts
        .map(|facts| (facts.len(), facts.blocks() * 512))
        .collect()
}

#[test]
fn many_share_a_file_which_goes_with_the_last_of_them() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    let octets = |n: u64| [16_384, 40_001, 65_536, 65_537, 300_000][n as usize % 5];
    let all = (0..20).map(|n| Change::Store(shared(n, octets(n))));
    assert!(
        spool
            .commit(all.collect())
            .iter()
            .all(|answer| matches!(answer, Commit::Stored(_)))
    );
    store(&spool, message(20, &["a@x.example"]));
    assert_eq!(segments(&scratch).len(), 1);
    let whole = |spool: &Local| {
        (0..20).for_each(|n| assert_eq!(read(spool, n).unwrap(), content(n, octets(n))));
    };
    whole(&spool);
    // One whose id is taken leaves nothing that counts.
    let twice = spool.commit(vec![Change::Store(shared(3, 20_000))]);
    assert!(matches!(twice[0], Commit::Rejected(_)));
    drop(spool);
    let spool = scratch.open();
    whole(&spool);
    // After a start there is a new one.
    store(&spool, shared(21, 20_000));
    assert_eq!(segments(&scratch).len(), 2);
    (0..19).for_each(|n| assert_eq!(applied(&spool, Change::Settle(done(n, &[0]))), 1));
    assert_eq!(segments(&scratch).len(), 2);
    let mut late = match spool.body(id(19)) {
        Ok(Some(Body::Stream(stream))) => stream,
        _ => panic!("no stream"),
    };
    applied(&spool, Change::Settle(done(19, &[0])));
    assert_eq!(segments(&scratch).len(), 1);
    // Whoever reads it reads it to its end.
    let mut end = Vec::new();
    late.read_to_end(&mut end).unwrap();
    assert_eq!(end, content(19, octets(19)));
    applied(&spool, Change::Settle(done(21, &[0])));
    drop(spool);
    drop(scratch.open());
    assert_eq!(segments(&scratch), []);
}

#[test]
fn what_is_not_needed_of_a_segment_gives_its_room_back() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    let all = (0..60).map(|n| Change::Store(shared(n, 100_000)));
    spool.commit(all.collect());
    let rest = |spool: &Local, left: &[u64]| {
        left.iter()
            .for_each(|n| assert_eq!(read(spool, *n).unwrap(), content(*n, 100_000)));
    };
    let room = || segments(&scratch).iter().map(|(_, room)| room).sum::<u64>();
    let full = room();
    assert!(full >= 6_000_000, "{full}");
    (0..30).for_each(|n| assert_eq!(applied(&spool, Change::Settle(done(n, &[0]))), 1));
    (0..3).for_each(|_| drop(spool.heal()));
    assert_eq!(room(), full, "it is appended to");
    // A start looks for what takes room for nothing.
    drop(spool);
    let spool = scratch.open();
    (0..3).for_each(|_| drop(spool.heal()));
    assert!(room() < full * 6 / 10, "{}", room());
    // While somebody reads, and right after, nothing goes.
    let mut stream = match spool.body(id(30)) {
        Ok(Some(Body::Stream(stream))) => stream,
        _ => panic!("no stream"),
    };
    (30..50).for_each(|n| assert_eq!(applied(&spool, Change::Settle(done(n, &[0]))), 1));
    let before = room();
    (0..3).for_each(|_| drop(spool.heal()));
    assert_eq!(room(), before);
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).unwrap();
    assert_eq!(seen, content(30, 100_000));
    drop(stream);
    spool.heal();
    assert_eq!(room(), before, "somebody may be about to read");
    spool.heal();
    assert!(room() < full * 3 / 10, "{}", room());
    rest(&spool, &[50, 55, 59]);
}

#[test]
fn a_damaged_segment_costs_those_whose_content_is_damaged() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    let all = (0..4).map(|n| Change::Store(shared(n, [20_000, 100_000][n as usize % 2])));
    spool.commit(all.collect());
    drop(spool);
    let file = scratch.spool().join("segments").join("00000001");
    let mut octets = fs::read(&file).unwrap();
    for n in [0, 1] {
        let marker = format!("Subject: {n}\r\n");
        let at = octets
            .windows(marker.len())
            .position(|seen| seen == marker.as_bytes());
        octets[at.unwrap() + 15_000] ^= 1;
    }
    fs::write(&file, &octets).unwrap();
    let spool = scratch.open();
    assert!(corrupt(spool.body(id(0))) || read(&spool, 0).is_err());
    assert!(read(&spool, 1).is_err());
    assert_eq!(read(&spool, 2).unwrap(), content(2, 20_000));
    assert_eq!(read(&spool, 3).unwrap(), content(3, 100_000));
    drop(spool);
    // One row with the place of another one's content.
    edit(
        &scratch.spool(),
        &format!(
            "UPDATE message SET place = (SELECT place FROM message WHERE id = x'{}') WHERE id = x'{}'",
            hex(3),
            hex(1)
        ),
    );
    let spool = scratch.open();
    assert!(read(&spool, 1).is_err());
    drop(spool);
    fs::write(&file, &octets[..octets.len() - 9000]).unwrap();
    let spool = scratch.open();
    assert!(spool.body(id(3)).is_err());
    drop(spool);
    fs::remove_file(&file).unwrap();
    let spool = scratch.open();
    assert!(corrupt(spool.body(id(2))) && corrupt(spool.body(id(3))));
    assert_eq!(spool.health(), Health::Accepting);
    // The name of one that is lost is not given to another, nor that of what cannot be removed.
    drop(spool);
    let name = |number: u32| file.with_file_name(format!("{number:08x}"));
    for (n, number) in [(9, 2), (10, 4)] {
        let spool = scratch.open();
        store(&spool, shared(n, 20_000));
        assert_eq!(read(&spool, n).unwrap(), content(n, 20_000));
        assert!(!name(1).exists() && name(number).is_file());
        drop(spool);
        let _there = fs::create_dir(name(3));
    }
}

fn place(spool: &Path, n: u64) -> i64 {
    let connection = Connection::open(spool.join("spool.db")).unwrap();
    let question = format!("SELECT place FROM message WHERE id = x'{}'", hex(n));
    connection
        .query_row(&question, (), |row| row.get(0))
        .unwrap()
}

/// Has the rows say that message `n` has its content elsewhere.
fn move_content(spool: &Path, n: u64, place: i64, octets: i64) {
    let id = hex(n);
    let to = format!("place = {place}, large = {octets}");
    edit(
        spool,
        &format!("UPDATE message SET {to} WHERE id = x'{id}'"),
    );
}

#[test]
fn a_damaged_place_costs_nobody_else_his_content() {
    const OCTETS: usize = 300_000;
    let scratch = Scratch::new();
    // In each segment four messages whose rows may be damaged, six that are gone, and four that stay.
    for first in [0, 100, 200] {
        let spool = scratch.open();
        let all = (first..first + 14).map(|n| Change::Store(shared(n, OCTETS)));
        spool.commit(all.collect());
        let gone = (first + 4..first + 10).map(|n| Change::Settle(done(n, &[0])));
        spool.commit(gone.collect());
    }
    let stay = || (0..3).flat_map(|part| (10..14).map(move |n| part * 100 + n));
    let whole = |spool: &Local| {
        stay().for_each(|n| assert!(read(spool, n).unwrap() == content(n, OCTETS), "{n}"));
    };
    let at = |n| place(&scratch.spool(), n);
    let (first, second) = (at(10), at(111));
    let no_place = -1;
    move_content(&scratch.spool(), 0, at(0), -1);
    move_content(&scratch.spool(), 1, no_place, 20_000);
    // Within another one's content, over several, and where another one's begins.
    move_content(&scratch.spool(), 2, first + 8192, 20_000);
    move_content(&scratch.spool(), 100, second - 4096, 1_000_000);
    move_content(&scratch.spool(), 101, second, OCTETS as i64);
    move_content(&scratch.spool(), 200, at(210), 0);
    let spool = scratch.open();
    whole(&spool);
    let damaged = [0, 1, 2, 100, 101, 200];
    for n in damaged {
        let is_damaged = spool.body(id(n)).is_err() || read(&spool, n).is_err();
        assert!(is_damaged, "message {n}");
    }
    (0..3).for_each(|_| drop(spool.heal()));
    whole(&spool);
    for n in damaged {
        assert_eq!(applied(&spool, Change::Settle(done(n, &[0]))), 1);
    }
    (0..3).for_each(|_| drop(spool.heal()));
    whole(&spool);
    assert_eq!(spool.health(), Health::Accepting);
}

/// Whoever has its name in hand yet, to read or to make a hole, does not come to another one.
#[test]
fn a_segment_never_has_the_name_of_an_earlier_one() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    let name = || {
        let entries = fs::read_dir(scratch.spool().join("segments")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    for round in 1..=3_u64 {
        let ids = round * 100..round * 100 + 34;
        let all = ids.clone().map(|n| Change::Store(shared(n, 500_000)));
        let mut all: Vec<Change> = all.collect();
        // One whose id is taken has nothing in it that would keep it.
        all.insert(1, Change::Store(shared(ids.start, 20_000)));
        spool.commit(all);
        assert_eq!(name(), [format!("{round:08x}")]);
        let all = ids.map(|n| Change::Settle(done(n, &[0])));
        spool.commit(all.collect());
        assert_eq!(name(), [""; 0]);
    }
}

#[test]
fn the_log_and_the_file_stay_small_under_steady_load() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    // 230 MiB in all, at most 2 MiB of it at once.
    for round in 0..300u64 {
        let mut changes: Vec<Change> = (0..50)
            .map(|n| {
                let mut new = message(round * 50 + n, &["a@x.example"]);
                new.content = Content::Inline(content(n, 16_000));
                Change::Store(new)
            })
            .collect();
        changes.extend(
            (0..50 * u64::from(round > 0))
                .map(|n| Change::Settle(done((round - 1) * 50 + n, &[0]))),
        );
        let answers = spool.commit(changes);
        assert!(
            !answers
                .iter()
                .any(|a| matches!(a, Commit::Rejected(_) | Commit::Unknown(_)))
        );
    }
    let octets = |name| fs::metadata(scratch.spool().join(name)).unwrap().len();
    assert!(
        octets("spool.db-wal") < 128 << 20,
        "{}",
        octets("spool.db-wal")
    );
    assert!(octets("spool.db") < 128 << 20, "{}", octets("spool.db"));
    assert_eq!(spool.notes(), Vec::<String>::new());
}

#[test]
fn what_a_long_queue_leaves_behind_is_given_back_beside_the_commits() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    for round in 0..12 {
        let changes = (0..500).map(|n| {
            let mut new = message(round * 500 + n, &["a@x.example"]);
            new.content = Content::Inline(content(n, 15_000));
            Change::Store(new)
        });
        spool.commit(changes.collect());
    }
    carried_out(&spool, bulk(Verb::Delete, Filter::everything(), at(0)));
    let closed = |spool| {
        drop(spool);
        let facts = fs::metadata(scratch.spool().join("spool.db"));
        facts.unwrap().len() >> 20
    };
    let before = closed(spool);
    assert!(before > 90, "{before} MiB");
    let spool = scratch.open();
    (0..8).for_each(|_| drop(spool.heal()));
    assert_eq!(spool.notes(), Vec::<String>::new());
    // A reserve stays for what comes next.
    let after = closed(spool);
    assert!((60..68).contains(&after), "{after} MiB of {before}");
}

#[test]
fn an_emptied_spool_gives_its_space_back_when_space_is_short() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    for round in 0..5 {
        let changes = (0..190).map(|n| {
            let mut new = message(round * 190 + n, &["a@x.example"]);
            new.content = Content::Inline(content(n, 15_000));
            Change::Store(new)
        });
        spool.commit(changes.collect());
    }
    carried_out(&spool, bulk(Verb::Delete, Filter::everything(), at(0)));
    drop(spool);
    let octets = || {
        fs::metadata(scratch.spool().join("spool.db"))
            .unwrap()
            .len()
    };
    assert!(octets() > 10 << 20);
    let options = LocalOptions {
        directory: scratch.spool(),
        min_free: u64::MAX,
    };
    let spool = Local::open(options).unwrap();
    (0..10).for_each(|_| drop(spool.heal()));
    assert!(octets() < 1 << 20, "{}", octets());
    assert_eq!(spool.notes(), Vec::<String>::new());
}
