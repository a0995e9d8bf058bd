//! Traces: what happens to a connection, and what it wants done, line by line.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::sign_in::{Account, Exchange, Person, Source, Sources, Tried, Unavailable, Users};
use admission::{Excess, Measure, Subject};
use config::Environment;
use mail::{Place, Timestamp};
use relay_policy::{Fact, Rights};
use route::Routes;
use spool::{Body, Change, Fault, HoldReason, Model, RecipientState, Spool};

use super::*;
use crate::Setup;
use crate::sample::id;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Mail for ours.test from anybody; friends may relay, by name.
fn settings() -> reception::Settings {
    let text = r#"
hostname = "relay.test"

[listener.internet]
bind = "192.0.2.1:25"

[domain."ours.test"]
route = "[192.0.2.7]"

[relay]
allow = ["*.friends.test"]
"#;
    let loaded = config::parse("gatepost.toml", text, &Environment::default());
    let setup = Setup::new(loaded.unwrap_or_else(|why| panic!("{why}")).config);
    let mut settings = (*setup.sessions["internet"]).clone();
    // So that a line here may be sent with the one before.
    settings.strict_pipelining = false;
    settings
}

/// Somebody signs in there, under TLS.
fn with_users() -> reception::Settings {
    let mut settings = settings();
    let mut rules = (*settings.rules).clone();
    (rules.listener.tls.offered, rules.listener.sign_in.offered) = (true, true);
    settings.rules = Arc::new(rules);
    settings.mechanisms = Arc::new(["PLAIN".into()]);
    settings
}

fn tls() -> TlsFacts {
    TlsFacts {
        version: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        group: "X25519",
        handshake: mail::Handshake::Full,
        certificate: None,
    }
}

/// A connection whose every action is written down. What has an answer waits for the test to give
/// it, but for [`Action::Begin`].
struct Trace {
    incoming: Incoming,
    spool: Model,
    lines: Vec<String>,
    begun: u128,
    /// Messages on their way.
    coming: Arc<AtomicUsize>,
    write: Option<BodyWrite>,
    screening: Option<Box<Screening>>,
    store: Option<(Change, Pending)>,
    /// Why messages are held.
    held: Option<&'static str>,
    /// To how many elsewhere the last one went.
    outward: Option<usize>,
}

impl Trace {
    fn new(settings: reception::Settings) -> Self {
        let client = Client::new(
            "203.0.113.9:40000".parse().unwrap(),
            "192.0.2.1:25".parse().unwrap(),
            "internet".into(),
        );
        let mut trace = Self {
            incoming: Incoming::new(
                Session::new(Arc::new(settings), client, 1),
                Standing::permitted(),
            ),
            spool: Model::new(),
            lines: Vec::new(),
            begun: 0,
            coming: Arc::default(),
            write: None,
            screening: None,
            store: None,
            held: None,
            outward: None,
        };
        trace.go_on();
        trace
    }

    /// The client says this.
    fn say(&mut self, text: &str) {
        self.incoming.receive(text.as_bytes(), NOW);
        self.go_on();
    }

    fn go_on(&mut self) {
        while let Some(action) = self.incoming.next_action() {
            let line = self.act(action);
            self.lines.push(line);
        }
    }

    fn act(&mut self, action: Action) -> String {
        match action {
            Action::Log(fact) => {
                let text = format!("{fact:?}");
                let word = text.split(['(', ' ']).next();
                format!("log {}", word.unwrap_or_default())
            }
            Action::Send(octets) => {
                let text = String::from_utf8(octets).unwrap();
                let text = text.replace(&id(self.begun).to_string(), "ID");
                format!("send {}", text.trim_end().replace("\r\n", " / "))
            }
            Action::Said(said) => format!("said {said:?}"),
            Action::Guessed => "guessed".into(),
            Action::Timer(limit) => format!("timer {}", limit.as_secs()),
            Action::Begin => {
                self.begun += 1;
                let (id, health) = (id(self.begun), self.spool.health());
                let coming = Coming::new(&self.coming);
                self.incoming
                    .begin(id, &health, coming, |_| Ok(Allowance::default()));
                "begin".into()
            }
            Action::Ask(question) => {
                let text = format!("{question:?}");
                format!("ask {}", text.split('(').next().unwrap_or_default())
            }
            Action::Start(requested) => format!("start {requested}"),
            Action::TurnAround(requested) => format!("turn around {requested}"),
            Action::SignIn(step) => format!("sign in {step:?}"),
            Action::StartTls(limit) => format!("handshake {}", limit.as_secs()),
            Action::Write(write) => {
                let end = if write.whole.is_some() {
                    ", the last"
                } else {
                    ""
                };
                let line = format!("write {}{end}", write.piece.len());
                self.write = Some(write);
                line
            }
            Action::Screen(screening) => {
                let line = "screen".to_owned();
                self.screening = Some(screening);
                line
            }
            Action::Store(mut messages) => {
                let storing = &mut messages[0];
                let line = format!("store for {}", storing.recipients());
                self.outward = Some(storing.outward().len());
                if let Some(why) = self.held {
                    storing.hold(why);
                }
                self.store = Some(Pending::new(
                    messages,
                    NOW,
                    &Routes::builder().build().unwrap(),
                ));
                line
            }
            Action::Close { lingers } => format!("close{}", if lingers { " late" } else { "" }),
        }
    }

    /// What was done since this was asked last.
    fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// Does the write, and says how it went.
    fn write(&mut self) {
        let write = self.write.take().unwrap();
        self.incoming.on_written(write.run(&self.spool));
        self.go_on();
    }

    /// Does the commit, and says how it went. Gives what the queue hears.
    fn commit(&mut self) -> Option<queue::Event> {
        let (change, pending) = self.store.take().unwrap();
        let commit = self.spool.commit(vec![change]).remove(0);
        let (stored, acceptances) = pending.on_commit(commit);
        self.incoming.on_stored(stored);
        self.go_on();
        let first = acceptances.into_iter().next();
        first.map(Acceptance::into_event)
    }

    /// From the greeting to RCPT, of which nothing is written down.
    fn address(&mut self) {
        self.say("HELO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@ours.test>\r\n");
        if self.incoming.awaited == Some(Awaited::Answer) {
            self.incoming.on_answer(Answer::ConfirmedName(Fact::No));
            self.go_on();
        }
        self.lines();
    }

    fn content(&self, n: u128) -> Vec<u8> {
        let mut content = Vec::new();
        match self.spool.body(id(n)).unwrap().unwrap() {
            Body::Memory(octets) => content.extend_from_slice(&octets),
            Body::Stream(mut stream) => {
                stream.read_to_end(&mut content).unwrap();
            }
        }
        content
    }
}

#[test]
fn a_client_hears_250_after_its_message_is_stored() {
    let mut trace = Trace::new(settings());
    assert_eq!(
        trace.lines(),
        ["timer 300", "send 220 relay.test ESMTP Gatepost"]
    );
    trace.say("HELO c.test\r\n");
    assert_eq!(trace.lines(), ["send 250 relay.test", "timer 300"]);
    trace.say("MAIL FROM:<a@c.test>\r\nRCPT TO:<b@ours.test>\r\nDATA\r\n");
    assert_eq!(
        trace.lines(),
        [
            "begin",
            "send 250 2.1.0 Ok",
            "send 250 2.1.5 Ok / 354 End data with <CR><LF>.<CR><LF>",
            "timer 120"
        ]
    );
    assert_eq!(trace.coming.load(Ordering::Relaxed), 1);
    trace.say("Subject: x\r\n\r\ntext\r\n.\r\n");
    assert_eq!(trace.lines(), ["store for 1"]);
    assert_eq!(trace.coming.load(Ordering::Relaxed), 0);
    let event = trace.commit();
    assert!(matches!(event, Some(queue::Event::Stored { message, .. }) if message.id == id(1)));
    assert_eq!(
        trace.lines(),
        [
            "log Accepted",
            "send 250 2.0.0 Ok: queued as ID",
            "timer 300"
        ]
    );
    assert_eq!(trace.content(1), b"Subject: x\r\n\r\ntext\r\n");
    trace.say("QUIT\r\n");
    assert_eq!(trace.lines(), ["log Ended", "send 221 2.0.0 Bye", "close"]);
    trace.say("NOOP\r\n");
    assert_eq!(trace.lines(), [""; 0]);
}

#[test]
fn what_arrives_while_an_answer_is_awaited_waits_for_it() {
    let mut trace = Trace::new(settings());
    trace.address();
    trace.say("DATA\r\n");
    trace.lines();
    trace.say("x\r\n.\r\nNOOP\r\nMAIL FROM:<a@c.test>\r\n");
    trace.say("RSET\r\nQUIT\r\n");
    // Nor does the client's time run out meanwhile.
    trace.incoming.on_timer();
    trace.incoming.on_end();
    trace.go_on();
    assert_eq!(trace.lines(), ["store for 1"]);
    trace.commit();
    assert_eq!(
        trace.lines(),
        [
            "log Accepted",
            "send 250 2.0.0 Ok: queued as ID",
            "begin",
            "send 250 2.0.0 Ok / 250 2.1.0 Ok",
            "log Ended",
            "send 250 2.0.0 Ok / 221 2.0.0 Bye",
            "close"
        ]
    );
}

#[test]
fn what_is_ready_is_said_before_what_takes_long() {
    let mut trace = Trace::new(settings());
    trace.lines();
    trace.say("HELO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@elsewhere.test>\r\n");
    assert_eq!(
        trace.lines(),
        [
            "begin",
            "send 250 relay.test / 250 2.1.0 Ok",
            "ask ConfirmedName"
        ]
    );
    trace.incoming.on_answer(Answer::ConfirmedName(Fact::No));
    trace.go_on();
    let lines = trace.lines();
    assert_eq!(lines[0], "log RefusedRecipient");
    assert!(lines[1].starts_with("send 550 5.7.1"), "{lines:?}");
}

#[test]
fn a_large_body_grows_on_disk_under_the_one_name() {
    let mut settings = settings();
    settings.limits.content_inline = 17;
    let mut trace = Trace::new(settings);
    trace.address();
    trace.say("DATA\r\n");
    trace.lines();
    let content = "Subject: large\r\n\r\nfirst\r\nsecond\r\nthird\r\n";
    trace.say(&format!("{content}.\r\n"));
    assert_eq!(trace.lines(), ["write 18"]);
    trace.write();
    assert_eq!(trace.lines(), ["write 18"]);
    trace.write();
    assert_eq!(trace.lines(), ["write 4, the last"]);
    trace.write();
    assert_eq!(trace.lines(), ["store for 1"]);
    // What was spilled is not given to the queue: it is read back.
    assert!(matches!(
        trace.commit(),
        Some(queue::Event::Stored { content: None, .. })
    ));
    assert_eq!(trace.content(1), content.as_bytes());
}

#[test]
fn a_larger_body_stays_in_memory_as_long_as_there_is_some() {
    let memory = ContentMemory::new(INLINE_OCTETS_MAX);
    let large = |octets: usize| {
        let lines = "x".repeat(98) + "\r\n";
        "Subject: large\r\n\r\n".to_owned() + &lines.repeat(octets / lines.len())
    };
    let begun = |with: &str| {
        let mut trace = Trace::new(settings());
        trace.incoming = trace.incoming.with_memory(memory.clone());
        trace.say(&format!("EHLO c.test\r\nMAIL FROM:<a@c.test>{with}\r\n"));
        trace.say("RCPT TO:<b@ours.test>\r\n");
        if trace.incoming.awaited == Some(Awaited::Answer) {
            trace.incoming.on_answer(Answer::ConfirmedName(Fact::No));
            trace.go_on();
        }
        trace.say("DATA\r\n");
        assert!(
            trace
                .lines()
                .iter()
                .any(|line| line.starts_with("send 354"))
        );
        trace
    };
    // What it does when so much of a message comes.
    let on_more = |trace: &mut Trace, content: &str| {
        trace.say(content);
        let lines = trace.lines().into_iter();
        lines
            .filter(|line| !line.starts_with("timer"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let content = large(200_000);
    let mut first = begun("");
    assert_eq!(on_more(&mut first, &content), "");
    // It has all there is.
    let mut second = begun("");
    assert_eq!(on_more(&mut second, &content), "write 65537");
    drop(second);
    assert_eq!(on_more(&mut first, ".\r\n"), "store for 1");
    let Some(queue::Event::Stored { content: kept, .. }) = first.commit() else {
        panic!("it is not stored");
    };
    assert_eq!(kept.as_deref(), Some(content.as_bytes()));
    // With its receipt it has given it back.
    let mut third = begun("");
    assert_eq!(on_more(&mut third, &content), "");
    // More than that goes to the disk, and lets the next one have it.
    assert_eq!(on_more(&mut third, &content), "write 262145");
    let mut fourth = begun("");
    assert_eq!(on_more(&mut fourth, &content), "");
    drop(fourth);
    // What follows of it has no more than each has anyway, though there is some again.
    third.write();
    assert_eq!(on_more(&mut third, ""), "write 65537");
    // A message that does not come after all gives it back: between two chunks it may.
    let mut chunks = begun("");
    on_more(&mut chunks, ".\r\n");
    chunks.commit();
    chunks.say("MAIL FROM:<a@c.test>\r\nRCPT TO:<b@ours.test>\r\n");
    if chunks.incoming.awaited == Some(Awaited::Answer) {
        chunks.incoming.on_answer(Answer::ConfirmedName(Fact::No));
        chunks.go_on();
    }
    on_more(&mut chunks, &format!("BDAT {}\r\n{content}", content.len()));
    assert!(memory.share().is_none());
    on_more(&mut chunks, "RSET\r\n");
    assert!(memory.share().is_some());
    // One that is announced to be too large never has any.
    let mut announced = begun(" SIZE=300000");
    assert_eq!(on_more(&mut announced, &content), "write 65537");
    assert!(memory.share().is_some());
}

#[test]
fn a_body_that_cannot_be_written_refuses_the_message_at_its_end() {
    let mut settings = settings();
    settings.limits.content_inline = 17;
    for written in [0, 1, 2] {
        let mut trace = Trace::new(settings.clone());
        trace.address();
        trace.say("DATA\r\nSubject: large\r\n\r\nfirst\r\nsecond\r\nthird\r\n.\r\n");
        for _ in 0..written {
            trace.write();
        }
        trace.spool.set_low_space(true);
        trace.write();
        assert!(trace.store.is_none() && trace.write.is_none());
        let lines = trace.lines();
        let refused = |line: &String| line.starts_with("send 452 4.3.1");
        assert!(lines.iter().any(refused), "{written}: {lines:?}");
    }
}

#[test]
fn a_body_of_a_message_that_does_not_come_is_given_up() {
    let mut settings = settings();
    settings.limits.content_inline = 17;
    let mut trace = Trace::new(settings);
    trace.address();
    trace.say("DATA\r\n");
    trace.say("Subject: large\r\n\r\nfirst\r\n");
    trace.write();
    assert!(trace.incoming.body.is_some());
    // Taken: nobody else can write there.
    assert!(trace.spool.open_body(id(1)).is_err());
    trace.incoming.on_end();
    trace.go_on();
    assert!(trace.spool.open_body(id(1)).is_ok());
    assert!(
        trace
            .lines()
            .ends_with(&["log Ended".into(), "close".into()])
    );
}

#[test]
fn an_unknown_outcome_is_no_250_and_nothing_for_the_queue() {
    for fault in [
        Fault::Unknown { applied: true },
        Fault::Unknown { applied: false },
        Fault::Rejected(SpoolError::Io("broken".into())),
    ] {
        let mut trace = Trace::new(settings());
        trace.address();
        trace.say("DATA\r\nx\r\n.\r\n");
        trace.lines();
        trace.spool.fail_next_commit(fault);
        assert!(trace.commit().is_none());
        let lines = trace.lines();
        assert_eq!(lines[0], "log RefusedMessage");
        assert!(lines[1].starts_with("send 451 4.3.0"), "{lines:?}");
    }
}

#[test]
fn a_receipt_for_another_message_is_no_250() {
    let mut trace = Trace::new(settings());
    trace.address();
    trace.say("DATA\r\nx\r\n.\r\n");
    trace.lines();
    let elsewhere = Model::new();
    let other = Change::Store(crate::sample::message(99, &["b@ours.test"]));
    let stored = crate::stored(elsewhere.commit(vec![other]).remove(0));
    trace.incoming.on_stored(stored);
    trace.go_on();
    assert!(trace.lines()[1].starts_with("send 451 4.3.0"));
}

#[test]
fn a_message_that_is_too_much_is_held_or_comes_again() {
    let mut trace = Trace::new(settings());
    trace.held = Some("too much");
    trace.address();
    trace.say("DATA\r\nx\r\n.\r\n");
    trace.lines();
    let Some((Change::Store(message), _)) = &trace.store else {
        panic!("nothing is stored");
    };
    let recipient = &message.recipients[0];
    let held = RecipientState::Held(HoldReason::Operator);
    assert_eq!(
        (recipient.state, recipient.last.as_deref()),
        (held, Some("too much"))
    );
    let why = TurnAway {
        excess: Excess::Outbound(Measure::Failures),
        place: Place::Default,
    };
    trace.incoming.on_postponed(&why);
    trace.go_on();
    let said = "send 451 4.7.1 Too many failures from you, try again later";
    let lines = trace.lines();
    assert_eq!(lines[..2], ["log RefusedMessage", said], "{lines:?}");
    // It may go on.
    trace.say("MAIL FROM:<a@c.test>\r\n");
    assert!(trace.lines().contains(&"send 250 2.1.0 Ok".to_owned()));
}

/// Whoever may send through us is known before RCPT, and only what goes out is looked at.
#[test]
fn what_goes_out_is_what_others_may_not_send() {
    let mut trace = Trace::new(settings());
    trace.address();
    assert!(trace.incoming.sender().is_some());
    trace.say("DATA\r\nx\r\n.\r\n");
    assert_eq!(trace.outward, Some(0));
    let client = Subject::client("203.0.113.9".parse().unwrap());
    let sender = trace.incoming.sender().map(|sender| sender.who);
    assert_eq!(sender, Some(client));
}

#[test]
fn a_client_that_reads_nothing_more_changes_nothing_about_the_storing() {
    let mut trace = Trace::new(settings());
    trace.address();
    trace.say("DATA\r\nx\r\n.\r\n");
    trace.lines();
    trace.incoming.on_send_failed();
    trace.go_on();
    assert!(trace.commit().is_some());
    assert_eq!(trace.lines(), ["log Accepted", "log Ended", "close"]);
}

#[test]
fn nothing_from_before_the_handshake_counts_behind_it() {
    let mut trace = Trace::new(with_users());
    trace.say("EHLO c.test\r\n");
    trace.lines();
    trace.say("STARTTLS\r\n");
    assert_eq!(
        trace.lines(),
        ["send 220 2.0.0 Ready to start TLS", "handshake 30"]
    );
    trace.incoming.on_encrypted(tls());
    trace.go_on();
    assert_eq!(trace.lines(), ["log Encrypted", "timer 300"]);
    trace.say("MAIL FROM:<a@c.test>\r\n");
    assert!(
        trace
            .lines()
            .contains(&"send 503 5.5.1 Send EHLO first".into())
    );
    let mut trace = Trace::new(with_users());
    trace.say("EHLO c.test\r\nSTARTTLS\r\n");
    trace.lines();
    trace.incoming.on_handshake_failed();
    trace.go_on();
    assert_eq!(trace.lines(), ["log Ended", "close"]);
}

/// Signed in, but for the answer to the last step.
fn signing_in() -> Trace {
    let mut trace = Trace::new(with_users());
    trace.say("EHLO c.test\r\nSTARTTLS\r\n");
    trace.incoming.on_encrypted(tls());
    trace.go_on();
    trace.say("EHLO c.test\r\n");
    trace.incoming.on_new_users();
    trace.lines();
    trace.say("AUTH PLAIN\r\n");
    assert_eq!(trace.lines(), ["sign in Begin"]);
    challenge(&mut trace);
    trace.go_on();
    assert_eq!(trace.lines(), ["send 334", "timer 300"]);
    trace
}

/// A source of users that knows nobody.
struct Nobody;

impl Source for Nobody {
    fn find(&self, _: &str) -> Result<Option<Person>, Unavailable> {
        Ok(None)
    }

    fn verify(&self, _: &str, _: &str) -> Result<Tried<Person>, Unavailable> {
        Ok(Tried::Unknown)
    }
}

fn challenge(trace: &mut Trace) {
    let sources = Sources::new(Users::default(), vec![Arc::new(Nobody)]);
    let exchange = Exchange::new(Arc::new(sources), "PLAIN", None, None, NOW);
    let outcome = SignInOutcome::Challenge {
        exchange: Box::new(exchange.unwrap()),
        challenge: Vec::new(),
    };
    let limits = admission::Limits::default();
    trace.incoming.on_sign_in(outcome, &limits);
    trace.go_on();
}

fn ann() -> SignInOutcome {
    let rights = Rights {
        may_relay: true,
        senders: Box::default(),
        only_to: Box::default(),
        place: mail::Place::Default,
    };
    SignInOutcome::Welcome(Account {
        name: "ann".into(),
        rights: Arc::new(rights),
        messages_per_hour: None,
        recipients_per_hour: None,
    })
}

#[test]
fn who_signed_in_by_users_that_changed_must_do_so_again() {
    for (before, after) in [(true, false), (false, true), (false, false)] {
        let mut trace = signing_in();
        if before {
            trace.incoming.on_new_users();
        }
        trace.say("AGFubgBzZWNyZXQ=\r\n");
        assert_eq!(trace.lines(), ["sign in GoOn"]);
        trace
            .incoming
            .on_sign_in(ann(), &admission::Limits::default());
        if after {
            trace.incoming.on_new_users();
        }
        trace.go_on();
        let lines = trace.lines();
        assert_eq!(
            lines.last().unwrap() == "close",
            before || after,
            "{lines:?}"
        );
    }
}

#[test]
fn a_sign_in_that_was_cancelled_is_forgotten() {
    let mut trace = signing_in();
    assert!(trace.incoming.signing_in.exchange.is_some());
    trace.say("*\r\n");
    assert!(trace.incoming.signing_in.exchange.is_none());
    assert!(
        trace
            .lines()
            .contains(&"send 501 5.0.0 Sign-in cancelled".into())
    );
}

#[test]
fn nobody_who_signs_in_is_left_without_an_answer() {
    let mut trace = signing_in();
    trace.incoming.signing_in.exchange = None;
    trace.say("AGFubgBzZWNyZXQ=\r\n");
    let refused = "send 535 5.7.8 Authentication credentials invalid";
    assert!(trace.lines().contains(&refused.into()));
}

#[test]
fn a_pause_is_measured_by_the_timer_and_ended_by_a_stop() {
    let mut settings = settings();
    settings.tarpit = Duration::from_secs(7);
    for stops in [false, true] {
        let mut trace = Trace::new(settings.clone());
        trace.address();
        trace.lines();
        trace.say("X\r\nX\r\nX\r\nNOOP\r\n");
        assert!(!trace.incoming.reads());
        let lines = trace.lines();
        assert_eq!(lines.last().unwrap(), "timer 7", "{lines:?}");
        if stops {
            trace.incoming.on_shutdown();
        } else {
            trace.incoming.on_timer();
        }
        trace.go_on();
        let lines = trace.lines();
        assert_eq!(lines.last().unwrap() == "close", stops, "{lines:?}");
        // The reply that was held back has the client's whole time.
        let reply = lines.iter().find(|line| line.starts_with("send"));
        assert!(lines[0].starts_with("timer "), "{lines:?}");
        assert!(
            reply.is_some_and(|line| line.starts_with("send 500")),
            "{lines:?}"
        );
        if stops {
            let kept = trace.incoming.kept.octets.len();
            trace.say("NOOP\r\n");
            assert_eq!(
                trace.incoming.kept.octets.len(),
                kept,
                "nothing is kept now"
            );
        }
    }
}

#[test]
fn who_is_cut_off_amid_a_message_is_left_late() {
    let mut trace = Trace::new(settings());
    trace.address();
    trace.say("DATA\r\nx\r\n");
    trace.lines();
    trace.incoming.on_shutdown();
    trace.go_on();
    assert_eq!(trace.lines(), [""; 0]);
    trace.incoming.on_cut_off();
    trace.go_on();
    let lines = trace.lines();
    assert!(
        lines.iter().any(|line| line.starts_with("send 421 4.3.2")),
        "{lines:?}"
    );
    assert_eq!(lines.last().unwrap(), "close late");
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "an answer of [Answer]")]
fn an_answer_to_no_question_is_a_fault_of_the_driver() {
    let mut trace = Trace::new(settings());
    trace.incoming.on_answer(Answer::ConfirmedName(Fact::No));
}
