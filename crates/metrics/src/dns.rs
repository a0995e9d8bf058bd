use crate::each::Word;

/// What came of a question that name servers were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsAnswer {
    /// There are such records.
    Found,
    /// The name has none of that kind.
    NoData,
    /// There is no such name.
    NoSuchName,
    /// Nobody gave an answer of any use.
    Failed,
}

impl Word for DnsAnswer {
    const ALL: &'static [Self] = &[Self::Found, Self::NoData, Self::NoSuchName, Self::Failed];

    fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NoData => "no-data",
            Self::NoSuchName => "no-such-name",
            Self::Failed => "failed",
        }
    }
}
