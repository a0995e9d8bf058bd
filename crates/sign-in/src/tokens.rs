//! Whether an access token of an OAuth issuer is genuine, meant for us, and still good (RFC 7519,
//! RFC 8725).

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, AlgorithmFamily, Validation, decode, decode_header};
use mail::{Place, Timestamp};
use relay_policy::Rights;
use serde_json::{Map, Value};

use crate::{Account, TokenKeys, prepare_name};

/// How far the issuer's clock may be from ours.
pub const TOKEN_LEEWAY_SECONDS: u64 = 60;

/// What an issuer's tokens must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// What must stand in `iss`.
    pub issuer: String,
    /// What must stand in `aud`.
    pub audience: String,
    /// Signature algorithms that are taken: `RS256` and the like.
    pub algorithms: Vec<String>,
    /// The claim with the user's name.
    pub user_claim: String,
    /// Whether a user whom no source knows may relay.
    pub strangers_may_relay: bool,
    /// Where the issuer is written down.
    pub place: Place,
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// The issuer's keys were never loaded: nobody can tell.
    NoKeys,
    /// This is no signed token at all.
    Malformed,
    /// Signed in a way that the configuration does not list.
    Algorithm,
    /// None of the issuer's keys: perhaps it has a new one, and they should be loaded again.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// Somebody else issued it.
    Issuer,
    /// It was issued for another service than this one.
    Audience,
    /// Too old, without an end, or not good yet.
    Time,
    /// The claim that should name the user is missing, or is no name.
    NoUser,
    /// It was asked for in another sign-in than this one.
    Nonce,
    /// The user's mailbox, which should name him, is one that the issuer did not verify.
    Unverified,
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoKeys => "the issuer's keys are not there yet",
            Self::Malformed => "not a signed token",
            Self::Algorithm => "token signed by an algorithm that is not taken",
            Self::UnknownKey => "token signed by a key that the issuer does not list",
            Self::Signature => "token with a wrong signature",
            Self::Issuer => "token of another issuer",
            Self::Audience => "token meant for somebody else",
            Self::Time => "token too old or not good yet",
            Self::NoUser => "token names no user",
            Self::Nonce => "token of another sign-in",
            Self::Unverified => "token with a mailbox that the issuer did not verify",
        })
    }
}

impl std::error::Error for TokenFault {}

/// One issuer, with the keys it has now.
#[derive(Debug, Clone)]
pub struct Tokens {
    rules: Arc<TokenRules>,
    algorithms: Box<[Algorithm]>,
    keys: TokenKeys,
    rights: Arc<Rights>,
}

impl Tokens {
    /// An issuer whose keys are not known yet. What is wrong with the rules otherwise: an algorithm
    /// that is unknown, or one with a shared secret, since the keys of a set are public.
    pub fn new(rules: TokenRules) -> Result<Self, String> {
        let algorithms: Box<[Algorithm]> = rules
            .algorithms
            .iter()
            .map(|name| parse_algorithm(name))
            .collect::<Result<_, _>>()?;
        if algorithms.is_empty() {
            return Err("no signature algorithm is listed".into());
        }
        let rights = Arc::new(Rights {
            may_relay: rules.strangers_may_relay,
            senders: Box::default(),
            only_to: Box::default(),
            place: rules.place.clone(),
        });
        Ok(Self {
            rules: Arc::new(rules),
            algorithms,
            keys: TokenKeys::default(),
            rights,
        })
    }

    /// The same issuer with the keys of this JWKS text.
    pub fn with_keys(&self, json: &str) -> Result<Self, String> {
        let keys = TokenKeys::parse(json)?;
        Ok(Self {
            keys,
            ..self.clone()
        })
    }

    /// The user of a token, in the one spelling of its name. The token is never in the answer.
    pub fn user(&self, token: &str, now: Timestamp) -> Result<String, TokenFault> {
        let claims = self.claims(token, now)?;
        let name = claims.get(&self.rules.user_claim);
        let name = name.and_then(Value::as_str).and_then(prepare_name);
        name.ok_or(TokenFault::NoUser)
    }

    /// What a token says that is genuine, meant for us, and good now.
    pub(crate) fn claims(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Map<String, Value>, TokenFault> {
        let claims = self.signed_claims(token)?;
        if claims.get("iss").and_then(Value::as_str) != Some(&self.rules.issuer) {
            return Err(TokenFault::Issuer);
        }
        if !self.is_for_us(claims.get("aud")) {
            return Err(TokenFault::Audience);
        }
        if !is_current(&claims, now) {
            return Err(TokenFault::Time);
        }
        Ok(claims)
    }

    /// The account of a user whom no source knows.
    pub(crate) fn stranger(&self, name: &str) -> Account {
        Account {
            name: name.into(),
            rights: Arc::clone(&self.rights),
            messages_per_hour: None,
            recipients_per_hour: None,
        }
    }

    fn signed_claims(&self, token: &str) -> Result<Map<String, Value>, TokenFault> {
        if self.keys.is_empty() {
            return Err(TokenFault::NoKeys);
        }
        // An algorithm that the library does not know, `none` among them, fails here already.
        let header = decode_header(token).map_err(|_| TokenFault::Malformed)?;
        // RFC 7515 section 4.1.11: "If any of the listed extension Header Parameters are not
        // understood and supported by the recipient, then the JWS is invalid." We know none.
        if header.crit.is_some() {
            return Err(TokenFault::Malformed);
        }
        if !self.algorithms.contains(&header.alg) {
            return Err(TokenFault::Algorithm);
        }
        let validation = signature_only(header.alg);
        let mut fault = TokenFault::UnknownKey;
        for candidate in self.keys.candidates(header.kid.as_deref(), header.alg) {
            match decode(token, &candidate.key, &validation) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(_) => fault = TokenFault::Signature,
            }
        }
        Err(fault)
    }

    /// RFC 7519 section 4.1.3: one audience as text, or several as a list.
    fn is_for_us(&self, audience: Option<&Value>) -> bool {
        let us = |value: &Value| value.as_str() == Some(&self.rules.audience);
        match audience {
            Some(Value::Array(several)) => several.iter().any(us),
            Some(one) => us(one),
            None => false,
        }
    }
}

/// The library reads the system's clock; its checks of claims are off, and ours take the time as an
/// argument.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// The end must be there; the beginning and the day of issue may be missing, but not lie ahead.
fn is_current(claims: &Map<String, Value>, now: Timestamp) -> bool {
    let now = now.as_secs() as f64;
    let leeway = TOKEN_LEEWAY_SECONDS as f64;
    let begun = |name: &str| match claims.get(name) {
        Some(at) => at.as_f64().is_some_and(|at| at <= now + leeway),
        None => true,
    };
    let ends = claims.get("exp").and_then(Value::as_f64);
    // RFC 7519 section 4.1.4: "on or after which the JWT MUST NOT be accepted"
    ends.is_some_and(|end| now < end + leeway) && begun("nbf") && begun("iat")
}

fn parse_algorithm(name: &str) -> Result<Algorithm, String> {
    let algorithm: Algorithm = name
        .parse()
        .map_err(|_| format!("`{name}` is no signature algorithm for tokens"))?;
    if algorithm.family() == AlgorithmFamily::Hmac {
        return Err(format!(
            "`{name}` needs a shared secret; an issuer's keys are public"
        ));
    }
    Ok(algorithm)
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
pub(crate) mod tests;
