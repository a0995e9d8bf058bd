//! Whether those who check believe our certificates.

use std::collections::BTreeSet;
use std::time::Duration;

use config::{Config, ListenerKind};

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
        if listener.tls.certificates.is_empty() && seen.insert((host.to_owned(), None)) {
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
