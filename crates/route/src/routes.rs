use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use mail::{Domain, Host, Mailbox, Place};

use crate::addresses::{is_inner, is_nowhere};
use crate::by_domain::ByDomain;
use crate::by_sender::BySender;
use crate::own::Own;
use crate::site::TLS_REPORTS;
use crate::target::Target;
use crate::{HostSpec, Hours, IpFamily, LargeHours, NextHop, SendRate, Site, TlsDemand};

/// How a domain's mail goes on, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// As the MX records of the recipient's domain say.
    Mx,
    /// To these hosts, in order: `route = "[10.0.0.5]:25"`. Domains with the same list share a
    /// site.
    SmartHosts(Vec<HostSpec>),
    /// To a `[route.NAME]`, added with [`crate::RoutesBuilder::add_route`] at any time before `build`.
    Named(Arc<str>),
    /// Into a directory, a file a message.
    Directory(PathBuf),
}

/// What a `[route.NAME]` says beside its hosts. `None`: the general setting counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SiteOptions {
    /// `order = "spread"`: the hosts in random order, by their weights, instead of the order given.
    pub spread: bool,
    /// Connections at one time.
    pub connections_max: Option<u32>,
    /// Messages on one connection.
    pub messages_per_connection: Option<u32>,
    /// How much may go there in a time; empty: as much as it takes.
    pub rates: Option<Vec<SendRate>>,
    /// When mail goes there; `None`: at any time.
    pub hours: Option<Hours>,
    /// When large messages go there, within these; `None`: as all do.
    pub large: Option<LargeHours>,
    /// How long a connection may take to open.
    pub timeout: Option<Duration>,
    /// How much encryption its hosts must give; `None`: as much as everybody's.
    pub tls: Option<TlsDemand>,
    /// The name that verified certificates of its hosts must be for, in place of the hosts' own,
    /// where a host has none to itself.
    pub tls_name: Option<Domain>,
}

/// The table of routes: immutable, made from the configuration, swapped as a whole by a reload.
#[derive(Debug, Clone)]
pub struct Routes {
    /// Of domains of ours.
    pub(crate) hosted: ByDomain,
    /// For mail of ours to everybody else.
    pub(crate) by_sender: BySender,
    pub(crate) outbound: Target,
    /// Every `[route.NAME]`, whether mail goes there or not.
    pub(crate) named: HashMap<Arc<str>, Site>,
    pub(crate) options: HashMap<Arc<str>, SiteOptions>,
    /// Where messages go before they go on.
    pub(crate) filter: Option<Site>,
    pub(crate) port: u16,
    pub(crate) ip: IpFamily,
    pub(crate) private_mx: Vec<IpNet>,
    pub(crate) own: Own,
    pub(crate) tls: TlsDemand,
    pub(crate) dane: bool,
    pub(crate) mta_sts: bool,
}

impl Routes {
    /// The site of a recipient's host, whoever the sender is. Asks nobody; the same configuration
    /// gives the same site.
    pub fn site(&self, host: &Host) -> Site {
        self.hosted(host).unwrap_or(&self.outbound).site_of(host)
    }

    /// The site of mail to a recipient's host that comes from `sender`, or from nobody of ours.
    pub fn site_from(&self, sender: Option<&Mailbox>, host: &Host) -> Site {
        let by_sender = self.site_by_sender(sender, host);
        by_sender.unwrap_or_else(|| self.site(host))
    }

    /// The same where its sender has a route of its own, and the host is of no domain of ours: the
    /// way to those is by recipient alone, so that no sender leads their mail elsewhere.
    pub fn site_by_sender(&self, sender: Option<&Mailbox>, host: &Host) -> Option<Site> {
        let target = self.by_sender.find(sender?)?;
        self.hosted(host).is_none().then(|| target.site_of(host))
    }

    /// The site of TLS reports of ours, from `sender`, where that is another than that of
    /// [`Routes::site_from`].
    pub fn site_of_tls_report(&self, sender: Option<&Mailbox>, host: &Host) -> Option<Site> {
        self.site_from(sender, host).for_tls_reports()
    }

    /// The site whose waiting recipients are filed under `name`: a recipient's host, or where
    /// [`Routes::site_by_sender`] says more, what [`Site::filed_name`] gives. What is filed under a
    /// name that means nothing any more belongs elsewhere: its site has no host.
    pub fn site_filed(&self, name: &str) -> Site {
        let Some((site, host)) = name.split_once(' ') else {
            let host = Host::parse(name);
            return host.map_or_else(|_| Site::gone(name), |host| self.site(&host));
        };
        let host = Host::parse(host).ok();
        if let Some(host) = host.as_ref().filter(|_| site.starts_with(TLS_REPORTS)) {
            // Where nothing goes by MX any more, it goes as everything does.
            let site = self.site(host);
            let by_mx = || self.by_sender.by_mx(host)?.for_tls_reports();
            return site.for_tls_reports().or_else(by_mx).unwrap_or(site);
        }
        let filter = self.filter.clone().filter(|filter| *filter.name == *site);
        let by_sender = || host.and_then(|host| self.by_sender.site_named(site, &host));
        let known = filter.or_else(by_sender);
        known.unwrap_or_else(|| Site::gone(name))
    }

    /// The site of a `[route.NAME]`, by its own name `route:NAME`; `None` where there is no such
    /// route.
    pub fn named_route(&self, site: &str) -> Option<&Site> {
        self.named.get(site)
    }

    /// The same for mail that an operator led there, whatever its sender and recipient. Where there
    /// is no such route any more it has no host: the mail waits.
    pub fn site_rerouted(&self, site: &str) -> Site {
        (self.named_route(site).cloned()).unwrap_or_else(|| Site::gone(site))
    }

    /// Whether both tables have waiting mail filed under the same names.
    pub fn files_as(&self, other: &Self) -> bool {
        let no_senders = !self.has_senders() && !other.has_senders();
        let by_sender = self.by_sender == other.by_sender && self.hosted == other.hosted;
        self.filter == other.filter && (no_senders || by_sender)
    }

    /// The site of the filter to which messages go before they go on, where there is one.
    pub fn filter(&self) -> Option<&Site> {
        self.filter.as_ref()
    }

    /// Which line leads mail to the filter that has been there, where one does.
    pub fn way_to_filter(&self) -> Option<&Place> {
        let filter = self.filter.as_ref()?;
        self.targets()
            .find_map(|target| target.place_of(&filter.name))
    }

    /// Whether any mail waits under another name than that of its recipient's host.
    pub fn files_elsewhere(&self) -> bool {
        self.has_senders() || self.filter.is_some()
    }

    /// Whether any sender has a route of its own.
    pub fn has_senders(&self) -> bool {
        !self.by_sender.is_empty()
    }

    /// What `[route.NAME]` says about a site beside its hosts.
    pub fn options(&self, site: &str) -> Option<&SiteOptions> {
        self.options.get(site)
    }

    /// The sites to which mail goes at some hours only, by name.
    pub fn hours(&self) -> impl Iterator<Item = (&Arc<str>, &Hours)> {
        let options = self.options.iter();
        options.filter_map(|(site, options)| Some((site, options.hours.as_ref()?)))
    }

    /// Those to which large messages go at some hours only.
    pub fn large_hours(&self) -> impl Iterator<Item = (&Arc<str>, &LargeHours)> {
        let options = self.options.iter();
        options.filter_map(|(site, options)| Some((site, options.large.as_ref()?)))
    }

    /// The name of the site that somebody calls so, as [`Site::name`] has it, whatever the case of
    /// letters; `None` where mail goes to no site of that name.
    pub fn site_name(&self, text: &str) -> Option<Arc<str>> {
        let text = text.to_ascii_lowercase();
        if let Some(host) = text.strip_prefix("mx:") {
            return Some(format!("mx:{}", Host::parse(host).ok()?).into());
        }
        let known = self.targets().flat_map(Target::site_names);
        let known = known.chain(self.options.keys().cloned());
        let of_domains = text.strip_prefix("local:").is_some_and(|domain| {
            let domain = Domain::parse(domain).map(Host::Domain);
            domain.is_ok_and(|domain| self.site(&domain).name.eq_ignore_ascii_case(&text))
        });
        let mut known = known.filter(|name| name.eq_ignore_ascii_case(&text));
        known.next().or_else(|| of_domains.then(|| text.into()))
    }

    /// The names of the sites of all `[route.NAME]`, as `route:NAME`.
    pub fn route_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.named.values().map(|site| &site.name)
    }

    /// Whether the configuration names this site, or its domain, itself; mail of strangers cannot
    /// choose how many of those there are.
    pub fn is_named(&self, site: &Site) -> bool {
        match &*site.next_hop {
            NextHop::SmartHosts(_) | NextHop::Directory(_) | NextHop::Caller => true,
            NextHop::Mx(domain) => self.hosted.names(domain),
            NextHop::Literal(_) => false,
        }
    }

    /// Whether there can be a site of which [`Routes::is_named`] is true.
    pub fn name_any(&self) -> bool {
        let named = |target: &Target| !matches!(target, Target::Mx(..));
        self.hosted.has_exact() || self.targets().any(named)
    }

    /// How much encryption a connection to `site` must give that carries mail for `domains`: for
    /// each of them what it says itself (`None`: nothing). The strictest of them counts, because
    /// they share the connection. What a domain says stands above `outbound.tls`, but makes a route
    /// that has a word of its own no laxer.
    pub fn demand(
        &self,
        site: &str,
        domains: impl IntoIterator<Item = Option<TlsDemand>>,
    ) -> TlsDemand {
        let of_route = self.options(site).and_then(|options| options.tls);
        let of_one = |of_domain: Option<TlsDemand>| of_route.max(of_domain).unwrap_or(self.tls);
        let strictest = domains.into_iter().map(of_one).max();
        strictest.unwrap_or_else(|| of_one(None))
    }

    /// Whether a name that a stranger chose, and that is no mail host, may lead us to `address`
    /// (the host of an MTA-STS policy is one): to none of an inner network and to none of this
    /// machine, but those in `outbound.private_mx`.
    pub fn lets_strangers_name(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_ours = is_inner(address) || self.own.is_address(address);
        !is_nowhere(address) && (!is_ours || self.is_private_mx(address))
    }

    /// Whether `outbound.private_mx` names the address.
    pub(crate) fn is_private_mx(&self, address: IpAddr) -> bool {
        self.private_mx.iter().any(|block| block.contains(&address))
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        let written = self.by_sender.targets().chain(self.hosted.targets());
        written.chain([&self.outbound])
    }

    /// What the domain of ours says that this host is of.
    fn hosted(&self, host: &Host) -> Option<&Target> {
        self.hosted.find(host.domain()?)
    }
}
