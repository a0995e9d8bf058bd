//! A search filter of the configuration (RFC 4515), looked into: by which attributes somebody is
//! found, and what each has to be able to do.

use ldap3::asn1::{ASNTag as _, PL, StructureTag};

/// Stands in a filter for who is looked for.
const WHO: &str = "%s";

/// A filter with `%s` for who is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    text: String,
    /// Its parts, in the order in which they are written.
    pub assertions: Vec<Assertion>,
}

/// One comparison of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assertion {
    /// The attribute, without options, as it is written; `None`: any.
    pub attribute: Option<String>,
    pub needs: Needs,
    /// What stands before and after `%s` in the value, in lower case, where the whole value is
    /// compared.
    pub around: Option<(String, String)>,
}

/// What a comparison asks of its attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// An EQUALITY rule.
    Equality,
    /// A SUBSTR rule.
    Substrings,
    /// An ORDERING rule.
    Ordering,
    /// To be there: the comparison brings its rule, or needs none.
    Nothing,
}

impl Filter {
    /// Reads a filter; `None`: it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let tag = ldap3::parse_filter(text).ok()?.into_structure();
        let mut assertions = Vec::new();
        collect(tag, &mut assertions)?;
        Some(Self {
            text: text.to_owned(),
            assertions,
        })
    }

    /// The filter for this one; what stands in `who` finds only itself.
    pub(super) fn with(&self, who: &str) -> String {
        self.text.replace(WHO, &ldap3::ldap_escape(who))
    }

    /// The attributes in which somebody's name stands, in their order.
    pub(super) fn naming(&self) -> impl Iterator<Item = &str> {
        let naming = self.assertions.iter().filter(|one| one.around.is_some());
        naming.filter_map(|one| one.attribute.as_deref())
    }

    /// What one would type to be found by this value, in lower case: the value itself, and what is
    /// between the words around `%s`.
    pub(super) fn typed<'a>(&'a self, value: &str) -> impl Iterator<Item = String> + use<'a> {
        let value = value.to_lowercase();
        let around = self.assertions.iter().filter_map(|one| one.around.as_ref());
        let inner = around.filter_map({
            let value = value.clone();
            move |(before, after)| {
                let inner = value.strip_prefix(before.as_str())?;
                Some(inner.strip_suffix(after.as_str())?.to_owned())
            }
        });
        inner.chain([value])
    }
}

/// The comparisons in one part of a filter (RFC 4511 section 4.5.1.7); `None`: it has another form
/// than that.
fn collect(tag: StructureTag, found: &mut Vec<Assertion>) -> Option<()> {
    match (tag.id, tag.payload) {
        // and, or, not
        (0..=2, PL::C(parts)) => {
            for part in parts {
                collect(part, found)?;
            }
        }
        // equalityMatch, greaterOrEqual, lessOrEqual, approxMatch
        (id @ (3 | 5 | 6 | 8), PL::C(parts)) => {
            let [attribute, value] = <[StructureTag; 2]>::try_from(parts).ok()?;
            let whole = matches!(id, 3 | 8);
            found.push(Assertion {
                attribute: Some(attribute_of(text(attribute)?)),
                needs: if whole {
                    Needs::Equality
                } else {
                    Needs::Ordering
                },
                around: around(&text(value)?).filter(|_| whole),
            });
        }
        // `substrings`: pieces of the value are given, and what is between them is free.
        (4, PL::C(parts)) => found.push(Assertion {
            attribute: Some(attribute_of(text(parts.into_iter().next()?)?)),
            needs: Needs::Substrings,
            around: None,
        }),
        // `present`: the attribute has to be there, whatever its value is.
        (7, PL::P(attribute)) => found.push(Assertion {
            attribute: Some(attribute_of(String::from_utf8(attribute).ok()?)),
            needs: Needs::Nothing,
            around: None,
        }),
        // `extensibleMatch`: the filter may name the rule by which values are compared.
        (9, PL::C(parts)) => found.push(extensible(parts)?),
        _ => return None,
    }
    Some(())
}

fn extensible(parts: Vec<StructureTag>) -> Option<Assertion> {
    let mut assertion = Assertion {
        attribute: None,
        needs: Needs::Equality,
        around: None,
    };
    for part in parts {
        match part.id {
            1 => assertion.needs = Needs::Nothing,
            2 => assertion.attribute = Some(attribute_of(text(part)?)),
            3 => assertion.around = around(&text(part)?),
            _ => {}
        }
    }
    Some(assertion)
}

fn text(tag: StructureTag) -> Option<String> {
    String::from_utf8(tag.expect_primitive()?).ok()
}

/// The attribute of a description: what stands before its options (RFC 4512 section 2.5).
pub(super) fn attribute_of(mut description: String) -> String {
    if let Some(end) = description.find(';') {
        description.truncate(end);
    }
    description
}

fn around(value: &str) -> Option<(String, String)> {
    let (before, after) = value.split_once(WHO)?;
    Some((before.to_lowercase(), after.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_writes_cannot_leave_the_filter() {
        let filter = Filter::parse("(mail=%s)").unwrap();
        let cases = [
            ("ann@example.com", "(mail=ann@example.com)"),
            ("*", "(mail=\\2a)"),
            ("a)(uid=*", "(mail=a\\29\\28uid=\\2a)"),
            ("a\\b\0%s", "(mail=a\\5cb\\00%s)"),
        ];
        for (value, expected) in cases {
            let filter = filter.with(value);
            assert_eq!(filter, expected);
            assert!(ldap3::parse_filter(&filter).is_ok(), "{filter}");
        }
    }

    #[test]
    fn a_filter_says_by_what_somebody_is_found() {
        let cases = [
            ("(mail=%s)", Some("mail")),
            ("mail=%s", Some("mail")),
            (
                "(|(mail=%s)(userPrincipalName=%s)(uid=%s))",
                Some("mail userPrincipalName uid"),
            ),
            (
                "(&(objectClass=person)(!(memberOf=cn=out,dc=x))(uid;lang-de=%s))",
                Some("uid"),
            ),
            (
                "(|(proxyAddresses:caseIgnoreMatch:=smtp:%s)(cn=*%s*)(age>=%s)(sn=*))",
                Some("proxyAddresses"),
            ),
            ("(mail=%s", None),
            ("(%s=x)", None),
        ];
        for (text, expected) in cases {
            let filter = Filter::parse(text);
            let naming = filter.map(|filter| filter.naming().collect::<Vec<_>>().join(" "));
            assert_eq!(naming.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_filter_says_what_each_attribute_has_to_do() {
        let text = "(&(mail=%s)(cn~=x)(sn=a*)(age>=1)(uid=*)(o:caseIgnoreMatch:=x)(ou:dn:=x))";
        let filter = Filter::parse(text).unwrap();
        let found: Vec<_> = filter
            .assertions
            .iter()
            .map(|one| (one.attribute.as_deref().unwrap(), one.needs))
            .collect();
        let expected = [
            ("mail", Needs::Equality),
            ("cn", Needs::Equality),
            ("sn", Needs::Substrings),
            ("age", Needs::Ordering),
            ("uid", Needs::Nothing),
            ("o", Needs::Nothing),
            ("ou", Needs::Equality),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn names_are_what_one_would_type() {
        let filter = Filter::parse("(|(proxyAddresses=smtp:%s)(uid=%s))").unwrap();
        let typed: Vec<String> = filter.typed("SMTP:Clara@Hosted.test").collect();
        let whole = "smtp:clara@hosted.test";
        assert_eq!(typed, ["clara@hosted.test", whole, whole]);
    }
}
