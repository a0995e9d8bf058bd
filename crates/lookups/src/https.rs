//! A small HTTPS client: one request, one connection, one answer.
//!
//! Guarantees: the server's certificate is verified for its name; every request ends within its
//! time; no more than the allowed octets are read; a redirection is an answer like any other and
//! never followed (RFC 8461 section 3.3 forbids it, tokens must not travel on). Standards: RFC
//! 9110, RFC 9112, RFC 9525.

#[cfg(test)]
pub(crate) mod pretend;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tls::{client_config_for_https, plain};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::dial::{self, Allowed};
use crate::resolver::Resolver;

/// Octets of an answer's head.
const HEAD_BYTES_MAX: usize = 32 << 10;

/// Asks HTTPS servers.
#[derive(Clone)]
pub struct Https {
    tls: Arc<ClientConfig>,
    resolver: Arc<Resolver>,
}

/// What one request may cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Time in all.
    pub timeout: Duration,
    /// Octets of the answer's body.
    pub body_bytes_max: usize,
}

/// What a server answered to one request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `text/plain`: the media type in lower case, without parameters; empty when there is none.
    pub media_type: String,
    /// The whole body, which is not longer than [`Cost::body_bytes_max`].
    pub body: Bytes,
}

/// Why there was no whole answer.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    /// In words.
    pub why: String,
    /// The server's certificate is not to be trusted.
    pub untrusted: bool,
}

impl From<String> for NoAnswer {
    fn from(why: String) -> Self {
        let untrusted = false;
        Self { why, untrusted }
    }
}

impl From<&str> for NoAnswer {
    fn from(why: &str) -> Self {
        why.to_owned().into()
    }
}

impl From<NoAnswer> for String {
    fn from(no_answer: NoAnswer) -> Self {
        no_answer.why
    }
}

/// What is sent along with a request.
struct Sent<'a> {
    kind: &'static str,
    body: Bytes,
    /// What proves who we are, for the `Authorization` field.
    proof: Option<&'a str>,
}

impl Https {
    /// A client that trusts the authorities in `ca` (PEM), or the well-known ones.
    ///
    /// # Errors
    /// `ca` cannot be read or holds no certificate.
    pub fn new(resolver: Arc<Resolver>, ca: Option<&Path>) -> Result<Self, String> {
        let mut config = client_config_for_https(ca)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: Arc::new(config),
            resolver,
        })
    }

    /// GET.
    ///
    /// # Errors
    /// There was no whole answer within `cost`; why.
    pub async fn get(&self, url: &str, cost: Cost) -> Result<Answer, String> {
        Ok(self.get_where(url, cost, &|_| true).await?)
    }

    /// GET, from an address that is `allowed` and no other: for a URL that a stranger made.
    ///
    /// # Errors
    /// There was no whole answer within `cost`; why.
    pub(crate) async fn get_where(
        &self,
        url: &str,
        cost: Cost,
        allowed: &Allowed<'_>,
    ) -> Result<Answer, NoAnswer> {
        self.send(Method::GET, url, None, cost, allowed).await
    }

    /// POST of an `application/x-www-form-urlencoded` form.
    ///
    /// # Errors
    /// There was no whole answer within `cost`; why. Never says what was sent.
    pub async fn post_form(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        cost: Cost,
    ) -> Result<Answer, String> {
        self.post_form_as(url, fields, None, cost).await
    }

    /// The same with what proves who we are, for the `Authorization` field.
    ///
    /// # Errors
    /// There was no whole answer within `cost`; why. Never says what was sent.
    pub async fn post_form_as(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        proof: Option<&str>,
        cost: Cost,
    ) -> Result<Answer, String> {
        let sent = Sent {
            kind: "application/x-www-form-urlencoded",
            body: Bytes::from(form(fields)),
            proof,
        };
        let answer = self.send(Method::POST, url, Some(sent), cost, &|_| true);
        Ok(answer.await?)
    }

    /// POST of octets of this media type, to an address that is `allowed` and no other: for a URL that
    /// a stranger made.
    ///
    /// # Errors
    /// There was no whole answer within `cost`; why.
    pub async fn post_where(
        &self,
        url: &str,
        (kind, body): (&'static str, Bytes),
        cost: Cost,
        allowed: &Allowed<'_>,
    ) -> Result<Answer, String> {
        let proof = None;
        let sent = Sent { kind, body, proof };
        let answer = self.send(Method::POST, url, Some(sent), cost, allowed);
        Ok(answer.await?)
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        sent: Option<Sent<'_>>,
        cost: Cost,
        allowed: &Allowed<'_>,
    ) -> Result<Answer, NoAnswer> {
        let uri: Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
        let request = request(method, &uri, sent)?;
        let answer = self.perform(&uri, request, cost, allowed).await?;
        Ok(answered(answer))
    }

    /// A request that a library made, and the whole answer. Of its fields all are sent but the name of
    /// the library.
    ///
    /// # Errors
    /// There was no whole answer within `cost`; why.
    pub(crate) async fn call(
        &self,
        request: Request<Bytes>,
        cost: Cost,
    ) -> Result<Response<Bytes>, String> {
        let (parts, body) = request.into_parts();
        https_only(&parts.uri)?;
        let mut request = request_to(parts.method, &parts.uri, body)?;
        for (name, value) in &parts.headers {
            if name != USER_AGENT {
                request.headers_mut().insert(name, value.clone());
            }
        }
        let answer = self.perform(&parts.uri, request, cost, &|_| true);
        Ok(answer.await?)
    }

    async fn perform(
        &self,
        uri: &Uri,
        request: Request<Full<Bytes>>,
        cost: Cost,
        allowed: &Allowed<'_>,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let work = async {
            let stream = self.connect(uri, allowed).await?;
            Ok(exchange_whole(stream, request, cost.body_bytes_max).await?)
        };
        let host = uri.host().unwrap_or_default();
        match timeout(cost.timeout, work).await {
            Ok(answer) => answer.map_err(|NoAnswer { why, untrusted }| NoAnswer {
                why: format!("{host}: {why}"),
                untrusted,
            }),
            Err(_) => Err(format!("{host}: no answer in time").into()),
        }
    }

    async fn connect(
        &self,
        uri: &Uri,
        allowed: &Allowed<'_>,
    ) -> Result<TlsStream<TcpStream>, NoAnswer> {
        let host = uri.host().ok_or("the URL has no host")?;
        let port = uri.port_u16().unwrap_or(443);
        let stream = dial::dial_where(&self.resolver, host, port, allowed).await?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| format!("{bare} can be no certificate's name"))?;
        TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(|error| NoAnswer {
                why: format!("TLS: {}", plain(&error)),
                untrusted: is_distrust(&error),
            })
    }
}

/// Whether a handshake failed because the server's certificate is not to be trusted.
fn is_distrust(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(error, Some(rustls::Error::InvalidCertificate(_)))
}

fn request(
    method: Method,
    uri: &Uri,
    sent: Option<Sent<'_>>,
) -> Result<Request<Full<Bytes>>, String> {
    https_only(uri)?;
    let Some(Sent { kind, body, proof }) = sent else {
        return request_to(method, uri, Bytes::new());
    };
    let mut request = request_to(method, uri, body)?;
    let fields = request.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(proof) = proof {
        // What is wrong with it is not said: it would show it.
        let value = HeaderValue::from_str(proof).map_err(|_| "a secret that no field can hold")?;
        fields.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn https_only(uri: &Uri) -> Result<(), String> {
    if uri.scheme_str() == Some("https") {
        return Ok(());
    }
    Err(format!("{uri} does not begin with https://"))
}

/// A request for what stands behind the host in `uri`.
pub(crate) fn request_to(
    method: Method,
    uri: &Uri,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, String> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    // A name and password in it would go out in a header, and stand in logs.
    if authority.contains('@') {
        return Err("a URL with a user in it is not taken".to_owned());
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, "gatepost")
        .body(Full::new(body))
        .map_err(|error| error.to_string())
}

/// One request and its answer on a connection that is open.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    body_bytes_max: usize,
) -> Result<Answer, String> {
    let answer = exchange_whole(stream, request, body_bytes_max).await?;
    Ok(answered(answer))
}

fn answered(answer: Response<Bytes>) -> Answer {
    Answer {
        status: answer.status().as_u16(),
        media_type: media_type(answer.headers().get(CONTENT_TYPE)),
        body: answer.into_body(),
    }
}

async fn exchange_whole(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    body_bytes_max: usize,
) -> Result<Response<Bytes>, String> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let work = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, body_bytes_max);
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    // Side by side in this task: nothing is left behind when the time is over.
    tokio::pin!(work);
    tokio::select! {
        answer = &mut work => answer,
        ended = connection => match ended {
            Ok(()) => work.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

fn media_type(header: Option<&HeaderValue>) -> String {
    let text = header.and_then(|value| value.to_str().ok());
    let kind = text.and_then(|text| text.split(';').next());
    kind.unwrap_or_default().trim().to_ascii_lowercase()
}

/// The URL standard's `application/x-www-form-urlencoded` serializing.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        encode(name, &mut text);
        text.push('=');
        encode(value, &mut text);
    }
    text
}

/// One value, written as in a form.
pub(crate) fn encoded(value: &str) -> String {
    let mut text = String::new();
    encode(value, &mut text);
    text
}

fn encode(value: &str, text: &mut String) {
    use std::fmt::Write as _;
    for octet in value.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                text.push(char::from(octet));
            }
            b' ' => text.push('+'),
            _ => {
                let _infallible = write!(text, "%{octet:02X}");
            }
        }
    }
}
