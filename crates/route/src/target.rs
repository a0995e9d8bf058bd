use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mail::{Host, Place};

use crate::{NextHop, Site};

/// What stands behind an entry: a site made once, or one for each domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// With where mail goes that finds no MX host.
    Mx(Place, Option<Arc<Site>>),
    Site(Site),
    /// A directory below, per recipient domain, has a site each.
    Directory(PathBuf, Place),
}

/// An address that is written out as the recipient's domain.
fn literal(address: IpAddr, place: &Place, otherwise: Option<Arc<Site>>) -> Site {
    Site {
        name: format!("mx:{}", Host::Literal(address)).into(),
        next_hop: Arc::new(NextHop::Literal(address)),
        place: place.clone(),
        otherwise,
        despite_policies: false,
    }
}

impl Target {
    /// Of sites that are known before there is mail for them.
    pub(crate) fn site_names(&self) -> Option<Arc<str>> {
        match self {
            Self::Site(site) => Some(Arc::clone(&site.name)),
            Self::Mx(_, otherwise) => otherwise.as_ref().map(|site| Arc::clone(&site.name)),
            Self::Directory(..) => None,
        }
    }

    /// Which line leads to the site of this name, if it does.
    pub(crate) fn place_of(&self, name: &str) -> Option<&Place> {
        match self {
            Self::Site(site) => (*site.name == *name).then_some(&site.place),
            Self::Mx(_, otherwise) => {
                let site = otherwise.as_ref().filter(|site| *site.name == *name);
                site.map(|site| &site.place)
            }
            Self::Directory(..) => None,
        }
    }

    pub(crate) fn site_of(&self, host: &Host) -> Site {
        match (self, host) {
            (Self::Site(site), _) => site.clone(),
            (Self::Mx(place, otherwise), Host::Domain(domain)) => Site {
                name: format!("mx:{domain}").into(),
                next_hop: Arc::new(NextHop::Mx(domain.clone())),
                place: place.clone(),
                otherwise: otherwise.clone(),
                despite_policies: false,
            },
            (Self::Mx(place, otherwise), Host::Literal(address)) => {
                literal(*address, place, otherwise.clone())
            }
            (Self::Directory(path, place), Host::Domain(domain)) => Site {
                name: format!("local:{domain}").into(),
                next_hop: Arc::new(NextHop::Directory(path.clone())),
                place: place.clone(),
                otherwise: None,
                despite_policies: false,
            },
            (Self::Directory(_, place), Host::Literal(address)) => literal(*address, place, None),
        }
    }
}
