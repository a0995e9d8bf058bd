use aws_lc_rs::digest::Digest;

use crate::body_hash::{BodyHash, HashedBody};
use crate::header::Header;
use crate::signature::Signature;

/// Signatures of one message that are looked at, from the top; each costs hashing the header, a
/// question to DNS, and a computation with a stranger's key.
pub const SIGNATURES_MAX: usize = 8;

/// A signature that may be good.
pub(crate) struct Claim {
    pub signature: Signature,
    pub header_hash: Digest,
    /// Which of the bodies is its own: several signatures may hash it alike.
    pub body: usize,
}

/// The body, hashed in each way that a signature wants.
#[derive(Default)]
pub(crate) struct Bodies(Vec<BodyHash>);

impl Bodies {
    /// Whether nobody has to see the body.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next piece of the body, cut anywhere.
    pub fn push(&mut self, piece: &[u8]) {
        for body in &mut self.0 {
            body.push(piece);
        }
    }

    /// The body is whole.
    pub fn finish(self) -> Vec<HashedBody> {
        self.0.into_iter().map(BodyHash::finish).collect()
    }

    /// Which of them is in this form; several signatures may hash it alike.
    fn of(&mut self, signature: &Signature) -> usize {
        let (form, limit) = (signature.body_form, signature.body_len);
        let known = self.0.iter().position(|body| body.is_of(form, limit));
        known.unwrap_or_else(|| {
            self.0.push(BodyHash::new(form, limit));
            self.0.len() - 1
        })
    }
}

impl Claim {
    /// Of a signature at a place of the header.
    pub fn of(
        header: &Header<'_>,
        place: usize,
        signature: Signature,
        bodies: &mut Bodies,
    ) -> Self {
        Self {
            header_hash: header.signed_hash(place, &signature),
            body: bodies.of(&signature),
            signature,
        }
    }
}
