use std::time::Duration;

use mail::Place;

use super::*;
use crate::{Limit, Rate};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Nine o'clock of some day.
const NOW: Timestamp = Timestamp::from_millis((20_000 * 24 + 9) * HOUR_MILLIS);

fn limit<T>(value: T, line: u32) -> Limit<T> {
    let place = Place::line(&"gatepost.toml".into(), line, 1);
    Limit { value, place }
}

fn rate(count: u32, per: Duration, line: u32) -> Option<Limit<Rate>> {
    Some(limit(Rate { count, per }, line))
}

/// A user may write to 3 new recipients in an hour; everybody of a domain may fail 5 times a day.
fn rules(over_limit: Reaction) -> GuardianRules {
    GuardianRules {
        over_limit: limit(over_limit, 1),
        over_usual: Some(limit(Reaction::Tell, 2)),
        usual_times: limit(10, 3),
        usual_least: limit(20, 4),
        per_user: GuardianLimits {
            new_recipients: rate(3, HOUR, 5),
            ..GuardianLimits::default()
        },
        per_sender_domain: GuardianLimits {
            failures: rate(5, DAY, 6),
            ..GuardianLimits::default()
        },
        ..GuardianRules::default()
    }
}

fn sender(user: &str) -> Sender {
    Sender {
        who: Subject::User(user.into()),
        domain: Domain::parse("here.test").ok(),
    }
}

/// What decides in words, and how many are to be told of.
fn told(verdict: &Verdict) -> (String, usize) {
    let over = verdict.over.as_ref();
    let words = over.map(|over| format!("{}: {over}", over.reaction.value));
    (words.unwrap_or_default(), verdict.begun.len())
}

const TOO_NEW: &str = "held: 4 new recipients of user ann in 1 h, more than 3 (gatepost.toml:5)";

#[test]
fn mail_to_many_new_recipients_is_held_and_told_of_once() {
    let (rules, mut guardian) = (rules(Reaction::Hold), Guardian::default());
    let mut judge = |user, recipients: &[&str], after| {
        told(&guardian.judge(&rules, &sender(user), recipients, NOW + after))
    };
    let quiet = (String::new(), 0);
    let three = ["a@x.test", "b@x.test", "c@x.test"];
    assert_eq!(judge("ann", &three, Duration::ZERO), quiet);
    // The same are not new any more.
    assert_eq!(judge("ann", &three, Duration::ZERO), quiet);
    let held = judge("ann", &["d@x.test"], Duration::ZERO);
    assert_eq!(held, (TOO_NEW.to_owned(), 1));
    // What is held goes on to count, and is not known by that.
    let (words, begun) = judge("ann", &["d@x.test"], Duration::ZERO);
    assert_eq!(words, TOO_NEW.replace('4', "5"));
    assert_eq!(begun, 0);
    // Mail to those that are known counts for those who are over it.
    assert_eq!(judge("ann", &three, Duration::ZERO).1, 0);
    // Somebody else of the same domain may go on, and has recipients of its own.
    assert_eq!(judge("bob", &three, Duration::ZERO), quiet);
    // The next hour it may, and what goes out then is known.
    assert_eq!(judge("ann", &["d@x.test"], HOUR), quiet);
    let three_more = ["d@x.test", "e@x.test", "f@x.test", "g@x.test"];
    assert_eq!(judge("ann", &three_more, HOUR), (TOO_NEW.to_owned(), 0));
    // Whoever is trusted again begins anew.
    assert!(guardian.clear(&Subject::User("ann".into())));
    assert!(!guardian.clear(&Subject::User("carl".into())));
    let mut judge = |user, recipients: &[&str], after| {
        told(&guardian.judge(&rules, &sender(user), recipients, NOW + after))
    };
    assert_eq!(
        judge("ann", &["d@x.test", "e@x.test", "f@x.test"], HOUR),
        quiet
    );
    let (words, begun) = judge("ann", &["g@x.test", "h@x.test"], HOUR);
    assert_eq!((words, begun), (TOO_NEW.to_owned(), 1));
    // A day without, and it is an episode of its own.
    let later = judge(
        "ann",
        &["1@x.test", "2@x.test", "3@x.test", "4@x.test"],
        26 * HOUR,
    );
    assert_eq!(later, (TOO_NEW.to_owned(), 1));
}

#[test]
fn what_is_postponed_comes_again_and_does_not_count() {
    let mut rules = rules(Reaction::Postpone);
    rules.per_user.messages = rate(2, HOUR, 7);
    let mut guardian = Guardian::default();
    let (ann, one) = (sender("ann"), ["a@x.test"]);
    for _ in 0..2 {
        assert_eq!(guardian.begin(&rules, &ann, NOW), Verdict::default());
        assert_eq!(guardian.judge(&rules, &ann, &one, NOW), Verdict::default());
    }
    for told in [1, 0, 0, 0, 0] {
        let Verdict { over, begun } = guardian.begin(&rules, &ann, NOW);
        assert_eq!(begun.len(), told, "the postmaster is told once");
        let over = over.unwrap();
        let expected = "3 messages of user ann in 1 h, more than 2 (gatepost.toml:7)";
        assert_eq!(over.to_string(), expected);
        let verdict = guardian.judge(&rules, &ann, &one, NOW);
        assert_eq!(verdict.over, Some(over));
    }
    let later = guardian.begin(&rules, &ann, NOW + HOUR);
    assert_eq!(later, Verdict::default());
}

/// Who is over nothing by its own usual may be so by that of a day.
#[test]
fn ten_times_the_usual_is_too_much_where_it_is_not_little() {
    let (rules, mut guardian) = (rules(Reaction::Hold), Guardian::default());
    let (ann, one) = (sender("ann"), ["a@x.test"]);
    for day in 0..8 {
        for _ in 0..5 {
            let verdict = guardian.judge(&rules, &ann, &one, NOW + day * DAY);
            assert_eq!(verdict, Verdict::default());
        }
    }
    let many = ["a@x.test"; 47];
    let verdict = guardian.judge(&rules, &sender("ann"), &many[..45], NOW + 8 * DAY);
    assert_eq!(verdict, Verdict::default(), "as much as ten days");
    let verdict = guardian.judge(&rules, &ann, &one, NOW + 8 * DAY + HOUR);
    assert_eq!(verdict, Verdict::default(), "as much as ten days");
    let verdict = guardian.judge(&rules, &sender("ann"), &many, NOW + 8 * DAY + HOUR);
    // The user and the domain, which has the same usual.
    assert_eq!(verdict.begun.len(), 2);
    let over = verdict.over.unwrap();
    let expected = "93 recipients of user ann in 24 h, where 5 are usual, and more than 50 \
                    (gatepost.toml:2)";
    assert_eq!(over.to_string(), expected);
    assert_eq!(over.reaction.value, Reaction::Tell);
    // Nobody knows yet what is usual for somebody new.
    let verdict = guardian.judge(&rules, &sender("bob"), &many, NOW + 10 * DAY);
    let of_bob = |over: &Over| over.subject == Subject::User("bob".into());
    assert!(!verdict.begun.iter().any(of_bob));
}

#[test]
fn failures_count_and_are_told_of() {
    let (rules, mut guardian) = (rules(Reaction::Hold), Guardian::default());
    assert_eq!(guardian.failed(&rules, &sender("ann"), 3, NOW), []);
    let begun = guardian.failed(&rules, &sender("bob"), 3, NOW);
    let expected = "6 failures of sender domain here.test in 24 h, more than 5 (gatepost.toml:6)";
    let begun: Vec<String> = begun.iter().map(Over::to_string).collect();
    assert_eq!(begun, [expected]);
    let verdict = guardian.judge(&rules, &sender("carl"), &["d@x.test"], NOW);
    assert_eq!(told(&verdict), (format!("held: {expected}"), 0));
    let domain = Subject::SenderDomain(Domain::parse("here.test").unwrap());
    guardian.not_told(&domain, NOW);
    let verdict = guardian.judge(&rules, &sender("carl"), &["d@x.test"], NOW);
    assert_eq!(verdict.begun.len(), 1);
}

#[test]
fn those_who_are_over_something_stand_first_and_a_restart_changes_nothing() {
    let (rules, mut guardian) = (rules(Reaction::Hold), Guardian::default());
    let five = ["a@x.test", "b@x.test", "c@x.test", "d@x.test", "e@x.test"];
    guardian.judge(&rules, &sender("ann"), &five, NOW);
    let client = Sender {
        who: Subject::client("192.0.2.1".parse().unwrap()),
        domain: None,
    };
    guardian.judge(&rules, &client, &five, NOW);
    guardian.judge(&rules, &client, &five, NOW);
    let read = Guardian::from_octets(&guardian.to_octets()).unwrap();
    let watched = read.watched(NOW + HOUR);
    assert_eq!(watched, guardian.watched(NOW + HOUR));
    assert_eq!(read.over(NOW + HOUR), watched[..1]);
    assert_eq!(read.over(NOW + DAY), []);
    let shown: Vec<_> = watched
        .iter()
        .map(|one| {
            let (hour, day) = (&one.hour, &one.day);
            let of = |tally: &Tally| tally.of(Measure::Recipients);
            (one.subject.name(), of(hour), of(day), one.over.is_some())
        })
        .collect();
    let expected = [
        ("ann".to_owned(), 0, 5, true),
        ("192.0.2.1".to_owned(), 0, 10, false),
        ("here.test".to_owned(), 0, 0, false),
    ];
    assert_eq!(shown, expected);
    let new = read.watched(NOW)[1].day.of(Measure::NewRecipients);
    assert_eq!(new, 5, "known by the second message");
    for damaged in [&b""[..], b"\n", b"{}\n", &guardian.to_octets()[1..]] {
        assert!(Guardian::from_octets(damaged).is_none());
    }
}

#[test]
fn it_is_said_beforehand_what_would_be_too_much() {
    let rules = rules(Reaction::Postpone);
    let user = Subject::User("ann".into());
    let expected = "over 3 new recipients to other domains in 1 h of one user: postponed \
                    (gatepost.toml:5)";
    assert_eq!(rules.explain(&user), [expected]);
    assert_eq!(rules.explain(&Subject::Account(3)), Vec::<String>::new());
    let expected = "over 5 failures to other domains in 24 h of one sender domain: postponed \
                    (gatepost.toml:6)";
    assert_eq!(rules.explain_of_domains(), [expected]);
    let expected =
        "over 10 times its usual in a day, and 20: the postmaster is told (gatepost.toml:2)";
    assert_eq!(rules.explain_usual().as_deref(), Some(expected));
}
