/// `text` with each capital letter as its small one: how names and local parts are compared where
/// case makes no difference.
///
/// A letter that only looks like the capital of another stays as it is: U+212A, the KELVIN SIGN,
/// becomes no `k`, and so no name is folded into somebody else's.
pub fn lower_case(text: &str) -> String {
    text.chars()
        .map(|c| {
            small(c)
                .filter(|small| is_capital_of(c, *small))
                .unwrap_or(c)
        })
        .collect()
}

/// The one small letter of `c`.
fn small(c: char) -> Option<char> {
    let mut small = c.to_lowercase();
    small.next().filter(|_| small.next().is_none())
}

fn is_capital_of(c: char, small: char) -> bool {
    small.to_uppercase().eq([c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_become_small_and_lookalikes_stay() {
        for (text, lower) in [
            ("Ann.B", "ann.b"),
            ("BÜCHER", "bücher"),
            ("ПОЧТА", "почта"),
            ("\u{212a}iosk", "\u{212a}iosk"),
            ("\u{212b}", "\u{212b}"),
            ("\u{2126}", "\u{2126}"),
            ("\u{130}", "\u{130}"),
            ("\u{1c5}", "\u{1c5}"),
        ] {
            assert_eq!(lower_case(text), lower, "{text}");
        }
    }

    /// Two characters with one small letter are the same letter, but for its case.
    #[test]
    fn no_two_capitals_have_one_small_letter() {
        let mut seen = std::collections::HashMap::new();
        for c in char::MIN..=char::MAX {
            let lower = lower_case(c.encode_utf8(&mut [0; 4]));
            if lower.starts_with(c) {
                continue;
            }
            assert_eq!(seen.insert(lower, c), None, "{c:?}");
        }
    }
}
