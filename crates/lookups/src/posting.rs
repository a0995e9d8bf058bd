//! What is handed over by HTTP POST to one place that the configuration names, with or without TLS:
//! its answer says no more than whether it was taken.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Uri};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tls::{client_config_for_https, plain};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::hosts;
use crate::https::{Cost, exchange, request_to};

/// One place to which things are posted. Its name is looked up as the system does that, so that one
/// of this machine or of its containers is found.
pub struct Posting {
    uri: Uri,
    tls: Option<Arc<ClientConfig>>,
    authorization: Option<HeaderValue>,
}

impl Posting {
    /// To this `http://` or `https://` URL; `authorization` stands in the field of that name. Trusts
    /// the authorities in `ca` (PEM), or the well-known ones.
    ///
    /// # Errors
    /// It is no such URL, `ca` cannot be read, or the secret has octets that no field may have.
    pub fn new(url: &str, authorization: Option<&str>, ca: Option<&Path>) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => Some(Arc::new(client_config_for_https(ca)?)),
            _ => return Err(format!("{url} begins with neither http:// nor https://")),
        };
        let authorization = authorization.map(|secret| {
            let mut value = HeaderValue::from_str(secret)
                .map_err(|_| "the secret cannot stand in a field of HTTP".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        Ok(Self {
            uri,
            tls,
            authorization: authorization.transpose()?,
        })
    }

    /// POST; gives the status code of the answer.
    ///
    /// # Errors
    /// There was no whole answer within `cost`; why. Never says what was sent.
    pub async fn post(&self, kind: &'static str, body: Vec<u8>, cost: Cost) -> Result<u16, String> {
        let mut request = request_to(Method::POST, &self.uri, Bytes::from(body))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(secret) = &self.authorization {
            headers.insert(AUTHORIZATION, secret.clone());
        }
        let work = async {
            let host = self.uri.host().ok_or("the URL has no host")?;
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let usual = if self.tls.is_some() { 443 } else { 80 };
            let port = self.uri.port_u16().unwrap_or(usual);
            let stream = hosts::connect(bare, port).await;
            let stream = stream.map_err(|error| plain(&error))?;
            let Some(tls) = &self.tls else {
                return exchange(stream, request, cost.body_bytes_max).await;
            };
            let name = ServerName::try_from(bare.to_owned())
                .map_err(|_| format!("{bare} can be no certificate's name"))?;
            let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
            let stream = stream
                .await
                .map_err(|error| format!("TLS: {}", plain(&error)))?;
            exchange(stream, request, cost.body_bytes_max).await
        };
        match timeout(cost.timeout, work).await {
            Ok(answer) => answer.map(|answer| answer.status),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}
