//! A spool that an earlier build wrote is read by this one: the rows stand here as that build wrote
//! them, checksums included.

mod sample;

use bytes::Bytes;
use filter::Filter;
use mail::{
    BodyKind, EnvelopeId, MailParameters, Notify, OriginalRecipient, QueueId, RcptParameters, Ret,
    Timestamp,
};
use rusqlite::Connection;
use sample::{Scratch, applied, content, done, message, store};
use spool::{Body, Change, Content, NewMessage, Page, Spool};

const VERSION_1: &str = "
PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
CREATE TABLE message (
  id BLOB PRIMARY KEY, arrived INTEGER NOT NULL, sender TEXT NOT NULL, flags INTEGER NOT NULL,
  envid TEXT, client TEXT NOT NULL, head BLOB NOT NULL, size INTEGER NOT NULL,
  body INTEGER, large INTEGER, sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE recipient (
  id BLOB NOT NULL, number INTEGER NOT NULL, address TEXT NOT NULL, host TEXT NOT NULL,
  grounds TEXT NOT NULL, notify INTEGER, original TEXT, state INTEGER NOT NULL,
  due INTEGER NOT NULL, tries INTEGER NOT NULL, delay_told INTEGER NOT NULL, last TEXT,
  sum INTEGER NOT NULL, PRIMARY KEY (id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX due ON recipient (host, due, id, number) WHERE state = 0;
CREATE TABLE body (number INTEGER PRIMARY KEY, sum INTEGER NOT NULL, content BLOB NOT NULL) STRICT;
CREATE TABLE probe (number INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;
INSERT INTO probe VALUES (1, 0);
PRAGMA application_id = 1197569125; PRAGMA user_version = 1;
";

fn rows(flags: i64, envid: &str, sum: i64) -> String {
    format!(
        "INSERT INTO message VALUES (x'000102030405060708090a0b0c0d0e0f', 1775000000000,
           'ann@client.example', {flags}, {envid}, '192.0.2.7',
           CAST('Received: from a by b; now' || char(13, 10) AS BLOB), 48, 1, NULL, {sum});
         INSERT INTO recipient VALUES (x'000102030405060708090a0b0c0d0e0f', 0, 'bob@x.example',
           'x.example', 'our-domain', 3, 'rfc822;x@y.example', 0, 1775000005000, 2, 0,
           '450 4.2.1 busy', 3073942459);
         INSERT INTO recipient VALUES (x'000102030405060708090a0b0c0d0e0f', 1, 'eve@x.example',
           'x.example', 'our-domain', NULL, NULL, 1, 1775000005000, 0, 1, NULL, 2274404988);
         INSERT INTO body VALUES (1, 2841304010,
           CAST('Subject: x' || char(13, 10, 13, 10) || 'body' || char(13, 10) AS BLOB));"
    )
}

/// What is read of a spool with these rows, if all of it can be read.
fn read(rows: &str) -> spool::Waiting {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.spool()).unwrap();
    let connection = Connection::open(scratch.spool().join("spool.db")).unwrap();
    connection.execute_batch(VERSION_1).unwrap();
    connection.execute_batch(rows).unwrap();
    drop(connection);
    let spool = scratch.open();
    let page = Page {
        after: None,
        limit: 9,
    };
    assert_eq!(spool.pauses(), Ok(Vec::new()));
    // What nobody counted then is counted now.
    let each = Filter::parse("to:*", Timestamp::default()).unwrap();
    let counts = spool.count(&Filter::everything()).unwrap();
    assert_eq!((counts.messages, counts), (1, spool.count(&each).unwrap()));
    let made = "SELECT count(*) FROM sqlite_schema
         WHERE name IN ('tally', 'placed', 'badmail', 'bouncing', 'quarantined')";
    let connection = Connection::open(scratch.spool().join("spool.db")).unwrap();
    let made: i64 = connection.query_row(made, (), |row| row.get(0)).unwrap();
    assert_eq!(made, 5, "what is new is made at the first start");
    let mut found = spool.find(&Filter::everything(), page).unwrap();
    assert_eq!(found.len(), 1, "{:?}", spool.notes());
    let waiting = found.remove(0);
    match spool.body(waiting.message.id).unwrap() {
        Some(Body::Memory(body)) => assert_eq!(body, "Subject: x\r\n\r\nbody\r\n"),
        Some(Body::Stream(_)) | None => panic!("the content is in a row"),
    }
    waiting
}

#[test]
fn messages_and_recipients_come_back_with_all_their_parameters() {
    let waiting = read(&rows(1 | 2 | 8, "'QQ314159'", 396_645_600));
    let message = &waiting.message;
    let bytes = std::array::from_fn(|n| n as u8);
    assert_eq!(message.id, QueueId::from_bytes(bytes));
    assert_eq!(message.arrived, Timestamp::from_millis(1_775_000_000_000));
    assert_eq!(message.head, Bytes::from("Received: from a by b; now\r\n"));
    let expected = MailParameters {
        body: BodyKind::EightBit,
        smtputf8: true,
        ret: Some(Ret::Headers),
        envid: EnvelopeId::new("QQ314159"),
    };
    assert_eq!(message.parameters, expected);
    let [bob, eve] = &waiting.recipients[..] else {
        panic!("{:?}", waiting.recipients);
    };
    let expected = RcptParameters {
        notify: Some(Notify {
            success: true,
            failure: true,
            delay: false,
        }),
        original: OriginalRecipient::new("rfc822;x@y.example"),
    };
    assert_eq!(bob.parameters, expected);
    assert_eq!(
        (bob.tries, bob.last.as_deref()),
        (2, Some("450 4.2.1 busy"))
    );
    assert_eq!(eve.parameters, RcptParameters::default());
    assert!(eve.delay_told);
}

#[test]
fn a_message_without_parameters_comes_back_without_them() {
    let message = read(&rows(4, "NULL", 1_930_266_041)).message;
    let expected = MailParameters {
        ret: Some(Ret::Full),
        ..MailParameters::default()
    };
    assert_eq!(message.parameters, expected);
}

/// What version 3 had, and version 4 has not: triggers, which would count everything twice.
#[test]
fn what_triggers_counted_before_is_counted_once() {
    let scratch = Scratch::new();
    let spool = scratch.open();
    store(&spool, message(1, &["a@x.example", "b@x.example"]));
    drop(spool);
    let connection = Connection::open(scratch.spool().join("spool.db")).unwrap();
    let counts = |count: &str, of: &str, what: &str| {
        format!(
            "CREATE TRIGGER {count} AFTER {of} BEGIN UPDATE tally SET count = count + 1
             WHERE what = {what}; END;"
        )
    };
    let version_3 = [
        "DROP INDEX placed; ALTER TABLE message DROP COLUMN place; PRAGMA user_version = 3;".into(),
        counts("message_comes", "INSERT ON message", "-1"),
        counts("message_goes", "DELETE ON message", "-1"),
        counts("recipient_comes", "INSERT ON recipient", "NEW.state"),
        counts("recipient_goes", "DELETE ON recipient", "OLD.state"),
        counts(
            "recipient_turns",
            "UPDATE OF state ON recipient",
            "OLD.state",
        ),
    ];
    connection.execute_batch(&version_3.concat()).unwrap();
    drop(connection);
    let spool = scratch.open();
    store(&spool, message(2, &["a@x.example"]));
    store(
        &spool,
        NewMessage {
            content: Content::Inline(content(3, 20_000)),
            ..message(3, &["a@x.example", "b@x.example"])
        },
    );
    applied(&spool, Change::Settle(done(1, &[0])));
    applied(&spool, Change::Settle(done(2, &[0])));
    let counts = spool.count(&Filter::everything()).unwrap();
    let each = Filter::parse("to:*", Timestamp::default()).unwrap();
    assert_eq!((counts.messages, counts.waiting), (2, 3));
    assert_eq!(counts, spool.count(&each).unwrap());
    assert_eq!(
        spool
            .find(
                &Filter::everything(),
                Page {
                    after: None,
                    limit: 9
                }
            )
            .unwrap()
            .len(),
        2
    );
}
