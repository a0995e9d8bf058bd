//! The nearest right name for a wrong one.

/// The candidate that a slip of the fingers most likely meant, if one is near enough, or the only one
/// of which the word is the beginning.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let limit = (word.chars().count() / 3).max(1);
    let near = candidates
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance);
    near.map(|(_, candidate)| candidate)
        .or_else(|| begun(word, &candidates))
}

fn begun<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let mut longer = candidates.iter().filter(|candidate| {
        let rest = candidate.strip_prefix(word);
        rest.is_some_and(|rest| rest.starts_with('_'))
    });
    let found = longer.next()?;
    longer.next().is_none().then_some(found)
}

/// Words of IIS and Postfix, and the options that are called otherwise here.
const WORDS_OF_OTHERS: [(&str, &str); 12] = [
    ("smart_host", "outbound.route"),
    ("smarthost", "outbound.route"),
    ("relayhost", "outbound.route"),
    ("fqdn", "hostname"),
    ("myhostname", "hostname"),
    ("mynetworks", "relay.allow"),
    ("badmail_directory", "queue.badmail"),
    ("hop_count", "limits.hops"),
    ("max_hops", "limits.hops"),
    ("message_size_limit", "limits.message_size"),
    ("retry_interval", "queue.retry"),
    ("maximal_queue_lifetime", "queue.expire"),
];

/// The option that others call so.
pub(crate) fn word_of_others(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let found = WORDS_OF_OTHERS.iter().find(|(theirs, _)| *theirs == word);
    found.map(|(_, ours)| *ours)
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
            ("signed", Some("signed_in")),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(1_000_000), words), None);
        assert_eq!(nearest("drop", ["drop_quota", "drop_directory"]), None);
    }

    #[test]
    fn words_of_others_lead_to_options_that_there_are() {
        for (theirs, ours) in WORDS_OF_OTHERS {
            assert!(crate::table::row(ours).is_some(), "{theirs}: {ours}");
        }
        assert_eq!(word_of_others("Smart-Host"), Some("outbound.route"));
        assert_eq!(word_of_others("route"), None);
    }
}
