//! Where mail goes: as an operator said of it, else as the routes say.

use mail::ReversePath;
use relay_policy::Admitted;
use route::{Routes, Site};
use spool::{Message, Recipient, rerouted};

/// Where a recipient of a message goes.
pub fn site_of(routes: &Routes, message: &Message, recipient: &Recipient) -> Site {
    match recipient.rerouted() {
        Some(site) => routes.site_rerouted(site),
        None => way_of(routes, &message.reverse_path, &recipient.admitted),
    }
}

/// Where a recipient goes of whom no operator has said anything.
pub fn way_of(routes: &Routes, from: &ReversePath, admitted: &Admitted) -> Site {
    let own = own_way(routes, from, admitted);
    own.unwrap_or_else(|| routes.site(admitted.recipient().host()))
}

/// The same where it is another way than everybody's to that host: to a filter first, by a route of
/// its sender, or as a TLS report, despite policies.
pub fn own_way(routes: &Routes, from: &ReversePath, admitted: &Admitted) -> Option<Site> {
    if let Some(filter) = routes.filter().filter(|_| admitted.goes_to_filter()) {
        return Some(filter.clone());
    }
    let (sender, host) = (admitted.own_sender(from), admitted.recipient().host());
    let report = admitted.is_tls_report().then_some(());
    let report = report.and_then(|()| routes.site_of_tls_report(sender, host));
    report.or_else(|| routes.site_by_sender(sender, host))
}

/// The site whose waiting recipients are filed under this name.
pub(crate) fn site_filed(routes: &Routes, name: &str) -> Site {
    match rerouted(name) {
        Some(site) => routes.site_rerouted(site),
        None => routes.site_filed(name),
    }
}
