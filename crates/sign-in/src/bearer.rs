//! The two ways in which a client shows an OAuth token: XOAUTH2 and OAUTHBEARER (RFC 7628).

use crate::server_scram::parse_acts_as;

const SEPARATOR: char = '\u{1}';

/// What XOAUTH2 answers to a token that is not good; then the client sends an empty line and hears
/// 535.
pub(crate) const XOAUTH2_ERROR: &[u8] = br#"{"status":"401","schemes":"bearer","scope":""}"#;
/// The same for OAUTHBEARER (RFC 7628 section 3.2.2).
pub(crate) const OAUTHBEARER_ERROR: &[u8] = br#"{"status":"invalid_token"}"#;

/// A token, and the user that the client says it is for.
pub(crate) struct Shown<'a> {
    pub(crate) user: Option<String>,
    pub(crate) token: &'a str,
}

/// `user=NAME^Aauth=Bearer TOKEN^A^A`
pub(crate) fn parse_xoauth2(input: &[u8]) -> Option<Shown<'_>> {
    let text = std::str::from_utf8(input).ok()?;
    let (user, rest) = text.strip_suffix("\u{1}\u{1}")?.split_once(SEPARATOR)?;
    let user = user.strip_prefix("user=")?;
    Some(Shown {
        user: Some(user.to_owned()).filter(|user| !user.is_empty()),
        token: parse_auth(rest)?,
    })
}

/// `n,a=NAME,^Ahost=...^Aport=...^Aauth=Bearer TOKEN^A^A`
pub(crate) fn parse_oauthbearer(input: &[u8]) -> Option<Shown<'_>> {
    let text = std::str::from_utf8(input).ok()?;
    let (header, rest) = text.strip_suffix("\u{1}\u{1}")?.split_once(SEPARATOR)?;
    let acts_as = header
        .strip_prefix("n,")
        .or_else(|| header.strip_prefix("y,"))?
        .strip_suffix(',')?;
    let mut tokens = rest.split(SEPARATOR).filter(|pair| is_auth(pair));
    let token = parse_auth(tokens.next()?)?;
    if tokens.next().is_some() {
        return None;
    }
    Some(Shown {
        user: parse_acts_as(acts_as)?,
        token,
    })
}

fn is_auth(pair: &str) -> bool {
    pair.starts_with("auth=")
}

fn parse_auth(pair: &str) -> Option<&str> {
    let (scheme, token) = pair.strip_prefix("auth=")?.split_once(' ')?;
    let clean = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && clean).then_some(token)
}

/// What a client sends for XOAUTH2.
pub(crate) fn xoauth2(user: &str, token: &str) -> Vec<u8> {
    format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}").into_bytes()
}

/// What a client sends for OAUTHBEARER.
pub(crate) fn oauthbearer(user: &str, token: &str) -> Vec<u8> {
    let user = crate::scram::escape_name(user);
    format!("n,a={user},\u{1}auth=Bearer {token}\u{1}\u{1}").into_bytes()
}
