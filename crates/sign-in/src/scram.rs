//! What both sides of SCRAM-SHA-256 (RFC 5802, RFC 7677) share: keys, names, signatures.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::random;

/// Rounds of PBKDF2 for new keys. The user's program does this work at each sign-in (some tens of
/// milliseconds), not we. Above what RFC 7677 asks (4096), below where programs stop to believe a
/// server.
pub const SCRAM_ITERATIONS: u32 = 200_000;
/// RFC 7677 section 4: "the hash iteration-count should be such that [...] a minimum of 4096".
pub const SCRAM_ITERATIONS_MIN: u32 = 4096;
/// The most rounds that we do for a server that asks us, or read from a users file: a server must
/// not stop us by asking for billions.
pub const SCRAM_ITERATIONS_MAX: u32 = 1_000_000;

pub(crate) const SALT_OCTETS: usize = 16;
const SALT_OCTETS_MAX: usize = 256;
const NONCE_OCTETS: usize = 18;
/// A nonce longer than any program makes.
pub(crate) const NONCE_CHARS_MAX: usize = 256;

pub(crate) type Digest = [u8; 32];

/// What checks a SCRAM proof without being the password. It is a secret: with it somebody could
/// guess passwords or play server.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    pub(crate) iterations: NonZeroU32,
    pub(crate) salt: Box<[u8]>,
    pub(crate) stored: Digest,
    pub(crate) server: Digest,
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramKeys({} iterations)", self.iterations)
    }
}

impl ScramKeys {
    /// Reads the text form of RFC 5803, `SCRAM-SHA-256$iterations:salt$stored:server`, as
    /// PostgreSQL has it too.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (cost, keys) = rest.split_once('$')?;
        let (iterations, salt) = cost.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let salt = STANDARD.decode(salt).ok()?;
        if salt.is_empty() || salt.len() > SALT_OCTETS_MAX {
            return None;
        }
        Some(Self {
            iterations: parse_iterations(iterations)?,
            salt: salt.into(),
            stored: parse_digest(stored)?,
            server: parse_digest(server)?,
        })
    }

    /// The text that [`ScramKeys::parse`] reads.
    pub fn to_text(&self) -> String {
        format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored),
            STANDARD.encode(self.server),
        )
    }

    /// New keys for a prepared password, with a fresh salt.
    pub(crate) fn new(password: &str) -> Result<Self, Unspecified> {
        let salt: [u8; SALT_OCTETS] = random::octets()?;
        let iterations = NonZeroU32::new(SCRAM_ITERATIONS).unwrap_or(NonZeroU32::MIN);
        Ok(Self::derive(password, &salt, iterations))
    }

    pub(crate) fn derive(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let derived = Derived::new(password, salt, iterations);
        Self {
            iterations,
            salt: salt.into(),
            stored: derived.stored(),
            server: derived.server,
        }
    }
}

/// What comes of a password (RFC 5802 section 3): only the client side has these.
pub(crate) struct Derived {
    client: Digest,
    pub(crate) server: Digest,
}

impl Derived {
    /// Derives the keys. That is slow on purpose, so that guessing is slow, too.
    pub(crate) fn new(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = [0; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            salt,
            password.as_bytes(),
            &mut salted,
        );
        Self {
            client: sign(&salted, b"Client Key"),
            server: sign(&salted, b"Server Key"),
        }
    }

    fn stored(&self) -> Digest {
        sha256(&self.client)
    }

    /// The proof for this conversation, in base64.
    pub(crate) fn proof(&self, conversation: &[u8]) -> String {
        STANDARD.encode(xor(self.client, sign(&self.stored(), conversation)))
    }
}

/// Whether a proof was made by somebody who has the password to these keys.
pub(crate) fn proves(keys: &ScramKeys, conversation: &[u8], proof: Digest) -> bool {
    let client = xor(proof, sign(&keys.stored, conversation));
    equal(&sha256(&client), &keys.stored)
}

pub(crate) fn sign(key: &[u8], data: &[u8]) -> Digest {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    first_32(hmac::sign(&key, data).as_ref())
}

pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// A fresh nonce: printable, without comma.
pub(crate) fn nonce() -> Result<String, Unspecified> {
    let octets: [u8; NONCE_OCTETS] = random::octets()?;
    Ok(STANDARD.encode(octets))
}

/// RFC 5802 section 7: `printable = %x21-2B / %x2D-7E`
pub(crate) fn is_nonce(text: &str) -> bool {
    (1..=NONCE_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

pub(crate) fn parse_iterations(text: &str) -> Option<NonZeroU32> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit());
    let iterations: u32 = text.parse().ok().filter(|_| canonical)?;
    let allowed = SCRAM_ITERATIONS_MIN..=SCRAM_ITERATIONS_MAX;
    NonZeroU32::new(iterations).filter(|_| allowed.contains(&iterations))
}

pub(crate) fn parse_digest(text: &str) -> Option<Digest> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// RFC 5802 section 5.1: "The characters ',' or '=' in usernames are sent as '=2C' and '=3D'
/// respectively."
pub(crate) fn escape_name(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The inverse; "If the server receives a username that contains '=' not followed by either '2C' or
/// '3D', then the server MUST fail the authentication."
pub(crate) fn unescape_name(text: &str) -> Option<String> {
    let mut pieces = text.split('=');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        let (mark, rest) = piece.split_at_checked(2)?;
        name.push(match mark {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    Some(name)
}

fn sha256(data: &[u8]) -> Digest {
    first_32(digest::digest(&digest::SHA256, data).as_ref())
}

fn first_32(octets: &[u8]) -> Digest {
    let mut digest = [0; 32];
    digest
        .iter_mut()
        .zip(octets)
        .for_each(|(to, from)| *to = *from);
    digest
}

fn xor(mut a: Digest, b: Digest) -> Digest {
    a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_as_postgresql_writes_them_are_read() {
        // The salt and count of RFC 7677 section 3, and the keys of its password.
        let text = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        let keys = ScramKeys::parse(text).unwrap();
        assert_eq!(keys.to_text(), text);
        let derived = Derived::new("pencil", &keys.salt, keys.iterations);
        assert_eq!(derived.stored(), keys.stored);
        assert_eq!(derived.server, keys.server);
    }

    #[test]
    fn other_keys_are_not_read() {
        let digest = STANDARD.encode([1; 32]);
        let with = |iterations: &str, salt: &str, stored: &str| {
            format!("SCRAM-SHA-256${iterations}:{salt}${stored}:{digest}")
        };
        assert!(ScramKeys::parse(&with("4096", "c2FsdA==", &digest)).is_some());
        for text in [
            with("4095", "c2FsdA==", &digest),
            with("+4096", "c2FsdA==", &digest),
            with("4000000000", "c2FsdA==", &digest),
            with("4096", "", &digest),
            with("4096", "c2FsdA==", "AAAA"),
            with("4096", "not base64", &digest),
            with("4096", "c2FsdA==", &digest).replace("256", "1"),
            String::new(),
        ] {
            assert!(ScramKeys::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn wrong_escapes_are_refused() {
        for text in ["a=", "a=2", "a=2c", "a=41", "=\u{e9}x"] {
            assert_eq!(unescape_name(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn escaping_a_name_is_undone(name in "\\PC{0,20}|[=,2CD3]{0,10}") {
            let escaped = escape_name(&name);
            prop_assert!(!escaped.contains(','));
            prop_assert_eq!(unescape_name(&escaped), Some(name));
        }
    }
}
