//! AUTH (RFC 4954): carries the exchange between the client and whoever knows the users. Only under
//! TLS, so that no password crosses a network in clear, and once per session.

use mail::Reply;
use smtp::{Auth, LineLimits, Verb, from_base64, to_base64};

use crate::phase::{Phase, SigningIn, Waiting};
use crate::{
    Event, Session, SessionFact, SignIn, SignInFailed, SignInRefusal, SignedIn, SignedInFact,
};

impl Session {
    /// Whether AUTH is offered now.
    pub(crate) fn offers_sign_in(&self) -> bool {
        self.client.tls.is_some() && self.client.user.is_none() && self.knows_sign_in()
    }

    /// Whether anybody could sign in here, under TLS.
    fn knows_sign_in(&self) -> bool {
        self.settings.rules.listener.sign_in.offered && !self.settings.mechanisms.is_empty()
    }

    /// The mechanisms that this session's encryption allows: -PLUS binds the sign-in to the TLS
    /// session, which TLS 1.2 has no safe way for here (RFC 9266 section 4.2).
    pub(crate) fn mechanisms(&self) -> impl Iterator<Item = &str> {
        let binds = self
            .client
            .tls
            .as_ref()
            .is_some_and(|tls| tls.version == "TLSv1.3");
        let mechanisms = self.settings.mechanisms.iter().map(|name| &**name);
        mechanisms.filter(move |name| binds || !name.ends_with("-PLUS"))
    }

    /// How long lines may be. Where AUTH may come, it brings a token along (RFC 4954 section 4 has
    /// 12,288 octets for a response), and one reader reads all commands.
    pub(crate) fn line_limits(&self) -> LineLimits {
        let commands = self.settings.limits.command_line;
        if !self.offers_sign_in() {
            return commands;
        }
        LineLimits {
            line: commands.line.max(LineLimits::AUTH.line),
            passed_over: commands.passed_over.max(LineLimits::AUTH.passed_over),
        }
    }

    pub(crate) fn on_auth(&mut self, auth: Auth) {
        if let Some(reply) = self.refuse_auth(&auth.mechanism) {
            return self.complain(Some(Verb::Auth), reply);
        }
        let Auth { mechanism, initial } = auth;
        match self.take_phase() {
            Phase::Ready(hello) => {
                let signing_in = SigningIn {
                    hello,
                    mechanism: mechanism.clone(),
                };
                self.prove(Box::new(signing_in), SignIn::Start { mechanism, initial });
            }
            other => self.out_of_place(other, "AUTH"),
        }
    }

    fn refuse_auth(&self, mechanism: &str) -> Option<Reply> {
        if !self.knows_sign_in() {
            return Some(Reply::new(502, 5, 1, "Command not offered"));
        }
        // RFC 4954 section 4: "After a successful AUTH command completes, a server MUST reject any
        // further AUTH commands with a 503 reply."
        if self.client.user.is_some() {
            return Some(Reply::new(503, 5, 1, "Signed in already"));
        }
        // The same section: "The AUTH command is not permitted during a mail transaction. An AUTH
        // command issued during a mail transaction MUST be rejected with a 503 reply."
        if let Some(reply) = self.refuse_outside_ready() {
            return Some(reply);
        }
        if self.client.tls.is_none() {
            return Some(Reply::new(
                538,
                7,
                11,
                "Sign-in needs TLS, send STARTTLS first",
            ));
        }
        let offered = self.mechanisms().any(|name| name == mechanism);
        (!offered).then(|| Reply::new(504, 5, 4, "Mechanism not offered"))
    }

    fn prove(&mut self, signing_in: Box<SigningIn>, step: SignIn) {
        self.phase = Phase::Waiting(Waiting::SignIn(signing_in));
        self.events.push_back(Event::SignIn(step));
    }

    /// A whole line while we wait for the answer to a challenge.
    pub(crate) fn on_response(&mut self, line: &[u8]) {
        // RFC 4954 section 4: "If the client wishes to cancel the authentication exchange, it
        // issues a line with a single "*". If the server receives such a response, it MUST reject
        // the AUTH command by sending a 501 reply."
        if line == b"*" {
            return self.cancel_sign_in(Reply::new(501, 0, 0, "Sign-in cancelled"));
        }
        let Some(response) = from_base64(line) else {
            return self.cancel_sign_in(Reply::new(501, 5, 2, "Not base64"));
        };
        match self.take_phase() {
            Phase::SigningIn(signing_in) => self.prove(signing_in, SignIn::Response(response)),
            other => self.out_of_place(other, "the answer to a challenge"),
        }
    }

    /// RFC 4954 section 6: 500 5.5.6, "Authentication Exchange line is too long".
    pub(crate) fn on_response_too_long(&mut self) {
        self.cancel_sign_in(Reply::new(500, 5, 6, "Line of the sign-in is too long"));
    }

    fn cancel_sign_in(&mut self, reply: Reply) {
        match self.take_phase() {
            Phase::SigningIn(signing_in) => {
                self.phase = Phase::Ready(signing_in.hello);
                self.events.push_back(Event::SignIn(SignIn::Cancelled));
                self.complain(Some(Verb::Auth), reply);
            }
            other => self.out_of_place(other, "the end of a sign-in"),
        }
    }

    /// The answer to [`Event::SignIn`].
    pub fn on_sign_in(&mut self, answer: SignedIn) {
        let signing_in = match self.take_phase() {
            Phase::Waiting(Waiting::SignIn(signing_in)) => signing_in,
            other => return self.out_of_place(other, "a sign-in was answered"),
        };
        self.renew_time_limit();
        match answer {
            SignedIn::Challenge(challenge) => {
                // Not a `Reply`: the blank behind 334 stands there even when nothing follows it.
                let line = format!("334 {}\r\n", to_base64(&challenge));
                self.say_raw(line.as_bytes());
                self.phase = Phase::SigningIn(signing_in);
            }
            SignedIn::Yes { user, rights } => {
                self.phase = Phase::Ready(signing_in.hello);
                self.facts.rights = Some(rights);
                self.client.user = Some(user.clone());
                self.client.mechanism = signing_in.mechanism.clone();
                self.lines.set_limits(self.line_limits());
                self.say(&Reply::new(235, 7, 0, "Signed in"));
                let mechanism = signing_in.mechanism;
                self.log(SessionFact::SignedIn(SignedInFact { user, mechanism }));
            }
            SignedIn::No(refusal) => {
                self.phase = Phase::Ready(signing_in.hello);
                self.sign_in_failed(signing_in.mechanism, refusal);
            }
        }
        self.after_step();
    }

    fn sign_in_failed(&mut self, mechanism: Box<str>, refusal: SignInRefusal) {
        self.say(&refusal.reply);
        self.count_refusal(&refusal.reply);
        if refusal.reply.is_permanent() {
            self.counts.failed_sign_ins += 1;
        }
        self.log(SessionFact::SignInFailed(SignInFailed {
            mechanism,
            refusal,
        }));
    }
}
