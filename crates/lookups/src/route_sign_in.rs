//! How we sign in at next hops: the credentials of routes, read once, and tokens fetched in time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use config::{Config, Delivery, RouteCredentials};
use delivery::{Identity, SignIn, SignInStart};
use sign_in::{ChannelBinding, ClientExchange, Credentials, TLS_EXPORTER};

use crate::oauth::{Token, TokenSource};
use crate::resolver::Resolver;
use crate::secret;

/// The credentials of all routes that have some, by the name of the site.
pub struct RouteSignIns(HashMap<Arc<str>, RouteSignIn>);

struct RouteSignIn {
    user: String,
    secret: Secret,
}

enum Secret {
    Password {
        password: String,
        mechanism: Option<String>,
    },
    Token {
        source: Box<TokenSource>,
        last: Mutex<Option<Token>>,
    },
}

impl RouteSignIns {
    /// Reads the secrets that the routes of `config` name.
    ///
    /// # Errors
    /// All that cannot be read.
    pub fn new(config: &Config, resolver: &Arc<Resolver>) -> Result<Self, Vec<String>> {
        Self::of(config.deliveries.iter(), resolver)
    }

    /// The same of one site alone.
    pub(crate) fn of_site(
        config: &Config,
        site: &str,
        resolver: &Arc<Resolver>,
    ) -> Result<Self, Vec<String>> {
        Self::of(config.deliveries.get_key_value(site).into_iter(), resolver)
    }

    fn of<'a>(
        deliveries: impl Iterator<Item = (&'a Arc<str>, &'a Delivery)>,
        resolver: &Arc<Resolver>,
    ) -> Result<Self, Vec<String>> {
        let (mut known, mut problems) = (HashMap::new(), Vec::new());
        for (site, delivery) in deliveries {
            let Some(auth) = &delivery.auth else { continue };
            match Secret::read(&auth.credentials, resolver) {
                Ok(secret) => {
                    let user = auth.user.clone();
                    known.insert(Arc::clone(site), RouteSignIn { user, secret });
                }
                Err(why) => problems.push(format!("{why} ({})", auth.place)),
            }
        }
        if problems.is_empty() {
            Ok(Self(known))
        } else {
            Err(problems)
        }
    }

    /// As whom to sign in at hosts of this site; `None` as nobody.
    ///
    /// # Errors
    /// There is no token now; why.
    pub async fn identity(&self, site: &str) -> Result<Option<Identity>, String> {
        let Some(sign_in) = self.0.get(site) else {
            return Ok(None);
        };
        let user = sign_in.user.clone();
        let (credentials, mechanism) = match &sign_in.secret {
            Secret::Password {
                password,
                mechanism,
            } => {
                let password = password.clone();
                (Credentials::Password { user, password }, mechanism.clone())
            }
            Secret::Token { source, last } => {
                let token = source.token().await.map_err(|why| why.to_string())?;
                *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
                let token = token.as_str().to_owned();
                (Credentials::Token { user, token }, None)
            }
        };
        Ok(Some(Identity(Arc::new(Signer {
            credentials,
            mechanism,
        }))))
    }

    /// A host of this site did not take our sign-in: the next token is a new one.
    pub async fn refused(&self, site: &str) {
        if let Some(Secret::Token { source, last }) =
            self.0.get(site).map(|sign_in| &sign_in.secret)
        {
            let token = last.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(token) = token {
                source.refused(&token).await;
            }
        }
    }
}

impl Secret {
    fn read(credentials: &RouteCredentials, resolver: &Arc<Resolver>) -> Result<Self, String> {
        match credentials {
            RouteCredentials::Password { secret, mechanism } => Ok(Self::Password {
                password: secret::read(secret)?,
                mechanism: mechanism.clone(),
            }),
            RouteCredentials::Token { .. } => {
                match TokenSource::new(credentials, Arc::clone(resolver))? {
                    Some(source) => Ok(Self::Token {
                        source: Box::new(source),
                        last: Mutex::new(None),
                    }),
                    None => Err("there is no token endpoint".to_owned()),
                }
            }
        }
    }
}

/// One connection's sign-in.
struct Signer {
    credentials: Credentials,
    mechanism: Option<String>,
}

impl delivery::Credentials for Signer {
    fn begin(
        &self,
        offered: &[Box<str>],
        exporter: Option<&[u8; 32]>,
    ) -> Result<SignInStart, Box<str>> {
        let binding = exporter.map(|data| ChannelBinding {
            name: TLS_EXPORTER,
            data: data.as_slice().into(),
        });
        // A conversation signs in under TLS alone.
        let started = ClientExchange::start(
            &self.credentials,
            offered,
            self.mechanism.as_deref(),
            true,
            binding.as_ref(),
        );
        let (exchange, mechanism, initial) = started.map_err(|why| why.to_string())?;
        Ok(SignInStart {
            mechanism,
            initial,
            exchange: Box::new(Exchanging(exchange)),
        })
    }
}

struct Exchanging(ClientExchange);

impl SignIn for Exchanging {
    fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>, Box<str>> {
        self.0.step(challenge).map_err(|why| why.to_string().into())
    }

    fn finish(&mut self) -> Result<(), Box<str>> {
        self.0.finish().map_err(|why| why.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn config(auth: &str) -> Config {
        let text = format!(
            "[domain.\"cloud.test\"]\nroute = \"cloud\"\n[route.cloud]\nhosts = \"[192.0.2.1]\"\n{auth}"
        );
        let environment = config::Environment {
            hostname: mail::Domain::parse("relay.test").ok(),
            addresses: Vec::new(),
        };
        let loaded = config::parse("gatepost.toml", &text, &environment);
        loaded.unwrap_or_else(|why| panic!("{why}")).config
    }

    fn sign_ins(config: &Config) -> Result<RouteSignIns, Vec<String>> {
        RouteSignIns::new(config, &Arc::new(Resolver::configured(config)))
    }

    #[tokio::test]
    async fn a_route_signs_in_with_the_secret_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("secret");
        std::fs::write(&secret, "pencil\n").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let auth = format!(
            "auth.user = \"us\"\nauth.secret = \"file:{}\"\n",
            secret.display()
        );
        let sign_ins = sign_ins(&config(&auth)).unwrap();
        assert!(sign_ins.identity("elsewhere").await.unwrap().is_none());
        let identity = sign_ins.identity("route:cloud").await.unwrap().unwrap();
        let plain = identity.0.begin(&["PLAIN".into()], None).unwrap();
        assert_eq!(plain.initial.as_deref(), Some(&b"\0us\0pencil"[..]));
        // The password goes to nobody who could not prove that it knows it, where there is a
        // choice.
        let both = ["PLAIN".into(), "SCRAM-SHA-256".into()];
        let scram = identity.0.begin(&both, None).unwrap();
        let initial = scram.initial.unwrap();
        assert!(!initial.windows(6).any(|octets| octets == b"pencil"));
        assert!(identity.0.begin(&["GSSAPI".into()], None).is_err());
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_read_is_told_with_its_line() {
        let config = config("auth.user = \"us\"\nauth.secret = \"file:/none/secret\"\n");
        let Err(problems) = sign_ins(&config) else {
            panic!("there is no secret")
        };
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("/none/secret"), "{problems:?}");
        assert!(problems[0].contains("gatepost.toml:"), "{problems:?}");
    }
}
