//! By what rows are found: octets whose order is that of what they stand for, so that all addresses
//! of a domain, and all clients of a network, stand side by side.

use std::net::IpAddr;

use filter::{Condition, Filter, Glob, Network, Tracked};
use mail::TrackedResult;

use crate::Row;

/// What a term is about: its first octet.
const RESULT: u8 = 1;
const CLIENT: u8 = 2;
const SENDER: u8 = 3;
const RECIPIENT: u8 = 4;
const MESSAGE_ID: u8 = 5;
const SENDER_LOCAL: u8 = 6;
const RECIPIENT_LOCAL: u8 = 7;

/// Behind [`CLIENT`]: which kind of client.
const IPV4: u8 = 4;
const IPV6: u8 = 6;
const OTHER: u8 = 9;

/// What follows in a term is no longer: whatever is cut off is looked at in the row.
const OCTETS_MAX: usize = 128;

/// The terms of rows that have none in the store yet, in one piece of memory.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    octets: Vec<u8>,
    /// Where each begins and ends, and its row.
    all: Vec<(usize, usize, i64)>,
}

impl Terms {
    /// Adds those of the row with this number.
    pub(crate) fn add(&mut self, number: i64, row: &Row) {
        self.push(number, |octets| {
            octets.extend([RESULT, row.result.number()]);
        });
        if !row.client.is_empty() {
            self.push(number, |octets| client(octets, &row.client));
        }
        if let Some(sender) = &row.sender {
            self.push(number, |octets| address(octets, SENDER, sender));
            self.push(number, |octets| local_part(octets, SENDER_LOCAL, sender));
        }
        if !row.recipient.is_empty() {
            let address_of = &row.recipient;
            self.push(number, |octets| address(octets, RECIPIENT, address_of));
            self.push(number, |octets| {
                local_part(octets, RECIPIENT_LOCAL, address_of)
            });
        }
        if !row.message_id.is_empty() {
            self.push(number, |octets| message_id(octets, &row.message_id));
        }
    }

    fn push(&mut self, number: i64, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.octets.len();
        write(&mut self.octets);
        self.octets.truncate(start + 1 + OCTETS_MAX);
        self.all.push((start, self.octets.len(), number));
    }

    /// All of them in order, each with its row's number.
    pub(crate) fn sorted(&mut self) -> impl Iterator<Item = (&[u8], i64)> {
        let octets = &self.octets;
        let key = |(start, end, number): &(usize, usize, i64)| (&octets[*start..*end], *number);
        self.all.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        self.all.iter().map(key)
    }

    pub(crate) fn clear(&mut self) {
        self.octets.clear();
        self.all.clear();
    }
}

/// Terms side by side: from the first up to, and without, the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: Vec<u8>,
    pub(crate) until: Vec<u8>,
    /// The fewer rows are expected, the smaller.
    breadth: u8,
}

impl Range {
    fn one(term: Vec<u8>, breadth: u8) -> Self {
        let mut until = term.clone();
        until.push(0);
        // What was cut off when it was written stands under what was left.
        Self::new(term, until, breadth)
    }

    fn beginning(prefix: Vec<u8>, breadth: u8) -> Self {
        let mut until = prefix.clone();
        // No term holds this octet: they are UTF-8, addresses that have an end, and small numbers.
        until.extend([0xff; 20]);
        Self::new(prefix, until, breadth)
    }

    fn new(mut from: Vec<u8>, until: Vec<u8>, breadth: u8) -> Self {
        from.truncate(1 + OCTETS_MAX);
        Self {
            from,
            until,
            breadth,
        }
    }
}

/// What narrows a filter down, the narrowest first. Rows outside any of these ranges do not match.
pub(crate) fn ranges(filter: &Filter) -> Vec<Range> {
    let mut ranges: Vec<Range> = filter.conditions.iter().filter_map(range).collect();
    ranges.sort_by_key(|range| range.breadth);
    ranges
}

fn range(condition: &Condition) -> Option<Range> {
    match condition {
        Condition::To(glob) => range_of_addresses([RECIPIENT, RECIPIENT_LOCAL], glob),
        Condition::From(glob) => range_of_addresses([SENDER, SENDER_LOCAL], glob),
        Condition::Client(network) => Some(range_of_clients(*network)),
        Condition::Tracked(Tracked::Result(result)) => Some(range_of_results(*result)),
        Condition::Tracked(Tracked::MessageId(glob)) => range_of_message_ids(glob),
        Condition::Id(_)
        | Condition::State(_)
        | Condition::ArrivedBefore(_)
        | Condition::ArrivedAfter(_)
        | Condition::LargerThan(_)
        | Condition::SmallerThan(_)
        | Condition::Code(_)
        | Condition::User(_)
        | Condition::Tracked(_) => None,
    }
}

/// The domain from its end, then the local part: what ends alike stands side by side.
fn address(octets: &mut Vec<u8>, kind: u8, address: &str) {
    octets.push(kind);
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    octets.extend(lower(domain).rev());
    octets.push(0);
    octets.extend(lower(local));
}

/// For those who know how an address begins.
fn local_part(octets: &mut Vec<u8>, kind: u8, address: &str) {
    octets.push(kind);
    let (local, _) = address.rsplit_once('@').unwrap_or((address, ""));
    octets.extend(lower(local));
}

fn lower(text: &str) -> impl DoubleEndedIterator<Item = u8> {
    text.bytes().map(|octet| octet.to_ascii_lowercase())
}

fn range_of_addresses([kind, of_local]: [u8; 2], glob: &Glob) -> Option<Range> {
    let pattern = glob.as_str();
    let Some(last_star) = pattern.rfind('*') else {
        let mut term = Vec::new();
        address(&mut term, kind, pattern);
        return Some(Range::one(term, 1));
    };
    let behind = &pattern[last_star + 1..];
    let mut prefix = vec![kind];
    match behind.rsplit_once('@') {
        // All of the domain, and of the local part what stands before its first star.
        Some((_, domain)) => {
            prefix.extend(lower(domain).rev());
            prefix.push(0);
            let before = pattern.split('*').next().unwrap_or_default();
            let is_local = !before.contains('@');
            prefix.extend(lower(before).filter(|_| is_local));
            Some(Range::beginning(prefix, 3))
        }
        // The end of a domain: who has none (`postmaster`, the null sender) has no dot either.
        None if !behind.contains('.') => range_of_local_parts(of_local, pattern),
        None => {
            prefix.extend(lower(behind).rev());
            Some(Range::beginning(prefix, 4))
        }
    }
}

fn range_of_local_parts(kind: u8, pattern: &str) -> Option<Range> {
    let start = pattern.split('*').next().unwrap_or_default();
    let mut term = vec![kind];
    match start.rsplit_once('@') {
        Some((local, _)) => {
            term.extend(lower(local));
            Some(Range::one(term, 3))
        }
        None if start.is_empty() => None,
        None => {
            term.extend(lower(start));
            Some(Range::beginning(term, 3))
        }
    }
}

fn client(octets: &mut Vec<u8>, client: &str) {
    octets.push(CLIENT);
    match client.parse::<IpAddr>() {
        Ok(address) => address_of(octets, address),
        Err(_) => {
            octets.push(OTHER);
            octets.extend(lower(client));
        }
    }
}

fn address_of(octets: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            octets.push(IPV4);
            octets.extend(address.octets());
        }
        IpAddr::V6(address) => {
            octets.push(IPV6);
            octets.extend(address.octets());
        }
    }
}

fn range_of_clients(network: Network) -> Range {
    let mut from = vec![CLIENT];
    match network {
        Network::Local => {
            from.push(OTHER);
            Range::beginning(from, 4)
        }
        Network::Block(block) => {
            let mut until = from.clone();
            address_of(&mut from, block.network());
            address_of(&mut until, block.broadcast());
            // Behind the last address, and before whatever follows on it.
            until.push(0);
            let is_one = block.prefix_len() == block.max_prefix_len();
            Range::new(from, until, if is_one { 2 } else { 4 })
        }
    }
}

fn range_of_results(result: TrackedResult) -> Range {
    let breadth = match result {
        TrackedResult::Received | TrackedResult::Delivered => 6,
        _ => 5,
    };
    Range::one(vec![RESULT, result.number()], breadth)
}

fn message_id(octets: &mut Vec<u8>, id: &str) {
    octets.push(MESSAGE_ID);
    octets.extend(lower(id));
}

fn range_of_message_ids(glob: &Glob) -> Option<Range> {
    let pattern = glob.as_str();
    let mut term = Vec::new();
    match pattern.split_once('*') {
        None => {
            message_id(&mut term, pattern);
            Some(Range::one(term, 0))
        }
        Some(("", _)) => None,
        Some((start, _)) => {
            message_id(&mut term, start);
            Some(Range::beginning(term, 1))
        }
    }
}
