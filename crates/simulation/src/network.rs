use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mail::Timestamp;

use crate::clock::Clock;
use crate::event::Event;
use crate::link::{End, LinkId};
use crate::random::Random;

/// Who talks to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parties {
    /// A client with a session of ours.
    Incoming { client: usize, session: u64 },
    /// An agent of ours with a server.
    Outgoing { agent: u64 },
}

/// What reaches an end.
pub(crate) enum Piece {
    Octets(Vec<u8>),
    End,
}

/// One direction of a connection.
#[derive(Default)]
struct Flight {
    pieces: VecDeque<Piece>,
    last_arrival: Timestamp,
    sent: u64,
    arrived: u64,
    /// After so many octets the connection breaks.
    cut_at: Option<u64>,
    ended: bool,
    /// Places in the stream that somebody wants to know the arrival of.
    marks: VecDeque<(u64, u64)>,
}

struct Link {
    parties: Parties,
    /// What is on its way in each direction, by the end that sent it (`End as usize`).
    flights: [Flight; 2],
    /// Hears nothing any more.
    deaf: [bool; 2],
    /// The largest piece that travels at once.
    piece_max: usize,
    delay_max: u64,
}

/// How rough a connection is.
pub(crate) struct Roughness {
    /// In so many of a hundred connections the line breaks at some octet.
    pub(crate) cuts_percent: u64,
}

/// All connections. Octets arrive in order, in pieces cut anywhere, after any delay; or the
/// connection breaks at any octet.
#[derive(Default)]
pub(crate) struct Network {
    links: BTreeMap<LinkId, Link>,
    last: LinkId,
    pub(crate) cuts: u64,
}

/// Octets within which a connection that is to break does so.
const CUT_WITHIN: u64 = 1500;

impl Network {
    pub(crate) fn connect(
        &mut self,
        parties: Parties,
        rough: &Roughness,
        random: &mut Random,
    ) -> LinkId {
        self.last += 1;
        let piece_max = *random.pick(&[usize::MAX, usize::MAX, usize::MAX, 300, 40, 7]);
        let delay_max = *random.pick(&[0, 5, 50, 2000]);
        let mut flights = [Flight::default(), Flight::default()];
        if random.chance(rough.cuts_percent) {
            flights[random.below(2) as usize].cut_at = Some(random.below(CUT_WITHIN));
        }
        self.links.insert(
            self.last,
            Link {
                parties,
                flights,
                deaf: [false; 2],
                piece_max,
                delay_max,
            },
        );
        self.last
    }

    pub(crate) fn parties(&self, link: LinkId) -> Option<Parties> {
        self.links.get(&link).map(|link| link.parties)
    }

    /// Sends octets. On a connection that is closed or broken they are lost, as they are for a
    /// socket.
    pub(crate) fn write(
        &mut self,
        link: LinkId,
        from: End,
        octets: &[u8],
        clock: &mut Clock,
        random: &mut Random,
    ) {
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        let flight = &mut state.flights[from as usize];
        if flight.ended {
            return;
        }
        let whole = octets.len() as u64;
        let room = flight
            .cut_at
            .map_or(whole, |cut| cut.saturating_sub(flight.sent).min(whole));
        flight.sent += room;
        let mut rest = &octets[..room as usize];
        // Small pieces of large content prove nothing new and take long.
        let piece_max = if rest.len() > 4000 {
            rest.len() / 4
        } else {
            state.piece_max
        };
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(random.size(1, piece_max).min(rest.len()));
            flight.pieces.push_back(Piece::Octets(piece.to_vec()));
            rest = more;
            schedule(link, flight, from.other(), state.delay_max, clock, random);
        }
        if room < whole {
            self.cuts += 1;
            self.end(link, End::Ours, clock, random);
            self.end(link, End::Theirs, clock, random);
        }
    }

    /// One end closes: the other hears it after what is under way.
    pub(crate) fn close(&mut self, link: LinkId, by: End, clock: &mut Clock, random: &mut Random) {
        if let Some(state) = self.links.get_mut(&link) {
            state.deaf[by as usize] = true;
            self.end(link, by, clock, random);
            self.forget_when_over(link);
        }
    }

    fn end(&mut self, link: LinkId, from: End, clock: &mut Clock, random: &mut Random) {
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        let flight = &mut state.flights[from as usize];
        if !flight.ended {
            flight.ended = true;
            flight.pieces.push_back(Piece::End);
            schedule(link, flight, from.other(), state.delay_max, clock, random);
        }
    }

    /// The relay dies: its ends close, and what it had sent may be lost.
    pub(crate) fn crash(&mut self, clock: &mut Clock, random: &mut Random) {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            if let Some(state) = self.links.get_mut(&link)
                && random.chance(50)
            {
                // Their arrivals stay entered, and find nothing.
                state.flights[End::Ours as usize].pieces.clear();
            }
            self.close(link, End::Ours, clock, random);
        }
    }

    /// What arrives at `to` now, and the marks that it reaches; nothing when it was lost or nobody
    /// listens.
    pub(crate) fn arrive(&mut self, link: LinkId, to: End) -> Option<(Piece, Vec<u64>)> {
        let state = self.links.get_mut(&link)?;
        let flight = &mut state.flights[to.other() as usize];
        let piece = flight.pieces.pop_front()?;
        let heard = !state.deaf[to as usize];
        let mut reached = Vec::new();
        if let Piece::Octets(octets) = &piece {
            flight.arrived += octets.len() as u64;
            while let Some((_, mark)) = flight.marks.pop_front_if(|(at, _)| *at <= flight.arrived) {
                reached.push(mark);
            }
        }
        self.forget_when_over(link);
        heard.then_some((piece, reached))
    }

    /// Tells when what `from` has sent so far has arrived.
    pub(crate) fn mark(&mut self, link: LinkId, from: End, mark: u64) {
        if let Some(state) = self.links.get_mut(&link) {
            let flight = &mut state.flights[from as usize];
            flight.marks.push_back((flight.sent, mark));
        }
    }

    /// Whether all that `from` wrote could be sent: no cut came first.
    pub(crate) fn is_open(&self, link: LinkId, from: End) -> bool {
        self.links
            .get(&link)
            .is_some_and(|state| !state.flights[from as usize].ended)
    }

    /// Whether this end still listens.
    pub(crate) fn listens(&self, link: LinkId, end: End) -> bool {
        self.links
            .get(&link)
            .is_some_and(|state| !state.deaf[end as usize])
    }

    fn forget_when_over(&mut self, link: LinkId) {
        let over = self.links.get(&link).is_some_and(|state| {
            state
                .flights
                .iter()
                .all(|flight| flight.ended && flight.pieces.is_empty())
        });
        if over {
            self.links.remove(&link);
        }
    }
}

fn schedule(
    link: LinkId,
    flight: &mut Flight,
    to: End,
    delay_max: u64,
    clock: &mut Clock,
    random: &mut Random,
) {
    let delay = Duration::from_millis(random.between(0, delay_max));
    flight.last_arrival = flight.last_arrival.max(clock.now() + delay);
    clock.at(flight.last_arrival, Event::Arrive { link, to });
}
