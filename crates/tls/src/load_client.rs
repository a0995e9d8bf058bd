//! How a client shakes hands that measures servers and sends them no mail of anybody.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::client::opportunistic;
use super::error::{TlsError, within};
use crate::Stream;

/// Takes any certificate, and takes sessions up again, as clients do that come often. For load
/// tests alone: where mail goes, [`crate::Connector`] judges what each connection shows.
#[derive(Debug)]
pub struct LoadClient {
    anew: Arc<ClientConfig>,
    again: Arc<ClientConfig>,
}

impl Default for LoadClient {
    fn default() -> Self {
        let mut again = opportunistic();
        again.resumption = Resumption::default();
        Self {
            anew: Arc::new(opportunistic()),
            again: Arc::new(again),
        }
    }
}

impl LoadClient {
    /// Begins a handshake; `again` takes a session up that an earlier connection with `again` has
    /// brought, where there is one. Gives whether one was taken up as well.
    ///
    /// # Errors
    /// There is no encryption; the connection is closed then.
    pub async fn connect(
        &self,
        socket: TcpStream,
        again: bool,
        limit: Duration,
    ) -> Result<(Stream, bool), TlsError> {
        let server = socket.peer_addr().map_err(|error| TlsError::of(&error))?;
        let config = if again { &self.again } else { &self.anew };
        let connector = TlsConnector::from(Arc::clone(config));
        let handshake = connector.connect(ServerName::from(server.ip()), socket);
        let stream = within(limit, handshake).await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok((Stream::Tls(Box::new(stream.into())), resumed))
    }
}
