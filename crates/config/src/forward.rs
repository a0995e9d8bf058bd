//! `[forward]`: whose mail goes on to whom.

use mail::Mailbox;
use relay_policy::{DomainKind, DomainTable, FORWARD_STEPS_MAX, Forward, Forwards, Party};

use crate::form::Item;
use crate::options::forward as options;
use crate::settings::Settings;
use crate::source::Span;

/// So many targets an entry has at most, those of its targets included: every message for it is sent
/// to all of them.
const TARGETS_MAX: usize = 100;

/// Reads all entries about domains of ours, which `domains` are, with a warning where senders are
/// not rewritten and mail goes elsewhere.
pub(crate) fn read(settings: &mut Settings, domains: &DomainTable, rewrites: bool) -> Forwards {
    let mut forwards = Forwards::default();
    let mut elsewhere = None;
    let mut spans = Vec::new();
    for (at, name, key) in settings.named(options::TARGETS) {
        let from = match Party::parse(&name) {
            Ok(from) => from,
            Err(why) => {
                let message = format!("`{}` in [forward] is no address", mail::escaped(&name));
                settings.error(&key, message, &why);
                continue;
            }
        };
        let targets = settings.get(at);
        check_source(settings, domains, &from, &key);
        check_targets(settings, domains, &targets, &key);
        let goes = |item: &&Item<Party>| kind(domains, &item.value).is_none();
        elsewhere = elsewhere.or_else(|| targets.iter().find(goes).map(|item| item.span.clone()));
        let forward = Forward {
            from,
            to: targets.into_iter().map(|item| item.value).collect(),
            place: settings.place(&key),
        };
        spans.push((forward.clone(), key.clone()));
        if let Some(earlier) = forwards.insert(forward) {
            let message = format!("`{}` is forwarded twice", earlier.from);
            settings.error(&key, message, &format!("first at {}", earlier.place));
        }
    }
    for (forward, key) in spans {
        if let Some(way) = forwards.endless(&forward) {
            endless(settings, &way, &key);
        } else if forwards.reach(&forward) > TARGETS_MAX && forward.to.len() <= TARGETS_MAX {
            let message = format!(
                "this forward leads to {} addresses in all, by those of its targets",
                forwards.reach(&forward)
            );
            let label = format!("{TARGETS_MAX} at most; a list of that size is for a list server");
            settings.error(&key, message, &label);
        }
    }
    if let Some(span) = elsewhere.filter(|_| !rewrites) {
        let message = "mail is forwarded to other domains without [srs]".to_owned();
        let label = "servers there that look at SPF will refuse it, as the sender stays as it is";
        settings.warn(&span, message, label);
    }
    forwards
}

/// What the domain of a party is to us; `None`: elsewhere.
fn kind(domains: &DomainTable, party: &Party) -> Option<DomainKind> {
    domains.at(&party.host()).map(|rule| rule.kind)
}

/// Only what is taken here anyway goes on: a forward is no way to relay for anybody else.
fn check_source(settings: &mut Settings, domains: &DomainTable, from: &Party, key: &Span) {
    let host = from.host();
    let message = match kind(domains, from) {
        Some(DomainKind::Remote | DomainKind::Local) => return,
        Some(DomainKind::Blocked) => format!("{host} is a blocked domain: nothing is taken for it"),
        None => format!("{host} is no domain of ours: nothing is taken for it"),
    };
    let label = format!("write [domain.\"{host}\"] as a domain that is not blocked");
    settings.error(key, message, &label);
}

fn check_targets(
    settings: &mut Settings,
    domains: &DomainTable,
    targets: &[Item<Party>],
    key: &Span,
) {
    if !(1..=TARGETS_MAX).contains(&targets.len()) {
        let message = format!("a forward names from 1 to {TARGETS_MAX} who get the mail");
        settings.error(key, message, "name them behind it");
    }
    for target in targets {
        if kind(domains, &target.value) == Some(DomainKind::Blocked) {
            let message = format!("{} is in a blocked domain", target.value);
            settings.error(&target.span, message, "nothing is taken for it");
        }
    }
}

fn endless(settings: &mut Settings, way: &[Mailbox], key: &Span) {
    let names: Vec<&str> = way.iter().map(Mailbox::as_str).collect();
    let message = format!("this forward does not end within {FORWARD_STEPS_MAX} steps");
    settings.error(key, message, &names.join(" -> "));
}
