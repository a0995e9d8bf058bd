use std::time::Duration;
use std::{error, fmt, io};

use delivery::{CertificateFlaw, HandshakeFault};
use rustls::{AlertDescription, CertificateError, OtherError};

/// Why a connection could not be encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsError {
    /// The handshake was not over in time.
    TimedOut,
    /// The connection broke before the handshake was over.
    Lost(Box<str>),
    /// The two could not agree, or the other side does not speak TLS: an alert, no common version
    /// or cipher suite.
    Handshake(Box<str>),
    /// The other side's certificate is not what was demanded.
    NotTrusted(CertificateFlaw, Box<str>),
    /// Our own side cannot: a certificate authority or a client certificate was not loaded.
    Local(Box<str>),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("TLS handshake: no answer in time"),
            Self::Lost(why) | Self::Handshake(why) => write!(f, "TLS handshake: {why}"),
            Self::NotTrusted(_, why) | Self::Local(why) => f.write_str(why),
        }
    }
}

impl error::Error for TlsError {}

/// What the failure means for mail: without encryption it may go out in clear where nobody minds;
/// to the wrong host never.
impl From<TlsError> for HandshakeFault {
    fn from(error: TlsError) -> Self {
        let why = error.to_string().into();
        match error {
            TlsError::NotTrusted(flaw, _) => Self::Certificate(flaw, why),
            TlsError::Local(_) => Self::Certificate(CertificateFlaw::Untrusted, why),
            TlsError::TimedOut | TlsError::Lost(_) | TlsError::Handshake(_) => Self::Broken(why),
        }
    }
}

impl TlsError {
    /// What a handshake ended with; rustls speaks through the socket's errors.
    pub(super) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::of_tls(tls);
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Lost("the other side closed the connection".into());
        }
        Self::Lost(plain(error).into())
    }

    pub(super) fn no_certificate() -> Self {
        Self::NotTrusted(
            CertificateFlaw::Untrusted,
            "no certificate was shown".into(),
        )
    }

    pub(super) fn of_tls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(why) => distrust(why),
            rustls::Error::NoCertificatesPresented => Self::no_certificate(),
            rustls::Error::AlertReceived(alert) => {
                Self::Handshake(format!("the other side answered with the alert {alert:?}").into())
            }
            rustls::Error::InvalidMessage(_) => {
                Self::Handshake("what the other side sent is not TLS".into())
            }
            other => Self::Handshake(other.to_string().into()),
        }
    }
}

/// What the system says of a failure, for people: `Connection refused`, without the number that the
/// system puts behind.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// What is wrong with a certificate.
fn distrust(why: &CertificateError) -> TlsError {
    let (flaw, why) = match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            (CertificateFlaw::Expired, "certificate expired".into())
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            CertificateFlaw::Expired,
            "certificate is not valid yet".into(),
        ),
        CertificateError::UnknownIssuer => (
            CertificateFlaw::Untrusted,
            "certificate is not from a trusted authority".into(),
        ),
        CertificateError::BadEncoding => (
            CertificateFlaw::Untrusted,
            "certificate cannot be read".into(),
        ),
        CertificateError::BadSignature => (
            CertificateFlaw::Untrusted,
            "certificate is not signed as it says".into(),
        ),
        CertificateError::Other(ours) => {
            let own = ours.0.downcast_ref::<Distrust>();
            let flaw = own.map_or(CertificateFlaw::Untrusted, |own| own.flaw);
            (flaw, ours.to_string().into())
        }
        other => (
            CertificateFlaw::Untrusted,
            format!("certificate is not usable: {other}").into(),
        ),
    };
    TlsError::NotTrusted(flaw, why)
}

/// What the other side meant by ending a session with a fatal alert; `None` for whatever else ended
/// it.
pub fn alert(error: &io::Error) -> Option<String> {
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::AlertReceived(alert) = tls else {
        return None;
    };
    // After a good handshake nothing but a session ticket has parameters.
    let hint = if *alert == AlertDescription::IllegalParameter {
        ": it does not understand session tickets, write session_tickets = 0 for this listener"
    } else {
        ""
    };
    Some(format!(
        "the other side answered with the alert {alert:?}{hint}"
    ))
}

/// A reason of our own why a certificate is not trusted, on its way through rustls.
#[derive(Debug)]
struct Distrust {
    flaw: CertificateFlaw,
    why: String,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl error::Error for Distrust {}

/// A reason of our own why a certificate is not trusted.
pub(super) fn not_trusted(flaw: CertificateFlaw, why: impl Into<String>) -> rustls::Error {
    let why = why.into();
    let why = std::sync::Arc::new(Distrust { flaw, why });
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))
}

/// Waits for a handshake, but not for ever.
pub(super) async fn within<T>(
    limit: Duration,
    handshake: impl Future<Output = io::Result<T>>,
) -> Result<T, TlsError> {
    match tokio::time::timeout(limit, handshake).await {
        Ok(done) => done.map_err(|error| TlsError::of(&error)),
        Err(_) => Err(TlsError::TimedOut),
    }
}
