use std::cell::Cell;

use ::screening::{Class, Finding};
use authentication::Answer;
use config::Environment;
use mail::{Client, Mailbox, RcptParameters};
use proptest::prelude::*;
use reception::Named;
use relay_policy::{Decision, EnvelopeRecipient, Facts as Known, decide};
use route::Routes;
use spool::{Body, Change, Content, HoldReason, Model, RecipientState};

use super::*;
use crate::Pending;

thread_local! {
    /// How many readers do their work before one breaks down.
    static SOUND: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Where what reads a message may break down.
pub(super) fn break_down() {
    let left = SOUND.get().checked_sub(1);
    SOUND.set(left.unwrap_or(usize::MAX));
    assert!(left.is_some(), "a fault of a reader");
}

const HEAD: &[u8] = b"Received: from there\r\n";

/// A message of this content for these recipients, before rules in TOML.
fn screening(rules: &str, content: &[u8], to: &[&str], on_disk: bool, spool: &Model) -> Screening {
    let text = format!(
        "hostname = \"relay.test\"\n[listener.in]\nbind = \"192.0.2.1:25\"\n[domain.\"ours.test\"]\n\
         route = \"[192.0.2.7]\"\n[dns]\nservers = [\"192.0.2.53\"]\n{rules}"
    );
    let loaded = config::parse("gatepost.toml", &text, &Environment::default());
    let config = loaded.unwrap_or_else(|why| panic!("{why}")).config;
    let rules = Arc::clone(&config.listeners[0].rules);
    let client = Client::new(
        "203.0.113.9:40000".parse().unwrap(),
        "192.0.2.1:25".parse().unwrap(),
        "in".into(),
    );
    let from = mail::ReversePath::parse_routed("ann@out.test").unwrap();
    let mut envelope = relay_policy::Envelope::new(from);
    for to in to {
        let known = Known::default();
        let to = Mailbox::parse(to).unwrap();
        let decision = decide(&rules, &client, &envelope.reverse_path, &to, &known);
        let Decision::Carry { admitted, why } = decision else {
            panic!("{decision:?}");
        };
        envelope.recipients.push(EnvelopeRecipient {
            admitted,
            why,
            parameters: RcptParameters::default(),
        });
    }
    let id = QueueId::new(Timestamp::from_millis(1), 7);
    let body = on_disk.then(|| {
        let mut body = spool.open_body(id).unwrap();
        body.write(content).unwrap();
        body
    });
    let inline = if on_disk { &[][..] } else { content };
    let accepted = Accepted {
        id,
        envelope,
        named: None,
        head: HEAD.to_vec(),
        content: Vec::new(),
        size: (HEAD.len() + content.len()) as u64,
        hello: "there".into(),
        from_stranger: true,
        user: None,
        origin: None,
        message_id: "".into(),
        subject: "".into(),
        trace_parent: None,
    };
    let storing = Storing {
        coming: None,
        accepted,
        held: Vec::new(),
        judged: false,
        parted_from: None,
        content: Content::Inline(inline.to_vec().into()),
        unscreened: None,
        client,
        client_name: None,
        is_extended: true,
        session: 1,
    };
    Screening::new(storing, body, &config.screening, &rules, None)
}

/// What becomes of it, in a spool of its own.
fn screened(rules: &str, content: &[u8], to: &[&str], on_disk: bool) -> Outcome {
    let spool = Model::new();
    run(screening(rules, content, to, on_disk, &spool), &spool)
}

/// What is stored of each message: head and content in one, and for whom, those who are held marked.
fn run(mut screening: Screening, spool: &Model) -> Outcome {
    screening.read(Timestamp::from_millis(5)).unwrap();
    while let Some((_, questions)) = screening.questions() {
        for question in questions {
            screening.on_answer(&question, &Answer::NoSuchName);
        }
    }
    let mut number = 0;
    let mut next_id = || {
        number += 1;
        QueueId::new(Timestamp::from_millis(2), number)
    };
    let judgement = screening.run(&Signers::default(), spool, &mut next_id);
    let messages = match judgement.screened {
        Screened::Store(messages) => messages,
        Screened::Refuse(refusal) => return Err(refusal.reply.to_string()),
        Screened::Discard => return Err("discarded".to_owned()),
        Screened::Failed(trouble) => return Err(format!("{trouble:?}")),
    };
    Ok(messages
        .into_iter()
        .map(|message| stored(message, spool))
        .collect())
}

fn stored(message: Storing, spool: &Model) -> (Vec<u8>, Vec<String>) {
    let (change, _) = Pending::new(
        vec![message],
        Timestamp::from_millis(3),
        &Routes::builder().build().unwrap(),
    );
    let Change::Store(new) = change.clone() else {
        panic!("{change:?}");
    };
    spool.commit(vec![change]);
    let mut whole = new.message.head.to_vec();
    match spool.body(new.message.id).unwrap().unwrap() {
        Body::Memory(content) => whole.extend_from_slice(&content),
        Body::Stream(mut content) => {
            content.read_to_end(&mut whole).unwrap();
        }
    }
    assert_eq!(whole.len() as u64, new.message.size);
    let recipients = new.recipients.iter().map(|one| {
        let held = one.state == RecipientState::Held(HoldReason::Screening);
        let mark = if held { "held " } else { "" };
        format!("{mark}{}", one.admitted.recipient())
    });
    (whole, recipients.collect())
}

/// Messages, or why there are none.
type Outcome = Result<Vec<(Vec<u8>, Vec<String>)>, String>;

const SPLIT: &str = "[[screen]]\nwhen.to = \"no@ours.test\"\nthen = \"refuse\"\n\
                     [[screen]]\nwhen.to = \"away@ours.test\"\nthen = \"discard\"\n\
                     [[screen]]\nwhen.to = \"old@ours.test\"\nredirect_to = \"new@ours.test\"\n\
                     [[screen]]\nwhen.to = \"seen@ours.test\"\nadd_header = \"X-Seen: yes\"\n\
                     [[screen]]\nwhen.from = \"out.test\"\ncopy_to = \"archive@ours.test\"\n";

#[test]
fn recipients_are_parted_by_what_they_get_and_nobody_is_forgotten() {
    let to = [
        "a@ours.test",
        "no@ours.test",
        "away@ours.test",
        "old@ours.test",
        "new@ours.test",
        "seen@ours.test",
    ];
    let content = b"Subject: x\r\n\r\ntext\r\n";
    let stored = screened(SPLIT, content, &to, false).unwrap();
    let whole = [HEAD, content].concat();
    let seen = [b"X-Seen: yes\r\n", HEAD, content].concat();
    let everybody = [
        "archive@ours.test",
        "a@ours.test",
        "held no@ours.test",
        "new@ours.test",
    ];
    let everybody: Vec<String> = everybody.map(str::to_owned).into();
    // Whom the client named itself is there as well as whom the rule names.
    let expected = vec![
        (whole, everybody),
        (seen, vec!["seen@ours.test".to_owned()]),
    ];
    let sorted = |mut all: Vec<(Vec<u8>, Vec<String>)>| {
        for (_, names) in &mut all {
            names.sort();
            names.dedup();
        }
        all
    };
    assert_eq!(sorted(stored), sorted(expected));
    let all = |to: &[&str]| screened(SPLIT, content, to, false);
    assert_eq!(
        all(&["no@ours.test"]),
        Err("550 5.7.1 Message refused by policy".to_owned())
    );
}

/// Whom the client named, one after the other, each in the envelope for itself.
fn named(count: usize) -> Option<Named> {
    let mut named = Named::default();
    (0..count).for_each(|at| named.push([at].into()));
    Some(named)
}

#[test]
fn a_client_that_takes_a_reply_for_each_hears_who_is_refused_and_nothing_is_held() {
    let rules = format!(
        "{SPLIT}[[screen]]\nwhen.to = \"later@ours.test\"\nthen = \"refuse\"\nmessage = \"not you\"\n"
    );
    let judged = |to: &[&str]| {
        let spool = Model::new();
        let mut screening = screening(&rules, b"Subject: x\r\n\r\n", to, false, &spool);
        screening.storing_mut().accepted.named = named(to.len());
        let judgement = screening.run(&Signers::default(), &spool, &mut || unreachable!());
        let replies = judgement.each.iter();
        let replies = replies.map(|one| one.as_ref().map(|one| one.reply.text().to_owned()));
        let replies: Vec<_> = replies.map(Option::unwrap_or_default).collect();
        let left = match judgement.screened {
            Screened::Store(messages) => {
                let left = messages.into_iter();
                left.flat_map(|message| stored(message, &spool).1).collect()
            }
            Screened::Refuse(refusal) => vec![refusal.reply.to_string()],
            Screened::Discard => Vec::new(),
            Screened::Failed(trouble) => panic!("{trouble:?}"),
        };
        (replies.join(", "), left)
    };
    let text = "Message refused by policy";
    let (a, no, later, away) = (
        "a@ours.test",
        "no@ours.test",
        "later@ours.test",
        "away@ours.test",
    );
    // For those who are refused nothing is copied either.
    let rest = vec![a.to_owned(), "archive@ours.test".to_owned()];
    assert_eq!(judged(&[no, a]), (format!("{text}, "), rest));
    let archive = vec!["archive@ours.test".to_owned()];
    assert_eq!(judged(&[away, no]), (format!(", {text}"), archive));
    let whole = vec![format!("550 5.7.1 {text}")];
    assert_eq!(
        judged(&[no, later]),
        (format!("{text}, not you"), whole.clone())
    );
    assert_eq!(judged(&[no]), (String::new(), whole));
    assert_eq!(judged(&[a]).0, "");
}

#[test]
fn a_copy_goes_out_even_where_the_message_goes_nowhere_else() {
    let content = b"Subject: x\r\n\r\ntext\r\n";
    let stored = screened(SPLIT, content, &["away@ours.test"], false);
    let names: Vec<String> = stored
        .unwrap()
        .into_iter()
        .flat_map(|(_, names)| names)
        .collect();
    assert_eq!(names, ["archive@ours.test"]);
}

#[test]
fn nothing_is_left_on_disk_where_one_of_several_cannot_be_written() {
    let spool = Model::new();
    let content = [b"Subject: x\r\n\r\n", &b"text\r\n".repeat(60_000)[..]].concat();
    let to = ["a@ours.test", "seen@ours.test"];
    let mut screening = screening(SPLIT, &content, &to, true, &spool);
    let id = screening.storing().id();
    screening.read(Timestamp::from_millis(5)).unwrap();
    // The second one cannot be written: its name is taken.
    let judgement = screening.run(&Signers::default(), &spool, &mut || id);
    assert!(matches!(judgement.screened, Screened::Failed(_)));
    assert!(spool.open_body(id).is_ok(), "the first one is gone");
}

proptest! {
    /// What no rule changes goes on as it came, whatever it is and wherever it lies; and what is
    /// only added on top leaves all behind it.
    #[test]
    fn what_is_not_changed_stays_octet_for_octet(
        content in "((From|Subject|X|Authentication-Results): ?[ -~]{0,20}\r\n){0,4}(\r\n)?([ -~]{0,20}\r\n){0,4}",
        on_disk in any::<bool>(),
        checked in any::<bool>(),
    ) {
        let content = content.as_bytes();
        let checks = if checked { "[authentication]\ndmarc = \"respect\"\n" } else { "" };
        let rules = format!(
            "{checks}[[screen]]\nwhen.words = \"jackpot of a million\"\nthen = \"refuse\"\n\
             [[screen]]\nwhen.to = \"seen@ours.test\"\nadd_header = \"X-Seen: yes\"\n"
        );
        let to = ["a@ours.test", "seen@ours.test"];
        let one = screened(&rules, content, &to[..1], on_disk).unwrap();
        let behind = [HEAD, content].concat();
        prop_assert!(one[0].0.ends_with(&behind));
        prop_assert_eq!(one[0].0.len() == behind.len(), !checked);
        let two = screened(&rules, content, &to, on_disk).unwrap();
        prop_assert_eq!(&two[0].0, &one[0].0);
        prop_assert_eq!(&two[1].0, &[b"X-Seen: yes\r\n", &one[0].0[..]].concat());
    }
}

/// What the author's domain, with this DMARC record, is told of a message; SPF passes where it may.
fn told(rules: &str, record: &str, may_send: bool, to: &str) -> Option<String> {
    let spool = Model::new();
    let content = b"From: ann@out.test\r\nSubject: x\r\n\r\nHello\r\n";
    let mut screening = screening(rules, content, &[to], false, &spool);
    screening.read(Timestamp::from_millis(5)).unwrap();
    while let Some((_, questions)) = screening.questions() {
        for question in questions {
            let text = match &question {
                Question::Texts(name) if name.as_str() == "_dmarc.out.test" => record,
                Question::Texts(name) if name.as_str() == "out.test" && may_send => "v=spf1 +all",
                Question::Texts(name) if name.as_str() == "out.test" => "v=spf1 -all",
                _ => "",
            };
            let answer = match text {
                "" => Answer::NoSuchName,
                text => Answer::Texts([text.into()].into()),
            };
            screening.on_answer(&question, &answer);
        }
    }
    let seen = screening.seen(&Mailbox::parse("dmarc@ours.test").unwrap());
    let id = QueueId::new(Timestamp::from_millis(2), 9);
    let judgement = screening.run(&Signers::default(), &spool, &mut || id);
    let sighting = seen?.after(judgement.screened.done()?);
    assert_eq!(sighting.published.domain, "out.test");
    let record = sighting.record;
    assert_eq!(record.source.to_string(), "203.0.113.9");
    assert_eq!(record.identifiers.header_from, "out.test");
    assert_eq!(
        record.identifiers.envelope_from.as_deref(),
        Some("out.test")
    );
    let evaluated = record.evaluated;
    assert_eq!(
        (evaluated.dkim, evaluated.spf),
        (Some(false), Some(may_send))
    );
    let overrides = evaluated.overrides.iter().map(|own| own.kind.as_str());
    let words = [
        record.spf[0].result.as_str(),
        evaluated.disposition.as_str(),
    ];
    Some(
        words
            .into_iter()
            .chain(overrides)
            .collect::<Vec<_>>()
            .join(" "),
    )
}

#[test]
fn domains_are_told_what_came_of_their_policy() {
    let on = "[reports]\ndmarc = true\n";
    let respect = &format!("{on}[authentication]\ndmarc = \"respect\"\n");
    let refuse = &format!("{on}[[screen]]\nwhen.from = \"out.test\"\nthen = \"refuse\"\n");
    let accept = &format!("{respect}[[screen]]\nwhen.from = \"out.test\"\nthen = \"accept\"\n");
    for (rules, tags, may_send, expected) in [
        (&respect[..], "p=reject", false, Some("fail reject")),
        (respect, "p=quarantine", false, Some("fail quarantine")),
        (respect, "p=none", false, Some("fail none")),
        (respect, "p=reject", true, Some("pass pass")),
        (respect, "p=none", true, Some("pass none")),
        // While it is tried out, less is asked for than is published.
        (
            respect,
            "p=reject; t=y",
            false,
            Some("fail quarantine policy_test_mode"),
        ),
        (
            respect,
            "p=quarantine; t=y",
            false,
            Some("fail none policy_test_mode"),
        ),
        // We decide otherwise.
        (on, "p=reject", false, Some("fail none local_policy")),
        (accept, "p=reject", false, Some("fail none local_policy")),
        // What goes beyond the policy is not about it.
        (refuse, "p=none", false, Some("fail none")),
        (refuse, "p=quarantine", false, Some("fail quarantine")),
        (refuse, "p=reject", true, Some("pass pass")),
        ("", "p=reject", false, None),
        (
            "[authentication]\ndmarc = \"tag\"\n",
            "p=reject",
            false,
            None,
        ),
    ] {
        let record = format!("v=DMARC1; {tags}; rua=mailto:rua@out.test");
        let told = told(rules, &record, may_send, "bob@ours.test");
        assert_eq!(told.as_deref(), expected, "{tags} {may_send} {rules}");
    }
    let record = "v=DMARC1; p=reject; rua=mailto:rua@out.test";
    assert_eq!(told(on, record, false, "dmarc@ours.test"), None);
    assert_eq!(told(on, "v=DMARC1; p=reject", false, "bob@ours.test"), None);
    assert_eq!(told(on, "", false, "bob@ours.test"), None);
}

const SCANNERS: &str = "[scanner.clam]\nkind = \"clamd\"\naddress = \"/run/clamd\"\n\
                        [scanner.filter]\nkind = \"milter\"\naddress = \"/run/filter\"\n";

/// The message after it was looked at, with those of its scanners that are no milters.
fn looked_at(content: &[u8], on_disk: bool, spool: &Model) -> (Screening, Vec<Arc<str>>) {
    let mut screening = screening(SCANNERS, content, &["bob@ours.test"], on_disk, spool);
    screening.read(Timestamp::from_millis(5)).unwrap();
    let id = QueueId::new(Timestamp::from_millis(9), 9);
    screening.look(spool, &mut || id).unwrap();
    let scanners = screening.scanners();
    (screening, scanners)
}

fn finding(class: Class) -> Finding {
    Finding {
        classes: vec![class],
        ..Finding::default()
    }
}

/// What the milter changes: a field goes, one comes on top and one below, and there is another body
/// perhaps.
fn changed_by_milter(screening: &mut Screening, body: Option<&str>) {
    let server = Domain::parse("relay.test").unwrap();
    let asked = screening.for_milters(&server, "test").unwrap().unwrap();
    let field = |text: &[u8]| milter::Field::new(text, b"made", false).unwrap();
    let mut modifications = vec![
        milter::Modification::DeleteField(1, "X-Old".into()),
        milter::Modification::InsertField(0, field(b"X-Top")),
        milter::Modification::AddField(field(b"X-Below")),
    ];
    modifications.extend(body.map(|body| milter::Modification::ReplaceBody(body.into())));
    let answer = milter::Answer {
        verdict: milter::Verdict::Accept,
        refused: Vec::new(),
        modifications,
        quarantine: None,
    };
    let mut changes = milter::Changes::default();
    let mut message = asked.start.edited(asked.envelope);
    changes.make(&"filter".into(), &answer, &mut message);
    screening.on_scanned("filter", finding(Class::Clean), Vec::new());
    screening.on_milters(changes);
}

#[test]
fn what_milters_and_scanners_change_is_changed_and_the_rest_stays() {
    let body = "A body.\r\n".repeat(20_000);
    for (body, on_disk) in [("A body.\r\n", false), (&body, true)] {
        let header =
            "X-Gatepost-Scan: clam clean\r\nSubject: x\r\nX-Old: 1\r\n folded\r\nX-Spam: no\r\n";
        let content = format!("{header}\r\n{body}");
        for new_body in [None, Some("Another body.\r\n")] {
            let spool = Model::new();
            let (mut screening, scanners) = looked_at(content.as_bytes(), on_disk, &spool);
            assert_eq!(scanners, ["clam".into()]);
            changed_by_milter(&mut screening, new_body);
            let edit = scanner::Edit::Remove {
                name: "X-Spam".to_owned(),
                which: scanner::Which::All,
            };
            screening.on_scanned("clam", finding(Class::Clean), vec![edit]);
            assert!(!screening.awaits_scanners());
            screening.on_scanners_done().unwrap();
            let stored = run(screening, &spool).unwrap();
            let expected = format!(
                "X-Gatepost-Scan: clam clean;\r\n filter clean\r\nX-Top: made\r\n{}\
                 Subject: x\r\nX-Below: made\r\n\r\n{}",
                String::from_utf8_lossy(HEAD),
                new_body.unwrap_or(body)
            );
            let [(whole, _)] = &stored[..] else {
                panic!("one message");
            };
            assert_eq!(String::from_utf8_lossy(whole), expected);
        }
    }
}

#[test]
fn who_was_not_heard_keeps_the_message_from_going_on() {
    let spool = Model::new();
    let (mut screening, _) = looked_at(b"Subject: x\r\n\r\nx\r\n", false, &spool);
    screening.on_scanned("filter", finding(Class::Clean), Vec::new());
    assert!(screening.awaits_scanners());
    screening.on_scanners_done().unwrap();
    let refused = run(screening, &spool).unwrap_err();
    assert!(refused.starts_with("451 4.3.0"), "{refused}");
    let (mut screening, _) = looked_at(b"Subject: x\r\n\r\nx\r\n", false, &spool);
    // Nobody waits for the milter any more.
    screening.on_scanned("clam", finding(Class::Infected), Vec::new());
    assert!(!screening.awaits_scanners());
    screening.on_scanners_done().unwrap();
    let refused = run(screening, &spool).unwrap_err();
    assert_eq!(refused, "550 5.7.1 This message contains malware");
}

#[test]
fn a_rule_that_a_milter_makes_vanish_leaves_nothing_unscanned() {
    let rule = "[[screen]]\nwhen.header = \"X-Old\"\nthen = \"refuse\"\n";
    let spool = Model::new();
    let content = b"X-Old: 1\r\n\r\nx\r\n";
    let rules = format!("{rule}{SCANNERS}");
    let id = || QueueId::new(Timestamp::from_millis(9), 9);
    let mut before = screening(&rules, content, &["bob@ours.test"], false, &spool);
    before.read(Timestamp::from_millis(5)).unwrap();
    before.look(&spool, &mut || id()).unwrap();
    // It is refused for certain, so nobody is asked, milters neither.
    assert!(before.scanners().is_empty());
    let server = Domain::parse("relay.test").unwrap();
    assert!(before.for_milters(&server, "test").unwrap().is_none());
    before.on_scanners_done().unwrap();
    assert!(run(before, &spool).unwrap_err().starts_with("550 5.7.1"));
    let (mut after, _) = looked_at(content, false, &spool);
    changed_by_milter(&mut after, None);
    after.on_scanners_done().unwrap();
    // ClamAV was not heard.
    assert!(run(after, &spool).unwrap_err().starts_with("451 4.3.0"));
}

#[test]
fn recipients_fare_as_milters_say() {
    let spool = Model::new();
    let to = ["gone@ours.test", "bob@ours.test"];
    let content = b"Subject: x\r\n\r\nx\r\n";
    let mut screening = screening(SCANNERS, content, &to, false, &spool);
    screening.read(Timestamp::from_millis(5)).unwrap();
    let id = QueueId::new(Timestamp::from_millis(9), 9);
    screening.look(&spool, &mut || id).unwrap();
    screening.scanners();
    for scanner in ["clam", "filter"] {
        screening.on_scanned(scanner, finding(Class::Clean), Vec::new());
    }
    let change = |mailbox: &str, fate| RecipientChange {
        by: "filter".into(),
        mailbox: Mailbox::parse(mailbox).unwrap(),
        fate,
    };
    let added = || milter::Fate::Added(RcptParameters::default());
    screening.on_milters(milter::Changes {
        recipients: vec![
            change("gone@ours.test", milter::Fate::Removed),
            change("new@ours.test", added()),
            change("far@other.test", added()),
        ],
        ..milter::Changes::default()
    });
    screening.on_scanners_done().unwrap();
    let stored = run(screening, &spool).unwrap();
    let to: Vec<&String> = stored.iter().flat_map(|(_, to)| to).collect();
    assert_eq!(to, ["bob@ours.test", "new@ours.test"]);
}

#[test]
fn what_a_scanner_makes_of_the_envelope_is_made_as_milters_have_it() {
    let spool = Model::new();
    let (mut screening, _) = looked_at(b"Subject: x\r\n\r\nx\r\n", false, &spool);
    changed_by_milter(&mut screening, None);
    screening.on_milters(milter::Changes {
        recipients: vec![RecipientChange {
            by: "filter".into(),
            mailbox: Mailbox::parse("new@ours.test").unwrap(),
            fate: milter::Fate::Added(RcptParameters::default()),
        }],
        ..milter::Changes::default()
    });
    let add = |address: &str| scanner::Edit::AddRecipient(address.to_owned());
    let edits = vec![
        add("new@ours.test"),
        add("far@other.test"),
        add("too@ours.test"),
    ];
    screening.on_scanned("clam", finding(Class::Clean), edits);
    screening.on_scanners_done().unwrap();
    let stored = run(screening, &spool).unwrap();
    let to: Vec<&String> = stored.iter().flat_map(|(_, to)| to).collect();
    assert_eq!(to, ["bob@ours.test", "new@ours.test", "too@ours.test"]);
}

#[test]
fn where_a_reader_breaks_down_the_message_is_held() {
    let rules = "[authentication]\ndmarc = \"respect\"\n[[screen]]\nwhen.kind = \"executable\"\nthen = \"strip\"\n\
                 [[screen]]\nwhen.words = \"x\"\ntag = \"[x]\"\n";
    let content = b"From: ann@out.test\r\nSubject: x\r\n\r\nx\r\n";
    // Why it is held, for whom it is, and what there is of it.
    let comes_to = |sound: usize| -> (Vec<String>, Vec<Vec<u8>>) {
        let spool = Model::new();
        let mut screening = screening(
            rules,
            content,
            &["a@ours.test", "b@ours.test"],
            false,
            &spool,
        );
        SOUND.set(sound);
        screening
            .read(Timestamp::from_millis(1))
            .expect("it is in memory");
        while let Some((_, questions)) = screening.questions() {
            for question in questions {
                screening.on_answer(&question, &Answer::NoSuchName);
            }
        }
        let judgement = screening.run(&Signers::default(), &spool, &mut || unreachable!());
        let Screened::Store(messages) = judgement.screened else {
            panic!("it is neither lost nor refused");
        };
        let held = messages.iter().flat_map(|message| message.held.clone());
        let held = held.flatten().map(|(_, why)| why.into()).collect();
        let messages = messages.into_iter();
        let contents = messages.map(|message| stored(message, &spool).0);
        (held, contents.collect())
    };
    let (held, whole) = comes_to(usize::MAX);
    assert!(held.is_empty());
    let (mut places, mut holding) = (0, 0);
    loop {
        let (held, contents) = comes_to(places);
        if SOUND.get() <= places {
            // None has broken down any more.
            break;
        }
        places += 1;
        if held.is_empty() {
            // Nothing depended on it.
            assert_eq!(contents, whole, "{places}");
            continue;
        }
        holding += 1;
        assert_eq!(held.len(), 2, "{places}: {held:?}");
        let is_told = |why: &String| why.contains(UNREADABLE);
        assert!(held.iter().all(is_told), "{places}: {held:?}");
    }
    assert!(holding > 5, "{holding} of {places}");
}
