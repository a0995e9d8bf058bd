use std::net::IpAddr;

use mail::Domain;

use crate::Identity;

/// What is known of a client and its message before DNS is asked (RFC 7208 section 4.1).
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// What it said with HELO or EHLO.
    pub helo: &'a str,
    /// The address that MAIL named, without brackets; empty for the null path, and to check the name
    /// of HELO by itself.
    pub sender: &'a str,
    /// Our own host name, for explanations.
    pub receiver: &'a str,
    /// Seconds since 1970, for explanations.
    pub now: u64,
}

/// The sender as policies see it.
pub(crate) struct Sender<'a> {
    pub local_part: &'a str,
    pub domain: Domain,
}

impl<'a> Facts<'a> {
    pub(crate) fn identity(&self) -> Identity {
        if self.sender.is_empty() {
            Identity::Helo
        } else {
            Identity::MailFrom
        }
    }

    /// RFC 7208 section 4.3: without a domain of several labels there is no policy, and a local part
    /// that is missing is `postmaster`.
    pub(crate) fn sender(&self) -> Option<Sender<'a>> {
        let (local_part, host) = match self.sender.rsplit_once('@') {
            Some(parts) => parts,
            None if self.sender.is_empty() => ("", self.helo),
            None => return None,
        };
        let domain = Domain::parse(host.strip_suffix('.').unwrap_or(host)).ok()?;
        let is_name = domain.parent().is_some() && !domain.ends_in_digits();
        let local_part = match local_part {
            "" => "postmaster",
            named => named,
        };
        is_name.then_some(Sender { local_part, domain })
    }
}
