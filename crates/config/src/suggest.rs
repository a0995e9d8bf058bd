//! The nearest right name for a wrong one.

/// The candidate that a slip of the fingers most likely meant, if one is near enough.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Longer words are nobody's slip, and the work grows with the square of their length.
const WORD_CHARS_MAX: usize = 64;

/// How many letters to add, drop, change or swap with their neighbour; case does not count, nor
/// does `-` against `_`.
fn distance(a: &str, b: &str) -> usize {
    if a.chars().count().max(b.chars().count()) > WORD_CHARS_MAX {
        return usize::MAX;
    }
    let plain = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    strsim::osa_distance(&plain(a), &plain(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word() {
        let words = ["allow", "except", "deny", "mode", "signed_in"];
        let cases = [
            ("alow", Some("allow")),
            ("alolw", Some("allow")),
            ("Allow", Some("allow")),
            ("signed-in", Some("signed_in")),
            ("excpet", Some("except")),
            ("banner", None),
            ("x", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(1_000_000), words), None);
    }
}
