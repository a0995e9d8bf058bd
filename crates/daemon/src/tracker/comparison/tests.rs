use std::sync::Arc;

use bytes::Bytes;
use mail::{MailParameters, Mailbox, ReversePath, TrackedResult};
use relay_policy::{Admitted, Grounds};
use spool::{
    Change, Commit, Content, HoldReason, Message, Model, NewMessage, Recipient, Settled, Settlement,
};
use tracking::Stage;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const HOUR: Duration = Duration::from_hours(1);
const CONTENT: &[u8] =
    b"Subject: =?utf-8?q?K=C3=A4se?=\r\nMessage-ID: <x@client.example>\r\n\r\nhello\r\n";
const HEAD: &[u8] = b"Received: from mx.example (mx.example [192.0.2.9])\r\n\t\
    (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384\r\n\t key-exchange X25519)\r\n\t\
    by relay.example with ESMTPS id x;\r\n\tx\r\n";

struct World {
    spool: Model,
    store: Store,
    now: Moment,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            spool: Model::new(),
            store: Store::open(&folder.path().join("tracking.db")).unwrap(),
            now: Moment::of(NOW),
            _folder: folder,
        }
    }

    /// A message that came so long ago, for two.
    fn message(&self, ago: Duration) -> QueueId {
        let id = QueueId::new(NOW - ago, 7);
        let message = Message {
            id,
            arrived: NOW - ago,
            reverse_path: ReversePath::parse("ann@client.example").unwrap(),
            parameters: MailParameters::default(),
            client: "192.0.2.9".into(),
            user: None,
            from_stranger: false,
            head: Bytes::from_static(HEAD),
            size: (HEAD.len() + CONTENT.len()) as u64,
        };
        let recipient = |number| {
            let to = Mailbox::parse(&format!("b{number}@our.example")).unwrap();
            let admitted = Admitted::from_stored(to, Grounds::OurDomain);
            Recipient::waiting(number, admitted, NOW)
        };
        let new = NewMessage {
            message: Arc::new(message),
            recipients: (0..2).map(recipient).collect(),
            content: Content::Inline(Bytes::from_static(CONTENT)),
        };
        let committed = self.spool.commit(vec![Change::Store(new)]);
        assert!(matches!(committed[..], [Commit::Stored(_)]));
        id
    }

    fn settle(&self, id: QueueId, number: u32, settled: Settled) {
        let settlement = Settlement {
            id,
            recipients: vec![(number, settled)],
            notices: Vec::new(),
        };
        self.spool.commit(vec![Change::Settle(settlement)]);
    }

    /// What was known of its arrival.
    fn know(&mut self, id: QueueId) {
        let row = |number| row(id, number, TrackedResult::Received, 0);
        self.store.append(&[row(0), row(1)]).unwrap();
    }

    fn sources(&self) -> Sources<'_> {
        Sources {
            spool: &self.spool,
            store: &self.store,
            now: self.now,
            keep: 240 * HOUR,
            with_subject: true,
        }
    }

    fn look(&self, comparison: &mut Comparison) {
        for _ in 0..10_000 {
            if comparison.spans.is_empty() && comparison.ends.0 <= comparison.ends.1 {
                return;
            }
            assert!(comparison.look(&self.sources()).is_ok());
        }
        panic!("it has no end");
    }

    /// What a comparison makes again, as number, result and tries.
    fn made_again(&mut self, mut comparison: Comparison) -> Vec<(u32, TrackedResult, u32)> {
        self.look(&mut comparison);
        let missing = comparison.missing(&self.store).unwrap();
        self.store.append(&missing).unwrap();
        comparison.written();
        assert!(comparison.is_over());
        assert!(missing.iter().all(|row| row.recovered));
        let short = missing
            .iter()
            .map(|row| (row.number.unwrap(), row.result, row.tries));
        short.collect()
    }

    fn made_again_since(&mut self, ago: Duration) -> Vec<(u32, TrackedResult, u32)> {
        let comparison = self.since(ago);
        self.made_again(comparison)
    }

    fn since(&self, ago: Duration) -> Comparison {
        let gap = Gap {
            since: NOW - ago,
            end: self.store.end(),
        };
        Comparison::new(gap, true)
    }
}

fn row(id: QueueId, number: u32, result: TrackedResult, tries: u32) -> Row {
    Row {
        id: Some(id),
        number: Some(number),
        recipient: format!("b{number}@our.example").into(),
        tries,
        ..Row::new(NOW - HOUR, result, Stage::Data)
    }
}

fn deferred(tries: u32) -> Settled {
    Settled::Again {
        due: NOW + HOUR,
        tries,
        last: "mx.our.example said: 451 4.2.1 later".into(),
        delay_told: false,
    }
}

#[test]
fn an_arrival_has_what_its_message_tells() {
    let world = World::new();
    let id = world.message(2 * HOUR);
    let mut comparison = world.since(3 * HOUR);
    world.look(&mut comparison);
    let rows = comparison.missing(&world.store).unwrap();
    assert_eq!(rows.len(), 2);
    let row = &rows[1];
    assert_eq!(
        (row.id, row.number, row.at),
        (Some(id), Some(1), NOW - 2 * HOUR)
    );
    assert_eq!(
        (row.result, row.stage),
        (TrackedResult::Received, Stage::Data)
    );
    assert_eq!(
        (&*row.message_id, &*row.subject),
        ("x@client.example", "K\u{e4}se")
    );
    assert_eq!(
        (&*row.client, &*row.client_name, &*row.hello),
        ("192.0.2.9", "mx.example", "mx.example")
    );
    assert_eq!(&*row.tls, "TLSv1.3 TLS_AES_256_GCM_SHA384 X25519");
    assert_eq!(row.size, (HEAD.len() + CONTENT.len()) as u64);
    let without = Sources {
        with_subject: false,
        ..world.sources()
    };
    let mut comparison = world.since(3 * HOUR);
    assert!(comparison.look(&without).is_ok());
    assert_eq!(&*comparison.missing(&world.store).unwrap()[0].subject, "");
}

#[test]
fn an_arrival_is_looked_for_only_where_rows_were_lost_and_for_as_long_as_it_would_be_kept() {
    use TrackedResult::Received;
    let mut world = World::new();
    world.message(300 * HOUR);
    world.message(20 * HOUR);
    world.message(HOUR);
    let arrivals = vec![(0, Received, 0), (1, Received, 0)];
    let recent = world.since(2 * HOUR);
    assert_eq!(world.made_again(recent), arrivals);
    let older = world.since(30 * HOUR);
    assert_eq!(world.made_again(older), arrivals);
    let all = world.since(400 * HOUR);
    assert_eq!(world.made_again(all), []);
}

#[test]
fn the_last_that_happened_is_made_again_of_old_mail_too() {
    use TrackedResult::{Bounced, Deferred, Held, Released};
    let mut world = World::new();
    let id = world.message(20 * HOUR);
    world.know(id);
    world.settle(id, 0, deferred(3));
    let after_crash = world.since(HOUR);
    assert_eq!(world.made_again(after_crash), [(0, Deferred, 3)]);
    let (_, last) = world.store.last_of(id, 0).unwrap().unwrap();
    assert_eq!(&*last.reply, "mx.our.example said: 451 4.2.1 later");
    assert_eq!(&*last.note, "the next try is at 2027-01-15T09:00:00.000Z");
    // A try that is told of and not counted yet is no older than that.
    world.store.append(&[row(id, 0, Deferred, 4)]).unwrap();
    let again = world.since(HOUR);
    assert_eq!(world.made_again(again), []);
    for (hours, reason, result) in [
        (21, HoldReason::Badmail, Held),
        (22, HoldReason::Screening, Held),
        (23, HoldReason::Bouncing, Bounced),
    ] {
        let id = world.message(hours * HOUR);
        world.know(id);
        let last = "why".into();
        world.settle(id, 1, Settled::Held { reason, last });
        let made_again = world.made_again_since(HOUR);
        assert_eq!(made_again, [(1, result, 0)], "{reason:?}");
        assert_eq!(world.made_again_since(HOUR), []);
    }
    let released = world.message(24 * HOUR);
    world.know(released);
    world.store.append(&[row(released, 1, Held, 0)]).unwrap();
    assert_eq!(world.made_again_since(HOUR), [(1, Released, 0)]);
    // Of what is known no more, because it is too old, nothing was lost.
    let forgotten = world.message(25 * HOUR);
    world.settle(forgotten, 0, deferred(9));
    assert_eq!(world.made_again_since(HOUR), []);
}

#[test]
fn whoever_is_in_the_spool_no_more_and_has_no_end_has_one_now() {
    use TrackedResult::{Deferred, Delivered, Held, Released, Unknown};
    let mut world = World::new();
    let there = world.message(20 * HOUR);
    world.know(there);
    let gone = world.message(21 * HOUR);
    world.know(gone);
    world.settle(gone, 0, Settled::Done);
    world.settle(gone, 1, Settled::Done);
    world.store.append(&[row(gone, 1, Delivered, 1)]).unwrap();
    world.store.append(&[row(gone, 0, Deferred, 1)]).unwrap();
    // It goes on as another message; and it was looked at after its 250, and went on as others.
    let parted = world.message(22 * HOUR);
    let other = Row {
        other: Some(there),
        ..row(parted, 0, Released, 0)
    };
    let screened = Row {
        note: "being screened".into(),
        ..row(parted, 1, Held, 0)
    };
    world.store.append(&[other, screened]).unwrap();
    world.settle(parted, 0, Settled::Done);
    world.settle(parted, 1, Settled::Done);
    assert_eq!(world.made_again_since(HOUR), [(0, Unknown, 1)]);
    assert_eq!(world.made_again_since(HOUR), []);
    let (_, last) = world.store.last_of(gone, 0).unwrap().unwrap();
    assert_eq!((last.at, &*last.recipient), (NOW, "b0@our.example"));
}

/// A row that was on its way is not made again.
#[test]
fn what_comes_meanwhile_is_not_missing() {
    use TrackedResult::{Deferred, Delivered, Received};
    let mut world = World::new();
    let known = world.message(20 * HOUR);
    world.know(known);
    world.settle(known, 0, deferred(1));
    let gone = world.message(21 * HOUR);
    world.know(gone);
    world.settle(gone, 0, Settled::Done);
    let new = world.message(HOUR);
    world.settle(new, 1, deferred(1));
    let mut comparison = world.since(2 * HOUR);
    world.look(&mut comparison);
    assert!(comparison.is_to_be_written(true));
    let missing = comparison.missing(&world.store).unwrap();
    assert_eq!(missing.len(), 5);
    world.know(new);
    let on_their_way = [
        row(known, 0, Deferred, 1),
        row(gone, 0, Delivered, 1),
        row(new, 1, Deferred, 1),
    ];
    world.store.append(&on_their_way).unwrap();
    assert_eq!(comparison.missing(&world.store), Ok(Vec::new()));
    assert!(missing.iter().any(|row| row.result == Received));
}

#[test]
fn what_is_lost_meanwhile_is_looked_for_too() {
    let mut world = World::new();
    let old = world.message(20 * HOUR);
    world.know(old);
    world.settle(old, 0, deferred(1));
    world.message(5 * HOUR);
    let widened = world.since(2 * HOUR).widened(Gap {
        since: NOW - 6 * HOUR,
        end: 1,
    });
    assert_eq!(
        widened.gap(),
        Gap {
            since: NOW - 6 * HOUR,
            end: 2
        }
    );
    assert_eq!(world.made_again(widened).len(), 3);
}
