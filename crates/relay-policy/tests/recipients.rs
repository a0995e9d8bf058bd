//! Recipients of our domains: which exist, and what happens when nobody can be asked.

#[allow(dead_code, reason = "each test file uses its own part")]
mod sample;

use relay_policy::*;
use sample::*;

#[test]
fn a_list_answers_at_once() {
    let rules = with_recipients(listed_recipients(), AcceptFrom::Anyone);
    for recipient in [
        "bob@hosted.test",
        "BOB@Hosted.Test",
        "\"bob\"@hosted.test",
        "ann.lee@hosted.test",
        "postmaster@hosted.test",
        "POSTMASTER@hosted.test",
    ] {
        let decision = decided(&rules, &client(STRANGER), "", recipient, &Facts::default());
        assert_eq!(shown(&decision), "our-domain", "{recipient}");
    }
    for recipient in [
        "bobby@hosted.test",
        "ann@hosted.test",
        "postmaster1@hosted.test",
    ] {
        for who in [client(STRANGER), client(FRIEND), user("ann")] {
            let decision = decided(&rules, &who, "", recipient, &rights(true, &[]));
            assert_eq!(
                shown(&decision),
                format!("550 5.1.1 {recipient}: no such recipient here")
            );
            assert_eq!(
                reason(&decision),
                "there is no such recipient (gatepost.toml:30)"
            );
        }
    }
}

#[test]
fn somebody_is_asked_and_an_answer_holds_for_one_recipient() {
    let no = "550 5.1.1 bob@hosted.test: no such recipient here";
    let later = "451 4.4.3 Cannot find out now whether bob@hosted.test exists, try again later";
    let cases = [
        (false, Facts::default(), "ask"),
        (false, known("ann@hosted.test", Fact::Yes(())), "ask"),
        (false, known("ann@hosted.test", Fact::No), "ask"),
        (false, known("bob@other.test", Fact::Yes(())), "ask"),
        (false, known("bob@hosted.test", Fact::Yes(())), "our-domain"),
        (false, known("bob@hosted.test", Fact::No), no),
        (false, known("bob@hosted.test", Fact::CannotTell), later),
        (
            true,
            known("bob@hosted.test", Fact::CannotTell),
            "our-domain",
        ),
        (true, known("bob@hosted.test", Fact::No), no),
    ];
    for (accept_unasked, facts, expected) in cases {
        let rules = with_recipients(asked_recipients(accept_unasked), AcceptFrom::Anyone);
        let decision = decided(&rules, &client(STRANGER), "", "bob@hosted.test", &facts);
        if expected == "ask" {
            let Decision::Ask(Question::Recipient { mailbox, source }) = &decision else {
                panic!("{decision:?}");
            };
            assert_eq!(mailbox.as_str(), "bob@hosted.test");
            assert_eq!(*source, RecipientSource::NextHop);
        } else {
            assert_eq!(shown(&decision), expected, "{facts:?}");
        }
    }
    let rules = with_recipients(asked_recipients(true), AcceptFrom::Anyone);
    let facts = known("bob@hosted.test", Fact::CannotTell);
    let decision = decided(&rules, &client(STRANGER), "", "bob@hosted.test", &facts);
    assert_eq!(
        reason(&decision),
        "nobody could be asked whether the recipient exists (gatepost.toml:31)"
    );
}

#[test]
fn nobody_is_asked_about_recipients_that_are_refused_anyway() {
    let said = |rules: &Rules, who: &mail::Client, to: &str| {
        shown(&decided(rules, who, "", to, &rights(true, &[])))
    };
    let relay = with_recipients(asked_recipients(false), AcceptFrom::Relay);
    assert!(said(&relay, &client(STRANGER), "bob@hosted.test").starts_with("550 5.7.1"));
    assert!(said(&relay, &client(FRIEND), "bob@hosted.test").starts_with("Recipient"));
    assert!(said(&relay, &user("ann"), "bob@hosted.test").starts_with("Recipient"));
    let anyone = with_recipients(asked_recipients(false), AcceptFrom::Anyone);
    assert!(said(&anyone, &client(STRANGER), "a%b@hosted.test").starts_with("550 5.7.1"));
    assert!(said(&anyone, &client(FRIEND), "a%b@hosted.test").starts_with("Recipient"));
    assert_eq!(
        said(&anyone, &client(STRANGER), "postmaster@hosted.test"),
        "our-domain"
    );
    let blocked = DomainRule {
        kind: DomainKind::Blocked,
        recipients: asked_recipients(false),
        ..remote("blocked.test")
    };
    let mut rules = rules();
    rules.domains = domains([blocked]);
    for to in ["bob@blocked.test", "postmaster@blocked.test"] {
        assert!(said(&rules, &client(FRIEND), to).starts_with("550 5.7.1 Mail for"));
    }
}
