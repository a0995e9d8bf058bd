//! What a directory says of its attributes (RFC 4512 section 4.1.2), and whether a filter can find
//! anybody by them.
//!
//! A server answers a comparison with an attribute that it does not know, or cannot compare, as if
//! nothing matched, with success (RFC 4511 section 4.5.1.7: "Undefined"). "Nobody was found" is
//! then no answer.

use std::collections::HashMap;

use super::filter::{Assertion, Filter, Needs};

/// How far the rules of an attribute are looked for among those above it.
const SUPERIORS_MAX: usize = 32;

/// The attribute types of a directory.
#[derive(Debug, Default)]
pub(super) struct Schema {
    /// By each name and by the number, in lower case.
    types: HashMap<String, AttributeType>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct AttributeType {
    superior: Option<String>,
    equality: bool,
    ordering: bool,
    substrings: bool,
}

/// Why a comparison finds nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The directory has no such attribute.
    Unknown(String),
    /// It has, and cannot compare it in that way.
    NoRule(String, Needs),
}

impl Schema {
    /// Reads the values of `attributeTypes`; what is none is passed over.
    pub(super) fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut types = HashMap::new();
        for value in values {
            let (names, attribute) = attribute_type(value);
            for name in names {
                types.insert(name.to_lowercase(), attribute.clone());
            }
        }
        Self { types }
    }

    /// Whether it says anything.
    pub(super) fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The comparisons of a filter that find nobody.
    pub(super) fn faults(&self, filter: &Filter) -> Vec<Fault> {
        // Active Directory lists its attributes without any rule, and compares them all the same.
        let tells_rules = self.types.values().any(|attribute| attribute.equality);
        let faults = filter.assertions.iter();
        faults
            .filter_map(|assertion| self.fault(assertion, tells_rules))
            .collect()
    }

    fn fault(&self, assertion: &Assertion, tells_rules: bool) -> Option<Fault> {
        let name = assertion.attribute.as_ref()?;
        let Some(attribute) = self.types.get(&name.to_lowercase()) else {
            return Some(Fault::Unknown(name.clone()));
        };
        let able = !tells_rules || self.is_able(attribute, assertion.needs);
        (!able).then(|| Fault::NoRule(name.clone(), assertion.needs))
    }

    /// RFC 4512 section 2.5.1: a rule that an attribute does not name is that of the type above it.
    fn is_able(&self, attribute: &AttributeType, needs: Needs) -> bool {
        let superior = |attribute: &&AttributeType| {
            let above = attribute.superior.as_ref()?;
            self.types.get(above)
        };
        let mut line = std::iter::successors(Some(attribute), superior).take(SUPERIORS_MAX);
        line.any(|attribute| match needs {
            Needs::Equality => attribute.equality,
            Needs::Substrings => attribute.substrings,
            Needs::Ordering => attribute.ordering,
            Needs::Nothing => true,
        })
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "the directory has no attribute {name}"),
            Self::NoRule(name, Needs::Equality) => write!(
                f,
                "the directory has no EQUALITY rule for {name}: write ({name}:caseIgnoreMatch:=...)"
            ),
            Self::NoRule(name, _) => write!(f, "the directory cannot compare {name} in that way"),
        }
    }
}

/// The names of an attribute type, its number among them, and the rest of what counts here (RFC
/// 4512 section 4.1.2).
fn attribute_type(text: &str) -> (Vec<String>, AttributeType) {
    let mut words = words(text).into_iter().peekable();
    words.next_if(|word| word == "(");
    let mut names: Vec<String> = words.next().into_iter().collect();
    let mut attribute = AttributeType::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "NAME" if words.next_if(|word| word == "(").is_some() => {
                names.extend(words.by_ref().take_while(|word| word != ")"));
            }
            "NAME" => names.extend(words.next()),
            // Its text may hold any of these words.
            "DESC" => drop(words.next()),
            "SUP" => attribute.superior = words.next().map(|name| name.to_lowercase()),
            "EQUALITY" => attribute.equality = true,
            "ORDERING" => attribute.ordering = true,
            "SUBSTR" => attribute.substrings = true,
            _ => {}
        }
    }
    (names, attribute)
}

/// Words, parentheses, and what stands in quotes, without the quotes. A quote within quotes is
/// written \27 (section 4.1).
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in text.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
            continue;
        }
        let spaced = part.replace('(', " ( ").replace(')', " ) ");
        words.extend(spaced.split_whitespace().map(str::to_owned));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [&str; 6] = [
        "( 2.5.4.41 NAME 'name' DESC 'RFC4519: the SUP of many' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32768} )",
        "( 2.5.4.3 NAME ( 'cn' 'commonName' ) SUP name )",
        "(0.9.2342.19200300.100.1.3 NAME ('mail' 'rfc822Mailbox') EQUALITY caseIgnoreIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26)",
        "( 1.2.840.113556.1.2.210 NAME 'proxyAddresses' DESC 'no EQUALITY rule' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 X-ORIGIN 'AD' )",
        "( 1.1.1 NAME 'round' SUP about )",
        "( 1.1.2 NAME 'about' SUP round )",
    ];

    fn faults(types: &[&str], filter: &str) -> Vec<String> {
        let schema = Schema::parse(types.iter().copied());
        let faults = schema.faults(&Filter::parse(filter).unwrap());
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_filter_by_attributes_that_can_be_compared_is_whole() {
        for filter in [
            "(mail=%s)",
            "(RFC822mailbox=%s)",
            "(0.9.2342.19200300.100.1.3=%s)",
            "(commonName=%s)",
            "(cn=*%s)",
            "(mail;lang-de=%s)",
            "(proxyAddresses=*)",
            "(proxyAddresses:caseIgnoreMatch:=smtp:%s)",
            "(:caseIgnoreMatch:=%s)",
        ] {
            assert_eq!(faults(&TYPES, filter), [""; 0], "{filter}");
        }
    }

    #[test]
    fn what_the_directory_cannot_compare_is_named() {
        let cases = [
            ("(!(mial=%s))", "the directory has no attribute mial"),
            (
                "(|(mail=%s)(proxyAddresses=smtp:%s))",
                "the directory has no EQUALITY rule for proxyAddresses: write (proxyAddresses:caseIgnoreMatch:=...)",
            ),
            (
                "(mail=*%s)",
                "the directory cannot compare mail in that way",
            ),
            ("(cn>=%s)", "the directory cannot compare cn in that way"),
            (
                "(round=%s)",
                "the directory has no EQUALITY rule for round: write (round:caseIgnoreMatch:=...)",
            ),
        ];
        for (filter, expected) in cases {
            assert_eq!(faults(&TYPES, filter), [expected], "{filter}");
        }
    }

    /// As Active Directory lists its attributes.
    #[test]
    fn where_no_attribute_has_a_rule_rules_are_not_told() {
        let types = [
            "( 1.2.840.113556.1.2.210 NAME 'proxyAddresses' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' )",
            "( 0.9.2342.19200300.100.1.3 NAME 'mail' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' SINGLE-VALUE )",
        ];
        assert_eq!(
            faults(&types, "(|(mail=%s)(proxyAddresses=smtp:%s))"),
            [""; 0]
        );
        assert_eq!(
            faults(&types, "(uid=%s)"),
            ["the directory has no attribute uid"]
        );
    }
}
