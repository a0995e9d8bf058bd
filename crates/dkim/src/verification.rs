use std::collections::BTreeMap;

use aws_lc_rs::digest::Digest;
use mail::{Domain, Timestamp};
use message::RawField;

use crate::body_hash::{BodyHash, HashedBody};
use crate::header::Header;
use crate::signature::Signature;
use crate::tag_list::TagList;
use crate::{DkimResult, KeyRecord, Reason, Signatory};

/// Signatures of one message that are looked at, from the top; each costs hashing the header, a
/// question to DNS, and a computation with a stranger's key.
pub const SIGNATURES_MAX: usize = 8;

/// Clocks differ: a signature counts so many seconds after its end and before its beginning.
pub const GRACE_SECONDS: u64 = 300;

/// Reads a message whose signatures are to be verified: first its header, then its body.
pub struct Verifier {
    candidates: Vec<Candidate>,
    bodies: Vec<BodyHash>,
    passed_over: usize,
}

/// A signature that was found.
struct Candidate {
    signatory: Signatory,
    /// What has to be verified, or why nothing has to.
    claim: Result<Claim, Reason>,
}

/// A signature that may be good.
struct Claim {
    signature: Signature,
    header_hash: Digest,
    /// Which of the bodies is its own: several signatures may hash it alike.
    body: usize,
}

/// The signatures of a message that was read; their keys are asked for.
pub struct Verification {
    candidates: Vec<Candidate>,
    bodies: Vec<HashedBody>,
    passed_over: usize,
    now: Timestamp,
    keys: BTreeMap<Domain, Answer>,
}

/// What DNS says of the TXT records of a name.
#[derive(Debug, Clone)]
pub enum Answer {
    /// These, each with its strings joined; none where there is no such name.
    Texts(Vec<Box<str>>),
    /// It did not say.
    CannotTell,
}

/// What a [`Verification`] needs, or has found.
#[derive(Debug)]
pub enum Step {
    /// The TXT records of this name.
    Ask(Domain),
    /// One for each signature that was looked at, from the top; of a message without any, none.
    Done(Vec<VerifiedSignature>),
}

/// What came of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// Who has signed, or is said to have.
    pub signatory: Signatory,
    /// Why the result is what it is.
    pub reason: Reason,
    /// The domain only tries signing out (`t=y`): the message is to be treated as if this
    /// signature were not there (RFC 6376 section 3.6.1).
    pub is_testing: bool,
}

impl VerifiedSignature {
    /// What came of it.
    pub fn result(&self) -> DkimResult {
        self.reason.result()
    }
}

impl Verifier {
    /// Takes the header of a message, with or without the empty line behind it. It is not kept, but
    /// takes some ten times its own memory at worst while it is looked at: the caller bounds it.
    pub fn new(header: &[u8]) -> Self {
        let header = Header::new(header);
        let mut verifier = Self {
            candidates: Vec::new(),
            bodies: Vec::new(),
            passed_over: 0,
        };
        for (place, field) in header.signatures() {
            if verifier.candidates.len() == SIGNATURES_MAX {
                verifier.passed_over += 1;
                continue;
            }
            let candidate = verifier.candidate(&header, place, field);
            verifier.candidates.push(candidate);
        }
        verifier
    }

    fn candidate(&mut self, header: &Header<'_>, place: usize, field: &RawField<'_>) -> Candidate {
        let Some(tags) = TagList::parse(field.value) else {
            return Candidate {
                signatory: Signatory::default(),
                claim: Err(Reason::BadSignature("it is no list of tags")),
            };
        };
        let signatory = Signatory::of(&tags);
        let signature = Signature::read(&tags, &signatory);
        Candidate {
            claim: signature.map(|signature| self.claim(header, place, signature)),
            signatory,
        }
    }

    fn claim(&mut self, header: &Header<'_>, place: usize, signature: Signature) -> Claim {
        let (form, limit) = (signature.body_form, signature.body_len);
        let known = self.bodies.iter().position(|body| body.is_of(form, limit));
        let body = known.unwrap_or_else(|| {
            self.bodies.push(BodyHash::new(form, limit));
            self.bodies.len() - 1
        });
        Claim {
            header_hash: header.signed_hash(place, &signature),
            signature,
            body,
        }
    }

    /// The names that will be asked for, some of them twice, so that DNS can be asked while the
    /// body is still read.
    pub fn key_names(&self) -> impl Iterator<Item = &Domain> {
        let claims = self
            .candidates
            .iter()
            .filter_map(|one| one.claim.as_ref().ok());
        claims.map(|claim| &claim.signature.key_name)
    }

    /// Whether it has to see the body; without a signature that may be good, it does not.
    pub fn wants_body(&self) -> bool {
        !self.bodies.is_empty()
    }

    /// Takes the next piece of the body, cut anywhere.
    pub fn push(&mut self, piece: &[u8]) {
        for body in &mut self.bodies {
            body.push(piece);
        }
    }

    /// The message is whole.
    pub fn finish(self, now: Timestamp) -> Verification {
        Verification {
            candidates: self.candidates,
            bodies: self.bodies.into_iter().map(BodyHash::finish).collect(),
            passed_over: self.passed_over,
            now,
            keys: BTreeMap::new(),
        }
    }
}

impl Verification {
    /// What is needed now, or what came of all signatures.
    pub fn step(&self) -> Step {
        let mut verified = Vec::new();
        for candidate in &self.candidates {
            let outcome = match &candidate.claim {
                Err(reason) => Err(*reason),
                Ok(claim) => {
                    let name = &claim.signature.key_name;
                    let Some(answer) = self.keys.get(name) else {
                        return Step::Ask(name.clone());
                    };
                    self.judge(claim, answer)
                }
            };
            let (reason, is_testing) = outcome.unwrap_or_else(|reason| (reason, false));
            verified.push(VerifiedSignature {
                signatory: candidate.signatory.clone(),
                reason,
                is_testing,
            });
        }
        Step::Done(verified)
    }

    /// Takes what DNS says of a name.
    pub fn on_answer(&mut self, name: Domain, answer: Answer) {
        self.keys.insert(name, answer);
    }

    /// How many signatures were not looked at, as there are more than [`SIGNATURES_MAX`].
    pub fn passed_over(&self) -> usize {
        self.passed_over
    }

    /// What comes of a signature by what is published, and whether its domain only tries.
    fn judge(&self, claim: &Claim, answer: &Answer) -> Result<(Reason, bool), Reason> {
        let record = match answer {
            Answer::CannotTell => return Err(Reason::CannotTell),
            Answer::Texts(texts) => KeyRecord::find(texts)?,
        };
        let reason = self.verify(claim, &record).unwrap_or_else(|reason| reason);
        Ok((reason, record.is_testing))
    }

    fn verify(&self, claim: &Claim, record: &KeyRecord) -> Result<Reason, Reason> {
        let (signature, body) = (&claim.signature, &self.bodies[claim.body]);
        record.check(signature.algorithm, signature.is_for_subdomain)?;
        self.check_time(signature)?;
        let signed = signature.body_len.unwrap_or(body.len);
        if signed > body.len {
            return Err(Reason::BodyShorterThanSigned);
        }
        if body.digest.as_ref() != signature.body_hash {
            return Err(Reason::BodyChanged);
        }
        record.key.verify(&claim.header_hash, &signature.signed)?;
        // What comes behind the signed part could be anything that a reader takes for the message.
        Ok(if signed < body.len {
            Reason::PartOfBody {
                signed,
                whole: body.len,
            }
        } else {
            Reason::Good
        })
    }

    fn check_time(&self, signature: &Signature) -> Result<(), Reason> {
        let now = self.now.as_secs();
        let is_past = |end: u64| now > end.saturating_add(GRACE_SECONDS);
        let is_future = |start: u64| start > now.saturating_add(GRACE_SECONDS);
        if signature.ends.is_some_and(is_past) {
            Err(Reason::Expired)
        } else if signature.made.is_some_and(is_future) {
            Err(Reason::FromTheFuture)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
