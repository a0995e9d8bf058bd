//! Whether those who check believe our certificates.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use config::{Acme, AcmeName, Config, ListenerKind};

use super::super::dns::Mark;
use super::Examined;
use crate::clock;

/// An end that is nearer than this is told.
const SOON: Duration = Duration::from_hours(24 * 14);

pub(super) fn look(config: &Config) -> Vec<Examined> {
    let mut seen = BTreeSet::new();
    let mut examined = Vec::new();
    for listener in &config.listeners {
        let host = listener.hostname.as_str();
        let acme = listener.tls.acme.as_deref();
        let obtained = acme.and_then(|acme| shown_for(acme, host));
        if let Some(name) = obtained
            && seen.insert((host.to_owned(), Some(name.files.chain.clone())))
        {
            examined.push(by_acme(name, host));
        }
        let has_none = listener.tls.certificates.is_empty() && obtained.is_none();
        if has_none && seen.insert((host.to_owned(), None)) {
            let people = listener.kind != ListenerKind::Mx;
            examined.push(self_signed(host, people));
        }
        for files in &listener.tls.certificates {
            if seen.insert((host.to_owned(), Some(files.chain.clone()))) {
                examined.push(one(&files.chain, host));
            }
        }
    }
    examined
}

/// The name whose certificate clients see who ask for `host`.
fn shown_for<'a>(acme: &'a Acme, host: &str) -> Option<&'a AcmeName> {
    let mut names = acme.names.iter();
    let own = names.find(|one| tls::name_matches(&one.name, host));
    own.or(acme.names.first())
}

fn by_acme(name: &AcmeName, host: &str) -> Examined {
    let chain = &name.files.chain;
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let cure = "see `gatepost acme status`";
    if std::fs::metadata(chain).is_err_and(|error| is_missing(&error)) {
        let text =
            "none was got by ACME yet: a self-signed one is shown, or the one of tls.certificate";
        return Examined::new(Mark::Warning, &name.name, "certificate", text).cure(cure);
    }
    one(chain, host)
}

fn self_signed(host: &str, people: bool) -> Examined {
    let mark = if people { Mark::Warning } else { Mark::Note };
    let text = "self-signed: most servers take it, people's mail programs do not";
    Examined::new(mark, host, "certificate", text)
        .cure("get one from an authority, and name it by tls.certificate and tls.key")
}

fn one(chain: &std::path::Path, host: &str) -> Examined {
    let examined = |mark, text: String| Examined::new(mark, chain.display(), "certificate", text);
    let looked = match tls::judged(chain, host, None) {
        Ok(looked) => looked,
        Err(why) => {
            return examined(Mark::Fail, why).cure("see `gatepost config check`");
        }
    };
    let now = clock::now();
    let left = looked.ends.since(now);
    if looked.ends <= now {
        return examined(Mark::Fail, format!("ended at {}", looked.ends))
            .cure("renew it: the new one is noticed when it is in its place");
    }
    if let Some(why) = looked.trouble {
        let text = format!("servers and people who check do not take it for {host}: {why}");
        return examined(Mark::Warning, text).cure(
            "get one for this name from a well-known authority, and put its whole chain (fullchain.pem) into the file",
        );
    }
    let days = left.as_secs() / 86_400;
    let text = format!("for {host}, from a well-known authority, for {days} days more");
    if left < SOON {
        examined(Mark::Warning, text)
            .cure("renew it: the new one is noticed when it is in its place")
    } else {
        examined(Mark::Ok, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What clients see who ask for the relay's name: by ACME, the one for it, or else the first.
    #[test]
    fn what_comes_by_acme_is_no_self_signed_pair() {
        let folder = tempfile::tempdir().unwrap();
        for (names, shown) in [
            ("[\"b.test\", \"*.a.test\"]", "_.a.test.pem"),
            ("[\"b.test\", \"c.test\"]", "b.test.pem"),
        ] {
            let text = format!(
                "hostname = \"mx.a.test\"\ndata_dir = {:?}\n[listener.internet]\nbind = \"127.0.0.1:0\"\n\
                 [tls.acme]\nnames = {names}\nchallenge = \"dns-01\"\nhook = \"/bin/true\"\n",
                folder.path()
            );
            let loaded = config::parse("f.toml", &text, &config::Environment::default());
            let config = loaded.unwrap_or_else(|why| panic!("{why}")).config;
            let told = || {
                let examined = look(&config);
                assert_eq!(examined.len(), 1);
                let finding = &examined[0].finding;
                format!("{} {}", finding.subject, finding.text)
            };
            assert!(told().contains("none was got by ACME yet"));
            std::fs::create_dir_all(folder.path().join("acme")).unwrap();
            std::fs::write(folder.path().join("acme").join(shown), "spoilt").unwrap();
            assert!(told().contains(shown));
        }
    }
}
