//! The local store and the model, given the same thousand changes, answer the same.

mod sample;

use filter::Filter;
use mail::Timestamp;
use sample::{Scratch, arrival, at, bulk, done, id, message_due, reroute};
use spool::{
    Bulk, Change, DuePlace, Filed, HoldReason, KeptMessage, LateVerdict, Model, NewMessage, Page,
    Pause, Recipient, RecipientState, Replacement, Settled, Settlement, Spool, Verb, Wanted,
};

/// A sequence that depends on its seed alone (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    fn site(&mut self) -> Option<Box<str>> {
        let name = self.of(&["", "mx:x.example", "mx:y.example"]);
        (!name.is_empty()).then(|| name.into())
    }

    fn moment(&mut self) -> Timestamp {
        at(self.below(30))
    }
}

const ADDRESSES: [&str; 5] = [
    "a@x.example",
    "b@x.example",
    "c@y.example",
    "d@[192.0.2.1]",
    "e@z.example",
];
const FILTERS: [&str; 8] = [
    "",
    "to:*@x.example",
    "state:held",
    "state:quarantined",
    "state:deferred",
    "code:450",
    "from:<>",
    "to:c@* age:>980s",
];

fn filter(chance: &mut Chance) -> Filter {
    match chance.below(4) {
        0 => Filter::id(id(chance.below(40))),
        _ => Filter::parse(chance.of(&FILTERS), arrival(1000)).unwrap(),
    }
}

fn reason(chance: &mut Chance) -> HoldReason {
    match chance.below(3) {
        0 => HoldReason::Screening,
        _ => HoldReason::Badmail,
    }
}

fn settled(chance: &mut Chance) -> Settled {
    let last = chance.of(&["450 4.2.1 busy", "421 4.3.2 later"]).into();
    match chance.below(4) {
        0 => Settled::Held {
            reason: reason(chance),
            last,
        },
        1 => {
            let tries = chance.below(5) as u32;
            Settled::Again {
                due: chance.moment(),
                tries,
                last,
                delay_told: tries > 2,
            }
        }
        _ => Settled::Done,
    }
}

fn new_message(chance: &mut Chance) -> NewMessage {
    let addresses = (0..chance.below(4)).map(|_| chance.of(&ADDRESSES));
    let addresses: Vec<&str> = addresses.collect();
    message_due(chance.below(40), &addresses, chance.moment())
}

fn change(chance: &mut Chance) -> Change {
    match chance.below(13) {
        0..4 => Change::Store(new_message(chance)),
        4 => {
            let mut new = new_message(chance);
            for one in &mut new.recipients {
                one.state = RecipientState::Held(HoldReason::Unscreened);
            }
            let facts = format!("facts {}", chance.below(9));
            Change::StoreUnscreened(new, facts.into())
        }
        5 => Change::StoreAll((0..chance.below(4)).map(|_| new_message(chance)).collect()),
        6..10 => {
            let recipients = (0..chance.below(3))
                .map(|n| (n as u32, settled(chance)))
                .collect();
            let notices = (0..chance.below(2))
                .map(|_| message_due(chance.below(40), &["ann@client.example"], chance.moment()))
                .collect();
            Change::Settle(Settlement {
                recipients,
                notices,
                ..done(chance.below(40), &[])
            })
        }
        _ => match chance.below(8) {
            7 => Change::File((0..chance.below(4)).map(|_| filed(chance)).collect()),
            0..3 => Change::Begin(operation(chance)),
            3..5 => Change::Advance {
                now: chance.moment(),
            },
            5 if chance.below(3) == 0 => Change::DropHeld(id(chance.below(40)), reason(chance)),
            5 if chance.below(2) == 0 => Change::Replace(Replacement {
                id: id(chance.below(40)),
                reason: reason(chance),
                by: new_message(chance),
            }),
            5 if chance.below(2) == 0 => Change::Screened(verdict(chance)),
            5 => Change::Stop {
                number: 1 + chance.below(20),
                now: chance.moment(),
            },
            _ if chance.below(3) == 0 => Change::Resume(chance.site()),
            _ => Change::Pause(pause(chance)),
        },
    }
}

/// As a rule it names too few, or what is not there.
fn verdict(chance: &mut Chance) -> LateVerdict {
    let kept = new_message(chance);
    let id = kept.message.id;
    let others = (0..chance.below(2)).map(|_| new_message(chance));
    LateVerdict {
        id,
        others: others.collect(),
        numbers: kept.recipients.iter().map(|one| one.number).collect(),
        led: kept.recipients.iter().filter_map(Recipient::led).collect(),
        kept: (chance.below(3) > 0).then_some(KeptMessage {
            message: kept.message,
            recipients: kept.recipients,
        }),
    }
}

fn filed(chance: &mut Chance) -> Filed {
    Filed {
        id: id(chance.below(40)),
        number: chance.below(3) as u32,
        name: chance
            .of(&["route:brand", "x.example", "[192.0.2.1]"])
            .into(),
    }
}

fn operation(chance: &mut Chance) -> Bulk {
    match chance.below(5) {
        4 => {
            let site = chance.of(&["", "route:a", "route:b"]);
            reroute(filter(chance), Some(site).filter(|site| !site.is_empty()))
        }
        0 => bulk(Verb::Retry, filter(chance), chance.moment()),
        1 => bulk(Verb::Hold, filter(chance), arrival(chance.below(60))),
        2 if chance.below(3) == 0 => bulk(Verb::Bounce, filter(chance), at(0)),
        2 => bulk(Verb::Release, filter(chance), chance.moment()),
        _ if chance.below(4) == 0 => bulk(Verb::Delete, filter(chance), arrival(chance.below(60))),
        _ => bulk(Verb::Delete, Filter::id(id(chance.below(40))), at(0)),
    }
}

fn pause(chance: &mut Chance) -> Pause {
    Pause {
        site: chance.site(),
        by: "root".into(),
        reason: None,
        since: chance.moment(),
        until: (chance.below(2) == 0).then(|| chance.moment()),
    }
}

#[test]
fn the_local_store_and_the_model_answer_the_same() {
    for seed in 1..=5u64 {
        let chance = &mut Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let scratch = Scratch::new();
        let mut local = scratch.open();
        let model = Model::new();
        for step in 0..60 {
            let changes: Vec<Change> = (0..=chance.below(6)).map(|_| change(chance)).collect();
            let place = format!("seed {seed}, step {step}: {changes:?}");
            assert_eq!(
                local.commit(changes.clone()),
                model.commit(changes),
                "{place}"
            );
            if chance.below(20) == 0 {
                drop(local);
                local = scratch.open();
                model.crash();
            }
            compare(&local, &model, chance, &place);
        }
    }
}

fn compare(local: &dyn Spool, model: &dyn Spool, chance: &mut Chance, place: &str) {
    assert_eq!(local.domains(), model.domains(), "{place}");
    assert_eq!(local.pauses(), model.pauses(), "{place}");
    assert_eq!(local.operations(), model.operations(), "{place}");
    let filter = filter(chance);
    assert_eq!(
        local.count(&filter),
        model.count(&filter),
        "{filter}, {place}"
    );
    let after = (chance.below(2) == 0).then(|| id(chance.below(40)));
    let page = Page {
        after,
        limit: chance.below(8) as usize,
    };
    assert_eq!(
        local.find(&filter, page),
        model.find(&filter, page),
        "{filter}, {place}"
    );
    let (before, limit) = (chance.moment(), chance.below(5) as usize);
    assert_eq!(
        local.unscreened(before, limit),
        model.unscreened(before, limit),
        "{place}"
    );
    let (host, before) = (
        chance.of(&["x.example", "y.example", "[192.0.2.1]"]),
        chance.moment(),
    );
    let wanted = Wanted {
        before,
        limit: chance.below(6) as usize,
        except: (0..chance.below(4))
            .map(|_| (id(chance.below(40)), chance.below(3) as u32))
            .collect(),
        behind: (chance.below(2) == 0).then(|| DuePlace {
            due: chance.moment(),
            id: id(chance.below(40)),
            number: chance.below(3) as u32,
        }),
        content: chance.below(2) as usize * chance.below(1000) as usize,
    };
    assert_eq!(
        local.due(host, &wanted),
        model.due(host, &wanted),
        "{host}, {place}"
    );
}
