//! How DNS shows this relay to the servers that it talks to.

use std::collections::BTreeSet;
use std::net::IpAddr;

use config::Config;
use lookups::{Inquiries, side_by_side};
use mail::Domain;
use route::{Answer, Question, is_inner};

use super::finding::{Finding, Mark};

/// The names and addresses of this relay.
pub(in crate::diagnosis) struct Ours {
    /// The names by which it greets servers.
    greets_as: BTreeSet<Domain>,
    names: BTreeSet<Domain>,
    addresses: BTreeSet<IpAddr>,
    /// Those of them that the Internet may see.
    public: BTreeSet<IpAddr>,
}

impl Ours {
    /// By the configuration, what this machine says of itself, and what somebody said on the
    /// command line, which is taken for public whatever it is.
    pub fn new(config: &Config, machine: &[IpAddr], told: &[IpAddr]) -> Self {
        let helo = config.deliveries.values().filter_map(|d| d.helo.clone());
        let greets_as: BTreeSet<Domain> = helo.chain([config.hostname.clone()]).collect();
        let listeners = config.listeners.iter();
        let names = listeners.clone().map(|listener| listener.hostname.clone());
        let names = names.chain([config.hostname.clone()]).collect();
        let bound = listeners.flat_map(|listener| listener.binds.iter().map(|bind| bind.ip()));
        let sources = config.deliveries.values().filter_map(|d| d.source_ip);
        let known = bound.chain(sources).chain(machine.iter().copied());
        let mut addresses: BTreeSet<IpAddr> = known.map(|address| address.to_canonical()).collect();
        addresses.retain(|address| !address.is_unspecified());
        let mut public = addresses.clone();
        public.retain(|address| !is_inner(*address));
        if !told.is_empty() {
            public = told.iter().copied().collect();
        }
        addresses.extend(told);
        Self {
            greets_as,
            names,
            addresses,
            public,
        }
    }

    /// Those that the Internet may see.
    pub fn public(&self) -> impl Iterator<Item = &IpAddr> {
        self.public.iter()
    }

    pub fn is_name(&self, name: &Domain) -> bool {
        self.names.contains(name)
    }

    pub fn is_address(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// Whether our names lead somewhere, and our addresses have names that lead back.
    pub async fn look(&self, inquiries: &Inquiries) -> Vec<Finding> {
        let names = self.greets_as.iter();
        let names = names.map(|name| self.greeting(inquiries, name));
        let addresses = self.public.iter();
        let addresses = addresses.map(|address| self.reverse(inquiries, *address));
        let (mut findings, reverse) = tokio::join!(side_by_side(names), side_by_side(addresses));
        findings.extend(reverse);
        if self.public.is_empty() {
            let text = "this machine knows none of its own that is public: name it by --address";
            findings.push(Finding::new(Mark::Note, "this relay", "addresses", text));
        }
        findings
    }

    /// RFC 5321 section 4.1.4: the name that we greet with should be one that leads to us; servers
    /// look.
    async fn greeting(&self, inquiries: &Inquiries, name: &Domain) -> Finding {
        let finding = |mark, text| Finding::new(mark, name, "greeting", text);
        match inquiries
            .route_answer(&Question::Addresses(name.clone()))
            .await
        {
            Answer::Addresses { list, .. } => {
                let text = texts(&list);
                if list.iter().any(|address| self.is_address(*address)) {
                    finding(Mark::Ok, text)
                } else {
                    finding(
                        Mark::Warning,
                        format!("{text}, which is no address of this relay"),
                    )
                }
            }
            Answer::Failed(why) => finding(Mark::CannotTell, why.into()),
            Answer::NoSuchName
            | Answer::NoData { .. }
            | Answer::Mx { .. }
            | Answer::Tlsa { .. }
            | Answer::MtaSts(_) => finding(
                Mark::Fail,
                "no address: servers turn away who greets by such a name".to_owned(),
            ),
        }
    }

    async fn reverse(&self, inquiries: &Inquiries, address: IpAddr) -> Finding {
        let finding = |mark, text| Finding::new(mark, address, "PTR", text);
        match inquiries.confirmed_name(address).await {
            Ok(Some(name)) if self.greets_as.contains(&name) => {
                finding(Mark::Ok, format!("{name}, and back"))
            }
            Ok(Some(name)) => finding(
                Mark::Note,
                format!("{name}, and back; the relay greets by another name"),
            ),
            Ok(None) => finding(
                Mark::Fail,
                "no name that leads back: many servers take no mail from such an address"
                    .to_owned(),
            ),
            Err(why) => finding(Mark::CannotTell, why.into()),
        }
    }
}

/// `192.0.2.1, 2001:db8::1`
pub(super) fn texts(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
