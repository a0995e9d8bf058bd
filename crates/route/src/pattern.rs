use std::fmt;

use mail::{Domain, DomainError};

/// Which recipient domains a `[domain.NAME]` speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DomainPattern {
    /// `example.com`: that name alone.
    Exact(Domain),
    /// `*.example.com`: every name below, not the name itself.
    Below(Domain),
    /// `*`: every name that nothing else matches.
    Any,
}

impl DomainPattern {
    /// Reads `example.com`, `*.example.com` or `*`.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        match text.strip_prefix("*.") {
            Some(parent) => Domain::parse(parent).map(Self::Below),
            None => Domain::parse(text).map(Self::Exact),
        }
    }
}

/// As it is written in the configuration.
impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(domain) => domain.fmt(f),
            Self::Below(domain) => write!(f, "*.{domain}"),
            Self::Any => f.write_str("*"),
        }
    }
}
