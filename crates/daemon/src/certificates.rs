//! How the certificates of all names do: for the task that renews them, and for who asks.

pub(crate) mod files;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use config::{Acme, AcmeName};
use lookups::AcmeFault;
use mail::Timestamp;
use nix::unistd::{AccessFlags, access};
use tls::{AlpnProof, Due, Failure, Life, Obtained, Renewal, ServerCertificate, Window};
use tokio::sync::{Notify, watch};

use crate::api::AcmeRow;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The certificates that are got by ACME. One for the life of the relay.
#[derive(Default)]
pub(crate) struct Certificates {
    state: Mutex<State>,
    wanted: Notify,
    /// Told when an order has ended.
    ended: watch::Sender<()>,
    /// What our own servers of pages by TLS show to an authority at present.
    proof: Mutex<Option<AlpnProof>>,
    /// Where they are.
    pages: Mutex<Vec<SocketAddr>>,
}

#[derive(Default)]
struct State {
    /// By what the names go at present.
    acme: Option<Arc<Acme>>,
    names: Vec<Named>,
}

struct Named {
    name: AcmeName,
    renewal: Renewal,
    /// Of the certificate that is shown.
    life: Option<Life>,
    /// `3 1 1` and its key's digest.
    tlsa: Option<String>,
    is_advised: bool,
    /// Orders that ended, well or not.
    tries: u64,
    tried_at: Option<Timestamp>,
    trouble: Option<String>,
    complaint: Option<String>,
}

impl Certificates {
    /// Goes by this configuration, and by what was read last, from now on: names that are new begin,
    /// others are forgotten. What came from another authority, or by another profile, is wanted anew,
    /// and so is what is no longer there. Where something is configured otherwise, what failed before
    /// is tried again at once.
    pub(crate) fn follow(&self, acme: Option<&Arc<Acme>>, obtained: &Obtained) {
        let mut state = self.state();
        let Some(acme) = acme else {
            *state = State::default();
            return;
        };
        let is_same = state.acme.as_ref() == Some(acme);
        let is_of_same = state.acme.as_ref().is_some_and(|before| {
            (&before.directory, &before.profile) == (&acme.directory, &acme.profile)
        });
        let mut before = std::mem::take(&mut state.names);
        let known = |name: &AcmeName| {
            let at = before.iter().position(|one| one.name.name == name.name);
            let mut known = before.swap_remove(at.filter(|_| is_of_same)?);
            if known.life != obtained.find(name).as_deref().map(life) {
                return None;
            }
            if !is_same {
                known.renewal.retry();
            }
            known.name = name.clone();
            Some(known)
        };
        let known: Vec<Option<Named>> = acme.names.iter().map(known).collect();
        state.names = std::iter::zip(&acme.names, known)
            .map(|(name, known)| known.unwrap_or_else(|| Named::new(acme, name, obtained)))
            .collect();
        state.acme = Some(Arc::clone(acme));
    }

    /// What is to be done first, and for which name; `None` where there is no name.
    pub(crate) fn next(&self, now: Timestamp) -> Option<(AcmeName, Due)> {
        let mut state = self.state();
        let due = state.names.iter_mut().map(|named| {
            let due = named.renewal.next(now);
            (named, due)
        });
        let first = due.min_by_key(|(_, due)| match due {
            Due::Ask | Due::Order => Timestamp::default(),
            Due::Wait(until) => *until,
        });
        first.map(|(named, due)| (named.name.clone(), due))
    }

    /// What the authority said of renewal.
    pub(crate) fn advised(
        &self,
        name: &AcmeName,
        advice: Option<(Window, Duration)>,
        now: Timestamp,
    ) {
        self.change(name, |named| {
            named.is_advised |= advice.is_some();
            named.renewal.advised(advice, now);
        });
    }

    /// Whether the authority has a say in renewal of this one.
    pub(crate) fn is_advised(&self, name: &AcmeName) -> bool {
        let state = self.state();
        let mut names = state.names.iter();
        names.any(|named| named.name.name == name.name && named.is_advised)
    }

    /// A certificate was got and is shown.
    pub(crate) fn obtained(
        &self,
        name: &AcmeName,
        held: &ServerCertificate,
        complaint: Option<String>,
        now: Timestamp,
    ) {
        self.change(name, |named| {
            named.renewal.obtained(life(held), rand::random(), now);
            named.hold(held);
            named.is_advised = false;
            named.tries += 1;
            named.tried_at = Some(now);
            named.trouble = None;
            named.complaint = complaint;
        });
    }

    /// None was got.
    pub(crate) fn failed(&self, name: &AcmeName, fault: &AcmeFault, now: Timestamp) {
        self.change(name, |named| {
            named.renewal.failed(fault.failure, rand::random(), now);
            named.tries += 1;
            named.tried_at = Some(now);
            named.trouble = Some(match (fault.failure, named.renewal.at()) {
                (Failure::Limited(_), Some(until)) => {
                    format!("{}; it is left alone until {until}", fault.why)
                }
                _ => fault.why.clone(),
            });
        });
    }

    /// An operator wants a new one, for this name or for all; gives the names.
    pub(crate) fn want(&self, name: Option<&str>) -> Vec<String> {
        let mut state = self.state();
        let wanted = |named: &&mut Named| name.is_none_or(|name| *named.name.name == *name);
        let wanted = state.names.iter_mut().filter(wanted);
        let names = wanted.map(|named| {
            named.renewal.want();
            named.name.name.to_string()
        });
        let names: Vec<String> = names.collect();
        if !names.is_empty() {
            self.wanted.notify_one();
        }
        names
    }

    /// Until somebody wants one.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// What is known of each name.
    pub(crate) fn rows(&self, now: Timestamp) -> Vec<AcmeRow> {
        self.state()
            .names
            .iter()
            .map(|named| named.row(now))
            .collect()
    }

    /// When each certificate ends.
    pub(crate) fn ends(&self) -> Vec<(Arc<str>, Timestamp)> {
        let state = self.state();
        let names = state.names.iter();
        names
            .filter_map(|named| Some((Arc::clone(&named.name.name), named.life?.ends)))
            .collect()
    }

    /// What an operator has to know, a line each.
    pub(crate) fn troubles(&self, now: Timestamp) -> Vec<String> {
        let state = self.state();
        state
            .names
            .iter()
            .filter_map(|named| named.trouble_line(now))
            .collect()
    }

    fn change(&self, name: &AcmeName, change: impl FnOnce(&mut Named)) {
        let mut state = self.state();
        let mut names = state.names.iter_mut();
        // It may be configured no more.
        if let Some(named) = names.find(|named| named.name.name == name.name) {
            change(named);
        }
        drop(state);
        self.ended.send_replace(());
    }

    /// Told when an order has ended.
    pub(crate) fn ended(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    /// Whether an operator waits for an order.
    pub(crate) fn is_one_wanted(&self) -> bool {
        let state = self.state();
        state.names.iter().any(|named| named.renewal.is_wanted())
    }

    /// Pages are served by TLS at this address as long as the process lives: proofs are shown there too.
    pub(crate) fn serves_pages_at(&self, address: SocketAddr) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.push(address);
    }

    /// Whether who comes to `address`, or to all addresses of its family, comes to our own pages.
    pub(crate) fn has_pages_at(&self, address: SocketAddr) -> bool {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.iter().any(|page| is_reached(*page, address))
    }

    /// Shown there from now on; `None`: nothing.
    pub(crate) fn prove(&self, proof: Option<AlpnProof>) {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = proof;
    }

    /// What is shown there now.
    pub(crate) fn proof(&self) -> Option<AlpnProof> {
        let proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        proof.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Named {
    fn new(acme: &Acme, name: &AcmeName, obtained: &Obtained) -> Self {
        let held = obtained.find(name);
        let mut renewal = Renewal::new(held.as_deref().map(life), rand::random());
        if held.is_some() && !files::is_from(acme, name) {
            renewal.want();
        }
        let mut named = Self {
            name: name.clone(),
            renewal,
            life: None,
            tlsa: None,
            is_advised: false,
            tries: 0,
            tried_at: None,
            trouble: None,
            complaint: held.as_deref().and_then(|held| complaint(acme, life(held))),
        };
        if let Some(held) = held {
            named.hold(&held);
        }
        named
    }

    fn hold(&mut self, held: &ServerCertificate) {
        self.life = Some(life(held));
        self.tlsa = Some(format!("3 1 1 {}", mail::hex(held.key_sha256())));
    }

    fn row(&self, now: Timestamp) -> AcmeRow {
        let state = match self.life {
            None => "none",
            Some(life) if life.ends <= now => "ended",
            Some(_) => "valid",
        };
        AcmeRow {
            name: self.name.name.to_string(),
            state: state.to_owned(),
            begins: self.life.map(|life| life.begins.to_string()),
            ends: self.life.map(|life| life.ends.to_string()),
            renewed: self.renewal.at().map(|at| at.to_string()),
            is_advised: self.is_advised,
            tlsa: self.tlsa.clone(),
            file: self.name.files.chain.display().to_string(),
            tries: self.tries,
            failures: self.renewal.failures(),
            tried: self.tried_at.map(|at| at.to_string()),
            trouble: self.trouble.clone(),
            complaint: self.complaint.clone(),
        }
    }

    fn trouble_line(&self, now: Timestamp) -> Option<String> {
        let name = &self.name.name;
        let Some(why) = &self.trouble else {
            let complaint = self.complaint.as_ref()?;
            return Some(format!(
                "the certificate for {name} is not as it should be: {complaint}"
            ));
        };
        let tries = match self.renewal.failures() {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        Some(match self.life {
            None => format!("there is no certificate for {name} yet, tried {tries}: {why}"),
            Some(life) if life.ends <= now => format!(
                "the certificate for {name} ended at {} and cannot be renewed, tried {tries}: {why}",
                life.ends
            ),
            Some(life) => format!(
                "the certificate for {name}, which ends at {}, cannot be renewed, tried {tries}: {why}",
                life.ends
            ),
        })
    }
}

/// Where one of the two is for all addresses, no second socket can be bound beside the other. An authority does
/// not come to loopback, unless that is where it was sent.
fn is_reached(page: SocketAddr, address: SocketAddr) -> bool {
    let (own, wanted) = (page.ip(), address.ip());
    let is_reached =
        own == wanted || own.is_unspecified() || (wanted.is_unspecified() && !own.is_loopback());
    is_reached && own.is_ipv4() == wanted.is_ipv4() && page.port() == address.port()
}

pub(crate) fn life(held: &ServerCertificate) -> Life {
    Life {
        begins: held.begins,
        ends: held.ends,
    }
}

/// Why the program for dns-01 cannot be called, as far as can be seen.
pub(crate) fn hook_trouble(hook: &Path) -> Option<String> {
    let why = match fs::metadata(hook) {
        Ok(about) if !about.is_file() => "it is no program".to_owned(),
        Ok(_) => access(hook, AccessFlags::X_OK).err()?.desc().to_owned(),
        Err(error) => error.to_string(),
    };
    Some(format!(
        "{} (tls.acme.hook) cannot be called: {why}",
        hook.display()
    ))
}

/// How long certificates of known profiles last at most, in days. Those of Let's Encrypt; it makes
/// them shorter from time to time, and never longer.
const LONGEST: [(&str, u64); 3] = [("shortlived", 7), ("tlsserver", 90), ("classic", 90)];

/// What is to be said of a certificate that lasts longer than its profile allows: the authority passed
/// over the wish.
pub(crate) fn complaint(acme: &Acme, life: Life) -> Option<String> {
    let wanted = acme.profile.as_deref()?;
    let (_, most) = LONGEST.iter().find(|(profile, _)| *profile == wanted)?;
    let days = life.length().as_secs() / DAY.as_secs();
    (days > *most).then(|| {
        format!("it lasts {days} days, and those of the profile {wanted} {most} at most: the authority gave another kind")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_reached_by_their_address_or_by_all_of_the_family() {
        for (page, wanted, expected) in [
            ("192.0.2.1:443", "192.0.2.1:443", true),
            ("192.0.2.1:443", "0.0.0.0:443", true),
            ("0.0.0.0:443", "192.0.2.1:443", true),
            ("127.0.0.1:443", "127.0.0.1:443", true),
            ("127.0.0.1:443", "0.0.0.0:443", false),
            ("192.0.2.1:443", "192.0.2.2:443", false),
            ("192.0.2.1:8443", "192.0.2.1:443", false),
            ("0.0.0.0:443", "[::]:443", false),
            ("[::]:443", "[2001:db8::1]:443", true),
        ] {
            let [own, address] = [page, wanted].map(|text| text.parse().unwrap());
            assert_eq!(is_reached(own, address), expected, "{page} {wanted}");
        }
    }

    #[test]
    fn a_hook_that_cannot_be_called_is_told() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (hook, why) in [
            (own.join("Cargo.toml"), "Permission denied"),
            (own.to_path_buf(), "it is no program"),
            (own.join("missing"), "No such file"),
            ("/dev/null".into(), "it is no program"),
        ] {
            let said = hook_trouble(&hook).unwrap();
            assert!(said.contains(why), "{said}");
        }
        assert_eq!(hook_trouble(Path::new("/bin/sh")), None);
    }

    #[test]
    fn a_life_longer_than_the_profile_is_complained_of() {
        let begins = Timestamp::from_millis(1_800_000_000_000);
        let life = |days| Life {
            begins,
            ends: begins + DAY * days,
        };
        let acme = |profile: Option<&str>| Acme {
            names: Vec::new(),
            directory: String::new(),
            ca: None,
            contact: None,
            binding: None,
            challenge: config::AcmeChallenge::Http,
            binds: Vec::new(),
            hook: None,
            hook_timeout: DAY,
            profile: profile.map(str::to_owned),
            keep_key: false,
            folder: std::path::PathBuf::new(),
        };
        assert_eq!(complaint(&acme(None), life(1825)), None);
        assert_eq!(complaint(&acme(Some("of-our-own")), life(1825)), None);
        assert_eq!(complaint(&acme(Some("shortlived")), life(7)), None);
        let said = complaint(&acme(Some("shortlived")), life(90)).unwrap();
        assert!(said.starts_with("it lasts 90 days"), "{said}");
    }
}
