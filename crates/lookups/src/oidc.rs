//! An issuer of ID tokens, which vouches for people at the console (OpenID Connect): where somebody
//! is sent to, and what is had for the code that he comes back with.
//!
//! Guarantees: so many requests are under way at one time, each bounded in time and octets, and all
//! by HTTPS; what the issuer says of itself is asked for once an hour, and after a failure it is left
//! in peace for some seconds. What a token is worth is for the crate `sign-in` to say. Standards:
//! OpenID Connect Core 1.0 section 3.1, OpenID Connect Discovery 1.0, RFC 6749, RFC 7636 (PKCE), RFC
//! 9207 (who led back).

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use config::{KeySource, Oidc};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::https::{Answer, Cost, Https, encoded, form};
use crate::oauth::Keys;
use crate::resolver::Resolver;
use crate::secret;

/// What one request may cost.
const COST: Cost = Cost {
    timeout: Duration::from_secs(10),
    body_bytes_max: 64 << 10,
};
/// Requests at one time, of all who sign in; one more waits.
const REQUESTS_MAX: usize = 4;
/// Octets of a code: RFC 6749 names no bound.
const CODE_LEN_MAX: usize = 4_096;
/// For how long what the issuer says of itself is kept.
const PROVIDER_TTL: Duration = Duration::from_secs(3600);
/// How long the issuer is left in peace after a failure.
const FAILURE_TTL: Duration = Duration::from_secs(10);

/// Why somebody does not come in by an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotVouched {
    /// The issuer cannot be asked now, and why.
    Away(Box<str>),
    /// The issuer, or we, do not take the code.
    Refused(Box<str>),
}

impl fmt::Display for NotVouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) => write!(f, "the issuer cannot be asked now: {why}"),
            Self::Refused(why) => write!(f, "the issuer does not vouch: {why}"),
        }
    }
}

/// What is known of one sign-in before its browser is sent to the issuer.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Comes back with the code.
    pub state: &'a str,
    /// Stands in the token.
    pub nonce: &'a str,
    /// What is shown for the code later (RFC 7636): the issuer gets its digest now.
    pub verifier: &'a str,
    /// Where the browser is led back to.
    pub redirect: &'a str,
}

/// What a browser comes back with, beside its state.
#[derive(Clone, Copy)]
pub struct Brought<'a> {
    /// What a token is had for.
    pub code: &'a str,
    /// Who led it back, where that is said.
    pub issuer: Option<&'a str>,
    /// Of which the issuer has the digest.
    pub verifier: &'a str,
    /// Where the browser was led back to.
    pub redirect: &'a str,
}

/// One issuer.
pub struct IdentityProvider {
    settings: Oidc,
    secret: Option<String>,
    https: Https,
    turns: Semaphore,
    /// What it says of itself, or why that cannot be had.
    provider: moka::future::Cache<(), Result<Arc<Provider>, Box<str>>>,
}

/// What an issuer says of itself.
struct Provider {
    authorization_endpoint: String,
    token_endpoint: String,
    /// Whether the secret goes into the form, for want of another way.
    takes_secret_in_form: bool,
    says_who_leads_back: bool,
    keys: Keys,
}

struct ForAWhile;

impl moka::Expiry<(), Result<Arc<Provider>, Box<str>>> for ForAWhile {
    fn expire_after_create(
        &self,
        (): &(),
        found: &Result<Arc<Provider>, Box<str>>,
        _: Instant,
    ) -> Option<Duration> {
        Some(match found {
            Ok(_) => PROVIDER_TTL,
            Err(_) => FAILURE_TTL,
        })
    }
}

impl IdentityProvider {
    /// Reads the secret and the authorities now; asks nobody yet.
    ///
    /// # Errors
    /// What cannot be read or makes no sense.
    pub fn new(settings: &Oidc, resolver: Arc<Resolver>) -> Result<Self, String> {
        let https = Https::new(resolver, settings.ca.as_deref())?;
        Self::by(settings, https)
    }

    fn by(settings: &Oidc, https: Https) -> Result<Self, String> {
        let secret = settings.client_secret.as_ref().map(secret::read);
        Ok(Self {
            settings: settings.clone(),
            secret: secret.transpose()?,
            https,
            turns: Semaphore::new(REQUESTS_MAX),
            provider: moka::future::Cache::builder()
                .max_capacity(1)
                .expire_after(ForAWhile)
                .build(),
        })
    }

    /// The issuer's page to which a browser is sent.
    ///
    /// # Errors
    /// The issuer cannot be asked now.
    pub async fn address(&self, asked: Asked<'_>) -> Result<String, NotVouched> {
        let provider = self.provider().await?;
        let endpoint = &provider.authorization_endpoint;
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        // RFC 7636 section 4.2: "code_challenge = BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))"
        let digest = digest(&SHA256, asked.verifier.as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(digest);
        let fields = form(&[
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("scope", &self.settings.scope),
            ("redirect_uri", asked.redirect),
            ("state", asked.state),
            ("nonce", asked.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok(format!("{endpoint}{joint}{fields}"))
    }

    /// The ID token that the issuer gives for a code, unread.
    ///
    /// # Errors
    /// There is none, and why.
    pub async fn token(&self, brought: Brought<'_>) -> Result<String, NotVouched> {
        let refused = |why: &str| Err(NotVouched::Refused(why.into()));
        let provider = self.provider().await?;
        // RFC 9207 section 2.4: "If the value does not match the expected issuer identifier, clients
        // MUST reject the authorization response and MUST NOT proceed with the authorization grant."
        match brought.issuer {
            Some(issuer) if issuer == self.settings.issuer => {}
            None if !provider.says_who_leads_back => {}
            Some(_) | None => return refused("another issuer led here"),
        }
        if brought.code.is_empty() || brought.code.len() > CODE_LEN_MAX {
            return refused("there is no code");
        }
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", brought.code),
            ("redirect_uri", brought.redirect),
            ("code_verifier", brought.verifier),
        ];
        let id = &*self.settings.client_id;
        let proof = match &self.secret {
            Some(secret) if !provider.takes_secret_in_form => Some(basic(id, secret)),
            Some(secret) => {
                fields.extend([("client_id", id), ("client_secret", secret)]);
                None
            }
            None => {
                fields.push(("client_id", id));
                None
            }
        };
        let turn = self.turns.acquire().await;
        let endpoint = &provider.token_endpoint;
        let answer = (self.https).post_form_as(endpoint, &fields, proof.as_deref(), COST);
        let answer = answer.await.map_err(away)?;
        drop(turn);
        granted(&answer)
    }

    /// The issuer's keys, as JSON text; `anew`: not those that are known, asked for once a minute at
    /// most.
    ///
    /// # Errors
    /// They cannot be had now.
    pub async fn keys(&self, anew: bool) -> Result<Arc<str>, NotVouched> {
        let provider = self.provider().await?;
        // No key has this name.
        let keys = provider.keys.json(anew.then_some("")).await;
        keys.map_err(NotVouched::Away)
    }

    async fn provider(&self) -> Result<Arc<Provider>, NotVouched> {
        let found = self.provider.get_with((), self.discover()).await;
        found.map_err(NotVouched::Away)
    }

    async fn discover(&self) -> Result<Arc<Provider>, Box<str>> {
        let found = self.described().await;
        if let Err(why) = &found {
            tracing::warn!(
                why,
                "the issuer that vouches for people at the console cannot be asked"
            );
        }
        Ok(Arc::new(found?))
    }

    /// Discovery section 4.
    async fn described(&self) -> Result<Provider, String> {
        let issuer = &self.settings.issuer;
        let url = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let turn = self.turns.acquire().await;
        let answer = self.https.get(&url, COST).await?;
        drop(turn);
        if answer.status != 200 {
            return Err(format!("{url} answered {}", answer.status));
        }
        let described = serde_json::from_slice::<Described>(&answer.body);
        let described = described.map_err(|why| format!("{url} describes no issuer: {why}"))?;
        // Section 4.3: "The issuer value returned MUST be identical to the Issuer URL that was used as
        // the prefix to /.well-known/openid-configuration to retrieve the configuration information."
        if described.issuer != *issuer {
            let other = mail::escaped(&described.issuer);
            return Err(format!(
                "{url} describes {other}, which console.oidc.issuer should be then"
            ));
        }
        if !described.authorization_endpoint.starts_with("https://") {
            return Err(format!("{url}: its authorization_endpoint is no https URL"));
        }
        let ways = described.token_endpoint_auth_methods_supported;
        let knows = |way: &str| ways.iter().any(|known| known == way);
        Ok(Provider {
            authorization_endpoint: described.authorization_endpoint,
            token_endpoint: described.token_endpoint,
            takes_secret_in_form: !knows("client_secret_basic") && knows("client_secret_post"),
            says_who_leads_back: described.authorization_response_iss_parameter_supported,
            keys: Keys::by(&KeySource::Url(described.jwks_uri), self.https.clone()),
        })
    }
}

/// Discovery section 3.
#[derive(Deserialize)]
struct Described {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Core section 3.1.3.3, and RFC 6749 section 5.2.
#[derive(Deserialize)]
struct Granted {
    id_token: Option<String>,
    error: Option<String>,
    #[serde(default)]
    error_description: String,
}

fn granted(answer: &Answer) -> Result<String, NotVouched> {
    let refused = |why: String| NotVouched::Refused(why.into());
    // What serde says of a bad answer may hold a piece of the token.
    let granted = serde_json::from_slice::<Granted>(&answer.body).ok();
    match (answer.status, granted) {
        (200, Some(Granted { id_token, .. })) => {
            id_token.ok_or_else(|| refused("it gave no ID token".to_owned()))
        }
        (200, None) => Err(refused("its answer is malformed".to_owned())),
        (500.., _) => Err(away(format!(
            "the token endpoint answered {}",
            answer.status
        ))),
        (_, Some(failure)) => {
            let error = failure.error.unwrap_or_default();
            let text = format!("{error} {}", failure.error_description);
            Err(refused(mail::escaped(text.trim()).to_string()))
        }
        (status, None) => Err(refused(format!("the token endpoint answered {status}"))),
    }
}

fn away(why: String) -> NotVouched {
    NotVouched::Away(why.into())
}

/// RFC 6749 section 2.3.1: both are encoded as in a form first.
fn basic(id: &str, secret: &str) -> String {
    let pair = format!("{}:{}", encoded(id), encoded(secret));
    format!("Basic {}", STANDARD.encode(pair))
}
