//! Signing in at the console: by the guard and the turns of SMTP sign-in, so that whoever guesses at
//! one door is known at the other.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use admission::REFUSAL_AFTER;
use engine::{BANNED, NotSignedIn, SignInResult, conclude, is_refused_unheard};
use sign_in::{Account, ConsoleRole, Exchange, Mechanism, Reason, Step, Why, prepare_name};
use tokio::time::{sleep, sleep_until};

use super::{SignInService, SignInSettings};
use crate::clock;

/// What somebody shows.
pub(crate) struct Claim {
    pub(crate) user: String,
    pub(crate) password: String,
    /// Of the second factor.
    pub(crate) code: Option<String>,
}

/// Who is welcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) name: Arc<str>,
    pub(crate) role: ConsoleRole,
    pub(crate) second_factor: bool,
}

/// Why nobody is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unwelcome {
    /// Whatever was wrong, which nobody is told.
    Wrong {
        /// The name that was tried, in its one spelling, when it got that far.
        user: Option<Box<str>>,
        /// Why, in the words of the log.
        why: Box<str>,
    },
    /// The password is right, and a code is asked for.
    NeedsCode,
    /// Nobody can tell now.
    Unavailable,
}

/// What keeps out somebody with the right password.
enum Lacking {
    Code,
    Other(Reason),
}

impl SignInService {
    /// Signs somebody in at the console, from the browser at `client`. Every refusal comes after the
    /// same time, but for that which asks for a code: whoever gets it has the password, and only the
    /// code is left to guess.
    pub(crate) async fn at_console(
        &self,
        settings: &SignInSettings,
        client: IpAddr,
        claim: &Claim,
    ) -> Result<Welcome, Unwelcome> {
        let heard = tokio::time::Instant::now();
        if self.with(|guard, now| is_refused_unheard(guard, client, now)) {
            sleep_until(heard + REFUSAL_AFTER).await;
            return Err(Unwelcome::Wrong {
                user: None,
                why: BANNED.into(),
            });
        }
        let step = self.verify(settings, claim).await;
        let step = step.ok_or(Unwelcome::Unavailable)?;
        let mut result = self.with(|guard, now| conclude(guard, client, step, now));
        if let SignInResult::Welcome {
            account,
            name,
            delay,
        } = &result
        {
            match self.judge(settings, account, name, claim.code.as_deref()) {
                Ok(welcome) => {
                    sleep(*delay).await;
                    self.with(|guard, _| guard.succeeded(name, client));
                    return Ok(welcome);
                }
                Err(Lacking::Code) => {
                    sleep(*delay).await;
                    return Err(Unwelcome::NeedsCode);
                }
                // The guard hears of it as of a wrong password.
                Err(Lacking::Other(reason)) => {
                    let typed = prepare_name(&claim.user).unwrap_or_default();
                    let step = Step::Refused(Why::known_as(&typed, &account.name, reason));
                    result = self.with(|guard, now| conclude(guard, client, step, now));
                }
            }
        }
        let SignInResult::Refused { delay, why, .. } = result else {
            // A password takes one step.
            return Err(Unwelcome::Wrong {
                user: None,
                why: Box::default(),
            });
        };
        settings.note(client, &why).await;
        sleep(delay).await;
        sleep_until(heard + REFUSAL_AFTER).await;
        Err(match why {
            NotSignedIn::Unavailable(_) | NotSignedIn::NewKey => Unwelcome::Unavailable,
            NotSignedIn::Banned(_) | NotSignedIn::Wrong(_) => Unwelcome::Wrong {
                user: why.user().map(Into::into),
                why: why.words().into(),
            },
        })
    }

    /// Whose password it is; none when there was no turn for it in time. Where there is nobody at all,
    /// it is nobody's.
    async fn verify(&self, settings: &SignInSettings, claim: &Claim) -> Option<Step> {
        let sources = Arc::clone(&settings.sources);
        let plain = Mechanism::Plain.name();
        let Ok(exchange) = Exchange::new(sources, plain, None, None, clock::now()) else {
            let typed = prepare_name(&claim.user).unwrap_or_default();
            let why = Why::known_as(&typed, &typed, Reason::WrongSecret);
            return Some(Step::Refused(why));
        };
        let input = format!("\0{}\0{}", claim.user, claim.password).into_bytes();
        let (_, step) = self.run(Box::new(exchange), Some(input)).await?;
        Some(step)
    }

    /// What somebody with the right password may do; `name` is the guard's for `account`.
    fn judge(
        &self,
        settings: &SignInSettings,
        account: &Account,
        name: &str,
        code: Option<&str>,
    ) -> Result<Welcome, Lacking> {
        let known = settings.sources.console(account);
        let (role, totp) = known.ok_or(Lacking::Other(Reason::NoRole))?;
        if let Some(totp) = totp {
            let code = code.ok_or(Lacking::Code)?;
            let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
            if !codes.accept(name, totp, code, clock::now().as_secs()) {
                return Err(Lacking::Other(Reason::WrongCode));
            }
        }
        Ok(Welcome {
            name: Arc::clone(&account.name),
            role,
            second_factor: totp.is_some(),
        })
    }
}
