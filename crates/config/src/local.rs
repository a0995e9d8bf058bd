//! `[pickup]` and `[submit]`: the ways in which this machine itself hands messages in.

use std::path::PathBuf;
use std::sync::Arc;

use relay_policy::{LocalRule, RecipientPattern, Rules, SenderPattern};
use smtp::BareLf;

use crate::config::{Local, Pickup, Submit};
use crate::form::Item;
use crate::option::Opt;
use crate::options::{pickup, relay, submit};
use crate::relay::Shared;
use crate::send_only_to;
use crate::settings::{Settings, positive};

/// What the table has for one of them.
struct Way {
    /// Its name in the log, in explanations and in the posture.
    name: &'static str,
    rule: &'static str,
    opened_by: &'static Opt<Option<PathBuf>>,
    may_relay: &'static Opt<bool>,
    senders: &'static Opt<Vec<Item<SenderPattern>>>,
    recipients: &'static Opt<Vec<Item<RecipientPattern>>>,
}

const PICKUP: Way = Way {
    name: "pickup",
    rule: "relay.pickup",
    opened_by: pickup::DIRECTORY,
    may_relay: relay::PICKUP,
    senders: pickup::SENDERS,
    recipients: pickup::RECIPIENTS,
};
const SUBMIT: Way = Way {
    name: "submit",
    rule: "relay.submit",
    opened_by: submit::SOCKET,
    may_relay: relay::SUBMIT,
    senders: submit::SENDERS,
    recipients: submit::RECIPIENTS,
};

/// `session` is what the sessions of all listeners have in common.
pub(crate) fn local(
    settings: &mut Settings,
    session: &reception::Settings,
    shared: &Shared,
) -> Local {
    positive(settings, pickup::INTERVAL);
    for way in [PICKUP, SUBMIT] {
        if settings.get(way.may_relay) && !settings.is_set(way.opened_by) {
            let message = format!("`{}` permits nobody", way.rule);
            let label = format!("{} is not set", way.opened_by.facts.key());
            settings.warn_at(way.may_relay, message, &label);
        }
    }
    let [of_pickup, of_submit] =
        [PICKUP, SUBMIT].map(|way| way_in(settings, &way, session, shared));
    Local {
        pickup: settings.path(pickup::DIRECTORY).map(|directory| Pickup {
            directory,
            interval: settings.get(pickup::INTERVAL),
            session: of_pickup,
        }),
        submit: settings.path(submit::SOCKET).map(|socket| Submit {
            socket,
            mode: settings.get(submit::MODE),
            group: settings.get(submit::GROUP),
            session: of_submit,
        }),
    }
}

/// What its sessions go by: nobody signs in, nothing is encrypted, and no list of clients has a
/// say.
fn way_in(
    settings: &mut Settings,
    way: &Way,
    session: &reception::Settings,
    shared: &Shared,
) -> Arc<reception::Settings> {
    let mut rules = Rules {
        local: Some(LocalRule {
            name: way.rule,
            may_relay: settings.get(way.may_relay),
            place: settings.place_of(way.may_relay),
            senders: settings.values(way.senders).into(),
            senders_place: settings.place_of(way.senders),
            only_to: send_only_to::of(settings, way.recipients.into()),
        }),
        ..shared.rules_without_listener(None)
    };
    rules.listener.name = way.name.into();
    rules.listener.place = settings.place_of(way.opened_by);
    Arc::new(reception::Settings {
        rules: Arc::new(rules),
        // Programs of this machine write LF, and what hands their messages to a session mends that.
        bare_lf: BareLf::Refuse,
        mechanisms: Arc::default(),
        ..session.clone()
    })
}
