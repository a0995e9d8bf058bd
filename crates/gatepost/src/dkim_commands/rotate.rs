//! `gatepost dkim rotate`: where a domain stands between an old key and a new one, and what comes next.
//!
//! Nothing is remembered: files, configuration and DNS tell. A new key lies beside the old one, and is
//! called after it: `rsa`, `rsa-2`, `rsa-3`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use config::{Dkim, DkimKey};
use dkim::{Algorithm, Answer, PrivateKey, Publication, PublishedKey, Reason};
use engine::Setup;
use lookups::OfflineLookups;
use mail::Domain;
use serde_json::json;

use super::{key_file, read_key, write_new};
use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{output, run};

/// Where one key stands.
struct Stand {
    selector: Domain,
    /// In a word.
    step: &'static str,
    /// What is to be done now.
    next: String,
    /// What is to be published.
    record: Option<PublishedKey>,
}

pub(super) fn rotate(cli: &Cli, domain: &Domain) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let mut sections = config.screening.dkim.iter();
    let section = sections.find(|section| section.domain == *domain).cloned();
    let section = section.ok_or_else(|| {
        Failure::No(format!(
            "nothing signs for {domain}: there is no [dkim.\"{domain}\"]; begin with gatepost dkim keygen"
        ))
    })?;
    let lookups = OfflineLookups::new(Setup::new(config)).map_err(Failure::Configuration)?;
    let rotation = Rotation {
        lookups: &lookups,
        section: &section,
    };
    let stands: Vec<Stand> = section
        .keys
        .iter()
        .map(|key| rotation.stand(key))
        .collect::<Result<_, _>>()?;
    if cli.json {
        let stands = stands.iter().map(|stand| {
            json!({
                "selector": stand.selector.as_str(),
                "step": stand.step,
                "next": stand.next,
                "name": stand.record.as_ref().map(|record| record.name.as_str()),
                "text": stand.record.as_ref().map(|record| record.text.as_str()),
            })
        });
        output::json(&stands.collect::<Vec<_>>())?;
    } else {
        for stand in &stands {
            say!("{}: {}: {}", stand.selector, stand.step, stand.next);
            if let Some(record) = &stand.record {
                say!("{}", record.zone_line());
            }
        }
    }
    let is_open = stands.iter().any(|stand| stand.step == UNKNOWN);
    Ok(ExitCode::from(if is_open { 75 } else { 0 }))
}

const PUBLISH: &str = "publish";
const SWITCH: &str = "switch";
const RETIRE: &str = "retire";
const DONE: &str = "done";
const UNKNOWN: &str = "unknown";

struct Rotation<'a> {
    lookups: &'a OfflineLookups,
    section: &'a Dkim,
}

impl Rotation<'_> {
    /// Where a key stands that signs now.
    fn stand(&self, key: &DkimKey) -> Result<Stand, Failure> {
        let stand = |step, next, record| {
            Ok(Stand {
                selector: key.selector.clone(),
                step,
                next,
                record,
            })
        };
        let (own, found) = self.published(&key.selector, &key.file)?;
        match found {
            Publication::Published | Publication::Testing => {}
            Publication::Unusable(Reason::CannotTell) => return self.unknown(key, &own),
            Publication::OtherKey | Publication::Unusable(_) => {
                let next = "it signs, and its record is not in DNS: publish it".to_owned();
                return stand(PUBLISH, next, Some(own));
            }
        }
        let new = after(&key.selector)?;
        if self.signs(&new) {
            let next = format!(
                "{new} signs as well: take {} out of {}",
                key.selector,
                self.place()
            );
            return stand(SWITCH, next, None);
        }
        if let Some(old) = before(&key.selector).filter(|old| !self.signs(old)) {
            let file = self.beside(key, &old);
            if file.exists() {
                return self.retired(key, &old, &file);
            }
        }
        let file = self.beside(key, &new);
        if !file.exists() {
            self.make(key, &file)?;
        }
        let (record, found) = self.published(&new, &file)?;
        match found {
            Publication::Published | Publication::Testing => {
                let next = format!(
                    "{new} is published: write selector {new:?} and key {:?} in place of those of {} \
                     ({}), then gatepost reload",
                    file.display().to_string(),
                    key.selector,
                    self.place(),
                    new = new.as_str(),
                );
                stand(SWITCH, next, None)
            }
            Publication::Unusable(Reason::CannotTell) => self.unknown(key, &record),
            Publication::OtherKey | Publication::Unusable(_) => {
                let next = format!("publish {new}, of which the key is {}", file.display());
                stand(PUBLISH, next, Some(record))
            }
        }
    }

    /// Where the key stands that signed before.
    fn retired(&self, key: &DkimKey, old: &Domain, file: &Path) -> Result<Stand, Failure> {
        let (record, found) = self.published(old, file)?;
        let (step, next) = match found {
            Publication::Unusable(Reason::CannotTell) => return self.unknown(key, &record),
            Publication::Published | Publication::Testing => (
                RETIRE,
                format!(
                    "take {} out of DNS, once nothing that it signed is on its way: {} hours after \
                     the switch (queue.expire)",
                    record.name,
                    self.lookups
                        .inquiries()
                        .config()
                        .queue
                        .expire
                        .as_secs()
                        .div_ceil(3600),
                ),
            ),
            Publication::OtherKey | Publication::Unusable(_) => (
                DONE,
                format!("{} is out of DNS: delete {}", record.name, file.display()),
            ),
        };
        Ok(Stand {
            selector: key.selector.clone(),
            step,
            next,
            record: None,
        })
    }

    fn unknown(&self, key: &DkimKey, record: &PublishedKey) -> Result<Stand, Failure> {
        Ok(Stand {
            selector: key.selector.clone(),
            step: UNKNOWN,
            next: format!("DNS does not answer for {}: ask again", record.name),
            record: None,
        })
    }

    /// The record of a key, and what DNS has of it.
    fn published(
        &self,
        selector: &Domain,
        file: &Path,
    ) -> Result<(PublishedKey, Publication), Failure> {
        let record = PublishedKey::of(&self.section.domain, selector, &read_key(file)?);
        let record = record.map_err(|fault| Failure::No(format!("{}: {fault}", file.display())))?;
        let texts = self.lookups.inquiries().texts(record.name.as_str());
        let answer = match self.lookups.run(texts) {
            Ok(texts) => Answer::Texts(texts),
            Err(_) => Answer::CannotTell,
        };
        let found = record.compare(&answer);
        Ok((record, found))
    }

    /// A key of the same kind, for the same account.
    fn make(&self, key: &DkimKey, file: &Path) -> Result<(), Failure> {
        let algorithm = match read_key(&key.file)? {
            PrivateKey::Rsa(_) => Algorithm::RsaSha256,
            PrivateKey::Ed25519(_) => Algorithm::Ed25519Sha256,
        };
        let made = PrivateKey::generate(algorithm).and_then(|key| key.to_pem());
        let text = made.map_err(|fault| Failure::No(fault.to_string()))?;
        let directory = file.parent().unwrap_or(Path::new("."));
        let owner = &self.lookups.inquiries().config().user.name;
        write_new(directory, file, &text, owner)
            .map_err(|error| Failure::No(format!("{}: {error}", file.display())))
    }

    fn signs(&self, selector: &Domain) -> bool {
        self.section
            .keys
            .iter()
            .any(|key| key.selector == *selector)
    }

    fn beside(&self, key: &DkimKey, selector: &Domain) -> PathBuf {
        let directory = key.file.parent().unwrap_or(Path::new("."));
        key_file(directory, selector, &self.section.domain)
    }

    fn place(&self) -> String {
        self.section.place.to_string()
    }
}

/// The selector's name without its number, and the number.
fn numbered(selector: &Domain) -> (&str, u64) {
    let text = selector.as_str();
    let parted = text.rsplit_once('-');
    let number = parted.and_then(|(name, digits)| Some((name, digits.parse().ok()?)));
    number.unwrap_or((text, 1))
}

/// The selector of the key that follows.
fn after(selector: &Domain) -> Result<Domain, Failure> {
    let (name, number) = numbered(selector);
    let new = Domain::parse(&format!("{name}-{}", number.saturating_add(1)));
    new.map_err(|error| Failure::No(format!("a selector after {selector}: {error}")))
}

/// The selector of the key before; `None` where there was none.
fn before(selector: &Domain) -> Option<Domain> {
    match numbered(selector) {
        (name, 2) => Domain::parse(name).ok(),
        (name, number) if number > 2 => Domain::parse(&format!("{name}-{}", number - 1)).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_follow_one_another() {
        let name = |text| Domain::parse(text).unwrap();
        for (old, new) in [
            ("rsa", "rsa-2"),
            ("rsa-2", "rsa-3"),
            ("rsa-9", "rsa-10"),
            ("ed25519", "ed25519-2"),
            ("mail-a", "mail-a-2"),
            ("2024", "2024-2"),
        ] {
            assert_eq!(after(&name(old)).ok(), Some(name(new)), "{old}");
            assert_eq!(before(&name(new)), Some(name(old)), "{new}");
        }
        assert_eq!(before(&name("rsa")), None);
    }
}
