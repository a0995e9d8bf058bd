//! `[[sender_route]]`: whose mail goes where, but for domains of ours.

use ::route::{SenderPattern as Routed, Via};
use mail::Place;
use relay_policy::SenderPattern;

use crate::deliveries::warn_of_smart_hosts;
use crate::domains::route_pattern;
use crate::form::Item;
use crate::options::{outbound, sender_route as options};
use crate::routes::via;
use crate::settings::{Section, Settings};

/// A sender, where its mail goes, and the line that says so.
pub(crate) type SenderRoute = (Routed, Via, Place);

/// All of them. No order counts among them, so that no two may be about the same senders.
pub(crate) fn read(settings: &mut Settings) -> Vec<SenderRoute> {
    let mut routes: Vec<SenderRoute> = Vec::new();
    for section in settings.sections_of(options::SECTION) {
        let Some(via) = way(settings, &section) else {
            continue;
        };
        for Item { value, span } in settings.get(section.at(options::SENDERS)) {
            let Some(pattern) = pattern(&value) else {
                let message = "mail from <> goes where its recipient's domain says".to_owned();
                settings.error(&span, message, "leave \"<>\" out");
                continue;
            };
            let place = settings.place(&span);
            let mut known = routes.iter();
            match known.find(|(known, _, _)| known.is_same(&pattern)) {
                Some((_, _, earlier)) => {
                    let label = format!("first at {earlier}");
                    let message = format!("two routes for mail from {value}");
                    settings.error(&span, message, &label);
                }
                None => routes.push((pattern, via.clone(), place)),
            }
        }
    }
    routes
}

/// Where the mail of a section goes; with a mistake reported where the section is not whole.
fn way(settings: &mut Settings, section: &Section) -> Option<Via> {
    let needed = [
        (
            !settings.get(section.at(options::SENDERS)).is_empty(),
            "senders",
        ),
        (settings.is_set(section.at(options::ROUTE)), "route"),
    ];
    if let Some((_, name)) = needed.into_iter().find(|(is_set, _)| !is_set) {
        if !settings.has_error_in(&section.key) {
            let message = format!("[[sender_route]] has no `{name}`");
            let label = "write senders = \"example.com\" and route = \"NAME\"";
            settings.error(&section.span, message, label);
        }
        return None;
    }
    if settings.get(outbound::TLS) == ::route::TlsDemand::Verify {
        warn_of_smart_hosts(settings, section.at(options::ROUTE));
    }
    Some(via(settings, section.at(options::ROUTE)))
}

fn pattern(sender: &SenderPattern) -> Option<Routed> {
    match sender {
        SenderPattern::Null => None,
        SenderPattern::Mailbox(mailbox) => Some(Routed::Mailbox(mailbox.clone())),
        SenderPattern::Domain(name) => Some(Routed::Domain(route_pattern(name))),
    }
}
