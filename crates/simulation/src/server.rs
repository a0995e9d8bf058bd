//! Servers: what the relay connects to. While there are faults each does everything that servers
//! do: refuse, defer, hang, hang up, die after the final dot. They read and answer by code of their
//! own, which judges what the relay sends.

mod behaviour;

use self::behaviour::{Behaviour, Phase, Trouble};
use crate::submission;
use crate::world::{SocketId, World, peer};

/// A server on one connection.
pub(crate) struct Server {
    socket: SocketId,
    behaviour: Behaviour,
    input: Vec<u8>,
    reading: Reading,
    sender: Option<String>,
    recipients: Vec<String>,
    content: Vec<u8>,
}

/// What the next octets are.
#[derive(Clone, Copy, PartialEq, Eq)]
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

impl Server {
    /// Greets whoever has connected.
    pub(crate) fn new(socket: SocketId, world: &mut World) -> Self {
        let mut server = Self {
            socket,
            behaviour: Behaviour::new(world),
            input: Vec::new(),
            reading: Reading::Commands,
            sender: None,
            recipients: Vec::new(),
            content: Vec::new(),
        };
        server.answer_in(Phase::Greeting, "220 server.example ESMTP", world);
        server.close_when_done(world);
        server
    }

    /// Octets, or the end of them, arrive.
    pub(crate) fn on_arrival(&mut self, octets: &[u8], world: &mut World) {
        if octets.is_empty() {
            self.reading = Reading::Closed;
        }
        self.input.extend_from_slice(octets);
        while self.read(world) {}
        self.close_when_done(world);
    }

    fn close_when_done(&mut self, world: &mut World) {
        if self.reading == Reading::Closed {
            world.close(self.socket);
        }
    }

    /// Reads on; false when there is nothing to read now.
    fn read(&mut self, world: &mut World) -> bool {
        match self.reading {
            Reading::Commands => self.read_command(world),
            Reading::Data => self.read_data(world),
            Reading::Chunk { left, last } => self.read_chunk(left, last, world),
            Reading::Nothing | Reading::Closed => false,
        }
    }

    fn say(&self, line: &str, world: &mut World) {
        world.write(self.socket, format!("{line}\r\n").as_bytes());
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
        self.content.clear();
    }

    /// Answers as a good server would, or meets the trouble, which it gives.
    fn answer_in(&mut self, phase: Phase, good: &str, world: &mut World) -> Option<Trouble> {
        let trouble = self.behaviour.trouble_in(phase);
        match trouble {
            None => self.say(good, world),
            Some(trouble) => self.meet(phase, trouble, world),
        }
        trouble
    }

    fn meet(&mut self, phase: Phase, trouble: Trouble, world: &mut World) {
        world.note(format_args!(
            "socket {}: {trouble:?} in {phase:?}",
            self.socket
        ));
        let (what, line, reading) = match trouble {
            Trouble::Hang | Trouble::TakeHang => ("servers hung", "", Reading::Nothing),
            Trouble::Close | Trouble::TakeClose => ("servers hung up", "", Reading::Closed),
            Trouble::Goodbye => ("servers said 421", "421 4.3.2 Closing", Reading::Closed),
            Trouble::Defer => ("servers deferred", "451 4.3.0 Not now", self.reading),
            Trouble::Refuse => {
                self.note_refusal(phase, world);
                ("servers refused", "550 5.3.0 Never", self.reading)
            }
        };
        world.count(what);
        if !line.is_empty() {
            self.say(line, world);
        }
        self.reading = reading;
    }

    fn note_refusal(&self, phase: Phase, world: &mut World) {
        match phase {
            // The recipient is noted by who refuses it.
            Phase::Greeting | Phase::Hello | Phase::Rcpt => {}
            Phase::Mail => {
                let sender = self.sender.as_deref().unwrap_or_default();
                world.checker.on_refused_sender(sender);
            }
            Phase::Data | Phase::Content | Phase::End => {
                for recipient in &self.recipients {
                    world.checker.on_refused(recipient);
                }
            }
        }
    }

    fn read_command(&mut self, world: &mut World) -> bool {
        let Some(length) = self.input.windows(2).position(|two| two == b"\r\n") else {
            return false;
        };
        let line: Vec<u8> = self.input.drain(..length + 2).collect();
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        match line.get(..4).unwrap_or(&line) {
            "EHLO" if self.behaviour.knows_ehlo => {
                let offers = format!("250-server.example\r\n{}250 HELP", self.behaviour.offers);
                self.on_hello(&offers, world);
            }
            "EHLO" => self.say("502 5.5.1 What?", world),
            "HELO" => self.on_hello("250 server.example", world),
            // What follows stands for itself encrypted: this world has no wire to read along.
            "STAR" => self.on_hello("220 2.0.0 Go ahead", world),
            "MAIL" => self.on_mail(&line, world),
            "RCPT" => self.on_rcpt(path(&line), world),
            "DATA" => self.on_data(world),
            "BDAT" => self.on_bdat(&line, world),
            "RSET" => {
                self.reset();
                self.say("250 2.0.0 Ok", world);
            }
            "QUIT" => {
                self.say("221 2.0.0 Bye", world);
                self.reading = Reading::Closed;
            }
            _ => world.violate(format!("a server hears {line:?}")),
        }
        true
    }

    fn on_hello(&mut self, good: &str, world: &mut World) {
        self.answer_in(Phase::Hello, good, world);
    }

    fn on_mail(&mut self, line: &str, world: &mut World) {
        if self.sender.is_some() {
            return world.violate("MAIL within a transaction".into());
        }
        self.reset();
        self.sender = Some(path(line));
        if self.answer_in(Phase::Mail, "250 2.1.0 Ok", world).is_some() {
            self.reset();
        }
    }

    fn on_rcpt(&mut self, address: String, world: &mut World) {
        world.checker.on_rcpt(&address);
        if self.sender.is_none() {
            self.say("503 5.5.1 MAIL first", world);
        } else if self.recipients.len() >= self.behaviour.recipients_max {
            world.count("servers took some recipients at a time");
            self.say("452 4.5.3 Too many recipients", world);
        } else if submission::is_unknown(&address) {
            world.checker.on_refused(&address);
            self.say("550 5.1.1 Nobody of this name", world);
        } else if self.behaviour.greylists {
            world.count("servers greylisted");
            self.say("450 4.7.1 Greylisted", world);
        } else {
            match self.answer_in(Phase::Rcpt, "250 2.1.5 Ok", world) {
                None => self.recipients.push(address),
                Some(Trouble::Refuse) => world.checker.on_refused(&address),
                Some(_) => {}
            }
        }
    }

    fn on_data(&mut self, world: &mut World) {
        // RFC 2920 section 3.1: some servers go on although there is nobody to go on for.
        if self.recipients.is_empty() && !self.behaviour.takes_empty {
            self.say("554 5.5.1 No valid recipients", world);
        } else if self.answer_in(Phase::Data, "354 Go on", world).is_none() {
            self.reading = Reading::Data;
        }
    }

    fn on_bdat(&mut self, line: &str, world: &mut World) {
        let mut words = line.split(' ').skip(1);
        let left = words.next().and_then(|digits| digits.parse().ok());
        let last = words.next() == Some("LAST");
        match left {
            Some(left) => self.reading = Reading::Chunk { left, last },
            None => world.violate(format!("a server hears {line:?}")),
        }
    }

    fn read_data(&mut self, world: &mut World) -> bool {
        // The dot may stand on the very first line.
        let text = [b"\r\n", &self.input[..]].concat();
        let Some(length) = text.windows(5).position(|five| five == b"\r\n.\r\n") else {
            return self.content_comes(world);
        };
        self.input.drain(..length + 3);
        for line in text[2..(length + 2).max(2)].split_inclusive(|octet| *octet == b'\n') {
            self.content
                .extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        self.on_message(world);
        true
    }

    fn read_chunk(&mut self, left: usize, last: bool, world: &mut World) -> bool {
        if self.input.len() < left {
            return self.content_comes(world);
        }
        self.content.extend(self.input.drain(..left));
        if last {
            self.on_message(world);
        } else {
            self.reading = Reading::Commands;
            self.say("250 2.0.0 Ok", world);
        }
        true
    }

    /// Trouble in the middle of content: before it has come to its end, the server hangs, hangs up
    /// or says no.
    fn content_comes(&mut self, world: &mut World) -> bool {
        if !self.input.is_empty()
            && let Some(trouble) = self.behaviour.trouble_in(Phase::Content)
        {
            world.count("servers had trouble within the content");
            self.meet(Phase::Content, trouble, world);
            if self.reading != Reading::Closed {
                self.reading = Reading::Nothing;
            }
        }
        false
    }

    /// The message is complete.
    fn on_message(&mut self, world: &mut World) {
        self.reading = Reading::Commands;
        if self.recipients.is_empty() {
            self.reset();
            return self.say("554 5.5.1 No valid recipients", world);
        }
        let trouble = self.answer_in(Phase::End, "250 2.0.0 Taken", world);
        let is_silent = matches!(trouble, Some(Trouble::TakeClose | Trouble::TakeHang));
        if is_silent {
            world.count("servers died after the final dot");
        }
        if trouble.is_none() || is_silent {
            let is_awaited = world.listens(peer(self.socket));
            let recipients = std::mem::take(&mut self.recipients);
            let at = (self.socket, world.now());
            let delivery = world
                .checker
                .on_taken(at, recipients, &self.content, is_awaited);
            if let Some(delivery) = delivery.filter(|_| !is_silent) {
                world.answers_for(self.socket, delivery);
            }
        }
        self.reset();
        if self.behaviour.is_curt && self.reading == Reading::Commands {
            world.count("servers closed between two messages");
            self.reading = Reading::Closed;
        }
    }
}

/// What stands between the angle brackets.
fn path(line: &str) -> String {
    let behind = line.split_once('<').map_or("", |(_, behind)| behind);
    behind.split('>').next().unwrap_or_default().to_owned()
}
