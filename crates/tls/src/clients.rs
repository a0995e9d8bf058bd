//! What the names in a client's certificate are worth. Never whether it may connect: that needs no
//! certificate, good or bad.

use std::path::Path;
use std::sync::Arc;

use mail::Trust;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, RootCertStore};

use super::checked::check_path;
use super::files::Authorities;
use super::provider;
use super::x509::Reading;

/// Whose signatures make a client's names count.
#[derive(Debug, Clone)]
pub(super) enum Vouching {
    /// Nobody's: `tls.client_ca` is not set, so that no name in a certificate counts.
    Nobody,
    /// Those of `tls.client_ca`.
    By(Arc<Vouchers>),
}

/// The authorities of `tls.client_ca`.
#[derive(Debug)]
pub(super) struct Vouchers {
    for_clients: Arc<dyn ClientCertVerifier>,
    roots: Arc<RootCertStore>,
    /// A certificate for servers alone is as good.
    servers_count: bool,
}

impl Vouching {
    /// Reads the authorities.
    ///
    /// # Errors
    /// A text that names the file: it cannot be used, or holds a public authority, of which
    /// anybody gets a certificate for a server.
    pub(super) fn load(tls: &config::Tls) -> Result<Self, String> {
        let Some(path) = &tls.client_ca else {
            return Ok(Self::Nobody);
        };
        let authorities = Authorities::load(path)?;
        if tls.client_ca_server_purpose && authorities.hold_public() {
            return Err(public_among(path));
        }
        let roots = Arc::clone(&authorities.roots);
        let built = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider()));
        let for_clients = built
            .build()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self::By(Arc::new(Vouchers {
            for_clients,
            roots: authorities.roots,
            servers_count: tls.client_ca_server_purpose,
        })))
    }

    /// Judged after each handshake, also after one that takes up an older session: the chain may
    /// have ended in between.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Trust {
        match (self, chain) {
            (_, [own, ..]) if !is_provable(own) => Trust::Unproven,
            (Self::Nobody, _) | (Self::By(_), []) => Trust::Unknown,
            (Self::By(vouchers), [own, above @ ..]) => vouchers.judge(own, above, UnixTime::now()),
        }
    }
}

fn public_among(path: &Path) -> String {
    format!(
        "{}: public authorities are in it, and with client_ca_server_purpose everybody's certificate is one of theirs: \
         pin the client's key in relay.certificates (\"spki:sha256:...\", as `gatepost cert fingerprint` prints it), \
         or name an authority of your own",
        path.display()
    )
}

impl Vouchers {
    fn judge(
        &self,
        own: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Trust {
        let Some(reading) = Reading::of(own) else {
            return Trust::Unknown;
        };
        let as_server = |at| check_path(own, above, &self.roots, at).is_ok();
        match self.vouch(own, above, now) {
            Ok(()) => Trust::Ok,
            Err(_) if as_server(now) => Trust::OtherPurpose,
            Err(error) if is_of_time(&error) => {
                let then = at_its_time(&reading, now);
                let was_good = self.vouch(own, above, then).is_ok();
                if was_good {
                    Trust::Expired
                } else {
                    Trust::Unknown
                }
            }
            Err(_) if reading.is_version_1() => Trust::Version1,
            Err(_) if reading.is_authority() => Trust::Authority,
            Err(_) => Trust::Unknown,
        }
    }

    fn vouch(
        &self,
        own: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        at: UnixTime,
    ) -> Result<(), rustls::Error> {
        match self.for_clients.verify_client_cert(own, above, at) {
            Ok(_) => Ok(()),
            Err(_) if self.servers_count => check_path(own, above, &self.roots, at),
            Err(error) => Err(error),
        }
    }
}

/// Whether a handshake proves that the client has the certificate's key. Where it cannot, it goes
/// on, and the certificate counts for nothing.
pub(super) fn is_provable(own: &CertificateDer<'_>) -> bool {
    Reading::of(own).is_none_or(|own| own.is_provable())
}

/// The moment nearest to `now` at which a certificate is valid.
fn at_its_time(reading: &Reading<'_>, now: UnixTime) -> UnixTime {
    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
    let (begins, ends) = (seconds(reading.begins()), seconds(reading.ends()));
    let nearest = now.as_secs().max(begins).min(ends);
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(nearest))
}

fn is_of_time(error: &rustls::Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }
        )
    )
}
