use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use mail::{Domain, Timestamp};

use crate::body_hash::{BodyHash, HashedBody};
use crate::canonicalization::{Canonicalization, relax};
use crate::folded::Folded;
use crate::header::Header;
use crate::signature::FIELD;
use crate::{PrivateKey, base64_text};

/// Fields that are signed whether they are there or not, and once more than they are there: nobody
/// can add another one, which readers might show in place of ours.
const ALWAYS: [&str; 6] = [
    "from",
    "subject",
    "to",
    "date",
    "message-id",
    "content-type",
];

/// Fields that are signed where they are there, once more as well. A list adds its own to messages
/// that have none, and that must not break them.
const WHERE_THERE: [&str; 17] = [
    "cc",
    "reply-to",
    "mime-version",
    "content-transfer-encoding",
    "in-reply-to",
    "references",
    "list-id",
    "list-help",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-subscribe",
    "list-post",
    "list-owner",
    "list-archive",
    "sender",
    // RFC 8460 section 5.3: they "SHOULD be included in the DKIM signature".
    "tls-report-domain",
    "tls-report-submitter",
];

/// Signs messages for a domain.
#[derive(Debug, Clone)]
pub struct Signer {
    domain: Domain,
    keys: Vec<(Domain, Arc<PrivateKey>)>,
    lifetime: Option<Duration>,
}

/// Why a message is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningFault {
    /// It has no `From`, of which a signature has to tell (RFC 6376 section 5.4).
    NoFrom,
    /// The library could not compute it.
    NotComputed,
}

impl fmt::Display for SigningFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoFrom => "it has no From",
            Self::NotComputed => "no signature could be computed",
        })
    }
}

impl std::error::Error for SigningFault {}

impl Signer {
    /// One that signs by the key that stands at `selector` below `domain`.
    pub fn new(domain: Domain, selector: Domain, key: Arc<PrivateKey>) -> Self {
        Self {
            domain,
            keys: vec![(selector, key)],
            lifetime: None,
        }
    }

    /// Signs by another key as well, in a signature below the others. Many verifiers do not know
    /// Ed25519, so it is never the only one.
    #[must_use]
    pub fn and(mut self, selector: Domain, key: Arc<PrivateKey>) -> Self {
        self.keys.push((selector, key));
        self
    }

    /// Signatures end so long after they were made (`x=`), counted in whole seconds, and at least
    /// one; without it they do not end. It has to be longer than a message may wait on its way.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// The domain for which it signs.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether it takes no more time than a handshake of TLS does: not with keys of RSA that are longer
    /// than 2,048 bits, which take many times as long.
    pub fn is_quick(&self) -> bool {
        self.keys.iter().all(|(_, key)| key.is_quick())
    }

    /// By which of its keys.
    pub fn selectors(&self) -> impl Iterator<Item = &Domain> {
        self.keys.iter().map(|(selector, _)| selector)
    }

    /// What is to be told the body of a message that is signed.
    pub fn body_hash() -> BodyHash {
        BodyHash::new(Canonicalization::Relaxed, None)
    }

    /// The fields to put on top of a message, one for each key, with this header and this body,
    /// which [`Signer::body_hash`] was told.
    ///
    /// # Errors
    /// The message cannot be signed.
    pub fn sign(
        &self,
        header: &[u8],
        body: &HashedBody,
        now: Timestamp,
    ) -> Result<String, SigningFault> {
        let header = Header::new(header);
        if header.count("from") == 0 {
            return Err(SigningFault::NoFrom);
        }
        let names = signed_names(&header);
        let octets = names.iter().map(|name| name.as_bytes());
        let fields = header.canonical(octets, None, Canonicalization::Relaxed);
        let mut signatures = String::new();
        for (selector, key) in &self.keys {
            let mut field = self.unsigned(selector, key, &names, body, now);
            let mut hashed = fields.clone();
            let value = &field.as_str()[FIELD.len() + 1..];
            relax(FIELD.as_bytes(), value.as_bytes(), &mut hashed);
            let signed = key.sign(&digest(&SHA256, &hashed));
            let signed = signed.ok_or(SigningFault::NotComputed)?;
            field.solid(&base64_text::encode(&signed));
            signatures.push_str(&field.finish());
        }
        Ok(signatures)
    }

    /// The field as it is signed: all but the value of `b=`.
    fn unsigned(
        &self,
        selector: &Domain,
        key: &PrivateKey,
        names: &[&str],
        body: &HashedBody,
        now: Timestamp,
    ) -> Folded {
        let mut field = Folded::new(FIELD);
        field.word("v=1;");
        field.word(&format!("a={};", key.algorithm()));
        field.word("c=relaxed/relaxed;");
        field.word(&format!("d={};", self.domain));
        field.word(&format!("s={selector};"));
        field.word(&format!("t={};", now.as_secs()));
        if let Some(lifetime) = self.lifetime {
            let ends = now.as_secs().saturating_add(lifetime.as_secs().max(1));
            field.word(&format!("x={ends};"));
        }
        let mut names = names.iter();
        field.word(&format!("h={}", names.next().unwrap_or(&"from")));
        for name in names {
            field.part(&format!(":{name}"));
        }
        field.part(";");
        field.word("bh=");
        field.solid(&base64_text::encode(body.digest.as_ref()));
        field.part(";");
        field.word("b=");
        field
    }
}

/// The names of the fields that are signed, each once more than it is there.
fn signed_names(header: &Header<'_>) -> Vec<&'static str> {
    let there = WHERE_THERE
        .into_iter()
        .filter(|name| header.count(name) > 0);
    let names = ALWAYS.into_iter().chain(there);
    names
        .flat_map(|name| std::iter::repeat_n(name, header.count(name) + 1))
        .collect()
}
