//! Drives a session without sockets: answers its events from a model spool and from what a test
//! prescribes.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::VecDeque;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mail::{Client, Domain, Mailbox, Place, QueueId, Reply, Timestamp, TlsFacts};
use reception::{
    Accepted, Admission, Event, Refusal, RefusedBy, RefusedRecipient, Session, SessionFact,
    Settings, SignIn, SignedIn, StoreTrouble, Summary,
};
use relay_policy::{
    Access, Answer, Approach, Consultation, Consulted, DomainKind, DomainRule, DomainTable, Fact,
    Familiar, Forward, Forwards, Greylisted, List, NamePattern, OnDemand, Party, Question,
    Rewriting, Rules, SenderRules, WayBack,
};
use smtp::{MARK, Said, to_base64};
use spool::{
    Body, BodyWriter, Change, Commit, Content, Fault, Health, Message, Model, NewMessage, Receipt,
    Recipient, Spool, SpoolError,
};

pub const NOW: Timestamp = Timestamp::from_millis(1_775_001_599_123);

/// A relay for `example.com`, `*.below.example` and `bücher.example`; `blocked.example` is blocked,
/// `inner.example` takes mail only from those who may relay. 192.0.2.10 and 10.0.0.0/8 may relay,
/// 10.6.6.6 never; with `names` also everybody below `friend.example`.
pub fn settings(names: bool) -> Settings {
    let mut rules = Rules::closed("internet");
    let allow: &[&str] = if names {
        &["192.0.2.10", "10.0.0.0/8", "*.friend.example"]
    } else {
        &["192.0.2.10", "10.0.0.0/8"]
    };
    rules.relay.access = Access::only_list(
        List::from_texts(allow).unwrap(),
        "relay.allow",
        Place::Default,
    );
    rules.relay.deny = List::from_texts(&["10.6.6.6"]).unwrap();
    rules.domains = Arc::new(domains());
    rules.forwards = Arc::new(forwards());
    rules.rewriting = Some(Arc::new(Rewriting {
        domain: Domain::parse("srs.example").unwrap(),
        scheme: srs::Scheme::new(["tops3cret"], 21),
        place: Place::Default,
    }));
    rules.senders = Arc::new(SenderRules::default());
    let mut settings = Settings::new(Domain::parse("relay.example").unwrap(), Arc::new(rules));
    settings.postmaster = Some(Mailbox::parse("admin@example.com").unwrap());
    settings
}

/// Two addresses of ours go to the same person elsewhere; the second also to one of ours.
fn forwards() -> Forwards {
    let mut table = Forwards::default();
    for (from, to) in [
        ("info@example.com", &["ann@elsewhere.example"][..]),
        (
            "sales@example.com",
            &["ann@elsewhere.example", "bob@example.com"],
        ),
    ] {
        table.insert(Forward {
            from: Party::parse(from).unwrap(),
            to: to.iter().map(|text| Party::parse(text).unwrap()).collect(),
            place: Place::Default,
        });
    }
    table
}

fn domains() -> DomainTable {
    let mut table = DomainTable::default();
    let remote = |name: &str| DomainRule::remote(NamePattern::parse(name).unwrap(), Place::Default);
    for name in ["example.com", "*.below.example", "bücher.example"] {
        table.insert(remote(name));
    }
    table.insert(DomainRule {
        kind: DomainKind::Blocked,
        ..remote("blocked.example")
    });
    let inner = DomainRule {
        accept_from: relay_policy::AcceptFrom::Relay,
        ..remote("inner.example")
    };
    table.insert(inner);
    table
}

/// The encryption of every session that has any.
pub fn tls() -> TlsFacts {
    TlsFacts {
        version: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        group: "X25519",
        handshake: mail::Handshake::Full,
        certificate: None,
    }
}

/// The listener is the way back from a filter: 192.0.2.10 and the others that may relay.
pub fn with_way_back(mut settings: Settings) -> Settings {
    let mut rules = (*settings.rules).clone();
    rules.way_back = Some(Arc::new(WayBack {
        filter: "amavis".into(),
        place: Place::Default,
    }));
    rules.forwards = Arc::default();
    settings.rules = Arc::new(rules);
    settings
}

/// Offers sign-in, as [`settings`] do not: by these mechanisms, under TLS.
pub fn with_sign_in(mut settings: Settings, mechanisms: &[&str]) -> Settings {
    let mut rules = (*settings.rules).clone();
    (rules.listener.tls.offered, rules.listener.sign_in.offered) = (true, true);
    settings.rules = Arc::new(rules);
    settings.mechanisms = mechanisms.iter().map(|&name| name.into()).collect();
    settings
}

/// The mail of these domains waits until ann or such a client asks for it, that of the last until ann
/// fetches it.
pub fn with_mail_on_demand(mut settings: Settings, clients: &str) -> Settings {
    let mut rules = (*settings.rules).clone();
    let mut domains = (*rules.domains).clone();
    for (name, has_route) in [
        ("office.example", true),
        ("*.office.example", true),
        ("fetched.example", false),
    ] {
        let clients: &[&str] = if has_route { &[clients] } else { &[] };
        let mut rule = DomainRule::remote(NamePattern::parse(name).unwrap(), Place::Default);
        rule.on_demand = Some(OnDemand {
            users: Box::new(["Ann".into()]),
            clients: List::from_texts(clients).unwrap(),
            has_route,
            place: Place::Default,
        });
        domains.insert(rule);
    }
    rules.domains = Arc::new(domains);
    settings.rules = Arc::new(rules);
    settings
}

/// All were here before, but for who writes to `new`.
fn greylisted(approach: &Approach) -> Greylisted {
    if approach.recipient.local() == "new" {
        return Greylisted::Waits {
            seconds: 300,
            since: None,
        };
    }
    Greylisted::Passes(Familiar::Triplet)
}

/// A policy service has something against those at `unwanted`, and postpones those at `later`.
fn consulted(asked: &Consultation) -> Consulted {
    let reply = match asked.recipient.local() {
        "unwanted" => Reply::new(554, 7, 1, "Unwanted"),
        "later" => Reply::new(450, 7, 1, "Come again"),
        _ => return Consulted::Passes,
    };
    Consulted::Against {
        service: Arc::clone(&asked.services[0]),
        why: reply.text().into(),
        reply,
    }
}

/// How the store behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Store {
    #[default]
    Works,
    LowSpace,
    Full,
    Rejects,
    Unknown,
}

/// A session with its world.
pub struct Driver {
    pub session: Session,
    /// All that was said, as those hear of it who record it.
    pub said: Vec<Said>,
    pub spool: Model,
    pub store: Store,
    /// The answer to every question.
    pub fact: Fact<Domain>,
    /// All that was written to the client.
    pub output: Vec<u8>,
    /// Answers that do not fit the question, however often it is asked.
    pub misfit: bool,
    /// A rule looks at messages.
    pub screens: bool,
    /// How many recipients a message may have for now.
    pub recipients_for_now: Option<u32>,
    pub bounces_for_now: Option<u32>,
    /// Answered in place of letting a message begin.
    pub too_fast: Option<Reply>,
    /// The answers to the steps of a sign-in to come; when there are none left, nobody can tell.
    pub answers: VecDeque<SignedIn>,
    /// What the client sent to sign in.
    pub steps: Vec<SignIn>,
    /// A handshake is wanted.
    pub handshake: bool,
    /// The pauses so far.
    pub pauses: Vec<Duration>,
    pub asked: u32,
    /// Mail that was asked for and may be had; and whether any waits.
    pub started: Vec<String>,
    pub waits: bool,
    pub spills: u32,
    pub abandoned: u32,
    pub refused: Vec<RefusedRecipient>,
    pub facts: Vec<SessionFact>,
    pub summary: Option<Summary>,
    id: Option<QueueId>,
    begun: u128,
    body: Option<Box<dyn BodyWriter>>,
    heads: Vec<Vec<u8>>,
}

impl Driver {
    pub fn new(settings: Settings, client: SocketAddr) -> Self {
        Self::with(
            |settings, client| Session::new(settings, client, 1),
            settings,
            client,
        )
    }

    pub fn with(
        make: impl FnOnce(Arc<Settings>, Client) -> Session,
        settings: Settings,
        client: SocketAddr,
    ) -> Self {
        let client = Client::new(client, "192.0.2.1:25".parse().unwrap(), "internet".into());
        let session = make(Arc::new(settings), client);
        let mut driver = Self {
            session,
            said: Vec::new(),
            spool: Model::new(),
            store: Store::Works,
            fact: Fact::No,
            output: Vec::new(),
            misfit: false,
            screens: false,
            recipients_for_now: None,
            bounces_for_now: None,
            too_fast: None,
            answers: VecDeque::new(),
            steps: Vec::new(),
            handshake: false,
            pauses: Vec::new(),
            asked: 0,
            started: Vec::new(),
            waits: false,
            spills: 0,
            abandoned: 0,
            refused: Vec::new(),
            facts: Vec::new(),
            summary: None,
            id: None,
            begun: 0,
            body: None,
            heads: Vec::new(),
        };
        driver.settle();
        driver
    }

    /// Gives `input` in pieces of `cut` octets.
    pub fn send(&mut self, input: &[u8], cut: usize) {
        let mut kept = Vec::new();
        for piece in input.chunks(cut) {
            kept.extend_from_slice(piece);
            self.offer(&mut kept);
        }
        assert!(
            kept.is_empty(),
            "the session does not take {}",
            kept.escape_ascii()
        );
    }

    /// What is recorded is what the client saw, and holds nothing by which it signs in.
    pub fn check_said(&self) {
        let mut heard = self.output.as_slice();
        let mut replies = 0;
        for said in &self.said {
            let Said::Reply(reply) = said else { continue };
            replies += 1;
            let (said, rest) = heard.split_at(usize::try_from(reply.octets).unwrap());
            heard = rest;
            let text = format!("{}\r\n", reply.text.replace('\n', "\r\n"));
            if !reply.text.ends_with(MARK) {
                assert_eq!(text.as_bytes(), said, "{}", said.escape_ascii());
            }
        }
        assert_eq!(
            heard.escape_ascii().to_string(),
            "",
            "after {replies} replies"
        );
        let all = format!("{:?}", self.said);
        for step in &self.steps {
            let secret = match step {
                SignIn::Start { initial, .. } => initial.as_deref().unwrap_or_default(),
                SignIn::Response(response) => response,
                SignIn::Cancelled => &[],
            };
            let secret = to_base64(secret);
            assert!(
                secret.len() < 4 || !all.contains(&secret),
                "{secret} in {all}"
            );
        }
    }

    fn offer(&mut self, kept: &mut Vec<u8>) {
        while !kept.is_empty() {
            let used = self.session.receive(kept, NOW);
            kept.drain(..used);
            self.settle();
            if used == 0 {
                return;
            }
        }
    }

    /// Fetches what the session has, and answers what it asks.
    pub fn settle(&mut self) {
        while let Some(event) = self.session.next_event() {
            assert!(self.summary.is_none(), "{event:?} after the summary");
            match event {
                Event::Log(SessionFact::RefusedRecipient(refused)) => self.refused.push(*refused),
                Event::Log(SessionFact::Ended(summary)) => self.summary = Some(*summary),
                Event::Log(fact) => self.facts.push(fact),
                Event::Said(said) => self.said.push(said),
                Event::Abandoned => {
                    self.abandoned += 1;
                    self.body = None;
                }
                Event::StartTls => self.handshake = true,
                Event::SignIn(step) => self.sign_in(step),
                Event::Pause(time) => {
                    self.pauses.push(time);
                    assert!(!self.session.wants_input(), "reads on in a pause");
                    self.session.on_paused();
                }
                Event::Begin => {
                    let admission = self.admission();
                    self.session.begin_message(admission);
                }
                Event::Ask(question) => {
                    self.asked += 1;
                    let answer = match question {
                        _ if self.misfit => Answer::Listings(Arc::default()),
                        Question::ConfirmedName(_) => Answer::ConfirmedName(self.fact.clone()),
                        Question::Listings(_) => Answer::Listings(Arc::default()),
                        Question::Recipient { mailbox, .. } => {
                            Answer::Recipient(mailbox, Fact::CannotTell)
                        }
                        Question::Consult(asked) => Answer::Consulted(consulted(&asked)),
                        Question::Greylist(approach) => Answer::Greylist(greylisted(&approach)),
                    };
                    self.session.on_fact(answer);
                }
                Event::Start(wanted) => {
                    self.started.push(wanted.to_string());
                    self.session.on_started(self.waits);
                }
                Event::TurnAround(requested) => {
                    self.started.push(format!("turned for {requested}"));
                    self.session.on_turned_around(self.waits);
                }
                Event::Spill => self.spill(),
                Event::Message(accepted) if self.screens => self.screen(*accepted),
                Event::Message(accepted) => {
                    let stored = self.commit(*accepted);
                    self.session.on_stored(stored);
                }
            }
        }
        self.output.append(self.session.output());
    }

    fn sign_in(&mut self, step: SignIn) {
        let cancelled = step == SignIn::Cancelled;
        self.steps.push(step);
        if !cancelled {
            let cannot_tell = || SignedIn::No(Reply::new(454, 7, 0, "Nobody can tell now").into());
            let answer = self.answers.pop_front().unwrap_or_else(cannot_tell);
            self.session.on_sign_in(answer);
        }
    }

    /// The handshake succeeds. Everything sent so far came before it.
    pub fn shake_hands(&mut self) {
        assert!(self.handshake, "no handshake was wanted");
        self.handshake = false;
        self.session.on_encrypted(tls());
        self.settle();
    }

    fn admission(&mut self) -> Admission {
        if let Some(reply) = self.too_fast.clone() {
            return Admission::TooFast(reply);
        }
        self.spool.set_low_space(self.store == Store::LowSpace);
        self.begun += 1;
        let id = QueueId::new(NOW, self.begun);
        self.id = Some(id);
        match self.spool.health() {
            Health::Accepting => Admission::Open {
                id,
                recipients: self.recipients_for_now,
                bounces: self.bounces_for_now,
            },
            Health::LowSpace { .. } => Admission::LowSpace,
            Health::Failed(_) => Admission::Failed,
        }
    }

    fn spill(&mut self) {
        self.spills += 1;
        let piece = self.session.take_content();
        if self.store == Store::Full {
            return self.session.content_taken(Err(StoreTrouble::Full));
        }
        let body = self
            .body
            .take()
            .unwrap_or_else(|| self.spool.open_body(self.id.unwrap()).unwrap());
        let body = self.body.insert(body);
        body.write(&piece).unwrap();
        self.session.content_taken(Ok(()));
    }

    /// Refuses for those whom a rule refuses, as far as their client can be told so.
    fn screen(&mut self, mut accepted: Accepted) {
        let recipients = &accepted.envelope.recipients;
        let by_rule = |at: usize| {
            let mailbox = recipients[at].admitted.recipient();
            let code = match mailbox.local() {
                name if name.starts_with("no") => 550,
                name if name.starts_with("later") => 451,
                "ann" => 550,
                _ => return None,
            };
            let by = RefusedBy {
                place: Place::Default,
                why: "the rule".into(),
            };
            let reply = Reply::new(code, 7, 1, format!("Not for {mailbox}"));
            Some(Refusal { reply, by })
        };
        let named = accepted.named.take().unwrap_or_default();
        let refusals = named.refusals(by_rule);
        let refused = named.refused(&refusals);
        let places = 0..recipients.len();
        let all: Option<Vec<Refusal>> = places.map(by_rule).collect();
        if refusals.iter().any(Option::is_some) {
            self.session.refuse_for_some(refusals);
        }
        if let Some(refusal) = all.into_iter().flatten().next() {
            return self.session.on_screened_out(refusal);
        }
        let recipients = (0..).zip(std::mem::take(&mut accepted.envelope.recipients));
        let left = recipients.filter(|(at, _)| !refused.contains(at));
        accepted.envelope.recipients = left.map(|(_, one)| one).collect();
        let stored = self.commit(accepted);
        self.session.on_stored(stored);
    }

    pub fn commit(&mut self, accepted: Accepted) -> Result<Receipt, StoreTrouble> {
        match self.store {
            Store::Works | Store::LowSpace => {}
            Store::Full => return Err(StoreTrouble::Full),
            Store::Rejects => {
                self.spool
                    .fail_next_commit(Fault::Rejected(SpoolError::Io("broken".into())));
            }
            Store::Unknown => self
                .spool
                .fail_next_commit(Fault::Unknown { applied: true }),
        }
        self.heads.push(accepted.head.clone());
        let content = match self.body.take() {
            None => Content::Inline(accepted.content.clone().into()),
            Some(mut body) => {
                body.write(&accepted.content).unwrap();
                body.finish().unwrap()
            }
        };
        match self
            .spool
            .commit(vec![Change::Store(new_message(accepted, content))])
            .remove(0)
        {
            Commit::Stored(receipt) => Ok(receipt),
            Commit::Rejected(_)
            | Commit::Unknown(_)
            | Commit::Applied { .. }
            | Commit::Begun(_)
            | Commit::Advanced(_) => Err(StoreTrouble::Failed),
        }
    }

    /// The whole replies so far, each with its lines.
    pub fn replies(&self) -> Vec<Vec<String>> {
        replies(&self.output)
    }

    /// What was stored: the message, its recipients, its content.
    pub fn stored(&self) -> Vec<Stored> {
        let content = |id| match self.spool.body(id).unwrap() {
            None => Vec::new(),
            Some(Body::Memory(bytes)) => bytes.to_vec(),
            Some(Body::Stream(mut stream)) => {
                let mut content = Vec::new();
                stream.read_to_end(&mut content).unwrap();
                content
            }
        };
        let stored = |waiting: spool::Waiting| Stored {
            content: content(waiting.message.id),
            message: waiting.message,
            recipients: waiting.recipients,
        };
        self.spool.everything().into_iter().map(stored).collect()
    }
}

pub struct Stored {
    pub message: Arc<Message>,
    pub recipients: Vec<Recipient>,
    pub content: Vec<u8>,
}

fn new_message(accepted: Accepted, content: Content) -> NewMessage {
    let Accepted {
        id,
        envelope,
        head,
        size,
        from_stranger,
        origin,
        ..
    } = accepted;
    let came_from = origin.and_then(|origin| origin.address);
    let recipient = |(number, r): (u32, relay_policy::EnvelopeRecipient)| Recipient {
        parameters: r.parameters,
        ..Recipient::waiting(number, r.admitted, NOW)
    };
    let recipients = (0..).zip(envelope.recipients).map(recipient).collect();
    let message = Message {
        id,
        arrived: NOW,
        reverse_path: envelope.reverse_path,
        parameters: envelope.parameters,
        client: came_from.map_or("203.0.113.9".into(), |address| address.to_string().into()),
        user: None,
        from_stranger,
        head: head.into(),
        size,
    };
    NewMessage {
        message: Arc::new(message),
        recipients,
        content,
    }
}

/// Splits what was written into replies. Every line must end in CRLF and hold no other line break;
/// all lines of a reply carry its code.
pub fn replies(output: &[u8]) -> Vec<Vec<String>> {
    let text = std::str::from_utf8(output).unwrap();
    let mut replies = Vec::new();
    let mut reply: Vec<String> = Vec::new();
    for line in text.split_inclusive("\r\n") {
        let line = line
            .strip_suffix("\r\n")
            .unwrap_or_else(|| panic!("no line end: {line:?}"));
        assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
        let (code, rest) = line.split_at(3);
        assert!(code.bytes().all(|b| b.is_ascii_digit()), "{line:?}");
        assert!(
            reply.first().is_none_or(|first| first.starts_with(code)),
            "{line:?}"
        );
        let more = match rest.as_bytes().first() {
            Some(b'-') => true,
            Some(b' ') => false,
            other => panic!("{line:?} has {other:?} behind its code"),
        };
        reply.push(line.to_owned());
        if !more {
            replies.push(std::mem::take(&mut reply));
        }
    }
    assert!(reply.is_empty(), "{reply:?} has no last line");
    replies
}
