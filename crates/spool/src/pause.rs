use mail::Timestamp;

/// An operator's word that nothing goes out: to one site, or at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The name of the site; all of them when `None`.
    pub site: Option<Box<str>>,
    /// Who said so.
    pub by: Box<str>,
    /// And why.
    pub reason: Option<Box<str>>,
    /// From when on, on the queue's line of time.
    pub since: Timestamp,
    /// Until when, on the same line; until somebody says otherwise when `None`.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Whether it is over at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}
