//! What those who check would say of a certificate of ours.

use std::path::Path;

use mail::Timestamp;
use rustls::pki_types::UnixTime;

use super::error::TlsError;
use super::files::{Authorities, certificates};
use super::verifier::{check_authorities, check_names};
use super::x509::Reading;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// When it ends.
    pub ends: Timestamp,
    /// Why others do not take it for the host.
    pub trouble: Option<String>,
}

/// Looks at the certificates in a file (PEM) as a client does that wants to talk to `host` and believes
/// the authorities of `authorities`, or those that everybody believes. The end is told apart: one that
/// is past is no trouble here.
///
/// # Errors
/// The file cannot be read.
pub fn judged(chain: &Path, host: &str, authorities: Option<&Path>) -> Result<Judged, String> {
    let chain_read = certificates(chain)?;
    let authorities =
        authorities.map_or_else(|| Ok(Authorities::well_known()), Authorities::load)?;
    let unreadable = || format!("{}: no certificate that can be read", chain.display());
    let Some((own, above)) = chain_read.split_first() else {
        return Err(unreadable());
    };
    let reading = Reading::of(own).ok_or_else(unreadable)?;
    let ends = u64::try_from(reading.ends()).unwrap_or(0);
    let ends = Timestamp::from_millis(ends.saturating_mul(1000));
    let checked = check_authorities(own, above, &authorities, UnixTime::now())
        .and_then(|()| check_names(own, &[host.into()]));
    let trouble = checked
        .err()
        .map(|error| TlsError::of_tls(&error).to_string());
    Ok(Judged { ends, trouble })
}
