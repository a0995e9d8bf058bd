use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use mail::{Domain, DomainError, Place};

use crate::ranges::{Span, Spans, from_number, number};
use crate::{AddressRange, Fact, Facts, NameMap, NamePattern};

/// One entry of a list of clients, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whom it names.
    pub clients: Clients,
    /// The entry as it was written, without blanks around it.
    pub text: Arc<str>,
    /// Where it was written.
    pub place: Place,
}

/// Whom an [`Entry`] names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clients {
    /// Every client whose address lies in this range.
    Range(AddressRange),
    /// Hosts below this name, by forward-confirmed reverse DNS.
    Below(Domain),
}

/// Why a text is no list entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryError {
    /// Nothing that is known.
    Unknown,
    /// A mask that is no number of bits and no netmask.
    BadMask,
    /// Bits are set behind the mask.
    HostBits,
    /// The range ends before it begins, or joins two families.
    BadRange,
    /// A host name without `*.`.
    BareName,
    /// `*` or `*.` and nothing.
    Everybody,
    /// `*.` and something that is no domain.
    BadName(DomainError),
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "write an address, a block (10.0.0.0/8), a range (10.0.0.1-10.0.0.9) or `*.host.name`",
            Self::BadMask => "the mask is a number of bits (/24) or a netmask (/255.255.255.0)",
            Self::HostBits => "bits are set behind the mask: write the first address of the block, or leave the mask out",
            Self::BadRange => "a range goes from a lower to a higher address of the same family",
            Self::BareName => "a host name is written with a star in front: `*.host.name`",
            Self::Everybody => "`*` names everybody: use the mode for that",
            Self::BadName(why) => return why.fmt(f),
        })
    }
}

impl std::error::Error for EntryError {}

impl Entry {
    /// Reads an address, `address/bits`, `address/netmask`, `first-last` or `*.host.name`.
    pub fn parse(text: &str, place: Place) -> Result<Self, EntryError> {
        let clients = parse_clients(text.trim())?;
        Ok(Self {
            clients,
            text: text.trim().into(),
            place,
        })
    }
}

fn parse_clients(text: &str) -> Result<Clients, EntryError> {
    if let Some(name) = text.strip_prefix('*') {
        return parse_name(name);
    }
    if let Some((address, mask)) = text.split_once('/') {
        return parse_block(address, mask).map(Clients::Range);
    }
    if let Ok(address) = parse_address(text) {
        return Ok(Clients::Range(AddressRange::single(address)));
    }
    if let Some((Ok(first), Ok(last))) = text
        .split_once('-')
        .map(|(a, b)| (parse_address(a), parse_address(b)))
    {
        let range = AddressRange::between(first, last).ok_or(EntryError::BadRange)?;
        return Ok(Clients::Range(range));
    }
    let is_name = text.contains(|c: char| c.is_alphabetic()) && Domain::parse(text).is_ok();
    Err(if is_name {
        EntryError::BareName
    } else {
        EntryError::Unknown
    })
}

fn parse_name(name: &str) -> Result<Clients, EntryError> {
    match name.strip_prefix('.') {
        Some("") => Err(EntryError::Everybody),
        Some(name) => Domain::parse(name)
            .map(Clients::Below)
            .map_err(EntryError::BadName),
        None if name.is_empty() => Err(EntryError::Everybody),
        None => Err(EntryError::Unknown),
    }
}

/// With or without the brackets of an address literal, which people copy from `route`.
fn parse_address(text: &str) -> Result<IpAddr, EntryError> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse().map_err(|_| EntryError::Unknown)
}

fn parse_block(address: &str, mask: &str) -> Result<AddressRange, EntryError> {
    let address = parse_address(address)?;
    let prefix = parse_mask(mask.trim(), address).ok_or(EntryError::BadMask)?;
    AddressRange::block(address, prefix).ok_or(EntryError::HostBits)
}

fn parse_mask(text: &str, address: IpAddr) -> Option<u8> {
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    if let Ok(bits) = text.parse::<u8>() {
        return (bits <= bits_max && !text.starts_with('+')).then_some(bits);
    }
    let mask = IpAddr::V4(text.parse().ok()?);
    let bits = ipnet::ip_mask_to_prefix(mask).ok()?;
    address.is_ipv4().then_some(bits)
}

/// A list of clients, ready for fast look-up. Cheap to clone: listeners share what is global.
#[derive(Debug, Clone, Default)]
pub struct List {
    entries: Arc<Vec<Entry>>,
    v4: Arc<Spans>,
    v6: Arc<Spans>,
    names: Arc<NameMap<u32>>,
    place: Place,
}

/// What a look-up gave.
pub(crate) enum Found<'a> {
    Entry(&'a Entry),
    Nothing,
    /// No address matches, and the entries by name need the client's confirmed name.
    NeedsName,
    /// The confirmed name was asked for and could not be found out.
    CannotTell,
}

impl List {
    /// Builds the list; `place` is where the list as a whole was written.
    pub fn new(entries: Vec<Entry>, place: Place) -> Self {
        let (mut v4, mut v6, mut names) = (Vec::new(), Vec::new(), NameMap::default());
        for (entry, index) in entries.iter().zip(0u32..) {
            match &entry.clients {
                Clients::Range(range) => {
                    let span = Span {
                        first: number(range.first()),
                        last: number(range.last()),
                        entry: index,
                    };
                    if range.first().is_ipv4() {
                        v4.push(span)
                    } else {
                        v6.push(span)
                    }
                }
                Clients::Below(name) => {
                    names.insert(NamePattern::Below(name.clone()), index);
                }
            }
        }
        Self {
            entries: Arc::new(entries),
            v4: Arc::new(Spans::new(v4)),
            v6: Arc::new(Spans::new(v6)),
            names: Arc::new(names),
            place,
        }
    }

    /// A list from texts, without places: for tests and for tools.
    pub fn from_texts(texts: &[&str]) -> Result<Self, EntryError> {
        let entries = texts.iter().map(|text| Entry::parse(text, Place::Default));
        Ok(Self::new(
            entries.collect::<Result<_, _>>()?,
            Place::Default,
        ))
    }

    /// The entries as written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where the list was written.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Its addresses as first and last ones, in order and without overlaps, IPv4 before IPv6; its
    /// names hold none.
    pub fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> {
        [(true, &self.v4), (false, &self.v6)]
            .into_iter()
            .flat_map(|(is_ipv4, spans)| {
                let address = move |n| from_number(n, is_ipv4);
                let spans = spans.as_slice().iter();
                spans.map(move |span| (address(span.first), address(span.last)))
            })
    }

    fn spans(&self, is_ipv4: bool) -> &Spans {
        if is_ipv4 { &self.v4 } else { &self.v6 }
    }

    /// Whether `address` is listed as an address; host names have no say.
    pub fn holds(&self, address: IpAddr) -> bool {
        matches!(self.find(address, &Facts::default()), Found::Entry(_))
    }

    /// The entry that names this client. Addresses are tried first, so a name is asked for only
    /// when it matters.
    pub(crate) fn find(&self, address: IpAddr, facts: &Facts) -> Found<'_> {
        let address = address.to_canonical();
        let span = self.spans(address.is_ipv4()).find(number(address));
        if let Some(entry) = span.and_then(|span| self.entries.get(span.entry as usize)) {
            return Found::Entry(entry);
        }
        if self.names.is_empty() {
            return Found::Nothing;
        }
        match &facts.confirmed_name {
            None => Found::NeedsName,
            Some(Fact::CannotTell) => Found::CannotTell,
            Some(Fact::No) => Found::Nothing,
            Some(Fact::Yes(name)) => {
                let index = self.names.find(name);
                let entry = index.and_then(|index| self.entries.get(*index as usize));
                entry.map_or(Found::Nothing, Found::Entry)
            }
        }
    }
}
