//! Who signs in at our listeners: carries the exchange between a session and the sources of users,
//! off the network threads.

#[cfg(test)]
mod binding;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use admission::{Guard, REFUSAL_AFTER, SIGN_IN_STEPS_MAX, SIGN_IN_WAIT};
use config::Issuer;
use engine::{
    NotSignedIn, SignInResult, conclude, is_refused_unheard, sign_in_unavailable, wrong_sign_in,
};
use mail::Reply;
use reception::{SignIn, SignedIn};
use sign_in::{
    Account, ChannelBinding, Exchange, Mechanism, Sources, Step, TLS_EXPORTER, TokenRules, Tokens,
};
use tokio::sync::Semaphore;
use tokio::time::{sleep, sleep_until, timeout};

use crate::clock;
use lookups::Keys;
use lookups::Resolver;

/// Who may sign in, by one configuration.
#[derive(Clone, Default)]
pub(crate) struct SignInSettings {
    pub(crate) sources: Arc<Sources>,
    pub(crate) tokens: Option<Arc<TokenIssuer>>,
    /// SCRAM-SHA-256-PLUS may be offered. Where it is not, a client that says so is right, and not
    /// the victim of somebody who hid the offer.
    pub(crate) binds: bool,
}

/// Whose tokens are taken, and where the keys to check them are.
pub(crate) struct TokenIssuer {
    rules: Tokens,
    keys: Keys,
}

impl TokenIssuer {
    /// # Errors
    /// The issuer cannot be used as configured.
    pub(crate) fn new(issuer: &Issuer, resolver: &Arc<Resolver>) -> Result<Self, String> {
        let rules = Tokens::new(TokenRules {
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            algorithms: issuer.algorithms.clone(),
            user_claim: issuer.user_claim.clone(),
            strangers_may_relay: true,
            place: issuer.place.clone(),
        })?;
        let keys = Keys::new(&issuer.keys, Arc::clone(resolver))?;
        Ok(Self { rules, keys })
    }

    /// Asks the issuer for its keys again, once a minute at most.
    async fn ask_anew(&self) {
        // No key has this name, so that those there are do not do. What comes of it, the next
        // sign-in sees.
        let _next_time = self.keys.json(Some("")).await;
    }

    /// The rules with the issuer's keys of now. Where those cannot be had, without: nobody can tell
    /// then.
    async fn ready(&self) -> Arc<Tokens> {
        let keys = self.keys.json(None).await;
        let ready = keys
            .map_err(|why| why.to_string())
            .and_then(|json| self.rules.with_keys(&json));
        Arc::new(ready.unwrap_or_else(|why| {
            tracing::warn!(why, "the keys of the tokens' issuer cannot be had");
            self.rules.clone()
        }))
    }
}

/// What is remembered of sign-ins over all sessions and reloads.
pub(crate) struct SignInService {
    started: Instant,
    guard: Mutex<Guard>,
    turns: Arc<Semaphore>,
}

impl Default for SignInService {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            guard: Mutex::new(Guard::new()),
            turns: Arc::new(Semaphore::new(SIGN_IN_STEPS_MAX)),
        }
    }
}

/// One session's way through a sign-in.
pub(crate) struct Exchanging {
    settings: SignInSettings,
    exchange: Option<Exchange>,
}

/// What a step came to.
pub(crate) struct Outcome {
    pub(crate) answer: SignedIn,
    /// Whose sign-in it was, when it succeeded.
    pub(crate) account: Option<Account>,
}

impl Exchanging {
    pub(crate) fn new(settings: SignInSettings) -> Self {
        Self {
            settings,
            exchange: None,
        }
    }

    /// Takes what the client sent; none when there is nothing to answer.
    pub(crate) async fn step(
        &mut self,
        sign_ins: &SignInService,
        client: IpAddr,
        exporter: Option<[u8; 32]>,
        step: SignIn,
    ) -> Option<Outcome> {
        let (exchange, input) = match step {
            SignIn::Cancelled => {
                self.exchange = None;
                return None;
            }
            SignIn::Start { mechanism, initial } => match self.begin(&mechanism, exporter).await {
                Some(exchange) => (exchange, initial),
                None => return Some(no(Reply::new(504, 5, 4, "Mechanism not offered"))),
            },
            SignIn::Response(response) => match self.exchange.take() {
                Some(exchange) => (exchange, Some(response)),
                None => return Some(no(wrong_sign_in())),
            },
        };
        let heard = tokio::time::Instant::now();
        if sign_ins.with(|guard, now| is_refused_unheard(guard, client, now)) {
            sleep_until(heard + REFUSAL_AFTER).await;
            return Some(no(wrong_sign_in()));
        }
        let Some((exchange, step)) = sign_ins.run(exchange, input).await else {
            return Some(no(sign_in_unavailable()));
        };
        let result = sign_ins.with(|guard, now| conclude(guard, client, step, now));
        match result {
            SignInResult::Challenge(challenge) => {
                self.exchange = Some(exchange);
                Some(Outcome {
                    answer: SignedIn::Challenge(challenge),
                    account: None,
                })
            }
            SignInResult::Welcome {
                account,
                name,
                delay,
            } => {
                sleep(delay).await;
                sign_ins.with(|guard, _| guard.succeeded(&name, client));
                Some(yes(account))
            }
            SignInResult::Refused { reply, delay, why } => {
                self.note(client, &why).await;
                sleep(delay).await;
                sleep_until(heard + REFUSAL_AFTER).await;
                Some(no(reply))
            }
        }
    }

    /// Writes down why somebody is not signed in, and asks for keys where one was missing.
    async fn note(&self, client: IpAddr, why: &NotSignedIn) {
        match why {
            NotSignedIn::Unavailable(why) => {
                tracing::warn!(%client, why = why.why, "nobody can tell now who signs in");
            }
            NotSignedIn::NewKey => {
                if let Some(tokens) = &self.settings.tokens {
                    tokens.ask_anew().await;
                }
            }
            NotSignedIn::Banned(account) => {
                tracing::warn!(%client, user = %account.name, "sign-in refused: too many failures from there before");
            }
            NotSignedIn::Wrong(why) => {
                let (user, known_as) = (why.user.as_deref(), why.known_as.as_deref());
                tracing::info!(%client, user, known_as, why = why.reason.to_string(), "wrong sign-in");
            }
        }
    }

    async fn begin(&self, mechanism: &str, exporter: Option<[u8; 32]>) -> Option<Exchange> {
        let binding = exporter
            .filter(|_| self.settings.binds)
            .map(|data| ChannelBinding {
                name: TLS_EXPORTER,
                data: data.into(),
            });
        let sources = Arc::clone(&self.settings.sources);
        // Who comes with a password does not wait for the issuer's keys.
        let takes_token = Mechanism::parse(mechanism).is_some_and(Mechanism::takes_token);
        let tokens = match &self.settings.tokens {
            Some(settings) if takes_token => Some(settings.ready().await),
            Some(_) | None => None,
        };
        Exchange::new(sources, mechanism, binding, tokens, clock::now()).ok()
    }
}

impl SignInService {
    /// Runs one step where it may block; none when there was no turn for it in time.
    async fn run(
        &self,
        mut exchange: Exchange,
        input: Option<Vec<u8>>,
    ) -> Option<(Exchange, Step)> {
        let turn = timeout(SIGN_IN_WAIT, Arc::clone(&self.turns).acquire_owned())
            .await
            .ok()?
            .ok()?;
        let work = move || {
            let step = exchange.step(input.as_deref());
            drop(turn);
            (exchange, step)
        };
        tokio::task::spawn_blocking(work).await.ok()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Guard, Duration) -> T) -> T {
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut guard, self.started.elapsed())
    }
}

fn yes(account: Account) -> Outcome {
    let (user, rights) = (Arc::clone(&account.name), Arc::clone(&account.rights));
    Outcome {
        answer: SignedIn::Yes { user, rights },
        account: Some(account),
    }
}

fn no(reply: Reply) -> Outcome {
    Outcome {
        answer: SignedIn::No(reply),
        account: None,
    }
}
