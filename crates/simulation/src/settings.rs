use std::sync::Arc;
use std::time::Duration;

use config::{Config, Environment};
use engine::Setup;
use mail::Zone;
use route::{Hours, LargeHours, RateUnit, SendRate};

use crate::Sabotage;
use crate::random::Random;
use crate::rules::{RULES, SCANNERS};
use crate::world::World;

/// What the relay's administrator decided once; a reload changes routes, never this.
pub(crate) struct Settings {
    /// The configuration file, but for what a reload changes.
    text: String,
    /// Little room for waiting messages, so that its limits are reached.
    cramped: bool,
    /// Some senders have routes of their own, which a reload changes, too.
    pub(crate) by_sender: bool,
    /// Mail for [`ON_DEMAND`](crate::domains::ON_DEMAND) waits until somebody asks for it.
    pub(crate) on_demand: bool,
    /// Scanners look at all mail.
    pub(crate) scanned: bool,
    /// How much may go to each site in a time.
    pub(crate) rate: Option<SendRate>,
    /// When mail goes to the routes of [`ROUTES_WITH_HOURS`].
    pub(crate) hours: Option<Hours>,
    /// When large messages go there.
    pub(crate) large_hours: Option<LargeHours>,
}

impl Settings {
    pub(crate) fn new(random: &mut Random) -> Self {
        let outbound = format!(
            "[outbound]\nmax_per_site = {}\nmax_connections = {}\nmessages_per_connection = {}\n",
            random.between(1, 3),
            random.between(2, 6),
            random.between(1, 5),
        );
        let on_demand = random.chance(30);
        let text = match on_demand {
            true => TEXT.replace("ASKS", ASKS),
            false => TEXT.replace("ASKS", ""),
        };
        let scanned = random.chance(40);
        let scanners = if scanned { SCANNERS } else { "" };
        let late = random.chance(40);
        let lates = if late { LATE } else { "" };
        Self {
            text: format!("{text}\n{outbound}\n{scanners}\n{RULES}\n{lates}"),
            on_demand,
            scanned,
            cramped: random.chance(40),
            by_sender: random.chance(40),
            rate: random.chance(30).then(|| rate(random)),
            hours: random.chance(30).then(|| hours(&SPANS)),
            large_hours: random.chance(30).then(|| LargeHours {
                over: LARGE_OVER,
                hours: hours(&LARGE_SPANS),
            }),
        }
    }

    /// What the relay runs by after so many reloads, which switch between routes.
    pub(crate) fn setup(&self, reloads: u32, world: &World) -> Arc<Setup> {
        let mut setup = Setup::new(self.config(reloads, world)).with_mechanisms(&["PLAIN"]);
        if self.cramped {
            setup.queue.ready_per_site_max = 4;
            setup.queue.ready_max = 6;
            setup.queue.load_batch = 3;
            setup.queue.content_bytes_max = 2_000;
        }
        if !world.is_broken_by(Sabotage::IgnoreRates) {
            setup.queue.site_rates = self.rate.into_iter().collect();
        }
        if world.is_broken_by(Sabotage::SendUnasked) {
            setup.queue.on_demand = Arc::default();
        }
        if world.is_broken_by(Sabotage::IgnoreLimits) {
            setup.queue.site_connections_max = 50;
        }
        Arc::new(setup)
    }

    fn config(&self, reloads: u32, world: &World) -> Config {
        let (route, retry) = match reloads % 3 {
            0 => (r#""[198.18.1.1]""#, r#""1m", "5m", "15m", "30m""#),
            1 => (r#"["[198.18.1.4]", "[198.18.1.1]"]"#, r#""2m", "10m""#),
            _ => (r#""pool""#, r#""1m", "5m", "20m""#),
        };
        let hours = match &self.hours {
            Some(_) if !world.is_broken_by(Sabotage::IgnoreHours) => format!("hours = {SPANS:?}"),
            Some(_) | None => String::new(),
        };
        let mut text = self.text.replace("ROUTE", route).replace("RETRY", retry);
        let large = match &self.large_hours {
            Some(_) if !world.is_broken_by(Sabotage::IgnoreLargeHours) => {
                format!("large = {{ over = \"{LARGE_OVER}B\", hours = {LARGE_SPANS:?} }}")
            }
            Some(_) | None => String::new(),
        };
        text = text.replace("HOURS", &format!("{hours}\n{large}"));
        if self.by_sender {
            text.push_str(SENDER_ROUTES[reloads as usize % SENDER_ROUTES.len()]);
        }
        match config::parse("gatepost.toml", &text, &Environment::default()) {
            Ok(loaded) => loaded.config,
            Err(why) => panic!("the simulation's own configuration is wrong: {why}\n{text}"),
        }
    }
}

/// By one after the other.
const SENDER_ROUTES: [&str; 3] = [
    r#"
[[sender_route]]
senders = "senders.example"
route = "brand"
"#,
    r#"
[[sender_route]]
senders = "*"
route = "brand"
[[sender_route]]
senders = ["senders.example", "s1@gone.example"]
route = "mx"
"#,
    r#"
[[sender_route]]
senders = "senders.example"
route = "[198.18.5.2]"
"#,
];

/// Nobody holds a message for want of an answer: all scanners answer at last.
const LATE: &str = "[screening]\nafter_above = \"600B\"\ngive_up = \"60d\"\n";

/// In so many minutes all mail of a run can go, and some of it has to wait.
const RATE_MINUTES: u64 = 10;

fn rate(random: &mut Random) -> SendRate {
    let (unit, most) = match random.chance(50) {
        true => (RateUnit::Messages, 3),
        false => (RateUnit::Recipients, 5),
    };
    SendRate {
        count: random.between(1, most) as u32,
        unit,
        per: Duration::from_secs(60 * RATE_MINUTES),
    }
}

/// Routes that are open at some hours only, where any are.
pub(crate) const ROUTES_WITH_HOURS: [&str; 2] = ["route:pool", "route:brand"];

/// A run begins at midnight: some end before mail may go, and some of it waits for the next day.
const SPANS: [&str; 3] = ["00:10-00:25", "01:00-01:20", "13:00-13:30"];

/// The same for messages of more octets.
const LARGE_SPANS: [&str; 3] = ["00:20-00:35", "02:00-02:20", "13:10-14:00"];
const LARGE_OVER: u64 = 1_000;

fn hours(spans: &[&str]) -> Hours {
    let spans = spans.iter().flat_map(|text| text.parse());
    Hours::new(spans.collect(), Zone::utc())
}

/// Who signs in by this name fetches mail on a connection of his own.
pub(crate) const FETCHER: &str = "office";

/// Every listed client may ask, the denied one among them.
const ASKS: &str =
    r#"on_demand = { clients = ["198.51.100.0/24"], users = ["office"], expire = "1d" }"#;

const TEXT: &str = r#"hostname = "relay.gate.example"

[listener.internet]
bind = "198.18.9.9:25"
auth = "optional"
max_sessions = 5
max_per_client = 1

[limits]
rate_per_client = { connections = "3/10m", messages = "4/10m", recipients = "12/10m" }
rate_per_network = { connections = "8/10m" }

[domain."hosted1.example"]
route = ROUTE

[domain."hosted2.example"]
route = ["[198.18.1.2]", "[198.18.1.3]"]
ASKS

[domain."hosted3.example"]

[domain."blocked.example"]
type = "blocked"

[route.pool]
hosts = ["[198.18.1.2]", { host = "[198.18.1.3]", weight = 3 }]
order = "spread"
HOURS

[route.brand]
hosts = "[198.18.5.1]"
HOURS

[pickup]
directory = "/pickup"

[relay]
pickup = true
allow = ["198.51.100.0/24", "*.friends.example"]
deny = ["198.51.100.66"]

[queue]
retry = [RETRY]
expire = "1d"
delay_notice = "3h"
"#;
