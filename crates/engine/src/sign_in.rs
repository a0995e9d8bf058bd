//! What a step of a sign-in comes to, when the guard against guessing has been asked.
//!
//! In this order: before anything is verified, [`is_refused_unheard`]; a client that guesses is not
//! worth a hash, and learns nothing from that. When the step has ended, [`conclude`]: a ban makes a
//! refusal of whatever came out, so that it looks like a wrong password. After the wait that goes
//! with a success, [`Guard::succeeded`]. No refusal is heard sooner than [`admission::REFUSAL_AFTER`] after
//! what the client sent, so that the time tells nothing either.

use std::net::IpAddr;
use std::time::Duration;

use ::sign_in::{Account, Reason, Step, TokenFault, Unavailable, Why, prepare_name};
use admission::{Guard, Judgement};
use mail::Reply;
use reception::SignInRefusal;

/// What a step came to.
#[derive(Debug)]
pub enum SignInResult {
    /// The client has to answer this.
    Challenge(Vec<u8>),
    /// It is this user; to be told after `delay`, as who hears nothing at once would know that the
    /// password was wrong, and guess on.
    Welcome {
        /// The user, and what the user may do.
        account: Account,
        /// The user's name, as the guard knows it.
        name: String,
        /// Zero for nearly everybody.
        delay: Duration,
    },
    /// Not now, or not at all.
    Refused {
        /// What the client hears: the same words, whether the user exists, is banned or has a
        /// disabled account.
        reply: Reply,
        /// To be told after so long. Zero for nearly everybody.
        delay: Duration,
        /// Why, for the log.
        why: NotSignedIn,
    },
}

/// Why somebody is not signed in.
#[derive(Debug)]
pub enum NotSignedIn {
    /// Nobody can tell now.
    Unavailable(Unavailable),
    /// The issuer of tokens may have changed its keys: by the next try it has been asked for them.
    NewKey,
    /// Right, but somebody guesses at this user from there.
    Banned(Account),
    /// The sign-in was refused for this reason, which the client is not told.
    Wrong(Why),
}

impl NotSignedIn {
    /// The name that was tried, in its one spelling, when it got that far.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Unavailable(_) | Self::NewKey => None,
            Self::Banned(account) => Some(&account.name),
            Self::Wrong(why) => why.user.as_deref(),
        }
    }

    /// Why, in the words of the log.
    pub fn words(&self) -> String {
        match self {
            Self::Unavailable(why) => why.why.to_string(),
            Self::NewKey => TokenFault::UnknownKey.to_string(),
            Self::Banned(_) => BANNED.to_owned(),
            Self::Wrong(why) => why.reason.to_string(),
        }
    }

    /// What the client hears of it, and what it does not.
    pub fn refusal(&self, reply: Reply) -> SignInRefusal {
        SignInRefusal {
            reply,
            user: self.user().map(Into::into),
            why: self.words().into(),
        }
    }

    fn after(self, delay: Duration) -> SignInResult {
        let reply = match self {
            Self::Unavailable(_) | Self::NewKey => sign_in_unavailable(),
            Self::Banned(_) | Self::Wrong(_) => wrong_sign_in(),
        };
        SignInResult::Refused {
            reply,
            delay,
            why: self,
        }
    }
}

/// Whether nothing is verified for this client.
pub fn is_refused_unheard(guard: &Guard, client: IpAddr, now: Duration) -> bool {
    matches!(guard.check(None, client, now), Judgement::Banned { .. })
}

/// What the step comes to; failures are remembered. `now` is the guard's time.
pub fn conclude(guard: &mut Guard, client: IpAddr, step: Step, now: Duration) -> SignInResult {
    match step {
        Step::Challenge(challenge) => SignInResult::Challenge(challenge),
        Step::Unavailable(why) => NotSignedIn::Unavailable(why).after(Duration::ZERO),
        Step::Done(account) => welcome(guard, client, account, now),
        // That is nobody's guess.
        Step::Refused(why) if names_new_key(&why) => NotSignedIn::NewKey.after(Duration::ZERO),
        Step::Refused(why) => refuse(guard, client, why, now),
    }
}

fn welcome(guard: &Guard, client: IpAddr, account: Account, now: Duration) -> SignInResult {
    // By which name it came does not matter: the account has one. A distinguished name may be
    // longer than what somebody may type.
    let name = prepare_name(&account.name).unwrap_or_else(|| account.name.to_lowercase());
    match guard.check(Some(&name), client, now) {
        Judgement::Allowed { delay } => SignInResult::Welcome {
            account,
            name,
            delay,
        },
        Judgement::Banned { .. } => NotSignedIn::Banned(account).after(Duration::ZERO),
    }
}

fn refuse(guard: &mut Guard, client: IpAddr, why: Why, now: Duration) -> SignInResult {
    let user = why.user.as_deref();
    let delay = match guard.check(user, client, now) {
        Judgement::Allowed { delay } => delay,
        Judgement::Banned { .. } => Duration::ZERO,
    };
    guard.failed(user, client, now);
    if let Some(known_as) = why.known_as.as_deref() {
        guard.failed_also(known_as, client, now);
    }
    NotSignedIn::Wrong(why).after(delay)
}

/// Whether a token was signed by a key that the issuer did not list when it was asked last.
fn names_new_key(why: &Why) -> bool {
    why.reason == Reason::Token(TokenFault::UnknownKey)
}

/// What a client hears whose sign-in is wrong.
pub fn wrong_sign_in() -> Reply {
    Reply::new(535, 7, 8, "Authentication credentials invalid")
}

/// Of a client for which nothing is verified ([`is_refused_unheard`]): it hears what everybody hears.
pub fn refused_unheard() -> SignInRefusal {
    SignInRefusal {
        why: BANNED.into(),
        ..wrong_sign_in().into()
    }
}

/// Why the right password is refused, or is not even looked at.
pub const BANNED: &str = "too many failures from there before";

/// What a client hears that nobody can judge now.
pub fn sign_in_unavailable() -> Reply {
    Reply::new(454, 7, 0, "Temporary authentication failure")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mail::Place;
    use relay_policy::Rights;

    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn done(name: &str) -> Step {
        let rights = Rights {
            may_relay: true,
            senders: Box::default(),
            only_to: Box::default(),
            place: Place::Default,
        };
        Step::Done(Account {
            name: name.into(),
            rights: Arc::new(rights),
            messages_per_hour: None,
            recipients_per_hour: None,
        })
    }

    fn refused(user: &str, known_as: Option<&str>, reason: Reason) -> Step {
        Step::Refused(Why {
            user: Some(user.into()),
            known_as: known_as.map(Into::into),
            reason,
        })
    }

    /// Each row: what a step of a client came to, what the client hears (0: it is welcome), and the
    /// seconds that it waits.
    #[test]
    fn guesses_slow_the_user_and_shut_out_the_guesser_alone() {
        let wrong = || refused("ann", None, Reason::WrongSecret);
        let alias = || refused("ann@corp.test", Some("ann"), Reason::WrongSecret);
        let new_key = || refused("ann", None, Reason::Token(TokenFault::UnknownKey));
        let away = || Step::Unavailable(Unavailable::new("no directory"));
        let (home, elsewhere) = ("192.0.2.7", "198.51.100.1");
        let mut guard = Guard::new();
        for (row, (client, step, code, delay)) in [
            (home, done("Ann"), 0, 0),
            // Neither is a guess.
            (home, new_key(), 454, 0),
            (home, away(), 454, 0),
            (home, wrong(), 535, 0),
            (home, wrong(), 535, 0),
            // The third; by another name of the same user.
            (home, alias(), 535, 0),
            // Even the right one now, from there.
            (home, done("ann"), 535, 0),
            (home, wrong(), 535, 0),
            (elsewhere, done("Ann"), 0, 2),
            (elsewhere, wrong(), 535, 2),
            (home, done("bob"), 0, 0),
        ]
        .into_iter()
        .enumerate()
        {
            let client = client.parse().unwrap();
            assert!(!is_refused_unheard(&guard, client, NOW), "row {row}");
            let result = conclude(&mut guard, client, step, NOW);
            let told = match &result {
                SignInResult::Challenge(_) => panic!("a challenge in row {row}"),
                SignInResult::Welcome { delay, .. } => (0, delay.as_secs()),
                SignInResult::Refused { reply, delay, .. } => (reply.code(), delay.as_secs()),
            };
            assert_eq!(told, (code, delay), "row {row}: {result:?}");
        }
    }

    #[test]
    fn who_guesses_at_everybody_is_not_heard_any_more() {
        let (mut guard, client) = (Guard::new(), "192.0.2.7".parse().unwrap());
        let mut heard = 0;
        while !is_refused_unheard(&guard, client, NOW) {
            heard += 1;
            let step = refused(&format!("user{heard}"), None, Reason::WrongSecret);
            conclude(&mut guard, client, step, NOW);
        }
        assert_eq!(heard, 20);
        assert!(!is_refused_unheard(
            &guard,
            "192.0.2.8".parse().unwrap(),
            NOW
        ));
    }
}
