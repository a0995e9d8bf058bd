//! The HTTP API of the control socket, called in this process: all that the console knows and does.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use daemon::api::Refused;
use daemon::{Actor, ControlApi};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::trouble::Trouble;

/// An answer of more octets is given up: none that we ask for is as long.
const ANSWER_OCTETS_MAX: usize = 16 * 1024 * 1024;

/// The API, as it is called for somebody.
#[derive(Clone)]
pub(crate) struct Api {
    control: ControlApi,
    actor: Actor,
}

impl Api {
    /// The API as it is called for somebody.
    pub(crate) fn new(control: ControlApi, name: &str) -> Self {
        let actor = Actor::at_console(name);
        Self { control, actor }
    }

    /// The API as it is called for whoever has a link of a digest.
    pub(crate) fn by_link(control: ControlApi) -> Self {
        let actor = Actor::by_link();
        Self { control, actor }
    }

    /// The same, called for somebody else.
    pub(crate) fn on_behalf_of(&self, name: &str) -> Self {
        Self::new(self.control.clone(), name)
    }

    /// `GET path`
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        self.ask(Method::GET, path, Vec::new()).await
    }

    /// `POST path` with `body` as JSON.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Trouble> {
        let body = serde_json::to_vec(body).map_err(Trouble::ours)?;
        self.ask(Method::POST, path, body).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, Trouble> {
        let (status, text) = self.answer(method, path, body).await?;
        if status.is_success() {
            return serde_json::from_slice(&text).map_err(Trouble::ours);
        }
        Err(refused(status, &text))
    }

    /// `POST path`, whose answer comes piece by piece as events; each is heard as it comes.
    pub(crate) async fn follow<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        mut hear: impl FnMut(T),
    ) -> Result<(), Trouble> {
        let body = serde_json::to_vec(body).map_err(Trouble::ours)?;
        let response = self.call(Method::POST, path, body).await?;
        if !response.status().is_success() {
            let (status, text) = whole(response).await?;
            return Err(refused(status, &text));
        }
        let mut pieces = response.into_body().into_data_stream();
        let mut text = Vec::new();
        while let Some(piece) = pieces.next().await {
            text.extend_from_slice(&piece.map_err(Trouble::ours)?);
            while let Some(end) = text.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                if let Some(data) = line.strip_prefix(b"data:") {
                    hear(serde_json::from_slice(data).map_err(Trouble::ours)?);
                }
            }
            if text.len() > ANSWER_OCTETS_MAX {
                return Err(Trouble::ours("an event without an end"));
            }
        }
        Ok(())
    }

    /// What is answered, as it is.
    pub(crate) async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Vec<u8>), Trouble> {
        whole(self.call(method, path, body).await?).await
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response, Trouble> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(Trouble::ours)?;
        Ok(self.control.call(self.actor.clone(), request).await)
    }
}

async fn whole(response: Response) -> Result<(StatusCode, Vec<u8>), Trouble> {
    let status = response.status();
    // It is made in this process: nothing else can be wrong with it.
    let text = axum::body::to_bytes(response.into_body(), ANSWER_OCTETS_MAX).await;
    let text = text.map_err(|_| {
        let most = ANSWER_OCTETS_MAX >> 20;
        let why = format!(
            "The answer is longer than the {most} MB that a page is made of. A narrower filter makes it shorter; the command line shows all of it."
        );
        Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    })?;
    Ok((status, text.to_vec()))
}

fn refused(status: StatusCode, text: &[u8]) -> Trouble {
    match serde_json::from_slice::<Refused>(text) {
        Ok(Refused { error, needs_code }) => Trouble {
            status,
            why: error,
            needs_code,
        },
        Err(_) => Trouble::new(status, String::from_utf8_lossy(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_too_long_is_said_to_be() {
        let answer = |octets: usize| whole(Response::new(Body::from(vec![b'x'; octets])));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let kept = runtime.block_on(answer(ANSWER_OCTETS_MAX)).unwrap();
        assert_eq!(kept.1.len(), ANSWER_OCTETS_MAX);
        let trouble = runtime.block_on(answer(ANSWER_OCTETS_MAX + 1)).unwrap_err();
        assert_eq!(trouble.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(trouble.why.contains("longer than the 16 MB"));
    }
}
