//! What every store must do, written against the interface and run on the local store and on the
//! model.

mod sample;

use std::io::Read;
use std::sync::Arc;

use filter::Filter;
use mail::{QueueId, Timestamp};
use sample::{
    Scratch, advance, applied, arrival, assert_counts, at, begin, bulk, carried_out, content, done,
    facts, id, message, message_due, parts, recipient, reroute, store,
};
use spool::{
    BULK_RECIPIENTS_MAX, Body, Bulk, Change, Commit, Content, Counts, DuePage, DuePlace, Ended,
    Filed, Health, HoldReason, KeptMessage, LargeBody, LateVerdict, Model, NewMessage, Page, Pause,
    Recipient, RecipientState, Replacement, Settled, Settlement, Spool, SpoolError, Verb, Waiting,
    Wanted, rerouted,
};

macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod local {
            $(#[test] fn $name() {
                let scratch = super::Scratch::new();
                let spool = scratch.open();
                super::$name(&spool);
                super::assert_counts(&spool);
            })*
        }
        mod model {
            $(#[test] fn $name() { super::$name(&super::Model::new()); })*
        }
    };
}

on_every_store! {
    an_empty_spool_knows_nothing,
    a_message_comes_back_as_it_was_stored,
    an_id_used_twice_is_rejected_alone,
    messages_that_came_as_one_are_stored_together_or_not_at_all,
    a_message_needs_recipients_with_different_numbers,
    due_pages_are_in_order_and_name_the_next_moment,
    a_due_message_brings_its_due_recipients_of_every_host,
    whoever_is_in_hand_is_passed_over,
    content_comes_along_until_one_does_not_fit,
    many_recipients_at_one_host_are_one_message,
    hosts_are_listed_with_their_earliest_moment,
    settling_the_last_recipient_forgets_the_message,
    a_recipient_tried_again_keeps_what_was_learnt,
    what_is_held_is_not_due,
    a_hold_survives_the_end_of_an_attempt,
    notices_come_with_the_outcome_that_caused_them,
    a_settlement_given_twice_bounces_once,
    a_settlement_with_an_impossible_notice_changes_nothing,
    unknown_recipients_are_passed_over,
    few_files_are_removed_in_one_part,
    large_bodies_are_read_back,
    an_unfinished_large_body_leaves_nothing,
    a_body_without_a_name_is_read_while_another_takes_it,
    a_large_body_must_be_there,
    a_rejected_message_takes_its_large_body_with_it,
    operators_hold_release_retry_and_delete,
    whom_an_operator_bounces_keeps_his_words_until_the_bounce_is_written,
    recipients_are_found_under_the_name_under_which_they_are_filed,
    pauses_are_kept_by_site_until_they_are_resumed,
    operations_are_done_in_bounded_parts,
    an_operation_counts_from_the_moment_at_which_it_is_stored,
    whoever_waits_behind_many_who_are_withheld_is_read_behind_them,
    an_operation_is_for_what_was_there_before_it,
    an_operation_leaves_alone_what_is_stored_after_it_under_an_older_id,
    what_is_to_be_deleted_bounces_no_more,
    operations_are_done_one_after_the_other,
    an_operation_can_be_stopped,
    so_many_operations_are_pending_and_so_many_are_remembered,
    only_what_is_held_for_a_reason_is_dropped_for_it,
    a_message_takes_the_place_of_one_that_is_held_for_all_it_names_or_none,
    what_has_yet_to_be_looked_at_is_kept_with_what_is_known_of_it_until_that_is_done,
    what_comes_of_a_look_is_for_all_who_were_looked_at_for_or_none,
    where_an_operator_leads_whom_is_looked_at_for_is_not_forgotten,
    what_an_operation_has_yet_to_come_to_is_not_looked_at_meanwhile,
    what_is_made_of_a_large_one_that_was_looked_at_takes_its_place,
    whoever_is_rerouted_waits_under_the_name_of_the_route_until_he_is_given_back,
    find_pages_by_message,
    a_look_ends_after_so_many_recipients_and_goes_on_there,
    filters_choose_by_everything_they_know,
    one_commit_takes_changes_of_all_kinds_in_order,
    a_healthy_store_stays_healthy,
}

fn parse(text: &str) -> Filter {
    Filter::parse(text, arrival(1000)).unwrap()
}

fn all(spool: &dyn Spool) -> Vec<Waiting> {
    spool
        .find(
            &Filter::everything(),
            Page {
                after: None,
                limit: 100_000,
            },
        )
        .unwrap()
}

fn counts(spool: &dyn Spool, filter: &str) -> (u64, u64, u64) {
    let Counts {
        messages,
        waiting,
        held,
        corrupt,
        ..
    } = spool.count(&parse(filter)).unwrap();
    assert_eq!(corrupt, 0);
    (messages, waiting, held)
}

fn read(body: Option<Body>) -> Option<Vec<u8>> {
    body.map(|body| match body {
        Body::Memory(bytes) => bytes.to_vec(),
        Body::Stream(mut stream) => {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            all
        }
    })
}

fn numbers(waiting: &Waiting) -> Vec<u32> {
    waiting.recipients.iter().map(|r| r.number).collect()
}

fn ids(messages: &[Waiting]) -> Vec<mail::QueueId> {
    messages.iter().map(|waiting| waiting.message.id).collect()
}

fn invalid(commit: &Commit) -> bool {
    matches!(commit, Commit::Rejected(SpoolError::Invalid(_)))
}

fn an_empty_spool_knows_nothing(spool: &dyn Spool) {
    assert_eq!(spool.health(), Health::Accepting);
    assert_eq!(
        spool.due("x.example", &Wanted::due(at(9), 10)).unwrap(),
        spool::DuePage::default()
    );
    assert_eq!(spool.domains().unwrap(), []);
    assert!(spool.body(id(1)).unwrap().is_none());
    assert_eq!(all(spool), []);
    assert_eq!(
        spool.count(&Filter::everything()).unwrap(),
        Counts::default()
    );
    assert_eq!(spool.commit(Vec::new()), []);
    assert_eq!(
        carried_out(spool, bulk(Verb::Delete, Filter::everything(), at(0))),
        0
    );
}

fn a_message_comes_back_as_it_was_stored(spool: &dyn Spool) {
    for n in 0..6 {
        let mut new = message(
            n,
            &[
                "bob@x.example",
                "\"a b\"@[192.0.2.1]",
                "jörg@bücher.example",
            ],
        );
        new.recipients[1].state = RecipientState::Held(HoldReason::Badmail);
        new.recipients[2].last = Some("450 4.7.1 später".into());
        new.recipients[2].tries = 3;
        new.recipients[2].delay_told = true;
        new.recipients[2].due = at(77);
        store(spool, new.clone());
        let found = spool
            .find(
                &Filter::id(id(n)),
                Page {
                    after: None,
                    limit: 2,
                },
            )
            .unwrap();
        let expected = Waiting {
            message: new.message,
            recipients: new.recipients,
            content: None,
        };
        assert_eq!(found, [expected]);
        assert_eq!(read(spool.body(id(n)).unwrap()).unwrap(), content(n, 300));
    }
}

fn an_id_used_twice_is_rejected_alone(spool: &dyn Spool) {
    let one = message(1, &["bob@x.example"]);
    let mut other = message(1, &["eve@y.example"]);
    other.content = Content::Inline(content(9, 100));
    let changes = vec![
        Change::Store(one.clone()),
        Change::Store(other.clone()),
        Change::Store(message(2, &["bob@x.example"])),
    ];
    let answers = spool.commit(changes);
    assert!(matches!(&answers[0], Commit::Stored(_)), "{answers:?}");
    assert!(invalid(&answers[1]), "{answers:?}");
    assert!(matches!(&answers[2], Commit::Stored(_)), "{answers:?}");
    assert!(invalid(&spool.commit(vec![Change::Store(other)])[0]));
    assert_eq!(spool.health(), Health::Accepting);
    assert_eq!(counts(spool, ""), (2, 2, 0));
    assert_eq!(read(spool.body(id(1)).unwrap()).unwrap(), content(1, 300));
}

fn messages_that_came_as_one_are_stored_together_or_not_at_all(spool: &dyn Spool) {
    let to = &["bob@x.example"];
    let together = |all: Vec<NewMessage>| spool.commit(vec![Change::StoreAll(all)]).remove(0);
    let stored = together(vec![message(1, to), large(spool, 2, 70_000)]);
    assert!(
        matches!(&stored, Commit::Stored(receipt) if receipt.id() == id(1)),
        "{stored:?}"
    );
    let refused: [&dyn Fn() -> Vec<NewMessage>; 5] = [
        &Vec::new,
        &|| vec![large(spool, 3, 70_000), message(1, to)],
        &|| vec![message(2, to), large(spool, 3, 70_000)],
        &|| vec![message(3, to), message(3, to)],
        &|| vec![large(spool, 3, 70_000), message(4, &[])],
    ];
    for messages in refused {
        let answer = together(messages());
        assert!(invalid(&answer), "{answer:?}");
        assert_eq!(ids(&all(spool)), [id(1), id(2)]);
    }
    // What was refused has left nothing behind, and one change is no concern of the next.
    let answers = spool.commit(vec![
        Change::StoreAll(vec![message(3, to), message(1, to)]),
        Change::StoreAll(vec![large(spool, 3, 70_000), message(4, to)]),
    ]);
    assert!(invalid(&answers[0]), "{answers:?}");
    assert!(matches!(&answers[1], Commit::Stored(_)), "{answers:?}");
    assert_eq!(counts(spool, ""), (4, 6, 0));
}

fn a_message_needs_recipients_with_different_numbers(spool: &dyn Spool) {
    let mut twice = message(2, &["a@x.example", "b@x.example", "c@x.example"]);
    twice.recipients[2].number = 0;
    let mut unordered = message(3, &["a@x.example", "b@x.example"]);
    unordered.recipients[0].number = 7;
    let answers = spool.commit(vec![
        Change::Store(message(1, &[])),
        Change::Store(twice),
        Change::Store(unordered),
    ]);
    assert!(invalid(&answers[0]) && invalid(&answers[1]), "{answers:?}");
    assert!(matches!(answers[2], Commit::Stored(_)), "{answers:?}");
    assert_eq!(all(spool).iter().map(numbers).collect::<Vec<_>>(), [[1, 7]]);
}

fn due_pages_are_in_order_and_name_the_next_moment(spool: &dyn Spool) {
    for n in 0..10 {
        store(spool, message_due(n, &["bob@x.example"], at(100 - n)));
    }
    let page = spool.due("x.example", &Wanted::due(at(94), 3)).unwrap();
    assert_eq!(
        (ids(&page.messages), page.next),
        (vec![id(9), id(8), id(7)], Some(at(94)))
    );
    let page = spool.due("x.example", &Wanted::due(at(94), 4)).unwrap();
    assert_eq!((page.messages.len(), page.next), (4, Some(at(95))));
    let page = spool.due("x.example", &Wanted::due(at(90), 4)).unwrap();
    assert_eq!((page.messages.len(), page.next), (0, Some(at(91))));
    let page = spool.due("x.example", &Wanted::due(at(200), 100)).unwrap();
    assert_eq!((page.messages.len(), page.next), (10, None));
    let page = spool.due("x.example", &Wanted::due(at(200), 0)).unwrap();
    assert_eq!((page.messages.len(), page.next), (0, Some(at(91))));
    assert_eq!(
        spool.due("y.example", &Wanted::due(at(200), 100)).unwrap(),
        spool::DuePage::default()
    );
}

fn a_due_message_brings_its_due_recipients_of_every_host(spool: &dyn Spool) {
    let mut new = message_due(
        1,
        &["a@x.example", "b@y.example", "c@x.example", "d@z.example"],
        at(10),
    );
    new.recipients[2].due = at(20);
    new.recipients[3].state = RecipientState::Held(HoldReason::Operator);
    store(spool, new);
    let page = spool.due("x.example", &Wanted::due(at(15), 5)).unwrap();
    assert_eq!(
        page.messages.iter().map(numbers).collect::<Vec<_>>(),
        [[0, 1]]
    );
    assert_eq!(page.next, Some(at(20)));
    let page = spool.due("y.example", &Wanted::due(at(25), 5)).unwrap();
    assert_eq!(
        page.messages.iter().map(numbers).collect::<Vec<_>>(),
        [[0, 1, 2]]
    );
    assert_eq!(page.next, None);
    assert_eq!(
        spool.due("z.example", &Wanted::due(at(25), 5)).unwrap(),
        spool::DuePage::default()
    );
}

fn whoever_is_in_hand_is_passed_over(spool: &dyn Spool) {
    for n in 0..4 {
        store(
            spool,
            message_due(n, &["a@x.example", "b@x.example"], at(n)),
        );
    }
    let wanted = Wanted {
        except: [(id(0), 0), (id(0), 1), (id(1), 1), (id(2), 0), (id(2), 1)].into(),
        ..Wanted::due(at(9), 1)
    };
    let page = spool.due("x.example", &wanted).unwrap();
    // All of a message come that wait; the one in hand too.
    assert_eq!(ids(&page.messages), [id(1)]);
    assert_eq!(
        (numbers(&page.messages[0]), page.next),
        (vec![0, 1], Some(at(3)))
    );
}

fn content_comes_along_until_one_does_not_fit(spool: &dyn Spool) {
    for (n, octets) in [(1, 300), (2, 400), (3, 300), (4, 100)] {
        let mut new = message_due(n, &["bob@x.example"], at(n));
        new.content = Content::Inline(content(n, octets));
        store(spool, new);
    }
    let brought = |octets: usize| {
        let wanted = Wanted {
            content: octets,
            ..Wanted::due(at(9), 9)
        };
        let page = spool.due("x.example", &wanted).unwrap();
        let contents = page.messages.into_iter().map(|waiting| waiting.content);
        contents.collect::<Vec<_>>()
    };
    let (first, second) = (Some(content(1, 300)), Some(content(2, 400)));
    assert_eq!(brought(0), [None, None, None, None]);
    assert_eq!(brought(699), [first.clone(), None, None, None]);
    assert_eq!(brought(700), [first, second, None, None]);
    assert!(brought(1100).iter().all(Option::is_some));
}

fn many_recipients_at_one_host_are_one_message(spool: &dyn Spool) {
    let many: Vec<String> = (0..100).map(|n| format!("user{n}@x.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    store(spool, message_due(1, &many, at(1)));
    store(spool, message_due(2, &many, at(2)));
    let page = spool.due("x.example", &Wanted::due(at(5), 1)).unwrap();
    assert_eq!(
        (page.messages.len(), page.messages[0].recipients.len()),
        (1, 100)
    );
    assert_eq!(page.next, Some(at(2)));
}

fn hosts_are_listed_with_their_earliest_moment(spool: &dyn Spool) {
    store(
        spool,
        message_due(1, &["a@x.example", "b@[192.0.2.1]"], at(7)),
    );
    store(spool, message_due(2, &["a@X.example"], at(5)));
    store(spool, message_due(3, &["a@bücher.example"], at(9)));
    let mut held = message_due(4, &["a@held.example"], at(9));
    held.recipients[0].state = RecipientState::Held(HoldReason::Operator);
    store(spool, held);
    let expected = [
        ("[192.0.2.1]", 7),
        ("x.example", 5),
        ("xn--bcher-kva.example", 9),
    ];
    let expected: Vec<(String, Timestamp)> = expected
        .iter()
        .map(|(host, seconds)| ((*host).to_owned(), at(*seconds)))
        .collect();
    assert_eq!(spool.domains().unwrap(), expected);
    for (host, _) in expected {
        assert!(
            !spool
                .due(&host, &Wanted::due(at(100), 10))
                .unwrap()
                .messages
                .is_empty(),
            "{host}"
        );
    }
}

fn settling_the_last_recipient_forgets_the_message(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example", "b@y.example"]));
    store(spool, message(2, &["a@x.example"]));
    assert_eq!(applied(spool, Change::Settle(done(1, &[0]))), 1);
    assert!(spool.body(id(1)).unwrap().is_some());
    assert_eq!(counts(spool, ""), (2, 2, 0));
    assert_eq!(applied(spool, Change::Settle(done(1, &[0, 1]))), 1);
    assert!(spool.body(id(1)).unwrap().is_none());
    assert_eq!(ids(&all(spool)), [id(2)]);
    // All of it is gone, so the name is free again.
    store(spool, message(1, &["a@x.example"]));
    assert_eq!(read(spool.body(id(2)).unwrap()).unwrap(), content(2, 300));
}

fn again(due: Timestamp, tries: u32, last: &str) -> Settled {
    Settled::Again {
        due,
        tries,
        last: last.into(),
        delay_told: tries > 1,
    }
}

fn a_recipient_tried_again_keeps_what_was_learnt(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example", "b@x.example"]));
    let recipients = vec![(1, again(at(60), 2, "450 4.2.1 busy"))];
    let settlement = Settlement {
        id: id(1),
        recipients,
        notices: Vec::new(),
    };
    assert_eq!(applied(spool, Change::Settle(settlement)), 1);
    let mut expected = recipient(1, "b@x.example", at(60));
    (expected.tries, expected.delay_told) = (2, true);
    expected.last = Some("450 4.2.1 busy".into());
    assert_eq!(all(spool)[0].recipients[1], expected);
    let page = spool.due("x.example", &Wanted::due(at(59), 9)).unwrap();
    assert_eq!(
        (numbers(&page.messages[0]), page.next),
        (vec![0], Some(at(60)))
    );
}

fn held(reason: HoldReason) -> Settled {
    Settled::Held {
        reason,
        last: "550 5.1.1 nobody".into(),
    }
}

fn what_is_held_is_not_due(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example", "b@x.example"]));
    let recipients = vec![(0, held(HoldReason::Badmail))];
    let settlement = Settlement {
        id: id(1),
        recipients,
        notices: Vec::new(),
    };
    assert_eq!(applied(spool, Change::Settle(settlement)), 1);
    assert_eq!(counts(spool, ""), (1, 1, 1));
    assert_eq!(
        numbers(
            &spool
                .due("x.example", &Wanted::due(at(9), 9))
                .unwrap()
                .messages[0]
        ),
        [1]
    );
    // Badmail is told from what an operator holds.
    let hold = bulk(Verb::Hold, parse(""), at(0));
    assert_eq!(carried_out(spool, hold), 1);
    assert_eq!(counts(spool, "state:held"), (1, 0, 2));
    for filter in [
        "state:badmail",
        "state:badmail from:ann@*",
        "state:badmail size:>0",
    ] {
        assert_eq!(counts(spool, filter), (1, 0, 1), "{filter}");
    }
    let page = Page {
        after: None,
        limit: 9,
    };
    let found = spool.find(&parse("state:badmail"), page).unwrap();
    assert_eq!(numbers(&found[0]), [0]);
    let found = &all(spool)[0].recipients[0];
    assert_eq!(found.state, RecipientState::Held(HoldReason::Badmail));
    assert_eq!(found.last.as_deref(), Some("550 5.1.1 nobody"));
}

fn a_hold_survives_the_end_of_an_attempt(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example"]));
    let hold = bulk(Verb::Hold, parse(""), at(0));
    assert_eq!(carried_out(spool, hold), 1);
    let recipients = vec![(0, again(at(5), 1, "450 4.2.1 busy"))];
    applied(
        spool,
        Change::Settle(Settlement {
            id: id(1),
            recipients,
            notices: Vec::new(),
        }),
    );
    assert_eq!(counts(spool, "state:held code:4.2.1"), (1, 0, 1));
    assert_eq!(spool.domains().unwrap(), []);
}

fn notice(n: u64) -> NewMessage {
    let mut new = message(n, &["ann@client.example"]);
    new.message = facts(n, "", 300);
    new
}

fn notices_come_with_the_outcome_that_caused_them(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example", "b@x.example"]));
    let mut settlement = done(1, &[0, 1]);
    settlement.notices = vec![notice(2), notice(3)];
    assert_eq!(applied(spool, Change::Settle(settlement)), 2);
    assert_eq!(ids(&all(spool)), [id(2), id(3)]);
    assert_eq!(counts(spool, "from:<> client:local"), (2, 2, 0));
    assert_eq!(read(spool.body(id(3)).unwrap()).unwrap(), content(3, 300));
}

fn a_settlement_given_twice_bounces_once(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example", "b@x.example"]));
    let mut settlement = done(1, &[0]);
    settlement.notices = vec![notice(2)];
    assert_eq!(applied(spool, Change::Settle(settlement.clone())), 1);
    assert_eq!(applied(spool, Change::Settle(done(2, &[0]))), 1);
    assert_eq!(applied(spool, Change::Settle(settlement)), 0);
    assert_eq!(ids(&all(spool)), [id(1)]);
    // A notice that is stored already does not keep the rest from being settled.
    let delayed = Settlement {
        id: id(1),
        recipients: vec![(1, again(at(5), 1, "450 4.2.1 busy"))],
        notices: vec![notice(3)],
    };
    assert_eq!(applied(spool, Change::Settle(delayed.clone())), 1);
    assert_eq!(applied(spool, Change::Settle(delayed)), 0);
    assert_eq!(ids(&all(spool)), [id(1), id(3)]);
    // Nor does one that bounced somebody and keeps somebody else bounce again, whatever the second
    // notice is called.
    store(spool, message(4, &["a@x.example", "b@x.example"]));
    for notices in [vec![notice(5)], vec![notice(6)]] {
        let recipients = vec![(0, Settled::Done), (1, again(at(5), 1, "450 4.2.1 busy"))];
        let mixed = Settlement {
            id: id(4),
            recipients,
            notices,
        };
        applied(spool, Change::Settle(mixed));
    }
    assert_eq!(ids(&all(spool)), [id(1), id(3), id(4), id(5)]);
}

fn a_settlement_with_an_impossible_notice_changes_nothing(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example"]));
    let nobody = NewMessage {
        recipients: Vec::new(),
        ..notice(2)
    };
    for notices in [
        vec![notice(3), nobody],
        vec![notice(3), notice(3)],
        vec![notice(1)],
    ] {
        let settlement = Settlement {
            notices,
            ..done(1, &[0])
        };
        assert!(invalid(&spool.commit(vec![Change::Settle(settlement)])[0]));
        assert_eq!(ids(&all(spool)), [id(1)]);
    }
}

fn unknown_recipients_are_passed_over(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example"]));
    assert_eq!(applied(spool, Change::Settle(done(1, &[5]))), 0);
    assert_eq!(applied(spool, Change::Settle(done(7, &[0]))), 0);
    let settlement = Settlement {
        recipients: vec![(0, held(HoldReason::Operator))],
        ..done(7, &[])
    };
    assert_eq!(applied(spool, Change::Settle(settlement)), 0);
    assert_eq!(counts(spool, ""), (1, 1, 0));
}

fn large(spool: &dyn Spool, n: u64, octets: usize) -> NewMessage {
    let mut writer = spool.open_body(id(n)).unwrap();
    for piece in content(n, octets).chunks(10_000) {
        writer.write(piece).unwrap();
    }
    let content = writer.finish().unwrap();
    assert!(matches!(&content, Content::Large(large) if large.size == octets as u64));
    NewMessage {
        content,
        ..message(n, &["a@x.example", "b@x.example"])
    }
}

fn few_files_are_removed_in_one_part(spool: &dyn Spool) {
    for n in 0..20 {
        store(spool, large(spool, n, 300_000));
    }
    assert_eq!(parts(spool, bulk(Verb::Hold, parse(""), at(0))), [40]);
    let deletes = bulk(Verb::Delete, parse("to:a@*"), at(0));
    assert_eq!(parts(spool, deletes), [16, 4]);
    let deletes = bulk(Verb::Delete, parse(""), at(0));
    assert_eq!(parts(spool, deletes), [16, 4]);
    assert!(spool.body(id(19)).unwrap().is_none());
}

fn large_bodies_are_read_back(spool: &dyn Spool) {
    let octets = 300_001;
    let new = large(spool, 1, octets);
    assert!(spool.body(id(1)).unwrap().is_none());
    store(spool, new);
    assert_eq!(
        read(spool.body(id(1)).unwrap()).unwrap(),
        content(1, octets)
    );
    assert!(spool.open_body(id(1)).is_err());
    // As part of a settlement too.
    let settlement = Settlement {
        notices: vec![large(spool, 2, 100_000)],
        ..done(1, &[0, 1])
    };
    assert_eq!(applied(spool, Change::Settle(settlement)), 2);
    assert!(spool.body(id(1)).unwrap().is_none());
    assert_eq!(
        read(spool.body(id(2)).unwrap()).unwrap(),
        content(2, 100_000)
    );
}

fn an_unfinished_large_body_leaves_nothing(spool: &dyn Spool) {
    let mut writer = spool.open_body(id(1)).unwrap();
    writer.write(b"half").unwrap();
    assert!(spool.open_body(id(1)).is_err());
    drop(writer);
    let new = large(spool, 1, 70_000);
    store(spool, new);
    assert_eq!(
        read(spool.body(id(1)).unwrap()).unwrap(),
        content(1, 70_000)
    );
    // One that was finished and comes to nothing leaves nothing either, and is read before.
    let mut writer = spool.open_body(id(2)).unwrap();
    writer.write(b"abc").unwrap();
    writer.write(b"def").unwrap();
    let mut written = [0; 4];
    assert_eq!(writer.read_at(2, &mut written).unwrap(), 4);
    assert_eq!(&written, b"cdef");
    writer.write(b"ghi").unwrap();
    assert_eq!(writer.read_at(7, &mut written).unwrap(), 2);
    assert_eq!(&written[..2], b"hi");
    assert_eq!(writer.read_at(9, &mut written).unwrap(), 0);
    writer.finish().unwrap();
    spool.abandon(id(2));
    let new = large(spool, 2, 70_000);
    assert!(matches!(
        &spool.commit(vec![Change::Store(new)])[..],
        [Commit::Stored(_)]
    ));
    // What is stored is abandoned by nobody.
    spool.abandon(id(2));
    assert_eq!(
        read(spool.body(id(2)).unwrap()).map(|body| body.len()),
        Some(70_000)
    );
}

fn a_body_without_a_name_is_read_while_another_takes_it(spool: &dyn Spool) {
    let mut before = spool.open_body(id(1)).unwrap();
    before.write(b"what came").unwrap();
    before.give_up_name();
    let new = large(spool, 1, 70_000);
    let mut octets = [0; 9];
    assert_eq!(before.read_at(0, &mut octets).unwrap(), 9);
    assert_eq!(&octets, b"what came");
    // However it ends, the other one stays.
    assert!(matches!(before.finish(), Err(SpoolError::Invalid(_))));
    store(spool, new);
    assert_eq!(
        read(spool.body(id(1)).unwrap()).unwrap(),
        content(1, 70_000)
    );
}

fn a_large_body_must_be_there(spool: &dyn Spool) {
    let made_up = |name: &str| {
        Content::Large(LargeBody {
            size: 5,
            name: name.into(),
        })
    };
    let named_right = made_up(&id(1).to_string());
    for content in [made_up("../../etc/passwd"), made_up(""), named_right] {
        let new = NewMessage {
            content,
            ..message(1, &["a@x.example"])
        };
        assert!(invalid(&spool.commit(vec![Change::Store(new)])[0]));
    }
    let other = large(spool, 2, 70_000);
    let borrowed = NewMessage {
        content: other.content,
        ..message(3, &["a@x.example"])
    };
    assert!(invalid(&spool.commit(vec![Change::Store(borrowed)])[0]));
}

fn a_rejected_message_takes_its_large_body_with_it(spool: &dyn Spool) {
    let mut new = large(spool, 1, 70_000);
    let recipients = std::mem::take(&mut new.recipients);
    assert!(invalid(&spool.commit(vec![Change::Store(new)])[0]));
    let again = NewMessage {
        recipients,
        ..large(spool, 1, 80_000)
    };
    store(spool, again.clone());
    // This time the body is that of the message stored.
    assert!(invalid(&spool.commit(vec![Change::Store(again)])[0]));
    assert_eq!(
        read(spool.body(id(1)).unwrap()).unwrap(),
        content(1, 80_000)
    );
}

fn operators_hold_release_retry_and_delete(spool: &dyn Spool) {
    store(
        spool,
        message_due(1, &["a@x.example", "b@y.example"], at(50)),
    );
    store(spool, message_due(2, &["a@x.example"], at(60)));
    let x = || parse("to:*@x.example");
    assert_eq!(carried_out(spool, bulk(Verb::Hold, x(), at(0))), 2);
    assert_eq!(carried_out(spool, bulk(Verb::Hold, x(), at(0))), 0);
    assert_eq!(counts(spool, "state:held"), (2, 0, 2));
    assert_eq!(spool.domains().unwrap(), [("y.example".to_owned(), at(50))]);
    // What is held is not retried, and what waits is not released.
    assert_eq!(carried_out(spool, bulk(Verb::Retry, parse(""), at(1))), 1);
    assert_eq!(spool.domains().unwrap(), [("y.example".to_owned(), at(1))]);
    assert_eq!(carried_out(spool, bulk(Verb::Release, parse(""), at(2))), 2);
    let hosts = [
        ("x.example".to_owned(), at(2)),
        ("y.example".to_owned(), at(1)),
    ];
    assert_eq!(spool.domains().unwrap(), hosts);
    assert_eq!(carried_out(spool, bulk(Verb::Delete, x(), at(0))), 2);
    assert_eq!(all(spool).iter().map(numbers).collect::<Vec<_>>(), [[1]]);
    assert!(spool.body(id(2)).unwrap().is_none());
    assert_eq!(
        carried_out(spool, bulk(Verb::Delete, Filter::id(id(1)), at(0))),
        1
    );
    assert_eq!(counts(spool, ""), (0, 0, 0));
}

fn whom_an_operator_bounces_keeps_his_words_until_the_bounce_is_written(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example", "b@x.example"]));
    store(spool, message(2, &["a@y.example"]));
    let settle = |recipients| {
        Change::Settle(Settlement {
            id: id(1),
            recipients,
            notices: Vec::new(),
        })
    };
    let bounce = |text: &str, reason: Option<&str>| Bulk {
        reason: reason.map(Into::into),
        ..bulk(Verb::Bounce, parse(text), at(0))
    };
    assert_eq!(
        carried_out(spool, bounce("to:*@x.example", Some("closed\r\nnow"))),
        2
    );
    // The first reason stays.
    assert_eq!(carried_out(spool, bounce("", None)), 1);
    assert_eq!(counts(spool, "state:bouncing"), (2, 0, 3));
    assert_eq!(counts(spool, "state:badmail"), (0, 0, 0));
    assert_eq!(spool.domains().unwrap(), []);
    // An attempt that was under way does not change them.
    let again = Settled::Again {
        due: at(9),
        tries: 1,
        last: "450 4.2.1 busy".into(),
        delay_told: false,
    };
    applied(spool, settle(vec![(0, again)]));
    let words = |waiting: &Waiting| {
        let last = waiting.recipients.iter().map(|r| r.last.clone());
        last.flatten().map(String::from).collect::<Vec<_>>()
    };
    let by = "given up by the administrator";
    let x = format!("{by}: closed\\x0d\\x0anow");
    assert_eq!(
        all(spool).iter().map(words).collect::<Vec<_>>(),
        [vec![x.clone(), x], vec![by.to_owned()]]
    );
    // Until then he may think better of it.
    assert_eq!(
        carried_out(spool, bulk(Verb::Release, Filter::id(id(2)), at(3))),
        1
    );
    assert_eq!(spool.domains().unwrap(), [("y.example".to_owned(), at(3))]);
    applied(spool, settle(vec![(0, Settled::Done), (1, Settled::Done)]));
    assert_eq!(counts(spool, ""), (1, 1, 0));
}

fn recipients_are_found_under_the_name_under_which_they_are_filed(spool: &dyn Spool) {
    let mut new = message_due(1, &["a@x.example", "b@x.example"], at(50));
    new.recipients[1].filed = Some("route:brand".into());
    store(spool, new);
    let domains = || spool.domains().unwrap();
    let named = |name: &str, due| (name.to_owned(), at(due));
    assert_eq!(
        domains(),
        [named("route:brand", 50), named("x.example", 50)]
    );
    let found = || {
        let names = all(spool)
            .into_iter()
            .flat_map(|waiting| waiting.recipients);
        names
            .map(|r| r.filed_under().into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found(), ["x.example", "route:brand"]);
    let file = |id, number, name: &str| Filed {
        id,
        number,
        name: name.into(),
    };
    // It is filed while it is held, and waits there when it is let go. Who is gone is passed over.
    carried_out(spool, bulk(Verb::Hold, parse("to:b@x.example"), at(0)));
    let filed = vec![
        file(id(1), 1, "x.example"),
        file(id(1), 0, "mx:x.example"),
        file(id(1), 7, "x.example"),
        file(id(9), 0, "x.example"),
    ];
    assert_eq!(applied(spool, Change::File(filed)), 2);
    assert_eq!(domains(), [named("mx:x.example", 50)]);
    assert_eq!(found(), ["mx:x.example", "x.example"]);
    carried_out(spool, bulk(Verb::Release, parse("to:b@x.example"), at(60)));
    assert_eq!(
        domains(),
        [named("mx:x.example", 50), named("x.example", 60)]
    );
    let page = spool.due("mx:x.example", &Wanted::due(at(70), 10)).unwrap();
    assert_eq!(numbers(&page.messages[0]), [0, 1]);
}

fn pauses_are_kept_by_site_until_they_are_resumed(spool: &dyn Spool) {
    let pause = |site: Option<&str>, since, until| Pause {
        site: site.map(Into::into),
        by: "root".into(),
        reason: site.map(|_| "their \"maintenance\"".into()),
        since: at(since),
        until,
    };
    let put = |pause: &Pause| applied(spool, Change::Pause(pause.clone()));
    let resume = |site: Option<&str>| applied(spool, Change::Resume(site.map(Into::into)));
    assert_eq!((spool.pauses(), resume(None)), (Ok(Vec::new()), 0));
    let (whole, x) = (pause(None, 1, None), pause(Some("mx:x"), 2, Some(at(9))));
    assert_eq!((put(&x), put(&whole)), (1, 1));
    assert_eq!(spool.pauses(), Ok(vec![whole.clone(), x]));
    // A word in the place of the one before; what is over by then goes.
    let (x, y) = (
        pause(Some("mx:x"), 3, Some(at(5))),
        pause(Some("mx:y"), 5, None),
    );
    put(&x);
    assert_eq!(spool.pauses(), Ok(vec![whole, x]));
    assert_eq!((put(&y), resume(None), resume(Some("mx:x"))), (1, 1, 0));
    assert_eq!(spool.pauses(), Ok(vec![y]));
}

fn operations_are_done_in_bounded_parts(spool: &dyn Spool) {
    let most = BULK_RECIPIENTS_MAX as u64;
    let addresses = ["a@x.example", "b@x.example", "c@y.example"];
    let changes = (0..most)
        .map(|n| Change::Store(message(n, &addresses)))
        .collect();
    assert!(
        spool
            .commit(changes)
            .iter()
            .all(|c| matches!(c, Commit::Stored(_)))
    );
    let filter = || parse("to:*@x.example");
    let check = |bulk: Bulk, touched: u64| {
        let parts = parts(spool, bulk);
        assert!(
            parts.len() > 1 && parts.iter().all(|part| *part <= most),
            "{parts:?}"
        );
        assert_eq!(parts.iter().sum::<u64>(), touched);
    };
    check(bulk(Verb::Retry, filter(), at(5)), 2 * most);
    begin(spool, bulk(Verb::Retry, filter(), at(5)));
    let is_first = || match spool.commit(vec![Change::Advance { now: at(5) }]).remove(0) {
        Commit::Advanced(Some(part)) => part.is_first(),
        other => panic!("{other:?}"),
    };
    assert_eq!([is_first(), is_first()], [true, false]);
    while advance(spool).is_some_and(|operation| operation.ended.is_none()) {}
    check(bulk(Verb::Hold, filter(), at(0)), 2 * most);
    assert_eq!(counts(spool, ""), (most, most, 2 * most));
    check(bulk(Verb::Release, filter(), at(6)), 2 * most);
    check(bulk(Verb::Delete, filter(), at(0)), 2 * most);
    assert_eq!(counts(spool, ""), (most, most, 0));
    assert_eq!(spool.domains().unwrap(), [("y.example".to_owned(), at(0))]);
}

/// The messages of which somebody at a host goes out, and when the next one does.
fn due_at(spool: &dyn Spool, host: &str) -> (Vec<QueueId>, Option<Timestamp>) {
    let page = spool.due(host, &Wanted::due(at(10), 10)).unwrap();
    (ids(&page.messages), page.next)
}

fn an_operation_counts_from_the_moment_at_which_it_is_stored(spool: &dyn Spool) {
    let most = BULK_RECIPIENTS_MAX as u64;
    let changes = (0..=most).map(|n| Change::Store(message(n, &["a@x.example"])));
    spool.commit(changes.collect());
    store(
        spool,
        message(most + 1, &["b@x.example", "a@x.example", "a@y.example"]),
    );
    store(spool, message_due(most + 2, &["a@x.example"], at(20)));
    for verb in [Verb::Hold, Verb::Bounce, Verb::Delete] {
        let number = begin(spool, bulk(verb, parse("to:a@x.example"), at(0)));
        // Nobody else is kept from going out.
        assert_eq!(
            due_at(spool, "x.example"),
            (vec![id(most + 1)], Some(at(20)))
        );
        let [found] = &spool
            .due("y.example", &Wanted::due(at(10), 10))
            .unwrap()
            .messages[..]
        else {
            panic!("one message waits there");
        };
        assert_eq!(
            found
                .recipients
                .iter()
                .map(|r| r.number)
                .collect::<Vec<_>>(),
            [0, 2]
        );
        let part = advance(spool).unwrap();
        assert_eq!(
            (part.number, part.changed, part.ended),
            (number, most, None)
        );
        assert_eq!(due_at(spool, "x.example").0, [id(most + 1)]);
        while advance(spool).is_some() {}
        assert_eq!(due_at(spool, "x.example"), (vec![id(most + 1)], None));
        assert_eq!(counts(spool, "to:a@x.example").1, 0);
        if verb != Verb::Delete {
            assert_eq!(
                carried_out(spool, bulk(Verb::Release, parse("age:>0s"), at(0))),
                most + 3
            );
            let recipients = vec![(0, again(at(20), number as u32, "450 4.2.1 busy"))];
            applied(
                spool,
                Change::Settle(Settlement {
                    recipients,
                    ..done(most + 2, &[])
                }),
            );
        }
    }
}

fn whoever_waits_behind_many_who_are_withheld_is_read_behind_them(spool: &dyn Spool) {
    // As many of them as end a page, and one more.
    let many = 1_001;
    let withheld =
        (0..many).map(|n| Change::Store(message(n, &["held.a@x.example", "held.b@x.example"])));
    spool.commit(withheld.collect());
    store(spool, message_due(many, &["c@x.example"], at(1)));
    store(spool, message_due(many + 1, &["c@x.example"], at(2)));
    let number = begin(spool, bulk(Verb::Hold, parse("to:held.*"), at(0)));
    let wanted = Wanted::due(at(1), 10);
    let page = spool.due("x.example", &wanted).unwrap();
    let place = DuePlace {
        due: at(0),
        id: id(many - 2),
        number: 0,
    };
    let cut = DuePage {
        messages: Vec::new(),
        next: Some(at(0)),
        read_to: Some(place),
    };
    assert_eq!(page, cut);
    let behind = Wanted {
        behind: Some(place),
        ..wanted.clone()
    };
    let page = spool.due("x.example", &behind).unwrap();
    assert_eq!(ids(&page.messages), [id(many)]);
    assert_eq!(page.next, Some(at(2)));
    let last = page.read_to.map(|place| (place.due, place.id));
    assert_eq!(last, Some((at(1), id(many))));
    // Nobody is withheld any more, and the place still counts.
    applied(spool, Change::Stop { number, now: at(3) });
    let page = spool.due("x.example", &behind).unwrap();
    assert_eq!(ids(&page.messages), [id(many - 2), id(many - 1), id(many)]);
    let page = spool.due("x.example", &wanted).unwrap();
    assert_eq!(page.messages.len(), 10);
    assert_eq!(page.read_to.map(|place| place.id), Some(id(9)));
}

fn an_operation_is_for_what_was_there_before_it(spool: &dyn Spool) {
    begin(spool, bulk(Verb::Hold, parse(""), at(0)));
    store(spool, message(1, &["a@x.example"]));
    begin(spool, bulk(Verb::Hold, parse("age:>1s"), at(0)));
    store(spool, message(2, &["a@x.example"]));
    assert_eq!(due_at(spool, "x.example").0, [id(2)]);
    let ended = [advance(spool), advance(spool)].map(|one| one.unwrap());
    assert_eq!(ended.each_ref().map(|one| one.changed), [0, 1]);
    assert_eq!(ended.map(|one| one.ended.unwrap().stopped), [false, false]);
    assert_eq!(advance(spool), None);
    assert_eq!(counts(spool, ""), (2, 1, 1));
}

/// A message has its id from MAIL on: later ones may be stored before it.
fn an_operation_leaves_alone_what_is_stored_after_it_under_an_older_id(spool: &dyn Spool) {
    store(spool, message(3, &["a@x.example"]));
    for verb in [Verb::Hold, Verb::Delete] {
        begin(spool, bulk(verb, parse("to:a@*"), arrival(3)));
    }
    let mut late = message(1, &["a@x.example"]);
    Arc::make_mut(&mut late.message).arrived = arrival(4);
    store(spool, late);
    assert_eq!(due_at(spool, "x.example").0, [id(1)]);
    while advance(spool).is_some() {}
    assert_eq!(counts(spool, ""), (1, 1, 0));
    begin(spool, bulk(Verb::Hold, Filter::id(id(1)), arrival(4)));
    assert_eq!(due_at(spool, "x.example").0, []);
    assert_eq!(advance(spool).unwrap().changed, 1);
}

/// Whoever deletes what bounces by mistake has no more bounces written from then on.
fn what_is_to_be_deleted_bounces_no_more(spool: &dyn Spool) {
    for n in 0..5 {
        store(spool, message(n, &["a@x.example", "b@x.example"]));
    }
    carried_out(spool, bulk(Verb::Bounce, parse(""), at(0)));
    begin(spool, bulk(Verb::Delete, Filter::id(id(0)), at(0)));
    begin(
        spool,
        bulk(Verb::Delete, parse("state:bouncing to:a@*"), at(0)),
    );
    let all = Page {
        after: None,
        limit: 3,
    };
    let found = spool.bouncing(all).unwrap();
    assert_eq!(ids(&found), [id(1), id(2), id(3)]);
    assert!(found.iter().all(|one| numbers(one) == [1]));
    let page = Page {
        after: Some(id(3)),
        ..all
    };
    assert_eq!(ids(&spool.bouncing(page).unwrap()), [id(4)]);
    begin(spool, bulk(Verb::Delete, parse("state:bouncing"), at(0)));
    assert_eq!(spool.bouncing(all).unwrap(), []);
    assert_eq!(spool.find(&parse("state:bouncing"), all).unwrap().len(), 3);
}

fn operations_are_done_one_after_the_other(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example"]));
    store(spool, message(2, &["a@x.example"]));
    let numbers = [
        bulk(Verb::Hold, parse(""), at(0)),
        bulk(Verb::Release, Filter::id(id(1)), at(5)),
        bulk(Verb::Delete, parse("state:held"), at(0)),
    ]
    .map(|bulk| begin(spool, bulk));
    assert!(numbers.is_sorted());
    assert_eq!(due_at(spool, "x.example"), (Vec::new(), None));
    let ended: Vec<_> = std::iter::from_fn(|| advance(spool)).collect();
    let counted: Vec<_> = ended
        .iter()
        .map(|one| (one.looked_at, one.changed))
        .collect();
    assert_eq!(counted, [(2, 2), (1, 1), (2, 1)]);
    assert_eq!(due_at(spool, "x.example").0, [id(1)]);
    assert_eq!(spool.operations().unwrap(), ended);
    assert_eq!(
        ended.iter().map(|one| one.number).collect::<Vec<_>>(),
        numbers
    );
    let end = Ended {
        at: at(99),
        stopped: false,
    };
    assert!(ended.iter().all(|one| one.ended == Some(end)));
}

fn an_operation_can_be_stopped(spool: &dyn Spool) {
    let most = BULK_RECIPIENTS_MAX as u64;
    let changes = (0..most + 3).map(|n| Change::Store(message(n, &["a@x.example"])));
    spool.commit(changes.collect());
    let number = begin(spool, bulk(Verb::Hold, parse("from:ann@*"), at(0)));
    advance(spool).unwrap();
    assert_eq!(due_at(spool, "x.example").0, []);
    let now = at(4);
    let stop = || applied(spool, Change::Stop { number, now });
    assert_eq!((stop(), stop()), (1, 0));
    assert_eq!(advance(spool), None);
    let [stopped] = &spool.operations().unwrap()[..] else {
        panic!("there is one operation");
    };
    let (at, stopped_by_operator) = (now, true);
    let expected = Ended {
        at,
        stopped: stopped_by_operator,
    };
    assert_eq!((stopped.changed, stopped.ended), (most, Some(expected)));
    assert_eq!(due_at(spool, "x.example").0.len(), 3);
    assert_eq!(counts(spool, ""), (most + 3, 3, most));
}

fn so_many_operations_are_pending_and_so_many_are_remembered(spool: &dyn Spool) {
    let one = || Change::Begin(bulk(Verb::Hold, parse("to:nobody@x.example"), at(0)));
    for _ in 0..5 {
        let begun = spool.commit((0..16).map(|_| one()).collect());
        assert!(
            begun
                .iter()
                .all(|answer| matches!(answer, Commit::Begun(_)))
        );
        let refused = spool.commit(vec![one()]);
        let [Commit::Rejected(SpoolError::Invalid(why))] = &refused[..] else {
            panic!("{refused:?}");
        };
        assert!(why.contains("16 operations are pending"), "{why}");
        while advance(spool).is_some() {}
    }
    let numbers: Vec<u64> = (spool.operations().unwrap().iter())
        .map(|one| one.number)
        .collect();
    assert_eq!(numbers, (15..=80).collect::<Vec<_>>());
    // What is stored as text says the same when it is read again.
    let long = format!("to:{} age:>1s", "x".repeat(8170));
    let long = bulk(Verb::Hold, parse(&long), at(0));
    let refused = spool.commit(vec![Change::Begin(long)]);
    assert!(matches!(
        refused[..],
        [Commit::Rejected(SpoolError::Invalid(_))]
    ));
}

fn only_what_is_held_for_a_reason_is_dropped_for_it(spool: &dyn Spool) {
    let mut new = message(1, &["a@x.example", "b@x.example"]);
    let badmail = RecipientState::Held(HoldReason::Badmail);
    new.recipients[1].state = badmail;
    store(spool, new);
    let mut new = message(2, &["a@x.example"]);
    new.recipients[0].state = badmail;
    store(spool, new);
    let mut new = message(4, &["a@x.example", "b@x.example"]);
    new.recipients[0].state = RecipientState::Held(HoldReason::Screening);
    store(spool, new);
    assert_eq!(counts(spool, "state:held"), (3, 0, 3));
    for filter in ["state:quarantined", "state:quarantined size:>0"] {
        assert_eq!(counts(spool, filter), (1, 0, 1), "{filter}");
    }
    let counted = spool.count(&parse("")).unwrap();
    assert_eq!((counted.badmail, counted.quarantined), (2, 1));
    let drop = |n| applied(spool, Change::DropHeld(id(n), HoldReason::Badmail));
    assert_eq!(
        [drop(1), drop(1), drop(2), drop(3), drop(4)],
        [1, 0, 1, 0, 0]
    );
    let drop = |n| applied(spool, Change::DropHeld(id(n), HoldReason::Screening));
    assert_eq!([drop(1), drop(4), drop(4)], [0, 1, 0]);
    assert_eq!(ids(&all(spool)), [id(1), id(4)]);
    assert!(spool.body(id(2)).unwrap().is_none());
}

fn a_message_takes_the_place_of_one_that_is_held_for_all_it_names_or_none(spool: &dyn Spool) {
    let mut new = message(1, &["a@x.example", "b@x.example", "c@x.example"]);
    for held in &mut new.recipients[..2] {
        held.state = RecipientState::Held(HoldReason::Screening);
    }
    store(spool, new);
    let replace = |by: NewMessage| {
        let replacement = Replacement {
            id: id(1),
            reason: HoldReason::Screening,
            by,
        };
        spool.commit(vec![Change::Replace(replacement)]).remove(0)
    };
    // The third waits.
    let three = || {
        let mut three = large(spool, 2, 70_000);
        three.recipients.push(recipient(2, "c@x.example", at(0)));
        three
    };
    let refused: [&dyn Fn() -> NewMessage; 3] = [
        &|| message(1, &["a@x.example"]),
        &|| message(2, &[]),
        &three,
    ];
    for by in refused {
        let answer = replace(by());
        assert!(invalid(&answer), "{answer:?}");
        assert_eq!(counts(spool, ""), (1, 1, 2));
    }
    let mut one = large(spool, 2, 70_000);
    one.recipients.pop();
    let stored = replace(one);
    assert!(
        matches!(&stored, Commit::Stored(receipt) if receipt.id() == id(2)),
        "{stored:?}"
    );
    let have = || all(spool).iter().map(numbers).collect::<Vec<_>>();
    assert_eq!(have(), [vec![1, 2], vec![0]]);
    // Nobody has both.
    assert!(invalid(&replace(message(3, &["a@x.example"]))));
    assert_eq!(applied(spool, Change::Settle(done(1, &[2]))), 1);
    let mut other = message(3, &["a@x.example", "b@x.example"]);
    other.recipients.remove(0);
    replace(other);
    assert_eq!(have(), [[0], [1]]);
    assert!(spool.body(id(1)).unwrap().is_none());
}

fn store_unscreened(spool: &dyn Spool, mut new: NewMessage, facts: &'static str) {
    for one in &mut new.recipients {
        one.state = RecipientState::Held(HoldReason::Unscreened);
    }
    let stored = spool.commit(vec![Change::StoreUnscreened(new, facts.into())]);
    assert!(matches!(stored[..], [Commit::Stored(_)]), "{stored:?}");
}

/// Who has to be looked at at this moment, with what is known for it, and when the next one has.
fn unscreened(spool: &dyn Spool, before: u64, limit: usize) -> (Vec<String>, Option<Timestamp>) {
    let page = spool.unscreened(at(before), limit).unwrap();
    let all = page.messages.iter().map(|one| {
        let facts = String::from_utf8_lossy(&one.facts);
        format!("{facts} {:?}", numbers(&one.waiting))
    });
    (all.collect(), page.next)
}

fn verdict(numbers: &[u32], kept: Option<NewMessage>, others: Vec<NewMessage>) -> LateVerdict {
    LateVerdict {
        id: id(1),
        numbers: numbers.to_vec(),
        led: Vec::new(),
        kept: kept.map(|new| KeptMessage {
            message: new.message,
            recipients: new.recipients,
        }),
        others,
    }
}

fn screened(spool: &dyn Spool, verdict: LateVerdict) -> Commit {
    spool.commit(vec![Change::Screened(verdict)]).remove(0)
}

fn what_has_yet_to_be_looked_at_is_kept_with_what_is_known_of_it_until_that_is_done(
    spool: &dyn Spool,
) {
    store_unscreened(
        spool,
        message_due(1, &["a@x.example", "b@x.example"], at(5)),
        "one",
    );
    store_unscreened(spool, message_due(2, &["c@x.example"], at(3)), "two");
    store(spool, message(3, &["d@x.example"]));
    let one = ["one [0, 1]".to_owned()];
    let two = ["two [0]".to_owned()];
    assert_eq!(unscreened(spool, 2, 9), (vec![], Some(at(3))));
    assert_eq!(unscreened(spool, 4, 9), (two.to_vec(), Some(at(5))));
    assert_eq!(unscreened(spool, 9, 9), ([two, one].concat(), None));
    assert_eq!(unscreened(spool, 9, 1).0, ["two [0]"]);
    assert_eq!(spool.domains().unwrap(), [("x.example".to_owned(), at(0))]);
    let counts = spool.count(&parse("state:unscreened")).unwrap();
    assert_eq!((counts.messages, counts.held, counts.unscreened), (2, 3, 3));
    // Nobody lets it go unseen, and what happened meanwhile is known later.
    assert_eq!(carried_out(spool, bulk(Verb::Release, parse(""), at(9))), 0);
    let again = Settled::Again {
        due: at(8),
        tries: 1,
        last: "being screened".into(),
        delay_told: false,
    };
    let settlement = Settlement {
        recipients: vec![(0, again)],
        ..done(2, &[])
    };
    assert_eq!(applied(spool, Change::Settle(settlement)), 1);
    assert_eq!(
        unscreened(spool, 5, 9),
        (vec!["one [0, 1]".to_owned()], Some(at(8)))
    );
    let later = &spool.unscreened(at(8), 9).unwrap().messages[1];
    assert_eq!(later.waiting.recipients[0].tries, 1);
    // An operator may be rid of it.
    assert_eq!(
        carried_out(spool, bulk(Verb::Delete, parse("to:a@*"), at(9))),
        1
    );
    assert_eq!(unscreened(spool, 5, 9).0, ["one [1]"]);
    assert_eq!(
        carried_out(spool, bulk(Verb::Bounce, parse("to:b@*"), at(9))),
        1
    );
    assert_eq!(unscreened(spool, 9, 9).0, ["two [0]"]);
}

fn what_comes_of_a_look_is_for_all_who_were_looked_at_for_or_none(spool: &dyn Spool) {
    store_unscreened(spool, message(1, &["a@x.example", "b@x.example"]), "one");
    store(spool, message(7, &["g@x.example"]));
    let changed = |addresses: &[&str]| {
        let mut new = message(1, addresses);
        Arc::make_mut(&mut new.message).head = "X-Seen: yes\r\n".into();
        new
    };
    let both = || Some(changed(&["a@x.example", "b@x.example"]));
    let refused: [LateVerdict; 6] = [
        verdict(&[0], both(), vec![]),
        verdict(&[0, 1, 2], both(), vec![]),
        verdict(&[], both(), vec![]),
        verdict(&[0, 1], Some(changed(&[])), vec![]),
        verdict(&[0, 1], both(), vec![message(7, &["a@x.example"])]),
        verdict(&[0, 1], both(), vec![message(1, &["a@x.example"])]),
    ];
    for verdict in refused {
        let answer = screened(spool, verdict.clone());
        assert!(invalid(&answer), "{answer:?} to {verdict:?}");
        assert_eq!(unscreened(spool, 0, 9).0, ["one [0, 1]"]);
    }
    // One goes on, one is held, one is new; and another message beside it.
    let mut kept = changed(&["a@x.example", "b@x.example", "c@y.example"]);
    kept.recipients[1].state = RecipientState::Held(HoldReason::Screening);
    let other = message(2, &["d@y.example"]);
    let answer = screened(spool, verdict(&[0, 1], Some(kept), vec![other]));
    assert_eq!(answer, Commit::Applied { recipients: 2 });
    assert_eq!(unscreened(spool, 9, 9), (vec![], None));
    assert_eq!(counts(spool, ""), (3, 4, 1));
    let page = spool.due("x.example", &Wanted::due(at(0), 9)).unwrap();
    assert_eq!(numbers(&page.messages[0]), [0, 2]);
    assert_eq!(&*page.messages[0].message.head, b"X-Seen: yes\r\n");
    assert!(matches!(spool.body(id(1)), Ok(Some(Body::Memory(body))) if !body.is_empty()));
    // It is done once.
    let again = screened(spool, verdict(&[0, 1], both(), vec![]));
    assert!(invalid(&again), "{again:?}");
}

fn where_an_operator_leads_whom_is_looked_at_for_is_not_forgotten(spool: &dyn Spool) {
    let addresses = ["a@x.example", "b@x.example"];
    store_unscreened(spool, message(1, &addresses), "one");
    let to_isp = reroute(parse("to:b@*"), Some("route:isp"));
    assert_eq!(carried_out(spool, to_isp), 1);
    let found = spool.unscreened(at(9), 9).unwrap().messages.remove(0);
    let mut kept = message(1, &addresses);
    kept.recipients = found.waiting.recipients.clone();
    for one in &mut kept.recipients {
        one.state = RecipientState::Waiting;
    }
    let unaware = verdict(&[0, 1], Some(kept.clone()), vec![]);
    let answer = screened(spool, unaware.clone());
    assert!(invalid(&answer), "{answer:?}");
    let aware = LateVerdict {
        led: found
            .waiting
            .recipients
            .iter()
            .filter_map(Recipient::led)
            .collect(),
        ..unaware
    };
    assert_eq!(aware.led, [(1, "route:isp".into())]);
    assert_eq!(screened(spool, aware), Commit::Applied { recipients: 2 });
    let recipients = &all(spool)[0].recipients;
    let led: Vec<_> = recipients.iter().map(Recipient::rerouted).collect();
    assert_eq!(led, [None, Some("route:isp")]);
}

fn what_an_operation_has_yet_to_come_to_is_not_looked_at_meanwhile(spool: &dyn Spool) {
    store_unscreened(spool, message(1, &["a@x.example"]), "one");
    let other = || vec![message(2, &["a@x.example"])];
    begin(spool, bulk(Verb::Hold, parse(""), at(9)));
    assert_eq!(unscreened(spool, 9, 9).0, ["one [0]"]);
    begin(spool, bulk(Verb::Delete, parse("state:unscreened"), at(9)));
    assert_eq!(unscreened(spool, 9, 9).0, [""; 0]);
    // Of one that was begun before nothing is made that it would not find.
    let answer = screened(spool, verdict(&[0], None, other()));
    assert!(invalid(&answer), "{answer:?}");
    while advance(spool).is_some() {}
    assert_eq!(counts(spool, ""), (0, 0, 0));
}

fn what_is_made_of_a_large_one_that_was_looked_at_takes_its_place(spool: &dyn Spool) {
    let mut one = large(spool, 1, 300_000);
    one.recipients.truncate(1);
    store_unscreened(spool, one, "large");
    let shared = spool.shared_body(id(1)).unwrap().expect("a file");
    let mut octets = vec![0; 400_000];
    let read = shared.read_at(0, &mut octets).unwrap();
    assert!(read > 0 && read <= 300_000, "{read}");
    assert_eq!(shared.read_at(300_000, &mut octets).unwrap(), 0);
    assert!(spool.shared_body(id(9)).unwrap().is_none());
    let mut other = large(spool, 2, 290_000);
    other.recipients.truncate(1);
    let answer = screened(spool, verdict(&[0], None, vec![other]));
    assert_eq!(answer, Commit::Applied { recipients: 1 });
    assert!(spool.body(id(1)).unwrap().is_none());
    assert!(spool.body(id(2)).unwrap().is_some());
    // What is open can still be read.
    assert!(shared.read_at(299_000, &mut octets).unwrap() > 0);
}

fn whoever_is_rerouted_waits_under_the_name_of_the_route_until_he_is_given_back(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example", "b@[192.0.2.1]"]));
    store(spool, message(2, &["c@x.example"]));
    store(spool, message(3, &["d@y.example"]));
    assert_eq!(
        carried_out(spool, bulk(Verb::Hold, parse("to:c@*"), at(0))),
        1
    );
    let to = |site| reroute(parse("to:*@x.example"), site);
    let number = begin(spool, to(Some("route:isp")));
    // Nobody goes the old way from then on.
    let page = spool.due("x.example", &Wanted::due(at(9), 9)).unwrap();
    assert_eq!(page.messages.iter().map(numbers).collect::<Vec<_>>(), [[1]]);
    let ended = advance(spool).unwrap();
    assert_eq!(
        (ended.number, ended.changed, ended.ended.is_some()),
        (number, 2, true)
    );
    let names = || {
        let domains = spool.domains().unwrap();
        domains
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(), ["[192.0.2.1]", "rerouted:route:isp", "y.example"]);
    assert_eq!(rerouted("rerouted:route:isp"), Some("route:isp"));
    let [found] = &spool
        .due("rerouted:route:isp", &Wanted::due(at(9), 9))
        .unwrap()
        .messages[..]
    else {
        panic!("one message goes there");
    };
    let sites: Vec<_> = found.recipients.iter().map(|one| one.rerouted()).collect();
    assert_eq!(sites, [Some("route:isp"), None]);
    // What is held stays so, and waits there when it is released; an attempt changes nothing.
    assert_eq!(carried_out(spool, bulk(Verb::Release, parse(""), at(0))), 1);
    let recipients = vec![(0, again(at(0), 1, "450 4.2.1 busy"))];
    applied(
        spool,
        Change::Settle(Settlement {
            recipients,
            ..done(1, &[])
        }),
    );
    assert_eq!(due_at(spool, "rerouted:route:isp").0, [id(1), id(2)]);
    // Nobody files it elsewhere by the routes.
    let (number, name) = (0, "route:brand".into());
    let file = Change::File(vec![Filed {
        id: id(1),
        number,
        name,
    }]);
    assert_eq!(applied(spool, file), 0);
    // Who goes by the routes is not given back to them.
    assert_eq!(carried_out(spool, reroute(parse(""), None)), 2);
    assert_eq!(names(), ["[192.0.2.1]", "x.example", "y.example"]);
    assert_eq!(carried_out(spool, reroute(parse(""), None)), 0);
    let found = all(spool);
    let mut recipients = found.iter().flat_map(|one| &one.recipients);
    assert!(recipients.all(|one| one.filed.is_none()));
}

fn find_pages_by_message(spool: &dyn Spool) {
    for n in 0..20 {
        let host = if n % 2 == 0 { "x" } else { "y" };
        let addresses = [format!("a@{host}.example"), format!("b@{host}.example")];
        store(spool, message(n, &addresses.each_ref().map(String::as_str)));
    }
    let filter = parse("to:*@x.example");
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = spool.find(&filter, Page { after, limit: 3 }).unwrap();
        assert!(page.len() <= 3 && page.iter().all(|w| numbers(w) == [0, 1]));
        let Some(last) = page.last() else { break };
        after = Some(last.message.id);
        seen.extend(ids(&page));
    }
    assert_eq!(seen, (0..20).step_by(2).map(id).collect::<Vec<_>>());
    assert_eq!(
        spool
            .find(
                &filter,
                Page {
                    after: None,
                    limit: 0
                }
            )
            .unwrap(),
        []
    );
    let half = spool
        .find(
            &parse("to:a@*"),
            Page {
                after: None,
                limit: 1,
            },
        )
        .unwrap();
    assert_eq!(half.iter().map(numbers).collect::<Vec<_>>(), [[0]]);
}

fn a_look_ends_after_so_many_recipients_and_goes_on_there(spool: &dyn Spool) {
    for n in 0..20 {
        let last = format!("b@{}.example", if n == 17 { "x" } else { "y" });
        store(spool, message(n, &["a@x.example", &last]));
    }
    let (filter, limit) = (parse("to:b@x.example"), 3);
    let page = |after| spool.find_within(&filter, Page { after, limit }, 5);
    let first = page(None).unwrap();
    // A message is looked at whole.
    assert_eq!((first.messages.len(), first.next), (0, Some(id(2))));
    let (mut seen, mut next) = (Vec::new(), first.next);
    while next.is_some() {
        let found = page(next).unwrap();
        seen.extend(ids(&found.messages));
        next = found.next;
    }
    assert_eq!(seen, [id(17)]);
    let all = parse("to:*");
    let found = spool
        .find_within(&all, Page { after: None, limit }, 5)
        .unwrap();
    assert_eq!(
        found.messages.iter().map(numbers).collect::<Vec<_>>(),
        [[0, 1]; 3]
    );
    assert_eq!(found.next, Some(id(2)));
    let counted = spool.count_within(&all, 5).unwrap();
    assert_eq!(
        (counted.messages, counted.waiting, counted.is_cut),
        (3, 5, true)
    );
    let counted = spool.count_within(&parse(""), 5).unwrap();
    assert_eq!(
        (counted.messages, counted.waiting, counted.is_cut),
        (20, 40, false)
    );
}

fn filters_choose_by_everything_they_know(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example", "b@y.example"]));
    store(spool, notice(2));
    let mut big = message(3, &["c@x.example"]);
    big.message = facts(3, "Eve@Other.example", 5_000_000);
    Arc::make_mut(&mut big.message).user = Some("eve@Other.example".into());
    big.recipients[0].tries = 2;
    big.recipients[0].last = Some("mx [192.0.2.1]:25: 452 4.2.2 full".into());
    store(spool, big);
    let cases = [
        ("", (3, 4, 0)),
        ("to:*@x.example", (2, 2, 0)),
        ("from:<>", (1, 1, 0)),
        ("from:*@other.example", (1, 1, 0)),
        ("state:deferred", (1, 1, 0)),
        ("state:held", (0, 0, 0)),
        ("code:4.2.*", (1, 1, 0)),
        ("client:local", (1, 1, 0)),
        ("client:192.0.2.0/24", (2, 3, 0)),
        ("user:eve@other.example", (1, 1, 0)),
        ("user:*", (1, 1, 0)),
        ("user:ann", (0, 0, 0)),
        ("size:>1MB", (1, 1, 0)),
        ("age:>998s", (1, 2, 0)),
        ("age:<998s", (1, 1, 0)),
        ("to:*@x.example from:ann@*", (1, 1, 0)),
    ];
    for (text, expected) in cases {
        assert_eq!(counts(spool, text), expected, "{text}");
        let found = spool
            .find(
                &parse(text),
                Page {
                    after: None,
                    limit: 100,
                },
            )
            .unwrap();
        assert_eq!(found.len() as u64, expected.0, "{text}");
    }
    let one = format!("id:{} to:b@*", id(1));
    assert_eq!(counts(spool, &one), (1, 1, 0));
    assert_eq!(counts(spool, &id(9).to_string()), (0, 0, 0));
}

fn one_commit_takes_changes_of_all_kinds_in_order(spool: &dyn Spool) {
    let answers = spool.commit(vec![
        Change::Store(message(1, &["a@x.example"])),
        Change::Begin(bulk(Verb::Hold, Filter::id(id(1)), at(0))),
        Change::Advance { now: at(1) },
        Change::Store(message(2, &["a@x.example"])),
        Change::Settle(done(2, &[0])),
        Change::Store(message(2, &["a@y.example"])),
        Change::Begin(bulk(Verb::Release, parse(""), at(3))),
        Change::Advance { now: at(3) },
    ]);
    let touched: Vec<u64> = answers
        .iter()
        .filter_map(|answer| match answer {
            Commit::Applied { recipients } => Some(*recipients),
            Commit::Advanced(operation) => Some(operation.as_ref().unwrap().operation.changed),
            Commit::Stored(_) | Commit::Begun(_) => None,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(touched, [1, 1, 1]);
    let hosts = [
        ("x.example".to_owned(), at(3)),
        ("y.example".to_owned(), at(0)),
    ];
    assert_eq!(spool.domains().unwrap(), hosts);
}

fn a_healthy_store_stays_healthy(spool: &dyn Spool) {
    store(spool, message(1, &["a@x.example"]));
    assert_eq!(spool.heal(), Health::Accepting);
    assert_eq!(spool.health(), Health::Accepting);
    assert_eq!(counts(spool, ""), (1, 1, 0));
}
