#![allow(
    clippy::disallowed_methods,
    reason = "whoever could choose a salt or a nonce could undo what it is for"
)]

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;

/// Octets that nobody knows beforehand: for salts, nonces and the seed of decoys.
pub(crate) fn octets<const N: usize>() -> Result<[u8; N], Unspecified> {
    let mut octets = [0; N];
    rand::fill(&mut octets)?;
    Ok(octets)
}
