use std::sync::Arc;
use std::time::Duration;

use mail::Domain;

/// An MTA-STS policy (RFC 8461 section 3.2), as far as choosing hosts needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StsPolicy {
    /// How strictly it is meant.
    pub mode: StsMode,
    /// `mx1.example.com`, or `*.example.com` for any one label in front; in any case of letters.
    pub mx: Vec<Box<str>>,
    /// For how long it may be kept.
    pub max_age: Duration,
}

/// A domain says in DNS that it has a policy, and there is none to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StsFlaw {
    /// What is in the way.
    pub kind: StsFlawKind,
    /// The same in words.
    pub why: Arc<str>,
}

/// Why there is no policy where there should be one (RFC 8460 section 4.3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StsFlawKind {
    /// Its web server does not hand it out.
    Fetch,
    /// What it hands out is no policy.
    Invalid,
    /// Its certificate is not to be trusted.
    Untrusted,
}

/// `mode` of an MTA-STS policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StsMode {
    /// Hosts that do not fulfil it get no mail.
    Enforce,
    /// They get it, and it is told.
    Testing,
    /// There is no policy any more.
    None,
}

impl StsPolicy {
    /// Whether `host` is one of the policy's (RFC 8461 section 4.1).
    pub fn lists(&self, host: &Domain) -> bool {
        self.mx
            .iter()
            .any(|pattern| matches_pattern(pattern, host.as_str()))
    }
}

/// RFC 8461 section 4.1: a wildcard is the whole left-most label, and stands for exactly one.
pub(crate) fn matches_pattern(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_one_label_at_most() {
        for (pattern, host, expected) in [
            ("mx.example.com", "mx.example.com", true),
            ("MX.Example.COM", "mx.example.com", true),
            ("*.example.com", "mx.example.com", true),
            ("*.example.com", "a.mx.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", "mxexample.com", false),
            ("mx.*.com", "mx.example.com", false),
            ("*", "mx", false),
            ("", "mx.example.com", false),
            ("example.com", "mx.example.com", false),
        ] {
            let policy = StsPolicy {
                mode: StsMode::Enforce,
                mx: vec![pattern.into()],
                max_age: Duration::ZERO,
            };
            let host = Domain::parse(host).unwrap();
            assert_eq!(policy.lists(&host), expected, "{pattern} {host}");
        }
    }
}
