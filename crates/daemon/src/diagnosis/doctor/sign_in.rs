//! Ways of signing in elsewhere that come to an end.

use config::{Config, RouteCredentials};
use route::{HostAt, HostSpec, NextHop};

use super::super::dns::Mark;
use super::Examined;

/// Where Microsoft 365 takes mail from those who sign in.
const MICROSOFT: [&str; 2] = ["smtp.office365.com", "smtp-legacy.office365.com"];

/// A password at Microsoft 365, which the service stops taking.
pub(super) fn look(config: &Config) -> Vec<Examined> {
    let with_password = config.deliveries.iter().filter(|(_, delivery)| {
        let credentials = delivery.auth.as_ref().map(|auth| &auth.credentials);
        matches!(credentials, Some(RouteCredentials::Password { .. }))
    });
    let at_microsoft = with_password.filter(|(site, _)| {
        let site = config.routes.named_route(site);
        site.is_some_and(|site| match &*site.next_hop {
            NextHop::SmartHosts(hosts) => hosts.iter().any(is_microsoft),
            NextHop::Mx(_) | NextHop::Literal(_) | NextHop::Directory(_) | NextHop::Caller => false,
        })
    });
    at_microsoft
        .map(|(site, _)| {
            let text = "signs in at Microsoft 365 by password: off by default from the end of December 2026 \
                        (an administrator may turn it on again), and not there for new tenants";
            Examined::new(Mark::Warning, site, "sign-in", text).cure(
                "sign in by a token: auth.token_url, auth.client_id and auth.client_secret, as preset = \
                 \"microsoft365\" has them",
            )
        })
        .collect()
}

fn is_microsoft(host: &HostSpec) -> bool {
    match &host.at {
        HostAt::Network(mail::Host::Domain(name)) => MICROSOFT.contains(&name.as_str()),
        HostAt::Network(mail::Host::Literal(_)) | HostAt::Socket(_) => false,
    }
}
