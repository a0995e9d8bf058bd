//! STARTTLS (RFC 3207), and TLS from the first octet (RFC 8314).

use std::sync::Arc;

use mail::{Reply, TlsFacts};
use route::Security;
use smtp::{Offers, ReplyReader};

use super::{Conversation, State};
use crate::{Again, Event, HandshakeFault, Stage, trouble};

impl Conversation {
    /// Whether the connection is to be encrypted now. False again when [`Event::StartTls`] was
    /// overtaken by trouble.
    pub fn wants_handshake(&self) -> bool {
        matches!(self.state, State::Handshaking)
    }

    /// The encryption, once there is any.
    pub fn tls(&self) -> Option<&Arc<TlsFacts>> {
        self.tls.as_ref()
    }

    /// That the server does not encrypt, where we would have: it does not offer STARTTLS, or it refused
    /// it with this reply. Told once.
    pub fn take_no_starttls(&mut self) -> Option<Option<Reply>> {
        self.no_starttls.take()
    }

    /// The handshake has succeeded, and gives what [`Hop::security`](route::Hop::security) demands.
    /// `exporter` is what it yields for channel binding (RFC 9266), if it does.
    pub fn on_encrypted(&mut self, facts: TlsFacts, exporter: Option<[u8; 32]>) {
        if !self.wants_handshake() {
            return;
        }
        self.advance();
        self.tls = Some(Arc::new(facts));
        self.exporter = exporter;
        // RFC 3207 section 4.2: "The client MUST discard any knowledge obtained from the server,
        // such as the list of SMTP service extensions, which was not obtained from the TLS
        // negotiation itself."
        self.offers = Offers::default();
        self.reader = ReplyReader::new();
        if self.hop.implicit_tls {
            self.state = State::Greeting;
        } else {
            self.say_hello();
        }
    }

    /// The handshake has failed, or its certificate is not what
    /// [`Hop::security`](route::Hop::security) demands. The connection is of no more use, and QUIT
    /// has nowhere to go. Where clear text is allowed the message ends with [`Again::InClear`].
    pub fn on_handshake_failed(&mut self, fault: &HandshakeFault) {
        if !self.wants_handshake() {
            return;
        }
        let clear = !self.demands_tls() && !self.hop.implicit_tls;
        self.broken(
            trouble::handshake(fault),
            false,
            clear.then_some(Again::InClear),
        );
    }

    /// Octets in clear where the handshake belongs: somebody on the way wants them taken for the
    /// server's answers.
    pub(super) fn on_injected(&mut self) {
        self.broken(trouble::injected(), false, None);
    }

    /// Whether nothing may be sent in clear. A password never is.
    pub(super) fn demands_tls(&self) -> bool {
        !self.hop.security.allows_clear() || self.settings.credentials.is_some()
    }

    /// The server has said what it offers: encrypt, or go on.
    pub(super) fn on_greeted(&mut self) {
        let off = self.hop.security == Security::None;
        if self.tls.is_some() {
            self.sign_in();
        } else if self.offers.starttls && !off {
            self.advance();
            self.output.command(format_args!("STARTTLS"));
            self.state = State::Securing;
        } else {
            self.no_starttls = (!off).then_some(None);
            if self.demands_tls() {
                self.refused_at(Stage::StartTls, trouble::no_tls(off));
            } else {
                self.sign_in();
            }
        }
    }

    /// Its answer to STARTTLS.
    pub(super) fn on_starttls(&mut self, reply: Reply) {
        if reply.is_positive() {
            self.state = State::Handshaking;
            self.events.push_back(Event::StartTls);
            return;
        }
        let refused = reply.is_transient() || reply.is_permanent();
        if !refused || reply.code() == 421 {
            return self.refused_by_host(reply);
        }
        self.no_starttls = Some(Some(reply.clone()));
        if self.demands_tls() {
            self.refused_by_host(trouble::starttls_refused(&reply));
        } else {
            // RFC 3207 section 4: after 454 it is the client's decision whether to go on without.
            self.sign_in();
        }
    }
}
