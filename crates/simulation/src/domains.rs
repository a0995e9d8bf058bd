//! The domains of this world, their hosts, and what DNS says about them.

use std::net::{IpAddr, Ipv4Addr};

use mail::Domain;
use relay_policy::Fact;
use route::{Answer, Question};

use crate::random::Random;

/// Domains that the relay takes mail for.
pub(crate) const HOSTED: [&str; 3] = ["hosted1.example", "hosted2.example", "hosted3.example"];
/// One of them whose mail may wait until somebody asks for it.
pub(crate) const ON_DEMAND: &str = HOSTED[1];
/// Domains of others that take mail.
pub(crate) const FOREIGN: [&str; 3] = ["foreign1.example", "foreign2.example", "foreign3.example"];
/// Domains of others that never do: no such name, a null MX, an inner address, ourselves.
pub(crate) const HOPELESS: [&str; 4] = [
    "gone.example",
    "null.example",
    "inner.example",
    "loop.example",
];
/// A domain that the configuration blocks.
pub(crate) const BLOCKED: &str = "blocked.example";
/// Where senders read their mail.
pub(crate) const SENDERS: &str = "senders.example";

/// All servers by the last two octets of their addresses; those of one line serve the same domain,
/// or the same senders.
const SERVERS: [&[(u8, u8)]; 9] = [
    &[(1, 1), (1, 4)],
    &[(1, 2), (1, 3)],
    &[(2, 1), (2, 2)],
    &[(3, 1)],
    &[(3, 2), (3, 3)],
    &[(3, 4)],
    &[(4, 1)],
    &[(5, 1)],
    &[(5, 2)],
];

/// All servers of some domain.
pub(crate) fn servers_of_one(random: &mut Random) -> impl Iterator<Item = IpAddr> {
    let servers = random.pick(&SERVERS).iter();
    servers.map(|(c, d)| Ipv4Addr::new(198, 18, *c, *d).into())
}

/// Where a host listens that takes mail for any domain of this world; others never answer.
pub(crate) fn is_server(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.octets()[..2] == [198, 18] && v4.octets()[3] < 9)
}

/// The other one of two smart hosts that share a route.
pub(crate) fn other_smart_host(address: IpAddr) -> Option<IpAddr> {
    let last = |last| Some(Ipv4Addr::new(198, 18, 1, last).into());
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [198, 18, 1, host @ 1..=4] => last(5 - host),
            _ => None,
        },
        IpAddr::V6(_) => None,
    }
}

/// Whence mail is fetched.
pub(crate) fn fetcher() -> IpAddr {
    Ipv4Addr::new(203, 0, 113, 201).into()
}

/// Who connects to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Stranger,
    /// In `relay.allow`, by address.
    Listed,
    /// In `relay.allow`, by name.
    Friend,
    /// In `relay.allow` and in `relay.deny`.
    Denied,
}

impl Class {
    pub(crate) fn pick(random: &mut Random) -> Self {
        match random.below(6) {
            0 | 1 => Self::Stranger,
            2 | 3 => Self::Listed,
            4 => Self::Friend,
            _ => Self::Denied,
        }
    }

    /// The `index`th client's address.
    pub(crate) fn address(self, index: usize) -> IpAddr {
        let [a, b, c, d] = match self {
            Self::Stranger => [203, 0, 113, 1 + index as u8],
            Self::Listed => [198, 51, 100, 1 + index as u8],
            Self::Friend => [192, 0, 2, 1 + index as u8],
            Self::Denied => [198, 51, 100, 66],
        };
        Ipv4Addr::new(a, b, c, d).into()
    }

    /// Whether it may send to domains that are not hosted.
    pub(crate) fn may_relay(self) -> bool {
        match self {
            Self::Listed | Self::Friend => true,
            Self::Stranger | Self::Denied => false,
        }
    }
}

/// The confirmed name of a client's address.
pub(crate) fn confirmed_name(address: IpAddr) -> Fact<Domain> {
    let friend = matches!(address, IpAddr::V4(v4) if v4.octets()[..3] == [192, 0, 2]);
    match Domain::parse("mail.friends.example") {
        Ok(name) if friend => Fact::Yes(name),
        Ok(_) | Err(_) => Fact::No,
    }
}

/// What DNS says when it works.
pub(crate) fn answer(question: &Question) -> Answer {
    match question {
        Question::Mx(domain) => mx(domain.as_str()),
        Question::Addresses(host) => addresses(host.as_str()),
        // Nothing in this world is signed, and nobody has a policy.
        Question::Tlsa { .. } | Question::MtaSts(_) => Answer::NoData { secure: false },
    }
}

/// Hosts are named for their addresses.
fn mx(domain: &str) -> Answer {
    let records: &[(u16, &str)] = match domain {
        "hosted3.example" => &[(10, "198-18-2-1.host"), (20, "198-18-2-2.host")],
        "foreign1.example" => &[(10, "198-18-3-1.host")],
        // The first one is dead.
        "foreign2.example" => &[
            (5, "198-18-3-9.host"),
            (10, "198-18-3-2.host"),
            (10, "198-18-3-3.host"),
        ],
        "foreign3.example" => return Answer::NoData { secure: false },
        SENDERS => &[(10, "198-18-4-1.host")],
        "inner.example" => &[(10, "10-1-1-1.host")],
        "loop.example" => &[(10, "relay.gate.example")],
        // No name: a null MX (RFC 7505).
        "null.example" => &[(0, "")],
        _ => return Answer::NoSuchName,
    };
    let record = |(preference, name): &(u16, &str)| (*preference, Domain::parse(name).ok());
    let (records, secure) = (records.iter().map(record).collect(), false);
    Answer::Mx { records, secure }
}

fn addresses(host: &str) -> Answer {
    let name = match host {
        "foreign3.example" => "198-18-3-4.host",
        "relay.gate.example" => "198-18-9-9.host",
        host => host,
    };
    let address = name
        .strip_suffix(".host")
        .map(|name| name.replace('-', "."));
    match address.and_then(|address| address.parse().ok()) {
        Some(address) => Answer::Addresses {
            list: vec![address],
            secure: false,
        },
        None => Answer::NoSuchName,
    }
}
