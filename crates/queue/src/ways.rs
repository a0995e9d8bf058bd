//! Where mail goes: as an operator said of it, else as the routes say.

use route::{Routes, Site};
use spool::{Message, Recipient, rerouted};

/// Where a recipient of a message goes.
pub fn site_of(routes: &Routes, message: &Message, recipient: &Recipient) -> Site {
    match recipient.rerouted() {
        Some(site) => routes.site_rerouted(site),
        None => {
            let sender = recipient.admitted.own_sender(&message.reverse_path);
            routes.site_from(sender, recipient.admitted.recipient().host())
        }
    }
}

/// The site whose waiting recipients are filed under this name.
pub(crate) fn site_filed(routes: &Routes, name: &str) -> Site {
    match rerouted(name) {
        Some(site) => routes.site_rerouted(site),
        None => routes.site_filed(name),
    }
}
