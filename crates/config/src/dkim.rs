//! `[dkim.DOMAIN]`: by which keys mail of the domain's authors is signed. The keys themselves are
//! read by whoever signs.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use mail::Domain;

use crate::config::{Dkim, DkimKey};
use crate::form::Item;
use crate::options::{dkim as options, queue};
use crate::settings::{Section, Settings};

/// All of them.
pub(crate) fn read(settings: &mut Settings) -> Vec<Dkim> {
    let sections = settings.sections_of(options::SECTION).into_iter();
    let all = sections.filter_map(|section| one(settings, &section));
    all.collect()
}

/// `None` where it does not say for whom or by what it signs.
fn one(settings: &mut Settings, section: &Section) -> Option<Dkim> {
    let domain = match Domain::parse(&section.name) {
        Ok(domain) => domain,
        Err(why) => {
            let message = format!("[{}] names no domain", section.key);
            settings.error(&section.span, message, &why.to_string());
            return None;
        }
    };
    let lifetime: Option<Duration> = settings.get(section.at(options::LIFETIME));
    let expire = settings.get(queue::EXPIRE);
    if lifetime.is_some_and(|lifetime| lifetime <= expire) {
        let message = "signatures end before the messages that wait longest are given up";
        let at = section.at(options::LIFETIME);
        settings.error_at(at, message.to_owned(), "write more than queue.expire");
    }
    let keys = keys(settings, section);
    if keys.is_empty() && !settings.has_error_in(&section.key) {
        let message = format!("[{}] needs `selector` and `key`", section.key);
        let label = "write selector = \"rsa\" and key = \"dkim/rsa.example.com.key\"";
        settings.error_in(&section.key, &section.span, message, label);
    }
    Some(Dkim {
        domain,
        keys,
        subdomains: settings.get(section.at(options::SUBDOMAINS)),
        lifetime,
        place: settings.place(&section.span),
    })
}

/// Each selector with its key.
fn keys(settings: &mut Settings, section: &Section) -> Vec<DkimKey> {
    let selectors: Vec<Item<Domain>> = settings.get(section.at(options::SELECTOR));
    let files: Vec<Item<PathBuf>> = settings.get(section.at(options::KEY));
    if selectors.len() != files.len() && !settings.has_error_in(&section.key) {
        let (selected, given) = (selectors.len(), files.len());
        let message = format!("each key needs its selector: {given} and {selected}");
        let label = "as many selectors as keys, in the same order";
        settings.error_in(&section.key, &section.span, message, label);
    }
    let mut known = HashSet::new();
    for selector in &selectors {
        if !known.insert(&selector.value) {
            let message = format!("the selector {} names two keys", selector.value);
            settings.error(&selector.span, message, "each key has a name of its own");
        }
    }
    let pairs = selectors.iter().zip(files);
    pairs
        .map(|(selector, file)| DkimKey {
            selector: selector.value.clone(),
            place: settings.place(&file.span),
            file: settings.base.join(file.value),
        })
        .collect()
}
