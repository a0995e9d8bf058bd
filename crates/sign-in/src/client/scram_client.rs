//! Our side of SCRAM-SHA-256 as a client (RFC 5802 section 5). Each state is taken by its step, so
//! none can run twice.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Failed;
use crate::ChannelBinding;
use crate::name::prepare_password;
use crate::scram::{self, Derived, Digest, NONCE_CHARS_MAX};

/// Waits for the server's first message.
pub(crate) struct AwaitsSalt {
    password: String,
    /// `c=`
    binding: String,
    nonce: String,
    bare: String,
}

/// Waits for the server's proof that it knows our keys.
pub(crate) struct AwaitsVerifier(Digest);

/// What our first message says of channel binding (RFC 5802 section 6).
pub(crate) enum Binding<'a> {
    /// We know of no channel to bind to.
    Unable,
    /// We can, and the server seems not to.
    Unoffered,
    /// We bind to this channel.
    Used(&'a ChannelBinding),
}

/// Our first message; `nonce` is ours.
pub(crate) fn start(
    user: &str,
    password: &str,
    binding: Binding<'_>,
    nonce: &str,
) -> (AwaitsSalt, Vec<u8>) {
    let (header, data): (String, &[u8]) = match binding {
        Binding::Unable => ("n,,".into(), &[]),
        Binding::Unoffered => ("y,,".into(), &[]),
        Binding::Used(binding) => (format!("p={},,", binding.name), &binding.data),
    };
    let user = stringprep::saslprep(user).unwrap_or(user.into());
    let bare = format!("n={},r={nonce}", scram::escape_name(&user));
    let message = format!("{header}{bare}").into_bytes();
    let password = prepare_password(password.as_bytes()).map_or_else(Default::default, Into::into);
    let waiting = AwaitsSalt {
        password,
        binding: STANDARD.encode([header.as_bytes(), data].concat()),
        nonce: nonce.into(),
        bare,
    };
    (waiting, message)
}

impl AwaitsSalt {
    /// Our proof. Slow: as many rounds as the server asks, within limits.
    pub(crate) fn prove(self, challenge: &[u8]) -> Result<(AwaitsVerifier, Vec<u8>), Failed> {
        let text = std::str::from_utf8(challenge).map_err(|_| Failed::Malformed)?;
        let (nonce, salt, iterations) = parse_first(text).ok_or(Failed::Malformed)?;
        // RFC 5802 section 5: "the client MUST verify that the initial part of the nonce used in
        // subsequent messages is the same as the nonce it initially specified."
        let added = nonce.strip_prefix(&self.nonce).ok_or(Failed::Malformed)?;
        if added.is_empty() || added.len() > NONCE_CHARS_MAX {
            return Err(Failed::Malformed);
        }
        let iterations = scram::parse_iterations(iterations).ok_or(Failed::Iterations)?;
        let salt = STANDARD.decode(salt).map_err(|_| Failed::Malformed)?;
        let said = format!("c={},r={nonce}", self.binding);
        let conversation = format!("{},{text},{said}", self.bare);
        let derived = Derived::new(&self.password, &salt, iterations);
        let proof = derived.proof(conversation.as_bytes());
        let verifier = scram::sign(&derived.server, conversation.as_bytes());
        Ok((
            AwaitsVerifier(verifier),
            format!("{said},p={proof}").into_bytes(),
        ))
    }
}

impl AwaitsVerifier {
    /// Whether the server proved that it knows our keys.
    pub(crate) fn check(self, challenge: &[u8]) -> Result<(), Failed> {
        let text = std::str::from_utf8(challenge).map_err(|_| Failed::Malformed)?;
        let said = text.split(',').next().unwrap_or_default();
        if said.starts_with("e=") {
            return Err(Failed::Refused);
        }
        let verifier = said.strip_prefix("v=").and_then(scram::parse_digest);
        match verifier {
            Some(verifier) if scram::equal(&verifier, &self.0) => Ok(()),
            Some(_) => Err(Failed::ServerUnproven),
            None => Err(Failed::Malformed),
        }
    }
}

/// `r=NONCE,s=SALT,i=COUNT`, extensions after it; a mandatory one (`m=`) comes first and fails
/// here.
fn parse_first(text: &str) -> Option<(&str, &str, &str)> {
    let mut attributes = text.split(',');
    let nonce = attributes.next()?.strip_prefix("r=")?;
    let salt = attributes.next()?.strip_prefix("s=")?;
    let iterations = attributes.next()?.strip_prefix("i=")?;
    Some((nonce, salt, iterations))
}
