use std::fmt::Write as _;

use mail::Mailbox;

/// Recipients whom one line of the log is about: the first of them by name, with a blank between them,
/// and how many more there are.
pub(super) struct Named {
    pub(super) to: String,
    pub(super) further: Option<usize>,
}

/// So many have their names in a line.
const NAMED_MAX: usize = 20;
/// Whoever stands behind so many octets is only counted: a value is no longer than what those show who
/// read the log.
const NAMED_OCTETS: usize = 1_500;

/// Names recipients; those of whom there are few are all named.
pub(super) fn named<'a>(recipients: impl ExactSizeIterator<Item = &'a Mailbox>) -> Named {
    let count = recipients.len();
    let (mut to, mut named) = (String::new(), 0);
    for recipient in recipients.take(NAMED_MAX) {
        if to.len() > NAMED_OCTETS {
            break;
        }
        let blank = if to.is_empty() { "" } else { " " };
        // Writing to memory cannot fail.
        let _ = write!(to, "{blank}{}", recipient.as_str());
        named += 1;
    }
    let further = Some(count - named).filter(|further| *further > 0);
    Named { to, further }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(addresses: &[String]) -> (String, Option<usize>) {
        let parse = |address: &String| Mailbox::parse(address).unwrap();
        let recipients: Vec<Mailbox> = addresses.iter().map(parse).collect();
        let Named { to, further } = named(recipients.iter());
        (to, further)
    }

    #[test]
    fn few_are_named_and_the_rest_of_many_is_counted() {
        let addresses = |count: usize, name: &str| -> Vec<String> {
            (0..count).map(|n| format!("{name}{n}@x.example")).collect()
        };
        assert_eq!(of(&[]), (String::new(), None));
        let two = ("a0@x.example a1@x.example".to_owned(), None);
        assert_eq!(of(&addresses(2, "a")), two);
        let (to, further) = of(&addresses(20, "a"));
        assert_eq!((to.split(' ').count(), further), (20, None));
        let (to, further) = of(&addresses(32, "a"));
        assert!(to.ends_with(" a19@x.example"), "{to}");
        assert_eq!(further, Some(12));
        // However long they are, a value has room for them.
        let (to, further) = of(&addresses(20, &"a".repeat(120)));
        assert!(to.len() < 2_000, "{} octets", to.len());
        assert_eq!(to.split(' ').count() + further.unwrap(), 20);
    }
}
