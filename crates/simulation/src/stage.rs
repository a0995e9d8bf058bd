use std::fmt::Display;

use mail::{QueueId, Timestamp};
use spool::Model;

use crate::Sabotage;
use crate::clock::Clock;
use crate::event::{Event, Inner};
use crate::ledger::Ledger;
use crate::link::{End, LinkId};
use crate::network::{Network, Parties, Roughness};
use crate::random::Random;
use crate::totals::Totals;

/// What everybody in the world has to do with: time, chance, connections, the disk, and the ledger
/// of what happened.
pub(crate) struct Stage {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) network: Network,
    pub(crate) spool: Model,
    pub(crate) ledger: Ledger,
    pub(crate) totals: Totals,
    /// Bad weather: everything may fail. It ends at some time.
    pub(crate) storm: bool,
    /// So many of a hundred commits go wrong in bad weather. None in some runs: a healed disk makes
    /// the queue look at everything anew.
    pub(crate) disk_faults_percent: u64,
    pub(crate) sabotage: Option<Sabotage>,
    /// Which run of the relay this is.
    pub(crate) life: u64,
    pub(crate) tracing: bool,
    /// Changes with every step: two runs of one seed must end with the same.
    pub(crate) digest: u64,
}

impl Stage {
    pub(crate) fn new(seed: u64, tracing: bool, sabotage: Option<Sabotage>) -> Self {
        let mut random = Random::new(seed);
        Self {
            clock: Clock::new(),
            disk_faults_percent: *random.pick(&[0, 0, 3, 6]),
            random,
            network: Network::default(),
            spool: Model::new(),
            ledger: Ledger::default(),
            totals: Totals::default(),
            storm: true,
            sabotage,
            life: 0,
            tracing,
            digest: 0,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Something that goes wrong in so many of a hundred cases, in bad weather.
    pub(crate) fn mishap(&mut self, percent: u64) -> bool {
        self.storm && self.random.chance(percent)
    }

    /// Something within this life of the relay, so many milliseconds from now.
    pub(crate) fn within(&mut self, millis: u64, event: Inner) {
        let life = self.life;
        self.clock
            .after_millis(millis, Event::Relay { life, event });
    }

    /// The same, at a time.
    pub(crate) fn within_at(&mut self, at: Timestamp, event: Inner) {
        let life = self.life;
        self.clock.at(at, Event::Relay { life, event });
    }

    pub(crate) fn new_id(&mut self) -> QueueId {
        let random = u128::from(self.random.next()) << 64 | u128::from(self.random.next());
        QueueId::new(self.now(), random)
    }

    pub(crate) fn connect(&mut self, parties: Parties) -> LinkId {
        let rough = Roughness {
            cuts_percent: if self.storm { 12 } else { 0 },
        };
        self.network.connect(parties, &rough, &mut self.random)
    }

    pub(crate) fn write(&mut self, link: LinkId, from: End, octets: &[u8]) {
        if self.tracing {
            for line in String::from_utf8_lossy(octets).lines().take(12) {
                self.note(format_args!(
                    "link {link} {from:?}: {}",
                    line.escape_debug()
                ));
            }
        }
        self.network
            .write(link, from, octets, &mut self.clock, &mut self.random);
    }

    pub(crate) fn close(&mut self, link: LinkId, by: End) {
        self.note(format_args!("link {link} {by:?}: closes"));
        self.network
            .close(link, by, &mut self.clock, &mut self.random);
    }

    /// A line of the trace.
    pub(crate) fn note(&self, line: impl Display) {
        if self.tracing {
            println!("{} {line}", self.now());
        }
    }
}
