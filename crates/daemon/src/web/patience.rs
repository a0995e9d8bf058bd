//! How long it is waited for a browser: whoever holds a connection and does nothing loses it.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream whose other end has to read within some time what it is sent.
pub(super) struct Patient<S> {
    stream: S,
    limit: Duration,
    /// Runs as long as nothing can be written.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        let stuck = None;
        Self {
            stream,
            limit,
            stuck,
        }
    }

    fn within<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let limit = self.limit;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(limit)));
        stuck
            .as_mut()
            .poll(cx)
            .map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, octets);
        self.within(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.within(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.within(cx, closed)
    }
}

/// The body of a request, which has to be whole within some time.
pub(super) struct InTime<B> {
    body: B,
    limit: Duration,
    begun: Instant,
    /// Runs once it is waited for.
    end: Option<Pin<Box<Sleep>>>,
}

impl<B> InTime<B> {
    pub(super) fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            begun: Instant::now(),
            end: None,
        }
    }
}

impl<B> HttpBody for InTime<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let own = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut own.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let until = own.begun + own.limit;
        let end = own
            .end
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        end.as_mut()
            .poll(cx)
            .map(|()| Some(Err(io::Error::from(ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use http_body_util::channel::Channel;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_nothing_is_left_and_whoever_reads_slowly_is_not() {
        let (mut browser, ours) = duplex(4);
        let mut ours = Patient::new(ours, LIMIT);
        let slowly = async {
            let mut octet = [0];
            for _ in 0..8 {
                sleep(LIMIT - Duration::from_secs(1)).await;
                browser.read_exact(&mut octet).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(b"twelve octet"), slowly);
        written.unwrap();
        let stuck = ours.write_all(b"more").await.unwrap_err();
        assert_eq!(stuck.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_ends_in_time_or_by_an_error() {
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
        let dribble = async {
            while sender.send_data(Bytes::from_static(b"x")).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        let whole = InTime::new(body, LIMIT).collect();
        let (whole, ()) = tokio::join!(whole, dribble);
        assert!(whole.is_err());
        let body = InTime::new(Body::from("user=ann"), LIMIT);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "user=ann");
    }
}
