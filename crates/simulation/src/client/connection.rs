use std::collections::VecDeque;
use std::rc::Rc;

use crate::submission::Submission;
use crate::world::{SocketId, World};

/// A client's part of one connection: what it has to say, what it has heard, and how it behaves.
pub(super) struct Connection {
    pub(super) socket: SocketId,
    pub(super) input: Vec<u8>,
    /// The message of this transaction, or of the last one.
    pub(super) message: Option<Rc<Submission>>,
    /// To be sent, in this order, with the octets for it.
    pub(super) todo: VecDeque<(Command, Vec<u8>)>,
    /// Sent, and not answered.
    pub(super) sent: VecDeque<Command>,
    /// Recipients of this transaction that were taken, as addresses.
    pub(super) accepted: Vec<String>,
    /// Counts what was sent and heard: tells whether the client still makes progress.
    pub(super) step: u32,
    /// It falls silent after so many steps.
    pub(super) stalls_after: Option<u32>,
    /// It goes away without a word after so many.
    pub(super) leaves_after: Option<u32>,
    pub(super) time_limit_millis: u64,
    pipelines: bool,
    sends_chunks: bool,
    /// It says HELO, and so has no parameters.
    helo: bool,
}

/// Something that a client says, and that has an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Greeting,
    Hello,
    Mail,
    /// One recipient of the message, by its place.
    Rcpt(usize),
    Data,
    /// The content after 354, or its last chunk: it has the answer that counts.
    Content,
    /// A chunk that is not the last.
    Chunk,
    /// NOOP, RSET, VRFY.
    Idle,
    Quit,
}

impl Connection {
    pub(super) fn new(socket: SocketId, world: &mut World) -> Self {
        let stalls_after = world.fails(6).then(|| world.random.between(1, 20) as u32);
        let leaves_after = world.fails(8).then(|| world.random.between(1, 20) as u32);
        let is_impatient = world.fails(10);
        Self {
            socket,
            input: Vec::new(),
            message: None,
            todo: VecDeque::new(),
            sent: VecDeque::from([Command::Greeting]),
            accepted: Vec::new(),
            step: 0,
            stalls_after,
            leaves_after,
            time_limit_millis: if is_impatient { 3_000 } else { 30 * 60_000 },
            pipelines: world.random.chance(60),
            sends_chunks: world.random.chance(40),
            helo: world.random.chance(10),
        }
    }

    /// The next whole reply: its code, and all its text.
    pub(super) fn take_reply(&mut self) -> Option<(u16, String)> {
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

    /// Whether nothing can be said before an answer.
    pub(super) fn waits(&self) -> bool {
        let mut sent = self.sent.iter();
        sent.any(|command| match command {
            Command::Mail | Command::Rcpt(_) | Command::Chunk | Command::Idle => !self.pipelines,
            Command::Greeting
            | Command::Hello
            | Command::Data
            | Command::Content
            | Command::Quit => true,
        })
    }

    pub(super) fn say_next(&mut self, world: &mut World) {
        if let Some((command, octets)) = self.todo.pop_front() {
            self.step += 1;
            self.sent.push_back(command);
            world.write(self.socket, &octets);
        }
    }

    pub(super) fn say(&mut self, command: Command, octets: impl Into<Vec<u8>>) {
        self.todo.push_back((command, octets.into()));
    }

    pub(super) fn say_hello(&mut self, client: usize) {
        let verb = if self.helo { "HELO" } else { "EHLO" };
        self.say(Command::Hello, format!("{verb} c{client}.example\r\n"));
    }

    /// What the relay offers.
    pub(super) fn on_offers(&mut self, text: &str) {
        self.sends_chunks &= text.contains("CHUNKING");
        self.pipelines &= text.contains("PIPELINING");
    }

    /// A transaction for these recipients of a message.
    pub(super) fn begin(
        &mut self,
        message: Rc<Submission>,
        recipients: Vec<usize>,
        world: &mut World,
    ) {
        self.accepted.clear();
        if world.random.chance(15) {
            let idle = *world.random.pick(&["NOOP\r\n", "RSET\r\n", "VRFY ann\r\n"]);
            self.say(Command::Idle, idle);
        }
        // The last transaction may not have come to its end.
        if self.message.is_some() {
            self.say(Command::Idle, "RSET\r\n");
        }
        self.say(Command::Mail, mail(&message, !self.helo));
        for at in recipients {
            self.say(Command::Rcpt(at), rcpt(&message, at, !self.helo));
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
    pub(super) fn say_content(&mut self) {
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

fn mail(message: &Submission, extended: bool) -> String {
    let sender = message.sender.as_deref().unwrap_or_default();
    let mut line = format!("MAIL FROM:<{sender}>");
    if extended {
        line.push_str(&format!(" SIZE={}", message.content.len()));
        if message.eight_bit {
            line.push_str(" BODY=8BITMIME");
        }
        match message.number % 4 {
            0 => line.push_str(" RET=FULL"),
            1 => line.push_str(&format!(" RET=HDRS ENVID=e{}", message.number)),
            _ => {}
        }
    }
    line + "\r\n"
}

fn rcpt(message: &Submission, at: usize, extended: bool) -> String {
    let recipient = &message.recipients[at];
    let address = &recipient.address;
    let notify = recipient.notify.filter(|_| extended);
    let notify = notify.map(|notify| format!(" NOTIFY={notify} ORCPT=rfc822;{address}"));
    format!("RCPT TO:<{address}>{}\r\n", notify.unwrap_or_default())
}
