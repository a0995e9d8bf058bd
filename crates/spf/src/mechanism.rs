use crate::SpfResult;
use crate::macro_string::MacroString;
use crate::network::{Network, Prefix};

/// A term of a record that a client matches or not (RFC 7208 section 5), and what it means if so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive<'a> {
    /// As it is written.
    pub text: &'a str,
    /// What it means that the client matches.
    pub result: SpfResult,
    pub mechanism: Mechanism<'a>,
}

/// What a client is compared with. Where no domain is named, it is the one whose record this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mechanism<'a> {
    All,
    Include(MacroString<'a>),
    A(Option<MacroString<'a>>, Prefix),
    Mx(Option<MacroString<'a>>, Prefix),
    Ptr(Option<MacroString<'a>>),
    Ip(Network),
    Exists(MacroString<'a>),
}

impl<'a> Directive<'a> {
    /// `None` if it follows no grammar.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (result, rest) = match text.split_at_checked(1)? {
            ("+", rest) => (SpfResult::Pass, rest),
            ("-", rest) => (SpfResult::Fail, rest),
            ("~", rest) => (SpfResult::SoftFail, rest),
            ("?", rest) => (SpfResult::Neutral, rest),
            _ => (SpfResult::Pass, text),
        };
        let mechanism = Mechanism::parse(rest)?;
        Some(Self {
            text,
            result,
            mechanism,
        })
    }
}

impl<'a> Mechanism<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let name_end = text.find([':', '/']).unwrap_or(text.len());
        let (name, rest) = text.split_at(name_end);
        // What stands behind a colon.
        let argument = rest.strip_prefix(':');
        match &*name.to_ascii_lowercase() {
            "all" if rest.is_empty() => Some(Self::All),
            "include" => MacroString::parse_domain(argument?).map(Self::Include),
            "exists" => MacroString::parse_domain(argument?).map(Self::Exists),
            "ip4" => Network::parse_v4(argument?).map(Self::Ip),
            "ip6" => Network::parse_v6(argument?).map(Self::Ip),
            "ptr" => optional_domain(rest).map(Self::Ptr),
            "a" => {
                let (rest, prefix) = Prefix::split(rest)?;
                Some(Self::A(optional_domain(rest)?, prefix))
            }
            "mx" => {
                let (rest, prefix) = Prefix::split(rest)?;
                Some(Self::Mx(optional_domain(rest)?, prefix))
            }
            _ => None,
        }
    }
}

/// `[ ":" domain-spec ]`; the outer `None` if it is neither.
fn optional_domain(rest: &str) -> Option<Option<MacroString<'_>>> {
    match rest.strip_prefix(':') {
        Some(domain) => MacroString::parse_domain(domain).map(Some),
        None => rest.is_empty().then_some(None),
    }
}
