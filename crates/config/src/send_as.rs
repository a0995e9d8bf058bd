//! As whom mail goes out, where that is not as it came.

use std::sync::Arc;

use delivery::SendAs;
use mail::Domain;
use relay_policy::DomainTable;

use crate::config::Listener;
use crate::options::outbound;
use crate::settings::Settings;

/// Of a relay of this name, with these listeners and domains of ours.
pub(crate) fn read(
    settings: &Settings,
    hostname: &Domain,
    listeners: &[Listener],
    hosted: &Arc<DomainTable>,
) -> Arc<SendAs> {
    let of_listeners = listeners.iter().map(|listener| &listener.hostname);
    let place = settings.place_of(outbound::MASQUERADE_DOMAIN);
    let masquerade = settings.get(outbound::MASQUERADE_DOMAIN);
    Arc::new(SendAs {
        masquerade: masquerade.map(|domain| (domain, place)),
        own_names: of_listeners.chain([hostname]).cloned().collect(),
        hosted: Arc::clone(hosted),
    })
}
