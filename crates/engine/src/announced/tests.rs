use spool::SpoolError;

use super::*;
use crate::sample::{id, message};

fn told(commit: &Commit) -> Vec<(&'static str, mail::QueueId, bool)> {
    let settlement = Settlement {
        id: id(1),
        recipients: vec![(3, spool::Settled::Done), (5, spool::Settled::Done)],
        notices: vec![message(7, &["ann@client.example"])],
    };
    let word = |event: Event| match event {
        Event::Settled { id, numbers, ok } => {
            assert_eq!(numbers, [3, 5]);
            ("settled", id, ok)
        }
        Event::Stored {
            message, content, ..
        } => ("stored", message.id, content.is_some()),
        other => panic!("{other:?}"),
    };
    announced(&settlement, commit)
        .into_iter()
        .map(word)
        .collect()
}

#[test]
fn notices_are_announced_when_they_were_stored_and_only_then() {
    let applied = |recipients| Commit::Applied { recipients };
    let why = SpoolError::Full;
    assert_eq!(
        told(&applied(2)),
        [("settled", id(1), true), ("stored", id(7), true)]
    );
    assert_eq!(told(&applied(0)), [("settled", id(1), true)]);
    for commit in [Commit::Unknown(why.clone()), Commit::Rejected(why)] {
        assert_eq!(told(&commit), [("settled", id(1), false)]);
    }
}
