//! Replays every dialogue of `tests/dialogues/reception`: whole, and cut into pieces of 1, 2 and 7
//! octets.
//!
//! A dialogue is a text file. `#` starts a comment; the first one says what the dialogue proves.
//! Then, line by line:
//!
//! | line | meaning |
//! |---|---|
//! | `config: key=value ...` | before all else: a limit, `client=ADDRESS`, `names=yes`, `postmaster=none`, `turned_away=yes`, `busy=yes`, |
//! | | `early_talker=yes`; `bare_lf=mend`; `tls=offered`, `required`, `from-the-start`; `sign_in=offered`, `required`; `mechanisms=A,B`; `strict=yes`; |
//! | | `success=untold`: strangers are told of no success; |
//! | | `tarpit=SECONDS`; `recipients_for_now=N`; `bounces_for_now=N`; `too_fast=yes`; `way_back=yes`: from a filter; `misfit=yes`: the world answers other questions than were asked |
//! | | `prdr=yes`: a rule refuses messages for those whose address begins with `no` or is ann's (550), or `later` (451) |
//! | `C: text` | the client sends the text and CRLF |
//! | `raw: text` | the client sends just that; `\r \n \0 \t \\ \xHH` are octets, `*N` at the end repeats it |
//! | `S: text` | the next reply starts with this; the greeting need not be named |
//! | `has: text`, `lacks: text` | a line of that reply holds it; no line does |
//! | `fact: yes NAME`, `no`, `cannot-tell` | what is answered when the session asks for the client's name from here on |
//! | `store: works`, `low-space`, `full`, `rejects`, `unknown` | how the spool behaves from here on |
//! | `tls` | the handshake that was asked for succeeds; what was sent so far came before it |
//! | `together: text` | as `raw`, but never cut, whatever was sent before has been read |
//! | `sign-in: challenge TEXT`, `yes USER`, `no REPLY` | the answer to the next step of a sign-in, in order; `challenge` alone is empty |
//! | `step: Start MECHANISM`, `Start MECHANISM 'RESPONSE'`, `Response 'TEXT'`, `Cancelled` | what the session wanted of a sign-in next |
//! | `log: text` | some fact logged holds it; `log lacks: text`: none does |
//! | `paused: SECONDS ...` | the pauses so far; `paused: never` |
//! | `user: NAME` | the client is this user; `user: nobody` |
//! | `stop`, `timeout`, `disconnect` | the process stops, the time limit runs out, the client goes away |
//! | `closed`, `open` | the connection is to be closed by now; it still stands |
//! | `end: Quit` | how the session's summary says that it ended |
//! | `why: text` | the reason of the next refused recipient holds it |
//! | `asked: N`, `spilled`, `abandoned` | questions so far; content went to disk; what went there is given up |
//! | `stored: N` | the next stored message has N recipients; `stored: nothing` |
//! | `from:`, `to:`, `content:`, `size:` | ... its sender, a recipient, its content (as in `raw`), its octets of content |
//! | `head: text`, `head lacks: text` | ... what we put before it, as it is or escaped in quotes |
//! | `origin: text` | ... the client from whom it came at first, `stranger` or `ours`, the grounds of its first recipient |
//! | `dsn: text`, `facts: text` | ... `notify=... orcpt=...` of its first recipient; `ret=... envid=... body=... utf8=...` |

mod driver;
mod script;

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use driver::{Driver, Stored};
use mail::BodyKind;
use reception::SignIn;
use script::{fact, make_driver, octets, sign_in, store};

#[test]
fn every_dialogue_goes_as_written_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues/reception");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 110, "only {} dialogues", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        assert!(text.starts_with("# "), "{name} does not say what it proves");
        for cut in [usize::MAX, 1, 2, 7] {
            Replay::new(&name, &text, cut).run(&text);
        }
    }
}

struct Replay<'a> {
    name: &'a str,
    cut: usize,
    line: usize,
    driver: Driver,
    /// Sent when the next line wants to see what comes of it.
    pending: Vec<u8>,
    /// Replies checked so far.
    seen: usize,
    reasons: usize,
    steps: usize,
    stored: VecDeque<Stored>,
    stored_before: usize,
    current: Option<Stored>,
}

impl<'a> Replay<'a> {
    fn new(name: &'a str, text: &str, cut: usize) -> Self {
        let config = text
            .lines()
            .filter_map(|line| line.strip_prefix("config: "));
        let driver = make_driver(config.flat_map(str::split_whitespace));
        let mut replay = Self {
            name,
            cut,
            line: 0,
            driver,
            pending: Vec::new(),
            seen: 0,
            reasons: 0,
            steps: 0,
            stored: VecDeque::new(),
            stored_before: 0,
            current: None,
        };
        if !replay.driver.session.is_closed() {
            replay.reply("220 relay.example ESMTP");
        }
        replay
    }

    fn run(mut self, text: &str) {
        // Whole means whole: all that is sent up to a change in the world goes out at once, and the
        // replies are looked at later.
        let mut checks = Vec::new();
        for (i, line) in text.lines().enumerate() {
            self.line = i + 1;
            if line.is_empty() || line.starts_with('#') || line.starts_with("config: ") {
                continue;
            }
            if let Some(text) = line.strip_prefix("C: ") {
                self.pending.extend_from_slice(text.as_bytes());
                self.pending.extend_from_slice(b"\r\n");
            } else if line == "C:" {
                self.pending.extend_from_slice(b"\r\n");
            } else if let Some(text) = line.strip_prefix("raw: ") {
                self.pending.extend_from_slice(&octets(text));
            } else if !self.act(line, &mut checks) {
                checks.push((i + 1, line));
            }
        }
        self.check_all(&mut checks);
        assert_eq!(
            self.seen,
            self.driver.replies().len(),
            "{}: unexpected {:?}",
            self.place(),
            self.driver.replies().get(self.seen)
        );
        self.driver.check_said();
    }

    fn check_all(&mut self, checks: &mut Vec<(usize, &str)>) {
        let input = std::mem::take(&mut self.pending);
        let cut = self.cut.min(input.len().max(1));
        self.driver.send(&input, cut);
        for (number, line) in checks.drain(..) {
            self.line = number;
            self.check(line);
        }
    }

    /// Lines that change the world: what was sent before them is sent out first.
    fn act<'t>(&mut self, line: &'t str, checks: &mut Vec<(usize, &'t str)>) -> bool {
        let number = self.line;
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        const CHANGES: [&str; 8] = [
            "fact",
            "store",
            "sign-in",
            "tls",
            "together",
            "stop",
            "timeout",
            "disconnect",
        ];
        if !CHANGES.contains(&key) {
            return false;
        }
        self.check_all(checks);
        self.line = number;
        match key {
            "fact" => self.driver.fact = fact(value),
            "store" => self.driver.store = store(value),
            "sign-in" => self.driver.answers.push_back(sign_in(value)),
            "tls" => self.driver.shake_hands(),
            "together" => self.driver.send(&octets(value), usize::MAX),
            "stop" => self.driver.session.on_shutdown(),
            "timeout" => self.driver.session.on_timeout(),
            _ => self.driver.session.on_disconnected(),
        }
        self.driver.settle();
        true
    }

    fn check(&mut self, line: &str) {
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        match key {
            "S" => self.reply(value),
            "has" => assert!(
                self.last_reply().iter().any(|l| l.contains(value)),
                "{}: {:?}",
                self.place(),
                self.last_reply()
            ),
            "lacks" => assert!(
                !self.last_reply().iter().any(|l| l.contains(value)),
                "{}: {:?}",
                self.place(),
                self.last_reply()
            ),
            "closed" => assert!(
                self.driver.session.is_closed(),
                "{}: still open",
                self.place()
            ),
            "open" => assert!(!self.driver.session.is_closed(), "{}: closed", self.place()),
            "end" => self.check_end(value),
            "why" => self.check_reason(value),
            "started" => self.check_started(value),
            "asked" => assert_eq!(self.driver.asked.to_string(), value, "{}", self.place()),
            "step" => self.check_step(value),
            "user" => assert_eq!(
                self.driver
                    .session
                    .client()
                    .user
                    .as_deref()
                    .unwrap_or("nobody"),
                value,
                "{}",
                self.place()
            ),
            "log" => assert!(
                self.logged().contains(value),
                "{}: {}",
                self.place(),
                self.logged()
            ),
            "log lacks" => assert!(
                !self.logged().contains(value),
                "{}: {}",
                self.place(),
                self.logged()
            ),
            "paused" => {
                let pauses = self.driver.pauses.iter();
                let seconds: Vec<_> = pauses.map(|time| time.as_secs().to_string()).collect();
                let seconds = if seconds.is_empty() {
                    "never".to_owned()
                } else {
                    seconds.join(" ")
                };
                assert_eq!(seconds, value, "{}", self.place());
            }
            "spilled" => assert!(self.driver.spills > 0, "{}", self.place()),
            "abandoned" => assert!(self.driver.abandoned > 0, "{}", self.place()),
            "stored" => self.check_stored(value),
            _ => self.check_message(key, value),
        }
    }

    fn reply(&mut self, expected: &str) {
        let replies = self.driver.replies();
        let Some(reply) = replies.get(self.seen) else {
            panic!("{}: no further reply, expected {expected:?}", self.place());
        };
        self.seen += 1;
        let first = format!("{} {}", &reply[0][..3], &reply[0][4..]);
        assert!(
            first.starts_with(expected),
            "{}: {reply:?}, expected {expected:?}",
            self.place()
        );
    }

    fn last_reply(&self) -> Vec<String> {
        self.driver.replies()[self.seen - 1].clone()
    }

    fn check_end(&self, expected: &str) {
        let end = self
            .driver
            .summary
            .as_ref()
            .map(|summary| format!("{:?}", summary.end));
        assert_eq!(end.as_deref(), Some(expected), "{}", self.place());
    }

    fn check_reason(&mut self, expected: &str) {
        let refused = self.driver.refused.get(self.reasons);
        let reason = refused
            .and_then(|r| r.reason.as_ref())
            .map(ToString::to_string);
        self.reasons += 1;
        assert!(
            reason.as_deref().is_some_and(|r| r.contains(expected)),
            "{}: {reason:?}",
            self.place()
        );
    }

    fn logged(&self) -> String {
        format!("{:?}", self.driver.facts)
    }

    fn check_step(&mut self, expected: &str) {
        let shown = |octets: &[u8]| octets.escape_ascii().to_string();
        let step = match self.driver.steps.get(self.steps) {
            None => "nothing".to_owned(),
            Some(SignIn::Start {
                mechanism,
                initial: None,
            }) => format!("Start {mechanism}"),
            Some(SignIn::Start {
                mechanism,
                initial: Some(initial),
            }) => format!("Start {mechanism} '{}'", shown(initial)),
            Some(SignIn::Response(response)) => format!("Response '{}'", shown(response)),
            Some(SignIn::Cancelled) => "Cancelled".to_owned(),
        };
        self.steps += 1;
        assert_eq!(step, expected, "{}", self.place());
    }

    fn check_started(&self, expected: &str) {
        let started = match &self.driver.started[..] {
            [] => "nothing".to_owned(),
            started => started.join("; "),
        };
        assert_eq!(started, expected, "{}", self.place());
    }

    fn check_stored(&mut self, expected: &str) {
        let all = self.driver.stored();
        let new = all.len();
        self.stored.extend(all.into_iter().skip(self.stored_before));
        self.stored_before = new;
        self.current = self.stored.pop_front();
        let recipients = self
            .current
            .as_ref()
            .map_or("nothing".to_owned(), |m| m.recipients.len().to_string());
        assert_eq!(
            recipients,
            expected,
            "{}: recipients of the next stored message",
            self.place()
        );
    }

    fn check_message(&self, key: &str, value: &str) {
        let Some(stored) = &self.current else {
            panic!("{}: `{key}` without a message", self.place());
        };
        let head = String::from_utf8_lossy(&stored.message.head);
        let head = format!("{head} or \"{}\"", stored.message.head.escape_ascii());
        let place = self.place();
        match key {
            "from" => assert_eq!(stored.message.reverse_path.to_string(), value, "{place}"),
            "to" => {
                let to: Vec<_> = stored
                    .recipients
                    .iter()
                    .map(|r| format!("{} {}", r.admitted.recipient(), r.admitted.grounds()))
                    .collect();
                assert!(to.iter().any(|t| t == value), "{place}: {to:?}");
            }
            "content" => assert_eq!(
                stored.content.escape_ascii().to_string(),
                octets(value).escape_ascii().to_string(),
                "{place}"
            ),
            "size" => {
                assert_eq!(stored.content.len().to_string(), value, "{place}");
                let whole = stored.message.head.len() + stored.content.len();
                assert_eq!(stored.message.size, whole as u64, "{place}");
            }
            "head" => assert!(head.contains(value), "{place}: {head}"),
            "head lacks" => assert!(!head.contains(value), "{place}: {head}"),
            "dsn" => assert_eq!(dsn(stored), value, "{place}"),
            "facts" => assert_eq!(facts(stored), value, "{place}"),
            "origin" => assert_eq!(origin(stored), value, "{place}"),
            _ => panic!("{place}: what is `{key}`?"),
        }
    }

    fn place(&self) -> String {
        format!("{}:{} (cut {})", self.name, self.line, self.cut)
    }
}

fn dsn(stored: &Stored) -> String {
    let first = &stored.recipients[0].parameters;
    let notify = first.notify.map_or("-".to_owned(), |n| n.to_string());
    let original = first.original.as_ref().map_or("-", |o| o.as_str());
    format!("notify={notify} orcpt={original}")
}

fn origin(stored: &Stored) -> String {
    let (message, grounds) = (&stored.message, stored.recipients[0].admitted.grounds());
    let who = if message.from_stranger {
        "stranger"
    } else {
        "ours"
    };
    format!("{} {who} {grounds}", message.client)
}

fn facts(stored: &Stored) -> String {
    let parameters = &stored.message.parameters;
    let ret = parameters
        .ret
        .map_or("-".to_owned(), |ret| format!("{ret:?}"));
    let body = match parameters.body {
        BodyKind::SevenBit => "7",
        BodyKind::EightBit => "8",
    };
    let envid = parameters
        .envid
        .as_ref()
        .map_or("-", |envid| envid.as_str());
    format!(
        "ret={ret} envid={envid} body={body} utf8={}",
        parameters.smtputf8
    )
}
