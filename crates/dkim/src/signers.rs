use std::collections::HashMap;

use mail::{Domain, Place};

use crate::Signer;

/// Who signs for which domain. The default signs for none.
#[derive(Debug, Default)]
pub struct Signers(HashMap<Domain, DomainSigner>);

/// Who signs for a domain.
#[derive(Debug)]
pub struct DomainSigner {
    /// Who makes the signatures.
    pub signer: Signer,
    /// It signs for authors at the domains below as well.
    pub subdomains: bool,
    /// The line that says so.
    pub place: Place,
}

impl Signers {
    /// These; of two for one domain the last counts.
    pub fn new(all: impl IntoIterator<Item = DomainSigner>) -> Self {
        let by_domain = |one: DomainSigner| (one.signer.domain().clone(), one);
        Self(all.into_iter().map(by_domain).collect())
    }

    /// Whether nothing is signed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of them sign in so little time that others may wait for it.
    pub fn are_quick(&self) -> bool {
        self.0.values().all(|one| one.signer.is_quick())
    }

    /// Who signs for an author at this domain: its own signer, or that of the nearest domain above
    /// that signs for those below.
    pub fn of(&self, author: &Domain) -> Option<&DomainSigner> {
        let own = self.0.get(author);
        let mut above = std::iter::successors(author.parent(), Domain::parent);
        own.or_else(|| above.find_map(|domain| self.0.get(&domain).filter(|one| one.subdomains)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Algorithm, PrivateKey};

    #[test]
    fn the_nearest_signer_counts_that_signs_for_the_author() {
        let key = PrivateKey::generate(Algorithm::Ed25519Sha256).expect("a key");
        let (key, name) = (Arc::new(key), |text: &str| Domain::parse(text).expect(text));
        let signer = |domain: &str, subdomains| DomainSigner {
            signer: Signer::new(name(domain), name("k"), Arc::clone(&key)),
            subdomains,
            place: Place::Default,
        };
        let signers = Signers::new([
            signer("a.test", true),
            signer("x.a.test", false),
            signer("b.test", false),
        ]);
        for (author, expected) in [
            ("a.test", Some("a.test")),
            ("x.a.test", Some("x.a.test")),
            ("y.x.a.test", Some("a.test")),
            ("b.test", Some("b.test")),
            ("x.b.test", None),
            ("aa.test", None),
            ("test", None),
        ] {
            let found = signers.of(&name(author)).map(|one| one.signer.domain());
            assert_eq!(found.map(Domain::as_str), expected, "{author}");
        }
        assert!(Signers::default().is_empty() && !signers.is_empty());
    }
}
