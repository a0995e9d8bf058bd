//! Who signs in at our listeners: carries the exchange between a session and the sources of users,
//! off the network threads.

#[cfg(test)]
mod binding;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use admission::{Guard, Judgement};
use config::Issuer;
use mail::Reply;
use reception::{SignIn, SignedIn};
use sign_in::{
    Account, ChannelBinding, Exchange, Mechanism, REFUSAL_AFTER, Reason, Sources, Step,
    TLS_EXPORTER, TokenFault, TokenRules, Tokens, Why, prepare_name,
};
use tokio::sync::Semaphore;
use tokio::time::{sleep, sleep_until, timeout};

use crate::clock;
use lookups::Keys;
use lookups::Resolver;

/// Steps under way at one time: each may hash a password, which takes a core and some memory for a
/// while.
const STEPS_MAX: usize = 4;
/// How long a step may wait for its turn; a flood of sign-ins delays, and does not pile up.
const TURN_WAIT: Duration = Duration::from_secs(20);

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

/// Whether a token was signed by a key that the issuer did not list when it was asked last.
fn names_new_key(step: &Step) -> bool {
    matches!(step, Step::Refused(why) if why.reason == Reason::Token(TokenFault::UnknownKey))
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
            turns: Arc::new(Semaphore::new(STEPS_MAX)),
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
                None => return Some(no(wrong())),
            },
        };
        let heard = tokio::time::Instant::now();
        // Who guesses from there is not worth a hash, and learns nothing from that.
        if matches!(sign_ins.judge(None, client), Judgement::Banned { .. }) {
            sleep_until(heard + REFUSAL_AFTER).await;
            return Some(no(wrong()));
        }
        let (exchange, step) = match sign_ins.run(exchange, input).await {
            Some(ran) => ran,
            None => return Some(no(unavailable())),
        };
        if names_new_key(&step)
            && let Some(tokens) = &self.settings.tokens
        {
            tokens.ask_anew().await;
        }
        let outcome = sign_ins.conclude(client, step).await;
        if matches!(outcome.answer, SignedIn::No(_)) {
            sleep_until(heard + REFUSAL_AFTER).await;
        }
        if matches!(outcome.answer, SignedIn::Challenge(_)) {
            self.exchange = Some(exchange);
        }
        Some(outcome)
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
        let turn = timeout(TURN_WAIT, Arc::clone(&self.turns).acquire_owned())
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

    async fn conclude(&self, client: IpAddr, step: Step) -> Outcome {
        match step {
            Step::Challenge(challenge) => Outcome {
                answer: SignedIn::Challenge(challenge),
                account: None,
            },
            Step::Unavailable(why) => {
                tracing::warn!(%client, why = why.why, "nobody can tell now who signs in");
                no(unavailable())
            }
            Step::Done(account) => self.welcome(client, account).await,
            // The issuer may have changed its keys: by the next try we have asked it for them.
            step if names_new_key(&step) => no(unavailable()),
            Step::Refused(why) => self.refuse(client, &why).await,
        }
    }

    /// A user whom somebody guesses at waits too: who hears nothing at once would know that the
    /// password was wrong, and guess on.
    async fn welcome(&self, client: IpAddr, account: Account) -> Outcome {
        // By which name it came does not matter: the account has one.
        let name = spelling(&account.name);
        match self.judge(Some(&name), client) {
            Judgement::Allowed { delay } => sleep(delay).await,
            Judgement::Banned { .. } => {
                tracing::warn!(%client, user = %account.name, "sign-in refused: too many failures from there before");
                return no(wrong());
            }
        }
        self.with(|guard, _| guard.succeeded(&name, client));
        let (user, rights) = (Arc::clone(&account.name), Arc::clone(&account.rights));
        Outcome {
            answer: SignedIn::Yes { user, rights },
            account: Some(account),
        }
    }

    /// The same words after the same time, whether the user exists, is banned or has a disabled
    /// account.
    async fn refuse(&self, client: IpAddr, why: &Why) -> Outcome {
        let user = why.user.as_deref();
        let judgement = self.judge(user, client);
        let known_as = why.known_as.as_deref();
        self.with(|guard, now| {
            guard.failed(user, client, now);
            if let Some(known_as) = known_as {
                guard.failed_also(known_as, client, now);
            }
        });
        tracing::info!(%client, user, known_as, why = why.reason.to_string(), "wrong sign-in");
        match judgement {
            Judgement::Allowed { delay } => sleep(delay).await,
            Judgement::Banned { .. } => {}
        }
        no(wrong())
    }

    fn judge(&self, user: Option<&str>, client: IpAddr) -> Judgement {
        self.with(|guard, now| guard.check(user, client, now))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Guard, Duration) -> T) -> T {
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut guard, self.started.elapsed())
    }
}

/// As the guard knows a user.
fn spelling(name: &str) -> String {
    // A distinguished name may be longer than what somebody may type.
    prepare_name(name).unwrap_or_else(|| name.to_lowercase())
}

fn no(reply: Reply) -> Outcome {
    Outcome {
        answer: SignedIn::No(reply),
        account: None,
    }
}

fn wrong() -> Reply {
    Reply::new(535, 7, 8, "Authentication credentials invalid")
}

fn unavailable() -> Reply {
    Reply::new(454, 7, 0, "Temporary authentication failure")
}
