//! How well the connection to a host must be protected: the configuration, the host's TLSA records
//! and the policy of the recipient's domain each have a say.

use std::net::SocketAddr;
use std::sync::Arc;

use mail::Domain;

use crate::trouble::Trouble;
use crate::ways::{MailExchanger, Ways};
use crate::{Answer, DemandedBy, Question, Security, StsMode, StsPolicy, TlsDemand, TlsaRecord};

/// TLSA records looked at of one host.
pub const TLSA_RECORDS_MAX: usize = 32;

/// RFC 8314 section 3.3: SMTP submission with TLS from the first octet.
const IMPLICIT_TLS_PORT: u16 = 465;

/// What a connection must give, and who wants it.
pub(crate) struct Protection {
    pub(crate) security: Security,
    pub(crate) demanded_by: DemandedBy,
    pub(crate) implicit_tls: bool,
}

/// Why it is not known what a connection must give.
pub(crate) enum Unprotected {
    Ask(Question),
    /// The host must not be used.
    Never(Trouble),
}

/// What is known of the list in which a host stands.
#[derive(Clone, Copy)]
pub(crate) struct Listing<'a> {
    /// The recipient's domain, or the name in the configuration.
    pub(crate) domain: &'a Domain,
    /// DNSSEC vouches for the list, or that there is none.
    pub(crate) secure: bool,
    /// The MTA-STS policy of the domain.
    pub(crate) policy: Option<&'a StsPolicy>,
}

/// What the TLSA records of a host come to.
enum Tlsa {
    /// It has none that could be trusted.
    None,
    /// It has some, and none of a kind that works for SMTP.
    Unusable,
    Usable {
        base: Domain,
        records: Arc<[TlsaRecord]>,
    },
}

impl Ways<'_> {
    /// Of a host with a name.
    pub(crate) fn protection(
        &self,
        exchange: &MailExchanger<'_>,
        listing: Listing<'_>,
    ) -> Result<Protection, Unprotected> {
        let host = exchange.name;
        if self.demand == TlsDemand::Off {
            return Ok(Protection::configured(Security::None));
        }
        if self.by_administrator {
            let security = self.configured(|| self.smart_host_names(host, listing));
            return Ok(Protection::configured(security).at_smart_host(exchange.port));
        }
        match self.tlsa(exchange, listing)? {
            // RFC 8461 section 2: a policy must not override a failing DANE validation. So DANE
            // comes first.
            Tlsa::Usable { base, records } => Ok(Protection {
                security: Security::Dane { base, records },
                demanded_by: DemandedBy::Dane,
                implicit_tls: false,
            }),
            // RFC 7672 section 2.2: where none of the secure records is usable, TLS is mandatory
            // all the same, unauthenticated.
            Tlsa::Unusable => self.of_mx_host(host, true, listing),
            Tlsa::None => self.of_mx_host(host, false, listing),
        }
    }

    /// Of a host that is given by its address.
    pub(crate) fn protection_of_address(&self, address: SocketAddr) -> Protection {
        // A certificate can name an address too (RFC 5280 section 4.2.1.6, iPAddress).
        let name = || match self.tls_name {
            Some(name) => Box::from(name.as_str()),
            None => address.ip().to_string().into(),
        };
        let protection = Protection::configured(self.configured(|| Arc::from([name()])));
        if self.by_administrator {
            protection.at_smart_host(address.port())
        } else {
            protection
        }
    }

    /// The names that make a smart host the one that was configured. An MX record may lead from the
    /// configured name to any host; only DNSSEC can make that host's own name count.
    fn smart_host_names(&self, host: &Domain, listing: Listing<'_>) -> Arc<[Box<str>]> {
        if let Some(name) = self.tls_name {
            return Arc::from([Box::from(name.as_str())]);
        }
        let configured = listing.domain;
        if host == configured {
            return Arc::from([Box::from(configured.as_str())]);
        }
        let below = format!("*.{configured}").into_boxed_str();
        let mut names = vec![Box::from(configured.as_str()), below];
        if listing.secure {
            names.push(host.as_str().into());
        }
        names.into()
    }

    /// What the configuration demands; `names` for a certificate.
    fn configured(&self, names: impl FnOnce() -> Arc<[Box<str>]>) -> Security {
        match self.demand {
            TlsDemand::Off => Security::None,
            TlsDemand::Opportunistic => Security::Opportunistic,
            TlsDemand::Require => Security::Required,
            TlsDemand::Verify => Security::Verified { names: names() },
        }
    }

    /// Of an MX host without TLSA records that say more.
    fn of_mx_host(
        &self,
        host: &Domain,
        has_tlsa: bool,
        listing: Listing<'_>,
    ) -> Result<Protection, Unprotected> {
        let names = || Arc::from([Box::from(host.as_str())]);
        let mut protection = Protection::configured(self.configured(names));
        if has_tlsa && protection.security == Security::Opportunistic {
            protection.security = Security::Required;
            protection.demanded_by = DemandedBy::Dane;
        }
        let Some(policy) = listing.policy else {
            return Ok(protection);
        };
        let listed = policy.lists(host);
        match policy.mode {
            StsMode::Enforce if !listed => return Err(Unprotected::Never(Trouble::NotInPolicy)),
            // RFC 8461 section 4.2: the certificate must be for the name of the MX host, which the
            // policy lists.
            StsMode::Enforce => {
                protection.security = Security::Verified { names: names() };
                protection.demanded_by = DemandedBy::MtaSts;
            }
            StsMode::Testing => protection.demanded_by = DemandedBy::MtaStsTesting { listed },
            StsMode::None => {}
        }
        Ok(protection)
    }

    /// RFC 7672 section 2.2: TLSA records count, and are asked for, only where MX records and
    /// addresses are secure themselves.
    fn tlsa(
        &self,
        exchange: &MailExchanger<'_>,
        listing: Listing<'_>,
    ) -> Result<Tlsa, Unprotected> {
        if !self.routes.dane || !self.policies || !listing.secure || !exchange.secure {
            return Ok(Tlsa::None);
        }
        let question = Question::Tlsa {
            host: exchange.name.clone(),
            port: exchange.port,
        };
        match self.answers.get(&question) {
            None => Err(Unprotected::Ask(question)),
            Some(Answer::Tlsa { base, records }) => Ok(usable(base, records)),
            Some(Answer::NoData { .. } | Answer::NoSuchName) => Ok(Tlsa::None),
            // RFC 7672 section 2.1.2: after an error, bogus answers among them, the host must be
            // taken for one that cannot be reached. Going on without would let whoever garbles the
            // answer switch the protection off.
            Some(Answer::Failed(why)) => {
                let why = format!("TLSA records of {}: {why}", exchange.name);
                Err(Unprotected::Never(Trouble::CannotTell(why.into())))
            }
            Some(Answer::Mx { .. } | Answer::Addresses { .. } | Answer::MtaSts(_)) => {
                Err(Unprotected::Never(Trouble::misfit()))
            }
        }
    }
}

impl Protection {
    fn configured(security: Security) -> Self {
        Self {
            security,
            demanded_by: DemandedBy::Configuration,
            implicit_tls: false,
        }
    }

    /// Where the administrator names the port of implicit TLS, nothing is said in clear, so there
    /// is nothing to fall back to.
    fn at_smart_host(mut self, port: u16) -> Self {
        self.implicit_tls = port == IMPLICIT_TLS_PORT && self.security != Security::None;
        if self.implicit_tls && self.security == Security::Opportunistic {
            self.security = Security::Required;
        }
        self
    }
}

fn usable(base: &Domain, records: &[TlsaRecord]) -> Tlsa {
    if records.is_empty() {
        return Tlsa::None;
    }
    let usable = records.iter().filter(|record| record.is_usable());
    let usable: Vec<_> = usable.take(TLSA_RECORDS_MAX).cloned().collect();
    if usable.is_empty() {
        Tlsa::Unusable
    } else {
        Tlsa::Usable {
            base: base.clone(),
            records: usable.into(),
        }
    }
}
