use std::collections::HashMap;
use std::fmt;

use mail::{Domain, DomainError};

/// A domain name as rules are written for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// `example.com`: this name alone.
    Exact(Domain),
    /// `*.example.com`: every name below, at any depth, but not `example.com` itself.
    Below(Domain),
    /// `*`: every name.
    Any,
}

impl NamePattern {
    /// Reads `example.com`, `*.example.com` or `*`.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        match text.strip_prefix("*.") {
            Some(rest) => Domain::parse(rest).map(Self::Below),
            None if text == "*" => Ok(Self::Any),
            None => Domain::parse(text).map(Self::Exact),
        }
    }

    /// Whether a name is meant.
    pub fn matches(&self, name: &Domain) -> bool {
        match self {
            Self::Exact(one) => one == name,
            Self::Below(parent) => {
                let front = name.as_str().strip_suffix(parent.as_str());
                front.is_some_and(|front| front.ends_with('.'))
            }
            Self::Any => true,
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// Values by [`NamePattern`]; the most specific pattern wins, whatever the order in which they were
/// added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameMap<T> {
    exact: HashMap<Domain, T>,
    below: HashMap<Domain, T>,
    any: Option<T>,
}

impl<T> Default for NameMap<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            below: HashMap::new(),
            any: None,
        }
    }
}

impl<T> NameMap<T> {
    /// Adds a value, and gives back the one that it replaces.
    pub fn insert(&mut self, pattern: NamePattern, value: T) -> Option<T> {
        match pattern {
            NamePattern::Exact(name) => self.exact.insert(name, value),
            NamePattern::Below(name) => self.below.insert(name, value),
            NamePattern::Any => self.any.replace(value),
        }
    }

    /// The value of the most specific pattern that matches: the name itself, then the longest `*.`
    /// parent, then `*`.
    pub fn find(&self, name: &Domain) -> Option<&T> {
        self.exact
            .get(name)
            .or_else(|| self.find_below(name.as_str()))
            .or(self.any.as_ref())
    }

    fn find_below(&self, name: &str) -> Option<&T> {
        if self.below.is_empty() {
            return None;
        }
        name.match_indices('.')
            .find_map(|(dot, _)| self.below.get(&name[dot + 1..]))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty() && self.any.is_none()
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.below.len() + usize::from(self.any.is_some())
    }

    /// All values, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.exact
            .values()
            .chain(self.below.values())
            .chain(&self.any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(patterns: &[&'static str]) -> NameMap<&'static str> {
        let mut map = NameMap::default();
        for text in patterns {
            map.insert(NamePattern::parse(text).unwrap(), *text);
        }
        map
    }

    #[test]
    fn the_most_specific_wins_in_any_order() {
        let mut patterns = [
            "*",
            "*.example.com",
            "a.example.com",
            "*.b.example.com",
            "com",
        ];
        let cases = [
            ("a.example.com", "a.example.com"),
            ("x.a.example.com", "*.example.com"),
            ("b.example.com", "*.example.com"),
            ("c.b.example.com", "*.b.example.com"),
            ("d.c.b.example.com", "*.b.example.com"),
            ("example.com", "*"),
            ("xexample.com", "*"),
            ("com", "com"),
        ];
        for _ in 0..2 {
            let map = map(&patterns);
            for (name, expected) in cases {
                assert_eq!(
                    map.find(&Domain::parse(name).unwrap()),
                    Some(&expected),
                    "{name}"
                );
            }
            patterns.reverse();
        }
    }

    #[test]
    fn a_starred_name_does_not_match_the_bare_one() {
        let map = map(&["*.example.com"]);
        assert_eq!(map.find(&Domain::parse("example.com").unwrap()), None);
    }

    #[test]
    fn patterns_print_as_they_are_read() {
        for text in ["*", "*.example.com", "example.com"] {
            assert_eq!(NamePattern::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "*.", "a.*", "*a.example", "**.x"] {
            assert!(NamePattern::parse(text).is_err(), "{text}");
        }
    }
}
