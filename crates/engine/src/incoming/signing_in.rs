use std::fmt;

use ::sign_in::{Account, Exchange};
use admission::Limits;
use reception::{SignIn, SignInRefusal, SignedIn};

use super::{Action, Awaited, Incoming};
use crate::{standing_of_user, wrong_sign_in};

/// One step of a sign-in. What it came to is a [`SignInOutcome`].
pub enum SignInStep {
    /// Begin an exchange, by the users of now: one may have been removed since the session began.
    Begin {
        /// The mechanism's registered name, in upper case.
        mechanism: Box<str>,
        /// What the client said with AUTH.
        initial: Option<Vec<u8>>,
    },
    /// Go on with one: the client has answered its challenge.
    GoOn {
        /// The exchange under way.
        exchange: Box<Exchange>,
        /// The client's answer.
        response: Vec<u8>,
    },
}

/// Says what kind of step it is; passwords are in it, and never in a log.
impl fmt::Debug for SignInStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begin { .. } => "Begin",
            Self::GoOn { .. } => "GoOn",
        })
    }
}

/// What a step of a sign-in came to.
#[derive(Debug)]
pub enum SignInOutcome {
    /// The client has to answer this.
    Challenge {
        /// The exchange, which goes on with the answer.
        exchange: Box<Exchange>,
        /// What the client is asked.
        challenge: Vec<u8>,
    },
    /// The client is this user.
    Welcome(Account),
    /// It is not signed in; what it hears, and what it does not.
    Refused(SignInRefusal),
}

/// The sign-in under way, between two of its steps.
#[derive(Default)]
pub(super) struct SigningIn {
    pub(super) exchange: Option<Box<Exchange>>,
    users: Users,
}

/// Whether the client signs in by users that are no longer those of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Users {
    /// Nobody signs in.
    #[default]
    NotAsked,
    /// Somebody does, by the users of now.
    Asked,
    /// There are others since.
    Changed,
}

impl Incoming {
    /// What the client does about signing in.
    pub(super) fn sign_in(&mut self, step: SignIn) -> Option<Action> {
        let exchange = self.signing_in.exchange.take();
        let step = match step {
            SignIn::Cancelled => {
                self.signing_in.users = Users::NotAsked;
                return None;
            }
            SignIn::Start { mechanism, initial } => {
                self.signing_in.users = Users::Asked;
                SignInStep::Begin { mechanism, initial }
            }
            SignIn::Response(response) => {
                let Some(exchange) = exchange else {
                    // Nobody gave the challenge, which does not happen; a client that waits for an
                    // answer gets one all the same.
                    self.session
                        .on_sign_in(SignedIn::No(wrong_sign_in().into()));
                    return None;
                };
                SignInStep::GoOn { exchange, response }
            }
        };
        self.after_output(Action::SignIn(step), Some(Awaited::SignIn))
    }

    /// The answer to [`Action::SignIn`]; `limits` are those to which users are held.
    pub fn on_sign_in(&mut self, outcome: SignInOutcome, limits: &Limits) {
        self.answered(&[Awaited::SignIn]);
        let answer = match outcome {
            SignInOutcome::Challenge {
                exchange,
                challenge,
            } => {
                self.signing_in.exchange = Some(exchange);
                SignedIn::Challenge(challenge)
            }
            SignInOutcome::Welcome(account) => {
                self.standing = standing_of_user(&account, limits);
                SignedIn::Yes {
                    user: account.name,
                    rights: account.rights,
                }
            }
            SignInOutcome::Refused(refusal) => SignedIn::No(refusal),
        };
        let welcome = matches!(answer, SignedIn::Yes { .. });
        self.session.on_sign_in(answer);
        if welcome && self.signing_in.users == Users::Changed {
            self.on_shutdown();
        }
    }

    /// There are other users than before: whoever signed in must do so again.
    pub fn on_new_users(&mut self) {
        if self.session.client().user.is_some() {
            self.on_shutdown();
        } else if self.signing_in.users == Users::Asked {
            self.signing_in.users = Users::Changed;
        }
    }
}
