//! Text of strangers.

/// Octets of a text that are kept: names, addresses and remarks are shorter.
pub(crate) const TEXT_MAX: usize = 1000;

/// Appends as much of a text as there is room for.
pub(crate) fn append(text: &mut String, more: &str) {
    let room = TEXT_MAX.saturating_sub(text.len());
    text.push_str(&more[..more.floor_char_boundary(room)]);
}

/// A text, cut where it is longer than any should be, without blanks around it.
pub(crate) fn bounded(text: &str) -> String {
    let mut kept = String::new();
    append(&mut kept, text.trim());
    kept
}
