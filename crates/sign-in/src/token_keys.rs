//! The keys of an issuer (JWKS, RFC 7517), as far as they sign tokens.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

/// The most keys that are kept of a set; issuers have two or three, and some a dozen.
pub const KEYS_MAX: usize = 64;

/// The keys with which an issuer signs its tokens.
#[derive(Clone, Default)]
pub struct TokenKeys(Vec<TokenKey>);

#[derive(Clone)]
pub(crate) struct TokenKey {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    pub(crate) key: DecodingKey,
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenKeys({})", self.0.len())
    }
}

impl TokenKeys {
    /// Reads a key set. Keys that sign nothing, or of a kind that we do not know, are passed over,
    /// and so are symmetric keys: with one, everybody who can read the set could make tokens. A set
    /// without any key left is an error.
    pub fn parse(json: &str) -> Result<Self, String> {
        let set: serde_json::Value =
            serde_json::from_str(json).map_err(|why| format!("the key set is not JSON: {why}"))?;
        let keys = set
            .get("keys")
            .and_then(|keys| keys.as_array())
            .ok_or("the key set has no list `keys`")?;
        let usable: Vec<_> = keys
            .iter()
            .filter_map(TokenKey::read)
            .take(KEYS_MAX)
            .collect();
        if usable.is_empty() {
            return Err("the key set has no key that signs tokens".into());
        }
        Ok(Self(usable))
    }

    /// Whether there are none, not even yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that may have made a signature: the one that the token names, or all when it names
    /// none.
    pub(crate) fn candidates(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &TokenKey> {
        self.0.iter().filter(move |key| {
            id.is_none_or(|id| key.id.as_deref() == Some(id)) && key.fits(algorithm)
        })
    }
}

impl TokenKey {
    fn read(json: &serde_json::Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(json.clone()).ok()?;
        let signs = !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
        let public = !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        let algorithm = match json.get("alg").and_then(serde_json::Value::as_str) {
            Some(name) => Some(name.parse().ok()?),
            None => None,
        };
        (signs && public && key.family() != AlgorithmFamily::Hmac).then_some(Self {
            id: jwk.common.key_id,
            algorithm,
            key,
        })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.key.family() == algorithm.family()
            && self.algorithm.is_none_or(|named| named == algorithm)
    }
}
