//! Reads the keys by which mail is signed.

use std::path::Path;
use std::sync::Arc;

use config::{Config, Dkim, read_file};
use dkim::{Algorithm, DomainSigner, PrivateKey, PublishedKey, Signer, Signers};

use crate::secret::check_rights;

/// No file of a key is larger; a wrong path may lead to a log.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// Who signs by this configuration; nobody where it does not say so.
///
/// # Errors
/// What is wrong with keys, a line each, with the line of the configuration.
pub fn signers(config: &Config) -> Result<Signers, Vec<String>> {
    let (mut signers, mut problems) = (Vec::new(), Vec::new());
    for dkim in &config.screening.dkim {
        match signer(dkim) {
            Ok(signer) => signers.push(DomainSigner {
                signer,
                subdomains: dkim.subdomains,
                place: dkim.place.clone(),
            }),
            Err(why) => problems.push(why),
        }
    }
    if problems.is_empty() {
        Ok(Signers::new(signers))
    } else {
        Err(problems)
    }
}

fn signer(dkim: &Dkim) -> Result<Signer, String> {
    let domain = &dkim.domain;
    let (mut signer, mut has_rsa) = (None, false);
    for one in &dkim.keys {
        let told = |why: String| format!("{}: {why} ({})", one.file.display(), one.place);
        let key = read(&one.file).map_err(told)?;
        // What cannot be published cannot be verified.
        PublishedKey::of(domain, &one.selector, &key).map_err(|why| told(why.to_string()))?;
        has_rsa |= key.algorithm() == Algorithm::RsaSha256;
        let (key, selector) = (Arc::new(key), one.selector.clone());
        signer = Some(match signer {
            None => Signer::new(domain.clone(), selector, key),
            Some(signer) => Signer::and(signer, selector, key),
        });
    }
    let place = &dkim.place;
    let signer = signer.filter(|_| has_rsa).ok_or_else(|| {
        format!("no key of {domain} is an RSA key: many servers know no others ({place})")
    })?;
    Ok(match dkim.lifetime {
        Some(lifetime) => signer.with_lifetime(lifetime),
        None => signer,
    })
}

fn read(path: &Path) -> Result<PrivateKey, String> {
    let text = read_file(path, KEY_BYTES_MAX).map_err(|error| error.to_string())?;
    check_rights(path)?;
    PrivateKey::from_pem(&text).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use mail::Domain;

    use super::*;

    fn told(config: &Config) -> Vec<String> {
        signers(config).expect_err("keys that are wrong")
    }

    #[test]
    fn what_is_wrong_with_keys_is_said_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str, mode| {
            fs::write(path(name), text).unwrap();
            fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
        };
        let key = |algorithm| PrivateKey::generate(algorithm).unwrap().to_pem().unwrap();
        let (rsa, ed25519) = (key(Algorithm::RsaSha256), key(Algorithm::Ed25519Sha256));
        write("rsa.key", &rsa, 0o600);
        write("ed25519.key", &ed25519, 0o640);
        write("open.key", &rsa, 0o644);
        write("none.key", "no key", 0o600);
        let config = |selectors: &[&str], names: &[&str]| {
            let keys: Vec<_> = names.iter().map(|name| path(name)).collect();
            let text = format!("[dkim.\"a.test\"]\nselector = {selectors:?}\nkey = {keys:?}\n");
            let loaded = config::parse("f.toml", &text, &config::Environment::default());
            loaded.unwrap_or_else(|why| panic!("{why}")).config
        };
        for (name, why) in [
            ("gone.key", "No such file"),
            ("open.key", "every user of this machine may read"),
            ("none.key", "it holds no private key in PEM"),
        ] {
            let told = told(&config(&["s"], &[name]));
            let [line] = &told[..] else {
                panic!("{told:?}")
            };
            assert!(
                line.starts_with(&path(name).display().to_string()),
                "{line}"
            );
            assert!(line.contains(why) && line.ends_with("(f.toml:3)"), "{line}");
        }
        let alone = told(&config(&["s"], &["ed25519.key"]));
        assert!(
            alone[0].starts_with("no key of a.test is an RSA key"),
            "{alone:?}"
        );
        let both = signers(&config(&["r", "e"], &["rsa.key", "ed25519.key"])).unwrap();
        let found = both.of(&Domain::parse("a.test").unwrap()).unwrap();
        let selectors: Vec<&str> = found.signer.selectors().map(Domain::as_str).collect();
        assert_eq!(selectors, ["r", "e"]);
    }
}
