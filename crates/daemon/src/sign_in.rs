//! Who signs in at our listeners: carries the exchange between a session and the sources of users,
//! off the network threads.

#[cfg(test)]
mod binding;
mod console;
mod issuer;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use admission::{Guard, REFUSAL_AFTER, SIGN_IN_STEPS_MAX, SIGN_IN_WAIT};
use config::Issuer;
use engine::{
    NotSignedIn, SignInOutcome, SignInResult, SignInStep, conclude, is_refused_unheard,
    refused_unheard, sign_in_unavailable,
};
use mail::Reply;
use reception::SignInRefusal;
use sign_in::{
    ChannelBinding, Codes, Exchange, Mechanism, Sources, Step, TLS_EXPORTER, TokenRules, Tokens,
};
use tokio::sync::Semaphore;
use tokio::time::{sleep, sleep_until, timeout};

pub(crate) use console::{Claim, Unwelcome};
pub(crate) use issuer::{ConsoleIssuer, Unvouched, Vouched, is_by_issuer};

use crate::clock;
use lookups::Keys;
use lookups::Resolver;

/// Who may sign in, by one configuration.
#[derive(Clone, Default)]
pub(crate) struct SignInSettings {
    pub(crate) sources: Arc<Sources>,
    pub(crate) tokens: Option<Arc<TokenIssuer>>,
    /// Who vouches for people at the console.
    pub(crate) issuer: Option<Arc<ConsoleIssuer>>,
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

const NO_TURN: &str = "too many passwords wait to be checked";

/// What is remembered of sign-ins over all sessions and reloads.
pub(crate) struct SignInService {
    started: Instant,
    guard: Mutex<Guard>,
    /// Of second factors, at the console.
    codes: Mutex<Codes>,
    turns: Arc<Semaphore>,
}

impl Default for SignInService {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            guard: Mutex::new(Guard::new()),
            codes: Mutex::default(),
            turns: Arc::new(Semaphore::new(SIGN_IN_STEPS_MAX)),
        }
    }
}

impl SignInSettings {
    /// Begins an exchange; none where the mechanism is not offered.
    async fn begin(&self, mechanism: &str, exporter: Option<[u8; 32]>) -> Option<Box<Exchange>> {
        let binding = exporter.filter(|_| self.binds).map(|data| ChannelBinding {
            name: TLS_EXPORTER,
            data: data.into(),
        });
        let sources = Arc::clone(&self.sources);
        // Who comes with a password does not wait for the issuer's keys.
        let takes_token = Mechanism::parse(mechanism).is_some_and(Mechanism::takes_token);
        let tokens = match &self.tokens {
            Some(settings) if takes_token => Some(settings.ready().await),
            Some(_) | None => None,
        };
        let exchange = Exchange::new(sources, mechanism, binding, tokens, clock::now());
        exchange.ok().map(Box::new)
    }

    /// Writes down why somebody is not signed in, and asks for keys where one was missing.
    async fn note(&self, client: IpAddr, why: &NotSignedIn) {
        match why {
            NotSignedIn::Unavailable(why) => {
                tracing::warn!(%client, why = why.why, "nobody can tell now who signs in");
            }
            NotSignedIn::NewKey => {
                if let Some(tokens) = &self.tokens {
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
}

impl SignInService {
    /// Does one step of a client's sign-in, by the settings of now. `exporter` is the channel
    /// binding of its connection.
    pub(crate) async fn step(
        &self,
        settings: &SignInSettings,
        client: IpAddr,
        exporter: Option<[u8; 32]>,
        step: SignInStep,
    ) -> SignInOutcome {
        let (exchange, input) = match step {
            SignInStep::Begin { mechanism, initial } => {
                match settings.begin(&mechanism, exporter).await {
                    Some(exchange) => (exchange, initial),
                    None => {
                        let reply = Reply::new(504, 5, 4, "Mechanism not offered");
                        return SignInOutcome::Refused(reply.into());
                    }
                }
            }
            SignInStep::GoOn { exchange, response } => (exchange, Some(response)),
        };
        let heard = tokio::time::Instant::now();
        if self.with(|guard, now| is_refused_unheard(guard, client, now)) {
            sleep_until(heard + REFUSAL_AFTER).await;
            return SignInOutcome::Refused(refused_unheard());
        }
        let Some((exchange, step)) = self.run(exchange, input).await else {
            return SignInOutcome::Refused(SignInRefusal {
                why: NO_TURN.into(),
                ..sign_in_unavailable().into()
            });
        };
        match self.with(|guard, now| conclude(guard, client, step, now)) {
            SignInResult::Challenge(challenge) => SignInOutcome::Challenge {
                exchange,
                challenge,
            },
            SignInResult::Welcome {
                account,
                name,
                delay,
            } => {
                sleep(delay).await;
                self.with(|guard, _| guard.succeeded(&name, client));
                SignInOutcome::Welcome(account)
            }
            SignInResult::Refused { reply, delay, why } => {
                settings.note(client, &why).await;
                sleep(delay).await;
                sleep_until(heard + REFUSAL_AFTER).await;
                SignInOutcome::Refused(why.refusal(reply))
            }
        }
    }

    /// Runs one step where it may block; none when there was no turn for it in time.
    async fn run(
        &self,
        mut exchange: Box<Exchange>,
        input: Option<Vec<u8>>,
    ) -> Option<(Box<Exchange>, Step)> {
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
