//! One connection to a next hop, over which recipients are asked for.

use config::Config;
use delivery::{Conversation, Event, HandshakeFault, Verified};
use mail::{Mailbox, ReversePath};
use route::Hop;
use tls::{Connector, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// Octets read at once: replies are short.
const READ_BYTES: usize = 4 << 10;

/// A connection, and where it stands.
pub(super) struct Line {
    stream: Stream,
    conversation: Conversation,
    /// Why a handshake failed.
    fault: Option<HandshakeFault>,
}

/// With what handshakes are made, and for whose mail.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) connector: &'a Connector,
    pub(super) config: &'a Config,
    pub(super) site: &'a str,
}

impl Line {
    /// A connection that was just made, in clear as yet.
    pub(super) fn new(stream: Stream, conversation: Conversation) -> Self {
        Self {
            stream,
            conversation,
            fault: None,
        }
    }

    /// What the server said of itself.
    pub(super) fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// Why its handshake failed, if one did.
    pub(super) fn fault(&self) -> Option<&HandshakeFault> {
        self.fault.as_ref()
    }

    /// Asks for one recipient. Each step has its own time; the caller has a deadline for all.
    pub(super) async fn ask(
        &mut self,
        terms: Terms<'_>,
        sender: ReversePath,
        recipient: &Mailbox,
    ) -> Verified {
        self.conversation.verify(sender, recipient.clone());
        let mut known = None;
        loop {
            while let Some(event) = self.conversation.next_event() {
                if event == Event::StartTls {
                    self.encrypt(terms).await;
                }
            }
            known = known.or(self.conversation.take_verified());
            // Until RSET is answered the next question has to wait. Behind QUIT there is none, and
            // nobody waits for its answer.
            let conversation = &self.conversation;
            let settled =
                conversation.is_idle() || conversation.is_quitting() || conversation.is_closed();
            if let Some(verified) = known.take_if(|_| settled) {
                return verified;
            }
            self.talk().await;
        }
    }

    /// Whether another recipient may be asked for: the transaction before was undone, and the
    /// server has neither said nor ended anything since.
    pub(super) fn is_usable(&self) -> bool {
        self.conversation.is_idle() && self.stream.is_quiet()
    }

    /// Shakes hands, and holds the host to what is demanded of it.
    async fn encrypt(&mut self, terms: Terms<'_>) {
        if !self.conversation.wants_handshake() {
            return;
        }
        let limit = self.conversation.time_limit().limit;
        let Some(socket) = self.stream.take_plain() else {
            return self.conversation.on_disconnected();
        };
        let hop: Hop = self.conversation.hop().clone();
        let connector = terms.connector;
        let secured = connector.secure(socket, terms.config, terms.site, &hop, limit);
        match secured.await {
            Ok((stream, facts)) => {
                let exporter = stream.exporter();
                self.stream = stream;
                self.conversation.on_encrypted(facts, exporter);
            }
            Err(error) => {
                let fault = error.into();
                self.conversation.on_handshake_failed(&fault);
                self.fault = Some(fault);
            }
        }
    }

    /// Writes what is to be said, or else waits for the server.
    async fn talk(&mut self) {
        let limit = self.conversation.time_limit().limit;
        let output = std::mem::take(self.conversation.output());
        if !output.is_empty() {
            match timeout(limit, self.stream.write_all(&output)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => self.conversation.on_disconnected(),
                Err(_) => self.conversation.on_timeout(),
            }
            return;
        }
        let mut buffer = [0; READ_BYTES];
        match timeout(limit, self.stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => self.conversation.on_disconnected(),
            Ok(Ok(count)) => self.conversation.receive(&buffer[..count]),
            Err(_) => self.conversation.on_timeout(),
        }
    }
}

/// RFC 5321 section 4.1.1.10: no connection is closed before QUIT was said. Nobody waits for the
/// answer.
impl Drop for Line {
    fn drop(&mut self) {
        if self.conversation.is_idle() {
            self.conversation.quit();
        }
        if self.conversation.is_quitting() {
            let _at_once_or_never = self.stream.try_write(self.conversation.output());
        }
    }
}
