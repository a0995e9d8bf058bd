use std::collections::VecDeque;

use crate::client::Client;
use spool::Verb;

use crate::event::Event;
use crate::geography::{self, Class, Policy};
use crate::letter::Letter;
use crate::link::{End, LinkId};
use crate::network::{Parties, Piece};
use crate::relay::Relay;
use crate::server::Servers;
use crate::stage::Stage;
use crate::{Plan, Totals};

/// Steps after which a run is taken to go on for ever.
const STEPS_MAX: u64 = 400_000;
/// Steps between two crashes, at most.
const CRASH_WITHIN: u64 = 2_500;

/// The whole world.
pub(crate) struct World {
    stage: Stage,
    policy: Policy,
    /// None while it is down.
    relay: Option<Relay>,
    clients: Vec<Client>,
    servers: Servers,
    /// Which variant of the configuration is in force.
    variant: u32,
    /// Somebody holds and releases mail in this run.
    operator: bool,
    sessions: u64,
    steps: u64,
    /// At these steps the relay dies; the next one last.
    crashes: Vec<u64>,
}

impl World {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut stage = Stage::new(plan.seed, plan.trace, plan.sabotage);
        let policy = Policy::new(&mut stage.random);
        let relay = Some(Relay::start(&policy, 0, &mut stage));
        let mut world = Self {
            stage,
            policy,
            relay,
            clients: Vec::new(),
            servers: Servers::default(),
            variant: 0,
            operator: false,
            sessions: 0,
            steps: 0,
            crashes: Vec::new(),
        };
        let storm = world.plan_weather();
        world.plan_clients(storm);
        world
    }

    /// What befalls the world, and when it ends. Gives the length of the storm in milliseconds.
    fn plan_weather(&mut self) -> u64 {
        const HOUR: u64 = 3_600_000;
        let Stage { clock, random, .. } = &mut self.stage;
        let storm = match random.below(10) {
            0 => random.between(26 * HOUR, 40 * HOUR),
            1 | 2 => random.between(4 * HOUR, 8 * HOUR),
            _ => random.between(HOUR / 20, 2 * HOUR),
        };
        clock.after_millis(storm, Event::Fine);
        // A short storm never has a domain down for so long that senders must be told.
        for _ in 0..random.below(3) {
            self.servers.take_down(geography::servers_of_one(random));
        }
        for _ in 0..random.below(3) {
            clock.after_millis(random.below(storm), Event::Reload);
        }
        for _ in 0..random.below(2) {
            let from = random.below(storm);
            clock.after_millis(from, Event::Space { low: true });
            clock.after_millis(from + random.below(HOUR), Event::Space { low: false });
        }
        let mut at = 0;
        for _ in 0..random.below(6) {
            at += random.between(1, CRASH_WITHIN);
            self.crashes.insert(0, at);
        }
        if self.stage.random.chance(35) {
            self.plan_operator(storm);
        }
        storm
    }

    /// An administrator with a hand in everything. Only in some runs: whoever looks at everything
    /// anew also finds what the queue forgot.
    fn plan_operator(&mut self, storm: u64) {
        self.operator = true;
        let Stage { clock, random, .. } = &mut self.stage;
        for _ in 0..random.between(1, 3) {
            let host = random.pick(&geography::HOSTED);
            let from = random.below(storm);
            for verb in [Verb::Hold, Verb::Retry, Verb::Release] {
                clock.after_millis(from + random.below(storm), Event::Operator { host, verb });
            }
        }
    }

    fn plan_clients(&mut self, storm: u64) {
        let Stage {
            clock,
            random,
            ledger,
            ..
        } = &mut self.stage;
        for index in 0..random.size(2, 6) {
            let class = *random.pick(&[
                Class::Stranger,
                Class::Stranger,
                Class::Listed,
                Class::Listed,
                Class::Friend,
                Class::Denied,
            ]);
            let mut letters = VecDeque::new();
            for _ in 0..random.size(1, 5) {
                let number = ledger.letters.len();
                ledger.letters.push(Letter::new(number, class, random));
                letters.push_back(number);
            }
            self.clients.push(Client::new(index, class, letters));
            let within = storm.min(3_600_000) * 2 / 3;
            clock.after_millis(random.below(within), Event::ClientComes(index));
        }
    }

    /// Runs until nothing more can happen.
    pub(crate) fn run(mut self) -> Result<(Totals, u64), String> {
        while let Some(event) = self.stage.clock.next() {
            self.steps += 1;
            if self.crashes.last().is_some_and(|at| *at <= self.steps) {
                self.crashes.pop();
                self.crash();
            }
            self.step(event);
            self.fold_digest();
            if let Some(why) = self.stage.ledger.violation() {
                return Err(self.failure(why));
            }
            if self.steps > STEPS_MAX {
                return Err(self.failure("no end in sight"));
            }
        }
        self.check_end();
        match self.stage.ledger.violation() {
            Some(why) => Err(self.failure(why)),
            None => Ok(self.totals()),
        }
    }

    fn totals(mut self) -> (Totals, u64) {
        let days = self.stage.clock.elapsed().as_secs() / 86_400;
        let Stage {
            totals,
            network,
            digest,
            ..
        } = &mut self.stage;
        totals.add("steps", self.steps);
        totals.add("days of virtual time", days);
        totals.add("connections cut", network.cuts);
        (std::mem::take(totals), *digest)
    }

    fn failure(&self, why: &str) -> String {
        format!("at step {}, {}: {why}", self.steps, self.stage.now())
    }

    fn fold_digest(&mut self) {
        let drawn = self.stage.random.next();
        let now = self.stage.now().as_millis();
        self.stage.digest = self.stage.digest.rotate_left(7) ^ drawn ^ now;
    }

    fn check_end(&mut self) {
        let stage = &mut self.stage;
        if let Some(client) = self.clients.iter().find(|client| client.has_work()) {
            stage
                .ledger
                .violate(format!("client {} still has letters", client.index));
        }
        match &self.relay {
            Some(relay) => relay.check_quiet(stage),
            None => stage
                .ledger
                .violate("the relay was not started again".into()),
        }
        let now = stage.now();
        stage.ledger.on_end(&stage.spool, now, &mut stage.totals);
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrive { link, to } => self.on_arrival(link, to),
            Event::ClientComes(client) => self.on_client(client),
            Event::ClientTires { client, link, step } => {
                self.clients[client].on_tired(link, step, &mut self.stage);
            }
            Event::Restart => {
                self.stage.note("the relay starts again");
                self.relay = Some(Relay::start(&self.policy, self.variant, &mut self.stage));
                self.release_all();
            }
            Event::Reload => self.reload(),
            Event::Operator { host, verb } => self.on_operator(host, verb),
            Event::Space { low } => {
                self.stage.totals.count("disk nearly full, or no longer");
                self.stage.spool.set_low_space(low);
                if let Some(relay) = &mut self.relay {
                    relay.on_space(&mut self.stage);
                }
            }
            Event::Fine => {
                self.stage.note("the weather is fine");
                self.stage.storm = false;
                self.release_all();
            }
            Event::Relay { life, event } if life == self.stage.life => {
                if let Some(relay) = &mut self.relay {
                    relay.on_inner(event, &mut self.servers, &mut self.stage);
                    relay.check_limits(&self.policy, &mut self.stage);
                }
            }
            Event::Relay { .. } => {}
        }
    }

    fn on_arrival(&mut self, link: LinkId, to: End) {
        let Some(parties) = self.stage.network.parties(link) else {
            return;
        };
        let Some((piece, marks)) = self.stage.network.arrive(link, to) else {
            return;
        };
        for take in marks {
            self.stage.ledger.on_answer(take);
        }
        match (to, parties, piece) {
            (End::Ours, parties, piece) => {
                if let Some(relay) = &mut self.relay {
                    relay.on_arrival(link, parties, piece, &mut self.stage);
                }
            }
            (End::Theirs, Parties::Incoming { client, .. }, Piece::Octets(octets)) => {
                self.clients[client].on_octets(link, &octets, &mut self.stage);
            }
            (End::Theirs, Parties::Incoming { client, .. }, Piece::End) => {
                self.clients[client].on_end(link, &mut self.stage);
            }
            (End::Theirs, Parties::Outgoing { .. }, Piece::Octets(octets)) => {
                self.servers.on_octets(link, &octets, &mut self.stage);
            }
            (End::Theirs, Parties::Outgoing { .. }, Piece::End) => {
                self.servers.on_end(link, &mut self.stage);
            }
        }
    }

    fn on_client(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(relay) = &mut self.relay else {
            return client.on_refused(&mut self.stage);
        };
        self.sessions += 1;
        let session = self.sessions;
        let link = self.stage.connect(Parties::Incoming {
            client: index,
            session,
        });
        self.stage.note(format_args!(
            "client {index}: link {link}, session {session}"
        ));
        client.on_connected(link, &mut self.stage);
        relay.on_connected(session, link, client.class.address(index), &mut self.stage);
    }

    fn on_operator(&mut self, host: &'static str, verb: Verb) {
        match &mut self.relay {
            // Nobody would release it any more.
            _ if verb == Verb::Hold && !self.stage.storm => {}
            Some(relay) => relay.on_operator(host, verb, &mut self.stage),
            None => {
                let later = Event::Operator { host, verb };
                self.stage.clock.after_millis(60_000, later);
            }
        }
    }

    fn reload(&mut self) {
        self.variant += 1;
        self.stage.totals.count("reloads");
        self.stage.note("the configuration is reloaded");
        if let Some(relay) = &mut self.relay {
            relay.reload(&self.policy, self.variant, &mut self.stage);
        }
    }

    /// In the end the administrator lets go of all that was held; a crash may have swallowed an
    /// earlier word.
    fn release_all(&mut self) {
        if self.operator && !self.stage.storm {
            for host in geography::HOSTED {
                let release = Event::Operator {
                    host,
                    verb: Verb::Release,
                };
                self.stage.clock.after_millis(120_000, release);
            }
        }
    }

    fn crash(&mut self) {
        let Some(relay) = self.relay.take() else {
            return;
        };
        let stage = &mut self.stage;
        stage.totals.count("crashes");
        stage.note("the relay dies");
        stage.network.crash(&mut stage.clock, &mut stage.random);
        // Before the spool comes back: what surfaces then belongs to the next life.
        stage.life += 1;
        stage.ledger.on_crash();
        relay.crash(stage);
        let pause = stage.random.between(10, 120_000);
        stage.clock.after_millis(pause, Event::Restart);
    }
}
