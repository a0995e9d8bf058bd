//! STARTTLS (RFC 3207): from the command to the session that begins anew under TLS.

use mail::{Reply, TlsFacts};
use smtp::{Doubt, LineReader, Verb};

use crate::phase::{Phase, Waiting};
use crate::session::FollowUps;
use crate::{End, Event, Session, SessionFact};

impl Session {
    pub(crate) fn on_starttls(&mut self, more_follows: bool) {
        if let Some(reply) = self.refuse_starttls() {
            return self.complain(Some(Verb::StartTls), reply);
        }
        if more_follows {
            return self.refuse_plaintext();
        }
        match self.take_phase() {
            Phase::Ready(hello) => {
                self.say(&Reply::new(220, 0, 0, "Ready to start TLS"));
                self.phase = Phase::Waiting(Waiting::Handshake(hello));
                self.events.push_back(Event::StartTls);
            }
            other => self.out_of_place(other, "STARTTLS"),
        }
    }

    fn refuse_starttls(&self) -> Option<Reply> {
        if self.client.tls.is_some() {
            Some(Reply::new(503, 5, 1, "TLS is active already"))
        } else if !self.settings.rules.listener.offers_tls(&self.client) {
            Some(Reply::new(502, 5, 1, "Command not offered"))
        } else {
            self.refuse_outside_ready()
        }
    }

    /// Why what belongs between EHLO and the first message may not come in this phase.
    pub(crate) fn refuse_outside_ready(&self) -> Option<Reply> {
        match &self.phase {
            Phase::Ready(_) => None,
            Phase::Greeted => Some(Reply::new(503, 5, 1, "Send EHLO first")),
            Phase::SigningIn(_)
            | Phase::Addressing(_)
            | Phase::Receiving(_)
            | Phase::Waiting(_)
            | Phase::Closed => Some(Reply::new(503, 5, 1, "Not within a message")),
        }
    }

    /// Ends the session because octets came behind STARTTLS, before the handshake. Somebody between
    /// the client and us may have put them there, to be read as if the client had sent them under
    /// TLS.
    fn refuse_plaintext(&mut self) {
        let reply = Reply::new(
            554,
            5,
            0,
            "Nothing may follow STARTTLS before the handshake",
        );
        self.complain(Some(Verb::StartTls), reply);
        self.close(End::Hasty);
    }

    /// The same when 220 was said already: nobody reads a further reply.
    pub(crate) fn drop_plaintext(&mut self) {
        let said = self.output().len();
        // Nor is it said to those who record what was said.
        self.stop_recording();
        self.refuse_plaintext();
        self.output().truncate(said);
    }

    /// The handshake that [`Event::StartTls`] wanted has succeeded. The client has to greet again,
    /// and is told our offers anew.
    ///
    /// RFC 3207 section 4.2: "The server MUST discard any knowledge obtained from the client, such
    /// as the argument to the EHLO command, which was not obtained from the TLS negotiation
    /// itself." What the session has counted against its limits stays.
    pub fn on_encrypted(&mut self, tls: TlsFacts) {
        match self.take_phase() {
            Phase::Waiting(Waiting::Handshake(_)) => self.phase = Phase::Greeted,
            other => return self.out_of_place(other, "a handshake succeeded"),
        }
        self.renew_time_limit();
        self.counts.idle_commands = 0;
        self.follow_ups = FollowUps::default();
        self.doubt = Doubt::Nothing;
        self.facts.recipients.clear();
        self.take_origin();
        self.note_encrypted(&tls);
        self.log(SessionFact::Encrypted(tls.clone()));
        self.client.tls = Some(tls);
        self.lines = LineReader::new(self.line_limits());
        self.after_step();
    }
}
