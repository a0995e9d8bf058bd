use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use mail::{Domain, Host};

use crate::addresses::{interleaved, is_address_text, is_inner, is_nowhere};
use crate::protection::{Listing, Protection, Unprotected};
use crate::trouble::Trouble;
use crate::ways::{MailExchanger, Way, Ways};
use crate::{
    ADDRESSES_PER_HOST_MAX, Answer, HOPS_MAX, Hop, MX_HOSTS_MAX, Question, StsPolicy, TlsDemand,
};

impl<'a> Ways<'a> {
    /// The way to an address that is written out as the recipient's domain.
    pub(crate) fn literal(&self, address: SocketAddr) -> Way {
        if self.routes.own.is_listener(address) {
            return Way::None(Trouble::Loop);
        }
        if let Some(trouble) = self.fault(address.ip()) {
            return Way::None(trouble);
        }
        let name = Host::Literal(address.ip()).to_string().into();
        let protection = self.protection_of_address(address);
        Way::Hops(vec![protection.hop(name, address)])
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
        let listing = Listing {
            domain: name,
            secure: false,
            policy: None,
        };
        self.protected(vec![exchange], listing, None, &mut || 0)
    }

    /// To a domain (RFC 5321 section 5.1).
    pub(crate) fn mx(&self, domain: &Domain, port: u16, random: &mut impl FnMut() -> u64) -> Way {
        let questions = self.first_questions(domain);
        if !questions.is_empty() {
            return Way::Ask(questions);
        }
        let (records, secure): (Vec<(u16, &Domain)>, bool) = match self.answer_to_mx(domain) {
            // RFC 7505 section 3: one record whose exchange is the root.
            Some(Answer::Mx { records, .. }) if matches!(records[..], [(_, None)]) => {
                return Way::None(Trouble::TakesNoMail);
            }
            Some(Answer::Mx { records, secure }) if !records.is_empty() => {
                let named = |(p, name): &'a (u16, Option<Domain>)| Some((*p, name.as_ref()?));
                (records.iter().filter_map(named).collect(), *secure)
            }
            // RFC 5321 section 5.1: "If an empty list of MXs is returned, the address is treated as
            // if it was associated with an implicit MX RR, with a preference of 0, pointing to that
            // host."
            Some(Answer::Mx { secure, .. } | Answer::NoData { secure }) => {
                (vec![(0, domain)], *secure)
            }
            Some(Answer::NoSuchName) => return Way::None(Trouble::NoSuchName),
            Some(Answer::Failed(why)) => return Way::None(Trouble::CannotTell(why.clone())),
            Some(Answer::Addresses { .. } | Answer::Tlsa { .. } | Answer::MtaSts(_)) | None => {
                return Way::None(Trouble::misfit());
            }
        };
        let listing = Listing {
            domain,
            secure,
            policy: self.policy(domain),
        };
        self.exchanges(records, port, listing, random)
    }

    /// What must be known of a domain first and is not. Its policy is asked for side by side with
    /// its MX records.
    fn first_questions(&self, domain: &Domain) -> Vec<Question> {
        let mut questions = vec![Question::Mx(domain.clone())];
        if self.heeds_policies() {
            questions.push(Question::MtaSts(domain.clone()));
        }
        questions.retain(|question| self.answers.get(question).is_none());
        questions
    }

    fn heeds_policies(&self) -> bool {
        self.routes.mta_sts
            && self.policies
            && !self.by_administrator
            && self.demand != TlsDemand::Off
    }

    fn answer_to_mx(&self, domain: &Domain) -> Option<&'a Answer> {
        self.answers.get(&Question::Mx(domain.clone()))
    }

    /// RFC 8461 section 5.1: a policy that cannot be had, and was not kept, is none.
    fn policy(&self, domain: &Domain) -> Option<&'a StsPolicy> {
        if !self.heeds_policies() {
            return None;
        }
        match self.answers.get(&Question::MtaSts(domain.clone()))? {
            Answer::MtaSts(policy) => policy.as_deref().ok(),
            Answer::Mx { .. } | Answer::Addresses { .. } | Answer::Tlsa { .. } => None,
            Answer::NoData { .. } | Answer::NoSuchName | Answer::Failed(_) => None,
        }
    }

    fn exchanges(
        &self,
        mut records: Vec<(u16, &Domain)>,
        port: u16,
        listing: Listing<'_>,
        random: &mut impl FnMut() -> u64,
    ) -> Way {
        records.retain(|(_, name)| !is_address_text(name));
        // By name within a preference: what is cut off must be the same in every round.
        records.sort();
        let mut trouble = None;
        // RFC 5321 section 5.1: "The relay host MUST then inspect the list for any of the names or
        // addresses by which it might be known in mail transactions. If a matching record is found,
        // all records at that preference level and higher-numbered ones MUST be discarded from
        // consideration."
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
        self.ordered(&records, port, listing, trouble, random)
    }

    /// All addresses are known: the hops in order.
    fn ordered(
        &self,
        records: &[(u16, &Domain)],
        port: u16,
        listing: Listing<'_>,
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
        self.protected(exchanges, listing, trouble, random)
    }

    /// All hosts are known and none is ourselves: the hops, each with what it must give.
    fn protected(
        &self,
        exchanges: Vec<MailExchanger<'_>>,
        listing: Listing<'_>,
        mut trouble: Option<Trouble>,
        random: &mut impl FnMut() -> u64,
    ) -> Way {
        let mut questions = Vec::new();
        let mut hosts = Vec::with_capacity(exchanges.len());
        for exchange in &exchanges {
            let addresses = self.usable(exchange, &mut trouble);
            if addresses.is_empty() {
                continue;
            }
            match self.protection(exchange, listing) {
                Ok(protection) => {
                    hosts.push((exchange.preference, exchange.hops(&addresses, &protection)));
                }
                Err(Unprotected::Ask(question)) => questions.push(question),
                Err(Unprotected::Never(why)) => trouble = trouble.max(Some(why)),
            }
        }
        if !questions.is_empty() {
            return Way::Ask(questions);
        }
        // RFC 5321 section 5.1: "the sender-SMTP MUST randomize them to spread the load across
        // multiple mail exchangers"
        for equals in hosts.chunk_by_mut(|(a, _), (b, _)| a == b) {
            shuffle(equals, random);
        }
        let mut hops: Vec<Hop> = Vec::new();
        for hop in hosts.into_iter().flat_map(|(_, hops)| hops) {
            if hops.iter().all(|h| h.address != hop.address) {
                hops.push(hop);
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
    ) -> Result<MailExchanger<'n>, Trouble> {
        match self.answers.get(&Question::Addresses(name.clone())) {
            Some(Answer::Addresses { list, secure }) if !list.is_empty() => Ok(MailExchanger {
                preference,
                name,
                port,
                addresses: list.iter().map(IpAddr::to_canonical).collect(),
                secure: *secure,
            }),
            Some(Answer::Addresses { .. } | Answer::NoData { .. }) => Err(Trouble::NoAddress),
            Some(Answer::NoSuchName) => Err(Trouble::NoSuchName),
            Some(Answer::Failed(why)) => Err(Trouble::CannotTell(why.clone())),
            Some(Answer::Mx { .. } | Answer::Tlsa { .. } | Answer::MtaSts(_)) | None => {
                Err(Trouble::misfit())
            }
        }
    }

    fn is_own(&self, exchange: &MailExchanger<'_>) -> bool {
        exchange
            .addresses
            .iter()
            .any(|address| (self.routes.own).is_listener(SocketAddr::new(*address, exchange.port)))
    }

    /// The addresses of a host that may be tried; why not, for those that may not.
    fn usable(&self, exchange: &MailExchanger<'_>, trouble: &mut Option<Trouble>) -> Vec<IpAddr> {
        let mut good = Vec::new();
        for address in &exchange.addresses {
            match self.fault(*address) {
                None => good.push(*address),
                Some(why) => *trouble = trouble.take().max(Some(why)),
            }
        }
        let mut good = interleaved(&good);
        good.truncate(ADDRESSES_PER_HOST_MAX);
        good
    }

    /// Why an address must not be tried.
    fn fault(&self, address: IpAddr) -> Option<Trouble> {
        let refused = || is_inner(address) && !self.routes.is_private_mx(address);
        if is_nowhere(address) || !self.by_administrator && refused() {
            return Some(Trouble::Inner);
        }
        (!self.routes.ip.takes(address)).then_some(Trouble::WrongFamily)
    }
}

impl MailExchanger<'_> {
    fn hops(&self, addresses: &[IpAddr], protection: &Protection) -> Vec<Hop> {
        let hop = |ip: &IpAddr| {
            let name = self.name.as_str().into();
            protection.hop(name, SocketAddr::new(*ip, self.port))
        };
        addresses.iter().map(hop).collect()
    }
}

impl Protection {
    fn hop(&self, name: Box<str>, address: SocketAddr) -> Hop {
        Hop {
            name,
            address: address.into(),
            security: self.security.clone(),
            implicit_tls: self.implicit_tls,
            demanded_by: self.demanded_by,
        }
    }
}

/// Brings the items into an order in which each is as likely as any other (the shuffle of Fisher
/// and Yates).
fn shuffle<T>(items: &mut [T], random: &mut impl FnMut() -> u64) {
    for i in (1..items.len()).rev() {
        items.swap(i, (random() % (i as u64 + 1)) as usize);
    }
}
