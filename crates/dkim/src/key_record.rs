use crate::tag_list::TagList;
use crate::{Algorithm, PublicKey, Reason, base64_text};

/// A key as it is published in DNS (RFC 6376 section 3.6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key (`p=`).
    pub key: PublicKey,
    /// `t=y`: the domain only tries signing out, so what its signatures say counts for nothing.
    pub is_testing: bool,
    /// `t=s`: not for domains below its own.
    is_exact: bool,
}

impl KeyRecord {
    /// The one key among the TXT records of a name, each with its strings joined.
    ///
    /// # Errors
    /// Why there is none that could be used.
    pub fn find(texts: &[Box<str>]) -> Result<Self, Reason> {
        // Names that a wildcard answers for hold records of other kinds as well.
        let mut keys = texts.iter().filter_map(|text| Self::read(text.as_bytes()));
        let first = keys.next().ok_or(Reason::NoKey)?;
        if keys.next().is_some() {
            return Err(Reason::SeveralKeys);
        }
        first
    }

    /// Reads a record; `None` where it is of another kind.
    fn read(text: &[u8]) -> Option<Result<Self, Reason>> {
        let Some(tags) = TagList::parse(text) else {
            return text
                .trim_ascii_start()
                .starts_with(b"v=DKIM1")
                .then_some(Err(Reason::BadKey("key record cannot be read")));
        };
        let is_key = match tags.value("v") {
            Some(version) => version == b"DKIM1",
            None => tags.value("p").is_some(),
        };
        is_key.then(|| Self::of(&tags))
    }

    fn of(tags: &TagList<'_>) -> Result<Self, Reason> {
        let coded = tags
            .value("p")
            .ok_or(Reason::BadKey("key record has no p="))?;
        if coded.is_empty() {
            return Err(Reason::Revoked);
        }
        let lists = |name, wanted: &[&[u8]]| {
            let Some(mut parts) = tags.parts(name) else {
                return true;
            };
            parts.any(|part| wanted.iter().any(|one| part.eq_ignore_ascii_case(one)))
        };
        if !lists("h", &[b"sha256"]) {
            return Err(Reason::BadKey("key is not for sha256"));
        }
        if !lists("s", &[b"*", b"email"]) {
            return Err(Reason::BadKey("key is not for mail"));
        }
        let flag = |flag: &[u8]| tags.value("t").is_some() && lists("t", &[flag]);
        Ok(Self {
            key: key(tags.value("k"), coded)?,
            is_testing: flag(b"y"),
            is_exact: flag(b"s"),
        })
    }

    /// Whether it is for signatures by an algorithm, of a domain below its own or not.
    pub(crate) fn check(&self, algorithm: Algorithm, for_subdomain: bool) -> Result<(), Reason> {
        if self.key.algorithm() != algorithm {
            Err(Reason::BadKey("key is of another algorithm"))
        } else if self.is_exact && for_subdomain {
            Err(Reason::BadKey("key is not for domains below its own"))
        } else {
            Ok(())
        }
    }
}

fn key(kind: Option<&[u8]>, coded: &[u8]) -> Result<PublicKey, Reason> {
    let octets = base64_text::decode(coded);
    let octets = octets.ok_or(Reason::BadKey("p= is not base64"))?;
    let is = |algorithm: Algorithm, kind: &[u8]| {
        kind.eq_ignore_ascii_case(algorithm.key_kind().as_bytes())
    };
    let key = match kind {
        None => PublicKey::rsa(&octets),
        Some(kind) if is(Algorithm::RsaSha256, kind) => PublicKey::rsa(&octets),
        Some(kind) if is(Algorithm::Ed25519Sha256, kind) => PublicKey::ed25519(&octets),
        Some(_) => return Err(Reason::BadKey("k= is unknown")),
    };
    key.ok_or(Reason::BadKey("p= is no key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8463 appendix A.2.
    const ED25519: &str = "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn find(texts: &[&str]) -> Result<KeyRecord, Reason> {
        let texts: Vec<Box<str>> = texts.iter().map(|text| Box::from(*text)).collect();
        KeyRecord::find(&texts)
    }

    #[test]
    fn one_key_is_found_among_records_of_other_kinds() {
        let spf = "v=spf1 -all";
        let record = find(&[spf, ED25519, "v=DKIM2; p=AAAA"]).expect("a key");
        assert_eq!(record.key.algorithm(), Algorithm::Ed25519Sha256);
        assert!(!record.is_testing && !record.is_exact);
        assert_eq!(find(&[]), Err(Reason::NoKey));
        assert_eq!(find(&[spf]), Err(Reason::NoKey));
        assert_eq!(find(&[ED25519, "p="]), Err(Reason::SeveralKeys));
        let flags = find(&[&format!(
            "v=DKIM1; t=x : y:s; h=sha1:sha256; s=*; {ED25519}"
        )]);
        let flags = flags.expect("a key");
        assert!(flags.is_testing && flags.is_exact);
        assert!(flags.check(Algorithm::Ed25519Sha256, false).is_ok());
        assert!(flags.check(Algorithm::Ed25519Sha256, true).is_err());
        assert!(flags.check(Algorithm::RsaSha256, false).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_key_is_named() {
        let table = [
            ("p=".to_owned(), "key revoked"),
            ("v=DKIM1".to_owned(), "key record has no p="),
            ("v=DKIM1; p=1; p=1".to_owned(), "key record cannot be read"),
            ("p=AAAA".to_owned(), "p= is no key"),
            ("p=A".to_owned(), "p= is not base64"),
            ("k=x; p=AAAA".to_owned(), "k= is unknown"),
            ("k=ed25519; p=AAAA".to_owned(), "p= is no key"),
            (format!("{ED25519}; h=sha1"), "key is not for sha256"),
            (format!("{ED25519}; s=tlsrpt"), "key is not for mail"),
        ];
        for (text, expected) in table {
            let reason = find(&[&text]).expect_err(&text);
            assert_eq!(reason.to_string(), expected, "{text}");
        }
    }
}
