use std::ops::Range;

use mail::Domain;

use crate::tag_list::{TagList, parts, trimmed};
use crate::{Algorithm, Canonicalization, Reason, Signatory, base64_text};

/// A SHA-256 hash.
const HASH_LEN: usize = 32;

/// The name of the field that a signature is.
pub(crate) const FIELD: &str = "DKIM-Signature";

/// What a signature says (RFC 6376 section 3.5), where all of it makes sense.
#[derive(Debug)]
pub(crate) struct Signature {
    pub algorithm: Algorithm,
    /// `b=`
    pub signed: Vec<u8>,
    /// Where the value of `b=` stands in the field's value.
    pub signed_place: Range<usize>,
    /// `bh=`
    pub body_hash: Vec<u8>,
    pub header_form: Canonicalization,
    pub body_form: Canonicalization,
    /// `h=`, in lower case.
    names: Vec<u8>,
    /// `l=`
    pub body_len: Option<u64>,
    /// `t=`, seconds since 1970.
    pub made: Option<u64>,
    /// `x=`, seconds since 1970.
    pub ends: Option<u64>,
    /// Whether `i=` names a domain below that of `d=`.
    pub is_for_subdomain: bool,
    /// Where the key stands in DNS.
    pub key_name: Domain,
}

impl Signature {
    /// Reads what a field says.
    ///
    /// # Errors
    /// Why it can be no good signature, whatever was signed.
    pub fn read(tags: &TagList<'_>, signatory: &Signatory) -> Result<Self, Reason> {
        if value(tags, "v", "v= is missing")? != b"1" {
            return Err(Reason::BadSignature("v= is not 1"));
        }
        let signature = Self::of(tags, signatory)?;
        let is_for_subdomain = is_for_subdomain(signatory)?;
        Ok(Self {
            is_for_subdomain,
            ..signature
        })
    }

    /// Reads what the signature of a message within a chain says (RFC 8617 section 4.1.2): it has no
    /// version, and `i=` numbers it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_of_chain(tags: &TagList<'_>, signatory: &Signatory) -> Result<Self, Reason> {
        let signature = Self::of(tags, signatory)?;
        // A seal is made after it, and covers it.
        if signature.names().any(|name| name == b"arc-seal") {
            return Err(Reason::BadSignature("a seal is signed"));
        }
        Ok(signature)
    }

    fn of(tags: &TagList<'_>, signatory: &Signatory) -> Result<Self, Reason> {
        let algorithm = algorithm(tags)?;
        check_query(tags)?;
        let (header_form, body_form) = forms(tags)?;
        let (made, ends) = (number(tags, "t")?, number(tags, "x")?);
        if made.zip(ends).is_some_and(|(made, ends)| ends <= made) {
            return Err(Reason::BadSignature("x= is not after t="));
        }
        Ok(Self {
            algorithm,
            signed: octets(tags, "b", "b= is missing", "b= is not base64")?,
            signed_place: tags.place("b").unwrap_or_default(),
            body_hash: body_hash(tags)?,
            header_form,
            body_form,
            names: names(tags)?,
            body_len: number(tags, "l")?,
            made,
            ends,
            is_for_subdomain: false,
            key_name: key_name(signatory)?,
        })
    }

    /// The names of the fields that are signed, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        parts(&self.names)
    }
}

/// The name at which a key stands (RFC 6376 section 3.6.2.1).
pub(crate) fn key_name(signatory: &Signatory) -> Result<Domain, Reason> {
    let domain = domain(signatory)?;
    let selector = signatory.selector.as_ref();
    let selector = selector.ok_or(Reason::BadSignature("s= names no selector"))?;
    Domain::parse(&format!("{selector}._domainkey.{domain}"))
        .map_err(|_| Reason::BadSignature("s= and d= are too long"))
}

fn domain(signatory: &Signatory) -> Result<&Domain, Reason> {
    let domain = signatory.domain.as_ref();
    domain.ok_or(Reason::BadSignature("d= names no domain"))
}

pub(crate) fn value<'a>(
    tags: &TagList<'a>,
    name: &str,
    missing: &'static str,
) -> Result<&'a [u8], Reason> {
    tags.value(name).ok_or(Reason::BadSignature(missing))
}

pub(crate) fn octets(
    tags: &TagList<'_>,
    name: &str,
    missing: &'static str,
    wrong: &'static str,
) -> Result<Vec<u8>, Reason> {
    let octets = base64_text::decode(value(tags, name, missing)?);
    let octets = octets.filter(|octets| !octets.is_empty());
    octets.ok_or(Reason::BadSignature(wrong))
}

fn body_hash(tags: &TagList<'_>) -> Result<Vec<u8>, Reason> {
    let hash = octets(tags, "bh", "bh= is missing", "bh= is not base64")?;
    if hash.len() == HASH_LEN {
        Ok(hash)
    } else {
        Err(Reason::BadSignature("bh= is not of SHA-256"))
    }
}

pub(crate) fn algorithm(tags: &TagList<'_>) -> Result<Algorithm, Reason> {
    let named = value(tags, "a", "a= is missing")?;
    if named.eq_ignore_ascii_case(b"rsa-sha1") {
        return Err(Reason::HistoricAlgorithm);
    }
    Algorithm::parse(named).ok_or(Reason::BadSignature("a= is unknown"))
}

fn check_query(tags: &TagList<'_>) -> Result<(), Reason> {
    let Some(mut ways) = tags.parts("q") else {
        return Ok(());
    };
    if ways.any(|way| way.eq_ignore_ascii_case(b"dns/txt")) {
        Ok(())
    } else {
        Err(Reason::BadSignature("q= is unknown"))
    }
}

fn forms(tags: &TagList<'_>) -> Result<(Canonicalization, Canonicalization), Reason> {
    let Some(named) = tags.value("c") else {
        return Ok((Canonicalization::Simple, Canonicalization::Simple));
    };
    // RFC 6376 section 3.5: where one is named, it is the header's.
    let (header, body) = match memchr::memchr(b'/', named) {
        Some(slash) => (&named[..slash], &named[slash + 1..]),
        None => (named, &b"simple"[..]),
    };
    let header = Canonicalization::parse(trimmed(header));
    let both = header.zip(Canonicalization::parse(trimmed(body)));
    both.ok_or(Reason::BadSignature("c= is unknown"))
}

fn names(tags: &TagList<'_>) -> Result<Vec<u8>, Reason> {
    let listed = tags.value("h");
    let listed = listed.ok_or(Reason::BadSignature("h= is missing"))?;
    let listed = listed.to_ascii_lowercase();
    if parts(&listed).any(<[u8]>::is_empty) {
        return Err(Reason::BadSignature("h= is no list of fields"));
    }
    // RFC 6376 section 5.4: "The From header field MUST be signed".
    if !parts(&listed).any(|name| name == b"from") {
        return Err(Reason::BadSignature("From is not signed"));
    }
    Ok(listed)
}

/// A number that may be larger than any that we count to.
fn number(tags: &TagList<'_>, name: &str) -> Result<Option<u64>, Reason> {
    let Some(digits) = tags.value(name) else {
        return Ok(None);
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::BadSignature("t=, x= or l= is no number"));
    }
    let add = |sum: u64, digit: &u8| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    };
    Ok(Some(digits.iter().fold(0, add)))
}

/// Whether `i=` is of a domain below the one that signs.
fn is_for_subdomain(signatory: &Signatory) -> Result<bool, Reason> {
    let domain = domain(signatory)?;
    let host = signatory.host();
    let host = host.ok_or(Reason::BadSignature("i= names no domain"))?;
    if host != *domain && !host.is_below(domain) {
        // RFC 6376 section 6.1.1.
        return Err(Reason::BadSignature("i= is not within d="));
    }
    Ok(host != *domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "v=1; a=rsa-sha256; d=b.example; s=k; h=From; \
                        bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=; b=AAAA";

    fn read(text: &str) -> Result<Signature, Reason> {
        let tags = TagList::parse(text.as_bytes()).expect("a list");
        Signature::read(&tags, &Signatory::of(&tags))
    }

    #[test]
    fn what_is_not_said_is_as_the_standard_has_it() {
        let signature = read(GOOD).expect("a signature");
        assert_eq!(signature.header_form, Canonicalization::Simple);
        assert_eq!(signature.body_form, Canonicalization::Simple);
        assert_eq!(signature.key_name.as_str(), "k._domainkey.b.example");
        assert_eq!(signature.names().collect::<Vec<_>>(), [b"from"]);
        let more = format!(
            "{GOOD}; c=relaxed; l={}; x=2; q=x/y:dns/txt",
            "9".repeat(70)
        );
        let signature = read(&more).expect("a signature");
        assert_eq!(signature.header_form, Canonicalization::Relaxed);
        assert_eq!(signature.body_form, Canonicalization::Simple);
        assert_eq!(signature.body_len, Some(u64::MAX));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let table = [
            ("v=1", "v=2", "v= is not 1"),
            ("v=1; ", "", "v= is missing"),
            ("rsa-sha256", "rsa-md5", "a= is unknown"),
            ("rsa-sha256", "rsa-sha1", "rsa-sha1 counts no more"),
            ("b.example", "b..example", "d= names no domain"),
            ("s=k", "s=k_.-", "s= names no selector"),
            ("s=k; ", "", "s= names no selector"),
            ("h=From", "h=To", "From is not signed"),
            ("h=From", "h=From:", "h= is no list of fields"),
            ("bh=AAAA", "bh=", "bh= is not of SHA-256"),
            ("; b=AAAA", "; b=A", "b= is not base64"),
            ("; b=AAAA", "; b=", "b= is not base64"),
            ("; b=AAAA", "", "b= is missing"),
            ("v=1", "v=1; i=@example", "i= is not within d="),
            ("v=1", "v=1; i=@xb.example", "i= is not within d="),
            ("v=1", "v=1; i=b.example", "i= names no domain"),
            ("v=1", "v=1; t=5; x=5", "x= is not after t="),
            ("v=1", "v=1; l=-1", "t=, x= or l= is no number"),
            ("v=1", "v=1; c=loose", "c= is unknown"),
            ("v=1", "v=1; q=http", "q= is unknown"),
        ];
        for (old, new, expected) in table {
            let text = GOOD.replacen(old, new, 1);
            let reason = read(&text).expect_err(&text);
            assert_eq!(reason.to_string(), expected, "{text}");
            assert_eq!(reason.result(), crate::DkimResult::PermError);
        }
    }

    #[test]
    fn an_identity_is_of_the_domain_or_below_it() {
        let is_below = |identity| {
            let text = GOOD.replacen("v=1", &format!("v=1; i={identity}"), 1);
            read(&text).expect("a signature").is_for_subdomain
        };
        assert!(is_below("a=3Db@x.B.example"));
        assert!(!is_below("\r\n @b.EXAMPLE"));
    }
}
