use std::collections::HashMap;

use aws_lc_rs::digest::{Digest, SHA256, digest};
use message::RawField;

use crate::canonicalization::{Canonicalization, relax};
use crate::signature::{FIELD, Signature};

/// The fields of a header, found by name.
pub(crate) struct Header<'a> {
    fields: Vec<RawField<'a>>,
    /// Where the fields of each name stand, which is in lower case. Without it, a header of many
    /// fields and a signature of many names would take the product of both.
    places: HashMap<Vec<u8>, Vec<usize>>,
}

impl<'a> Header<'a> {
    pub fn new(octets: &'a [u8]) -> Self {
        let fields: Vec<RawField> = RawField::all(octets).collect();
        let mut places: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (place, field) in fields.iter().enumerate() {
            places
                .entry(field.name.to_ascii_lowercase())
                .or_default()
                .push(place);
        }
        Self { fields, places }
    }

    /// How many fields have this name, which is in lower case.
    pub fn count(&self, name: &str) -> usize {
        self.places(name.as_bytes()).len()
    }

    /// The signatures with their places, from the top.
    pub fn signatures(&self) -> impl Iterator<Item = (usize, &RawField<'a>)> {
        self.all(&FIELD.to_ascii_lowercase())
    }

    /// The fields with this name, which is in lower case, with their places, from the top.
    pub fn all(&self, name: &str) -> impl Iterator<Item = (usize, &RawField<'a>)> + use<'a, '_> {
        let places = self.places(name.as_bytes()).iter();
        places.map(|place| (*place, &self.fields[*place]))
    }

    fn places(&self, name: &[u8]) -> &[usize] {
        self.places.get(name).map_or(&[], Vec::as_slice)
    }

    /// The fields with these names, which are in lower case. RFC 6376 section 5.4.2: each name
    /// stands for one field, from the bottom up; where there is none left, for nothing. The
    /// signature itself, which stands at a place, is none of them (section 3.5).
    fn select<'s>(
        &'s self,
        names: impl Iterator<Item = &'s [u8]>,
        own: Option<usize>,
    ) -> impl Iterator<Item = &'s RawField<'a>> {
        let mut unused: HashMap<&[u8], &[usize]> = HashMap::new();
        names.filter_map(move |name| {
            let left = unused.entry(name).or_insert_with(|| self.places(name));
            let mut last = left.split_off_last()?;
            if Some(*last) == own {
                last = left.split_off_last()?;
            }
            Some(&self.fields[*last])
        })
    }

    /// The fields with these names as they are hashed, one behind the other.
    pub fn canonical<'s>(
        &'s self,
        names: impl Iterator<Item = &'s [u8]>,
        own: Option<usize>,
        form: Canonicalization,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        for field in self.select(names, own) {
            match form {
                Canonicalization::Simple => out.extend(without_line_end(field.raw)),
                Canonicalization::Relaxed => relax(field.name, field.value, &mut out),
            }
            out.extend(b"\r\n");
        }
        out
    }

    /// What the signature at a place has signed (RFC 6376 section 3.7): the fields that it names,
    /// and itself without the value of `b=`.
    pub fn signed_hash(&self, place: usize, signature: &Signature) -> Digest {
        let (own, form) = (&self.fields[place], signature.header_form);
        let mut out = self.canonical(signature.names(), Some(place), form);
        let signed = &signature.signed_place;
        let value = [&own.value[..signed.start], &own.value[signed.end..]].concat();
        match form {
            Canonicalization::Simple => {
                out.extend(&own.raw[..own.raw.len() - own.value.len()]);
                out.extend(without_line_end(&value));
            }
            Canonicalization::Relaxed => relax(own.name, &value, &mut out),
        }
        digest(&SHA256, &out)
    }
}

fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_from_the_bottom_each_once() {
        let octets = b"To: 1\r\nDKIM-Signature: 2\r\nTO : 3\r\n\tx\r\nFrom: 4\r\nDKIM-Signature: 5\r\nnone\r\n";
        let header = Header::new(octets);
        let own = header.signatures().next().map(|(place, _)| place);
        let select = |names: &[&'static str]| {
            let names = names.iter().map(|name| name.as_bytes());
            let text = header.canonical(names, own, Canonicalization::Relaxed);
            String::from_utf8(text).expect("text")
        };
        assert_eq!(
            select(&["to", "from", "to", "to"]),
            "to:3 x\r\nfrom:4\r\nto:1\r\n"
        );
        let signature = "dkim-signature";
        assert_eq!(
            select(&[signature, signature, signature]),
            "dkim-signature:5\r\n"
        );
        assert_eq!(select(&["subject", "none"]), "");
    }

    #[test]
    fn many_fields_and_many_names_take_linear_time() {
        let octets = "a:\r\n".repeat(100_000);
        let header = Header::new(octets.as_bytes());
        let names = std::iter::repeat_n(&b"a"[..], 200_000);
        let text = header.canonical(names, None, Canonicalization::Relaxed);
        assert_eq!(text.len(), 400_000);
    }
}
