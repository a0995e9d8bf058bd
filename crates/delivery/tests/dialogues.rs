//! Replays every dialogue of `tests/dialogues/delivery`, whole and cut at 1, 2 and 7 bytes.
//!
//! ```text
//! # what this dialogue proves
//! settings: lmtp helo_only eight_bit=bounce recipients_max=2 never_as_null is_filter security=none|required|verified implicit sign_in=ann
//! from: ann@client.example            the next message; `<>` for a notice
//! forwarded-from: SRS0=x@srs.example  the sender for those who are forwarded: to: bob@x forwarded
//! client: uid:33                      from whom it came
//! flags: smtputf8 8bitmime ret=full envid=x
//! to: bob@example.com NOTIFY=NEVER ORCPT=rfc822;b@x
//! last: HOST: REPLY                   with what the last attempt for that recipient ended
//! head: Received: x\r\n               with escapes
//! content: Subject: x\r\n\r\nbody\r\n
//! feed: 10                            feed no more than so many octets of content for now (`feed: all`)
//! start                               gives the message to the conversation
//! S: 220 mx.example                   the server sends this line, CRLF added
//! raw: 220 mx\x00\r\n                 the server sends these octets
//! C: EHLO relay.example               Gatepost must send this line, and nothing else before
//! waits: 30s                          how long the server may take for what it owes now
//! drop · timeout · quit · unreadable  what else happens
//! starttls                            the event: Gatepost wants to shake hands
//! encrypted                           the handshake succeeds
//! broken: alert · distrusted: expired the handshake fails, or its certificate does not count
//! outcome: 0 delivered 250 2.0.0      recipient number, what became of it, the scope unless delivered, the start of the reply
//! ended: reusable unknown dsn-passed put-off again=fresh again=helo again=clear
//! verify: bob@example.com             asks whether the server takes the recipient; " from " a sender may follow
//! answered: 250 2.1.5                 the start of what it said of the recipient
//! not asked: 451 4.7.4 again=fresh    why it was not asked, and whether another connection is deserved
//! ready · closed                      the events
//! ```
//! `outcome` lines stand before the `ended` they belong to. At the end nothing may be left unsaid
//! on either side.

mod sign_in;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use delivery::{
    Again, CertificateFlaw, Conversation, EightBit, Ended, Event, HandshakeFault, Identity,
    Protocol, Settings, Transaction, Verified,
};
use mail::{
    Host, MailParameters, Mailbox, Outcome, QueueId, Reply, ReversePath, Timestamp, TlsFacts,
};
use message::EightBitUse;
use relay_policy::{Admitted, Grounds};
use route::{Hop, Security};
use sign_in::Ann;
use smtp::{MARK, Said};
use spool::{Message, Recipient};

#[test]
fn every_dialogue_is_kept_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues/delivery");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of dialogues") {
        let path = entry.expect("a folder entry").path();
        let text = std::fs::read_to_string(&path).expect("a dialogue");
        for cut in [usize::MAX, 1, 2, 7] {
            let name = format!("{} cut at {cut}", path.display());
            Replay::new(name, cut).run(&text);
        }
        count += 1;
    }
    assert!(count >= 25, "only {count} dialogues were found");
}

struct Replay {
    name: String,
    cut: usize,
    settings: Settings,
    eight_bit_policy: EightBit,
    hop: Hop,
    conversation: Option<Conversation>,
    draft: Draft,
    /// The content of the message under way.
    content: Bytes,
    /// Where the feeding stands; none while it was not asked for.
    fed: Option<usize>,
    feed_max: usize,
    /// What the server is about to send.
    incoming: Vec<u8>,
    /// What Gatepost sent, and the dialogue has not yet said.
    sent: Vec<u8>,
    /// All that it ever sent.
    written: Vec<u8>,
    events: Vec<Event>,
    outcomes: BTreeMap<u32, String>,
}

/// The next message.
#[derive(Clone)]
struct Draft {
    from: ReversePath,
    client: Box<str>,
    forwarded_from: Option<ReversePath>,
    recipients: Vec<Recipient>,
    parameters: MailParameters,
    head: Bytes,
    content: Bytes,
}

impl Draft {
    fn new() -> Self {
        Self {
            from: ReversePath::Mailbox(Mailbox::parse("ann@client.example").unwrap()),
            client: "192.0.2.9".into(),
            forwarded_from: None,
            recipients: Vec::new(),
            parameters: MailParameters::default(),
            head: Bytes::from_static(b"Received: here\r\n"),
            content: Bytes::from_static(b"Subject: x\r\n\r\nhello\r\n"),
        }
    }

    fn transaction(mut self) -> Transaction {
        if self.recipients.is_empty() {
            self.add_recipient("bob@example.com");
        }
        let size = (self.head.len() + self.content.len()) as u64;
        let eight_bit = Some(EightBitUse::of(&self.head, &self.content));
        let message_path = self.from.clone();
        let message = Arc::new(Message {
            id: QueueId::new(Timestamp::from_millis(1), 1),
            arrived: Timestamp::from_millis(1),
            reverse_path: self.from,
            parameters: self.parameters,
            client: self.client,
            user: None,
            from_stranger: false,
            head: self.head,
            size,
        });
        Transaction {
            message,
            recipients: self.recipients,
            reverse_path: message_path,
            forwarded_from: self.forwarded_from,
            eight_bit,
            eight_bit_policy: EightBit::Send,
        }
    }

    fn add_recipient(&mut self, line: &str) {
        let mut words = line.split(' ');
        let mailbox = Mailbox::parse(words.next().unwrap()).expect("a recipient");
        let mut recipient = Recipient::waiting(
            u32::try_from(self.recipients.len()).unwrap(),
            Admitted::from_stored(mailbox, Grounds::OurDomain),
            Timestamp::default(),
        );
        for word in words {
            if word == "forwarded" {
                let mailbox = recipient.admitted.recipient().clone();
                recipient.admitted = Admitted::from_stored(mailbox, Grounds::Forwarded);
                continue;
            }
            let (keyword, value) = word.split_once('=').expect("a parameter");
            let set = recipient.parameters.set(keyword, Some(value));
            assert_eq!(set, Ok(()), "{word}");
        }
        self.recipients.push(recipient);
    }
}

impl Replay {
    fn new(name: String, cut: usize) -> Self {
        Self {
            name,
            cut,
            settings: Settings::new(Host::parse("relay.example").unwrap()),
            eight_bit_policy: EightBit::Send,
            hop: Hop::new("mx.example", ([192, 0, 2, 1], 25).into()),
            conversation: None,
            draft: Draft::new(),
            content: Bytes::new(),
            fed: None,
            feed_max: usize::MAX,
            incoming: Vec::new(),
            sent: Vec::new(),
            written: Vec::new(),
            events: Vec::new(),
            outcomes: BTreeMap::new(),
        }
    }

    fn run(mut self, text: &str) {
        assert!(
            text.starts_with("# "),
            "{}: a dialogue begins with what it proves",
            self.name
        );
        for (number, line) in text.lines().enumerate() {
            if !line.is_empty() && !line.starts_with('#') {
                let at = format!("{}:{}: {line}", self.name, number + 1);
                self.line(line, &at);
            }
        }
        self.flush();
        assert_eq!(
            self.sent.escape_ascii().to_string(),
            "",
            "{}: sent in the end",
            self.name
        );
        assert_eq!(self.events, [], "{}: events in the end", self.name);
        let verified = self.conversation().take_verified();
        assert_eq!(verified, None, "{}: known in the end", self.name);
        assert!(
            self.outcomes.is_empty(),
            "{}: outcomes without `ended`",
            self.name
        );
    }

    fn line(&mut self, line: &str, at: &str) {
        let (word, rest) = line
            .split_once(':')
            .map_or((line, ""), |(w, r)| (w, r.trim_start()));
        if word == "S" {
            self.incoming.extend_from_slice(rest.as_bytes());
            self.incoming.extend_from_slice(b"\r\n");
            return;
        }
        if word == "raw" {
            self.incoming.extend(unescaped(rest));
            return;
        }
        self.flush();
        match word {
            "settings" => self.settings(rest),
            "feed" => {
                self.feed_max = if rest == "all" {
                    usize::MAX
                } else {
                    rest.parse().expect(at)
                }
            }
            "start" => self.start(),
            "verify" => {
                let (rest, sender) = rest.split_once(" from ").unwrap_or((rest, ""));
                let recipient = Mailbox::parse(rest).expect(at);
                let sender = ReversePath::parse(sender).expect(at);
                self.conversation().verify(sender, recipient);
            }
            "answered" => self.expect_verified(|verified| verified.reply.ok(), rest, at),
            "not asked" => {
                let why = |verified: Verified| verified.reply.err().map(|failure| failure.reply);
                self.expect_verified(why, rest, at);
            }
            "C" => self.expect_line(rest, at),
            "drop" => self.conversation().on_disconnected(),
            "waits" => {
                let limit = self.conversation().time_limit().limit;
                assert_eq!(format!("{limit:?}"), rest, "{at}");
            }
            "timeout" => self.conversation().on_timeout(),
            "quit" => self.conversation().quit(),
            "unreadable" => self.conversation().content_failed("disk error"),
            "outcome" => {
                let (number, rest) = rest.split_once(' ').expect(at);
                self.outcomes
                    .insert(number.parse().expect(at), rest.to_owned());
            }
            "ended" => self.expect_ended(rest, at),
            "ready" => assert_eq!(self.next_event(), Some(Event::Ready), "{at}"),
            "starttls" => assert_eq!(self.next_event(), Some(Event::StartTls), "{at}"),
            "encrypted" => self.encrypted(at),
            "broken" => self.handshake_failed(&HandshakeFault::Broken(rest.into()), at),
            "distrusted" => {
                let flaw = CertificateFlaw::Untrusted;
                self.handshake_failed(&HandshakeFault::Certificate(flaw, rest.into()), at);
            }
            "closed" => assert_eq!(self.next_event(), Some(Event::Closed), "{at}"),
            _ => self.draft_line(word, rest, at),
        }
        self.pump();
    }

    /// A line of the next message.
    fn draft_line(&mut self, word: &str, rest: &str, at: &str) {
        match word {
            "from" => {
                self.draft.from = ReversePath::parse(rest.trim_matches(['<', '>'])).expect(at)
            }
            "forwarded-from" => {
                let path = ReversePath::parse(rest.trim_matches(['<', '>'])).expect(at);
                self.draft.forwarded_from = Some(path);
            }
            "client" => self.draft.client = rest.into(),
            "flags" => self.flags(rest),
            "to" => self.draft.add_recipient(rest),
            "last" => {
                let recipient = self.draft.recipients.last_mut().expect(at);
                recipient.last = Some(rest.into());
            }
            "head" => self.draft.head = unescaped(rest).into(),
            "content" => self.draft.content = unescaped(rest).into(),
            _ => panic!("{at}: unknown line"),
        }
    }

    fn settings(&mut self, words: &str) {
        for word in words.split(' ') {
            match word.split_once('=').unwrap_or((word, "")) {
                ("lmtp", "") => self.settings.protocol = Protocol::Lmtp,
                ("helo_only", "") => self.settings.helo_only = true,
                ("eight_bit", "bounce") => self.eight_bit_policy = EightBit::Bounce,
                ("security", "none") => self.hop.security = Security::None,
                ("security", "required") => self.hop.security = Security::Required,
                ("security", "verified") => {
                    let names = Arc::from([Box::from("mx.example")]);
                    self.hop.security = Security::Verified { names };
                }
                ("implicit", "") => self.hop.implicit_tls = true,
                ("sign_in", "ann") => {
                    self.settings.credentials = Some(Identity(Arc::new(Ann)));
                }
                ("is_filter", "") => self.settings.is_filter = true,
                ("never_as_null", "") => self.settings.never_as_null = true,
                ("recipients_max", n) => self.settings.recipients_max = n.parse().unwrap(),
                other => panic!("unknown setting {other:?}"),
            }
        }
    }

    fn flags(&mut self, words: &str) {
        for word in words.split(' ') {
            let (keyword, value) = match word.split_once('=') {
                _ if word == "8bitmime" => ("body", Some(word)),
                Some((keyword, value)) => (keyword, Some(value)),
                None => (word, None),
            };
            let keyword = keyword.to_ascii_uppercase();
            let set = self.draft.parameters.set(&keyword, value);
            assert_eq!(set, Ok(()), "{word}");
        }
    }

    fn start(&mut self) {
        let draft = std::mem::replace(&mut self.draft, Draft::new());
        self.content = draft.content.clone();
        let transaction = Transaction {
            eight_bit_policy: self.eight_bit_policy,
            ..draft.transaction()
        };
        self.conversation().start(transaction);
    }

    fn conversation(&mut self) -> &mut Conversation {
        let (settings, hop) = (&self.settings, &self.hop);
        self.conversation.get_or_insert_with(|| {
            let mut conversation = Conversation::new(Arc::new(settings.clone()), hop.clone());
            conversation.record();
            conversation
        })
    }

    fn encrypted(&mut self, at: &str) {
        let facts = TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256".into(),
            group: "X25519",
            handshake: mail::Handshake::Full,
            certificate: None,
        };
        let conversation = self.conversation();
        assert!(
            conversation.wants_handshake() && conversation.tls().is_none(),
            "{at}"
        );
        conversation.on_encrypted(facts, Some([7; 32]));
        assert!(conversation.tls().is_some(), "{at}");
        assert_eq!(*conversation.offers(), Default::default(), "{at}");
    }

    fn handshake_failed(&mut self, fault: &HandshakeFault, at: &str) {
        let conversation = self.conversation();
        assert!(conversation.wants_handshake(), "{at}");
        conversation.on_handshake_failed(fault);
    }

    /// Lets the server's octets arrive, in pieces.
    fn flush(&mut self) {
        let incoming = std::mem::take(&mut self.incoming);
        for piece in incoming.chunks(self.cut) {
            self.conversation().receive(piece);
            self.pump();
        }
    }

    /// What is recorded is what was written, but for what nobody may see.
    fn check_said(&mut self, output: &[u8]) {
        self.written.extend_from_slice(output);
        let conversation = self.conversation.as_mut().expect("a conversation");
        while let Some(said) = conversation.next_said() {
            let Said::Command(command) = said else {
                continue;
            };
            let line = [command.text.as_bytes(), b"\r\n"].concat();
            if command.text.ends_with(MARK) {
                let shown = command.text.trim_end_matches(MARK).as_bytes();
                assert!(
                    shown.is_empty() || shown.starts_with(b"AUTH "),
                    "{command:?}"
                );
            } else {
                let written = self.written.windows(line.len()).any(|w| w == line);
                assert!(written, "{}: {command:?}", self.name);
                assert_eq!(command.octets, line.len() as u64, "{}", self.name);
            }
        }
    }

    /// What a driver does after every call.
    fn pump(&mut self) {
        loop {
            let conversation = self.conversation();
            let output = std::mem::take(conversation.output());
            let event = conversation.next_event();
            let wants_content = conversation.wants_content();
            self.check_said(&output);
            self.sent.extend(output);
            match event {
                Some(Event::Content) => self.fed = Some(0),
                Some(event) => self.events.push(event),
                None if wants_content && self.feed() => {}
                None => return,
            }
        }
    }

    /// Feeds the next piece; false when the dialogue lets it wait.
    fn feed(&mut self) -> bool {
        let fed = self
            .fed
            .expect("content is wanted only after it was asked for");
        let (content, cut) = (self.content.clone(), self.cut);
        let end = content
            .len()
            .min(fed.saturating_add(cut))
            .min(self.feed_max);
        if fed == content.len() {
            self.conversation().content_end();
            return true;
        }
        self.conversation().content(&content[fed..end]);
        self.fed = Some(end);
        end > fed
    }

    fn next_event(&mut self) -> Option<Event> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }

    fn expect_line(&mut self, line: &str, at: &str) {
        let end = self
            .sent
            .windows(2)
            .position(|w| w == b"\r\n")
            .map_or(self.sent.len(), |i| i + 2);
        let sent: Vec<u8> = self.sent.drain(..end).collect();
        let expected = [&unescaped(line)[..], b"\r\n"].concat();
        assert_eq!(
            sent.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{at}; events: {:?}",
            self.events
        );
    }

    /// The reply that `which` takes out of the answer begins with these words, but for the last,
    /// which may say that another connection is deserved, and before it how far the question came.
    fn expect_verified(
        &mut self,
        which: impl FnOnce(Verified) -> Option<Reply>,
        words: &str,
        at: &str,
    ) {
        let (words, again) = words.split_once(" again=").unwrap_or((words, ""));
        let (words, stage) = words.split_once(" at=").unwrap_or((words, ""));
        let verified = self.conversation().take_verified();
        let verified = verified.unwrap_or_else(|| panic!("{at}: nothing is known"));
        let told_stage = format!("{:?}", verified.stage);
        assert!(
            stage.is_empty() || told_stage == stage,
            "{at}: {verified:?}"
        );
        assert_eq!(again_word(verified.again), again, "{at}: {verified:?}");
        let told = format!("{verified:?}");
        let reply = which(verified).unwrap_or_else(|| panic!("{at}: {told}"));
        assert!(reply.to_string().starts_with(words), "{at}: {reply}");
    }

    fn expect_ended(&mut self, words: &str, at: &str) {
        let Some(Event::Ended(ended)) = self.next_event() else {
            panic!("{at}: the message has not ended");
        };
        assert_eq!(flags_of(&ended), words, "{at}: {ended:?}");
        let expected = std::mem::take(&mut self.outcomes);
        let numbers: Vec<u32> = ended.outcomes.iter().map(|(number, _)| *number).collect();
        assert_eq!(
            numbers,
            expected.keys().copied().collect::<Vec<_>>(),
            "{at}"
        );
        for (number, outcome) in &ended.outcomes {
            let (shown, expected) = (shown(outcome), &expected[number]);
            assert!(
                shown.starts_with(expected.as_str()),
                "{at}: {number} is {shown}, not {expected}"
            );
        }
    }
}

fn flags_of(ended: &Ended) -> String {
    let again = match again_word(ended.again) {
        "" => String::new(),
        word => format!("again={word}"),
    };
    let words = [
        if ended.reusable { "reusable" } else { "" },
        if ended.unknown { "unknown" } else { "" },
        if ended.dsn_passed { "dsn-passed" } else { "" },
        if ended.put_off { "put-off" } else { "" },
        &again,
    ];
    words
        .into_iter()
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn again_word(again: Option<Again>) -> &'static str {
    match again {
        Some(Again::Fresh) => "fresh",
        Some(Again::WithHelo) => "helo",
        Some(Again::InClear) => "clear",
        None => "",
    }
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered(delivery) => format!("delivered {}", delivery.reply),
        Outcome::Deferred(failure) => format!("deferred {} {}", failure.scope, failure.reply),
        Outcome::Failed(failure) => format!("failed {} {}", failure.scope, failure.reply),
    }
}

/// `\r`, `\n`, `\\` and `\x00`
fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, following)) = rest.split_first() {
        rest = following;
        if *first != b'\\' {
            octets.push(*first);
            continue;
        }
        let (kind, following) = rest.split_first().expect("an escape");
        rest = following;
        octets.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b'\\' => b'\\',
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).expect("two digits");
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).expect("two hexadecimal digits")
            }
            other => panic!("unknown escape {other}"),
        });
    }
    octets
}
