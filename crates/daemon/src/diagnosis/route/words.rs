//! What routing says, in words for people.

use route::{DemandedBy, Hop, HopAddress, NextHop, Security, TlsDemand};

/// How the hosts of a site are found.
pub(super) fn next_hop(next_hop: &NextHop) -> &'static str {
    match next_hop {
        NextHop::Mx(_) => "as its MX records say",
        NextHop::Literal(_) => "the very address",
        NextHop::SmartHosts(_) => "smart hosts",
        NextHop::Directory(_) => "kept here",
        NextHop::Caller => "whoever asks for it",
    }
}

/// As it is written in the configuration.
pub(super) fn demand(demand: TlsDemand) -> &'static str {
    match demand {
        TlsDemand::Off => "off",
        TlsDemand::Opportunistic => "opportunistic",
        TlsDemand::Require => "require",
        TlsDemand::Verify => "verify",
    }
}

/// What a connection there has to give, and who wants more than the `demand` of the configuration.
pub(super) fn security(hop: &Hop, demand: TlsDemand) -> String {
    let begin = if hop.implicit_tls {
        "encrypted from the first octet"
    } else {
        "encrypted"
    };
    let text = match &hop.security {
        Security::None if matches!(hop.address, HopAddress::Unix(_)) => {
            return "none is needed: it is a socket of this machine".to_owned();
        }
        Security::None => "in clear".to_owned(),
        Security::Opportunistic => format!("{begin} if it offers that"),
        Security::Required => begin.to_owned(),
        Security::Verified { names } => {
            format!("{begin}, with a certificate for {}", names.join(" or "))
        }
        Security::Dane { .. } => format!("{begin}, with the certificate of its TLSA records"),
    };
    let by = match hop.demanded_by {
        DemandedBy::Dane => " (DANE)",
        DemandedBy::MtaSts => " (MTA-STS policy of the domain)",
        DemandedBy::MtaStsTesting { .. } => " (its MTA-STS policy is on trial)",
        DemandedBy::Configuration if demand == TlsDemand::Off => " (tls = \"off\")",
        DemandedBy::Configuration => "",
    };
    text + by
}
