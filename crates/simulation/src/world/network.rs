//! All connections. Octets arrive in order, in pieces cut anywhere, after any delay; or the
//! connection breaks at any octet.

use std::collections::VecDeque;
use std::time::Duration;

use mail::Timestamp;

use super::{Event, World};
use crate::checker::Delivery;

/// One end of a connection, by its number.
pub(crate) type SocketId = usize;

/// The other end: the two of a connection follow each other.
pub(crate) fn peer(socket: SocketId) -> SocketId {
    socket ^ 1
}

/// Whose end of a connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Session,
    Agent,
    /// The relay, handing over a file.
    Pickup,
    Client(usize),
    /// Who fetches mail, until the connection is turned around.
    Fetcher,
    Server,
}

impl Owner {
    /// The relay has this end.
    pub(crate) fn is_relay(self) -> bool {
        matches!(self, Self::Session | Self::Agent | Self::Pickup)
    }
}

/// One end of a connection, with what is on its way to it.
pub(super) struct Socket {
    owner: Owner,
    pieces: VecDeque<Piece>,
    /// The largest piece that travels at once.
    piece_max: usize,
    delay_millis_max: u64,
    last_arrival: Timestamp,
    /// After so many more octets to it the connection breaks.
    octets_left: Option<usize>,
    /// Nothing more is sent to it.
    ended: bool,
    /// It hears nothing any more.
    closed: bool,
}

/// What arrives at once.
struct Piece {
    /// None at the end of the stream.
    octets: Vec<u8>,
    /// The answer to this delivery is complete with it.
    answers: Option<Delivery>,
}

/// Octets within which a connection that is to break does so.
const BREAKS_WITHIN: usize = 1500;

impl World {
    /// Connects the two. Gives the first one's end.
    pub(crate) fn connect(&mut self, owner: Owner, peer: Owner) -> SocketId {
        let number = self.sockets.len();
        let piece_max = *self
            .random
            .pick(&[usize::MAX, usize::MAX, usize::MAX, 300, 40, 7]);
        let delay_millis_max = *self.random.pick(&[0, 5, 50, 2000]);
        self.sockets.extend([owner, peer].map(|owner| Socket {
            owner,
            pieces: VecDeque::new(),
            piece_max,
            delay_millis_max,
            last_arrival: Timestamp::default(),
            octets_left: None,
            ended: false,
            closed: false,
        }));
        if self.fails(12) {
            let octets = self.random.size(0, BREAKS_WITHIN - 1);
            let end = self.random.size(0, 1);
            self.sockets[number + end].octets_left = Some(octets);
        }
        if peer == Owner::Server {
            self.after(0, Event::Accept(number + 1));
        }
        number
    }

    /// The session at this end has ended, and the connection goes on: whoever it was with is the server.
    pub(crate) fn turn_around(&mut self, socket: SocketId) {
        self.sockets[socket].owner = Owner::Agent;
    }

    /// The fetcher at this end has heard that he is the server now.
    pub(crate) fn become_server(&mut self, socket: SocketId) {
        self.sockets[socket].owner = Owner::Server;
    }

    pub(crate) fn owner(&self, socket: SocketId) -> Owner {
        self.sockets[socket].owner
    }

    /// Sends octets. On a connection that is closed or broken they are lost.
    pub(crate) fn write(&mut self, from: SocketId, octets: &[u8]) {
        if self.plan.trace {
            for line in String::from_utf8_lossy(octets).lines().take(12) {
                self.note(format_args!("socket {from}: {}", line.escape_debug()));
            }
        }
        let socket = &mut self.sockets[peer(from)];
        if socket.ended {
            return;
        }
        let mut rest = octets;
        if let Some(left) = &mut socket.octets_left {
            rest = &octets[..octets.len().min(*left)];
            *left -= rest.len();
        }
        let breaks = rest.len() < octets.len();
        // Many small pieces of a large content prove nothing new and take long.
        let piece_max = socket.piece_max.max(rest.len() / 50);
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(self.random.size(1, piece_max).min(rest.len()));
            self.send(from, piece);
            rest = more;
        }
        if breaks {
            self.count("connections cut");
            self.end(from);
            self.end(peer(from));
        }
    }

    /// A piece goes out; one without octets is the end.
    fn send(&mut self, from: SocketId, octets: &[u8]) {
        let (now, to) = (self.now(), peer(from));
        let socket = &mut self.sockets[to];
        let octets = octets.to_vec();
        let answers = None;
        socket.pieces.push_back(Piece { octets, answers });
        let delay = self.random.between(0, socket.delay_millis_max);
        let arrival = now + Duration::from_millis(delay);
        socket.last_arrival = socket.last_arrival.max(arrival);
        self.clock.at(socket.last_arrival, Event::Arrival(to));
    }

    fn end(&mut self, from: SocketId) {
        let ended = &mut self.sockets[peer(from)].ended;
        if !std::mem::replace(ended, true) {
            self.send(from, &[]);
        }
    }

    /// One end closes: the other hears it after what is under way.
    pub(crate) fn close(&mut self, socket: SocketId) {
        self.note(format_args!("socket {socket}: closes"));
        self.sockets[socket].closed = true;
        self.end(socket);
    }

    /// The relay dies: its ends close, and what it had sent may be lost.
    pub(super) fn close_all(&mut self) {
        for number in 0..self.sockets.len() {
            let socket = &self.sockets[number];
            if socket.owner.is_relay() && !socket.closed {
                if self.random.chance(50) {
                    // Their arrivals stay entered, and find nothing.
                    self.sockets[peer(number)].pieces.clear();
                }
                self.close(number);
            }
        }
    }

    /// What arrives now, which is no octets at the end; `None` when it was lost or nobody listens.
    pub(crate) fn arrive(&mut self, socket: SocketId) -> Option<Vec<u8>> {
        let socket = &mut self.sockets[socket];
        let piece = socket.pieces.pop_front().filter(|_| !socket.closed)?;
        if let Some(delivery) = piece.answers {
            self.checker.on_answer(&delivery);
        }
        Some(piece.octets)
    }

    /// What was written last answers for this delivery, if it could be sent: the checker is told
    /// when it has arrived.
    pub(crate) fn answers_for(&mut self, from: SocketId, delivery: Delivery) {
        let socket = &mut self.sockets[peer(from)];
        if let Some(piece) = socket.pieces.back_mut().filter(|_| !socket.ended) {
            piece.answers = Some(delivery);
        }
    }

    /// Whether this end still listens.
    pub(crate) fn listens(&self, socket: SocketId) -> bool {
        !self.sockets[socket].closed
    }
}
