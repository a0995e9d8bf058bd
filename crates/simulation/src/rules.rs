//! The rules of screening of this world, and what they come to, as whoever wrote them sees it.

use std::collections::BTreeSet;

/// Two scanners, and the rule before all others about what they find. Without an answer the client is to
/// come again.
pub(crate) const SCANNERS: &str = r#"
[scanner.one]
kind = "clamd"
address = "127.0.0.1:3310"

[scanner.two]
kind = "spamd"
address = "127.0.0.1:783"

[[screen]]
name = "infected, says one"
when = { scanner = "one: infected" }
then = "refuse"

[[screen]]
name = "infected, says the other"
when = { scanner = "two: infected" }
then = "refuse"
"#;

/// Their names.
pub(crate) const SCANNERS_NAMED: [&str; 2] = ["one", "two"];

/// Which of them finds malware in the message of this number, where there may be any.
pub(crate) fn finds(number: usize) -> Option<&'static str> {
    match number % 17 {
        5 => Some("one"),
        9 => Some("two"),
        _ => None,
    }
}

/// By the number that stands in the subject.
pub(crate) const RULES: &str = r#"
[[screen]]
name = "moved"
when = { to = "hosted3.example", subject = '/number [0-9]*[34]\b/' }
redirect_to = "moved@hosted1.example"

[[screen]]
name = "journal"
when = { to = "hosted1.example", subject = '/number [0-9]*[56]\b/' }
copy_to = "archive@hosted3.example"

[[screen]]
name = "marked"
when = { to = "hosted2.example", subject = '/number [0-9]*[678]\b/' }
add_header = "X-Screened: yes"

[[screen]]
name = "unwanted"
when = { to = "hosted1.example", subject = '/number [0-9]*9\b/' }
then = "discard"

[[screen]]
name = "tried"
then = "refuse"
dry_run = true
"#;

/// Who gets in place of others what was redirected.
pub(crate) const MOVED: &str = "moved@hosted1.example";
/// Who gets copies.
pub(crate) const ARCHIVE: &str = "archive@hosted3.example";
/// What is put on top of some messages.
pub(crate) const MARK: &str = "X-Screened: yes\r\n";

/// What the rules make of a message for one recipient whom its client named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    AsItCame,
    Marked,
    /// Somebody else gets it.
    Moved,
    /// Somebody else gets it, too.
    Copied,
    Dropped,
}

impl Fate {
    pub(crate) fn of(number: usize, named: &str) -> Self {
        let domain = named.rsplit_once('@').map_or("", |(_, domain)| domain);
        match (domain, number % 10) {
            ("hosted3.example", 3 | 4) => Self::Moved,
            ("hosted1.example", 5 | 6) => Self::Copied,
            ("hosted2.example", 6..=8) => Self::Marked,
            ("hosted1.example", 9) => Self::Dropped,
            _ => Self::AsItCame,
        }
    }

    /// Whether a rule has decided before what scanners say of it beside malware.
    pub(crate) fn is_decided(self) -> bool {
        match self {
            Self::Moved | Self::Dropped => true,
            Self::AsItCame | Self::Marked | Self::Copied => false,
        }
    }

    /// Whether by it the mail for `named` goes to this address.
    pub(crate) fn leads(self, named: &str, address: &str, is_copy: bool) -> bool {
        match self {
            Self::AsItCame | Self::Marked => !is_copy && address == named,
            Self::Moved => !is_copy && address == MOVED,
            Self::Copied if is_copy => address == ARCHIVE,
            Self::Copied => address == named,
            Self::Dropped => false,
        }
    }
}

/// Who gets message `number` when it was taken for these.
pub(crate) fn readers<'a>(
    number: usize,
    named: impl Iterator<Item = &'a str>,
) -> BTreeSet<&'a str> {
    let mut readers = BTreeSet::new();
    for named in named {
        let fate = Fate::of(number, named);
        if fate == Fate::Copied {
            readers.insert(ARCHIVE);
        }
        match fate {
            Fate::AsItCame | Fate::Marked | Fate::Copied => readers.insert(named),
            Fate::Moved => readers.insert(MOVED),
            Fate::Dropped => false,
        };
    }
    readers
}
