//! The other end of the control socket: what the command line asks a running relay.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::api::Refused;

/// Between two questions, where nobody is there to answer.
const PAUSE: Duration = Duration::from_millis(50);

/// A running relay, reached by its control socket.
pub struct Remote {
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum RemoteError {
    /// No relay listens there, or it may not be asked by this user.
    Unreachable(String),
    /// It said no, and why.
    Refused(String),
}

impl std::fmt::Display for RemoteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for RemoteError {}

impl Remote {
    /// The relay whose control socket is `socket`. Nothing is asked yet.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// `GET path`
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.ask(Method::GET, path, Bytes::new())
    }

    /// `GET path` again and again, of whatever relay there `is` at the time, until an answer
    /// `is_wanted`; `None` when there was none within `limit`.
    pub fn wait_for<T: DeserializeOwned>(
        is: impl Fn() -> Self,
        path: &str,
        limit: Duration,
        is_wanted: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let begin = Instant::now();
        loop {
            let left = limit.checked_sub(begin.elapsed())?;
            let answer = is().answer_within(Method::GET, path, Bytes::new(), Some(left));
            let answer = answer.ok();
            let answer = answer.and_then(|octets| serde_json::from_slice(&octets).ok());
            match answer.filter(&is_wanted) {
                Some(wanted) => return Some(wanted),
                None => std::thread::sleep(PAUSE),
            }
        }
    }

    /// `POST path` with `body` as JSON.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RemoteError> {
        let body = serde_json::to_vec(body).map_err(|e| RemoteError::Refused(e.to_string()))?;
        self.ask(Method::POST, path, body.into())
    }

    /// `GET path`, where the answer is text.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn text(&self, path: &str) -> Result<String, RemoteError> {
        let answer = self.answer(Method::GET, path, Bytes::new())?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, RemoteError> {
        let answer = self.answer(method, path, body)?;
        serde_json::from_slice(&answer).map_err(|e| RemoteError::Refused(e.to_string()))
    }

    fn answer(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, RemoteError> {
        self.answer_within(method, path, body, None)
    }

    fn answer_within(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Option<Duration>,
    ) -> Result<Bytes, RemoteError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| RemoteError::Unreachable(e.to_string()))?;
        let exchange = exchange(&self.socket, method, path, body);
        let exchanged = runtime.block_on(async {
            match limit {
                None => exchange.await,
                Some(limit) => tokio::time::timeout(limit, exchange).await?,
            }
        });
        let (ok, answer) = exchanged.map_err(|e| self.unreachable(&*e))?;
        if ok {
            return Ok(answer);
        }
        let refused = serde_json::from_slice::<Refused>(&answer);
        let why = refused.map_or_else(
            |_| String::from_utf8_lossy(&answer).into_owned(),
            |r| r.error,
        );
        Err(RemoteError::Refused(why))
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> RemoteError {
        RemoteError::Unreachable(format!(
            "no relay answers at {}: {error} (is it running, and are you its owner?)",
            self.socket.display()
        ))
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(
    socket: &Path,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<(bool, Bytes), Failure> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "gatepost")
        .header("content-type", "application/json")
        .body(Full::new(body))?;
    let response = sender.send_request(request).await?;
    let ok = response.status().is_success();
    let answer = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((ok, answer))
}
