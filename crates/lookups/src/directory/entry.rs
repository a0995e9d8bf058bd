//! An entry of a directory, as it came (RFC 4511 section 4.5.2).

use ldap3::asn1::StructureTag;

use super::filter::attribute_of;

/// An entry, with the attributes that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The distinguished name.
    pub dn: String,
    /// Each with its values; those that are no text are left out.
    pub attributes: Vec<(String, Vec<String>)>,
}

impl Entry {
    /// Reads what a server sent, whatever that is; `None`: it is no entry.
    pub(super) fn parse(entry: ldap3::ResultEntry) -> Option<Self> {
        let mut parts = entry.0.match_id(4)?.expect_constructed()?.into_iter();
        let dn = text(parts.next()?)?;
        let attributes = parts.next()?.expect_constructed()?;
        Some(Self {
            dn,
            attributes: attributes.into_iter().filter_map(attribute).collect(),
        })
    }

    /// The values of an attribute.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self
            .attributes
            .iter()
            .filter(move |(attribute, _)| attribute.eq_ignore_ascii_case(name));
        named.flat_map(|(_, values)| values.iter().map(String::as_str))
    }
}

fn attribute(tag: StructureTag) -> Option<(String, Vec<String>)> {
    let mut parts = tag.expect_constructed()?.into_iter();
    let name = attribute_of(text(parts.next()?)?);
    let values = parts.next()?.expect_constructed()?;
    Some((name, values.into_iter().filter_map(text).collect()))
}

fn text(tag: StructureTag) -> Option<String> {
    String::from_utf8(tag.expect_primitive()?).ok()
}
