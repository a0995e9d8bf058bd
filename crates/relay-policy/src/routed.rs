use mail::Mailbox;

/// The signs of a route, and what Unicode folds into one of them: full-width and small forms.
const ROUTE_SIGNS: [char; 9] = [
    '%', '!', '@', '\u{ff05}', '\u{ff01}', '\u{ff20}', '\u{fe6a}', '\u{fe57}', '\u{fe6b}',
];

/// Whether a server behind us might take the local part for a route: `user%elsewhere`,
/// `elsewhere!user`, `"user@elsewhere"`, the encapsulated form that Exchange once unpacked, or any
/// of these in an encoded word (RFC 2047), which has no place in an address and which some decode
/// all the same. It is looked at as such a server would read it, without quotes and backslashes.
pub(crate) fn holds_route(recipient: &Mailbox) -> bool {
    const ENCAPSULATED: &str = "IMCEASMTP-";
    let plain = recipient.unquoted_local();
    let encapsulated = plain
        .trim_start()
        .get(..ENCAPSULATED.len())
        .is_some_and(|p| p.eq_ignore_ascii_case(ENCAPSULATED));
    encapsulated || holds_encoded_word(&plain) || plain.contains(ROUTE_SIGNS)
}

/// RFC 2047 section 2: `=?charset?Q?text?=`, or B; how it ends does not matter to some decoders.
fn holds_encoded_word(text: &str) -> bool {
    let begins = |rest: &str| {
        let mut parts = rest.split('?');
        let (charset, encoding, text) = (parts.next(), parts.next(), parts.next());
        let is = |name: &str| encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case(name));
        charset.is_some_and(|charset| !charset.is_empty()) && (is("Q") || is("B")) && text.is_some()
    };
    text.match_indices("=?")
        .any(|(at, sign)| begins(&text[at + sign.len()..]))
}
