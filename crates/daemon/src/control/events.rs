//! Answers that come piece by piece, as events (HTML Living Standard, section 9.2).

use std::convert::Infallible;
use std::marker::PhantomData;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use http_body_util::channel::{Channel, Sender};
use serde::Serialize;

/// The kind of content.
pub(super) const KIND: &str = "text/event-stream";

/// Events that may wait for a slow reader; then the sender waits.
const WAITING_MAX: usize = 64;

/// What is answered: whatever is sent by the [`EventSender`] of it.
pub(super) struct Events<T> {
    body: Channel<Bytes>,
    kind: PhantomData<T>,
}

/// Sends events to one reader. The answer ends when it is dropped.
pub(super) struct EventSender<T> {
    sender: Sender<Bytes>,
    kind: PhantomData<T>,
}

/// Nobody reads any more.
#[derive(Debug)]
pub(super) struct Gone;

impl<T> Events<T> {
    pub(super) fn new() -> (EventSender<T>, Self) {
        let (sender, body) = Channel::<Bytes, Infallible>::new(WAITING_MAX);
        let kind = PhantomData;
        (EventSender { sender, kind }, Self { body, kind })
    }
}

impl<T: Serialize> EventSender<T> {
    /// An event with `value` as its data.
    pub(super) async fn send(&mut self, value: &T) -> Result<(), Gone> {
        let json = serde_json::to_string(value).map_err(|_| Gone)?;
        self.write(format!("data: {json}\n\n")).await
    }

    /// A comment: whoever is gone is found out by it.
    pub(super) async fn keep_alive(&mut self) -> Result<(), Gone> {
        self.write(":\n\n".to_owned()).await
    }

    async fn write(&mut self, text: String) -> Result<(), Gone> {
        self.sender.send_data(text.into()).await.map_err(|_| Gone)
    }
}

impl<T> IntoResponse for Events<T> {
    fn into_response(self) -> Response {
        let fields = [(CONTENT_TYPE, KIND), (CACHE_CONTROL, "no-store")];
        (fields, Body::new(self.body)).into_response()
    }
}
