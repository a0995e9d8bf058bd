//! How questions get to a name server: over UDP, and over TCP where the answer was truncated.
//!
//! The only file that imports `domain::net`, which its authors call unstable: the version is pinned,
//! and whatever changes there is mended here.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use domain::base::Message;
use domain::net::client::protocol::{TcpConnect, UdpConnect};
use domain::net::client::request::{RequestMessage, SendRequest};
use domain::net::client::{dgram, dgram_stream, multi_stream, stream};

/// One name server.
pub(super) struct Upstream(dgram_stream::Connection<UdpConnect, RequestMessage<Vec<u8>>>);

impl Upstream {
    /// Asks `server`, and waits `per_try` for an answer over UDP, twice that over TCP. Must be
    /// called within the runtime.
    pub(super) fn new(server: SocketAddr, per_try: Duration) -> Self {
        let mut datagram = dgram::Config::new();
        datagram.set_read_timeout(per_try);
        datagram.set_max_retries(1);
        let mut stream = stream::Config::new();
        stream.set_response_timeout(per_try * 2);
        let config = dgram_stream::Config::from_parts(datagram, multi_stream::Config::from(stream));
        let (connection, transport) = dgram_stream::Connection::with_config(
            UdpConnect::new(server),
            TcpConnect::new(server),
            config,
        );
        // Ends by itself when the connection is dropped.
        tokio::spawn(transport.run());
        Self(connection)
    }

    /// Sends a question, and waits for the answer.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn send(&self, question: Message<Vec<u8>>) -> Result<Message<Bytes>, String> {
        let request = RequestMessage::new(question).map_err(|error| error.to_string())?;
        let response = self.0.send_request(request).get_response().await;
        response.map_err(|error| error.to_string())
    }
}
