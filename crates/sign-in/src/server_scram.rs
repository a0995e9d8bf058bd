//! Our side of SCRAM-SHA-256 as a server (RFC 5802 section 5, RFC 7677). Each state is taken by its
//! step, so none can run twice.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::scram::{self, Digest, ScramKeys};
use crate::{Account, ChannelBinding, Reason, Sources, Why};
use crate::{Step, prepare_name};

/// What the client does about channel binding (RFC 5802 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag<'a> {
    /// `n`: it cannot.
    Unable,
    /// `y`: it could, and thinks that we cannot.
    Unoffered,
    /// `p=NAME`
    Used(&'a str),
}

/// The client's first message.
struct ClientFirst<'a> {
    flag: Flag<'a>,
    acts_as: Option<String>,
    /// All before the bare message, with its last comma.
    header: &'a str,
    bare: &'a str,
    name: String,
    nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    fn parse(input: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(input).ok()?;
        let (flag, rest) = text.split_once(',')?;
        let (acts_as, bare) = rest.split_once(',')?;
        let mut attributes = bare.split(',');
        // An attribute `m=` in first place is a mandatory extension, of which we know none: that
        // fails here too.
        let name = attributes.next()?.strip_prefix("n=")?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        Some(Self {
            flag: Flag::parse(flag)?,
            acts_as: parse_acts_as(acts_as)?,
            header: &text[..text.len() - bare.len()],
            bare,
            name: scram::unescape_name(name)?,
            nonce: Some(nonce).filter(|nonce| scram::is_nonce(nonce))?,
        })
    }
}

impl<'a> Flag<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        match text {
            "n" => Some(Self::Unable),
            "y" => Some(Self::Unoffered),
            other => other.strip_prefix("p=").map(Self::Used),
        }
    }

    /// The data that the binding adds, when the flag is right for this mechanism.
    fn data(self, plus: bool, binding: Option<&ChannelBinding>) -> Option<&[u8]> {
        match (self, plus, binding) {
            (Self::Used(name), true, Some(binding)) if name == binding.name => Some(&binding.data),
            (Self::Unable, false, _) => Some(&[]),
            // RFC 5802 section 6: "If the flag is set to "y" and the server supports channel
            // binding, the server MUST fail authentication": somebody took the -PLUS out of our
            // offer.
            (Self::Unoffered, false, None) => Some(&[]),
            (Self::Used(_) | Self::Unable | Self::Unoffered, _, _) => None,
        }
    }
}

/// The identity in the header of SCRAM and OAUTHBEARER (RFC 5801 section 4): none, or `a=NAME`.
pub(crate) fn parse_acts_as(text: &str) -> Option<Option<String>> {
    if text.is_empty() {
        return Some(None);
    }
    scram::unescape_name(text.strip_prefix("a=")?).map(Some)
}

/// Waits for the client's proof.
pub(crate) struct AwaitsProof {
    name: String,
    account: Option<Account>,
    keys: ScramKeys,
    /// `c=`, as it must come back.
    binding: String,
    nonce: String,
    /// The client's first message (bare) and our answer.
    conversation: String,
}

/// Answers the client's first message. `nonce` is ours; `binding` is there when -PLUS was offered.
pub(crate) fn first(
    input: &[u8],
    plus: bool,
    binding: Option<&ChannelBinding>,
    nonce: &str,
    sources: &Sources,
) -> Result<(AwaitsProof, Vec<u8>), Step> {
    let first = ClientFirst::parse(input).ok_or_else(|| Step::Refused(Why::malformed()))?;
    let name = prepare_name(&first.name).ok_or_else(|| Step::Refused(Why::malformed()))?;
    let refuse = |reason| Step::Refused(Why::of(&name, reason));
    let data = first
        .flag
        .data(plus, binding)
        .ok_or_else(|| refuse(Reason::ChannelBinding))?;
    let other = |acts_as: &String| prepare_name(acts_as).as_ref() != Some(&name);
    if first.acts_as.as_ref().is_some_and(other) {
        return Err(refuse(Reason::OtherIdentity));
    }
    let (account, keys) = sources.scram_keys(&name);
    let nonce = format!("{}{nonce}", first.nonce);
    let salt = STANDARD.encode(&keys.salt);
    let answer = format!("r={nonce},s={salt},i={}", keys.iterations);
    let waiting = AwaitsProof {
        binding: STANDARD.encode([first.header.as_bytes(), data].concat()),
        conversation: format!("{},{answer}", first.bare),
        name,
        account,
        keys,
        nonce,
    };
    Ok((waiting, answer.into_bytes()))
}

impl AwaitsProof {
    /// Checks the proof: the user and the message that proves to the client that we know the keys,
    /// or why not.
    pub(crate) fn check(self, input: &[u8]) -> Result<(Account, Vec<u8>), Why> {
        let (said, proof) = parse_final(input).ok_or_else(|| self.why(Reason::Malformed))?;
        let mut attributes = said.split(',');
        let binding = attributes.next().and_then(|text| text.strip_prefix("c="));
        let nonce = attributes.next().and_then(|text| text.strip_prefix("r="));
        if binding != Some(&self.binding) {
            return Err(self.why(Reason::ChannelBinding));
        }
        if nonce != Some(&self.nonce) {
            return Err(self.why(Reason::Malformed));
        }
        let conversation = format!("{},{said}", self.conversation);
        let proven = scram::proves(&self.keys, conversation.as_bytes(), proof);
        let signature = scram::sign(&self.keys.server, conversation.as_bytes());
        match &self.account {
            Some(account) if proven => {
                let verifier = format!("v={}", STANDARD.encode(signature));
                Ok((account.clone(), verifier.into_bytes()))
            }
            Some(_) | None => Err(self.why(Reason::WrongSecret)),
        }
    }

    fn why(&self, reason: Reason) -> Why {
        Why::of(&self.name, reason)
    }
}

/// The client's last message without its proof, and the proof.
fn parse_final(input: &[u8]) -> Option<(&str, Digest)> {
    let text = std::str::from_utf8(input).ok()?;
    let (said, proof) = text.rsplit_once(",p=")?;
    Some((said, scram::parse_digest(proof)?))
}
