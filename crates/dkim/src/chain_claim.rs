use aws_lc_rs::digest::{Context, Digest, SHA256};
use mail::Domain;

use crate::arc_set::{ArcSet, arc_sets};
use crate::canonicalization::relax;
use crate::chain::{ChainReason, Link};
use crate::claim::{Bodies, Claim, SIGNATURES_MAX};
use crate::header::Header;
use crate::seal::{Seal, Status};
use crate::signature::Signature;
use crate::{Reason, Signatory};

/// A chain that may hold, or why it does not.
pub(crate) struct ChainClaim {
    /// Who passed the message on, from the first.
    pub links: Vec<Link>,
    pub claim: Result<Sealed, ChainReason>,
}

/// What has to be verified of a chain.
pub(crate) struct Sealed {
    /// The seals, from the first.
    pub seals: Vec<SealClaim>,
    /// The signatures of the message, from the last instance back. The last has to be good; those
    /// before it tell since when the message is as it has come here.
    pub messages: Vec<Result<Claim, Reason>>,
}

/// A seal that may be good.
pub(crate) struct SealClaim {
    pub seal: Seal,
    /// Of all that it covers.
    pub hash: Digest,
}

impl ChainClaim {
    /// What a header says; the bodies that have to be hashed for it are added to `bodies`.
    pub fn of(header: &Header<'_>, bodies: &mut Bodies) -> Self {
        let mut links = Vec::new();
        let claim = sealed(header, bodies, &mut links);
        Self { links, claim }
    }

    /// The names of all keys that it takes.
    pub fn key_names(&self) -> impl Iterator<Item = &Domain> {
        let sealed = self.claim.iter();
        sealed.flat_map(|sealed| {
            let seals = sealed.seals.iter().map(|one| &one.seal.key_name);
            let messages = sealed.messages.iter().filter_map(|one| one.as_ref().ok());
            seals.chain(messages.map(|claim| &claim.signature.key_name))
        })
    }
}

fn sealed(
    header: &Header<'_>,
    bodies: &mut Bodies,
    links: &mut Vec<Link>,
) -> Result<Sealed, ChainReason> {
    let sets = arc_sets(header)?;
    if sets.is_empty() {
        return Err(ChainReason::Absent);
    }
    let seals = seals(&sets)?;
    links.extend(seals.iter().zip(&sets).map(|(one, set)| Link {
        sealer: one.seal.domain.clone(),
        results: set.said.into(),
    }));
    check_statuses(&seals)?;
    let newest = sets.iter().rev().take(SIGNATURES_MAX);
    let messages = newest.map(|set| message(header, set, bodies)).collect();
    Ok(Sealed { seals, messages })
}

/// The seals with the hash of what each covers (RFC 8617 section 5.1.1): all sets up to its own, in
/// the order in which they were added, in the relaxed form, and itself without the value of `b=`.
fn seals(sets: &[ArcSet<'_, '_>]) -> Result<Vec<SealClaim>, ChainReason> {
    let mut before = Context::new(&SHA256);
    let mut seals = Vec::with_capacity(sets.len());
    for (set, instance) in sets.iter().zip(1..) {
        let seal = Seal::read(&set.seal_tags);
        let seal = seal.map_err(|reason| ChainReason::Seal { instance, reason })?;
        let mut text = Vec::new();
        for field in [set.results, set.message] {
            relax(field.name, field.value, &mut text);
            text.extend(b"\r\n");
        }
        before.update(&text);
        let (value, signed) = (set.seal.value, &seal.signed_place);
        let unsigned = [&value[..signed.start], &value[signed.end..]].concat();
        text.clear();
        relax(set.seal.name, &unsigned, &mut text);
        let mut own = before.clone();
        own.update(&text);
        text.clear();
        relax(set.seal.name, value, &mut text);
        text.extend(b"\r\n");
        before.update(&text);
        seals.push(SealClaim {
            seal,
            hash: own.finish(),
        });
    }
    Ok(seals)
}

/// RFC 8617 section 5.2, steps 2 and 3: "none" of the first, "pass" of each other.
fn check_statuses(seals: &[SealClaim]) -> Result<(), ChainReason> {
    if seals
        .last()
        .is_some_and(|one| one.seal.status == Status::Fail)
    {
        return Err(ChainReason::BrokenBefore);
    }
    for (one, instance) in seals.iter().zip(1..) {
        let expected = if instance == 1 {
            Status::None
        } else {
            Status::Pass
        };
        if one.seal.status != expected {
            return Err(ChainReason::Status { instance });
        }
    }
    Ok(())
}

fn message(
    header: &Header<'_>,
    set: &ArcSet<'_, '_>,
    bodies: &mut Bodies,
) -> Result<Claim, Reason> {
    let signatory = Signatory::of_chain(&set.message_tags);
    let signature = Signature::read_of_chain(&set.message_tags, &signatory)?;
    Ok(Claim::of(header, set.message_place, signature, bodies))
}
