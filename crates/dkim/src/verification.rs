use std::collections::BTreeMap;

use mail::{Domain, Timestamp};
use message::RawField;

use crate::body_hash::HashedBody;
use crate::chain::{Chain, ChainReason};
use crate::chain_claim::{ChainClaim, SealClaim, Sealed};
use crate::claim::{Bodies, Claim, SIGNATURES_MAX};
use crate::header::Header;
use crate::signature::Signature;
use crate::tag_list::TagList;
use crate::{DkimResult, KeyRecord, Reason, Signatory};

/// Clocks differ: a signature counts so many seconds after its end and before its beginning.
pub const GRACE_SECONDS: u64 = 300;

/// What of a message is to be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sought {
    /// Its signatures.
    pub signatures: bool,
    /// The chain of those who passed it on (ARC).
    pub chain: bool,
}

impl Sought {
    /// Its signatures alone.
    pub const SIGNATURES: Self = Self {
        signatures: true,
        chain: false,
    };
    /// The chain alone.
    pub const CHAIN: Self = Self {
        signatures: false,
        chain: true,
    };
}

/// Reads a message whose signatures are to be verified: first its header, then its body.
pub struct Verifier {
    candidates: Vec<Candidate>,
    chain: Option<ChainClaim>,
    bodies: Bodies,
    passed_over: usize,
}

/// A signature that was found.
struct Candidate {
    signatory: Signatory,
    /// What has to be verified, or why nothing has to.
    claim: Result<Claim, Reason>,
}

/// The signatures of a message that was read; their keys are asked for.
pub struct Verification {
    candidates: Vec<Candidate>,
    chain: Option<ChainClaim>,
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
    /// What came of all that was sought.
    Done(Verified),
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// One for each signature that was looked at, from the top; of a message without any, none.
    pub signatures: Vec<VerifiedSignature>,
    /// The chain, where it was sought.
    pub chain: Option<Chain>,
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
    pub fn new(header: &[u8], sought: Sought) -> Self {
        let header = Header::new(header);
        let mut verifier = Self {
            candidates: Vec::new(),
            chain: None,
            bodies: Bodies::default(),
            passed_over: 0,
        };
        if sought.signatures {
            verifier.take_signatures(&header);
        }
        if sought.chain {
            verifier.chain = Some(ChainClaim::of(&header, &mut verifier.bodies));
        }
        verifier
    }

    fn take_signatures(&mut self, header: &Header<'_>) {
        for (place, field) in header.signatures() {
            if self.candidates.len() == SIGNATURES_MAX {
                self.passed_over += 1;
                continue;
            }
            let candidate = self.candidate(header, place, field);
            self.candidates.push(candidate);
        }
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
        let bodies = &mut self.bodies;
        Candidate {
            claim: signature.map(|signature| Claim::of(header, place, signature, bodies)),
            signatory,
        }
    }

    /// The names that will be asked for, some of them twice, so that DNS can be asked while the
    /// body is still read.
    pub fn key_names(&self) -> impl Iterator<Item = &Domain> {
        let claims = self
            .candidates
            .iter()
            .filter_map(|one| one.claim.as_ref().ok());
        let names = claims.map(|claim| &claim.signature.key_name);
        names.chain(self.chain.iter().flat_map(ChainClaim::key_names))
    }

    /// Whether it has to see the body; without a signature that may be good, it does not.
    pub fn wants_body(&self) -> bool {
        !self.bodies.is_empty()
    }

    /// Takes the next piece of the body, cut anywhere.
    pub fn push(&mut self, piece: &[u8]) {
        self.bodies.push(piece);
    }

    /// The message is whole.
    pub fn finish(self, now: Timestamp) -> Verification {
        Verification {
            candidates: self.candidates,
            chain: self.chain,
            bodies: self.bodies.finish(),
            passed_over: self.passed_over,
            now,
            keys: BTreeMap::new(),
        }
    }
}

impl Verification {
    /// What is needed now, or what came of all signatures.
    pub fn step(&self) -> Step {
        match self.verified() {
            Ok(verified) => Step::Done(verified),
            Err(Unknown(name)) => Step::Ask(name),
        }
    }

    fn verified(&self) -> Result<Verified, Unknown> {
        let signatures = self.candidates.iter().map(|one| self.signature(one));
        Ok(Verified {
            signatures: signatures.collect::<Result<_, _>>()?,
            chain: self.chain.as_ref().map(|one| self.chain(one)).transpose()?,
        })
    }

    fn signature(&self, candidate: &Candidate) -> Result<VerifiedSignature, Unknown> {
        let outcome = match &candidate.claim {
            Err(reason) => Err(*reason),
            Ok(claim) => self.judge(claim, self.answer(&claim.signature.key_name)?),
        };
        let (reason, is_testing) = outcome.unwrap_or_else(|reason| (reason, false));
        Ok(VerifiedSignature {
            signatory: candidate.signatory.clone(),
            reason,
            is_testing,
        })
    }

    fn chain(&self, chain: &ChainClaim) -> Result<Chain, Unknown> {
        let (reason, oldest_pass) = match &chain.claim {
            Err(reason) => (*reason, None),
            Ok(sealed) => self.sealed(sealed)?,
        };
        Ok(Chain {
            reason,
            links: chain.links.clone(),
            oldest_pass,
        })
    }

    /// RFC 8617 section 5.2, steps 4 to 7; and the first instance that signed the message as it is.
    fn sealed(&self, sealed: &Sealed) -> Result<(ChainReason, Option<usize>), Unknown> {
        let mut messages = Vec::new();
        for claim in &sealed.messages {
            let judged = match claim {
                Err(reason) => Err(*reason),
                Ok(claim) => self.judge(claim, self.answer(&claim.signature.key_name)?),
            };
            messages.push(judged.map_or_else(|reason| reason, |(reason, _)| reason));
        }
        let count = sealed.seals.len();
        match messages.first() {
            Some(Reason::Good) | None => {}
            Some(reason) => {
                let (instance, reason) = (count, *reason);
                return Ok((ChainReason::Message { instance, reason }, None));
            }
        }
        for (at, one) in sealed.seals.iter().enumerate().rev() {
            if let Err(reason) = judge_seal(one, self.answer(&one.seal.key_name)?) {
                let instance = at + 1;
                return Ok((ChainReason::Seal { instance, reason }, None));
            }
        }
        let changed = messages.iter().position(|reason| *reason != Reason::Good);
        let oldest_pass = match changed {
            Some(at) if messages[at] == Reason::CannotTell => None,
            Some(at) => Some(count - at + 1),
            None if messages.len() == count => Some(0),
            None => None,
        };
        Ok((ChainReason::Good, oldest_pass))
    }

    fn answer(&self, name: &Domain) -> Result<&Answer, Unknown> {
        self.keys.get(name).ok_or_else(|| Unknown(name.clone()))
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
        let record = record(answer)?;
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

/// The name of which DNS was not asked yet.
struct Unknown(Domain);

fn record(answer: &Answer) -> Result<KeyRecord, Reason> {
    match answer {
        Answer::CannotTell => Err(Reason::CannotTell),
        Answer::Texts(texts) => KeyRecord::find(texts),
    }
}

fn judge_seal(claim: &SealClaim, answer: &Answer) -> Result<(), Reason> {
    let record = record(answer)?;
    record.check(claim.seal.algorithm, false)?;
    record.key.verify(&claim.hash, &claim.seal.signed)
}

#[cfg(test)]
mod tests;
