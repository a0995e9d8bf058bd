use std::fmt;
use std::str::FromStr;

/// What a row of the tracking store says happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackedResult {
    /// A message for this recipient is on stable storage, and its client was told.
    Received,
    /// Refused for good: a connection, a sign-in, a recipient, a message.
    Refused,
    /// Refused for now.
    Postponed,
    /// The next hop took responsibility.
    Delivered,
    /// An attempt was of no use, another one follows.
    Deferred,
    /// The next hop refused for good.
    Failed,
    /// It was given up for its age.
    Expired,
    /// It was given up by an operator, and its sender is told.
    Bounced,
    /// It was given up, and there is no sender to tell.
    Dropped,
    /// It is kept until somebody releases or deletes it.
    Held,
    /// An operator let it go on.
    Released,
    /// An operator deleted it.
    Deleted,
    /// An operator gave it another route, or its own one back.
    Rerouted,
    /// Its mail goes on to another address.
    Forwarded,
    /// Its mail goes on to several addresses.
    Expanded,
    /// A notice about it was written.
    Notified,
    /// A rule of screening matched: what it did, or would have done.
    Screened,
    /// Its sender is another one on the way to this recipient, or its author too.
    Rewritten,
    /// It is gone, and the row is lost that said what had become of it.
    Unknown,
}

const WORDS: [(TrackedResult, &str); 19] = [
    (TrackedResult::Received, "received"),
    (TrackedResult::Refused, "refused"),
    (TrackedResult::Postponed, "postponed"),
    (TrackedResult::Delivered, "delivered"),
    (TrackedResult::Deferred, "deferred"),
    (TrackedResult::Failed, "failed"),
    (TrackedResult::Expired, "expired"),
    (TrackedResult::Bounced, "bounced"),
    (TrackedResult::Dropped, "dropped"),
    (TrackedResult::Held, "held"),
    (TrackedResult::Released, "released"),
    (TrackedResult::Deleted, "deleted"),
    (TrackedResult::Rerouted, "rerouted"),
    (TrackedResult::Forwarded, "forwarded"),
    (TrackedResult::Expanded, "expanded"),
    (TrackedResult::Notified, "notified"),
    (TrackedResult::Screened, "screened"),
    (TrackedResult::Rewritten, "rewritten"),
    (TrackedResult::Unknown, "unknown"),
];

impl TrackedResult {
    /// All there are, in the order of their numbers.
    pub const ALL: [Self; 19] = {
        let mut all = [Self::Received; 19];
        let mut at = 0;
        while at < WORDS.len() {
            all[at] = WORDS[at].0;
            at += 1;
        }
        all
    };

    /// The word for it, as it is printed and asked for.
    pub fn as_str(self) -> &'static str {
        WORDS[self as usize].1
    }

    /// The number under which it is stored.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Reads what [`TrackedResult::number`] gave.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for TrackedResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TrackedResult {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let mut words = WORDS.iter();
        let found = words.find(|(_, known)| known.eq_ignore_ascii_case(word));
        found.map(|(result, _)| *result).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_number_and_its_word() {
        for (at, (result, word)) in (0_u8..).zip(WORDS) {
            assert_eq!(result.number(), at);
            assert_eq!(TrackedResult::from_number(at), Some(result));
            assert_eq!(word.parse(), Ok(result));
            assert_eq!(result.to_string(), word);
        }
        assert_eq!(TrackedResult::from_number(19), None);
        assert_eq!("elsewhere".parse::<TrackedResult>(), Err(()));
    }
}
