use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::{CertificateFiles, Config, Delivery};
use mail::{Place, TlsFacts, Trust};
use route::{DemandedBy, Hop, Security};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, version};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::checked::Checked;
use super::error::{TlsError, within};
use super::files::{self, Authorities};
use super::verifier::{AnyCertificate, Demand, Judge};
use super::{TlsProblem, facts, provider};
use crate::Stream;

/// How one connection is to be encrypted.
#[derive(Debug, Clone, Copy)]
pub struct How<'a> {
    /// What is demanded. [`Security::None`] demands as little as [`Security::Opportunistic`];
    /// whoever means it does not ask for a handshake.
    pub security: &'a Security,
    /// The host's name, given by SNI (by DANE the TLSA base domain instead); an address is not
    /// given.
    pub host: &'a str,
    /// Whose signatures count where names are verified, as in [`Delivery`]; `None`: those that
    /// everybody trusts.
    pub ca: Option<&'a Path>,
    /// The certificate that we show when the server asks for one, as in [`Delivery`].
    pub certificate: Option<&'a CertificateFiles>,
}

/// How we begin handshakes: made from the configuration, with every file that it names.
#[derive(Debug)]
pub struct Connector {
    /// For whatever certificate.
    opportunistic: Arc<ClientConfig>,
    well_known: Authorities,
    authorities: HashMap<PathBuf, Authorities>,
    certificates: HashMap<PathBuf, Arc<CertifiedKey>>,
}

impl Connector {
    /// Reads the authorities and certificates that the routes of `config` name.
    ///
    /// # Errors
    /// All files that cannot be used.
    pub fn configured(config: &Config) -> Result<Self, Vec<TlsProblem>> {
        // What holds for hosts of routes that say nothing of their own.
        let everybody = Delivery {
            ca: config.outbound.ca.clone(),
            ..Delivery::default()
        };
        Self::load(config.deliveries.values().chain([&everybody]))
    }

    /// Reads the authorities and certificates that `deliveries` name.
    ///
    /// # Errors
    /// All files that cannot be used.
    pub fn load<'a>(
        deliveries: impl IntoIterator<Item = &'a Delivery>,
    ) -> Result<Self, Vec<TlsProblem>> {
        let mut connector = Self {
            opportunistic: Arc::new(opportunistic()),
            well_known: Authorities::well_known(),
            authorities: HashMap::new(),
            certificates: HashMap::new(),
        };
        let mut problems = Vec::new();
        for delivery in deliveries {
            problems.extend(connector.learn(delivery));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(connector)
    }

    fn learn(&mut self, delivery: &Delivery) -> Vec<TlsProblem> {
        let mut problems = Vec::new();
        if let Some(path) = &delivery.ca
            && !self.authorities.contains_key(path)
        {
            match Authorities::load(path) {
                Ok(loaded) => drop(self.authorities.insert(path.clone(), loaded)),
                Err(message) => problems.push(at(&Place::Default, message)),
            }
        }
        if let Some(files) = &delivery.certificate
            && !self.certificates.contains_key(&files.chain)
        {
            match files::certified_key(files) {
                Ok(key) => drop(self.certificates.insert(files.chain.clone(), Arc::new(key))),
                Err(message) => problems.push(at(&files.place, message)),
            }
        }
        problems
    }

    /// Shakes hands with `hop` as the site that mail goes to demands, and holds it to that.
    ///
    /// # Errors
    /// As for [`Connector::connect`].
    pub async fn secure(
        &self,
        socket: TcpStream,
        config: &Config,
        site: &str,
        hop: &Hop,
        limit: Duration,
    ) -> Result<(Stream, TlsFacts), TlsError> {
        let delivery = config.deliveries.get(site);
        let ca = delivery.and_then(|delivery| delivery.ca.as_deref());
        let how = How {
            security: &hop.security,
            host: &hop.name,
            ca: ca.or(config.outbound.ca.as_deref()),
            certificate: delivery.and_then(|delivery| delivery.certificate.as_ref()),
        };
        let (stream, facts, _) = match hop.demanded_by {
            DemandedBy::MtaStsTesting { .. } => self.try_out(socket, &how, limit).await?,
            DemandedBy::Configuration | DemandedBy::Dane | DemandedBy::MtaSts => {
                self.connect(socket, &how, limit).await?
            }
        };
        Ok((stream, facts))
    }

    /// Begins a handshake and holds the server to what is demanded: when it ends well, the demand
    /// is met. No session is taken up again, so each connection is judged by what was shown on it.
    ///
    /// # Errors
    /// [`TlsError::NotTrusted`]: it would be encrypted, but not to whom was demanded. All others:
    /// there is no encryption.
    pub async fn connect(
        &self,
        socket: TcpStream,
        how: &How<'_>,
        limit: Duration,
    ) -> Result<(Stream, TlsFacts, Checked), TlsError> {
        let judge = self.judge(how)?;
        let verifier = judge
            .clone()
            .map(|judge| judge as Arc<dyn ServerCertVerifier>);
        let stream = self.shake_hands(socket, how, verifier, limit).await?;
        let checked = match judge {
            None => Checked::Nothing,
            Some(judge) => judge.convinced().ok_or_else(TlsError::no_certificate)?,
        };
        let facts = facts(stream.get_ref().1, |_| trust(checked != Checked::Nothing));
        Ok((Stream::Tls(Box::new(stream.into())), facts, checked))
    }

    /// The same, and where no certificate is demanded it is noted whether this one would have been
    /// good: the facts call it trusted when it is for [`How::host`] and leads to an authority. What
    /// is only tried out keeps nothing back.
    ///
    /// # Errors
    /// As for [`Connector::connect`].
    pub async fn try_out(
        &self,
        socket: TcpStream,
        how: &How<'_>,
        limit: Duration,
    ) -> Result<(Stream, TlsFacts, Checked), TlsError> {
        let demanded = self.judge(how)?.is_some();
        let authorities = self.authorities(how).ok().filter(|_| !demanded);
        let Some(authorities) = authorities else {
            return self.connect(socket, how, limit).await;
        };
        let onlooker = Arc::new(Judge::onlooker(Demand::Names {
            names: Arc::from([Box::from(how.host)]),
            authorities,
        }));
        let verifier = Arc::clone(&onlooker) as Arc<dyn ServerCertVerifier>;
        let stream = self.shake_hands(socket, how, Some(verifier), limit).await?;
        let facts = facts(stream.get_ref().1, |_| {
            trust(onlooker.convinced().is_some())
        });
        let stream = Stream::Tls(Box::new(stream.into()));
        Ok((stream, facts, Checked::Nothing))
    }

    async fn shake_hands(
        &self,
        socket: TcpStream,
        how: &How<'_>,
        verifier: Option<Arc<dyn ServerCertVerifier>>,
        limit: Duration,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let name = server_name(how, &socket)?;
        let config = self.config(how, verifier)?;
        let handshake = TlsConnector::from(config).connect(name, socket);
        within(limit, handshake).await
    }

    fn judge(&self, how: &How<'_>) -> Result<Option<Arc<Judge>>, TlsError> {
        let demand = match how.security {
            Security::None | Security::Opportunistic | Security::Required => return Ok(None),
            Security::Verified { names } => Demand::Names {
                names: Arc::clone(names),
                authorities: self.authorities(how)?,
            },
            Security::Dane { base, records } => Demand::Records {
                base: base.clone(),
                records: Arc::clone(records),
            },
        };
        Ok(Some(Arc::new(Judge::new(demand))))
    }

    fn authorities(&self, how: &How<'_>) -> Result<Authorities, TlsError> {
        let Some(path) = how.ca else {
            return Ok(self.well_known.clone());
        };
        let known = self.authorities.get(path);
        known.cloned().ok_or_else(|| not_loaded(path))
    }

    /// The plain case costs no more than a count; the others a copy of what is mostly shared.
    fn config(
        &self,
        how: &How<'_>,
        verifier: Option<Arc<dyn ServerCertVerifier>>,
    ) -> Result<Arc<ClientConfig>, TlsError> {
        if verifier.is_none() && how.certificate.is_none() {
            return Ok(Arc::clone(&self.opportunistic));
        }
        let mut config = ClientConfig::clone(&self.opportunistic);
        if let Some(verifier) = verifier {
            config.dangerous().set_certificate_verifier(verifier);
        }
        if let Some(files) = how.certificate {
            let key = self.certificates.get(&files.chain);
            let key = Arc::clone(key.ok_or_else(|| not_loaded(&files.chain))?);
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(key));
        }
        Ok(Arc::new(config))
    }
}

/// What SNI says. A host without a name that DNS allows, or with an address for one, gets none.
///
/// Where the certificate must be for one name and no other, that is the one to ask for: the server
/// may have several.
fn server_name(how: &How<'_>, socket: &TcpStream) -> Result<ServerName<'static>, TlsError> {
    let name = match how.security {
        // RFC 7671 section 3: the name in SNI is the TLSA base domain, so that the server can show
        // the certificate that the record is for.
        Security::Dane { base, .. } => base.as_str(),
        Security::Verified { names } if names.len() == 1 => &names[0],
        Security::None
        | Security::Opportunistic
        | Security::Required
        | Security::Verified { .. } => how.host.trim_end_matches('.'),
    };
    match ServerName::try_from(name) {
        Ok(name) => Ok(name.to_owned()),
        Err(_) => match socket.peer_addr() {
            Ok(peer) => Ok(ServerName::from(peer.ip())),
            Err(error) => Err(TlsError::of(&error)),
        },
    }
}

/// Why not is told elsewhere.
fn trust(convinced: bool) -> Trust {
    if convinced { Trust::Ok } else { Trust::Unknown }
}

fn not_loaded(path: &Path) -> TlsError {
    TlsError::Local(format!("{} was not loaded", path.display()).into())
}

fn at(place: &Place, message: String) -> TlsProblem {
    TlsProblem {
        place: place.clone(),
        message,
    }
}

/// For whatever certificate, each session anew.
pub(super) fn opportunistic() -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .expect("the provider has suites for both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// For HTTPS, and for whatever else holds servers to their names: policies, tokens, keys,
/// directories. Trusts the authorities in `ca` (PEM) and no others; without it those that everybody
/// trusts.
///
/// # Errors
/// `ca` cannot be used; why, with its path.
pub fn client_config_for_https(ca: Option<&Path>) -> Result<ClientConfig, String> {
    client_config(ca, None)
}

/// The same, with a certificate that we show when the server asks for one.
///
/// # Errors
/// A file cannot be used; why, with its path.
pub fn client_config(
    ca: Option<&Path>,
    certificate: Option<&CertificateFiles>,
) -> Result<ClientConfig, String> {
    let authorities = ca.map_or_else(|| Ok(Authorities::well_known()), Authorities::load)?;
    let provider = || Arc::clone(provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(authorities.roots, provider())
        .build()
        .map_err(|error| error.to_string())?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| error.to_string())?;
    let builder = builder.with_webpki_verifier(verifier);
    let Some(certificate) = certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let key = files::certified_key(certificate)?;
    let shown = Arc::new(SingleCertAndKey::from(key));
    Ok(builder.with_client_cert_resolver(shown))
}
