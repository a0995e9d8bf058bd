use std::net::{IpAddr, Ipv4Addr};

use mail::Place;
use relay_policy::{Clients, Entry, Mode, Rules};

use crate::reach::Reach;

/// An entry that holds more public addresses than this is worth a warning.
const PUBLIC_ADDRESSES_PER_ENTRY_MAX: u128 = 256;

/// A rule that is not open but looks wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// What looks wrong.
    pub text: String,
    /// Where it was written.
    pub place: Place,
}

/// Rules that are closed by the letter and may be open in fact.
pub(crate) fn suspicions(rules: &Rules) -> Vec<Suspicion> {
    let access = &rules.relay.access;
    if access.mode == Mode::AllExcept || rules.connect.mode == Mode::OnlyList {
        return Vec::new();
    }
    let denied = Reach::of_list(&rules.relay.deny);
    access
        .list
        .entries()
        .iter()
        .filter_map(|entry| suspicion(entry, &denied))
        .collect()
}

fn suspicion(entry: &Entry, denied: &Reach) -> Option<Suspicion> {
    let Clients::Range(range) = &entry.clients else {
        return None;
    };
    let reach = Reach::of_range(range).without(denied);
    let shown = &entry.text;
    let text = if range.first() == range.last()
        && is_gateway(range.first())
        && reach.example().is_some()
    {
        format!(
            "{shown} looks like a gateway: behind a gateway that hides clients' addresses, every stranger has that one"
        )
    } else if let Some(bridge) = BRIDGES
        .iter()
        .find(|bridge| reach.contains(IpAddr::V4(**bridge)))
    {
        format!(
            "{shown} holds {bridge}, which is usually a container bridge: every stranger has that address behind one"
        )
    } else if reach.public_count() > PUBLIC_ADDRESSES_PER_ENTRY_MAX {
        format!(
            "{shown} holds {} public addresses: everybody there may send anywhere",
            reach.public_count()
        )
    } else {
        return None;
    };
    Some(Suspicion {
        text,
        place: entry.place.clone(),
    })
}

/// Where Docker and Podman put the host's end of their networks.
const BRIDGES: [Ipv4Addr; 2] = [Ipv4Addr::new(172, 17, 0, 1), Ipv4Addr::new(10, 88, 0, 1)];

/// The first address of a private network is the router's, by custom.
fn is_gateway(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_private() && a.octets()[3] == 1,
        IpAddr::V6(_) => false,
    }
}
