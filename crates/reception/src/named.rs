use std::collections::BTreeSet;

use mail::Reply;

use crate::RefusedBy;

/// Whom a client named that takes a reply for each of them (PRDR), in the order of RCPT.
///
/// The envelope may have several recipients for one of them, to whom it is forwarded, and one for
/// several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named(Vec<Box<[usize]>>);

/// Why a message is refused for one whom its client named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the client hears.
    pub reply: Reply,
    /// The rule that refused it.
    pub by: RefusedBy,
}

impl Named {
    /// One more, for whom these are in the envelope, by their places.
    pub fn push(&mut self, places: Box<[usize]>) {
        self.0.push(places);
    }

    /// For each of them, by their places, who is in the envelope for it.
    pub(crate) fn places(&self) -> impl Iterator<Item = &[usize]> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// For each of them why it is refused, if it is: when everybody is who is in the envelope for it,
    /// as `of` says of each place.
    pub fn refusals(&self, of: impl Fn(usize) -> Option<Refusal>) -> Vec<Option<Refusal>> {
        let of_one = |places: &[usize]| {
            let all: Option<Vec<Refusal>> = places.iter().map(|at| of(*at)).collect();
            all?.into_iter().next()
        };
        self.places().map(of_one).collect()
    }

    /// Who is in the envelope only for those that are `refused`, one answer for each of them: their
    /// client knows that they get nothing.
    pub fn refused(&self, refused: &[Option<Refusal>]) -> BTreeSet<usize> {
        let places = |is_refused: bool| {
            let named = self.places().zip(refused);
            let named = named.filter(move |(_, refusal)| refusal.is_some() == is_refused);
            named.flat_map(|(places, _)| places.iter().copied())
        };
        let others: BTreeSet<usize> = places(false).collect();
        places(true).filter(|at| !others.contains(at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use mail::Place;

    use super::*;

    fn refusal(text: &'static str) -> Refusal {
        Refusal {
            reply: Reply::new(550, 7, 1, text),
            by: RefusedBy {
                place: Place::Default,
                why: "".into(),
            },
        }
    }

    #[test]
    fn who_gets_mail_for_somebody_else_as_well_is_not_refused() {
        let mut named = Named::default();
        for places in [&[0][..], &[1, 2], &[2], &[3, 0]] {
            named.push(places.into());
        }
        let texts = [Some("a"), None, Some("b"), Some("c")];
        let refusals = named.refusals(|at| texts[at].map(refusal));
        let expected = [Some("a"), None, Some("b"), Some("c")].map(|text| text.map(refusal));
        assert_eq!(refusals, expected);
        assert_eq!(named.refused(&refusals), BTreeSet::from([0, 3]));
        assert_eq!(named.refused(&[]), BTreeSet::new());
    }
}
