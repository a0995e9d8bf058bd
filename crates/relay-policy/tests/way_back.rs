//! The way back from a filter: its clients send to anybody, and nobody else to anybody.

#[allow(dead_code, reason = "each test file uses its own part")]
mod sample;

use std::sync::Arc;

use mail::{Mailbox, ReversePath};
use relay_policy::*;
use sample::*;

/// The filter is at 192.0.2.10 and stands in line 4.
fn way_back() -> Rules {
    let mut rules = rules();
    let filter = list(&["192.0.2.10"]);
    rules.relay = RelayRule {
        access: Access::only_list(filter, "after_queue.from", at(5)),
        ..RelayRule::closed()
    };
    rules.way_back = Some(Arc::new(WayBack {
        filter: "amavis".into(),
        place: at(4),
    }));
    rules
}

#[test]
fn the_filter_sends_to_anybody_on_grounds_of_its_own_and_nobody_else_to_anybody() {
    let rules = way_back();
    for (address, of_ours, expected) in [
        ("192.0.2.10", true, Some(Grounds::Filtered)),
        ("192.0.2.10", false, Some(Grounds::FilteredOfStrangers)),
        ("203.0.113.9", false, None),
        ("203.0.113.9", true, None),
    ] {
        let facts = Facts {
            came_of_ours: of_ours,
            ..Facts::default()
        };
        for to in [ABROAD, "ann@hosted.test", "nobody@blocked.test"] {
            let to = Mailbox::parse(to).unwrap();
            let from = ReversePath::parse("somebody@anywhere.test").unwrap();
            match decide(&rules, &client(address), &from, &to, &facts) {
                Decision::Carry { admitted, why } => {
                    assert_eq!(Some(admitted.grounds()), expected, "{address} {to}");
                    assert_eq!(why.to_string(), "came back from the filter amavis");
                    assert_eq!(why.place, at(4));
                    assert!(!admitted.goes_to_filter());
                    let stored = Admitted::from_stored_text(to, &admitted.stored_grounds());
                    assert_eq!(stored, Some(admitted));
                }
                Decision::Refuse { reply, .. } => {
                    assert_eq!(expected, None, "{address} {to}: {reply}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn all_but_notices_of_ours_goes_to_the_filter_once() {
    let bob = || Mailbox::parse(ABROAD).unwrap();
    for (grounds, goes) in [
        (Grounds::OurDomain, true),
        (Grounds::ListedClient, true),
        (Grounds::SignedInUser, true),
        (Grounds::CertificateHolder, true),
        (Grounds::LocalSubmission, true),
        (Grounds::Forwarded, true),
        (Grounds::ForwardedSender, true),
        (Grounds::OwnNotice, false),
        (Grounds::Filtered, false),
        (Grounds::FilteredOfStrangers, false),
    ] {
        let admitted = Admitted::from_stored(bob(), grounds);
        assert_eq!(admitted.goes_to_filter(), goes, "{grounds}");
    }
}
