//! Servers: what the relay connects to. In bad weather each does everything that servers do:
//! refuse, defer, hang, hang up, die after the final dot.

use std::collections::BTreeMap;
use std::net::IpAddr;

use mail::Timestamp;

use crate::geography;
use crate::ledger::Taken;
use crate::letter;
use crate::manner::{Manner, Place, Trouble};
use crate::network::{End, LinkId};
use crate::stage::Stage;

/// All servers, by connection.
#[derive(Default)]
pub(crate) struct Servers {
    calls: BTreeMap<LinkId, Call>,
    /// Those that do not answer before the weather is fine.
    down: Vec<IpAddr>,
    /// When each address was first heard of, for greylisting.
    seen: BTreeMap<String, Timestamp>,
}

/// One connection.
struct Call {
    manner: Manner,
    input: Vec<u8>,
    reading: Reading,
    sender: Option<String>,
    recipients: Vec<String>,
    /// The recipient named last.
    asked: String,
    content: Vec<u8>,
    taken: u32,
    /// How often each place was passed, to meet the trouble at the right time.
    passed: BTreeMap<Place, u32>,
}

/// What the next octets are.
enum Reading {
    Commands,
    Data,
    Chunk {
        left: usize,
        last: bool,
    },
    /// It hangs: nothing is read or answered any more.
    Nothing,
}

/// How long a greylisting server wants to be asked again.
const GREY: std::time::Duration = std::time::Duration::from_secs(300);

impl Servers {
    /// Whether a server answers there at all just now.
    pub(crate) fn answers(&self, address: IpAddr, stage: &mut Stage) -> bool {
        let down = stage.storm && self.down.contains(&address);
        geography::is_server(address) && !down && !stage.mishap(12)
    }

    /// These do not answer before the weather is fine.
    pub(crate) fn take_down(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.down.extend(addresses);
    }

    pub(crate) fn on_connected(&mut self, link: LinkId, stage: &mut Stage) {
        let call = Call {
            manner: Manner::new(stage),
            input: Vec::new(),
            reading: Reading::Commands,
            sender: None,
            recipients: Vec::new(),
            asked: String::new(),
            content: Vec::new(),
            taken: 0,
            passed: BTreeMap::new(),
        };
        self.calls.insert(link, call);
        self.answer_at(link, Place::Greeting, "220 server.example ESMTP", stage);
    }

    pub(crate) fn on_octets(&mut self, link: LinkId, octets: &[u8], stage: &mut Stage) {
        if let Some(call) = self.calls.get_mut(&link) {
            call.input.extend_from_slice(octets);
        }
        while let Some(call) = self.calls.get_mut(&link) {
            let went_on = match call.reading {
                Reading::Commands => self.read_command(link, stage),
                Reading::Data => self.read_data(link, stage),
                Reading::Chunk { left, last } => self.read_chunk(link, left, last, stage),
                Reading::Nothing => false,
            };
            if !went_on {
                return;
            }
        }
    }

    pub(crate) fn on_end(&mut self, link: LinkId, stage: &mut Stage) {
        if self.calls.remove(&link).is_some() {
            stage.close(link, End::Theirs);
        }
    }

    fn hang_up(&mut self, link: LinkId, stage: &mut Stage) {
        self.on_end(link, stage);
    }

    fn say(&self, link: LinkId, line: &str, stage: &mut Stage) {
        stage.write(link, End::Theirs, format!("{line}\r\n").as_bytes());
    }

    /// Trouble at this place, if it is its time.
    fn trouble(&mut self, link: LinkId, place: Place) -> Option<Trouble> {
        let call = self.calls.get_mut(&link)?;
        let passed = call.passed.entry(place).or_default();
        *passed += 1;
        let (at, times, trouble) = call.manner.trouble?;
        (at == place && *passed == times).then_some(trouble)
    }

    /// Answers as a good server would, or meets the trouble. Tells whether the good answer was
    /// given.
    fn answer_at(&mut self, link: LinkId, place: Place, good: &str, stage: &mut Stage) -> bool {
        let Some(trouble) = self.trouble(link, place) else {
            self.say(link, good, stage);
            return true;
        };
        self.meet(link, place, trouble, stage);
        false
    }

    fn meet(&mut self, link: LinkId, place: Place, trouble: Trouble, stage: &mut Stage) {
        stage.note(format_args!(
            "link {link}: trouble at {place:?}: {trouble:?}"
        ));
        match trouble {
            Trouble::Hang | Trouble::TakeAndHang => {
                stage.totals.count("servers hung");
                self.hang(link);
            }
            Trouble::Close | Trouble::TakeAndClose => {
                stage.totals.count("servers hung up");
                self.hang_up(link, stage);
            }
            Trouble::Goodbye => {
                stage.totals.count("servers said 421");
                self.say(link, "421 4.3.2 Closing", stage);
                self.hang_up(link, stage);
            }
            Trouble::Defer => {
                stage.totals.count("servers deferred");
                self.say(link, "451 4.3.0 Not now", stage);
            }
            Trouble::Refuse => {
                stage.totals.count("servers refused");
                self.note_refusal(link, place, stage);
                self.say(link, "550 5.3.0 Never", stage);
            }
        }
    }

    fn note_refusal(&self, link: LinkId, place: Place, stage: &mut Stage) {
        let Some(call) = self.calls.get(&link) else {
            return;
        };
        match place {
            Place::Greeting | Place::Hello => {}
            Place::Rcpt => stage.ledger.on_refused(&call.asked),
            Place::Mail => {
                stage
                    .ledger
                    .on_refused_sender(call.sender.as_deref().unwrap_or_default());
            }
            Place::Data | Place::Content | Place::End => {
                for recipient in &call.recipients {
                    stage.ledger.on_refused(recipient);
                }
            }
        }
    }

    fn hang(&mut self, link: LinkId) {
        if let Some(call) = self.calls.get_mut(&link) {
            call.reading = Reading::Nothing;
        }
    }

    fn read_command(&mut self, link: LinkId, stage: &mut Stage) -> bool {
        let Some(call) = self.calls.get_mut(&link) else {
            return false;
        };
        let Some(length) = call.input.windows(2).position(|two| two == b"\r\n") else {
            return false;
        };
        let line: Vec<u8> = call.input.drain(..length + 2).collect();
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let verb = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => self.on_ehlo(link, stage),
            "HELO" => {
                self.answer_at(link, Place::Hello, "250 server.example", stage);
            }
            // What follows stands for itself encrypted: this world has no wire to read along.
            "STAR" => {
                self.answer_at(link, Place::Hello, "220 2.0.0 Go ahead", stage);
            }
            "MAIL" => self.on_mail(link, &line, stage),
            "RCPT" => self.on_rcpt(link, &line, stage),
            "DATA" => self.on_data(link, stage),
            "BDAT" => self.on_bdat(link, &line, stage),
            "RSET" => {
                call.reset();
                self.say(link, "250 2.0.0 Ok", stage);
            }
            "QUIT" => {
                self.say(link, "221 2.0.0 Bye", stage);
                self.hang_up(link, stage);
            }
            _ => stage.ledger.violate(format!("a server hears {line:?}")),
        }
        true
    }

    fn on_ehlo(&mut self, link: LinkId, stage: &mut Stage) {
        let Some(call) = self.calls.get(&link) else {
            return;
        };
        if call.manner.knows_ehlo {
            let offers = format!("250-server.example\r\n{}250 HELP", call.manner.offers);
            self.answer_at(link, Place::Hello, &offers, stage);
        } else {
            self.say(link, "502 5.5.1 What?", stage);
        }
    }

    fn on_mail(&mut self, link: LinkId, line: &str, stage: &mut Stage) {
        let Some(call) = self.calls.get_mut(&link) else {
            return;
        };
        if call.sender.is_some() {
            return stage.ledger.violate("MAIL within a transaction".into());
        }
        call.reset();
        call.sender = Some(path(line));
        if call.taken >= call.manner.messages_max {
            self.say(link, "421 4.7.0 Enough", stage);
            return self.hang_up(link, stage);
        }
        if !self.answer_at(link, Place::Mail, "250 2.1.0 Ok", stage)
            && let Some(call) = self.calls.get_mut(&link)
        {
            call.reset();
        }
    }

    fn on_rcpt(&mut self, link: LinkId, line: &str, stage: &mut Stage) {
        let address = path(line);
        stage.ledger.on_rcpt(&address);
        let now = stage.now();
        let first = *self.seen.entry(address.clone()).or_insert(now);
        let Some(call) = self.calls.get(&link) else {
            return;
        };
        let grey = call.manner.greylists && now.since(first) < GREY;
        if call.sender.is_none() {
            self.say(link, "503 5.5.1 MAIL first", stage);
        } else if call.recipients.len() >= call.manner.recipients_max {
            stage.totals.count("servers took some recipients at a time");
            self.say(link, "452 4.5.3 Too many recipients", stage);
        } else if letter::is_unknown(&address) {
            stage.ledger.on_refused(&address);
            self.say(link, "550 5.1.1 Nobody of this name", stage);
        } else if grey {
            stage.totals.count("servers greylisted");
            self.say(link, "450 4.7.1 Greylisted", stage);
        } else {
            self.accept_recipient(link, address, stage);
        }
    }

    fn accept_recipient(&mut self, link: LinkId, address: String, stage: &mut Stage) {
        if let Some(call) = self.calls.get_mut(&link) {
            call.asked.clone_from(&address);
        }
        if self.answer_at(link, Place::Rcpt, "250 2.1.5 Ok", stage)
            && let Some(call) = self.calls.get_mut(&link)
        {
            call.recipients.push(address);
        }
    }

    fn on_data(&mut self, link: LinkId, stage: &mut Stage) {
        let Some(call) = self.calls.get(&link) else {
            return;
        };
        // RFC 2920 section 3.1: some servers go on although there is nobody to go on for.
        if call.recipients.is_empty() && !call.manner.takes_empty {
            return self.say(link, "554 5.5.1 No valid recipients", stage);
        }
        if self.answer_at(link, Place::Data, "354 Go on", stage)
            && let Some(call) = self.calls.get_mut(&link)
        {
            call.reading = Reading::Data;
        }
    }

    fn on_bdat(&mut self, link: LinkId, line: &str, stage: &mut Stage) {
        let mut words = line.split(' ').skip(1);
        let left = words.next().and_then(|digits| digits.parse().ok());
        let last = words.next() == Some("LAST");
        match (left, self.calls.get_mut(&link)) {
            (Some(left), Some(call)) => call.reading = Reading::Chunk { left, last },
            _ => stage.ledger.violate(format!("a server hears {line:?}")),
        }
    }

    fn read_data(&mut self, link: LinkId, stage: &mut Stage) -> bool {
        let Some(call) = self.calls.get_mut(&link) else {
            return false;
        };
        // The dot may stand on the very first line.
        let mut text = b"\r\n".to_vec();
        text.extend_from_slice(&call.input);
        let Some(length) = text.windows(5).position(|five| five == b"\r\n.\r\n") else {
            return self.content_comes(link, stage);
        };
        call.input.drain(..length + 3);
        call.content = unstuffed(&text[2..(length + 2).max(2)]);
        call.reading = Reading::Commands;
        self.on_message(link, stage);
        true
    }

    fn read_chunk(&mut self, link: LinkId, left: usize, last: bool, stage: &mut Stage) -> bool {
        let Some(call) = self.calls.get_mut(&link) else {
            return false;
        };
        if call.input.len() < left {
            return self.content_comes(link, stage);
        }
        let chunk: Vec<u8> = call.input.drain(..left).collect();
        call.content.extend_from_slice(&chunk);
        call.reading = Reading::Commands;
        if last {
            self.on_message(link, stage);
        } else {
            self.say(link, "250 2.0.0 Ok", stage);
        }
        true
    }

    /// Trouble in the middle of content: before it has come to its end, the server hangs, hangs up
    /// or says no.
    fn content_comes(&mut self, link: LinkId, stage: &mut Stage) -> bool {
        let Some(call) = self.calls.get(&link) else {
            return false;
        };
        let trouble = call.manner.trouble;
        if call.input.is_empty() || !matches!(trouble, Some((Place::Content, ..))) {
            return false;
        }
        if let Some(trouble) = self.trouble(link, Place::Content) {
            stage.totals.count("servers had trouble within the content");
            self.meet(link, Place::Content, trouble, stage);
            self.hang(link);
        }
        false
    }

    /// The message is complete.
    fn on_message(&mut self, link: LinkId, stage: &mut Stage) {
        let Some(call) = self.calls.get_mut(&link) else {
            return;
        };
        let recipients = call.recipients.clone();
        let content = std::mem::take(&mut call.content);
        if recipients.is_empty() {
            call.reset();
            return self.say(link, "554 5.5.1 No valid recipients", stage);
        }
        call.taken += 1;
        let silent = match call.manner.trouble {
            Some((Place::End, times, trouble)) => {
                let now = call.passed.get(&Place::End).copied().unwrap_or(0) + 1 == times;
                now && matches!(trouble, Trouble::TakeAndClose | Trouble::TakeAndHang)
            }
            Some(_) | None => false,
        };
        let good = self.answer_at(link, Place::End, "250 2.0.0 Taken", stage);
        if silent {
            stage.totals.count("servers died after the final dot");
        }
        if good || silent {
            let taken = Taken {
                recipients: &recipients,
                content: &content,
                awaited: stage.network.listens(link, End::Ours),
            };
            let take = stage.ledger.on_taken(&taken, &mut stage.totals);
            if good && stage.network.is_open(link, End::Theirs) {
                stage.network.mark(link, End::Theirs, take);
            }
        }
        let Some(call) = self.calls.get_mut(&link) else {
            return;
        };
        call.reset();
        if call.manner.curt {
            stage.totals.count("servers closed between two messages");
            self.hang_up(link, stage);
        }
    }
}

impl Call {
    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
        self.content.clear();
    }
}

/// What stands between the angle brackets.
fn path(line: &str) -> String {
    let inner = line
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or_else(String::new, |(path, _)| path.to_owned())
}

fn unstuffed(content: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        plain.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    plain
}
