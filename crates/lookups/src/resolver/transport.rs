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
use tokio::time::timeout;

/// One name server.
pub(super) struct Upstream {
    /// Where it is.
    pub(super) server: SocketAddr,
    per_try: Duration,
    connection: dgram_stream::Connection<UdpConnect, RequestMessage<Vec<u8>>>,
}

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
        Self {
            server,
            per_try,
            connection,
        }
    }

    /// Sends a question, and waits for the answer.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn send(&self, question: Message<Vec<u8>>) -> Result<Message<Bytes>, String> {
        let request = RequestMessage::new(question).map_err(|error| error.to_string())?;
        let response = self.connection.send_request(request).get_response().await;
        response.map_err(|error| error.to_string())
    }

    /// The same over UDP alone, whatever the answer is.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn over_udp(&self, question: Message<Vec<u8>>) -> Result<(), String> {
        let mut config = dgram::Config::new();
        config.set_read_timeout(self.per_try);
        config.set_max_retries(1);
        let connection = dgram::Connection::with_config(UdpConnect::new(self.server), config);
        let request = RequestMessage::new(question).map_err(|error| error.to_string())?;
        let response = connection.send_request(request).get_response().await;
        response.map(drop).map_err(|error| error.to_string())
    }

    /// The same over TCP alone.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn over_tcp(&self, question: Message<Vec<u8>>) -> Result<(), String> {
        let mut config = stream::Config::new();
        config.set_response_timeout(self.per_try * 2);
        let (connection, transport) = multi_stream::Connection::with_config(
            TcpConnect::new(self.server),
            multi_stream::Config::from(config),
        );
        let running = tokio::spawn(transport.run());
        let request = RequestMessage::new(question).map_err(|error| error.to_string())?;
        let mut sent = connection.send_request(request);
        let response = sent.get_response();
        let response = timeout(self.per_try * 2, response).await;
        running.abort();
        let response = response.map_err(|_| "no answer in time".to_owned())?;
        response.map(drop).map_err(|error| error.to_string())
    }
}
