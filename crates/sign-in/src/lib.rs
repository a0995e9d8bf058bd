//! How somebody proves who they are, on both sides.
//!
//! A client that wants more than a stranger signs in: it names a mechanism, and an [`Exchange`]
//! talks with it until it is one of our users or refused. Who the users are is known to
//! [`Sources`]: the users file ([`Users`]), and directories ([`Source`]). [`Tokens`] says whether
//! an access token of an OAuth issuer is genuine. A server that asks us to sign in talks with a
//! [`ClientExchange`]. Who may try how often is for the crate `admission` to say.
//!
//! The mechanisms are our own, each a page, over the primitives that TLS uses: the library for
//! them, rsasl 2.3.1, panicked before sign-in and is not strict enough. It is their judge in the
//! tests.
//!
//! Nothing here has a clock, a socket or a thread: the time is an argument, keys and files come as
//! text. Randomness (nonces, salts) is the system's. Two steps are slow on purpose and belong on a
//! bounded pool of blocking threads: checking a password (argon2id, [`ARGON2_MEMORY_KIB`] KiB and
//! some tens of milliseconds of one core, as much for an unknown user), and our own side of SCRAM
//! (PBKDF2, as many rounds as the server asks, at most [`SCRAM_ITERATIONS_MAX`]).
//!
//! At the console a second factor may go with the password ([`Totp`], [`Codes`]), or an issuer vouches
//! for somebody ([`Identities`]).
//!
//! Standards: RFC 4422 (SASL), RFC 4616 (PLAIN), RFC 5802 and RFC 7677 (SCRAM-SHA-256), RFC 9266
//! (tls-exporter), RFC 7628 (OAUTHBEARER), RFC 7519 (tokens), RFC 4013 (SASLprep), RFC 6238 (TOTP).

mod account;
mod bearer;
mod client;
mod codes;
mod console_role;
mod credentials;
mod decoys;
mod exchange;
mod hash;
mod identity;
mod mechanism;
mod name;
mod random;
mod refusal;
mod scram;
mod server_scram;
mod sources;
mod step;
mod token_keys;
mod tokens;
mod totp;
mod users;
mod users_edit;

pub use account::{Account, Found, Person, Tried, Unavailable};
pub use client::{ClientExchange, Failed, NoMechanism};
pub use codes::Codes;
pub use console_role::ConsoleRole;
pub use credentials::Credentials;
pub use decoys::Decoys;
pub use exchange::{Exchange, MESSAGE_OCTETS_MAX, Unsupported};
pub use hash::{ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES};
pub use identity::{Identities, Identity, IdentityRules};
pub use mechanism::{ChannelBinding, Mechanism, TLS_EXPORTER, offered};
pub use name::{NAME_OCTETS_MAX, PASSWORD_OCTETS_MAX, prepare_name};
pub use refusal::{Reason, Why};
pub use scram::{SCRAM_ITERATIONS, SCRAM_ITERATIONS_MAX, SCRAM_ITERATIONS_MIN, ScramKeys};
pub use sources::{Source, Sources};
pub use step::Step;
pub use token_keys::{KEYS_MAX, TokenKeys};
pub use tokens::{TOKEN_LEEWAY_SECONDS, TokenFault, TokenRules, Tokens};
pub use totp::Totp;
pub use users::{Problem, USERS_MAX, Users};
pub use users_edit::{EditError, NewUser, UserFile};
