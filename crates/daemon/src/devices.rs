//! The devices, programs and people that send through the relay, and who tried and may not: what an
//! administrator looks through who moves an old relay, or wonders who still sends without encryption.
//! Kept in a file over a restart.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mail::Timestamp;
use serde::{Deserialize, Serialize};

use crate::refusals::Refusal;
use crate::ring::Ring;
use crate::whole_file;

/// Devices that are known; with more of them the one not seen for longest is forgotten.
const DEVICES_MAX: usize = 5_000;
/// The same of those who tried and were not permitted.
const STRANGERS_MAX: usize = 2_000;
/// The latest senders of each.
const SENDERS_MAX: usize = 5;
/// Days that are counted.
pub(crate) const DAYS: u64 = 31;

/// Whoever sends through the relay, at the moment of something that he does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// When, on the queue's line of time.
    pub(crate) at: Timestamp,
    /// From where: an address, or an account of this machine as `uid:33`.
    pub(crate) client: &'a str,
    /// The client's host name, where that leads back to its address.
    pub(crate) name: Option<&'a str>,
    /// Who has signed in.
    pub(crate) user: Option<&'a str>,
    /// The version of TLS; none in clear.
    pub(crate) tls: Option<&'a str>,
    /// As whom he sends, where that was said.
    pub(crate) sender: Option<&'a str>,
}

/// A user, or a client without one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Device {
    /// From where, the last time.
    pub(crate) client: String,
    pub(crate) name: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) tls: Option<String>,
    /// The latest first.
    pub(crate) senders: Vec<String>,
    /// Milliseconds on the queue's line of time.
    seen: u64,
    messages: Ring<{ DAYS as usize }>,
    refusals: Ring<{ DAYS as usize }>,
    /// The newest.
    refusal: Option<Words>,
}

/// What was said to somebody who was refused.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Words {
    at: u64,
    pub(crate) reply: String,
    pub(crate) reason: String,
    pub(crate) place: String,
}

impl Words {
    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at)
    }
}

/// All of them, and those who are none.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Known {
    #[serde(default)]
    devices: HashMap<String, Device>,
    /// By address.
    #[serde(default)]
    strangers: HashMap<String, Device>,
    #[serde(skip)]
    changed: bool,
}

impl Known {
    /// A message was taken of somebody, who could send it to anybody where he `may_relay`.
    pub(crate) fn sent(&mut self, seen: Seen<'_>, may_relay: bool) {
        let key = key(&seen);
        if !may_relay && !self.devices.contains_key(key) {
            return;
        }
        let key = key.to_owned();
        // Permitted by now.
        self.strangers.remove(seen.client);
        self.strangers.remove(&key);
        let device = entry(&mut self.devices, key, DEVICES_MAX);
        device.see(seen);
        device.messages.add(day(seen.at), 1);
        self.changed = true;
    }

    /// Somebody was refused; for relaying, where he `may_not_relay`.
    pub(crate) fn refused(&mut self, seen: Seen<'_>, refusal: &Refusal, may_not_relay: bool) {
        let key = key(&seen);
        let device = if self.devices.contains_key(key) {
            entry(&mut self.devices, key.to_owned(), DEVICES_MAX)
        } else if may_not_relay {
            entry(&mut self.strangers, key.to_owned(), STRANGERS_MAX)
        } else {
            return;
        };
        device.see(seen);
        device.refusals.add(day(seen.at), 1);
        device.refusal = Some(Words {
            at: refusal.at.as_millis(),
            reply: refusal.reply.to_string(),
            reason: refusal.reason.to_string(),
            place: refusal.place.to_string(),
        });
        self.changed = true;
    }

    /// Those of the devices that were seen in the last days, the latest first.
    pub(crate) fn devices(&self, now: Timestamp, days: u64, limit: usize) -> Vec<Device> {
        latest(&self.devices, now, days, limit)
    }

    /// Those who tried to relay and were not permitted, the latest first.
    pub(crate) fn strangers(&self, now: Timestamp, days: u64, limit: usize) -> Vec<Device> {
        latest(&self.strangers, now, days, limit)
    }
}

impl Device {
    fn see(&mut self, seen: Seen<'_>) {
        self.seen = seen.at.as_millis();
        seen.client.clone_into(&mut self.client);
        self.name = seen.name.map(str::to_owned);
        self.user = seen.user.map(str::to_owned);
        self.tls = seen.tls.map(str::to_owned);
        let Some(sender) = seen.sender else { return };
        self.senders.retain(|known| known != sender);
        self.senders.insert(0, sender.to_owned());
        self.senders.truncate(SENDERS_MAX);
    }

    /// When he was here last, on the queue's line of time.
    pub(crate) fn seen(&self) -> Timestamp {
        Timestamp::from_millis(self.seen)
    }

    /// Messages that were taken of him in the last days, and how often he was refused.
    pub(crate) fn counts(&self, now: Timestamp, days: u64) -> (u64, u64) {
        let sum = |ring: &Ring<{ DAYS as usize }>| ring.sum(day(now), days);
        (sum(&self.messages), sum(&self.refusals))
    }

    /// What was said when he was refused last.
    pub(crate) fn refusal(&self) -> Option<&Words> {
        self.refusal.as_ref()
    }
}

/// A user is one device wherever he is.
fn key<'a>(seen: &Seen<'a>) -> &'a str {
    seen.user.unwrap_or(seen.client)
}

fn entry(all: &mut HashMap<String, Device>, key: String, most: usize) -> &mut Device {
    if all.len() >= most && !all.contains_key(&key) {
        let oldest = all.iter().min_by_key(|(_, device)| device.seen);
        let oldest = oldest.map(|(key, _)| key.clone());
        oldest.map(|oldest| all.remove(&oldest));
    }
    all.entry(key).or_default()
}

fn latest(all: &HashMap<String, Device>, now: Timestamp, days: u64, limit: usize) -> Vec<Device> {
    let of_late = |device: &&Device| day(device.seen()) + days > day(now);
    let mut found: Vec<&Device> = all.values().filter(of_late).collect();
    found.sort_by(|a, b| (b.seen, &a.client).cmp(&(a.seen, &b.client)));
    found.into_iter().take(limit).cloned().collect()
}

fn day(at: Timestamp) -> u64 {
    at.as_secs() / (24 * 60 * 60)
}

/// All of them, for all sessions: behind a lock, and kept in a file.
pub(crate) struct Devices {
    known: Mutex<Known>,
    file: PathBuf,
    /// Held by whoever writes the file.
    writing: Mutex<()>,
}

impl Devices {
    /// Goes on with what is in the `file`, where there is one. What cannot be read is set aside:
    /// nothing is decided by it.
    pub(crate) fn resume(file: PathBuf) -> Self {
        let parse = |octets: &[u8]| serde_json::from_slice(octets).ok();
        let known: Option<Known> = whole_file::read(&file, parse).unwrap_or_else(|error| {
            tracing::warn!(?file, %error, "the devices that send are learned anew");
            None
        });
        Self {
            known: Mutex::new(known.unwrap_or_default()),
            file,
            writing: Mutex::default(),
        }
    }

    /// All of it, for as long as nobody else may have it.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what changed; may block.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self) -> io::Result<()> {
        let _alone = self.writing.lock();
        let octets = {
            let mut known = self.known();
            if !std::mem::take(&mut known.changed) {
                return Ok(());
            }
            serde_json::to_vec(&*known)?
        };
        let written = whole_file::write(&self.file, &octets);
        written.inspect_err(|_| self.known().changed = true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn seen(at: Timestamp, client: &str) -> Seen<'_> {
        Seen {
            at,
            client,
            name: Some("printer.example"),
            user: None,
            tls: Some("TLSv1.2"),
            sender: Some("scan@example.com"),
        }
    }

    fn refusal(at: Timestamp) -> Refusal {
        Refusal {
            at,
            reply: "550 5.7.1 no".into(),
            ..Refusal::default()
        }
    }

    #[test]
    fn who_may_relay_is_a_device_and_who_tried_in_vain_is_none() {
        let mut known = Known::default();
        known.sent(seen(START, "192.0.2.1"), true);
        known.sent(seen(START, "203.0.113.1"), false);
        known.refused(seen(START, "203.0.113.1"), &refusal(START), false);
        known.refused(seen(START, "203.0.113.2"), &refusal(START), true);
        known.refused(seen(START, "192.0.2.1"), &refusal(START), false);
        let [device] = &known.devices(START, 7, 9)[..] else {
            panic!("{known:?}")
        };
        assert_eq!(
            (&*device.client, device.counts(START, 7)),
            ("192.0.2.1", (1, 1))
        );
        assert_eq!(device.refusal().unwrap().reply, "550 5.7.1 no");
        assert_eq!(device.senders, ["scan@example.com"]);
        let [stranger] = &known.strangers(START, 7, 9)[..] else {
            panic!("{known:?}")
        };
        assert_eq!(
            (&*stranger.client, stranger.counts(START, 7)),
            ("203.0.113.2", (0, 1))
        );
        // Permitted meanwhile.
        known.sent(seen(START, "203.0.113.2"), true);
        assert!(known.strangers(START, 7, 9).is_empty());
        assert_eq!(known.devices(START, 7, 1).len(), 1);
    }

    #[test]
    fn a_user_is_one_device_and_days_are_told_apart() {
        let mut known = Known::default();
        for (day, client) in [(0, "192.0.2.1"), (5, "192.0.2.2")] {
            let sender = format!("{day}@example.com");
            let user = Seen {
                user: Some("ann"),
                sender: Some(&sender),
                ..seen(START + day * DAY, client)
            };
            known.sent(user, false);
            known.sent(user, true);
        }
        let now = START + 6 * DAY;
        let [device] = &known.devices(now, 7, 9)[..] else {
            panic!("{known:?}")
        };
        assert_eq!(
            (&*device.client, device.user.as_deref()),
            ("192.0.2.2", Some("ann"))
        );
        assert_eq!(device.senders, ["5@example.com", "0@example.com"]);
        // The first of all was not known to relay yet.
        assert_eq!(
            (device.counts(now, 7), device.counts(now, 2)),
            ((3, 0), (2, 0))
        );
        assert!(known.devices(now, 1, 9).is_empty());
        assert!(known.devices(now + 90 * DAY, 31, 9).is_empty());
    }

    #[test]
    fn so_many_are_known_and_kept_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("devices");
        let devices = Devices::resume(file.clone());
        devices.keep().unwrap();
        assert!(!file.exists(), "nothing happened");
        for number in 0..=DEVICES_MAX {
            let at = START + Duration::from_millis(number as u64);
            devices.known().sent(seen(at, &number.to_string()), true);
        }
        devices.keep().unwrap();
        let again = Devices::resume(file.clone());
        let all = again.known().devices(START, 7, usize::MAX);
        assert_eq!(all.len(), DEVICES_MAX);
        assert!(all.iter().all(|device| device.client != "0"));
        fs::write(&file, "{").unwrap();
        assert!(
            Devices::resume(file.clone())
                .known()
                .devices(START, 7, 9)
                .is_empty()
        );
        assert!(folder.path().join("devices.damaged").exists());
    }
}
