use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use mail::{Domain, Place};

use crate::{List, Listing};

/// The DNS lists of one listener: clients that they name are refused, those that are permitted to
/// relay excepted.
#[derive(Debug, Clone)]
pub struct DnsLists {
    /// The lists, in the order in which they were written.
    pub lists: Vec<DnsList>,
    /// Weights of the lists that name a client, added; from here on it is refused.
    pub threshold: i32,
    /// Clients about whom no list is asked.
    pub except: List,
}

impl Default for DnsLists {
    fn default() -> Self {
        Self {
            lists: Vec::new(),
            threshold: 1,
            except: List::default(),
        }
    }
}

/// One DNS list (RFC 5782).
#[derive(Debug, Clone)]
pub struct DnsList {
    /// Its zone: `zen.example.org`.
    pub zone: Domain,
    /// The answers that count, each a range from first to last; none: every answer in 127.0.0.0/8
    /// but the error codes in 127.255.255.0/24.
    pub codes: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// How much it counts; a list of wanted clients has a negative weight.
    pub weight: i32,
    /// The text of the refusal; `%0` is the client's address, `%1` the zone.
    pub reply: Option<Arc<str>>,
    /// Where it was written.
    pub place: Place,
}

/// A client that the lists refuse.
pub(crate) struct Unwanted<'a> {
    /// The first unwelcoming list that names it.
    pub list: &'a DnsList,
    /// The weights of all that name it, added.
    pub weight: i64,
}

impl DnsLists {
    /// The lists that name the client.
    pub(crate) fn naming(&self, listings: &[Listing]) -> impl Iterator<Item = &DnsList> {
        self.lists.iter().filter(|list| list.names(listings))
    }

    /// The weights of the lists that name the client, added.
    pub(crate) fn weight(&self, listings: &[Listing]) -> i64 {
        let naming = self.naming(listings);
        naming.map(|list| i64::from(list.weight)).sum()
    }

    /// Whether the lists refuse the client. Somebody has to be named for that: a threshold of
    /// nought refuses nobody by itself.
    pub(crate) fn unwanted(&self, listings: &[Listing]) -> Option<Unwanted<'_>> {
        let weight = self.weight(listings);
        let list = self.naming(listings).find(|list| list.weight > 0)?;
        (weight >= i64::from(self.threshold)).then_some(Unwanted { list, weight })
    }
}

impl DnsList {
    fn names(&self, listings: &[Listing]) -> bool {
        let mut own = listings.iter().filter(|listing| listing.zone == self.zone);
        own.any(|listing| listing.codes.iter().any(|code| self.counts(*code)))
    }

    /// Lists answer within 127.0.0.0/8 (RFC 5782 section 2.1). One that was given up, and whose
    /// domain somebody else took, answers for every client with the address of a web server.
    fn counts(&self, code: Ipv4Addr) -> bool {
        let [first, second, third, _] = code.octets();
        let is_error = (second, third) == (255, 255);
        let is_listed = self.codes.iter().any(|(a, b)| (*a..=*b).contains(&code));
        first == 127 && (is_listed || self.codes.is_empty() && !is_error)
    }

    /// What a refused client reads.
    pub(crate) fn reply_text(&self, client: IpAddr) -> String {
        let text = self.reply.as_deref().unwrap_or("%0 is blocked by %1");
        let text = text.replace("%0", &client.to_string());
        text.replace("%1", self.zone.as_str())
    }
}
