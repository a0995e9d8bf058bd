use mail::{Domain, is_dangerous};

use crate::Algorithm;
use crate::tag_list::TagList;

/// Octets of `b=` that tell signatures apart.
const SIGNED_START_LEN: usize = 8;

/// Who a signature says it is by, whether or not the rest of it makes sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signatory {
    /// `d=`: the domain that signs.
    pub domain: Option<Domain>,
    /// `s=`: which of its keys.
    pub selector: Option<Domain>,
    /// `i=`: for whom it signs, as it is written; the domain where it is not. The text of a
    /// stranger, without blanks and control characters.
    pub identity: Option<Box<str>>,
    /// `a=`, where it is one that we know.
    pub algorithm: Option<Algorithm>,
    /// How `b=` begins, which tells the signatures of a message apart (RFC 6008).
    pub signed_start: Box<str>,
}

impl Signatory {
    /// As much as can be read.
    pub(crate) fn of(tags: &TagList<'_>) -> Self {
        let domain = |name| {
            let text = std::str::from_utf8(tags.value(name)?).ok()?;
            Domain::parse(text).ok()
        };
        let signs = domain("d");
        let everybody = || signs.as_ref().map(|domain| format!("@{domain}").into());
        let signed = tags.value("b").unwrap_or_default().iter();
        let signed = signed.filter(|b| b.is_ascii_graphic());
        Self {
            selector: domain("s"),
            identity: tags.value("i").map(identity).or_else(everybody),
            algorithm: tags.value("a").and_then(Algorithm::parse),
            signed_start: signed
                .take(SIGNED_START_LEN)
                .map(|b| char::from(*b))
                .collect(),
            domain: signs,
        }
    }

    /// As much as can be read of a field of a chain, where `i=` is a number.
    pub(crate) fn of_chain(tags: &TagList<'_>) -> Self {
        Self {
            identity: None,
            ..Self::of(tags)
        }
    }

    /// The domain that `i=` is of.
    pub(crate) fn host(&self) -> Option<Domain> {
        let (_, host) = self.identity.as_ref()?.rsplit_once('@')?;
        Domain::parse(host).ok()
    }
}

fn identity(value: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(value);
    let shown = |c: &char| !c.is_whitespace() && !is_dangerous(*c);
    text.chars().filter(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Signatory {
        Signatory::of(&TagList::parse(text.as_bytes()).expect("a list"))
    }

    #[test]
    fn what_strangers_write_can_stand_in_a_field_and_a_log() {
        let signatory =
            of("i=a=0D=0Ab\r\n c\u{85}\u{202e}@X.example; d=B.example; s=k\r\n l; b=A\r\n B");
        assert_eq!(signatory.identity.as_deref(), Some("a=0D=0Abc@X.example"));
        assert_eq!(
            signatory.host().as_ref().map(Domain::as_str),
            Some("x.example")
        );
        assert_eq!(
            signatory.domain.as_ref().map(Domain::as_str),
            Some("b.example")
        );
        assert_eq!(signatory.selector, None, "no name holds a blank");
        assert_eq!(&*signatory.signed_start, "AB");
    }

    #[test]
    fn without_an_identity_it_is_everybody_of_the_domain() {
        let signatory = of("d=b.example; b=ABCDEFGHIJ");
        assert_eq!(signatory.identity.as_deref(), Some("@b.example"));
        assert_eq!(&*signatory.signed_start, "ABCDEFGH");
        assert_eq!(of("a=x"), Signatory::default());
    }
}
