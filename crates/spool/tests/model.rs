//! What only the model can do: go wrong when it is told to.

mod sample;

use sample::{id, message, store};
use spool::{Change, Commit, Content, Fault, Health, Model, NewMessage, Spool, SpoolError};

fn one(n: u64) -> Vec<Change> {
    vec![Change::Store(message(n, &["a@x.example"]))]
}

#[test]
fn a_rejected_commit_stores_nothing_and_stops_the_store_until_it_heals() {
    let model = Model::new();
    store(&model, message(1, &["a@x.example"]));
    model.fail_next_commit(Fault::Rejected(SpoolError::Full));
    model.fail_heals(1);
    assert_eq!(model.commit(one(2)), [Commit::Rejected(SpoolError::Full)]);
    assert_eq!(model.health(), Health::Failed(SpoolError::Full));
    assert_eq!(model.commit(one(3)), [Commit::Rejected(SpoolError::Full)]);
    assert_eq!(model.heal(), Health::Failed(SpoolError::Full));
    assert_eq!(model.heal(), Health::Accepting);
    assert_eq!((model.everything().len(), model.commits()), (1, 1));
}

#[test]
fn an_unknown_commit_shows_what_it_was_after_healing_or_a_crash() {
    for (applied, crash) in [(true, true), (true, false), (false, true), (false, false)] {
        let model = Model::new();
        model.fail_next_commit(Fault::Unknown { applied });
        assert!(matches!(model.commit(one(1))[0], Commit::Unknown(_)));
        assert_eq!(model.everything().len(), 0);
        if crash {
            model.crash();
        } else {
            model.heal();
        }
        assert_eq!(model.health(), Health::Accepting);
        assert_eq!(
            model.everything().len(),
            usize::from(applied),
            "{applied} {crash}"
        );
    }
}

fn large(model: &Model, n: u64) -> NewMessage {
    let mut writer = model.open_body(id(n)).unwrap();
    writer.write(&[b'x'; 100_000]).unwrap();
    NewMessage {
        content: writer.finish().unwrap(),
        ..message(n, &["a@x.example"])
    }
}

#[test]
fn after_healing_a_body_is_there_if_its_message_is() {
    for applied in [true, false] {
        let model = Model::new();
        let (unknown, later) = (large(&model, 1), large(&model, 2));
        model.fail_next_commit(Fault::Unknown { applied });
        model.commit(vec![Change::Store(unknown)]);
        model.heal();
        assert_eq!(model.body(id(1)).unwrap().is_some(), applied);
        assert_eq!(model.open_body(id(1)).is_err(), applied);
        store(&model, later);
    }
}

#[test]
fn a_crash_keeps_commits_and_forgets_bodies_that_none_names() {
    let model = Model::new();
    let large = |n| large(&model, n);
    store(&model, large(1));
    let uncommitted = large(2);
    let mut writing = model.open_body(id(3)).unwrap();
    model.crash();
    assert!(model.body(id(1)).unwrap().is_some());
    assert!(matches!(
        model.commit(vec![Change::Store(uncommitted)])[0],
        Commit::Rejected(SpoolError::Invalid(_))
    ));
    // The writer of the life before ends without a trace.
    writing.write(b"late").unwrap();
    let late: Content = writing.finish().unwrap();
    let late = NewMessage {
        content: late,
        ..message(3, &["a@x.example"])
    };
    assert!(matches!(
        model.commit(vec![Change::Store(late)])[0],
        Commit::Rejected(_)
    ));
    store(&model, large(2));
}

#[test]
fn low_space_refuses_mail_and_nothing_else() {
    let model = Model::new();
    store(&model, message(1, &["a@x.example"]));
    model.set_low_space(true);
    assert!(matches!(model.health(), Health::LowSpace { .. }));
    let mut changes = one(2);
    changes.push(Change::Settle(sample::done(1, &[0])));
    let answers = model.commit(changes);
    assert_eq!(answers[0], Commit::Rejected(SpoolError::Full));
    assert_eq!(answers[1], Commit::Applied { recipients: 1 });
    assert!(matches!(model.heal(), Health::LowSpace { .. }));
    model.set_low_space(false);
    store(&model, message(2, &["a@x.example"]));
}
