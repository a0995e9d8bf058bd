//! We sign in at a server.

pub(crate) mod scram_client;

use std::fmt;

use crate::bearer;
use crate::{ChannelBinding, Credentials, Mechanism, scram};
use scram_client::{AwaitsSalt, AwaitsVerifier, Binding};

/// RFC 4954 section 4: an AUTH line keeps to the length of every command line; a longer initial
/// response is sent when the server asks.
const COMMAND_LINE_OCTETS_MAX: usize = 512;

/// None of the mechanisms that the server offers can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMechanism {
    /// The server offers none that fits the credentials, or not the one wanted.
    NotOffered,
    /// It does, but without TLS we would give the password or token away.
    NeedsTls,
    /// The system has no randomness for a nonce.
    NoRandomness,
}

impl fmt::Display for NoMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOffered => "the server offers no mechanism that we can use",
            Self::NeedsTls => "the server offers only mechanisms that are not safe without TLS",
            Self::NoRandomness => "the system has no randomness",
        })
    }
}

impl std::error::Error for NoMechanism {}

/// Why we end a sign-in ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The server said what the mechanism does not know here.
    Malformed,
    /// It wants fewer rounds of hashing than are safe, or more than we do for anybody.
    Iterations,
    /// It says that the user or the proof is wrong.
    Refused,
    /// It cannot prove that it knows us: not the server it claims to be.
    ServerUnproven,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the server does not keep to the mechanism",
            Self::Iterations => "the server asks for an iteration count that we do not do",
            Self::Refused => "the server refuses the user or the proof",
            Self::ServerUnproven => "the server did not prove that it knows the user",
        })
    }
}

impl std::error::Error for Failed {}

enum Stage {
    /// The whole message waits for the server to ask.
    Send(Vec<u8>),
    /// LOGIN: the name, then the password.
    LoginName {
        user: String,
        password: String,
    },
    LoginPassword(String),
    ScramStart(AwaitsSalt, Vec<u8>),
    ScramSalt(AwaitsSalt),
    ScramVerifier(AwaitsVerifier),
    /// A token was sent: a challenge now tells what is wrong with it.
    TokenSent,
    /// Nothing more to say: the server's reply decides.
    Said,
    /// It is over, and we are not signed in.
    Failed,
}

/// One try to sign in at a server. Steps may be slow (PBKDF2): call them where blocking is allowed.
pub struct ClientExchange {
    mechanism: Mechanism,
    stage: Stage,
}

impl fmt::Debug for ClientExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientExchange({})", self.mechanism.name())
    }
}

impl ClientExchange {
    /// Picks the strongest of the offered mechanisms (or takes the one wanted) and begins: the
    /// mechanism for the AUTH command, and its initial response (base64 is the caller's; none: wait
    /// for the server's empty challenge). PLAIN, LOGIN and tokens only with `tls`;
    /// SCRAM-SHA-256-PLUS only with a channel binding.
    pub fn start<S: AsRef<str>>(
        credentials: &Credentials,
        offered: &[S],
        wanted: Option<&str>,
        tls: bool,
        channel_binding: Option<&ChannelBinding>,
    ) -> Result<(Self, &'static str, Option<Vec<u8>>), NoMechanism> {
        let mechanism = pick(credentials, offered, wanted, tls, channel_binding.is_some())?;
        let binding = match (mechanism, channel_binding) {
            (Mechanism::ScramSha256Plus, Some(binding)) => Binding::Used(binding),
            // "y" tells the server that its offer of -PLUS did not reach us; it is a lie, and
            // fails, when it did.
            (_, Some(_)) if !offers(offered, Mechanism::ScramSha256Plus) => Binding::Unoffered,
            (_, Some(_) | None) => Binding::Unable,
        };
        let nonce = scram::nonce().map_err(|_| NoMechanism::NoRandomness)?;
        let mut exchange = Self {
            mechanism,
            stage: begin(mechanism, credentials, binding, &nonce),
        };
        let initial = exchange.initial();
        Ok((exchange, mechanism.name(), initial))
    }

    /// The answer to a challenge (334), its base64 taken off. After a failure, send `*`.
    pub fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>, Failed> {
        match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Send(message) => Ok(self.sent(message)),
            Stage::LoginName { user, password } => {
                self.stage = Stage::LoginPassword(password);
                Ok(user.into_bytes())
            }
            Stage::LoginPassword(password) => {
                self.stage = Stage::Said;
                Ok(password.into_bytes())
            }
            Stage::ScramStart(waiting, message) => {
                self.stage = Stage::ScramSalt(waiting);
                Ok(message)
            }
            Stage::ScramSalt(waiting) => {
                let (waiting, message) = waiting.prove(challenge)?;
                self.stage = Stage::ScramVerifier(waiting);
                Ok(message)
            }
            Stage::ScramVerifier(waiting) => {
                waiting.check(challenge)?;
                self.stage = Stage::Said;
                Ok(Vec::new())
            }
            // RFC 7628 section 3.2.3: the client answers the error with one ^A, and hears the
            // failure.
            Stage::TokenSent if self.mechanism == Mechanism::OauthBearer => Ok(vec![1]),
            Stage::TokenSent => Ok(Vec::new()),
            Stage::Said | Stage::Failed => Err(Failed::Malformed),
        }
    }

    /// The server said yes (235): whether that holds. A SCRAM server must have proven before that
    /// it knows our keys.
    pub fn finish(&mut self) -> Result<(), Failed> {
        match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Said | Stage::TokenSent => Ok(()),
            Stage::ScramStart(..) | Stage::ScramSalt(_) | Stage::ScramVerifier(_) => {
                Err(Failed::ServerUnproven)
            }
            Stage::Send(_) | Stage::LoginName { .. } | Stage::LoginPassword(_) | Stage::Failed => {
                Err(Failed::Malformed)
            }
        }
    }

    fn initial(&mut self) -> Option<Vec<u8>> {
        let message = match &self.stage {
            Stage::Send(message) | Stage::ScramStart(_, message) => message,
            Stage::LoginName { .. }
            | Stage::LoginPassword(_)
            | Stage::ScramSalt(_)
            | Stage::ScramVerifier(_)
            | Stage::TokenSent
            | Stage::Said
            | Stage::Failed => return None,
        };
        let line = "AUTH  \r\n".len() + self.mechanism.name().len() + message.len().div_ceil(3) * 4;
        if line > COMMAND_LINE_OCTETS_MAX {
            return None;
        }
        self.step(&[]).ok()
    }

    fn sent(&mut self, message: Vec<u8>) -> Vec<u8> {
        self.stage = if self.mechanism.takes_token() {
            Stage::TokenSent
        } else {
            Stage::Said
        };
        message
    }
}

fn begin(
    mechanism: Mechanism,
    credentials: &Credentials,
    binding: Binding<'_>,
    nonce: &str,
) -> Stage {
    let (Credentials::Password {
        user,
        password: secret,
    }
    | Credentials::Token {
        user,
        token: secret,
    }) = credentials;
    match mechanism {
        Mechanism::ScramSha256Plus | Mechanism::ScramSha256 => {
            let (waiting, message) = scram_client::start(user, secret, binding, nonce);
            Stage::ScramStart(waiting, message)
        }
        Mechanism::OauthBearer => Stage::Send(bearer::oauthbearer(user, secret)),
        Mechanism::Xoauth2 => Stage::Send(bearer::xoauth2(user, secret)),
        Mechanism::Plain => Stage::Send(format!("\0{user}\0{secret}").into_bytes()),
        Mechanism::Login => Stage::LoginName {
            user: user.clone(),
            password: secret.clone(),
        },
    }
}

fn pick<S: AsRef<str>>(
    credentials: &Credentials,
    offered: &[S],
    wanted: Option<&str>,
    tls: bool,
    binding: bool,
) -> Result<Mechanism, NoMechanism> {
    let order: &[Mechanism] = match credentials {
        Credentials::Password { .. } => &[
            Mechanism::ScramSha256Plus,
            Mechanism::ScramSha256,
            Mechanism::Plain,
            Mechanism::Login,
        ],
        Credentials::Token { .. } => &[Mechanism::Xoauth2, Mechanism::OauthBearer],
    };
    let mut usable = order
        .iter()
        .copied()
        .filter(|mechanism| {
            wanted.is_none_or(|name| name.eq_ignore_ascii_case(mechanism.name()))
                && offers(offered, *mechanism)
                && (binding || *mechanism != Mechanism::ScramSha256Plus)
        })
        .peekable();
    if usable.peek().is_none() {
        return Err(NoMechanism::NotOffered);
    }
    usable
        .find(|mechanism| tls || mechanism.is_scram())
        .ok_or(NoMechanism::NeedsTls)
}

fn offers<S: AsRef<str>>(offered: &[S], mechanism: Mechanism) -> bool {
    offered
        .iter()
        .any(|name| name.as_ref().eq_ignore_ascii_case(mechanism.name()))
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
