use std::borrow::Cow;

use memchr::{memchr, memchr_iter};

/// A field of a header, folded as it is.
#[derive(Debug, Clone, Copy)]
pub struct RawField<'a> {
    /// All of it, with the line end.
    pub raw: &'a [u8],
    /// What stands before the colon; nothing where there is no colon.
    pub name: &'a [u8],
    /// What stands behind it, with the line end.
    pub value: &'a [u8],
}

impl<'a> RawField<'a> {
    /// The fields of a header, in their order. What is no field, the empty line that ends a header
    /// among it, has no name.
    pub fn all(header: &'a [u8]) -> impl Iterator<Item = RawField<'a>> {
        let mut rest = header;
        std::iter::from_fn(move || {
            let (raw, behind) = first(rest)?;
            rest = behind;
            let (name, value) = match memchr(b':', raw) {
                Some(colon) => (raw[..colon].trim_ascii_end(), &raw[colon + 1..]),
                None => (&raw[..0], raw),
            };
            Some(RawField { raw, name, value })
        })
    }

    /// Whether it is this one; names have no case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The header without the fields of this name; all other octets stay.
pub fn without_fields<'a>(name: &str, header: &'a [u8]) -> Cow<'a, [u8]> {
    if !RawField::all(header).any(|field| field.is(name)) {
        return Cow::Borrowed(header);
    }
    let kept = RawField::all(header).filter(|field| !field.is(name));
    Cow::Owned(kept.flat_map(|field| field.raw).copied().collect())
}

/// The first line with the lines that continue it, and what follows.
fn first(header: &[u8]) -> Option<(&[u8], &[u8])> {
    if header.is_empty() {
        return None;
    }
    let goes_on = |end: &usize| matches!(header.get(end + 1), Some(b' ' | b'\t'));
    let end = memchr_iter(b'\n', header).find(|end| !goes_on(end));
    Some(header.split_at(end.map_or(header.len(), |end| end + 1)))
}
