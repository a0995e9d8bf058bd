use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;
use spool::Verb;

use crate::checker::Pace;
use crate::client::Client;
use crate::domains::{self, Class};
use crate::fetcher::{Fetcher, Turn};
use crate::relay::Relay;
use crate::server::Server;
use crate::settings::Settings;
use crate::submission::Submission;
use crate::wish::Wish;
use crate::world::{Event, Owner, RelayEvent, SocketId, World, peer};
use crate::{Plan, Run, Sabotage};

/// Steps after which a run is taken to go on for ever.
const STEPS_MAX: u64 = 400_000;
/// Steps between two crashes, at most.
const CRASH_WITHIN: u64 = 2_500;
const HOUR_MILLIS: u64 = 3_600_000;
/// So long after the last fault everything has come to rest: what waits is older than
/// `queue.expire` by then, and every route was open since.
const REST: Duration = Duration::from_secs(4 * 86_400);

/// One run: the relay, its clients and servers, and the world between them.
pub(crate) struct Simulation {
    world: World,
    settings: Settings,
    /// None while it is down.
    relay: Option<Relay>,
    clients: Vec<Client>,
    servers: BTreeMap<SocketId, Server>,
    /// Who fetches mail, until the connection is turned around.
    fetchers: BTreeMap<SocketId, Fetcher>,
    /// How often the configuration was reloaded.
    reloads: u32,
    /// Somebody holds and releases mail in this run.
    operator: bool,
    steps: u64,
    /// When nothing failed any more.
    healed: Option<Duration>,
    /// At these steps the relay dies; the next one last.
    crashes: Vec<u64>,
    /// Changes with every step: two runs of one seed must end with the same.
    digest: u64,
}

impl Simulation {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut world = World::new(plan);
        let settings = Settings::new(&mut world.random);
        world.checker.pace = Pace::new(settings.rate, settings.by_sender);
        world.checker.hours = settings.hours.clone();
        world.checker.large_hours = settings.large_hours.clone();
        world.checker.scanned = settings.scanned;
        world.checker.asked = settings.on_demand.then_some(Timestamp::default());
        let relay = Some(Relay::start(settings.setup(0, &world), &mut world));
        let mut simulation = Self {
            world,
            settings,
            relay,
            clients: Vec::new(),
            servers: BTreeMap::new(),
            fetchers: BTreeMap::new(),
            reloads: 0,
            operator: false,
            steps: 0,
            healed: None,
            crashes: Vec::new(),
            digest: 0,
        };
        let faulty_millis = simulation.plan_faults();
        simulation.plan_clients(faulty_millis);
        simulation
    }

    /// What goes wrong from outside, and when that ends. Gives the time until then in milliseconds.
    fn plan_faults(&mut self) -> u64 {
        let random = &mut self.world.random;
        let end = match random.below(10) {
            0 => random.between(26 * HOUR_MILLIS, 40 * HOUR_MILLIS),
            1 | 2 => random.between(4 * HOUR_MILLIS, 8 * HOUR_MILLIS),
            _ => random.between(HOUR_MILLIS / 20, 2 * HOUR_MILLIS),
        };
        self.world.after(end, Event::FaultsEnd);
        // Where that comes soon, no domain is down for so long that senders must be told.
        for _ in 0..self.world.random.below(3) {
            let servers = domains::servers_of_one(&mut self.world.random);
            self.world.down.extend(servers);
        }
        for _ in 0..self.world.random.below(3) {
            self.world.within(end, Event::Reload);
        }
        for _ in 0..self.world.random.below(2) {
            self.world.within(end, Event::Space { low: true });
        }
        let mut at = 0;
        for _ in 0..self.world.random.below(6) {
            at += self.world.random.between(1, CRASH_WITHIN);
            self.crashes.insert(0, at);
        }
        if self.settings.on_demand {
            for _ in 0..self.world.random.below(4) {
                self.world.within(end, Event::Fetch);
            }
        }
        if self.world.random.chance(35) {
            self.plan_operator(end);
        }
        end
    }

    /// An administrator with a hand in everything. Only in some runs: whoever looks at everything
    /// anew also finds what the queue forgot.
    fn plan_operator(&mut self, end: u64) {
        self.operator = true;
        let most = self.world.random.size(1, 4);
        self.world.spool.set_part_max(most);
        for _ in 0..self.world.random.size(1, 3) {
            let host = *self.world.random.pick(&domains::HOSTED);
            for verb in Verb::ALL {
                let wish = Wish::at(host, verb, &mut self.world.random);
                self.plan_wish(wish, end);
            }
        }
        for _ in 0..self.world.random.size(0, 6) {
            let wish = Wish::random(&mut self.world.random);
            self.plan_wish(wish, end);
        }
    }

    fn plan_wish(&mut self, wish: Wish, within: u64) {
        let number = self.world.checker.wish(wish);
        self.world.within(within, Event::Operator(number));
    }

    /// Programs of this machine put files into the pickup directory.
    fn plan_files(&mut self, within: u64) {
        let World {
            random, checker, ..
        } = &mut self.world;
        if !random.chance(30) {
            return;
        }
        let first = checker.submissions.len();
        let numbers = first..first + random.size(1, 4);
        for number in numbers.clone() {
            let message = Submission::of_file(number, random);
            checker.submissions.push(Arc::new(message));
        }
        for number in numbers {
            self.world.within(within, Event::FileAppears(number));
        }
    }

    fn plan_clients(&mut self, faulty_millis: u64) {
        let World {
            random, checker, ..
        } = &mut self.world;
        for index in 0..random.size(2, 6) {
            let class = Class::pick(random);
            let first = checker.submissions.len();
            for number in first..first + random.size(1, 5) {
                let message = Submission::new(number, class, random);
                checker.submissions.push(Arc::new(message));
            }
            let client = Client::new(index, class, &checker.submissions[first..]);
            self.clients.push(client);
        }
        let within = faulty_millis.min(HOUR_MILLIS) * 2 / 3;
        for index in 0..self.clients.len() {
            self.world.within(within, Event::ClientConnects(index));
        }
        self.plan_files(within);
    }

    /// Runs until nothing more can happen.
    pub(crate) fn run(mut self) -> Result<Run, String> {
        while let Some(event) = self.world.clock.next() {
            if self.is_at_rest(&event) {
                break;
            }
            self.steps += 1;
            if self.crashes.pop_if(|at| *at <= self.steps).is_some() {
                self.crash();
            }
            self.step(event);
            let now = self.world.now().as_millis();
            self.digest = self.digest.rotate_left(7) ^ self.world.random.next() ^ now;
            self.check()?;
            if self.steps > STEPS_MAX {
                self.world.violate("no end in sight".into());
            }
        }
        self.check_end();
        self.check()?;
        let mut totals = std::mem::take(&mut self.world.checker.totals);
        totals.add("steps", self.steps);
        let days = self.world.clock.elapsed().as_secs() / 86_400;
        totals.add("days of virtual time", days);
        let digest = self.digest;
        Ok(Run { totals, digest })
    }

    /// Whether nothing is left but that routes open and close, which has no end.
    fn is_at_rest(&self, event: &Event) -> bool {
        let is_turn = |event: &Event| matches!(event, Event::Relay(RelayEvent::Turn));
        let clock = &self.world.clock;
        let is_over = self.healed.is_some_and(|at| clock.elapsed() > at + REST);
        let Settings {
            hours, large_hours, ..
        } = &self.settings;
        let have_hours = hours.is_some() || large_hours.is_some();
        is_over && have_hours && is_turn(event) && clock.has_only(is_turn)
    }

    fn check(&self) -> Result<(), String> {
        let (step, now) = (self.steps, self.world.now());
        let violation = self.world.checker.violation();
        violation.map_or(Ok(()), |why| Err(format!("at step {step}, {now}: {why}")))
    }

    fn check_end(&mut self) {
        if let Some(client) = self.clients.iter().find(|client| client.has_work()) {
            let what = format!("client {} still has messages", client.index);
            self.world.violate(what);
        }
        match &self.relay {
            Some(relay) => relay.check_quiet(&mut self.world),
            None => self.world.violate("the relay was not started again".into()),
        }
        for number in self.world.folder.numbers() {
            self.world.violate(format!("file {number} is still there"));
        }
        let now = self.world.now();
        self.world.checker.on_end(&self.world.spool, now);
    }

    fn step(&mut self, event: Event) {
        let world = &mut self.world;
        match event {
            Event::Arrival(socket) => self.on_arrival(socket),
            Event::ClientConnects(client) => self.on_client(client),
            Event::ClientTimeout(client, socket, step) => {
                self.clients[client].on_timeout(socket, step, world);
            }
            Event::Accept(socket) => {
                self.servers.insert(socket, Server::new(socket, world));
            }
            Event::FileAppears(number) => {
                world.folder.put(number);
                if self.relay.is_some() {
                    world.within(3_000, RelayEvent::PickUp(number));
                }
            }
            Event::Fetch => self.fetch(),
            Event::FetcherTimeout(socket, step) => {
                let fetcher = self.fetchers.get(&socket);
                if fetcher.is_some_and(|fetcher| fetcher.step == step) {
                    self.fetchers.remove(&socket);
                    world.close(socket);
                }
            }
            Event::Restart => {
                world.note("the relay starts again");
                let setup = self.settings.setup(self.reloads, world);
                self.relay = Some(Relay::start(setup, world));
                self.release_all();
            }
            Event::Reload => self.reload(),
            Event::Operator(wish) => self.on_operator(wish),
            Event::Crash => self.crash(),
            Event::Space { low } => {
                world.count("disk nearly full, or no longer");
                world.spool.set_low_space(low);
                if low {
                    world.within(HOUR_MILLIS, Event::Space { low: false });
                }
                if self.relay.is_some() {
                    world.look_after_disk();
                }
            }
            Event::FaultsEnd => {
                world.note("the faults end");
                world.faulty = false;
                self.healed = Some(world.clock.elapsed());
                self.release_all();
            }
            Event::Relay(event) => {
                if let Some(relay) = &mut self.relay {
                    relay.on_event(event, world);
                    relay.check_limits(world);
                }
            }
        }
    }

    fn on_arrival(&mut self, socket: SocketId) {
        let world = &mut self.world;
        let Some(octets) = world.arrive(socket) else {
            return;
        };
        match world.owner(socket) {
            Owner::Session | Owner::Agent => {
                if let Some(relay) = &mut self.relay {
                    relay.on_arrival(socket, octets, world);
                }
            }
            Owner::Pickup => {
                if let Some(relay) = &mut self.relay {
                    relay.on_reply_to_file(socket, &octets, world);
                }
            }
            Owner::Client(client) => self.clients[client].on_arrival(socket, &octets, world),
            Owner::Fetcher => self.on_fetcher(socket, &octets),
            Owner::Server => {
                if let Some(server) = self.servers.get_mut(&socket) {
                    server.on_arrival(&octets, world);
                }
            }
        }
    }

    fn on_client(&mut self, index: usize) {
        let (client, world) = (&mut self.clients[index], &mut self.world);
        let Some(relay) = &mut self.relay else {
            return client.come_again(world);
        };
        let socket = world.connect(Owner::Session, Owner::Client(index));
        world.note(format_args!("client {index}: session {socket}"));
        client.on_connected(peer(socket), world);
        let is_open = world.is_broken_by(Sabotage::OpenRelay);
        let class = if is_open { Class::Listed } else { client.class };
        relay.on_connected(socket, class.address(index), world);
    }

    /// Somebody comes to fetch his mail, if the relay is there.
    fn fetch(&mut self) {
        let world = &mut self.world;
        let Some(relay) = &mut self.relay else {
            return;
        };
        let socket = world.connect(Owner::Session, Owner::Fetcher);
        world.note(format_args!("a fetcher: session {socket}"));
        let own = peer(socket);
        let fetcher = Fetcher::new(own, world);
        world.after(fetcher.patience_millis, Event::FetcherTimeout(own, 0));
        self.fetchers.insert(own, fetcher);
        relay.on_connected(socket, domains::fetcher(), world);
        relay.check_limits(world);
    }

    fn on_fetcher(&mut self, socket: SocketId, octets: &[u8]) {
        let world = &mut self.world;
        let Some(fetcher) = self.fetchers.get_mut(&socket) else {
            return;
        };
        let turn = fetcher.on_arrival(octets, world);
        let timeout = Event::FetcherTimeout(socket, fetcher.step);
        match turn {
            Turn::Not => return world.after(fetcher.patience_millis, timeout),
            Turn::Around => {
                world.become_server(socket);
                self.servers.insert(socket, Server::new(socket, world));
            }
            Turn::Over => world.close(socket),
        }
        self.fetchers.remove(&socket);
    }

    fn on_operator(&mut self, number: usize) {
        // Nobody would release it any more, or lead it back.
        let is_late = !self.world.faulty && self.world.checker.wish_of(number).detains();
        match &mut self.relay {
            _ if is_late => {}
            Some(relay) => relay.on_operator(number, &mut self.world),
            None => self.world.after(60_000, Event::Operator(number)),
        }
    }

    fn reload(&mut self) {
        self.reloads += 1;
        self.world.count("reloads");
        self.world.note("the configuration is reloaded");
        if let Some(relay) = &mut self.relay {
            let setup = self.settings.setup(self.reloads, &self.world);
            relay.reload(setup, &mut self.world);
        }
    }

    /// In the end the administrator lets go of all that was held; a crash may have swallowed an
    /// earlier word.
    fn release_all(&mut self) {
        if self.operator && !self.world.faulty {
            for verb in [Verb::Reroute, Verb::Release] {
                let number = self.world.checker.wish(Wish::for_all(verb));
                self.world.after(120_000, Event::Operator(number));
            }
        }
    }

    fn crash(&mut self) {
        if self.relay.take().is_some() {
            self.world.count_half_done();
            self.world.crash();
            let pause = self.world.random.between(10, 120_000);
            self.world.after(pause, Event::Restart);
        }
    }
}
