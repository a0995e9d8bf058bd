//! A client: wants its messages sent, and tries until each recipient was taken or refused for good.
//! Careless while there are faults.

mod connection;

use std::collections::BTreeSet;
use std::rc::Rc;

use self::connection::{Command, Connection};
use crate::domains::Class;
use crate::submission::Submission;
use crate::world::{Event, SocketId, World};

/// One client over all its connections.
pub(crate) struct Client {
    pub(crate) index: usize,
    pub(crate) class: Class,
    /// Those that are not done.
    messages: Vec<Rc<Submission>>,
    /// Recipients that have had their answer, as addresses.
    settled: BTreeSet<String>,
    connection: Option<Connection>,
}

impl Client {
    pub(crate) fn new(index: usize, class: Class, messages: Vec<Rc<Submission>>) -> Self {
        Self {
            index,
            class,
            messages,
            settled: BTreeSet::new(),
            connection: None,
        }
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.messages.is_empty()
    }

    pub(crate) fn on_connected(&mut self, socket: SocketId, world: &mut World) {
        self.connection = Some(Connection::new(socket, world));
        self.renew_time_limit(world);
    }

    /// Octets, or the end of them, arrive.
    pub(crate) fn on_arrival(&mut self, socket: SocketId, octets: &[u8], world: &mut World) {
        let connection = self.connection.as_mut();
        let Some(connection) = connection.filter(|connection| connection.socket == socket) else {
            return;
        };
        if octets.is_empty() {
            return self.hang_up(world);
        }
        connection.input.extend_from_slice(octets);
        while let Some(connection) = &mut self.connection {
            let Some((code, text)) = connection.take_reply() else {
                break;
            };
            connection.step += 1;
            self.on_reply(code, &text, world);
        }
        self.renew_time_limit(world);
    }

    /// Enough waited, if nothing has moved since.
    pub(crate) fn on_timeout(&mut self, socket: SocketId, step: u32, world: &mut World) {
        let connection = self.connection.as_ref();
        if connection
            .is_some_and(|connection| (connection.socket, connection.step) == (socket, step))
        {
            world.count("clients timed out");
            self.hang_up(world);
        }
    }

    fn renew_time_limit(&self, world: &mut World) {
        if let Some(connection) = &self.connection {
            let (socket, step) = (connection.socket, connection.step);
            let timeout = Event::ClientTimeout(self.index, socket, step);
            world.after(connection.time_limit_millis, timeout);
        }
    }

    fn hang_up(&mut self, world: &mut World) {
        if let Some(connection) = self.connection.take() {
            world.close(connection.socket);
        }
        self.come_again(world);
    }

    pub(crate) fn come_again(&mut self, world: &mut World) {
        if self.has_work() {
            let pause = world.random.between(1_000, 20 * 60_000);
            world.after(pause, Event::ClientConnects(self.index));
        }
    }

    fn on_reply(&mut self, code: u16, text: &str, world: &mut World) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        if code == 421 {
            return self.hang_up(world);
        }
        let Some(command) = connection.sent.pop_front() else {
            return world.violate(format!("the relay says {code} and nobody asked"));
        };
        match command {
            Command::Greeting if code == 220 => connection.say_hello(self.index),
            Command::Hello if code == 250 => {
                connection.on_offers(text);
                self.next_message(world);
            }
            Command::Greeting | Command::Hello | Command::Quit => return self.hang_up(world),
            Command::Rcpt(at) => self.on_rcpt(at, code, world),
            Command::Data if code == 354 => connection.say_content(),
            Command::Mail | Command::Chunk if code / 100 != 2 => connection.todo.clear(),
            Command::Mail | Command::Data | Command::Chunk | Command::Idle => {}
            Command::Content => self.on_answer(code, text, world),
        }
        self.go_on(world);
    }

    fn on_rcpt(&mut self, at: usize, code: u16, world: &mut World) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let Some(message) = &connection.message else {
            return;
        };
        let recipient = &message.recipients[at];
        let address = recipient.address.clone();
        if code / 100 == 2 {
            if !recipient.allowed {
                world.violate(format!("an open relay: {address} was taken"));
            }
            connection.accepted.push(address);
        } else if code == 550 {
            world.count("recipients refused");
            if recipient.allowed {
                world.violate(format!("{address} was refused: {code}"));
            }
            self.settled.insert(address);
        }
    }

    /// The answer to a whole message.
    fn on_answer(&mut self, code: u16, text: &str, world: &mut World) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let Some(message) = &connection.message else {
            return;
        };
        if code / 100 == 2 {
            world.count("messages promised");
            let id = text.split_once("queued as ");
            let id = id.and_then(|(_, id)| id.get(..26)?.parse().ok());
            world.checker.on_promise(message, id, &connection.accepted);
            self.settled.extend(connection.accepted.drain(..));
        } else if code / 100 == 5 && code != 503 && code != 554 {
            world.count("messages refused");
            if !message.smuggles {
                let number = message.number;
                world.violate(format!("message {number} was refused: {code} {text}"));
            }
            self.settled.extend(connection.accepted.drain(..));
        } else {
            world.count("messages postponed");
        }
    }

    /// The next transaction, or QUIT.
    fn next_message(&mut self, world: &mut World) {
        let settled = &self.settled;
        self.messages
            .retain(|message| !open(message, settled).is_empty());
        let Some(connection) = &mut self.connection else {
            return;
        };
        // The same message twice on one connection would only meet the same trouble.
        let last = connection.message.as_ref().map(|message| message.number);
        let mut messages = self.messages.iter();
        match messages.find(|message| last.is_none_or(|last| message.number > last)) {
            Some(message) => {
                let open = open(message, settled);
                connection.begin(Rc::clone(message), open, world);
            }
            None => connection.say(Command::Quit, "QUIT\r\n"),
        }
    }

    /// Says what can be said now.
    fn go_on(&mut self, world: &mut World) {
        while let Some(connection) = &mut self.connection {
            if connection.todo.is_empty() && connection.sent.is_empty() {
                self.next_message(world);
                continue;
            }
            if connection.waits() || connection.todo.is_empty() {
                return;
            }
            if connection
                .leaves_after
                .is_some_and(|after| connection.step >= after)
            {
                world.count("clients left without a word");
                return self.hang_up(world);
            }
            if connection
                .stalls_after
                .is_some_and(|after| connection.step >= after)
            {
                return;
            }
            connection.say_next(world);
        }
    }
}

/// Recipients without an answer, by their places.
fn open(message: &Submission, settled: &BTreeSet<String>) -> Vec<usize> {
    let recipients = message.recipients.iter().enumerate();
    let open = recipients.filter(|(_, recipient)| !settled.contains(&recipient.address));
    open.map(|(at, _)| at).collect()
}
