//! The mechanisms we know, and which of them are offered.

use std::fmt;

use crate::Sources;

/// The channel binding of RFC 9266, the only one we know.
pub const TLS_EXPORTER: &str = "tls-exporter";

/// What ties a sign-in to the TLS session that it runs in, so that nobody in the middle can pass it
/// on.
#[derive(Clone, PartialEq, Eq)]
pub struct ChannelBinding {
    /// The name of the kind of binding: [`TLS_EXPORTER`].
    pub name: &'static str,
    /// RFC 9266 section 2: 32 octets exported with the label `EXPORTER-Channel-Binding` and an
    /// empty context; under TLS 1.2 only with the extended master secret.
    pub data: Box<[u8]>,
}

impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelBinding({})", self.name)
    }
}

/// A way to sign in, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// SCRAM, bound to the TLS session.
    ScramSha256Plus,
    /// SCRAM: neither side learns what it could use elsewhere.
    ScramSha256,
    /// An OAuth token (RFC 7628).
    OauthBearer,
    /// An OAuth token, as Google and Microsoft had it before the standard.
    Xoauth2,
    /// PLAIN: name and password in one message.
    Plain,
    /// Name and password, each asked for.
    Login,
}

impl Mechanism {
    /// All, the strongest first.
    pub const ALL: [Self; 6] = [
        Self::ScramSha256Plus,
        Self::ScramSha256,
        Self::OauthBearer,
        Self::Xoauth2,
        Self::Plain,
        Self::Login,
    ];

    /// The name under which it is registered and offered.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// By its name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    pub(crate) fn is_scram(self) -> bool {
        matches!(self, Self::ScramSha256Plus | Self::ScramSha256)
    }

    /// Whether it shows an OAuth token in place of a password.
    pub fn takes_token(self) -> bool {
        matches!(self, Self::OauthBearer | Self::Xoauth2)
    }
}

/// The mechanisms to offer under TLS, the strongest first: of those configured, the ones that can
/// be answered. SCRAM only where every source knows its keys (else some users could not sign in
/// with what their program picks), -PLUS only where the TLS session has an exporter, tokens only
/// with an issuer.
pub fn offered<S: AsRef<str>>(
    sources: &Sources,
    configured: &[S],
    tls_exporter: bool,
    tokens: bool,
) -> Vec<&'static str> {
    let possible = |mechanism: &Mechanism| match mechanism {
        Mechanism::ScramSha256Plus => tls_exporter && sources.know_scram_keys(),
        Mechanism::ScramSha256 => sources.know_scram_keys(),
        Mechanism::OauthBearer | Mechanism::Xoauth2 => tokens,
        Mechanism::Plain | Mechanism::Login => !sources.is_empty(),
    };
    let wanted = |mechanism: &Mechanism| {
        configured
            .iter()
            .any(|name| name.as_ref().eq_ignore_ascii_case(mechanism.name()))
    };
    Mechanism::ALL
        .into_iter()
        .filter(wanted)
        .filter(possible)
        .map(Mechanism::name)
        .collect()
}
