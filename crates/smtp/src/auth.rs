use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::SyntaxFault;

/// `AUTH`: by which mechanism a client wants to sign in (RFC 4954 section 4).
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// The mechanism's name, in upper case.
    pub mechanism: Box<str>,
    /// The initial response without its base64; present and empty for `=`.
    pub initial: Option<Vec<u8>>,
}

/// RFC 4422 section 3.1: a mechanism's name has 1 to 20 characters.
const MECHANISM_LEN_MAX: usize = 20;

impl Auth {
    /// Reads what stands behind the verb.
    pub(crate) fn parse(argument: &str) -> Result<Self, SyntaxFault> {
        let (mechanism, initial) = match argument.split_once(' ') {
            None => (argument, None),
            Some((mechanism, initial)) => (mechanism, Some(initial)),
        };
        if !is_mechanism(mechanism) {
            return Err(SyntaxFault::Expected("AUTH mechanism [initial-response]"));
        }
        let initial = match initial {
            // RFC 4954 section 4: a zero-length initial response is a single equals sign; it is
            // there, and empty.
            Some("=") => Some(Vec::new()),
            Some("") => return Err(SyntaxFault::NotBase64),
            Some(text) => Some(from_base64(text.as_bytes()).ok_or(SyntaxFault::NotBase64)?),
            None => None,
        };
        Ok(Self {
            mechanism: mechanism.to_ascii_uppercase().into(),
            initial,
        })
    }
}

/// Without the response: it is a password, or leads to one.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

fn is_mechanism(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MECHANISM_LEN_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// The octets of a line of a sign-in exchange; `None` when it is no base64 (RFC 4648 section 4,
/// with padding, without line breaks).
pub fn from_base64(line: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(line).ok()
}

/// The line that carries these octets in a sign-in exchange.
pub fn to_base64(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(mechanism: &str, initial: Option<&[u8]>) -> Result<Auth, SyntaxFault> {
        Ok(Auth {
            mechanism: mechanism.into(),
            initial: initial.map(<[u8]>::to_vec),
        })
    }

    #[test]
    fn a_mechanism_may_have_an_initial_response() {
        let syntax = || Err(SyntaxFault::Expected("AUTH mechanism [initial-response]"));
        let cases = [
            ("PLAIN", auth("PLAIN", None)),
            ("login", auth("LOGIN", None)),
            ("Scram-Sha-256-Plus", auth("SCRAM-SHA-256-PLUS", None)),
            ("PLAIN =", auth("PLAIN", Some(b""))),
            (
                "PLAIN AGFubgBzZWNyZXQ=",
                auth("PLAIN", Some(b"\0ann\0secret")),
            ),
            ("PLAIN AGFubgBzZWNyZXQ", Err(SyntaxFault::NotBase64)),
            ("PLAIN AGFubgBz ZWNyZXQ=", Err(SyntaxFault::NotBase64)),
            ("PLAIN ====", Err(SyntaxFault::NotBase64)),
            ("PLAIN *", Err(SyntaxFault::NotBase64)),
            ("PLAIN  AA==", Err(SyntaxFault::NotBase64)),
            ("", syntax()),
            (" PLAIN", syntax()),
            ("PLÄIN", syntax()),
            ("PLAIN\"", syntax()),
            ("A-NAME-OF-21-OCTETS-X", syntax()),
        ];
        for (argument, expected) in cases {
            assert_eq!(Auth::parse(argument), expected, "{argument:?}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", Auth::parse("PLAIN AGFubgBzZWNyZXQ="));
        assert!(shown.contains("PLAIN"), "{shown}");
        assert!(
            !shown.contains("115, 101, 99") && !shown.contains("secret"),
            "{shown}"
        );
    }

    #[test]
    fn base64_is_its_own_inverse_and_strict() {
        for octets in [&b""[..], b"a", b"ab", b"abc", &[0xff; 200]] {
            assert_eq!(
                from_base64(to_base64(octets).as_bytes()).as_deref(),
                Some(octets)
            );
        }
        // Two texts for one secret would be one too many.
        assert_eq!(from_base64(b"YR=="), None);
    }
}
