//! AUTH (RFC 4954), as a client. The mechanisms are behind [`SignIn`]; here is what stands on the
//! wire.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Reply;
use smtp::ServerReply;

use super::{Conversation, State};
use crate::wire::Wire;
use crate::{Identity, SignIn, SignInStart, Stage, trouble};

/// Challenges answered in one exchange; the longest mechanism has three.
const CHALLENGES_MAX: u32 = 8;
/// RFC 5321 section 4.5.3.1.4: octets of a command line, its end included.
const COMMAND_LINE_BYTES_MAX: usize = 512;

/// One AUTH exchange.
pub(super) struct SigningIn {
    exchange: Box<dyn SignIn>,
    /// An initial response that was too long for the command line.
    initial: Option<Vec<u8>>,
    challenges: u32,
    /// A challenge says only that it is our turn.
    prompts: bool,
    /// Why we cancelled it; the server has still to say that it noticed.
    cancelled: Option<Reply>,
}

/// What follows from a reply.
pub(super) enum Progress {
    Wait,
    /// We are signed in.
    Done,
    /// We are not, and this host is of no use; what to say of it.
    Failed(Reply),
}

impl SigningIn {
    fn begin(start: SignInStart, output: &mut Wire) -> Self {
        let mut line = format!("AUTH {}", start.mechanism);
        let mut initial = start.initial;
        if let Some(response) = &initial {
            // RFC 4954 section 4: an empty initial response is sent as "=".
            let text = match STANDARD.encode(response) {
                empty if empty.is_empty() => "=".to_owned(),
                text => text,
            };
            // RFC 4954 section 4: "Note that the AUTH command is still subject to the line length
            // limitations defined in [SMTP]." What does not fit waits for the server's empty
            // challenge.
            if line.len() + 1 + text.len() + 2 <= COMMAND_LINE_BYTES_MAX {
                line.push(' ');
                line.push_str(&text);
                initial = None;
            }
        }
        output.command(format_args!("{line}"));
        Self {
            exchange: start.exchange,
            initial,
            challenges: 0,
            // LOGIN has no standard. The name comes first and the password second, whatever the
            // server's words are, and in whatever form.
            prompts: start.mechanism.eq_ignore_ascii_case("LOGIN"),
            cancelled: None,
        }
    }

    /// Takes the next reply.
    pub(super) fn on_reply(&mut self, reply: &ServerReply, output: &mut Wire) -> Progress {
        if reply.reply().code() == 421 {
            return Progress::Failed(reply.reply().clone());
        }
        if let Some(why) = self.cancelled.take() {
            return Progress::Failed(why);
        }
        match reply.reply().code() {
            334 => self.on_challenge(reply, output),
            235 => match self.exchange.finish() {
                Ok(()) => Progress::Done,
                Err(why) => Progress::Failed(trouble::no_proof(&why)),
            },
            _ => Progress::Failed(trouble::sign_in_refused(reply.reply())),
        }
    }

    fn on_challenge(&mut self, reply: &ServerReply, output: &mut Wire) -> Progress {
        self.challenges += 1;
        let answer = if self.challenges > CHALLENGES_MAX {
            Err("it asks without end".into())
        } else {
            self.answer(reply.lines().next().unwrap_or_default())
        };
        match answer {
            Ok(response) => output.secret(STANDARD.encode(response).as_bytes()),
            Err(why) => {
                // RFC 4954 section 4: "If the client wishes to cancel the authentication exchange,
                // it issues a line with a single "*"."
                output.secret(b"*");
                self.cancelled = Some(trouble::no_proof(&why));
            }
        }
        Progress::Wait
    }

    fn answer(&mut self, challenge: &str) -> Result<Vec<u8>, Box<str>> {
        let challenge = match STANDARD.decode(challenge.trim()) {
            Ok(challenge) => challenge,
            Err(_) if self.prompts => Vec::new(),
            Err(_) => return Err("its challenge is not base64".into()),
        };
        match self.initial.take() {
            Some(initial) if challenge.is_empty() => Ok(initial),
            Some(_) => Err("it challenges before we have said who we are".into()),
            None => self.exchange.step(&challenge),
        }
    }
}

/// Without what is secret.
impl fmt::Debug for SigningIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningIn")
            .field("challenges", &self.challenges)
            .finish_non_exhaustive()
    }
}

impl Conversation {
    /// Signs in if this route does, or is ready at once. Only called where
    /// [`Conversation::demands_tls`] is fulfilled.
    pub(super) fn sign_in(&mut self) {
        let Some(Identity(credentials)) = &self.settings.credentials else {
            return self.on_idle();
        };
        match credentials.begin(&self.offers.auth, self.exporter.as_ref()) {
            Ok(start) => {
                let signing_in = SigningIn::begin(start, &mut self.output);
                self.state = State::SigningIn(Box::new(signing_in));
                self.advance();
            }
            Err(why) => self.refused_at(Stage::SignIn, trouble::no_mechanism(&why)),
        }
    }

    pub(super) fn on_sign_in(&mut self, progress: Progress) {
        match progress {
            Progress::Wait => {}
            Progress::Done => self.on_idle(),
            Progress::Failed(reply) => self.refused_by_host(reply),
        }
    }
}
