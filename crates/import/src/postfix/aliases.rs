//! `virtual_alias_maps` becomes `[forward]`, for addresses in domains whose mail is taken.

use std::collections::{BTreeMap, BTreeSet};

use super::Work;
use super::domains::{Class, Domains};
use super::lines::words;
use super::tables::{Line, Table};
use crate::draft::{list, quoted};
use crate::report::{Fate, Origin};

/// So many forwards are read.
const FORWARDS_MAX: usize = 50_000;

pub(super) fn read(work: &mut Work<'_>, domains: &mut Domains) {
    let parameter = work.parameters.get("virtual_alias_maps");
    let origin_domain = work.origin();
    let mut forwards: BTreeMap<String, (Vec<String>, Origin)> = BTreeMap::new();
    for spec in words(&parameter.value) {
        match work.files.table(&spec, &parameter.origin) {
            Ok(Table::Keys(lines)) => {
                for line in lines {
                    one(work, domains, &origin_domain, &line, &mut forwards);
                }
            }
            Ok(_) => work.report.add(
                Fate::NotTranslated,
                &parameter.origin,
                "",
                "not a table of addresses",
            ),
            Err(why) => work
                .report
                .add(Fate::NotTranslated, &parameter.origin, "[forward]", why),
        }
    }
    if !forwards.is_empty() && parameter.written {
        let why = format!(
            "{} addresses; the sender stays as it is, or write [srs]",
            forwards.len()
        );
        work.report
            .add(Fate::Translated, &parameter.origin, "[forward]", why);
    }
    for (address, (targets, origin)) in forwards {
        let targets = list(targets.iter().map(String::as_str));
        work.draft
            .set("[forward]", &quoted(&address), targets, &origin);
    }
}

fn one(
    work: &mut Work<'_>,
    domains: &mut Domains,
    origin_domain: &str,
    line: &Line,
    forwards: &mut BTreeMap<String, (Vec<String>, Origin)>,
) {
    let origin = line.origin.keyed(&line.key);
    let addresses: Vec<String> = match line.key.rsplit_once('@') {
        Some(_) => vec![line.key.clone()],
        // The line that makes a domain one of aliases.
        None if domains.hosted.contains_key(&line.key) => return,
        // A bare name is one of the machine's own.
        None => own_names(domains, origin_domain)
            .into_iter()
            .map(|name| format!("{}@{name}", line.key))
            .collect(),
    };
    let targets = targets(&line.value, &line.key, origin_domain);
    if targets.is_empty() || addresses.is_empty() {
        work.report.add(
            Fate::NotTranslated,
            &origin,
            "[forward]",
            "leads to no address",
        );
        return;
    }
    for address in addresses {
        let name = address.rsplit_once('@').map_or("", |(_, name)| name);
        let Some(section) = domains.section_of(name) else {
            let why = "its domain is not taken from anyone: only such addresses are forwarded";
            work.report
                .add(Fate::NotTranslated, &origin, "[forward]", why);
            continue;
        };
        let Some(hosted) = domains.hosted.get_mut(&section) else {
            continue;
        };
        match hosted.class {
            // Everybody there exists, where everybody is forwarded.
            Class::Alias if address.starts_with('@') => hosted.recipients = None,
            Class::Local if hosted.recipients.is_none() => {
                hosted.recipients = Some(BTreeSet::new())
            }
            _ => {}
        }
        if forwards.len() < FORWARDS_MAX {
            forwards
                .entry(address)
                .or_insert_with(|| (targets.clone(), line.origin.clone()));
        }
    }
}

/// The domains in which names without a domain are meant.
fn own_names(domains: &Domains, origin_domain: &str) -> BTreeSet<String> {
    let local = domains
        .hosted
        .iter()
        .filter(|(_, hosted)| hosted.class == Class::Local);
    let mut names: BTreeSet<String> = local.map(|(name, _)| name.clone()).collect();
    if domains.section_of(origin_domain).is_some() {
        names.insert(origin_domain.to_owned());
    }
    names
}

/// Right sides: addresses, names of the machine, whole domains.
fn targets(value: &str, key: &str, origin_domain: &str) -> Vec<String> {
    let words = words(value).into_iter();
    let full = words.map(|word| match word.contains('@') {
        true => word,
        false => format!("{word}@{origin_domain}"),
    });
    // A whole domain leads to a whole domain, one address to none.
    let fits = |target: &String| !target.starts_with('@') || key.starts_with('@');
    full.filter(fits).collect()
}
