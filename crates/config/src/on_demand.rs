//! `[domain.NAME.on_demand]`: who may ask for the mail of a domain that waits until somebody does.

use std::time::Duration;

use relay_policy::{List, OnDemand};

use crate::options::{domain, on_demand as options};
use crate::relay::entries;
use crate::settings::{Section, Settings, first_place, positive};

/// Who may ask for the mail of the domain of this section, and after what age that is given up;
/// nothing where it does not wait for anybody.
pub(crate) fn read(settings: &mut Settings, section: &Section) -> Option<(OnDemand, Duration)> {
    let expire = section.at(options::EXPIRE);
    let own = expire.section().to_owned();
    if !settings.is_written(&own) {
        return None;
    }
    positive(settings, section.at(options::EXPIRE));
    let (users, clients) = (section.at(options::USERS), section.at(options::CLIENTS));
    let place = first_place([settings.place_of(&users), settings.place_of(&clients)]);
    let on_demand = OnDemand {
        users: settings
            .values(users)
            .into_iter()
            .map(String::into)
            .collect(),
        clients: List::new(
            entries(settings, settings.get(&clients)),
            settings.place_of(&clients),
        ),
        has_route: settings.is_set(section.at(domain::ROUTE)),
        place,
    };
    let has_clients = !on_demand.clients.entries().is_empty();
    if on_demand.users.is_empty() && !has_clients && !settings.has_error_in(&own) {
        let message = format!("nobody may ask for the mail that waits by [{own}]");
        settings.error(
            &section.span,
            message,
            "write its `users`, or its `clients`",
        );
    }
    if has_clients && !on_demand.has_route {
        let message = format!(
            "mail that clients ask for needs a `route` in [{}]",
            section.key
        );
        let label = "ETRN has it sent to the domain's server: write where that is";
        settings.error_at(section.at(options::CLIENTS), message, label);
    }
    Some((on_demand, settings.get(expire)))
}
