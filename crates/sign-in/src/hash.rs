//! Passwords as they are stored: argon2id (RFC 9106), in the PHC text form.

use argon2::password_hash::phc::PasswordHash;
use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
};
use aws_lc_rs::error::Unspecified;

use crate::random;

/// Memory of a new hash, in KiB; with [`ARGON2_PASSES`] and [`ARGON2_LANES`] the first choice of
/// OWASP.
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
/// Passes of a new hash.
pub const ARGON2_PASSES: u32 = 2;
/// Lanes of a new hash.
pub const ARGON2_LANES: u32 = 1;

/// What a stored hash may ask of us at most, as every sign-in pays it: memory in KiB.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 8;
const SALT_OCTETS: usize = 16;

/// A password as it is stored.
#[derive(Clone)]
pub(crate) struct StoredHash {
    hash: PasswordHash,
    params: Params,
}

impl StoredHash {
    /// Reads `$argon2id$v=19$m=...`; what is wrong with it otherwise.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let hash = PasswordHash::new(text).map_err(|why| format!("not a password hash: {why}"))?;
        if hash.algorithm != ARGON2ID_IDENT || hash.version != Some(Version::V0x13.into()) {
            return Err("only argon2id hashes, version 19, are read".into());
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err("the password hash is cut off".into());
        }
        let params =
            Params::try_from(&hash).map_err(|why| format!("not an argon2id hash: {why}"))?;
        if params.m_cost() > MEMORY_KIB_MAX
            || params.t_cost() > PASSES_MAX
            || params.p_cost() > LANES_MAX
        {
            return Err(format!(
                "a hash so costly would stop the relay: at most m={MEMORY_KIB_MAX}, t={PASSES_MAX}, p={LANES_MAX}"
            ));
        }
        Ok(Self { hash, params })
    }

    /// Whether this is the password. The comparison takes the same time wherever they differ.
    pub(crate) fn matches(&self, password: &str) -> bool {
        argon2(&self.params)
            .verify_password(password.as_bytes(), &self.hash)
            .is_ok()
    }

    /// As it is stored.
    pub(crate) fn text(&self) -> String {
        self.hash.to_string()
    }

    pub(crate) fn params(&self) -> &Params {
        &self.params
    }
}

/// The work of [`StoredHash::matches`], for nobody: an unknown user costs what a known one costs.
/// Whether it was done.
pub(crate) fn waste_time(params: &Params, password: &str) -> bool {
    let mut output = vec![0; params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    let done =
        argon2(params).hash_password_into(password.as_bytes(), &[0; SALT_OCTETS], &mut output);
    // What came out must look used, or the work could be optimised away.
    std::hint::black_box(&output);
    done.is_ok()
}

/// The parameters of new hashes.
pub(crate) fn new_params() -> Params {
    Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, None).unwrap_or(Params::DEFAULT)
}

/// Hashes a prepared password with a fresh salt.
pub(crate) fn hash(password: &str) -> Result<String, Unspecified> {
    let salt: [u8; SALT_OCTETS] = random::octets()?;
    argon2(&new_params())
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|_| Unspecified)
}

fn argon2(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_hashed_matches_and_nothing_else() {
        let stored = StoredHash::parse(&hash("correct horse").unwrap()).unwrap();
        assert!(stored.matches("correct horse"));
        assert!(!stored.matches("correct horsf"));
        assert!(!stored.matches(""));
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        assert_eq!(costs(stored.params()), costs(&new_params()));
    }

    /// From the tests of the reference implementation (argon2id, version 19, password "password",
    /// salt "somesalt").
    #[test]
    fn a_hash_of_the_reference_implementation_matches() {
        let stored = StoredHash::parse(
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        )
        .unwrap();
        assert!(stored.matches("password"));
        assert!(!stored.matches("Password"));
    }

    #[test]
    fn an_unknown_user_costs_the_same_work_whatever_the_parameters() {
        for text in [
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
            "$argon2id$v=19$m=64,t=2,p=2$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ] {
            let stored = StoredHash::parse(text).unwrap();
            assert!(waste_time(stored.params(), "whatever"), "{text}");
        }
        assert!(waste_time(&new_params(), "whatever"));
    }

    #[test]
    fn other_hashes_are_not_read() {
        for (text, expected) in [
            ("secret", "not a password hash"),
            ("$2b$10$abcdefghijklmnopqrstuv", "hash"),
            (
                "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
                "only argon2id",
            ),
            (
                "$argon2id$v=16$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
                "only argon2id",
            ),
            ("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ", "cut off"),
            (
                "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
                "so costly",
            ),
            (
                "$argon2id$v=19$m=19456,t=99,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
                "so costly",
            ),
        ] {
            let problem = StoredHash::parse(text).err().unwrap();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
