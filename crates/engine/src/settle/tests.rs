use std::io;

use filter::Filter;
use mail::{Delivery, Place, Scope, Timestamp};
use queue::GivenUp;
use relay_policy::{Forward, Party};
use spool::{
    BodyWriter, Change, Commit, Counts, DuePage, Found, Model, Page, Pause, SharedBody,
    UnscreenedPage, Waiting, Wanted,
};

use super::*;
use crate::sample::{id, message};

/// What the odd spool answers when a body is asked for.
type ReadBody = fn() -> Result<Option<Body>, SpoolError>;

/// A spool that holds one message, and has its own way of giving its content.
struct Odd {
    model: Model,
    body: ReadBody,
    health: Health,
}

impl Spool for Odd {
    fn shared_body(&self, id: QueueId) -> Result<Option<Arc<dyn SharedBody>>, SpoolError> {
        self.model.shared_body(id)
    }
    fn unscreened(&self, before: Timestamp, limit: usize) -> Result<UnscreenedPage, SpoolError> {
        self.model.unscreened(before, limit)
    }
    fn open_body(&self, id: QueueId) -> Result<Box<dyn BodyWriter>, SpoolError> {
        self.model.open_body(id)
    }
    fn abandon(&self, id: QueueId) {
        self.model.abandon(id);
    }
    fn commit(&self, changes: Vec<Change>) -> Vec<Commit> {
        self.model.commit(changes)
    }
    fn due(&self, host: &str, wanted: &Wanted) -> Result<DuePage, SpoolError> {
        self.model.due(host, wanted)
    }
    fn domains(&self) -> Result<Vec<(String, Timestamp)>, SpoolError> {
        self.model.domains()
    }
    fn body(&self, _: QueueId) -> Result<Option<Body>, SpoolError> {
        (self.body)()
    }
    fn find_within(&self, filter: &Filter, page: Page, looks: usize) -> Result<Found, SpoolError> {
        self.model.find_within(filter, page, looks)
    }
    fn bouncing(&self, page: Page) -> Result<Vec<Waiting>, SpoolError> {
        self.model.bouncing(page)
    }
    fn count_within(&self, filter: &Filter, looks: usize) -> Result<Counts, SpoolError> {
        self.model.count_within(filter, looks)
    }
    fn pauses(&self) -> Result<Vec<Pause>, SpoolError> {
        self.model.pauses()
    }
    fn operations(&self) -> Result<Vec<spool::Operation>, SpoolError> {
        self.model.operations()
    }
    fn health(&self) -> Health {
        self.health.clone()
    }
    fn heal(&self) -> Health {
        self.health.clone()
    }
}

/// Some content, and then this error.
struct Breaks(io::ErrorKind);

impl io::Read for Breaks {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
}

fn odd(body: ReadBody, health: Health) -> Odd {
    let model = Model::new();
    model.commit(vec![Change::Store(message(1, &["bob@a.example"]))]);
    Odd {
        model,
        body,
        health,
    }
}

/// Every recipient with the same disposition, nothing in memory.
fn decided(addresses: &[&str], disposition: &Disposition, dsn_passed: &[u32]) -> Decided {
    let new = message(1, addresses);
    let recipients = new.recipients.into_iter();
    Decided {
        message: new.message,
        content: None,
        dsn_passed: dsn_passed.to_vec(),
        untold: Vec::new(),
        recipients: recipients.map(|r| judged(r, disposition)).collect(),
    }
}

fn judged(recipient: Recipient, disposition: &Disposition) -> Judged {
    Judged {
        recipient,
        disposition: disposition.clone(),
        site: "mx:a.example".into(),
        tried: true,
    }
}

fn no_such_user() -> GivenUp {
    GivenUp {
        failure: Failure {
            scope: Scope::Recipient,
            reply: Reply::new(550, 1, 1, "no such user"),
            host: None,
        },
        expired: false,
    }
}

fn refused() -> Disposition {
    Disposition::GiveUp(no_such_user())
}

fn settings() -> NoticeSettings {
    NoticeSettings {
        hostname: Domain::parse("relay.example").unwrap(),
        sender_domain: Domain::parse("relay.example").unwrap(),
        send_as: Arc::default(),
        signers: Arc::default(),
        reply_to: None,
        postmaster: None,
        return_size_max: 1000,
        expire: Duration::from_secs(3600),
        copies: Copies::default(),
        forwards: Arc::default(),
    }
}

fn compose(decided: &Decided, spool: &dyn Spool) -> Result<Settlement, SpoolError> {
    compose_with(decided, &settings(), spool)
}

fn compose_with(
    decided: &Decided,
    settings: &NoticeSettings,
    spool: &dyn Spool,
) -> Result<Settlement, SpoolError> {
    let now = Moment::of(Timestamp::from_millis(1_800_000_060_000));
    settlement(decided, settings, now, &mut || id(9), spool)
}

/// The same, by a sender who wants to hear of everything.
fn with_all_notices(mut decided: Decided) -> Decided {
    for judged in &mut decided.recipients {
        judged.recipient.parameters.notify = Some(Notify {
            success: true,
            failure: true,
            delay: true,
        });
    }
    decided
}

/// To whom each notice goes, with its subject.
fn readers(decided: &Decided, settings: &NoticeSettings) -> Vec<String> {
    let settled = compose_with(decided, settings, &Model::new()).unwrap();
    let line = |new: &NewMessage| {
        let Content::Inline(content) = &new.content else {
            panic!("a large notice")
        };
        let text = String::from_utf8_lossy(content).into_owned();
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
        let [to] = &new.recipients[..] else {
            panic!("one reader")
        };
        let to = to.admitted.recipient().as_str();
        assert!(text.contains(&format!("\r\nTo: <{to}>\r\n")), "{text}");
        format!("{to}: {}", subject.unwrap())
    };
    settled.notices.iter().map(line).collect()
}

fn taken() -> Disposition {
    Disposition::Delivered(Delivery {
        reply: Reply::new(250, 0, 0, "taken"),
        host: Some("mx.a.example [192.0.2.1]:25".into()),
    })
}

fn late() -> Disposition {
    Disposition::TryAgain {
        due: Timestamp::from_millis(1_800_000_090_000),
        tries: 1,
        last: "no answer".into(),
        failure: None,
        delay_notice: true,
    }
}

/// A notice to ann that nobody takes.
fn lost_notice() -> Decided {
    let mut notice = decided(
        &["ann@client.example"],
        &Disposition::Badmail(no_such_user()),
        &[],
    );
    Arc::make_mut(&mut notice.message).reverse_path = ReversePath::Null;
    let recipient = &mut notice.recipients[0].recipient;
    recipient.admitted = Admitted::own_notice(recipient.admitted.recipient().clone());
    notice
}

#[test]
fn copies_go_to_the_postmaster_of_the_classes_that_he_wants() {
    use NoticeClass::{Badmail, Delayed, Delivered, Failed};
    let all = [Failed, Delayed, Delivered, Badmail];
    let cases = [
        (
            decided(&["bob@a.example"], &refused(), &[]),
            Failed,
            "Your message could not be delivered",
        ),
        (
            with_all_notices(decided(&["bob@a.example"], &late(), &[])),
            Delayed,
            "Your message is delayed",
        ),
        (
            decided(&["bob@a.example"], &taken(), &[]),
            Delivered,
            "Your message was passed on",
        ),
        (
            lost_notice(),
            Badmail,
            "Your message could not be delivered",
        ),
    ];
    for (decided, class, subject) in cases {
        let own = match class {
            Badmail => vec![],
            Failed | Delayed | Delivered => vec![format!("ann@client.example: {subject}")],
        };
        let of = |copies: &[NoticeClass], to: &str| NoticeSettings {
            copies: Copies {
                to: Mailbox::parse(to).ok(),
                classes: copies.to_vec(),
            },
            ..settings()
        };
        let others: Vec<_> = all.into_iter().filter(|other| *other != class).collect();
        assert_eq!(
            readers(&decided, &of(&others, "pm@us.example")),
            own,
            "{class:?}"
        );
        let copied = [own.clone(), vec![format!("pm@us.example: Copy: {subject}")]].concat();
        assert_eq!(
            readers(&decided, &of(&all, "pm@us.example")),
            copied,
            "{class:?}"
        );
        // Nobody gets two, or one about what did not reach him either.
        for reader in ["ann@client.example", "bob@a.example"] {
            let expected = match (class, reader) {
                (Badmail, "bob@a.example") => vec![format!("{reader}: Copy: {subject}")],
                _ => own.clone(),
            };
            assert_eq!(
                readers(&decided, &of(&all, reader)),
                expected,
                "{class:?} {reader}"
            );
        }
    }
}

#[test]
fn notices_and_copies_go_where_the_mail_of_their_reader_goes() {
    let party = |text| Party::parse(text).unwrap();
    let mut forwards = Forwards::default();
    for (from, to) in [
        (
            "ann@client.example",
            ["ann@home.example", "bob@home.example"],
        ),
        ("@us.example", ["@a.example", "@b.example"]),
    ] {
        let replaced = forwards.insert(Forward {
            from: party(from),
            to: to.into_iter().map(party).collect(),
            place: Place::Default,
        });
        assert_eq!(replaced, None);
    }
    let settings = NoticeSettings {
        copies: Copies {
            to: Mailbox::parse("pm@us.example").ok(),
            classes: vec![NoticeClass::Failed, NoticeClass::Badmail],
        },
        forwards: Arc::new(forwards),
        ..settings()
    };
    let places = |decided: &Decided| -> Vec<String> {
        let settled = compose_with(decided, &settings, &Model::new()).unwrap();
        let places = settled.notices.iter().map(|new| {
            let admitted = &new.recipients[0].admitted;
            assert_eq!(admitted.grounds(), Grounds::OwnNotice);
            admitted.recipient().to_string()
        });
        places.collect()
    };
    assert_eq!(
        places(&decided(&["eve@c.example"], &refused(), &[])),
        [
            "ann@home.example",
            "bob@home.example",
            "pm@a.example",
            "pm@b.example"
        ]
    );
    // Copies about each other's loss would never end.
    let mut lost = lost_notice();
    assert_eq!(places(&lost), ["pm@a.example", "pm@b.example"]);
    let place = Mailbox::parse("pm@a.example").unwrap();
    lost.recipients[0].recipient.admitted = Admitted::own_notice(place);
    assert_eq!(places(&lost), [""; 0]);
}

/// RFC 3464 section 4.2.
#[test]
fn nobody_reads_in_a_notice_to_whom_an_address_is_forwarded() {
    let mut decided = decided(&["ann@home.example"], &refused(), &[]);
    let place = decided.recipients[0].recipient.admitted.recipient().clone();
    let admitted = Admitted::from_stored_text(place, "forwarded info@us.example");
    decided.recipients[0].recipient.admitted = admitted.unwrap();
    for (from_stranger, hears_the_server) in [(true, false), (false, true)] {
        Arc::make_mut(&mut decided.message).from_stranger = from_stranger;
        let settled = compose(&decided, &Model::new()).unwrap();
        let Content::Inline(content) = &settled.notices[0].content else {
            panic!("a large notice")
        };
        let text = String::from_utf8_lossy(content);
        assert!(text.contains("\r\n<info@us.example>\r\n"), "{text}");
        let fields =
            "Final-Recipient: rfc822; info@us.example\r\nAction: failed\r\nStatus: 5.1.1\r\n";
        assert!(text.contains(fields), "{text}");
        assert!(!text.contains("home.example"), "{text}");
        assert_eq!(text.contains("no such user"), hears_the_server, "{text}");
    }
}

/// RFC 3834 section 2; the members of a list are told apart from dead addresses by failures.
#[test]
fn senders_that_are_programs_hear_of_failures_alone() {
    for (header, told) in [
        ("Precedence: bulk", [true, false, false]),
        ("X: y", [true; 3]),
    ] {
        for (disposition, told) in [refused(), late(), taken()].iter().zip(told) {
            let mut decided = with_all_notices(decided(&["bob@a.example"], disposition, &[]));
            decided.content = Some(format!("{header}\r\n\r\nHello\r\n").into());
            let notices = compose(&decided, &Model::new()).unwrap().notices;
            assert_eq!(notices.len(), usize::from(told), "{header} {disposition:?}");
            // Who reads copies is no program.
            let copies = Copies {
                to: Mailbox::parse("pm@us.example").ok(),
                classes: vec![NoticeClass::Delayed, NoticeClass::Delivered],
            };
            let settings = NoticeSettings {
                copies,
                ..settings()
            };
            let copied = readers(&decided, &settings)
                .iter()
                .any(|to| to.starts_with("pm@"));
            assert_eq!(copied, !matches!(disposition, Disposition::GiveUp(_)));
        }
    }
}

#[test]
fn a_message_that_alone_cannot_be_read_is_settled_with_a_notice_all_the_same() {
    let bodies: [ReadBody; 4] = [
        || Err(SpoolError::Corrupt("the body file is missing".into())),
        || {
            let stream = Breaks(io::ErrorKind::InvalidData);
            Ok(Some(Body::Stream(Box::new(stream))))
        },
        || Err(SpoolError::Io("bad sector".into())),
        || {
            let stream = Breaks(io::ErrorKind::Other);
            Ok(Some(Body::Stream(Box::new(stream))))
        },
    ];
    for body in bodies {
        let spool = odd(body, Health::Accepting);
        let settled = compose(&decided(&["bob@a.example"], &refused(), &[]), &spool).unwrap();
        assert_eq!(settled.recipients, [(0, Settled::Done)]);
        assert_eq!(settled.notices.len(), 1);
        // It can be stored, and says who was refused.
        let Content::Inline(content) = settled.notices[0].content.clone() else {
            panic!("a large notice")
        };
        assert!(String::from_utf8_lossy(&content).contains("bob@a.example"));
        let answer = spool.commit(vec![Change::Settle(settled)]);
        assert!(matches!(answer[0], Commit::Applied { recipients: 1, .. }));
    }
}

#[test]
fn a_spool_that_has_failed_is_waited_for() {
    let why = SpoolError::Io("the disk is gone".into());
    let spool = odd(
        || Err(SpoolError::Io("the disk is gone".into())),
        Health::Failed(why.clone()),
    );
    let composed = compose(&decided(&["bob@a.example"], &refused(), &[]), &spool);
    assert_eq!(composed.map(|_| ()), Err(why));
}

#[test]
fn a_message_deleted_while_it_was_tried_causes_nothing_more() {
    let spool = Model::new();
    let settlement = compose(&decided(&["bob@a.example"], &refused(), &[]), &spool).unwrap();
    let answer = spool.commit(vec![Change::Settle(settlement.clone())]);
    assert_eq!(crate::announced(&settlement, &answer[0]).len(), 1);
    assert!(spool.everything().is_empty());
}

#[test]
fn success_is_told_for_those_alone_whose_server_does_not_tell_it() {
    let addresses = ["bob@a.example", "cat@a.example", "dan@a.example"];
    let spool = Model::new();
    let notices = |dsn_passed: &[u32]| {
        let settlement = compose(&decided(&addresses, &taken(), dsn_passed), &spool).unwrap();
        let contents = settlement.notices.iter().map(|new| match &new.content {
            Content::Inline(content) => String::from_utf8_lossy(content).into_owned(),
            Content::Large(_) => panic!("a large notice"),
        });
        contents.collect::<String>()
    };
    let some = notices(&[0, 2]);
    let told = addresses.map(|address| some.contains(address));
    assert_eq!(told, [false, true, false], "{some}");
    assert_eq!(notices(&[0, 1, 2]), "");
}

#[test]
fn success_beyond_what_strangers_may_ask_for_is_not_told() {
    let limited = Decided {
        untold: vec![0],
        ..decided(&["bob@a.example"], &taken(), &[])
    };
    let settlement = compose(&limited, &Model::new()).unwrap();
    assert_eq!(
        (settlement.recipients, settlement.notices.len()),
        (vec![(0, Settled::Done)], 0)
    );
}

/// The system's clock was set forward by a day since the message came: what others read follows it,
/// what the queue reckons with does not.
#[test]
fn a_notice_is_dated_by_the_clock_and_kept_by_the_queues_own_time() {
    let line = Timestamp::from_millis(1_800_000_060_000);
    let day = Duration::from_secs(86_400);
    let now = Moment {
        line,
        wall: line + day,
    };
    let spool = odd(|| Ok(None), Health::Accepting);
    let told = decided(&["bob@a.example"], &refused(), &[]);
    let arrived = told.message.arrived;
    let settled = settlement(&told, &settings(), now, &mut || id(9), &spool).unwrap();
    let notice = &settled.notices[0];
    assert_eq!(
        (notice.message.arrived, notice.recipients[0].due),
        (line, line)
    );
    let Content::Inline(content) = &notice.content else {
        panic!("a short notice")
    };
    let text = String::from_utf8_lossy(content);
    for field in [
        format!("\r\nDate: {}\r\n", now.wall.rfc5322()),
        format!("\r\nArrival-Date: {}\r\n", (arrived + day).rfc5322()),
    ] {
        assert!(text.contains(&field), "{field} in {text}");
    }
}

#[test]
fn whom_no_notice_reaches_is_told_where_the_message_was_sent_from() {
    let mut settings = settings();
    settings.sender_domain = Domain::parse("contoso.example").unwrap();
    settings.send_as = Arc::new(SendAs {
        masquerade: Some((settings.sender_domain.clone(), Place::Default)),
        ..SendAs::default()
    });
    settings.copies = Copies {
        to: Some(Mailbox::parse("root@contoso.example").unwrap()),
        classes: vec![NoticeClass::Failed],
    };
    let mut decided = decided(&["bob@a.example"], &refused(), &[]);
    for (sender, told) in [
        (
            "root@localhost",
            vec!["root@contoso.example: Your message could not be delivered"],
        ),
        (
            "ann@client.example",
            vec![
                "ann@client.example: Your message could not be delivered",
                "root@contoso.example: Copy: Your message could not be delivered",
            ],
        ),
    ] {
        Arc::make_mut(&mut decided.message).reverse_path = ReversePath::parse(sender).unwrap();
        assert_eq!(readers(&decided, &settings), told);
        let settled = compose_with(&decided, &settings, &Model::new()).unwrap();
        let Content::Inline(content) = &settled.notices[0].content else {
            panic!("a large notice")
        };
        let from = b"From: Mail Delivery System <postmaster@contoso.example>\r\n";
        assert!(content.starts_with(from));
    }
}
