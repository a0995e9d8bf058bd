//! Servers: what the relay connects to. In bad weather each does everything that servers do:
//! refuse, defer, hang, hang up, die after the final dot.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use mail::Timestamp;

use crate::behaviour::{Behaviour, Place, Trouble};
use crate::geography;
use crate::ledger::Taken;
use crate::letter;
use crate::link::{End, LinkId};
use crate::stage::Stage;

/// All servers, by connection.
#[derive(Default)]
pub(crate) struct Servers {
    connections: BTreeMap<LinkId, Connection>,
    /// Those that do not answer before the weather is fine.
    down: Vec<IpAddr>,
    /// When each address was first heard of, for greylisting.
    seen: BTreeMap<String, Timestamp>,
}

struct Connection {
    link: LinkId,
    behaviour: Behaviour,
    input: Vec<u8>,
    reading: Reading,
    sender: Option<String>,
    recipients: Vec<String>,
    content: Vec<u8>,
    taken: u32,
    /// How often each place was passed, to meet the trouble at the right time.
    passed: BTreeMap<Place, u32>,
}

/// What the next octets are.
#[derive(Clone, Copy)]
enum Reading {
    Commands,
    Data,
    Chunk {
        left: usize,
        last: bool,
    },
    /// It hangs: nothing is read or answered any more.
    Nothing,
    /// It has closed the connection.
    Closed,
}

/// How long a greylisting server wants to be asked again.
const GREY: Duration = Duration::from_secs(300);

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
        let mut connection = Connection {
            link,
            behaviour: Behaviour::new(stage),
            input: Vec::new(),
            reading: Reading::Commands,
            sender: None,
            recipients: Vec::new(),
            content: Vec::new(),
            taken: 0,
            passed: BTreeMap::new(),
        };
        connection.answer_at(Place::Greeting, "220 server.example ESMTP", stage);
        self.connections.insert(link, connection);
        self.tidy(link, stage);
    }

    pub(crate) fn on_octets(&mut self, link: LinkId, octets: &[u8], stage: &mut Stage) {
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.input.extend_from_slice(octets);
            while connection.read(&mut self.seen, stage) {}
            self.tidy(link, stage);
        }
    }

    pub(crate) fn on_end(&mut self, link: LinkId, stage: &mut Stage) {
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.reading = Reading::Closed;
            self.tidy(link, stage);
        }
    }

    /// Forgets a connection that is closed.
    fn tidy(&mut self, link: LinkId, stage: &mut Stage) {
        let connection = self.connections.get(&link);
        if connection.is_some_and(|connection| matches!(connection.reading, Reading::Closed)) {
            self.connections.remove(&link);
            stage.close(link, End::Theirs);
        }
    }
}

impl Connection {
    /// Reads on; false when there is nothing to read now.
    fn read(&mut self, seen: &mut BTreeMap<String, Timestamp>, stage: &mut Stage) -> bool {
        match self.reading {
            Reading::Commands => self.read_command(seen, stage),
            Reading::Data => self.read_data(stage),
            Reading::Chunk { left, last } => self.read_chunk(left, last, stage),
            Reading::Nothing | Reading::Closed => false,
        }
    }

    fn say(&self, line: &str, stage: &mut Stage) {
        stage.write(self.link, End::Theirs, format!("{line}\r\n").as_bytes());
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
        self.content.clear();
    }

    /// Trouble at this place, if it is its time.
    fn trouble(&mut self, place: Place) -> Option<Trouble> {
        let passed = self.passed.entry(place).or_default();
        *passed += 1;
        let (at, times, trouble) = self.behaviour.trouble?;
        (at == place && *passed == times).then_some(trouble)
    }

    /// Answers as a good server would, or meets the trouble, which it gives.
    fn answer_at(&mut self, place: Place, good: &str, stage: &mut Stage) -> Option<Trouble> {
        let trouble = self.trouble(place);
        match trouble {
            None => self.say(good, stage),
            Some(trouble) => self.meet(place, trouble, stage),
        }
        trouble
    }

    fn meet(&mut self, place: Place, trouble: Trouble, stage: &mut Stage) {
        stage.note(format_args!(
            "link {}: trouble at {place:?}: {trouble:?}",
            self.link
        ));
        let (what, line, reading) = match trouble {
            Trouble::Hang | Trouble::TakeAndHang => ("servers hung", None, Reading::Nothing),
            Trouble::Close | Trouble::TakeAndClose => ("servers hung up", None, Reading::Closed),
            Trouble::Goodbye => {
                let line = Some("421 4.3.2 Closing");
                ("servers said 421", line, Reading::Closed)
            }
            Trouble::Defer => {
                let line = Some("451 4.3.0 Not now");
                ("servers deferred", line, self.reading)
            }
            Trouble::Refuse => {
                self.note_refusal(place, stage);
                let line = Some("550 5.3.0 Never");
                ("servers refused", line, self.reading)
            }
        };
        stage.totals.count(what);
        if let Some(line) = line {
            self.say(line, stage);
        }
        self.reading = reading;
    }

    fn note_refusal(&self, place: Place, stage: &mut Stage) {
        match place {
            // The recipient is noted by who refuses it.
            Place::Greeting | Place::Hello | Place::Rcpt => {}
            Place::Mail => {
                let sender = self.sender.as_deref().unwrap_or_default();
                stage.ledger.on_refused_sender(sender);
            }
            Place::Data | Place::Content | Place::End => {
                for recipient in &self.recipients {
                    stage.ledger.on_refused(recipient);
                }
            }
        }
    }

    fn read_command(&mut self, seen: &mut BTreeMap<String, Timestamp>, stage: &mut Stage) -> bool {
        let Some(length) = self.input.windows(2).position(|two| two == b"\r\n") else {
            return false;
        };
        let line: Vec<u8> = self.input.drain(..length + 2).collect();
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        match line.get(..4).unwrap_or(&line) {
            "EHLO" if self.behaviour.knows_ehlo => {
                let offers = format!("250-server.example\r\n{}250 HELP", self.behaviour.offers);
                self.answer_at(Place::Hello, &offers, stage);
            }
            "EHLO" => self.say("502 5.5.1 What?", stage),
            "HELO" => {
                self.answer_at(Place::Hello, "250 server.example", stage);
            }
            // What follows stands for itself encrypted: this world has no wire to read along.
            "STAR" => {
                self.answer_at(Place::Hello, "220 2.0.0 Go ahead", stage);
            }
            "MAIL" => self.on_mail(&line, stage),
            "RCPT" => self.on_rcpt(path(&line), seen, stage),
            "DATA" => self.on_data(stage),
            "BDAT" => self.on_bdat(&line, stage),
            "RSET" => {
                self.reset();
                self.say("250 2.0.0 Ok", stage);
            }
            "QUIT" => {
                self.say("221 2.0.0 Bye", stage);
                self.reading = Reading::Closed;
            }
            _ => stage.ledger.violate(format!("a server hears {line:?}")),
        }
        true
    }

    fn on_mail(&mut self, line: &str, stage: &mut Stage) {
        if self.sender.is_some() {
            return stage.ledger.violate("MAIL within a transaction".into());
        }
        self.reset();
        self.sender = Some(path(line));
        if self.taken >= self.behaviour.messages_max {
            self.say("421 4.7.0 Enough", stage);
            self.reading = Reading::Closed;
        } else if self.answer_at(Place::Mail, "250 2.1.0 Ok", stage).is_some() {
            self.reset();
        }
    }

    fn on_rcpt(
        &mut self,
        address: String,
        seen: &mut BTreeMap<String, Timestamp>,
        stage: &mut Stage,
    ) {
        stage.ledger.on_rcpt(&address);
        let now = stage.now();
        let first = *seen.entry(address.clone()).or_insert(now);
        let grey = self.behaviour.greylists && now.since(first) < GREY;
        if self.sender.is_none() {
            self.say("503 5.5.1 MAIL first", stage);
        } else if self.recipients.len() >= self.behaviour.recipients_max {
            stage.totals.count("servers took some recipients at a time");
            self.say("452 4.5.3 Too many recipients", stage);
        } else if letter::is_unknown(&address) {
            stage.ledger.on_refused(&address);
            self.say("550 5.1.1 Nobody of this name", stage);
        } else if grey {
            stage.totals.count("servers greylisted");
            self.say("450 4.7.1 Greylisted", stage);
        } else {
            match self.answer_at(Place::Rcpt, "250 2.1.5 Ok", stage) {
                None => self.recipients.push(address),
                Some(Trouble::Refuse) => stage.ledger.on_refused(&address),
                Some(_) => {}
            }
        }
    }

    fn on_data(&mut self, stage: &mut Stage) {
        // RFC 2920 section 3.1: some servers go on although there is nobody to go on for.
        if self.recipients.is_empty() && !self.behaviour.takes_empty {
            self.say("554 5.5.1 No valid recipients", stage);
        } else if self.answer_at(Place::Data, "354 Go on", stage).is_none() {
            self.reading = Reading::Data;
        }
    }

    fn on_bdat(&mut self, line: &str, stage: &mut Stage) {
        let mut words = line.split(' ').skip(1);
        let left = words.next().and_then(|digits| digits.parse().ok());
        let last = words.next() == Some("LAST");
        match left {
            Some(left) => self.reading = Reading::Chunk { left, last },
            None => stage.ledger.violate(format!("a server hears {line:?}")),
        }
    }

    fn read_data(&mut self, stage: &mut Stage) -> bool {
        // The dot may stand on the very first line.
        let text = [b"\r\n", &self.input[..]].concat();
        let Some(length) = text.windows(5).position(|five| five == b"\r\n.\r\n") else {
            return self.content_comes(stage);
        };
        self.input.drain(..length + 3);
        self.content = unstuffed(&text[2..(length + 2).max(2)]);
        self.reading = Reading::Commands;
        self.on_message(stage);
        true
    }

    fn read_chunk(&mut self, left: usize, last: bool, stage: &mut Stage) -> bool {
        if self.input.len() < left {
            return self.content_comes(stage);
        }
        self.content.extend(self.input.drain(..left));
        self.reading = Reading::Commands;
        if last {
            self.on_message(stage);
        } else {
            self.say("250 2.0.0 Ok", stage);
        }
        true
    }

    /// Trouble in the middle of content: before it has come to its end, the server hangs, hangs up
    /// or says no.
    fn content_comes(&mut self, stage: &mut Stage) -> bool {
        let here = matches!(self.behaviour.trouble, Some((Place::Content, ..)));
        if here
            && !self.input.is_empty()
            && let Some(trouble) = self.trouble(Place::Content)
        {
            stage.totals.count("servers had trouble within the content");
            self.meet(Place::Content, trouble, stage);
            if !matches!(self.reading, Reading::Closed) {
                self.reading = Reading::Nothing;
            }
        }
        false
    }

    /// The message is complete.
    fn on_message(&mut self, stage: &mut Stage) {
        if self.recipients.is_empty() {
            self.reset();
            return self.say("554 5.5.1 No valid recipients", stage);
        }
        self.taken += 1;
        let trouble = self.answer_at(Place::End, "250 2.0.0 Taken", stage);
        let silent = matches!(trouble, Some(Trouble::TakeAndClose | Trouble::TakeAndHang));
        if silent {
            stage.totals.count("servers died after the final dot");
        }
        if trouble.is_none() || silent {
            let taken = Taken {
                recipients: &self.recipients,
                content: &self.content,
                awaited: stage.network.listens(self.link, End::Ours),
            };
            let take = stage.ledger.on_taken(&taken, &mut stage.totals);
            if !silent && stage.network.is_open(self.link, End::Theirs) {
                stage.network.mark(self.link, End::Theirs, take);
            }
        }
        self.reset();
        if self.behaviour.curt && matches!(self.reading, Reading::Commands) {
            stage.totals.count("servers closed between two messages");
            self.reading = Reading::Closed;
        }
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
