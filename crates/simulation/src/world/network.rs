//! All connections. Octets arrive in order, in pieces cut anywhere, after any delay; or the
//! connection breaks at any octet.

use std::collections::VecDeque;
use std::time::Duration;

use mail::Timestamp;

use super::clock::Clock;
use super::{Event, World};
use crate::checker::Delivery;
use crate::random::Random;

/// A connection's number.
pub(crate) type LinkId = usize;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The end that the relay has.
    Ours,
    /// The client's or the server's.
    Theirs,
}

/// Who talks to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parties {
    /// A client with a session of ours.
    Incoming { client: usize, session: u64 },
    /// An agent of ours with a server.
    Outgoing { agent: u64 },
}

/// One connection.
pub(super) struct Link {
    parties: Parties,
    /// By the end that sends (`End as usize`).
    directions: [Direction; 2],
    /// The largest piece that travels at once.
    piece_max: usize,
}

/// One direction of a connection.
struct Direction {
    link: LinkId,
    to: End,
    pieces: VecDeque<Piece>,
    delay_millis_max: u64,
    last_arrival: Timestamp,
    /// After so many more octets the connection breaks.
    octets_left: Option<usize>,
    /// Nothing is sent here any more.
    ended: bool,
    /// Nobody listens any more at its end.
    deaf: bool,
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

impl Direction {
    /// Sends a piece; one without octets is the end.
    fn send(&mut self, octets: &[u8], clock: &mut Clock, random: &mut Random) {
        self.pieces.push_back(Piece {
            octets: octets.to_vec(),
            answers: None,
        });
        let delay = Duration::from_millis(random.between(0, self.delay_millis_max));
        self.last_arrival = self.last_arrival.max(clock.now() + delay);
        let (link, to) = (self.link, self.to);
        clock.at(self.last_arrival, Event::Arrival { link, to });
    }
}

impl World {
    pub(crate) fn connect(&mut self, parties: Parties) -> LinkId {
        let Self { random, links, .. } = self;
        let link = links.len();
        let piece_max = *random.pick(&[usize::MAX, usize::MAX, usize::MAX, 300, 40, 7]);
        let delay_millis_max = *random.pick(&[0, 5, 50, 2000]);
        let mut directions = [End::Theirs, End::Ours].map(|to| Direction {
            link,
            to,
            pieces: VecDeque::new(),
            delay_millis_max,
            last_arrival: Timestamp::default(),
            octets_left: None,
            ended: false,
            deaf: false,
        });
        if random.chance(if self.faulty { 12 } else { 0 }) {
            let octets = random.size(0, BREAKS_WITHIN - 1);
            directions[random.size(0, 1)].octets_left = Some(octets);
        }
        links.push(Link {
            parties,
            directions,
            piece_max,
        });
        link
    }

    pub(crate) fn parties(&self, link: LinkId) -> Parties {
        self.links[link].parties
    }

    /// Sends octets. On a connection that is closed or broken they are lost, as they are for a
    /// socket.
    pub(crate) fn write(&mut self, link: LinkId, from: End, octets: &[u8]) {
        if self.plan.trace {
            for line in String::from_utf8_lossy(octets).lines().take(12) {
                let line = line.escape_debug();
                self.note(format_args!("link {link} {from:?}: {line}"));
            }
        }
        let state = &mut self.links[link];
        let direction = &mut state.directions[from as usize];
        if direction.ended {
            return;
        }
        let mut rest = octets;
        if let Some(left) = &mut direction.octets_left {
            rest = &octets[..octets.len().min(*left)];
            *left -= rest.len();
        }
        let breaks = rest.len() < octets.len();
        // Small pieces of large content prove nothing new and take long.
        let piece_max = if rest.len() > 4000 {
            rest.len() / 4
        } else {
            state.piece_max
        };
        while !rest.is_empty() {
            let length = self.random.size(1, piece_max).min(rest.len());
            direction.send(&rest[..length], &mut self.clock, &mut self.random);
            rest = &rest[length..];
        }
        if breaks {
            self.count("connections cut");
            self.end(link, End::Ours);
            self.end(link, End::Theirs);
        }
    }

    /// One end closes: the other hears it after what is under way.
    pub(crate) fn close(&mut self, link: LinkId, by: End) {
        self.note(format_args!("link {link} {by:?}: closes"));
        self.direction_to(link, by).deaf = true;
        self.end(link, by);
    }

    fn end(&mut self, link: LinkId, from: End) {
        let direction = &mut self.links[link].directions[from as usize];
        if !direction.ended {
            direction.ended = true;
            direction.send(&[], &mut self.clock, &mut self.random);
        }
    }

    fn direction_to(&mut self, link: LinkId, to: End) -> &mut Direction {
        let [ours, theirs] = &mut self.links[link].directions;
        match to {
            End::Ours => theirs,
            End::Theirs => ours,
        }
    }

    /// The relay dies: its ends close, and what it had sent may be lost.
    pub(super) fn break_connections(&mut self) {
        for link in 0..self.links.len() {
            let directions = &mut self.links[link].directions;
            if directions
                .iter()
                .all(|one| one.ended && one.pieces.is_empty())
            {
                continue;
            }
            if self.random.chance(50) {
                // Their arrivals stay entered, and find nothing.
                directions[End::Ours as usize].pieces.clear();
            }
            self.close(link, End::Ours);
        }
    }

    /// What arrives at `to` now, which is no octets at the end; `None` when it was lost or nobody
    /// listens.
    pub(crate) fn arrive(&mut self, link: LinkId, to: End) -> Option<Vec<u8>> {
        let direction = self.direction_to(link, to);
        let piece = direction.pieces.pop_front().filter(|_| !direction.deaf)?;
        if let Some(delivery) = piece.answers {
            self.checker.on_answer(&delivery);
        }
        Some(piece.octets)
    }

    /// What `from` has written last answers for this delivery, if it could be sent: the checker is
    /// told when it has arrived.
    pub(crate) fn answers(&mut self, link: LinkId, from: End, delivery: Delivery) {
        let direction = &mut self.links[link].directions[from as usize];
        if let Some(piece) = direction.pieces.back_mut().filter(|_| !direction.ended) {
            piece.answers = Some(delivery);
        }
    }

    /// Whether this end still listens.
    pub(crate) fn listens(&mut self, link: LinkId, end: End) -> bool {
        !self.direction_to(link, end).deaf
    }
}
