use crate::macro_string::MacroString;
use crate::mechanism::Directive;

/// A policy (RFC 7208 section 4.6.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Record<'a> {
    pub directives: Vec<Directive<'a>>,
    pub redirect: Option<MacroString<'a>>,
    pub explanation: Option<MacroString<'a>>,
}

const VERSION: &str = "v=spf1";

/// The policies among texts: RFC 7208 section 4.5 has them begin with the version, and a blank behind
/// it if more follows.
pub(crate) fn policies(texts: &[Box<str>]) -> impl Iterator<Item = &str> {
    texts.iter().filter_map(|text| {
        let (version, terms) = text.split_at_checked(VERSION.len())?;
        let is_policy =
            version.eq_ignore_ascii_case(VERSION) && (terms.is_empty() || terms.starts_with(' '));
        is_policy.then_some(terms)
    })
}

impl<'a> Record<'a> {
    /// Reads what stands behind the version. All of it is read before any of it counts: section 4.6
    /// has an error anywhere in the record decide.
    ///
    /// # Errors
    /// The term that follows no grammar, or a modifier that is there twice.
    pub fn parse(terms: &'a str) -> Result<Self, &'a str> {
        let mut record = Self::default();
        for term in terms.split(' ').filter(|term| !term.is_empty()) {
            record.add(term).ok_or(term)?;
        }
        Ok(record)
    }

    fn add(&mut self, term: &'a str) -> Option<()> {
        let Some((name, value)) = modifier(term) else {
            self.directives.push(Directive::parse(term)?);
            return Some(());
        };
        let known = match &*name.to_ascii_lowercase() {
            "redirect" => &mut self.redirect,
            "exp" => &mut self.explanation,
            // Section 6: unrecognised ones "MUST be ignored", and have a grammar all the same.
            _ => return MacroString::parse(value).map(|_| ()),
        };
        let earlier = known.replace(MacroString::parse_domain(value)?);
        earlier.is_none().then_some(())
    }
}

/// Name and value of a modifier. A mechanism has no `=` before a colon or slash.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_inner);
    is_name.then_some((name, value))
}
