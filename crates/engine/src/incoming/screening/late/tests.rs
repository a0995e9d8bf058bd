use authentication::Answer;
use config::Environment;
use dkim::Signers;
use mail::QueueId;
use message::TraceParent;
use relay_policy::{Decision, Facts as Known, decide};
use spool::{Commit, Model};

use super::*;
use crate::Pending;

const HEAD: &str = "Received: from there\r\n";
const CONTENT: &str = "From: ann@out.test\r\nSubject: fruit\r\n\r\ntext\r\n";

/// How a message is another one than most.
type Altered = fn(&mut Storing);

fn setup(rules: &str) -> Setup {
    let text = format!(
        "hostname = \"relay.test\"\n[listener.in]\nbind = \"192.0.2.1:25\"\n[domain.\"ours.test\"]\n\
         route = \"smart\"\n[route.smart]\nhosts = \"[192.0.2.7]\"\n[dns]\nservers = [\"192.0.2.53\"]\n{rules}"
    );
    let loaded = config::parse("gatepost.toml", &text, &Environment::default());
    Setup::new(loaded.unwrap_or_else(|why| panic!("{why}")).config)
}

fn id() -> QueueId {
    QueueId::new(Timestamp::from_millis(1), 7)
}

fn moment(millis: u64) -> Moment {
    Moment::of(Timestamp::from_millis(millis))
}

/// A message as it comes; changed in some way before it is looked at.
fn arriving(
    setup: &Setup,
    content: &str,
    to: &[&str],
    body: Option<&Model>,
    change: impl FnOnce(&mut Storing),
) -> Screening {
    let rules = setup.rules_of("in").unwrap();
    let addresses = ["203.0.113.9:40000", "192.0.2.1:25"].map(|one| one.parse().unwrap());
    let client = Client::new(addresses[0], addresses[1], "in".into());
    let from = mail::ReversePath::parse_routed("ann@out.test").unwrap();
    let mut envelope = Envelope::new(from);
    for to in to {
        let to = Mailbox::parse(to).unwrap();
        let known = Known::default();
        let decision = decide(&rules, &client, &envelope.reverse_path, &to, &known);
        let Decision::Carry { admitted, why } = decision else {
            panic!("{decision:?}");
        };
        envelope.recipients.push(EnvelopeRecipient {
            admitted,
            why,
            parameters: mail::RcptParameters::default(),
        });
    }
    let body = body.map(|spool| {
        let mut body = spool.open_body(id()).unwrap();
        body.write(content.as_bytes()).unwrap();
        body
    });
    let inline = if body.is_some() { "" } else { content };
    let mut storing = Storing {
        coming: None,
        accepted: Accepted {
            id: id(),
            envelope,
            named: None,
            head: HEAD.into(),
            content: Vec::new(),
            size: (HEAD.len() + content.len()) as u64,
            hello: "there".into(),
            from_stranger: true,
            user: None,
            origin: None,
            message_id: "x@out.test".into(),
            subject: "fruit".into(),
            trace_parent: None,
        },
        held: Vec::new(),
        judged: true,
        parted_from: None,
        content: Content::Inline(inline.to_owned().into()),
        unscreened: None,
        client,
        client_name: None,
        is_extended: true,
        session: 9,
    };
    change(&mut storing);
    Screening::new(storing, body, &setup.config.screening, &rules, None)
}

/// What the spool has of it once it was put off.
fn put_off(screening: Screening, setup: &Setup, spool: &Model) -> Unscreened {
    let Screened::Store(messages) = screening.put_off(Place::Default) else {
        panic!("it can be read");
    };
    let now = Timestamp::from_millis(1_000);
    let (change, pending) = Pending::new(messages, now, setup.routes());
    assert!(pending.acceptances()[0].unscreened_by.is_some());
    let committed = spool.commit(vec![change]).remove(0);
    assert!(matches!(committed, Commit::Stored(_)), "{committed:?}");
    // Another life of the relay.
    spool.crash();
    let mut page = spool.unscreened(now, 9).unwrap();
    assert_eq!(page.messages.len(), 1);
    page.messages.remove(0)
}

fn resumed(stored: &Unscreened, setup: &Setup, spool: &Model) -> Screening {
    let rules = |listener: &str| setup.rules_of(listener);
    let resumed = Screening::resumed(stored, &setup.config.screening, rules, spool);
    resumed.unwrap_or_else(|why| panic!("{why:?}"))
}

fn looked_at(screening: Screening, spool: &Model, spf: &Answer) -> Judgement {
    judged(screening, spool, spf, None)
}

/// The same, where DMARC passes for this author.
fn judged(
    mut screening: Screening,
    spool: &Model,
    spf: &Answer,
    author: Option<&str>,
) -> Judgement {
    screening.read(Timestamp::from_millis(1_500)).unwrap();
    while let Some((_, questions)) = screening.questions() {
        for question in questions {
            screening.on_answer(&question, spf);
        }
    }
    screening.results.dmarc = author.map(|author| dmarc::Outcome {
        result: dmarc::DmarcResult::Pass,
        author: Domain::parse(author).ok(),
        record: None,
        organization: None,
        policy: None,
        compared: Vec::new(),
        why: dmarc::Why::Aligned,
    });
    let mut number = 0;
    screening.run(&Signers::default(), spool, &mut || {
        number += 1;
        QueueId::new(Timestamp::from_millis(2), number)
    })
}

/// What is in the spool: whole messages, with those who get them and why they do not.
fn everything(spool: &Model) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for waiting in spool.everything() {
        let mut whole = String::from_utf8(waiting.message.head.to_vec()).unwrap();
        match spool.body(waiting.message.id).unwrap().unwrap() {
            Body::Memory(content) => whole += std::str::from_utf8(&content).unwrap(),
            Body::Stream(mut content) => {
                content.read_to_string(&mut whole).unwrap();
            }
        }
        assert_eq!(whole.len() as u64, waiting.message.size);
        let shown = |one: &Recipient| {
            let last = one.last.as_deref().unwrap_or_default();
            format!("{:?} {} {last}", one.state, one.admitted.recipient())
        };
        all.push((whole, waiting.recipients.iter().map(shown).collect()));
    }
    all.sort();
    all
}

/// What comes of it where it is looked at before its 250, or after it.
fn ended(
    rules: &str,
    content: &str,
    to: &[&str],
    on_disk: bool,
    late: bool,
) -> Vec<(String, Vec<String>)> {
    let (setup, spool) = (setup(rules), Model::new());
    let screening = arriving(&setup, content, to, on_disk.then_some(&spool), |_| {});
    if late {
        let stored = put_off(screening, &setup, &spool);
        let screening = resumed(&stored, &setup, &spool);
        let late = screening.late().unwrap().clone();
        let judgement = looked_at(screening, &spool, &Answer::NoSuchName);
        let outcome = late.concluded(judgement, &setup, moment(2_000));
        let committed = spool.commit(vec![outcome.change]).remove(0);
        assert!(
            matches!(committed, Commit::Applied { recipients: 1.. }),
            "{committed:?}"
        );
    } else {
        let judgement = looked_at(screening, &spool, &Answer::NoSuchName);
        if let Screened::Store(messages) = judgement.screened {
            let now = Timestamp::from_millis(1_000);
            let (change, _) = Pending::new(messages, now, setup.routes());
            let committed = spool.commit(vec![change]).remove(0);
            assert!(matches!(committed, Commit::Stored(_)), "{committed:?}");
        }
    }
    everything(&spool)
}

#[test]
fn what_is_looked_at_later_becomes_what_it_would_have_become() {
    let all = [
        "a@ours.test",
        "no@ours.test",
        "away@ours.test",
        "old@ours.test",
        "seen@ours.test",
    ];
    let split = "[[screen]]\nwhen.to = \"no@ours.test\"\nthen = \"refuse\"\n\
                 [[screen]]\nwhen.to = \"away@ours.test\"\nthen = \"discard\"\n\
                 [[screen]]\nwhen.to = \"old@ours.test\"\nredirect_to = \"new@ours.test\"\n\
                 [[screen]]\nwhen.to = \"seen@ours.test\"\nadd_header = \"X-Seen: yes\"\n\
                 [[screen]]\nwhen.from = \"out.test\"\ncopy_to = \"archive@ours.test\"\n";
    let tells =
        "[authentication]\nspf = true\n[[screen]]\nwhen.words = \"nothing\"\nthen = \"hold\"\n";
    let forged = format!("Authentication-Results: relay.test; spf=pass\r\n{CONTENT}");
    let long = CONTENT.to_owned() + &"more of it\r\n".repeat(30_000);
    for (rules, content) in [
        (split, CONTENT),
        (
            "[[screen]]\nwhen.words = \"text\"\nthen = \"hold\"\n",
            CONTENT,
        ),
        (
            "[[screen]]\nwhen.words = \"text\"\nthen = \"discard\"\n",
            CONTENT,
        ),
        (
            "[[screen]]\nwhen.words = \"text\"\ntag = \"[X]\"\n",
            CONTENT,
        ),
        ("[[screen]]\nwhen.words = \"text\"\ntag = \"[X]\"\n", &long),
        (
            "[[screen]]\nwhen.words = \"nothing\"\nthen = \"hold\"\n",
            &long,
        ),
        (tells, CONTENT),
        (tells, &forged),
    ] {
        for (to, on_disk) in [(&all[..1], false), (&all[..], false), (&all[..], true)] {
            let before = ended(rules, content, to, on_disk, false);
            let after = ended(rules, content, to, on_disk, true);
            assert_eq!(after, before, "{rules}, {to:?}");
        }
    }
}

#[test]
fn what_is_changed_keeps_its_place_in_a_trace() {
    let rules = "[[screen]]\nwhen.words = \"text\"\ntag = \"[X]\"\n";
    let theirs = TraceParent {
        trace: 7,
        span: 9,
        flags: 1,
    };
    for late in [false, true] {
        let (setup, spool) = (setup(rules), Model::new());
        let screening = arriving(&setup, CONTENT, &["a@ours.test"], None, |storing| {
            let accepted = &mut storing.accepted;
            let place = theirs.of_message(accepted.id).field();
            accepted.head.extend(place.as_bytes());
            accepted.size += place.len() as u64;
        });
        let (id, head) = if late {
            let stored = put_off(screening, &setup, &spool);
            let screening = resumed(&stored, &setup, &spool);
            let late = screening.late().unwrap().clone();
            let judgement = looked_at(screening, &spool, &Answer::NoSuchName);
            let outcome = late.concluded(judgement, &setup, moment(2_000));
            let other = &outcome.others[0].message.message;
            (other.id, other.head.clone())
        } else {
            let judgement = looked_at(screening, &spool, &Answer::NoSuchName);
            let Screened::Store(messages) = judgement.screened else {
                panic!("it is stored");
            };
            (messages[0].id(), messages[0].accepted.head.clone().into())
        };
        let place = TraceParent::in_header(&head);
        assert_eq!(place, Some(theirs.of_message(id)), "late: {late}");
    }
}

#[test]
fn what_was_known_when_it_came_is_known_later() {
    let rules = "[[screen]]\nwhen.words = \"nothing\"\nthen = \"hold\"\n";
    let (setup, spool) = (setup(rules), Model::new());
    let mut screening = arriving(&setup, CONTENT, &["a@ours.test"], None, |storing| {
        storing.hold("it sends too much");
        storing.client.tls = Some(TlsFacts {
            version: "TLSv1.2",
            cipher: "TLS_X".into(),
            group: "X25519MLKEM768",
            handshake: mail::Handshake::Retried,
            certificate: Some(Arc::new(Certificate {
                sha256: [7; 32],
                key_sha256: Some([8; 32]),
                names: Box::new(["out.test".into()]),
                trust: Trust::Ok,
            })),
        });
        (storing.client.user, storing.client.mechanism) = (Some("ann".into()), "PLAIN".into());
        storing.accepted.user = Some("ann".into());
        storing.client_name = Some(Domain::parse("mail.out.test").unwrap());
    });
    let finding = Finding {
        classes: vec![Class::Quarantine],
        score: Some(2.5),
        what: "odd".to_owned(),
        reply: Some(Reply::new(450, 7, 1, "Come again")),
    };
    let field = Edit::Add {
        name: "Received-SPF".to_owned(),
        value: "Pass".to_owned(),
        place: scanner::Position::Top(0),
    };
    screening
        .advised
        .hear(vec![field], vec![("spf".into(), finding)]);
    let (advised, before) = (
        screening.advised.clone(),
        screening.storing.accepted.clone(),
    );
    let (client, name) = (
        screening.storing.client.clone(),
        screening.storing.client_name.clone(),
    );
    let stored = put_off(screening, &setup, &spool);
    let later = resumed(&stored, &setup, &spool);
    let mut after = later.storing.accepted.clone();
    assert_eq!(after.envelope.recipients[0].why.why, Why::Taken);
    after.envelope.recipients[0].why = before.envelope.recipients[0].why.clone();
    assert_eq!(after, before);
    assert_eq!(
        (&later.storing.client, &later.storing.client_name),
        (&client, &name)
    );
    assert_eq!(
        (later.storing.session, later.storing.is_extended),
        (9, true)
    );
    // A reply of somebody else's stays one.
    assert_eq!(
        format!("{:?}", later.advised.fields),
        format!("{:?}", advised.fields)
    );
    assert_eq!(
        later.advised.scans[0]
            .to_owned()
            .finding
            .unwrap()
            .to_string(),
        advised.scans[0].to_owned().finding.unwrap().to_string()
    );
    let held = later.storing.held[0].as_ref().unwrap();
    assert_eq!(held, &(HoldReason::Operator, "it sends too much".into()));
}

#[test]
fn what_is_refused_later_bounces_only_to_who_has_sent_it() {
    let rules = "[[screen]]\nname = \"no\"\nthen = \"refuse\"\nmessage = \"No fruit\"\n";
    let ours = |storing: &mut Storing| storing.accepted.from_stranger = false;
    let nobody = |storing: &mut Storing| {
        storing.accepted.from_stranger = false;
        storing.accepted.envelope.reverse_path = mail::ReversePath::Null;
    };
    let spf = Answer::Texts(["v=spf1 ip4:203.0.113.9 -all".into()].into());
    let none = &Answer::NoSuchName;
    let cases: [(Altered, &Answer, Option<&str>, bool); 6] = [
        (|_| {}, none, None, false),
        (|_| {}, &spf, None, true),
        (|_| {}, none, Some("out.test"), true),
        // Whoever signs as an author of its own may name any sender.
        (|_| {}, none, Some("evil.test"), false),
        (ours, none, None, true),
        (nobody, none, None, false),
    ];
    for (change, answer, author, bounces) in cases {
        let (setup, spool) = (setup(rules), Model::new());
        let screening = arriving(
            &setup,
            CONTENT,
            &["a@ours.test", "b@ours.test"],
            None,
            change,
        );
        let stored = put_off(screening, &setup, &spool);
        let screening = resumed(&stored, &setup, &spool);
        let late = screening.late().unwrap().clone();
        let judgement = judged(screening, &spool, answer, author);
        let outcome = late.concluded(judgement, &setup, moment(2_000));
        let [one, other] = &outcome.kept.as_ref().unwrap().recipients[..] else {
            panic!("there are two");
        };
        assert_eq!((one.state, &one.last), (other.state, &other.last));
        let last = one.last.as_deref().unwrap();
        if bounces {
            assert_eq!(one.state, RecipientState::Held(HoldReason::Bouncing));
            assert_eq!(last, "550 5.7.1 No fruit");
            assert!(matches!(outcome.end, LateEnd::Refused(_)));
        } else {
            assert_eq!(one.state, RecipientState::Held(HoldReason::Screening));
            assert!(
                last.contains("may be forged") && last.contains("\"no\""),
                "{last}"
            );
        }
    }
}

#[test]
fn a_look_is_tried_again_for_a_while_and_one_that_never_ends_a_few_times() {
    let rules = "[screening]\ngive_up = \"1h\"\n[[screen]]\nthen = \"hold\"\n";
    let (setup, spool) = (setup(rules), Model::new());
    let screening = arriving(&setup, CONTENT, &["a@ours.test"], None, |_| {});
    let stored = put_off(screening, &setup, &spool);
    let late = Late::of(&stored);
    for (waited, expected) in [(1_000, 10), (600_000, 300), (3_599_000, 900)] {
        let now = moment(1_000 + waited);
        let LateEnd::Postponed(why, at) = late.clone().postponed("busy\r\n", &setup, now).end
        else {
            panic!("after {waited} ms");
        };
        assert_eq!(
            (&*why, at),
            ("busy\\x0d\\x0a", now.line + Duration::from_secs(expected))
        );
    }
    let outcome = late.clone().postponed("busy", &setup, moment(3_601_000));
    assert_eq!(
        outcome.end,
        LateEnd::Held("it could not be screened: busy".into())
    );

    let mut begins = 0;
    loop {
        let mut page = spool.unscreened(Timestamp::from_millis(2_000), 9).unwrap();
        let stored = page.messages.remove(0);
        let Some(change) = begun(&stored, Timestamp::from_millis(2_000)) else {
            break;
        };
        spool.commit(vec![change]);
        begins += 1;
    }
    assert_eq!(begins, UNENDED_MAX);
    // One that ends is as if it had not begun.
    spool.commit(vec![late.given_back(Timestamp::from_millis(2_000))]);
    let page = spool.unscreened(Timestamp::from_millis(2_000), 9).unwrap();
    assert!(begun(&page.messages[0], Timestamp::from_millis(2_000)).is_some());
    let committed = spool.commit(vec![late.never_ended().change]).remove(0);
    assert_eq!(committed, Commit::Applied { recipients: 1 });
    let [(_, held)] = &everything(&spool)[..] else {
        panic!("it is there");
    };
    assert!(
        held[0].contains("Screening") && held[0].contains("5 times"),
        "{held:?}"
    );
}

#[test]
fn what_cannot_be_read_is_held_and_what_an_operator_did_stays() {
    let (setup, spool) = (setup("[[screen]]\nthen = \"hold\"\n"), Model::new());
    let screening = arriving(
        &setup,
        CONTENT,
        &["a@ours.test", "b@ours.test"],
        None,
        |_| {},
    );
    let mut stored = put_off(screening, &setup, &spool);
    let screening = resumed(&stored, &setup, &spool);
    stored.facts = Bytes::from_static(b"{");
    let rules = |listener: &str| setup.rules_of(listener);
    let again = Screening::resumed(&stored, &setup.config.screening, rules, &spool);
    assert_eq!(again.err(), Some(NotResumed::Unknown));
    // Somebody gives up one of them meanwhile.
    let given_up = Settled::Held {
        reason: HoldReason::Bouncing,
        last: "enough".into(),
    };
    spool.commit(vec![Change::Settle(Settlement {
        id: id(),
        recipients: vec![(1, given_up)],
        notices: Vec::new(),
    })]);
    let late = screening.late().unwrap().clone();
    let judgement = looked_at(screening, &spool, &Answer::NoSuchName);
    let outcome = late.concluded(judgement, &setup, moment(2_000));
    let committed = spool.commit(vec![outcome.change]).remove(0);
    assert!(
        matches!(committed, Commit::Rejected(SpoolError::Invalid(_))),
        "{committed:?}"
    );
    let mut page = spool.unscreened(Timestamp::from_millis(2_000), 9).unwrap();
    let stored = page.messages.remove(0);
    let outcome = Late::of(&stored).unknown();
    let committed = spool.commit(vec![outcome.change]).remove(0);
    assert_eq!(committed, Commit::Applied { recipients: 1 });
    let [(_, recipients)] = &everything(&spool)[..] else {
        panic!("it is there");
    };
    assert!(recipients[0].contains("cannot be read") && recipients[1].contains("enough"));
}

#[test]
fn a_size_or_the_routes_of_all_say_what_is_looked_at_later() {
    let rule = "[[screen]]\nwhen.words = \"nothing\"\nthen = \"hold\"\n";
    let by_size = format!("[screening]\nafter_above = \"{{}}B\"\n{rule}");
    let size = HEAD.len() + CONTENT.len();
    let is_late = |rules: &str| {
        let setup = setup(rules);
        let screening = arriving(&setup, CONTENT, &["a@ours.test"], None, |_| {});
        screening.is_late(setup.routes()).map(ToString::to_string)
    };
    assert_eq!(is_late(rule), None);
    let place = is_late(&by_size.replace("{}", &(size - 1).to_string()));
    assert_eq!(place.as_deref(), Some("gatepost.toml:11"));
    assert_eq!(is_late(&by_size.replace("{}", &size.to_string())), None);
    // Where nobody looks at it, there is nothing to be put off.
    assert_eq!(is_late("[screening]\nafter_above = \"1B\"\n"), None);

    let route = "[domain.\"other.test\"]\nroute = \"after\"\n\
                 [route.after]\nhosts = \"[192.0.2.8]\"\nscreen = \"after\"\n";
    let setup = setup(&format!("{route}{rule}"));
    for (to, expected) in [
        (&["a@other.test"][..], true),
        (&["a@ours.test"], false),
        (&["a@other.test", "a@ours.test"], false),
    ] {
        let screening = arriving(&setup, CONTENT, to, None, |_| {});
        assert_eq!(
            screening.is_late(setup.routes()).is_some(),
            expected,
            "{to:?}"
        );
    }
}
