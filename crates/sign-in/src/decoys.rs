//! SCRAM keys for names that nobody has.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::error::Unspecified;

use crate::random;
use crate::scram::{Digest, SALT_OCTETS, SCRAM_ITERATIONS, ScramKeys, sign};

/// Makes up SCRAM keys for users who do not exist, the same at every try, so that the answer does
/// not tell that there is no such user. It must be the same after a restart too: keep
/// [`Decoys::seed`], as a secret.
#[derive(Clone)]
pub struct Decoys {
    seed: Digest,
}

impl Decoys {
    /// From a seed that was kept.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed }
    }

    /// From the system's randomness.
    ///
    /// # Errors
    /// The system has none.
    pub fn draw() -> Result<Self, Unspecified> {
        let seed = random::octets()?;
        Ok(Self { seed })
    }

    /// What must be kept beyond a restart, so that the salts stay what they are.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// Keys of that look. Nobody has the password to them, and without an account even a right
    /// proof would not do.
    pub(crate) fn keys(&self, name: &str, look: Look) -> ScramKeys {
        let made = |what: &str| sign(&self.seed, format!("{what}:{name}").as_bytes());
        let salt = (0..).flat_map(|block: u32| made(&format!("salt {block}")));
        ScramKeys {
            iterations: look.iterations,
            salt: salt.take(look.salt_octets).collect(),
            stored: made("stored"),
            server: made("server"),
        }
    }
}

/// What a client sees of keys before it has proven anything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    iterations: NonZeroU32,
    salt_octets: usize,
}

impl Look {
    pub(crate) fn of(keys: &ScramKeys) -> Self {
        Self {
            iterations: keys.iterations,
            salt_octets: keys.salt.len(),
        }
    }
}

/// Decoys look like keys that are made today.
impl Default for Look {
    fn default() -> Self {
        Self {
            iterations: NonZeroU32::new(SCRAM_ITERATIONS).unwrap_or(NonZeroU32::MIN),
            salt_octets: SALT_OCTETS,
        }
    }
}

/// Debug output leaves out the seed, which would tell users from others.
impl fmt::Debug for Decoys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoys")
    }
}
