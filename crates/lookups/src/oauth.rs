//! Tokens: those with which a route signs in at its next hop, and the keys with which an issuer
//! signs those of our users.
//!
//! Guarantees: a token is asked for once, however many connections wait for it, and anew before it
//! expires; while the endpoint is out of order, a token that is still valid is used on, and the
//! endpoint is left in peace for some seconds. Every failure is temporary: mail waits. Standards:
//! RFC 6749 section 4.4 (client credentials), RFC 7523 (assertions), RFC 7517 (keys).

mod assertion;
mod keys;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use config::{ClientProof, RouteCredentials};
use serde::Deserialize;

use crate::https::{Cost, Https};
use crate::resolver::Resolver;
use crate::secret;
use assertion::{Assertion, Claims};

pub use keys::Keys;

/// What one request for a token may cost.
const COST: Cost = Cost {
    timeout: Duration::from_secs(20),
    body_bytes_max: 64 << 10,
};
/// How long the endpoint is left in peace after a failure.
const FAILURE_TTL: Duration = Duration::from_secs(10);
/// RFC 6749 section 5.1 only recommends that an endpoint says how long its token is valid.
const EXPIRES_DEFAULT: u64 = 3600;
/// However long an endpoint says.
const EXPIRES_MAX: u64 = 86_400;
/// Octets of a token: in base64 it still fits into an AUTH command (RFC 4954 section 4: 12,288
/// octets).
const TOKEN_LEN_MAX: usize = 8_000;

/// An access token; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    /// The token itself, for the AUTH command.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why there is no token now; try again later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoToken(Box<str>);

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The token endpoint of one route.
pub struct TokenSource {
    url: String,
    client_id: String,
    proof: Proof,
    scope: String,
    subject: Option<String>,
    https: Https,
    /// The token until it should be replaced, or a failure until the endpoint may be asked again.
    current: moka::future::Cache<(), Result<Granted, NoToken>>,
    /// The last token: good until it expires.
    last: Mutex<Option<Granted>>,
}

enum Proof {
    Secret(String),
    Assertion(Assertion),
}

#[derive(Debug, Clone)]
struct Granted {
    token: Token,
    lifetime: Duration,
    expires: Instant,
}

struct BeforeItExpires;

impl moka::Expiry<(), Result<Granted, NoToken>> for BeforeItExpires {
    fn expire_after_create(
        &self,
        (): &(),
        result: &Result<Granted, NoToken>,
        _: Instant,
    ) -> Option<Duration> {
        Some(match result {
            Ok(granted) => granted.lifetime * 4 / 5,
            Err(_) => FAILURE_TTL,
        })
    }
}

impl TokenSource {
    /// The source of tokens for a route with these credentials; `None` when it signs in by
    /// password. Reads secret, key and certificates now.
    ///
    /// # Errors
    /// What cannot be read or makes no sense.
    pub fn new(
        credentials: &RouteCredentials,
        resolver: Arc<Resolver>,
    ) -> Result<Option<Self>, String> {
        let RouteCredentials::Token {
            url,
            client_id,
            proof,
            scope,
            subject,
            ca,
        } = credentials
        else {
            return Ok(None);
        };
        let proof = match proof {
            ClientProof::Secret(secret) => Proof::Secret(secret::read(secret)?),
            ClientProof::Assertion { key, certificate } => {
                Proof::Assertion(Assertion::load(key, certificate.as_deref())?)
            }
        };
        Ok(Some(Self {
            url: url.clone(),
            client_id: client_id.clone(),
            proof,
            scope: scope.clone(),
            subject: subject.clone(),
            https: Https::new(resolver, ca.as_deref())?,
            current: moka::future::Cache::builder()
                .max_capacity(1)
                .expire_after(BeforeItExpires)
                .build(),
            last: Mutex::new(None),
        }))
    }

    /// A token that is valid now.
    ///
    /// # Errors
    /// There is none now, and why: the endpoint cannot be reached, or refuses.
    pub async fn token(&self) -> Result<Token, NoToken> {
        let fetched = self.current.get_with((), self.fetch()).await;
        match fetched {
            Ok(granted) => Ok(granted.token),
            Err(why) => {
                let last = self.last();
                let valid = last.filter(|last| last.expires > Instant::now());
                valid.map(|last| last.token).ok_or(why)
            }
        }
    }

    /// Forgets a token that a next hop did not take: the next one asked for is new. Another one
    /// stays.
    pub async fn refused(&self, token: &Token) {
        if self.last().is_some_and(|last| last.token == *token) {
            self.set_last(None);
            self.current.invalidate(&()).await;
        }
    }

    async fn fetch(&self) -> Result<Granted, NoToken> {
        let fetched = self.request().await;
        match fetched {
            Ok(granted) => {
                self.set_last(Some(granted.clone()));
                Ok(granted)
            }
            Err(why) => {
                tracing::warn!(url = self.url, why, "no token");
                Err(NoToken(format!("no token: {why}").into()))
            }
        }
    }

    async fn request(&self) -> Result<Granted, String> {
        let asked = Instant::now();
        let fields = self.fields()?;
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let answer = self.https.post_form(&self.url, &fields, COST).await?;
        let (token, seconds) = granted(answer.status, &answer.body)?;
        let lifetime = Duration::from_secs(seconds);
        Ok(Granted {
            token,
            lifetime,
            expires: asked + lifetime,
        })
    }

    /// What is sent to the endpoint.
    fn fields(&self) -> Result<Vec<(&'static str, Cow<'_, str>)>, String> {
        let assertion = |key: &Assertion, subject: &str, scope: Option<&str>| {
            let claims = Claims {
                client: &self.client_id,
                subject,
                audience: &self.url,
                scope,
            };
            key.sign(&claims, rand::random(), unix_now())
                .map(Cow::Owned)
        };
        let mut fields = match (&self.proof, &self.subject) {
            // RFC 7523 section 2.1: the assertion is the grant, and says for whom and for what.
            (Proof::Assertion(key), Some(subject)) => {
                let scope = Some(&*self.scope).filter(|scope| !scope.is_empty());
                return Ok(vec![
                    ("grant_type", assertion::GRANT.into()),
                    ("assertion", assertion(key, subject, scope)?),
                ]);
            }
            (Proof::Assertion(key), None) => vec![
                ("client_assertion_type", assertion::TYPE.into()),
                ("client_assertion", assertion(key, &self.client_id, None)?),
            ],
            (Proof::Secret(secret), _) => vec![("client_secret", secret.into())],
        };
        fields.push(("grant_type", "client_credentials".into()));
        fields.push(("client_id", (&self.client_id).into()));
        if !self.scope.is_empty() {
            fields.push(("scope", (&self.scope).into()));
        }
        Ok(fields)
    }

    fn last(&self) -> Option<Granted> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    fn set_last(&self, granted: Option<Granted>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = granted;
    }
}

/// RFC 6749 section 5.1.
#[derive(Deserialize)]
struct Success {
    access_token: String,
    #[serde(default)]
    token_type: String,
    expires_in: Option<Seconds>,
}

/// RFC 6749 section 5.2.
#[derive(Deserialize)]
struct Failure {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// Some endpoints write the number in quotes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

/// The token in an answer, and for how many seconds it is valid.
fn granted(status: u16, body: &[u8]) -> Result<(Token, u64), String> {
    if status != 200 {
        return Err(match serde_json::from_slice::<Failure>(body) {
            Ok(failure) => {
                let text = format!("{} {}", failure.error, failure.error_description);
                mail::escaped(text.trim()).to_string()
            }
            Err(_) => format!("the token endpoint answered {status}"),
        });
    }
    // What serde says about a bad answer may hold a piece of the token.
    let success: Success =
        serde_json::from_slice(body).map_err(|_| "the token endpoint's answer is malformed")?;
    if !success.token_type.is_empty() && !success.token_type.eq_ignore_ascii_case("bearer") {
        return Err("the token is no bearer token".to_owned());
    }
    let token = success.access_token;
    // RFC 6750 section 2.1: visible characters. Anything else could end the AUTH string before its
    // time.
    let printable = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    if !printable || token.len() > TOKEN_LEN_MAX {
        return Err("the token endpoint's answer holds no usable token".to_owned());
    }
    let seconds = match success.expires_in {
        None => EXPIRES_DEFAULT,
        Some(Seconds::Number(seconds)) => seconds,
        Some(Seconds::Text(text)) => text.parse().unwrap_or(EXPIRES_DEFAULT),
    };
    Ok((Token(token.into()), seconds.clamp(1, EXPIRES_MAX)))
}

/// Seconds since 1970 on the system's clock; assertions are stamped with it.
fn unix_now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.unwrap_or_default().as_secs()
}
