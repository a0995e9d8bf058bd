use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use mail::{Domain, Host, Place};

use crate::by_domain::ByDomain;
use crate::by_sender::BySender;
use crate::own::Own;
use crate::target::Target;
use crate::{
    DomainPattern, HostAt, HostSpec, IpFamily, NextHop, Routes, SenderPattern, Site, SiteOptions,
    TlsDemand, Via,
};

/// Collects what the configuration says; [`RoutesBuilder::build`] makes the table. The order of the
/// calls never matters.
#[derive(Debug, Default)]
pub struct RoutesBuilder {
    domains: Vec<(DomainPattern, Via, Place)>,
    senders: Vec<(SenderPattern, Via, Place)>,
    routes: HashMap<Arc<str>, (Vec<HostSpec>, SiteOptions, Place)>,
    outbound: Option<(Via, Place)>,
    direct_first: Option<Place>,
    filter: Option<(Arc<str>, Place)>,
    port: Option<u16>,
    ip: IpFamily,
    private_mx: Vec<IpNet>,
    own: Own,
    tls: TlsDemand,
    dane: bool,
    mta_sts: bool,
}

/// RFC 5321 section 4.5.4.2: the well-known port of SMTP.
const SMTP_PORT: u16 = 25;

impl Routes {
    /// A table that sends everything by MX, until told otherwise.
    pub fn builder() -> RoutesBuilder {
        RoutesBuilder::default()
    }
}

impl RoutesBuilder {
    /// A hosted domain (or all below it) and how its mail goes on. Given twice, the later call
    /// counts.
    pub fn add_domain(&mut self, pattern: DomainPattern, via: Via, place: Place) -> &mut Self {
        self.domains.push((pattern, via, place));
        self
    }

    /// A sender of ours and where its mail goes, but to hosted domains. Given twice, the later call
    /// counts.
    pub fn add_sender(&mut self, pattern: SenderPattern, via: Via, place: Place) -> &mut Self {
        self.senders.push((pattern, via, place));
        self
    }

    /// A `[route.NAME]`: its site is called `route:NAME` wherever it is used.
    pub fn add_route(
        &mut self,
        name: &str,
        hosts: Vec<HostSpec>,
        options: SiteOptions,
        place: Place,
    ) -> &mut Self {
        self.routes.insert(name.into(), (hosts, options, place));
        self
    }

    /// `outbound.route`: everything that is not a hosted domain. MX unless set.
    pub fn outbound(&mut self, via: Via, place: Place) -> &mut Self {
        self.outbound = Some((via, place));
        self
    }

    /// `outbound.direct_first`, as written at `place`: mail goes by MX, and to the smart hosts of
    /// [`RoutesBuilder::outbound`] only where that leads to nobody. To them at once unless set.
    pub fn direct_first(&mut self, place: Place) -> &mut Self {
        self.direct_first = Some(place);
        self
    }

    /// The `[route.NAME]` of a filter to which messages go before they go on, as written at `place`.
    pub fn filter(&mut self, name: &str, place: Place) -> &mut Self {
        self.filter = Some((name.into(), place));
        self
    }

    /// `outbound.port`: for MX hosts, and for smart hosts given without a port. 25 unless set.
    pub fn port(&mut self, port: u16) -> &mut Self {
        self.port = Some(port);
        self
    }

    /// `outbound.ip`.
    pub fn ip(&mut self, family: IpFamily) -> &mut Self {
        self.ip = family;
        self
    }

    /// `outbound.private_mx`: inner addresses that an MX record may point to all the same.
    pub fn private_mx(&mut self, blocks: impl IntoIterator<Item = IpNet>) -> &mut Self {
        self.private_mx.extend(blocks);
        self
    }

    /// `outbound.tls`: how much encryption a next hop must give where its route says nothing.
    /// Opportunistic unless set.
    pub fn tls(&mut self, demand: TlsDemand) -> &mut Self {
        self.tls = demand;
        self
    }

    /// `outbound.dane`: hold MX hosts to their TLSA records. Off unless set. Switch it on only
    /// where the resolver can be trusted to tell which answers are secure; without that it asks for
    /// nothing.
    pub fn dane(&mut self, on: bool) -> &mut Self {
        self.dane = on;
        self
    }

    /// `outbound.mta_sts`: hold MX hosts to their domain's policy. Off unless set.
    pub fn mta_sts(&mut self, on: bool) -> &mut Self {
        self.mta_sts = on;
        self
    }

    /// A name by which this relay is known (`hostname`, a listener's own): an MX host of that name
    /// is ourselves.
    pub fn own_name(&mut self, name: Domain) -> &mut Self {
        self.own.names.insert(name);
        self
    }

    /// An address and port that a listener is bound to; the unspecified address stands for all own
    /// addresses.
    pub fn own_listener(&mut self, bound: SocketAddr) -> &mut Self {
        self.own.listeners.push(bound);
        self
    }

    /// An address of this machine (its interfaces, or the public one that the firewall maps here);
    /// counts at the ports of listeners bound to the unspecified address.
    pub fn own_address(&mut self, address: IpAddr) -> &mut Self {
        self.own.addresses.insert(address.to_canonical());
        self
    }

    /// The table. A [`Via::Named`] that no [`RoutesBuilder::add_route`] knows is the error, by
    /// name.
    pub fn build(&self) -> Result<Routes, Arc<str>> {
        let mut routes = Routes {
            hosted: ByDomain::default(),
            by_sender: BySender::default(),
            outbound: self.outbound_target()?,
            named: HashMap::new(),
            options: HashMap::new(),
            filter: self.filter_site()?,
            port: self.port.unwrap_or(SMTP_PORT),
            ip: self.ip,
            private_mx: self.private_mx.clone(),
            own: self.own.clone(),
            tls: self.tls,
            dane: self.dane,
            mta_sts: self.mta_sts,
        };
        for (pattern, via, place) in &self.domains {
            let target = self.target(via, place)?;
            routes.hosted.insert(pattern, target);
        }
        for (pattern, via, place) in &self.senders {
            let target = self.sender_target(via, place, &routes.outbound)?;
            routes.by_sender.insert(pattern, target);
        }
        for (name, (hosts, options, place)) in &self.routes {
            let site = named_site(name, hosts, place);
            routes
                .options
                .insert(Arc::clone(&site.name), options.clone());
            routes.named.insert(Arc::clone(&site.name), site);
        }
        Ok(routes)
    }
}

impl RoutesBuilder {
    fn outbound_target(&self) -> Result<Target, Arc<str>> {
        let (via, place) = self.outbound.clone().unwrap_or((Via::Mx, Place::Default));
        Ok(match (self.target(&via, &place)?, &self.direct_first) {
            (Target::Site(site), Some(place)) => Target::Mx(place.clone(), Some(Arc::new(site))),
            (target, _) => target,
        })
    }

    /// Sites of one name are the same: what goes by MX for its sender's sake has the same way out
    /// as all that does.
    fn sender_target(
        &self,
        via: &Via,
        place: &Place,
        outbound: &Target,
    ) -> Result<Target, Arc<str>> {
        Ok(match (self.target(via, place)?, outbound) {
            (Target::Mx(place, None), Target::Mx(_, otherwise)) => {
                Target::Mx(place, otherwise.clone())
            }
            (target, _) => target,
        })
    }

    fn filter_site(&self) -> Result<Option<Site>, Arc<str>> {
        let Some((name, place)) = &self.filter else {
            return Ok(None);
        };
        let (hosts, _, _) = self.routes.get(name).ok_or_else(|| Arc::clone(name))?;
        Ok(Some(named_site(name, hosts, place)))
    }

    fn target(&self, via: &Via, place: &Place) -> Result<Target, Arc<str>> {
        Ok(match via {
            Via::Mx => Target::Mx(place.clone(), None),
            Via::Directory(path) => Target::Directory(path.clone(), place.clone()),
            Via::SmartHosts(hosts) => Target::Site(Site {
                name: self.hosts_name(hosts).into(),
                next_hop: Arc::new(NextHop::SmartHosts(hosts.clone())),
                place: place.clone(),
                otherwise: None,
                despite_policies: false,
            }),
            Via::Named(name) => {
                let (hosts, _, _) = self.routes.get(name).ok_or_else(|| Arc::clone(name))?;
                Target::Site(named_site(name, hosts, place))
            }
        })
    }

    /// The name of a site made of hosts alone: equal lists, equal names, whatever domain they stand
    /// at.
    fn hosts_name(&self, hosts: &[HostSpec]) -> String {
        let names: Vec<String> = hosts.iter().map(|host| self.host_name(host)).collect();
        names.join(",")
    }

    fn host_name(&self, spec: &HostSpec) -> String {
        let port = spec.port.or(self.port).unwrap_or(SMTP_PORT);
        match (&spec.at, spec.exact) {
            (HostAt::Network(Host::Domain(name)), true) => format!("[{name}]:{port}"),
            (HostAt::Network(host), _) => format!("{host}:{port}"),
            (HostAt::Socket(path), _) => path.to_string(),
        }
    }
}

fn named_site(name: &str, hosts: &[HostSpec], place: &Place) -> Site {
    Site {
        name: format!("route:{name}").into(),
        next_hop: Arc::new(NextHop::SmartHosts(hosts.to_vec())),
        place: place.clone(),
        otherwise: None,
        despite_policies: false,
    }
}
