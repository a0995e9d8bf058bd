use mail::Domain;

use crate::{Answer, KeyFault, KeyRecord, PrivateKey, PublicKey, Reason};

/// RFC 1035 section 3.3: a string of a TXT record has at most 255 octets.
const STRING_MAX: usize = 255;

/// The record by which a key is published: its name, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKey {
    /// `selector._domainkey.domain`
    pub name: Domain,
    /// The text of the TXT record, its strings joined.
    pub text: String,
    key: PublicKey,
}

/// What stands in DNS, beside what should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publication {
    /// The key.
    Published,
    /// The key, marked as one that is only tried out (`t=y`).
    Testing,
    /// Another key.
    OtherKey,
    /// None that could be used, and why.
    Unusable(Reason),
}

impl PublishedKey {
    /// The record for a key that stands at `selector` below `domain`.
    ///
    /// # Errors
    /// The key cannot be written, or the name would be too long.
    pub fn of(domain: &Domain, selector: &Domain, key: &PrivateKey) -> Result<Self, KeyFault> {
        let key = key.public()?;
        let coded = key.published().ok_or(KeyFault::Unusable)?;
        let name = Domain::parse(&format!("{selector}._domainkey.{domain}"));
        Ok(Self {
            name: name.map_err(|_| KeyFault::LongName)?,
            text: format!("v=DKIM1; k={}; p={coded}", key.algorithm().key_kind()),
            key,
        })
    }

    /// The record as a line of a zone file, its text cut into strings that fit.
    pub fn zone_line(&self) -> String {
        let mut strings = Vec::new();
        let mut rest = &*self.text;
        while !rest.is_empty() {
            let (first, behind) = rest.split_at(rest.len().min(STRING_MAX));
            strings.push(format!("\"{first}\""));
            rest = behind;
        }
        format!("{}. IN TXT ( {} )", self.name, strings.join(" "))
    }

    /// What the TXT records of the name come to.
    pub fn compare(&self, answer: &Answer) -> Publication {
        let found = match answer {
            Answer::CannotTell => Err(Reason::CannotTell),
            Answer::Texts(texts) => KeyRecord::find(texts),
        };
        match found {
            Err(reason) => Publication::Unusable(reason),
            Ok(record) if record.key != self.key => Publication::OtherKey,
            Ok(record) if record.is_testing => Publication::Testing,
            Ok(_) => Publication::Published,
        }
    }
}
