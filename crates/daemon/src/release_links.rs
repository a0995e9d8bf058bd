//! Links by which readers of a digest let go on what is held for one recipient, or delete it. A link
//! says itself what it is about, and until when it counts, under a key of ours; nothing is kept of it.
//! It is good once, since what it is about is no longer held then.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use config::Links;
use mail::{QueueId, Timestamp};
use spool::Recipient;

use crate::key_file;

const KEY_LEN: usize = 32;
/// Of a queue id, the number of a recipient, and milliseconds.
const CLAIM_LEN: usize = 16 + 4 + 8;
/// So much of the sum is in a link: nobody hits upon 128 bits.
const SUM_LEN: usize = 16;

/// The links of this relay.
pub(crate) struct ReleaseLinks {
    file: PathBuf,
    key: Mutex<Option<hmac::Key>>,
}

/// What a link is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReleaseLink {
    pub(crate) message: QueueId,
    /// The number of the recipient in the message.
    pub(crate) recipient: u32,
    /// By the system's clock.
    pub(crate) until: Timestamp,
}

impl ReleaseLinks {
    /// Those of the key in this `file`.
    pub(crate) fn new(file: PathBuf) -> Self {
        let key = Mutex::new(None);
        Self { file, key }
    }

    /// The word that stands for it in a link. May block.
    ///
    /// # Errors
    /// The key cannot be read or made.
    pub(crate) fn token(&self, link: ReleaseLink) -> io::Result<String> {
        let mut octets = claim(link).to_vec();
        let sum = hmac::sign(&self.key()?, &octets);
        octets.extend(&sum.as_ref()[..SUM_LEN]);
        Ok(URL_SAFE_NO_PAD.encode(octets))
    }

    /// What a word stands for that still counts; `None` for every other. May block.
    ///
    /// # Errors
    /// The key cannot be read or made.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> io::Result<Option<ReleaseLink>> {
        let octets = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        let Some((claimed, sum)) = octets.split_first_chunk::<CLAIM_LEN>() else {
            return Ok(None);
        };
        let own = hmac::sign(&self.key()?, claimed);
        let own = &own.as_ref()[..SUM_LEN];
        let is_own = aws_lc_rs::constant_time::verify_slices_are_equal(own, sum).is_ok();
        Ok(link(claimed).filter(|link| is_own && now < link.until))
    }

    fn key(&self) -> io::Result<hmac::Key> {
        let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = &*key {
            return Ok(key.clone());
        }
        let octets = key_file::open::<KEY_LEN>(&self.file)?;
        Ok(key
            .insert(hmac::Key::new(hmac::HMAC_SHA256, &octets))
            .clone())
    }
}

/// Whether the rule that holds the message for this recipient lets go on what it holds by a link. A
/// star in an address would stand for others in a filter.
pub(crate) fn is_given(links: &Links, recipient: &Recipient) -> bool {
    let last = recipient.last.as_deref().unwrap_or_default();
    let is_one = !recipient.admitted.recipient().as_str().contains('*');
    is_one && screening::rule_in(last).is_some_and(|(rule, _)| links.rules.contains(&*rule))
}

fn claim(link: ReleaseLink) -> [u8; CLAIM_LEN] {
    let mut octets = [0; CLAIM_LEN];
    octets[..16].copy_from_slice(&link.message.to_bytes());
    octets[16..20].copy_from_slice(&link.recipient.to_be_bytes());
    octets[20..].copy_from_slice(&link.until.as_millis().to_be_bytes());
    octets
}

fn link(claim: &[u8; CLAIM_LEN]) -> Option<ReleaseLink> {
    let (message, rest) = claim.split_first_chunk()?;
    let (recipient, until) = rest.split_first_chunk()?;
    Some(ReleaseLink {
        message: QueueId::from_bytes(*message),
        recipient: u32::from_be_bytes(*recipient),
        until: Timestamp::from_millis(u64::from_be_bytes(until.try_into().ok()?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: Timestamp = Timestamp::from_millis(5_000);

    #[test]
    fn a_link_counts_as_it_was_made_and_until_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("release-links.key");
        let link = ReleaseLink {
            message: QueueId::new(Timestamp::from_millis(1), 7),
            recipient: 3,
            until: UNTIL,
        };
        let token = ReleaseLinks::new(file.clone()).token(link).unwrap();
        // After a restart, too.
        let links = ReleaseLinks::new(file);
        let before = Timestamp::from_millis(4_999);
        assert_eq!(links.read(&token, before).unwrap(), Some(link));
        assert_eq!(links.read(&token, UNTIL).unwrap(), None);
        let other = ReleaseLinks::new(folder.path().join("other.key"));
        assert_eq!(other.read(&token, before).unwrap(), None);
    }

    #[test]
    fn nobody_makes_another_link_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let links = ReleaseLinks::new(folder.path().join("release-links.key"));
        let link = ReleaseLink {
            message: QueueId::new(Timestamp::from_millis(1), 7),
            recipient: 3,
            until: UNTIL,
        };
        let token = links.token(link).unwrap();
        let octets = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for at in 0..octets.len() {
            let mut changed = octets.clone();
            changed[at] ^= 1;
            for octets in [&changed[..], &octets[..at]] {
                let token = URL_SAFE_NO_PAD.encode(octets);
                assert_eq!(links.read(&token, Timestamp::default()).unwrap(), None);
            }
        }
        for token in ["", "x", "ä", &format!("{token}A"), &format!("{token}AAAA")] {
            assert_eq!(links.read(token, Timestamp::default()).unwrap(), None);
        }
    }
}
