//! To whom alone some may send: `[[send_only_to]]`, `pickup.recipients`, `submit.recipients`.

use std::sync::Arc;

use relay_policy::{BoundClients, Clients, RecipientPattern, SendOnlyTo};

use crate::form::Item;
use crate::option::At;
use crate::options::send_only_to as options;
use crate::relay::{certificates, list};
use crate::settings::{Section, Settings};

/// All sections; the order makes no difference.
pub(crate) fn read(settings: &mut Settings) -> Arc<[BoundClients]> {
    let sections = settings.sections_of(options::SECTION).into_iter();
    sections
        .filter_map(|section| bound_clients(settings, &section))
        .collect()
}

fn bound_clients(settings: &mut Settings, section: &Section) -> Option<BoundClients> {
    let clients = section.at(options::CLIENTS);
    let items = settings.get(&clients);
    let certificates = certificates(settings, section.at(options::CERTIFICATES));
    if items.is_empty() && certificates.is_empty() && !settings.has_error_in(&section.key) {
        let message = "[[send_only_to]] has neither `clients` nor `certificates`".to_owned();
        settings.error(&section.span, message, "write clients = \"10.0.7.0/24\"");
    }
    let named = items
        .iter()
        .filter(|item| matches!(item.value.clients, Clients::Below(_)));
    for item in named {
        // Whoever is bound would be free with another name in reverse DNS.
        let message = "[[send_only_to]] knows clients by address alone".to_owned();
        settings.error(&item.span, message, "write an address, a block or a range");
    }
    let only_to = of(settings, section.at(options::RECIPIENTS));
    if only_to.is_none() && !settings.has_error_in(&section.key) {
        let message = "[[send_only_to]] has no `recipients`".to_owned();
        settings.error(&section.span, message, "write recipients = \"hosted\"");
    }
    Some(BoundClients {
        clients: list(settings, clients),
        certificates,
        only_to: only_to?,
    })
}

/// `None`: to everybody. A list of nobody, which would look like one of everybody, is an error.
pub(crate) fn of(
    settings: &mut Settings,
    at: At<Vec<Item<RecipientPattern>>>,
) -> Option<SendOnlyTo> {
    let recipients = settings.values(&at);
    let only_to = SendOnlyTo {
        recipients: recipients.into(),
        place: settings.place_of(&at),
    };
    if only_to.recipients.is_empty() {
        let message = "a list of recipients that names nobody".to_owned();
        settings.error_at(at, message, "write \"hosted\", a domain or an address");
        return None;
    }
    Some(only_to)
}
