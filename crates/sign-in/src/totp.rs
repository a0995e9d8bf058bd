//! The second factor: codes of six digits that change every 30 seconds (TOTP, RFC 6238, with SHA-1,
//! as all programs for it take it).

use std::fmt;

use aws_lc_rs::error::Unspecified;
use totp_rs::{Builder, Secret};

use crate::random;

/// RFC 4226 section 4: "This document RECOMMENDs a shared secret length of 160 bits."
const SECRET_OCTETS: usize = 20;
/// RFC 4226 section 4: "The length of the shared secret MUST be at least 128 bits."
const SECRET_OCTETS_MIN: usize = 16;
const SECRET_OCTETS_MAX: usize = 64;
/// Digits of a code.
const DIGITS: u8 = 6;
/// How long one code is shown.
pub(crate) const STEP_SECONDS: u64 = 30;
/// RFC 6238 section 5.2: "We RECOMMEND that at most one time step is allowed as the network delay."
/// As much for a clock that is ahead.
pub(crate) const DRIFT_STEPS: u16 = 1;
/// A code with the blanks that programs show in it.
const CODE_OCTETS_MAX: usize = 16;

/// A secret that a user's phone has too.
#[derive(Clone)]
pub struct Totp(totp_rs::Totp);

impl Totp {
    /// A new one, from the system's randomness.
    ///
    /// # Errors
    /// The system has none.
    pub fn draw() -> Result<Self, Unspecified> {
        let secret: [u8; SECRET_OCTETS] = random::octets()?;
        Ok(Self::of(Secret::from(secret)))
    }

    /// Reads a secret in base32 (RFC 4648 section 6) without `=`, in letters of any case, with or without blanks.
    ///
    /// # Errors
    /// What is wrong with it; the secret is not in there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let secret = Secret::try_from_base32(without_blanks(text).to_ascii_uppercase())
            .map_err(|_| "not a secret in base32: A to Z and 2 to 7, without `=`")?;
        let octets = secret.as_bytes().len();
        if !(SECRET_OCTETS_MIN..=SECRET_OCTETS_MAX).contains(&octets) {
            return Err(format!(
                "a secret has {SECRET_OCTETS_MIN} to {SECRET_OCTETS_MAX} octets, this one {octets}"
            ));
        }
        Ok(Self::of(secret))
    }

    /// The secret in base32, for the users file and for whoever types it into a phone.
    pub fn to_base32(&self) -> String {
        self.0.secret().to_base32()
    }

    /// What a phone reads as a picture: `otpauth://totp/...`, with the secret. `issuer` says with
    /// whom `user` signs in.
    pub fn uri(&self, issuer: &str, user: &str) -> String {
        let (issuer, user) = (percent_encoded(issuer), percent_encoded(user));
        let secret = self.to_base32();
        format!(
            "otpauth://totp/{issuer}:{user}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"
        )
    }

    /// Which step's code this is at that time, in seconds since 1970 (UTC): of this step, the one
    /// before or the one after; `None`: of none. Blanks in it are left out. Says nothing of whether
    /// it was used before: [`crate::Codes`] does.
    pub fn step_of(&self, code: &str, now: u64) -> Option<u64> {
        if code.len() > CODE_OCTETS_MAX {
            return None;
        }
        self.0.check(&without_blanks(code), now)
    }

    /// The code that a phone shows at that time, in seconds since 1970 (UTC).
    pub fn code_at(&self, now: u64) -> String {
        self.0.generate(now).to_string()
    }

    fn of(secret: Secret) -> Self {
        let parts = Builder::new()
            .with_secret(secret)
            .with_digits(DIGITS)
            .with_step_duration(STEP_SECONDS)
            .with_skew(DRIFT_STEPS);
        // The other way to build refuses what cannot be here: other lengths, and a step of nothing.
        Self(parts.build_noncompliant())
    }
}

/// Without the secret.
impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Totp")
    }
}

fn without_blanks(text: &str) -> String {
    text.chars().filter(|c| *c != ' ').collect()
}

/// RFC 3986 section 2.3: all but unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(octet));
            }
            _ => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6238 appendix B: the secret of its table, for SHA-1.
    fn of_the_rfc() -> Totp {
        Totp::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
    }

    /// RFC 6238 appendix B, the last six digits of each code there.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(of_the_rfc().code_at(time), code);
            assert_eq!(of_the_rfc().step_of(code, time), Some(time / 30));
        }
    }

    #[test]
    fn a_code_is_good_for_one_step_of_drift_each_way() {
        let (totp, now) = (of_the_rfc(), 1_234_567_890);
        let code = totp.code_at(now);
        for (seconds, expected) in [
            (-31, false),
            (-30, true),
            (0, true),
            (59, true),
            (60, false),
        ] {
            let there = totp.step_of(&code, now.checked_add_signed(seconds).unwrap());
            assert_eq!(there.is_some(), expected, "after {seconds} s");
        }
        assert_eq!(totp.step_of("005 924", now), Some(now / 30));
        for other in [
            "",
            "05924",
            "0005924",
            "+05924",
            "-05924",
            "00592\u{664}",
            "0059 24           ",
        ] {
            assert_eq!(totp.step_of(other, now), None, "{other}");
        }
    }

    #[test]
    fn a_secret_is_written_and_read() {
        let totp = Totp::draw().unwrap();
        let text = totp.to_base32();
        assert_eq!(
            (text.len(), Totp::draw().unwrap().to_base32() == text),
            (32, false)
        );
        assert_eq!(Totp::parse(&text).unwrap().to_base32(), text);
        assert_eq!(
            Totp::parse("gezd gnbv gy3t qojq gezd gnbv gy3t qojq")
                .unwrap()
                .code_at(59),
            "287082"
        );
        for (text, expected) in [
            ("", "16 to 64 octets"),
            ("GEZDGNBVGY3TQOJQGEZDGNB", "this one 14"),
            ("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1", "base32"),
            ("geheim\u{e4}", "base32"),
        ] {
            let why = Totp::parse(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
        assert!(
            Totp::parse(&"A".repeat(104))
                .unwrap_err()
                .contains("this one 65")
        );
        assert_eq!(format!("{totp:?}"), "Totp");
    }

    #[test]
    fn a_phone_can_read_the_uri() {
        let uri = of_the_rfc().uri("relay.test", "Ann Smith@corp.test");
        let expected = "otpauth://totp/relay.test:Ann%20Smith%40corp.test?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=relay.test&algorithm=SHA1&digits=6&period=30";
        assert_eq!(uri, expected);
    }

    proptest! {
        #[test]
        fn no_input_panics(text in any::<String>(), now in 0..u64::MAX / 60) {
            let _ = Totp::parse(&text);
            prop_assert!(of_the_rfc().step_of(&text, now).is_none() || text.len() >= 6);
        }
    }
}
