use std::collections::VecDeque;
use std::sync::Arc;

use super::Open;
use crate::domains::ON_DEMAND;
use crate::submission::Submission;
use crate::world::{SocketId, World};

/// A client's part of one connection: what it has to say, what it has heard, and how it behaves.
pub(super) struct Connection {
    pub(super) socket: SocketId,
    /// Counts what was sent and heard: tells whether the client still makes progress.
    pub(super) step: u32,
    pub(super) time_limit_millis: u64,
    input: Vec<u8>,
    /// The message of this transaction, or of the last one.
    message: Option<Arc<Submission>>,
    /// Its recipients that were taken, by their places.
    accepted: Vec<usize>,
    /// To be sent, in this order, with the octets for it.
    todo: VecDeque<(Command, Vec<u8>)>,
    /// Sent, and not answered.
    sent: VecDeque<Command>,
    /// After so many steps it falls silent, or goes away without a word.
    steps_max: u32,
    leaves: bool,
    pipelines: bool,
    sends_chunks: bool,
    /// It takes a reply for each recipient (PRDR), where that is offered.
    prdr: bool,
    /// It says HELO, and so has no parameters.
    helo: bool,
}

/// Something that a client says, and that has an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Greeting,
    Hello,
    Mail,
    /// One recipient of the message, by its place.
    Rcpt(usize),
    Data,
    /// The content after 354, or its last chunk: it has the answer that counts.
    Content,
    /// The same about one recipient, by its place.
    Each(usize),
    /// A chunk that is not the last.
    Chunk,
    /// NOOP, RSET, VRFY, ETRN.
    Idle,
    Quit,
}

impl Connection {
    pub(super) fn new(socket: SocketId, world: &mut World) -> Self {
        let (is_impatient, stops) = (world.fails(10), world.fails(14));
        let random = &mut world.random;
        Self {
            socket,
            step: 0,
            time_limit_millis: if is_impatient { 3_000 } else { 30 * 60_000 },
            input: Vec::new(),
            message: None,
            accepted: Vec::new(),
            todo: VecDeque::new(),
            sent: VecDeque::from([Command::Greeting]),
            steps_max: if stops {
                random.between(1, 20) as u32
            } else {
                u32::MAX
            },
            leaves: random.chance(60),
            pipelines: random.chance(60),
            sends_chunks: random.chance(40),
            prdr: random.chance(50),
            helo: random.chance(10),
        }
    }

    /// Hears these octets, and says what can be said then. False when it wants to hang up.
    pub(super) fn receive(&mut self, octets: &[u8], open: &mut Open, world: &mut World) -> bool {
        self.input.extend_from_slice(octets);
        while let Some((code, text)) = self.take_reply() {
            self.step += 1;
            if !self.on_reply(code, &text, open, world) || !self.go_on(open, world) {
                return false;
            }
        }
        true
    }

    /// The next whole reply: its code, and all its text.
    fn take_reply(&mut self) -> Option<(u16, String)> {
        let mut end = 0;
        loop {
            let line = &self.input[end..];
            let length = line.windows(2).position(|two| two == b"\r\n")?;
            end += length + 2;
            if line[..length].get(3) != Some(&b'-') {
                break;
            }
        }
        let text: Vec<u8> = self.input.drain(..end).collect();
        let text = String::from_utf8_lossy(&text).into_owned();
        let code = text.get(..3).and_then(|code| code.parse().ok());
        Some((code.unwrap_or(0), text))
    }

    fn on_reply(&mut self, code: u16, text: &str, open: &mut Open, world: &mut World) -> bool {
        if code == 421 {
            return false;
        }
        let Some(command) = self.sent.pop_front() else {
            world.violate(format!("the relay says {code} and nobody asked"));
            return false;
        };
        match command {
            Command::Greeting if code == 220 => {
                let verb = if self.helo { "HELO" } else { "EHLO" };
                self.say(Command::Hello, format!("{verb} client.example\r\n"));
            }
            Command::Hello if code == 250 => {
                self.sends_chunks &= text.contains("CHUNKING");
                self.pipelines &= text.contains("PIPELINING");
                self.prdr &= text.contains("PRDR");
            }
            Command::Greeting | Command::Hello | Command::Quit => return false,
            Command::Rcpt(at) => self.on_rcpt(at, code, open, world),
            Command::Data if code == 354 => self.say_content(),
            Command::Mail | Command::Chunk if code / 100 != 2 => self.todo.clear(),
            Command::Mail | Command::Data | Command::Chunk | Command::Idle => {}
            Command::Content if code == 353 => {
                self.sent.push_front(Command::Content);
                for at in self.accepted.iter().rev() {
                    self.sent.push_front(Command::Each(*at));
                }
            }
            Command::Each(at) => self.on_each(at, code, world),
            Command::Content => self.on_answer(code, text, open, world),
        }
        true
    }

    fn on_rcpt(&mut self, at: usize, code: u16, open: &mut Open, world: &mut World) {
        let Some(message) = &self.message else { return };
        let recipient = &message.recipients[at];
        let address = &recipient.address;
        if code / 100 == 2 {
            self.accepted.push(at);
            if !recipient.allowed {
                world.violate(format!("an open relay: {address} was taken"));
            }
        } else if code == 550 {
            world.count("recipients refused");
            if recipient.allowed {
                world.violate(format!("{address} was refused: {code}"));
            }
            open.entry(message.number).or_default().remove(&at);
        }
    }

    /// What becomes of a message for one recipient.
    fn on_each(&mut self, at: usize, code: u16, world: &mut World) {
        if code / 100 == 4 {
            world.count("messages postponed for some");
            self.accepted.retain(|one| *one != at);
        } else if code / 100 != 2 {
            world.violate(format!("a message was refused for one alone: {code}"));
        }
    }

    /// The answer to a whole message.
    fn on_answer(&mut self, code: u16, text: &str, open: &mut Open, world: &mut World) {
        let Some(message) = &self.message else { return };
        let number = message.number;
        if code / 100 == 2 {
            world.count("messages promised");
            let id = text.split_once("queued as ");
            let id = id.and_then(|(_, id)| id.get(..26)?.parse().ok());
            world.checker.on_promise(message, id, &self.accepted);
        } else if code / 100 == 5 && code != 503 && code != 554 {
            world.count("messages refused");
            if world.checker.is_refused(message) {
                world.count("messages refused for what a scanner found");
            } else if !message.smuggles {
                world.violate(format!("message {number} was refused: {code} {text}"));
            }
        } else {
            return world.count("messages postponed");
        }
        let open = open.entry(number).or_default();
        open.retain(|at| !self.accepted.contains(at));
    }

    /// Says what can be said now. False when it wants to hang up.
    fn go_on(&mut self, open: &mut Open, world: &mut World) -> bool {
        if self.todo.is_empty() && self.sent.is_empty() {
            self.next_message(open, world);
        }
        while !self.todo.is_empty() && !self.waits() {
            if self.step >= self.steps_max && self.leaves {
                world.count("clients left without a word");
                return false;
            }
            if self.step >= self.steps_max {
                break;
            }
            if let Some((command, octets)) = self.todo.pop_front() {
                self.step += 1;
                self.sent.push_back(command);
                world.write(self.socket, &octets);
            }
        }
        true
    }

    /// Whether nothing can be said before an answer.
    fn waits(&self) -> bool {
        let mut sent = self.sent.iter();
        sent.any(|command| match command {
            Command::Mail | Command::Rcpt(_) | Command::Chunk | Command::Idle => !self.pipelines,
            Command::Greeting
            | Command::Hello
            | Command::Data
            | Command::Content
            | Command::Each(_)
            | Command::Quit => true,
        })
    }

    fn say(&mut self, command: Command, octets: impl Into<Vec<u8>>) {
        self.todo.push_back((command, octets.into()));
    }

    /// The next transaction, or QUIT. The same message twice on one connection would only meet the
    /// same trouble.
    fn next_message(&mut self, open: &mut Open, world: &mut World) {
        open.retain(|_, recipients| !recipients.is_empty());
        let first = self.message.as_ref().map_or(0, |last| last.number + 1);
        let Some((number, recipients)) = open.range(first..).next() else {
            return self.say(Command::Quit, "QUIT\r\n");
        };
        self.accepted.clear();
        if world.random.chance(15) {
            let idle = *world.random.pick(&["NOOP\r\n", "RSET\r\n", "VRFY ann\r\n"]);
            self.say(Command::Idle, idle);
        }
        if world.random.chance(20) {
            self.say(Command::Idle, format!("ETRN {ON_DEMAND}\r\n"));
        }
        // The last transaction may not have come to its end.
        if self.message.is_some() {
            self.say(Command::Idle, "RSET\r\n");
        }
        let message = Arc::clone(&world.checker.submissions[*number]);
        let prdr = self.prdr && !self.helo;
        self.say(Command::Mail, message.mail(!self.helo, prdr));
        for at in recipients {
            let rcpt = message.recipients[*at].rcpt(!self.helo);
            self.say(Command::Rcpt(*at), rcpt);
        }
        if self.sends_chunks {
            self.say_chunks(&message.content, world);
        } else {
            self.say(Command::Data, "DATA\r\n");
        }
        self.message = Some(message);
    }

    fn say_chunks(&mut self, mut content: &[u8], world: &mut World) {
        while !content.is_empty() && world.random.chance(40) {
            let (chunk, rest) = content.split_at(world.random.size(0, content.len()));
            let header = format!("BDAT {}\r\n", chunk.len());
            self.say(Command::Chunk, [header.as_bytes(), chunk].concat());
            content = rest;
        }
        let header = format!("BDAT {} LAST\r\n", content.len());
        self.say(Command::Content, [header.as_bytes(), content].concat());
    }

    /// The content behind DATA: with dots doubled at the start of lines, and the end, as RFC 5321
    /// section 4.5.2 has it, written anew here. A smuggler sends its dots as they are.
    fn say_content(&mut self) {
        let Some(message) = &self.message else { return };
        let mut octets = Vec::with_capacity(message.content.len() + 16);
        for line in message.content.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") && !message.smuggles {
                octets.push(b'.');
            }
            octets.extend_from_slice(line);
        }
        octets.extend_from_slice(b".\r\n");
        self.todo.push_front((Command::Content, octets));
    }
}
