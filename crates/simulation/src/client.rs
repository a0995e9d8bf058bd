//! A client: wants its messages sent, and tries until each recipient was taken or refused for good.
//! Careless while there are faults.

mod connection;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::connection::Connection;
use crate::domains::Class;
use crate::submission::Submission;
use crate::world::{Event, SocketId, World};

/// One client over all its connections.
pub(crate) struct Client {
    pub(crate) index: usize,
    pub(crate) class: Class,
    open: Open,
    connection: Option<Connection>,
}

/// Recipients without an answer, by their places in each message, and messages by number.
type Open = BTreeMap<usize, BTreeSet<usize>>;

impl Client {
    pub(crate) fn new(index: usize, class: Class, messages: &[Arc<Submission>]) -> Self {
        let open = |message: &Arc<Submission>| {
            let recipients = 0..message.recipients.len();
            (message.number, recipients.collect())
        };
        Self {
            index,
            class,
            open: messages.iter().map(open).collect(),
            connection: None,
        }
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.open.is_empty()
    }

    pub(crate) fn on_connected(&mut self, socket: SocketId, world: &mut World) {
        self.connection = Some(Connection::new(socket, world));
        self.renew_time_limit(world);
    }

    /// Octets, or the end of them, arrive.
    pub(crate) fn on_arrival(&mut self, socket: SocketId, octets: &[u8], world: &mut World) {
        let connection = self.connection.as_mut().filter(|one| one.socket == socket);
        let Some(connection) = connection else { return };
        if !octets.is_empty() && connection.receive(octets, &mut self.open, world) {
            self.renew_time_limit(world);
        } else {
            self.hang_up(world);
        }
    }

    /// Enough waited, if nothing has moved since.
    pub(crate) fn on_timeout(&mut self, socket: SocketId, step: u32, world: &mut World) {
        let connection = self.connection.as_ref();
        if connection.is_some_and(|one| (one.socket, one.step) == (socket, step)) {
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
}
