//! Signatures by domains: DKIM (RFC 6376, with RFC 8301 and RFC 8463).
//!
//! Whoever runs a domain signs what it sends: a field on top of the message holds a hash of its
//! body and a signature of its header, and the key by which both can be verified stands in DNS,
//! below the domain. A [`Verifier`] reads a message as it comes, its body in pieces; the
//! [`Verification`] that follows asks for keys and says of each signature what came of it, with the
//! reason. A [`Signer`] signs for a domain, [`Signers`] knows who does for which, and a
//! [`PublishedKey`] is what has to stand in DNS for it. Who passes a message on may break its
//! signatures, and says in fields of its own what they had come to (ARC, RFC 8617); such a [`Chain`]
//! is verified by the same means, and none is made here.
//!
//! This crate computes and does nothing else: it reads no clock and asks no server. The memory that
//! it takes grows with the header and not with the body, its time is linear in both, and a message
//! costs a bounded number of computations with strangers' keys.

mod algorithm;
mod arc_set;
mod base64_text;
mod body_hash;
mod canonicalization;
mod chain;
mod chain_claim;
mod claim;
mod dkim_result;
mod folded;
mod header;
mod key_record;
mod private_key;
mod public_key;
mod published_key;
mod reason;
mod seal;
mod signatory;
mod signature;
mod signer;
mod signers;
mod tag_list;
mod verification;

pub use algorithm::Algorithm;
pub use body_hash::{BodyHash, HashedBody};
pub use canonicalization::Canonicalization;
pub use chain::{ArcResult, Chain, ChainReason, INSTANCES_MAX, Link};
pub use claim::SIGNATURES_MAX;
pub use dkim_result::DkimResult;
pub use key_record::KeyRecord;
pub use private_key::{KeyFault, PrivateKey};
pub use public_key::PublicKey;
pub use published_key::{Publication, PublishedKey};
pub use reason::Reason;
pub use signatory::Signatory;
pub use signer::{Signer, SigningFault};
pub use signers::{DomainSigner, Signers};
pub use verification::{
    Answer, GRACE_SECONDS, Sought, Step, Verification, Verified, VerifiedSignature, Verifier,
};
