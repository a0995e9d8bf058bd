use std::fmt;

use mail::Domain;

/// A name as DNS can be asked for it, in lower case and without the dot at its end.
///
/// Macros make names of what senders choose (`%{l}`), so any printable ASCII character may be in a
/// label, a backslash too: the text is not in the form of zone files, which has escapes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(Box<str>);

/// RFC 1035 section 2.3.4 has 255 octets on the wire, which are 253 as text.
pub(crate) const LEN_MAX: usize = 253;
const LABEL_LEN_MAX: usize = 63;

impl DnsName {
    /// Reads a name, with or without a dot at its end; `None` if DNS cannot be asked for it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| (1..=LABEL_LEN_MAX).contains(&label.len());
        let is_name = text.len() <= LEN_MAX
            && text.bytes().all(|b| matches!(b, b' '..=b'~'))
            && text.split('.').all(is_label);
        is_name.then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its labels, each of 1 to 63 octets.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether `name` is this one or lies below it.
    pub(crate) fn covers(&self, name: &Self) -> bool {
        name.0
            .strip_suffix(&*self.0)
            .is_some_and(|head| head.is_empty() || head.ends_with('.'))
    }
}

impl From<&Domain> for DnsName {
    fn from(domain: &Domain) -> Self {
        Self(domain.as_str().into())
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
