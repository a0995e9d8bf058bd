mod ending;
mod securing;
mod signing_in;
mod verifying;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use mail::{Failure, Reply, TlsFacts};
use route::Hop;
use smtp::{Offers, ReplyReader, Said, ServerReply, TimeLimit};

use self::ending::Ending;
use self::signing_in::SigningIn;
pub use self::verifying::Verified;
use self::verifying::{Question, Verifying};
use crate::transmission::{Step, Transmission};
use crate::wire::Wire;
use crate::{Again, Event, HandshakeFault, Protocol, Settings, Stage, Transaction, trouble};

/// Phases are even; the odd ones between are those that begin without a call
/// ([`Conversation::time_limit`]).
const PHASE_STEP: u32 = 2;

/// One connection to one server, from its greeting to QUIT.
pub struct Conversation {
    settings: Arc<Settings>,
    hop: Hop,
    helo_only: bool,
    state: State,
    offers: Offers,
    /// The encryption, once there is any.
    tls: Option<Arc<TlsFacts>>,
    /// The server does not encrypt where we would, and what it said to STARTTLS.
    no_starttls: Option<Option<Reply>>,
    /// What both ends of it know and nobody between (RFC 9266).
    exporter: Option<[u8; 32]>,
    reader: ReplyReader,
    output: Wire,
    events: VecDeque<Event>,
    /// The message that was given while the server was not ready for it.
    next: Option<Transaction>,
    /// Whom to ask for, when the server is ready.
    question: Option<Question>,
    /// What became of a question.
    verified: Option<Verified>,
    /// Messages that this connection has carried to an end.
    carried: u32,
    ready_told: bool,
    quit_wanted: bool,
    phase: u32,
    trouble: Option<Failure>,
}

/// What the server owes us.
#[derive(Debug)]
enum State {
    /// Its greeting, 220.
    Greeting,
    /// The answer to EHLO, HELO or LHLO.
    Hello(Hello),
    /// The answer to STARTTLS.
    Securing,
    /// A handshake, which whoever drives the conversation does.
    Handshaking,
    /// The answers to AUTH.
    SigningIn(Box<SigningIn>),
    /// Nothing: the next message may begin.
    Idle,
    /// Answers to the commands of a message.
    Transmitting(Box<Transmission>),
    /// Answers to a question for a recipient.
    Verifying(Verifying),
    /// The answer to RSET after a question, or a message that ended before its time.
    Resetting,
    /// The answer to QUIT, 221.
    Quitting,
    /// Nothing any more: the connection is to be closed, or is.
    Closed,
}

/// How we introduce ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hello {
    Ehlo,
    Helo,
    /// RFC 2033 section 4.1.
    Lhlo,
}

impl Hello {
    fn verb(self) -> &'static str {
        match self {
            Self::Ehlo => "EHLO",
            Self::Helo => "HELO",
            Self::Lhlo => "LHLO",
        }
    }
}

impl Conversation {
    /// A connection to `hop` that has just been made: waits for the greeting, or first for the
    /// handshake.
    pub fn new(settings: Arc<Settings>, hop: Hop) -> Self {
        let (state, first) = if hop.implicit_tls {
            (State::Handshaking, Some(Event::StartTls))
        } else {
            (State::Greeting, None)
        };
        Self {
            helo_only: settings.helo_only,
            settings,
            hop,
            state,
            offers: Offers::default(),
            tls: None,
            no_starttls: None,
            exporter: None,
            reader: ReplyReader::new(),
            output: Wire::default(),
            events: first.into_iter().collect(),
            next: None,
            question: None,
            verified: None,
            carried: 0,
            ready_told: false,
            quit_wanted: false,
            phase: 0,
            trouble: None,
        }
    }

    /// The same, saying HELO from the start: after [`Again::WithHelo`].
    pub fn with_helo(settings: Arc<Settings>, hop: Hop) -> Self {
        Self {
            helo_only: true,
            ..Self::new(settings, hop)
        }
    }

    /// The host talked to.
    pub fn hop(&self) -> &Hop {
        &self.hop
    }

    /// What the server offers; nothing before its answer to EHLO. What it offered in clear is
    /// forgotten with the handshake.
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Why the connection was given up, when trouble with the host ended it. A conversation that
    /// quits has none.
    pub fn trouble(&self) -> Option<&Failure> {
        self.trouble.as_ref()
    }

    /// Whether QUIT was said, or is about to be written, and its answer is all that may come.
    pub fn is_quitting(&self) -> bool {
        matches!(self.state, State::Quitting)
    }

    /// Whether [`Event::Closed`] was told, or is about to be.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Takes what the server sent, cut anywhere.
    pub fn receive(&mut self, input: &[u8]) {
        let mut rest = input;
        while !self.is_closed() && !rest.is_empty() {
            if self.wants_handshake() {
                return self.on_injected();
            }
            match self.reader.read(&mut rest) {
                Ok(Some(reply)) => self.on_reply(reply),
                Ok(None) => {}
                Err(fault) => {
                    let reply = trouble::malformed(fault, &self.when());
                    self.broken(reply, self.is_at_end(), None);
                }
            }
        }
    }

    /// What is to be written to the server: write it, and remove what was written as soon as it
    /// was. A success that arrives while the end of the message still waits here is not believed.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.output.octets()
    }

    /// From here on, keeps what is said, to be taken by [`Conversation::next_said`].
    pub fn record(&mut self) {
        self.output.record();
    }

    /// The next of what was said, in order; to be asked until `None` before
    /// [`Conversation::next_event`].
    pub fn next_said(&mut self) -> Option<Said> {
        self.output.next_said()
    }

    /// The next thing that happened; ask until `None` after every other call.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Gives the next message. May be called before the greeting, or right after a reusable end: it
    /// is begun as soon as the server is ready. On a connection that is closing the message ends at
    /// once with [`Again::Fresh`], also after [`Event::Closed`].
    pub fn start(&mut self, transaction: Transaction) {
        match &self.state {
            State::Idle => self.begin(transaction),
            State::Quitting | State::Closed => self.turn_away(&transaction),
            State::Greeting
            | State::Hello(_)
            | State::Securing
            | State::Handshaking
            | State::SigningIn(_)
            | State::Transmitting(_)
            | State::Verifying(_)
            | State::Resetting => {
                if self.is_free() && !self.quit_wanted {
                    self.next = Some(transaction);
                } else {
                    self.turn_away(&transaction);
                }
            }
        }
    }

    /// Whether the server has taken MAIL for the message under way.
    pub fn has_begun(&self) -> bool {
        matches!(&self.state, State::Transmitting(transmission) if transmission.has_begun())
    }

    /// Whether the whole message was written, and its answer has not come.
    pub fn awaits_verdict(&self) -> bool {
        self.is_at_end() && self.output.is_empty()
    }

    /// Whether pieces of content are to be fed now.
    pub fn wants_content(&self) -> bool {
        matches!(&self.state, State::Transmitting(transmission) if transmission.wants_content())
    }

    /// The next piece of the content, cut anywhere. Feed the next when most of `output` has been
    /// written: that bounds the memory.
    pub fn content(&mut self, piece: &[u8]) {
        self.advance();
        let State::Transmitting(transmission) = &mut self.state else {
            return;
        };
        if let Err(failure) = transmission.content(piece, &mut self.output) {
            self.cut(&failure);
        }
    }

    /// All content was fed. Harmless when the conversation has noticed by itself, as it does with
    /// BDAT.
    pub fn content_end(&mut self) {
        self.advance();
        let State::Transmitting(transmission) = &mut self.state else {
            return;
        };
        if let Err(failure) = transmission.content_end(&mut self.output) {
            self.cut(&failure);
        }
    }

    /// The content could not be read to its end: the connection is cut without a final dot, so that
    /// no part of a message passes for the whole; `why` is told in the outcome. It concerns this
    /// message alone, not the host.
    pub fn content_failed(&mut self, why: &str) {
        if self.wants_content() {
            self.cut(&trouble::unreadable(why));
        }
    }

    /// How long to wait now.
    pub fn time_limit(&self) -> TimeLimit {
        // The wait for the answer to the final dot begins when the dot has been written, which only
        // the empty output tells.
        let phase = self.phase + u32::from(self.is_at_end());
        TimeLimit {
            phase,
            limit: self.stage().time_limit(&self.settings.timeouts),
        }
    }

    /// The limit of [`Conversation::time_limit`] has passed.
    pub fn on_timeout(&mut self) {
        match self.state {
            State::Idle => self.say_quit(),
            State::Quitting => self.close(),
            State::Handshaking => self.on_handshake_failed(&HandshakeFault::timed_out()),
            State::Greeting
            | State::Hello(_)
            | State::Securing
            | State::SigningIn(_)
            | State::Transmitting(_)
            | State::Verifying(_)
            | State::Resetting => {
                let reply = trouble::timed_out(&self.when());
                self.broken(reply, self.is_at_end(), None);
            }
            State::Closed => {}
        }
    }

    /// The server closed the connection, or it broke.
    pub fn on_disconnected(&mut self) {
        match &self.state {
            State::Idle | State::Quitting => self.close(),
            State::Handshaking => self.on_handshake_failed(&HandshakeFault::dropped()),
            State::Greeting
            | State::Hello(_)
            | State::Securing
            | State::SigningIn(_)
            | State::Transmitting(_)
            | State::Verifying(_)
            | State::Resetting => {
                let reply = trouble::dropped(&self.when());
                self.broken(reply, self.is_at_end(), self.again());
            }
            State::Closed => {}
        }
    }

    /// No more messages: says QUIT when idle. While a message is under way this is remembered until
    /// it has ended.
    pub fn quit(&mut self) {
        self.quit_wanted = true;
        match self.state {
            State::Idle => self.say_quit(),
            State::Greeting
            | State::Hello(_)
            | State::Securing
            | State::Handshaking
            | State::SigningIn(_)
                if self.is_free() =>
            {
                self.close();
            }
            State::Greeting
            | State::Hello(_)
            | State::Securing
            | State::Handshaking
            | State::SigningIn(_)
            | State::Transmitting(_)
            | State::Verifying(_)
            | State::Resetting
            | State::Quitting
            | State::Closed => {}
        }
    }

    fn on_reply(&mut self, reply: ServerReply) {
        self.output.heard(&reply);
        self.advance();
        let stage = self.stage();
        if let Some(question) = &mut self.question {
            question.note(stage, reply.reply());
        }
        match &mut self.state {
            State::Greeting => self.on_greeting(reply.into_reply()),
            State::Hello(Hello::Helo) => self.on_helo(reply.into_reply()),
            State::Hello(hello) => {
                let hello = *hello;
                self.on_ehlo(hello, reply);
            }
            State::Securing => self.on_starttls(reply.into_reply()),
            State::SigningIn(signing_in) => {
                let progress = signing_in.on_reply(&reply, &mut self.output);
                self.on_sign_in(progress);
            }
            State::Transmitting(transmission) => {
                let step = transmission.on_reply(reply.into_reply(), &self.hop, &mut self.output);
                self.on_step(step);
            }
            State::Verifying(_) => self.on_verifying(reply.into_reply()),
            State::Resetting => self.on_reset(reply.into_reply()),
            // Nothing was asked: a 421 on the way out, or a server out of step. Either way nothing
            // is lost by closing.
            State::Idle | State::Quitting => self.close(),
            State::Handshaking | State::Closed => {}
        }
    }

    fn on_greeting(&mut self, reply: Reply) {
        if !reply.is_positive() {
            return self.refused_by_host(reply);
        }
        self.say_hello();
    }

    fn say_hello(&mut self) {
        self.say(match self.settings.protocol {
            Protocol::Lmtp => Hello::Lhlo,
            Protocol::Smtp if self.helo_only => Hello::Helo,
            Protocol::Smtp => Hello::Ehlo,
        });
    }

    fn say(&mut self, hello: Hello) {
        let verb = hello.verb();
        self.state = State::Hello(hello);
        let helo = &self.settings.helo;
        self.output.command(format_args!("{verb} {helo}"));
    }

    fn on_ehlo(&mut self, hello: Hello, reply: ServerReply) {
        if reply.reply().is_positive() {
            self.offers = Offers::from_ehlo(&reply);
            return self.on_greeted();
        }
        // RFC 5321 section 3.2: a server that does not know EHLO refuses it, and the client then
        // says HELO. 521 and 554 speak of the whole service (RFC 7504).
        let reply = reply.into_reply();
        if hello == Hello::Lhlo {
            self.refused_by_host(trouble::hint(reply, trouble::NO_LMTP));
        } else if reply.is_permanent() && !matches!(reply.code(), 521 | 554) {
            self.say(Hello::Helo);
        } else {
            self.refused_by_host(reply);
        }
    }

    fn on_helo(&mut self, reply: Reply) {
        if reply.is_positive() {
            self.on_greeted()
        } else {
            self.refused_by_host(trouble::hint(reply, trouble::PERHAPS_LMTP))
        }
    }

    fn on_reset(&mut self, reply: Reply) {
        if reply.is_positive() {
            return self.on_idle();
        }
        self.broken(
            trouble::nonsense(&reply, Stage::Reset.words()),
            false,
            Some(Again::Fresh),
        );
    }

    fn on_step(&mut self, step: Step) {
        match step {
            Step::Wait => {}
            Step::Content => self.events.push_back(Event::Content),
            Step::Done { reset } => self.on_done(reset),
            Step::Unusable => {
                let ending = Ending {
                    again: self.again_after_put_off(),
                    ..Ending::default()
                };
                self.end_transmission(None, ending);
                self.close();
            }
            Step::Broken { reply, unknown } => self.broken(reply, unknown, self.again()),
        }
    }

    /// A message is through, and the server is in step.
    fn on_done(&mut self, reset: bool) {
        let (put_off, again) = (self.is_put_off(), self.again_after_put_off());
        self.quit_wanted |= put_off;
        self.carried += 1;
        let full = self
            .offers
            .messages_max
            .is_some_and(|max| self.carried >= max);
        self.quit_wanted |= full;
        self.end_transmission(
            None,
            Ending {
                reusable: !self.quit_wanted,
                again,
                ..Ending::default()
            },
        );
        if let Some(transaction) = self.next.take_if(|_| full || put_off) {
            self.turn_away(&transaction);
        }
        if reset && !self.quit_wanted {
            self.output.command(format_args!("RSET"));
            self.state = State::Resetting;
        } else {
            self.on_idle();
        }
    }

    fn is_put_off(&self) -> bool {
        matches!(&self.state, State::Transmitting(transmission) if transmission.is_put_off())
    }

    /// A kept connection on which MAIL is put off may simply have carried enough.
    fn again_after_put_off(&self) -> Option<Again> {
        (self.is_put_off() && self.carried > 0).then_some(Again::Fresh)
    }

    fn on_idle(&mut self) {
        self.state = State::Idle;
        self.advance();
        if let Some(transaction) = self.next.take() {
            self.begin(transaction);
        } else if let Some(question) = self.question.take() {
            self.begin_verifying(question);
        } else if self.quit_wanted {
            self.say_quit();
        } else if !self.ready_told {
            self.ready_told = true;
            self.events.push_back(Event::Ready);
        }
    }

    fn begin(&mut self, transaction: Transaction) {
        self.ready_told = true;
        self.advance();
        let begun = Transmission::begin(
            transaction,
            &self.offers,
            &self.settings,
            &self.hop,
            &mut self.output,
        );
        match begun {
            Ok(transmission) => self.state = State::Transmitting(Box::new(transmission)),
            Err(outcomes) => {
                let reusable = !self.quit_wanted;
                self.push_ended(
                    outcomes,
                    Ending {
                        reusable,
                        ..Ending::default()
                    },
                );
                self.on_idle();
            }
        }
    }

    /// Whether neither a message nor a question waits for the server to be ready.
    fn is_free(&self) -> bool {
        self.next.is_none() && self.question.is_none()
    }

    fn advance(&mut self) {
        self.phase = self.phase.wrapping_add(PHASE_STEP);
    }

    fn say_quit(&mut self) {
        self.output.command(format_args!("QUIT"));
        self.state = State::Quitting;
        self.advance();
    }

    fn close(&mut self) {
        if let Some(transaction) = self.next.take() {
            self.turn_away(&transaction);
        }
        if let Some(question) = self.question.take() {
            self.turn_question_away(question);
        }
        self.state = State::Closed;
        self.advance();
        self.events.push_back(Event::Closed);
    }

    /// Whether a connection lost now deserves another to the same host.
    fn again(&self) -> Option<Again> {
        match &self.state {
            // In HELO there is no STARTTLS: whoever hangs up must not get rid of the encryption by
            // it.
            State::Hello(Hello::Ehlo) if !self.demands_tls() && self.tls.is_none() => {
                Some(Again::WithHelo)
            }
            State::Transmitting(transmission)
                if self.carried > 0 && !transmission.is_answered() =>
            {
                Some(Again::Fresh)
            }
            State::Verifying(verifying) if self.carried > 0 && !verifying.is_asked() => {
                Some(Again::Fresh)
            }
            State::Resetting => Some(Again::Fresh),
            State::Greeting
            | State::Hello(_)
            | State::Securing
            | State::Handshaking
            | State::SigningIn(_)
            | State::Idle
            | State::Transmitting(_)
            | State::Verifying(_)
            | State::Quitting
            | State::Closed => None,
        }
    }

    /// Whether the whole message is with the server, and its answer is not with us.
    fn is_at_end(&self) -> bool {
        matches!(self.stage(), Stage::End | Stage::NextEnd)
    }

    /// What was under way, behind "Connection lost".
    fn when(&self) -> Cow<'static, str> {
        if let State::Transmitting(transmission) = &self.state
            && let Some((given, asked)) = transmission.replies()
        {
            return trouble::after_replies(given, asked).into();
        }
        self.stage().words().into()
    }

    /// What is waited for.
    fn stage(&self) -> Stage {
        match &self.state {
            State::Greeting => Stage::Greeting,
            State::Hello(Hello::Ehlo) => Stage::Ehlo,
            State::Hello(Hello::Helo) => Stage::Helo,
            State::Hello(Hello::Lhlo) => Stage::Lhlo,
            State::Securing => Stage::StartTls,
            State::Handshaking => Stage::Handshake,
            State::SigningIn(_) => Stage::SignIn,
            State::Idle => Stage::Idle,
            State::Transmitting(transmission) => transmission.stage(self.output.is_empty()),
            State::Verifying(verifying) => verifying.stage(),
            State::Resetting => Stage::Reset,
            State::Quitting | State::Closed => Stage::Quit,
        }
    }
}

/// Says where it stands, and nothing of what goes over the wire: passwords do.
impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("hop", &self.hop)
            .field("state", &self.state)
            .field("carried", &self.carried)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
