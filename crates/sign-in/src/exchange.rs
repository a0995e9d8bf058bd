//! One try of a client to sign in, whatever the mechanism. Made anew for every AUTH: nothing is
//! left over from a failed one.

use std::fmt;
use std::sync::Arc;

use mail::Timestamp;

use crate::bearer::{self, Shown};
use crate::name::prepare_password;
use crate::server_scram::{self, AwaitsProof};
use crate::{
    Account, ChannelBinding, Found, Mechanism, Reason, Sources, Step, TokenFault, Tokens, Tried,
    Unavailable, Why, prepare_name, scram,
};

/// The longest message of a client, in octets; tokens are the longest.
pub const MESSAGE_OCTETS_MAX: usize = 16 * 1024;

/// Prompts that every program understands; RFC has none for LOGIN.
const ASK_NAME: &[u8] = b"Username:";
const ASK_PASSWORD: &[u8] = b"Password:";

/// The mechanism is none of ours, or lacks what it needs: 504.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported;

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this mechanism is not offered")
    }
}

impl std::error::Error for Unsupported {}

/// Where the client stands.
enum Stage {
    /// The client has not answered yet.
    Start,
    /// LOGIN: the name is known, as it was typed.
    LoginPassword(String),
    /// SCRAM: our first message is out.
    Proof(Box<AwaitsProof>),
    /// SCRAM: the client is proven, and our proof is out; it has only to say that it heard.
    Proven(Account),
    /// The client hears what is wrong with its token, says that it heard, and is refused.
    TokenRefused(Why),
    /// The exchange is over, whatever its end.
    Over,
}

/// One try of a client to sign in.
///
/// A step may take as long as a password hash, or a question to a directory. [`Step::Done`] comes
/// only from a source that checked the password, from a SCRAM proof that fits a known user's keys,
/// or from a token with a good signature.
pub struct Exchange {
    mechanism: Mechanism,
    sources: Arc<Sources>,
    binding: Option<ChannelBinding>,
    tokens: Option<Arc<Tokens>>,
    now: Timestamp,
    stage: Stage,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({})", self.mechanism.name())
    }
}

impl Exchange {
    /// Begins. Give the channel binding exactly when SCRAM-SHA-256-PLUS was offered: a client that
    /// could use it and was not told of it is refused then, as somebody must have removed it from
    /// our offer. `now` is for the lifetime of tokens.
    pub fn new(
        sources: Arc<Sources>,
        mechanism: &str,
        channel_binding: Option<ChannelBinding>,
        tokens: Option<Arc<Tokens>>,
        now: Timestamp,
    ) -> Result<Self, Unsupported> {
        let mechanism = Mechanism::parse(mechanism).ok_or(Unsupported)?;
        let possible = match mechanism {
            Mechanism::ScramSha256Plus => channel_binding.is_some() && sources.know_scram_keys(),
            Mechanism::ScramSha256 => sources.know_scram_keys(),
            Mechanism::OauthBearer | Mechanism::Xoauth2 => tokens.is_some(),
            Mechanism::Plain | Mechanism::Login => !sources.is_empty(),
        };
        if !possible {
            return Err(Unsupported);
        }
        Ok(Self {
            mechanism,
            sources,
            binding: channel_binding,
            tokens,
            now,
            stage: Stage::Start,
        })
    }

    /// Takes what the client sent, its base64 taken off: none for AUTH without an initial response,
    /// empty for an empty one. After anything but a challenge the exchange is over, and refuses.
    pub fn step(&mut self, input: Option<&[u8]>) -> Step {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let Some(input) = input else {
            return self.ask_first(stage);
        };
        if input.len() > MESSAGE_OCTETS_MAX {
            return Step::Refused(Why::malformed());
        }
        match stage {
            Stage::Start => self.first(input),
            Stage::LoginPassword(name) => self.password(&name, input),
            Stage::Proof(waiting) => self.proof(*waiting, input),
            Stage::Proven(account) if input.is_empty() => Step::Done(account),
            Stage::TokenRefused(why) => Step::Refused(why),
            Stage::Proven(_) | Stage::Over => Step::Refused(Why::malformed()),
        }
    }

    /// AUTH came without an initial response.
    fn ask_first(&mut self, stage: Stage) -> Step {
        if !matches!(stage, Stage::Start) {
            return Step::Refused(Why::malformed());
        }
        self.stage = Stage::Start;
        Step::Challenge(match self.mechanism {
            Mechanism::Login => ASK_NAME.to_vec(),
            Mechanism::ScramSha256Plus
            | Mechanism::ScramSha256
            | Mechanism::OauthBearer
            | Mechanism::Xoauth2
            | Mechanism::Plain => Vec::new(),
        })
    }

    fn first(&mut self, input: &[u8]) -> Step {
        match self.mechanism {
            Mechanism::Plain => self.plain(input),
            Mechanism::Login => self.login_name(input),
            Mechanism::ScramSha256 => self.scram(input, false),
            Mechanism::ScramSha256Plus => self.scram(input, true),
            Mechanism::Xoauth2 => self.bearer(bearer::parse_xoauth2(input), bearer::XOAUTH2_ERROR),
            Mechanism::OauthBearer => {
                self.bearer(bearer::parse_oauthbearer(input), bearer::OAUTHBEARER_ERROR)
            }
        }
    }

    /// RFC 4616 section 2: `[authzid] NUL authcid NUL passwd`
    fn plain(&self, input: &[u8]) -> Step {
        let mut parts = input.split(|octet| *octet == 0);
        let (Some(acts_as), Some(name), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Step::Refused(Why::malformed());
        };
        let (Ok(acts_as), Ok(name)) = (std::str::from_utf8(acts_as), std::str::from_utf8(name))
        else {
            return Step::Refused(Why::malformed());
        };
        if !acts_as.is_empty() && prepare_name(acts_as) != prepare_name(name) {
            return Step::Refused(Why {
                user: prepare_name(name).map(Into::into),
                known_as: None,
                reason: Reason::OtherIdentity,
            });
        }
        self.password(name, password)
    }

    fn login_name(&mut self, input: &[u8]) -> Step {
        match std::str::from_utf8(input) {
            Ok(name) if !name.is_empty() => {
                self.stage = Stage::LoginPassword(name.to_owned());
                Step::Challenge(ASK_PASSWORD.to_vec())
            }
            Ok(_) | Err(_) => Step::Refused(Why::malformed()),
        }
    }

    fn password(&self, name: &str, password: &[u8]) -> Step {
        let Some(name) = prepare_name(name) else {
            return Step::Refused(Why::malformed());
        };
        let Some(password) = prepare_password(password) else {
            return Step::Refused(Why::of(&name, Reason::Malformed));
        };
        match self.sources.verify(&name, &password) {
            Ok(Tried::Right(account)) => Step::Done(account),
            Ok(Tried::Wrong(known_as)) => Step::Refused(Why::wrong_secret(&name, &known_as)),
            Ok(Tried::Unknown) => Step::Refused(Why::of(&name, Reason::WrongSecret)),
            Err(unavailable) => Step::Unavailable(unavailable),
        }
    }

    fn scram(&mut self, input: &[u8], plus: bool) -> Step {
        match scram::nonce() {
            Ok(nonce) => self.scram_with(input, plus, &nonce),
            Err(_) => Step::Unavailable(Unavailable::new("the system has no randomness")),
        }
    }

    fn scram_with(&mut self, input: &[u8], plus: bool, nonce: &str) -> Step {
        match server_scram::first(input, plus, self.binding.as_ref(), nonce, &self.sources) {
            Ok((waiting, answer)) => {
                self.stage = Stage::Proof(Box::new(waiting));
                Step::Challenge(answer)
            }
            Err(step) => step,
        }
    }

    fn proof(&mut self, waiting: AwaitsProof, input: &[u8]) -> Step {
        match waiting.check(input) {
            Ok((account, verifier)) => {
                // RFC 4954 section 4: data that comes with success is sent as one more challenge,
                // and the client answers it empty.
                self.stage = Stage::Proven(account);
                Step::Challenge(verifier)
            }
            Err(why) => Step::Refused(why),
        }
    }

    fn bearer(&mut self, shown: Option<Shown<'_>>, error: &[u8]) -> Step {
        let Some(shown) = shown else {
            return Step::Refused(Why::malformed());
        };
        match self.token_user(&shown) {
            Err(Step::Refused(why)) => {
                self.stage = Stage::TokenRefused(why);
                Step::Challenge(error.to_vec())
            }
            Ok(account) => Step::Done(account),
            Err(step) => step,
        }
    }

    fn token_user(&self, shown: &Shown<'_>) -> Result<Account, Step> {
        let tokens = self
            .tokens
            .as_ref()
            .ok_or_else(|| Step::Refused(Why::malformed()))?;
        let said = shown.user.as_deref().map(prepare_name);
        let name = tokens.user(shown.token, self.now).map_err(|fault| {
            let user = said.clone().flatten().map(Into::into);
            match fault {
                TokenFault::NoKeys => Step::Unavailable(Unavailable::new(fault.to_string())),
                fault => Step::Refused(Why {
                    user,
                    known_as: None,
                    reason: Reason::Token(fault),
                }),
            }
        })?;
        if said.is_some_and(|said| said.as_deref() != Some(&name)) {
            return Err(Step::Refused(Why::of(&name, Reason::OtherIdentity)));
        }
        match self.sources.find(&name).map_err(Step::Unavailable)? {
            Found::User(account) => Ok(account),
            Found::Barred => Err(Step::Refused(Why::of(&name, Reason::WrongSecret))),
            Found::Nobody => Ok(tokens.stranger(&name)),
        }
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
