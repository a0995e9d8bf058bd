use std::net::IpAddr;
use std::time::Duration;

use mail::{Domain, Mailbox, ReversePath, Timestamp};
use proptest::prelude::*;
use relay_policy::{Approach, Familiar, Greylisted};

use crate::{Deed, History, Kind, Settings, Subject};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000_000 + 1000 * seconds)
}

fn approach(client: &str, sender: &str, recipient: &str) -> Approach {
    Approach {
        client: client.parse().unwrap(),
        sender: ReversePath::parse(sender).unwrap(),
        recipient: Mailbox::parse(recipient).unwrap(),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// Ann writes to Bob.
fn ann(client: &str) -> Approach {
    approach(client, "ann@out.test", "bob@ours.test")
}

/// What is said, in a word or two.
fn said(greylisted: Greylisted) -> String {
    match greylisted {
        Greylisted::Waits { seconds, since } => {
            let since = since.map_or_else(|| "now".into(), |since| since.as_secs().to_string());
            format!("waits {seconds}, seen {since}")
        }
        Greylisted::Passes(Familiar::Triplet) => "known".to_owned(),
        Greylisted::Passes(Familiar::Retried { after }) => {
            format!("retried after {}", after.as_secs())
        }
        Greylisted::Passes(Familiar::Network { network, times }) => format!("{network} {times}"),
        Greylisted::Passes(Familiar::SenderDomain(domain)) => domain.to_string(),
    }
}

struct World {
    history: History,
    settings: Settings,
}

impl World {
    fn new() -> Self {
        let settings = Settings::default();
        Self {
            history: History::new(settings.max_entries),
            settings,
        }
    }

    fn ask(&mut self, approach: &Approach, proven: bool, seconds: u64) -> String {
        let looked = self.look(approach, proven, seconds);
        let asked = self
            .history
            .ask(&self.settings, approach, proven, at(seconds));
        let asked = said(asked);
        assert_eq!(looked, asked, "both say the same");
        asked
    }

    fn look(&self, approach: &Approach, proven: bool, seconds: u64) -> String {
        let history = &self.history;
        said(history.look(&self.settings, approach, proven, at(seconds)))
    }

    fn taken(&mut self, client: &str, domain: Option<&Domain>, seconds: u64) {
        let client = address(client);
        self.history
            .taken(&self.settings, client, domain, at(seconds));
    }

    fn did(&mut self, client: &str, domain: Option<&Domain>, deed: Deed, seconds: u64) {
        let client = address(client);
        self.history
            .did(&self.settings, client, domain, deed, at(seconds));
    }

    fn worth(&self, client: &str, of: &str, seconds: u64) -> (i32, i32) {
        let (client, domain) = (address(client), domain(of));
        let settings = &self.settings;
        let worth = self
            .history
            .reputation(settings, client, Some(&domain), at(seconds));
        (worth.client, worth.domain)
    }
}

#[test]
fn whoever_comes_again_in_time_passes_and_is_known_from_then_on() {
    let mut world = World::new();
    let ann = ann("203.0.113.9");
    assert_eq!(world.ask(&ann, false, 0), "waits 300, seen now");
    assert_eq!(world.ask(&ann, false, 60), "waits 240, seen 60");
    assert_eq!(world.ask(&ann, false, 299), "waits 1, seen 299");
    // Another host of the same network, and another case.
    let other = approach("203.0.113.77", "Ann@OUT.test", "Bob@ours.test");
    assert_eq!(world.ask(&other, false, 300), "retried after 300");
    assert_eq!(world.ask(&ann, false, 301), "known");
    // Not so with another sender, recipient or network.
    for (client, sender, recipient) in [
        ("203.0.113.9", "eve@out.test", "bob@ours.test"),
        ("203.0.113.9", "ann@out.test", "carl@ours.test"),
        ("203.0.114.9", "ann@out.test", "bob@ours.test"),
        ("203.0.113.9", "", "bob@ours.test"),
    ] {
        let stranger = approach(client, sender, recipient);
        assert_eq!(world.ask(&stranger, false, 400), "waits 300, seen now");
    }
    // It is kept from the last time that it was seen.
    assert_eq!(world.ask(&ann, false, 30 * DAY), "known");
    assert_eq!(world.ask(&ann, false, 66 * DAY), "known");
    assert_eq!(world.ask(&ann, false, 102 * DAY + 1), "waits 300, seen now");
}

#[test]
fn a_sender_that_is_another_one_for_each_message_is_known_all_the_same() {
    let mut world = World::new();
    for (number, tag) in [(1, "2105a1b2c3"), (2, "2119ffeedd")] {
        let batv = format!("prvs={tag}=ann@out.test");
        let verp = format!("list-return-{number}-bob=ours.test@lists.test");
        for sender in [batv, verp] {
            let one = approach("203.0.113.9", &sender, "bob@ours.test");
            let (first, again) = match number {
                1 => ("waits 300, seen now", "retried after 300"),
                _ => ("known", "known"),
            };
            assert_eq!(world.ask(&one, false, number * 1000), first, "{sender}");
            assert_eq!(
                world.ask(&one, false, number * 1000 + 300),
                again,
                "{sender}"
            );
        }
    }
}

#[test]
fn whoever_comes_too_late_begins_anew() {
    let mut world = World::new();
    let ann = ann("2001:db8::1");
    assert_eq!(world.ask(&ann, false, 0), "waits 300, seen now");
    assert_eq!(world.look(&ann, false, 2 * DAY), "retried after 172800");
    assert_eq!(world.ask(&ann, false, 2 * DAY + 1), "waits 300, seen now");
    // The network of an IPv6 client is wide.
    let other = approach("2001:db8::ffff:1", "ann@out.test", "bob@ours.test");
    assert_eq!(world.ask(&other, false, 2 * DAY + 301), "retried after 300");
    // A clock that is set back makes nobody wait for longer than the delay.
    let eve = approach("2001:db8::1", "eve@out.test", "bob@ours.test");
    world.ask(&eve, false, DAY);
    assert_eq!(world.ask(&eve, false, 0), "waits 300, seen 0");
}

#[test]
fn a_network_is_let_through_after_some_hours_with_mail() {
    let mut world = World::new();
    world.settings.allow_after = Some(2);
    let stranger = |n: u32| {
        let sender = format!("s{n}@out.test");
        approach("203.0.113.9", &sender, "bob@ours.test")
    };
    for n in 0..50 {
        world.taken("203.0.113.1", None, n);
    }
    // A burst counts once.
    assert_eq!(world.ask(&stranger(1), false, 60), "waits 300, seen now");
    world.taken("203.0.113.1", None, HOUR);
    assert_eq!(world.ask(&stranger(2), false, HOUR), "203.0.113.0/24 2");
    // Nothing was remembered of those who passed by that.
    assert_eq!(
        world
            .history
            .rows(&world.settings, Kind::Waiting, 9, at(0))
            .len(),
        1
    );
    // It is forgotten when it stays away.
    let last = HOUR + 36 * DAY;
    assert_eq!(world.ask(&stranger(3), false, last), "203.0.113.0/24 2");
    assert_eq!(
        world.ask(&stranger(3), false, last + 1),
        "waits 300, seen now"
    );
    world.taken("203.0.113.1", None, last + 2);
    assert_eq!(
        world.ask(&stranger(4), false, last + 2),
        "waits 300, seen now"
    );
    world.settings.allow_after = None;
    for n in 0..100 {
        world.taken("203.0.113.1", None, last + n * HOUR);
    }
    let late = last + 100 * HOUR;
    assert_eq!(world.ask(&stranger(5), false, late), "waits 300, seen now");
}

/// Google and Microsoft try again from any of their networks.
#[test]
fn for_a_client_that_passes_spf_the_domain_stands_in_the_place_of_the_network() {
    let mut world = World::new();
    let (first, second) = (ann("203.0.113.9"), ann("198.51.100.9"));
    let needs = |world: &World, approach, seconds| {
        let history = &world.history;
        history.needs_proof(&world.settings, approach, at(seconds))
    };
    assert!(needs(&world, &first, 0));
    assert_eq!(world.ask(&first, true, 0), "waits 300, seen now");
    assert!(needs(&world, &second, 300));
    assert_eq!(world.look(&second, false, 300), "waits 300, seen now");
    assert_eq!(world.ask(&second, true, 300), "retried after 300");
    assert_eq!(world.ask(&first, true, 301), "known");

    // Nobody waits who sends for a domain that is known.
    world.taken("203.0.113.9", Some(&domain("out.test")), 302);
    let eve = approach("192.0.2.1", "eve@out.test", "carl@ours.test");
    assert_eq!(world.ask(&eve, true, 303), "out.test");
    assert_eq!(world.ask(&eve, false, 303), "waits 300, seen now");
    let sub = approach("192.0.2.1", "eve@sub.out.test", "carl@ours.test");
    assert_eq!(world.ask(&sub, true, 303), "waits 300, seen now");
    let late = 302 + 36 * DAY;
    assert_eq!(world.ask(&eve, true, late), "out.test");
    assert_eq!(world.look(&eve, true, late + 1), "waits 300, seen now");

    // SPF is not asked where it makes no difference.
    let null = approach("203.0.113.9", "", "bob@ours.test");
    assert!(!needs(&world, &null, 0));
    assert_eq!(world.ask(&null, false, 0), "waits 300, seen now");
    let literal = approach("203.0.113.9", "ann@[203.0.113.9]", "bob@ours.test");
    assert!(!needs(&world, &literal, 0));
    assert_eq!(world.ask(&null, false, 300), "retried after 300");
    assert!(!needs(&world, &null, 301));
}

#[test]
fn a_flood_of_strangers_makes_nobody_wait_again_who_was_here() {
    let mut world = World::new();
    world.settings.max_entries = 100;
    world.settings.allow_after = Some(1);
    let ann = ann("203.0.113.9");
    world.ask(&ann, false, 0);
    assert_eq!(world.ask(&ann, false, 300), "retried after 300");
    world.taken("198.51.100.9", Some(&domain("known.test")), 300);
    for n in 0..10_000_u32 {
        let client = IpAddr::from((0x0a00_0000 + (n << 8)).to_be_bytes());
        let stranger = Approach {
            client,
            ..approach("192.0.2.1", &format!("s{n}@bad.test"), "bob@ours.test")
        };
        world
            .history
            .ask(&world.settings, &stranger, false, at(301));
        world
            .history
            .did(&world.settings, client, None, Deed::Refused, at(301));
        assert!(world.history.len() <= 300, "{}", world.history.len());
    }
    assert_eq!(world.ask(&ann, false, 302), "known");
    let other = approach("198.51.100.1", "x@x.test", "bob@ours.test");
    assert_eq!(world.ask(&other, false, 302), "198.51.100.0/24 1");
    let eve = approach("192.0.2.1", "eve@known.test", "carl@ours.test");
    assert_eq!(world.ask(&eve, true, 302), "known.test");
}

#[test]
fn a_reputation_follows_what_was_done_and_fades() {
    let mut world = World::new();
    let out = domain("out.test");
    for n in 0..4 {
        world.did("203.0.113.9", None, Deed::Screened, n);
    }
    world.did("203.0.113.10", Some(&out), Deed::Delivered, 4);
    assert_eq!(world.worth("203.0.113.1", "out.test", 5), (-11, 1));
    assert_eq!(world.worth("203.0.114.1", "other.test", 5), (0, 0));
    // It halves in a week.
    assert_eq!(world.worth("203.0.113.1", "out.test", 14 * DAY), (-3, 0));
    assert_eq!(world.worth("203.0.113.1", "out.test", 365 * DAY), (0, 0));
    // However much somebody does, it can be made good, and is lost soon.
    for n in 0..1000 {
        world.did("203.0.113.9", Some(&out), Deed::Unknown, n);
        world.did("198.51.100.9", None, Deed::Delivered, n);
    }
    assert_eq!(world.worth("203.0.113.9", "out.test", 1000), (-100, -100));
    assert_eq!(world.worth("198.51.100.9", "out.test", 1000).0, 20);
    let points = [
        (Deed::Delivered, 1),
        (Deed::Refused, -1),
        (Deed::Forged, -1),
        (Deed::Unknown, -2),
        (Deed::Screened, -3),
    ];
    for (n, (deed, points)) in (1..).zip(points) {
        let client = format!("192.0.{n}.1");
        world.did(&client, None, deed, 0);
        assert_eq!(world.worth(&client, "x.test", 0).0, points, "{deed:?}");
    }
}

/// A world with something of each kind.
fn lived() -> World {
    let mut world = World::new();
    let ann = ann("203.0.113.9");
    world.ask(&ann, false, 0);
    world.ask(&ann, false, 400);
    let quoted = approach("2001:db8::1", "\"a \\\" b\"@out.test", "carl@ours.test");
    world.ask(&quoted, true, 401);
    world.ask(&approach("192.0.2.7", "", "bob@ours.test"), false, 402);
    world.taken("203.0.113.9", Some(&domain("out.test")), 403);
    world.did(
        "203.0.113.9",
        Some(&domain("out.test")),
        Deed::Delivered,
        404,
    );
    world.did("192.0.2.7", None, Deed::Unknown, 405);
    world
}

fn written(history: &History) -> Vec<u8> {
    let mut octets = Vec::new();
    for number in 0.. {
        let Some(part) = history.part(number) else {
            break;
        };
        part.write_to(&mut octets);
    }
    octets
}

fn all(world: &World) -> Vec<crate::Row> {
    let rows = |kind| world.history.rows(&world.settings, kind, 100, at(500));
    Kind::ALL.into_iter().flat_map(rows).collect()
}

#[test]
fn what_is_kept_is_read_as_it_was_and_nothing_else_is() {
    let mut world = lived();
    let octets = written(&world.history);
    let before = all(&world);
    assert_eq!(before.len(), 2 + 1 + 2 + 1);
    world.history = History::read(&octets, 100).unwrap();
    assert_eq!(all(&world), before);
    assert!(!world.history.take_changed());
    assert_eq!(written(&world.history).len(), octets.len());
    // Cut off, doubled, of another version, or anything else.
    for cut in [0, 1, octets.len() / 2, octets.len() - 2] {
        assert!(History::read(&octets[..cut], 100).is_none(), "{cut}");
    }
    assert!(History::read(&[&octets[..], &octets[..]].concat(), 100).is_none());
    let other = String::from_utf8(octets).unwrap();
    for (from, to) in [
        ("{\"Version\":1}", "{\"Version\":2}"),
        ("203.0.113.0/24", "203.0.113.0/33"),
        ("out.test\",{", "out..test\",{"),
    ] {
        assert!(other.contains(from), "{other}");
        let other = other.replace(from, to);
        assert!(History::read(other.as_bytes(), 100).is_none(), "{to}");
    }
}

#[test]
fn what_is_cleared_is_as_new() {
    let mut world = lived();
    let client = Subject::Client("203.0.113.0/24".parse().unwrap());
    assert!(world.history.clear(&client));
    assert!(!world.history.clear(&client));
    assert_eq!(
        world.look(&ann("203.0.113.9"), false, 500),
        "waits 300, seen now"
    );
    assert_eq!(world.worth("203.0.113.9", "out.test", 500), (0, 1));
    let sender = Subject::SenderDomain(domain("OUT.test"));
    assert!(world.history.clear(&sender));
    assert!(!world.history.clear(&sender));
    let left: Vec<String> = all(&world).into_iter().map(|row| row.name).collect();
    assert_eq!(left, ["192.0.2.0/24", "192.0.2.0/24"]);
}

#[test]
fn the_latest_come_first_and_no_more_than_were_asked_for() {
    let mut world = World::new();
    for n in 0..20 {
        let stranger = approach("192.0.2.7", &format!("s{n}@x.test"), "bob@ours.test");
        world.ask(&stranger, false, n);
    }
    let rows = world
        .history
        .rows(&world.settings, Kind::Waiting, 3, at(30));
    let senders: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.sender.as_deref())
        .collect();
    assert_eq!(senders, ["s19@x.test", "s18@x.test", "s17@x.test"]);
}

proptest! {
    /// Whatever comes in whatever order: memories stay within their bounds, what is looked up and what is
    /// asked agree, and nobody passes who did not come again, or was taken before.
    #[test]
    fn memories_are_bounded_and_nobody_passes_at_first_sight(
        steps in proptest::collection::vec((0..6_u8, 0..40_u8, 0..40_u8, 0..1_000_u64, any::<bool>()), 0..400),
    ) {
        let mut world = World::new();
        world.settings.max_entries = 10;
        world.settings.allow_after = Some(1);
        let (mut now, mut named, mut any_taken) = (0, std::collections::HashSet::new(), false);
        for (what, one, other, later, proven) in steps {
            now += later;
            let client = format!("10.{one}.0.1");
            let of = domain(&format!("d{other}.test"));
            match what {
                0..=3 => {
                    let stranger = approach(&client, &format!("s@{of}"), "bob@ours.test");
                    let said = world.ask(&stranger, proven, now);
                    let is_new = named.insert(other);
                    prop_assert!(!is_new || any_taken || said == "waits 300, seen now", "{}", said);
                }
                4 => {
                    any_taken = true;
                    world.taken(&client, Some(&of), now);
                }
                _ => world.did(&client, Some(&of), Deed::Screened, now),
            }
            let (client, domain) = world.worth(&client, of.as_str(), now);
            prop_assert!((-100..=20).contains(&client) && (-100..=20).contains(&domain));
            prop_assert!(world.history.len() <= 60);
        }
        let read = History::read(&written(&world.history), 10).unwrap();
        prop_assert!(read.len() <= world.history.len());
    }

    /// What stands in the file makes nothing fail.
    #[test]
    fn any_file_is_read_or_not(octets in any::<Vec<u8>>(), cut in 0..1_000_usize) {
        let _any = History::read(&octets, 10);
        let mut damaged = written(&lived().history);
        let at = cut % damaged.len();
        damaged.splice(at..at, octets);
        if let Some(history) = History::read(&damaged, 10) {
            let mut world = World::new();
            world.history = history;
            world.ask(&ann("203.0.113.9"), true, 0);
            world.worth("203.0.113.9", "out.test", 0);
        }
    }
}

#[test]
fn the_delay_is_told_in_whole_seconds_and_none_too_few() {
    let mut world = World::new();
    world.settings.delay = Duration::from_millis(1500);
    assert_eq!(world.ask(&ann("192.0.2.1"), false, 0), "waits 2, seen now");
    assert_eq!(world.ask(&ann("192.0.2.1"), false, 1), "waits 1, seen 1");
    assert_eq!(world.ask(&ann("192.0.2.1"), false, 2), "retried after 2");
}
