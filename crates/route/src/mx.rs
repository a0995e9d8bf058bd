use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use mail::{Domain, Host};

use crate::addresses::{interleaved, is_inner, is_nowhere};
use crate::resolve::{is_address_text, shuffle};
use crate::trouble::Trouble;
use crate::{
    ADDRESSES_PER_HOST_MAX, Answer, Answers, HOPS_MAX, Hop, MX_HOSTS_MAX, Question, Routes,
};

/// What the answers show about the way to one name.
pub(crate) enum Way {
    Ask(Vec<Question>),
    /// Never empty.
    Hops(Vec<Hop>),
    None(Trouble),
}

/// Finds ways from answers.
pub(crate) struct Ways<'a> {
    routes: &'a Routes,
    answers: &'a Answers,
    /// Who named the host: an administrator may mean an inner address, a stranger's MX record must not.
    inner_allowed: bool,
}

/// The addresses of one mail host.
struct Exchange<'a> {
    preference: u16,
    name: &'a Domain,
    addresses: Vec<SocketAddr>,
}

impl<'a> Ways<'a> {
    pub(crate) fn of_strangers(routes: &'a Routes, answers: &'a Answers) -> Self {
        Self {
            routes,
            answers,
            inner_allowed: false,
        }
    }

    pub(crate) fn of_administrator(routes: &'a Routes, answers: &'a Answers) -> Self {
        Self {
            routes,
            answers,
            inner_allowed: true,
        }
    }

    /// To one address.
    pub(crate) fn literal(&self, address: SocketAddr) -> Way {
        if self.routes.own.is_listener(address) {
            return Way::None(Trouble::Loop);
        }
        match self.fault(address.ip()) {
            Some(trouble) => Way::None(trouble),
            None => {
                let name = Host::Literal(address.ip()).to_string().into();
                Way::Hops(vec![Hop { name, address }])
            }
        }
    }

    /// To a host, without an MX lookup.
    pub(crate) fn address(&self, name: &Domain, port: u16) -> Way {
        let question = Question::Addresses(name.clone());
        if self.answers.get(&question).is_none() {
            return Way::Ask(vec![question]);
        }
        let exchange = match self.exchange(0, name, port) {
            Ok(exchange) => exchange,
            Err(trouble) => return Way::None(trouble),
        };
        if self.is_own(&exchange) {
            return Way::None(Trouble::Loop);
        }
        let mut trouble = None;
        let hops = self.hops(&exchange, &mut trouble);
        if hops.is_empty() {
            Way::None(trouble.unwrap_or(Trouble::NoAddress))
        } else {
            Way::Hops(hops)
        }
    }

    /// To a domain (RFC 5321 section 5.1).
    pub(crate) fn mx(&self, domain: &Domain, port: u16, random: &mut impl FnMut() -> u64) -> Way {
        let question = Question::Mx(domain.clone());
        let Some(answer) = self.answers.get(&question) else {
            return Way::Ask(vec![question]);
        };
        let records: Vec<(u16, &Domain)> = match answer {
            // RFC 7505 section 3: one record whose exchange is the root.
            Answer::Mx(records) if matches!(records[..], [(_, None)]) => {
                return Way::None(Trouble::TakesNoMail);
            }
            Answer::Mx(records) if !records.is_empty() => records
                .iter()
                .filter_map(|(p, name)| Some((*p, name.as_ref()?)))
                .collect(),
            // RFC 5321 section 5.1: "If an empty list of MXs is returned, the address is treated as if it was associated with an
            // implicit MX RR, with a preference of 0, pointing to that host."
            Answer::Mx(_) | Answer::NoData => vec![(0, domain)],
            Answer::NoSuchName => return Way::None(Trouble::NoSuchName),
            Answer::Failed(why) => return Way::None(Trouble::CannotTell(why.clone())),
            Answer::Addresses(_) => return Way::None(misfit()),
        };
        self.exchanges(records, port, random)
    }

    fn exchanges(
        &self,
        mut records: Vec<(u16, &Domain)>,
        port: u16,
        random: &mut impl FnMut() -> u64,
    ) -> Way {
        records.retain(|(_, name)| !is_address_text(name));
        // By name within a preference: what is cut off must be the same in every round.
        records.sort();
        let mut trouble = None;
        // RFC 5321 section 5.1: "The relay host MUST then inspect the list for any of the names or addresses by which it might be known in
        // mail transactions. If a matching record is found, all records at that preference level and higher-numbered ones MUST be
        // discarded from consideration."
        let own = records
            .iter()
            .find(|(_, name)| self.routes.own.is_name(name));
        if let Some(&(limit, _)) = own {
            records.retain(|(preference, _)| *preference < limit);
            trouble = Some(Trouble::Loop);
        }
        // The same host at two preferences: the better one counts.
        let mut names = HashSet::new();
        records.retain(|(_, name)| names.insert(*name));
        records.truncate(MX_HOSTS_MAX);
        let unknown = records
            .iter()
            .map(|(_, name)| Question::Addresses((*name).clone()));
        let unknown: Vec<_> = unknown.filter(|q| self.answers.get(q).is_none()).collect();
        if !unknown.is_empty() {
            return Way::Ask(unknown);
        }
        self.ordered(&records, port, trouble, random)
    }

    /// All addresses are known: the hops in order.
    fn ordered(
        &self,
        records: &[(u16, &Domain)],
        port: u16,
        mut trouble: Option<Trouble>,
        random: &mut impl FnMut() -> u64,
    ) -> Way {
        let mut exchanges = Vec::with_capacity(records.len());
        for (preference, name) in records {
            match self.exchange(*preference, name, port) {
                Ok(exchange) => exchanges.push(exchange),
                // The domain exists; that its mail host does not is a missing address.
                Err(Trouble::NoSuchName) => trouble = trouble.max(Some(Trouble::NoAddress)),
                Err(why) => trouble = trouble.max(Some(why)),
            }
        }
        // The same rule as for names, for addresses.
        let own = exchanges
            .iter()
            .find(|e| self.is_own(e))
            .map(|e| e.preference);
        if let Some(limit) = own {
            exchanges.retain(|e| e.preference < limit);
            trouble = trouble.max(Some(Trouble::Loop));
        }
        // RFC 5321 section 5.1: "the sender-SMTP MUST randomize them to spread the load across multiple mail exchangers"
        for equals in exchanges.chunk_by_mut(|a, b| a.preference == b.preference) {
            shuffle(equals, random);
        }
        let mut hops: Vec<Hop> = Vec::new();
        for exchange in &exchanges {
            for hop in self.hops(exchange, &mut trouble) {
                if hops.iter().all(|h| h.address != hop.address) {
                    hops.push(hop);
                }
            }
        }
        hops.truncate(HOPS_MAX);
        if hops.is_empty() {
            Way::None(trouble.unwrap_or(Trouble::NoAddress))
        } else {
            Way::Hops(hops)
        }
    }

    /// The addresses of a host, as answered.
    fn exchange<'n>(
        &self,
        preference: u16,
        name: &'n Domain,
        port: u16,
    ) -> Result<Exchange<'n>, Trouble> {
        match self.answers.get(&Question::Addresses(name.clone())) {
            Some(Answer::Addresses(list)) if !list.is_empty() => {
                let address = |a: &IpAddr| SocketAddr::new(a.to_canonical(), port);
                Ok(Exchange {
                    preference,
                    name,
                    addresses: list.iter().map(address).collect(),
                })
            }
            Some(Answer::Addresses(_) | Answer::NoData) => Err(Trouble::NoAddress),
            Some(Answer::NoSuchName) => Err(Trouble::NoSuchName),
            Some(Answer::Failed(why)) => Err(Trouble::CannotTell(why.clone())),
            Some(Answer::Mx(_)) | None => Err(misfit()),
        }
    }

    fn is_own(&self, exchange: &Exchange<'_>) -> bool {
        exchange
            .addresses
            .iter()
            .any(|address| self.routes.own.is_listener(*address))
    }

    /// The addresses of a host that may be tried; why not, for those that may not.
    fn hops(&self, exchange: &Exchange<'_>, trouble: &mut Option<Trouble>) -> Vec<Hop> {
        let mut good = Vec::new();
        for address in exchange.addresses.iter().map(SocketAddr::ip) {
            match self.fault(address) {
                None => good.push(address),
                Some(why) => *trouble = trouble.take().max(Some(why)),
            }
        }
        let port = exchange.addresses.first().map_or(0, SocketAddr::port);
        let good = interleaved(&good).into_iter().take(ADDRESSES_PER_HOST_MAX);
        good.map(|ip| Hop {
            name: exchange.name.as_str().into(),
            address: SocketAddr::new(ip, port),
        })
        .collect()
    }

    /// Why an address must not be tried.
    fn fault(&self, address: IpAddr) -> Option<Trouble> {
        let listed = || {
            self.routes
                .private_mx
                .iter()
                .any(|block| block.contains(&address))
        };
        if is_nowhere(address) || !self.inner_allowed && is_inner(address) && !listed() {
            return Some(Trouble::Inner);
        }
        (!self.routes.ip.takes(address)).then_some(Trouble::WrongFamily)
    }
}

fn misfit() -> Trouble {
    Trouble::CannotTell("the answer does not fit the question".into())
}
