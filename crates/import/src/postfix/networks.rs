//! `mynetworks`, written or not.

use std::net::IpAddr;

use super::Work;
use super::lines::{logical, words};
use super::parameters::Parameters;
use super::tables::Table;
use crate::addresses::Addresses;
use crate::report::{Fate, Origin};

/// Loopback, which every style of `mynetworks` holds.
fn loopback() -> Addresses {
    let parsed = ["127.0.0.0/8", "::1"].map(|text| Addresses::parse(text).unwrap_or_default());
    parsed
        .iter()
        .fold(Addresses::default(), |all, one| all.union(one))
}

/// Postfix's own networks by these parameters, and where they are written.
pub(super) fn own(work: &mut Work<'_>, parameters: &Parameters) -> (Addresses, Origin) {
    let written = parameters.get("mynetworks");
    if written.written {
        let networks = read(work, &written.value, &written.origin);
        return (networks, written.origin);
    }
    let style = parameters.get("mynetworks_style");
    let mut networks = loopback();
    if style.value == "host" {
        for word in words(&parameters.value("inet_interfaces")) {
            networks = networks.union(&Addresses::parse(&word).unwrap_or_default());
        }
        let why = "mynetworks is not written: this machine alone may relay; name its other addresses in relay.allow";
        work.report
            .add(Fate::Changed, &style.origin, "relay.allow", why);
    } else {
        let why = "mynetworks is not written, and Postfix would trust the whole network of each of its \
            interfaces: only loopback is; name who may relay in relay.allow";
        work.report
            .add(Fate::Changed, &style.origin, "relay.allow", why);
    }
    (networks, style.origin)
}

/// An ordered list of blocks, exceptions, files and tables: the first that names a client counts.
fn read(work: &mut Work<'_>, text: &str, origin: &Origin) -> Addresses {
    let mut networks = Addresses::default();
    let mut decided = Addresses::default();
    for word in words(text) {
        let (not, word) = match word.strip_prefix('!') {
            Some(rest) => (true, rest.to_owned()),
            None => (false, word),
        };
        let named = match one(work, &word, origin) {
            Ok(named) => named,
            Err(why) => {
                let what = origin.keyed(&word);
                if not {
                    let why = format!(
                        "{why}: whom it excepts is not known, so nothing behind it is read"
                    );
                    work.report.add(Fate::NotTranslated, &what, "", why);
                    break;
                }
                work.report.add(Fate::NotTranslated, &what, "", why);
                continue;
            }
        };
        if !not {
            networks = networks.union(&named.minus(&decided));
        }
        decided = decided.union(&named);
    }
    work.report.add(Fate::Translated, origin, "relay.allow", "");
    networks
}

fn one(work: &Work<'_>, word: &str, origin: &Origin) -> Result<Addresses, String> {
    if let Some(block) = Addresses::parse(word) {
        return Ok(block);
    }
    if word.starts_with('/') {
        let lines = logical(&work.files.text(word)?);
        let items = lines.iter().flat_map(|(_, line)| words(line));
        let blocks = items.map(|item| Addresses::parse(&item));
        // What is wrong is not shown: a file may be another one than it should be.
        let blocks: Option<Vec<Addresses>> = blocks.collect();
        let wrong = || format!("{word} holds something else than address blocks");
        return blocks.map(Addresses::of).ok_or_else(wrong);
    }
    if !word.contains(':') {
        return Err("it is no address, no block whose last bits are zero, and no table".to_owned());
    }
    match work.files.table(word, origin)? {
        // Whatever stands behind a block, it is named.
        Table::Blocks(rules) => {
            let named = rules.into_iter().map(|rule| rule.clients);
            Ok(Addresses::of(named.collect()))
        }
        Table::Keys(lines) => {
            // Here a whole address alone is looked for, as it is usually written.
            let whole = |key: &str| key.parse::<IpAddr>().is_ok_and(|it| it.to_string() == key);
            let keys = lines.iter().map(|line| &*line.key);
            let named = keys.filter(|key| whole(key)).filter_map(Addresses::parse);
            Ok(Addresses::of(named.collect()))
        }
        Table::Always(_) => Ok(Addresses::all()),
    }
}
