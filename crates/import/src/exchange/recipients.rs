//! Who gets mail: addresses of recipients, sorted into the lists of accepted domains.

use std::collections::{BTreeMap, BTreeSet};

use mail::{Host, Mailbox};

use super::export::{Kind, Object};
use super::{Found, Work};
use crate::Lists;
use crate::report::{Fate, Origin};

/// So many addresses are read.
const ADDRESSES_MAX: usize = 2_000_000;

/// Addresses by their domains, and the lists that were made of them.
pub(super) struct Recipients {
    by_domain: BTreeMap<String, BTreeSet<String>>,
    /// The first object with addresses.
    first: Option<Origin>,
    pub lists: Lists,
}

/// What was passed over in one file, and where for the first time.
#[derive(Default)]
struct Passed {
    unusable: usize,
    inner: usize,
    cut: usize,
    first: Option<Origin>,
}

impl Recipients {
    pub fn read(work: &mut Work, found: &Found) -> Self {
        let mut all = Self {
            by_domain: BTreeMap::new(),
            first: None,
            lists: Lists::default(),
        };
        let mut passed: BTreeMap<String, Passed> = BTreeMap::new();
        let mut number = 0;
        for object in found.of(Kind::Recipient) {
            let name = [
                "proxyAddresses",
                "EmailAddresses",
                "PrimarySmtpAddress",
                "mail",
            ];
            let name = name
                .into_iter()
                .find(|name| object.has(name))
                .unwrap_or("mail");
            let origin = object.origin(name);
            let of_file = passed.entry(object.file.clone()).or_default();
            let (addresses, unusable, cut) = addresses(object);
            let only_inside = is_only_inside(object);
            if unusable > 0 || cut || only_inside {
                of_file.first.get_or_insert_with(|| origin.clone());
            }
            of_file.unusable += unusable;
            of_file.cut += usize::from(cut);
            if only_inside {
                of_file.inner += 1;
                continue;
            }
            for address in addresses {
                let Host::Domain(domain) = address.host() else {
                    continue;
                };
                number += 1;
                if number <= ADDRESSES_MAX {
                    all.first.get_or_insert_with(|| origin.clone());
                    let list = all.by_domain.entry(domain.as_str().to_owned()).or_default();
                    list.insert(address.as_str().to_ascii_lowercase());
                }
            }
        }
        if let Some(origin) = &all.first {
            let why = format!(
                "{} addresses; those at accepted domains are in their lists",
                number.min(ADDRESSES_MAX)
            );
            work.tell(Fate::Translated, origin, "domain.NAME.recipients", &why);
        }
        passed.values().for_each(|passed| tell(work, passed));
        all
    }

    /// The list for a section, with how many are on it and where they come from; none where no recipients
    /// were exported. It is made when it is first asked for.
    pub fn list_for(&mut self, section: &str) -> Option<(String, usize, Origin)> {
        let first = self.first.clone()?;
        let texts: Vec<String> = match section.strip_prefix("*.") {
            None => self
                .by_domain
                .get(section)
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            Some(parent) => {
                let below = |name: &str| {
                    name.strip_suffix(parent)
                        .is_some_and(|rest| rest.ends_with('.'))
                };
                let lists = self.by_domain.iter().filter(|(name, _)| below(name));
                lists.flat_map(|(_, list)| list.iter().cloned()).collect()
            }
        };
        let file = format!("recipients-{}.txt", section.replace("*.", "below-"));
        let mut text = format!("# Recipients at {section}, one a line.\n");
        for address in &texts {
            text.push_str(address);
            text.push('\n');
        }
        if !self.lists.0.iter().any(|(name, _)| *name == file) {
            self.lists.0.push((file.clone(), text));
        }
        Some((file, texts.len(), first))
    }
}

fn tell(work: &mut Work, passed: &Passed) {
    let Some(origin) = &passed.first else { return };
    let option = "domain.NAME.recipients";
    if passed.cut > 0 {
        let why = format!(
            "{} recipients of this file have more addresses than it holds: they are unknown here; LDIF has all",
            passed.cut
        );
        work.tell(Fate::NotTranslated, origin, option, &why);
    }
    if passed.unusable > 0 {
        let why = format!(
            "{} addresses of this file are none of SMTP as mail has them",
            passed.unusable
        );
        work.tell(Fate::NotTranslated, origin, option, &why);
    }
    if passed.inner > 0 {
        let why = format!(
            "{} recipients of this file take mail of people inside alone, and are left out: strangers cannot write to them",
            passed.inner
        );
        work.tell(Fate::Changed, origin, option, &why);
    }
}

/// Groups that want senders to have signed in.
fn is_only_inside(object: &Object) -> bool {
    let names = [
        "msExchRequireAuthToSendTo",
        "RequireSenderAuthenticationEnabled",
    ];
    names.iter().any(|name| object.flag(name) == Some(true))
}

/// Its addresses of SMTP, how many could not be used, and whether there are more.
fn addresses(object: &Object) -> (Vec<Mailbox>, usize, bool) {
    let mut found = Vec::new();
    let (mut unusable, mut cut) = (0, false);
    for name in ["proxyAddresses", "EmailAddresses"] {
        let Some(property) = object.get(name) else {
            continue;
        };
        cut |= property.cut;
        for value in &property.values {
            for word in words(&value.text) {
                match word.split_once(':') {
                    Some((kind, address)) if kind.eq_ignore_ascii_case("smtp") => {
                        match Mailbox::parse_recipient(address) {
                            Ok(address) => found.push(address),
                            Err(_) => unusable += 1,
                        }
                    }
                    // X.400, sip and the like.
                    Some(_) => {}
                    // The name of a type: Export-Csv does not write lists.
                    None => cut = true,
                }
            }
        }
    }
    for name in ["PrimarySmtpAddress", "WindowsEmailAddress", "mail"] {
        let Some(text) = object.text(name) else {
            continue;
        };
        match Mailbox::parse_recipient(text) {
            Ok(address) => found.push(address),
            Err(_) => unusable += 1,
        }
    }
    (found, unusable, cut)
}

/// The addresses of a value: one, or several as people join them. An address of X.400 has blanks and
/// semicolons within itself.
fn words(text: &str) -> Vec<&str> {
    let words = text.split([' ', ',', ';', '|', '\n', '\r', '\t']);
    let words: Vec<&str> = words
        .map(|word| word.trim_matches(['{', '}', '"']))
        .filter(|word| !word.is_empty())
        .collect();
    let begins = |word: &str| {
        word.get(..5)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("smtp:"))
    };
    match words.iter().any(|word| begins(word)) {
        true => words.into_iter().filter(|word| begins(word)).collect(),
        false => words.into_iter().take(1).collect(),
    }
}
