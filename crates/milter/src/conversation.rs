use mail::{MailParameters, Reply};

use crate::answer::{Answer, Verdict};
use crate::edited::{Edited, Shown};
use crate::facts::Facts;
use crate::fault::Fault;
use crate::macros::Macros;
use crate::modification::Modification;
use crate::negotiation::{self, Negotiated};
use crate::packet::{DATA_MAX, PacketReader, packet};
use crate::response::{Response, Terms};
use crate::step::Step;

/// Octets of a body that a milter gets at once: pieces of this size are the best ones to be given.
pub const BODY_PIECE_MAX: usize = DATA_MAX;

/// Answers that a milter may give to one message, those among them that ask for more time.
pub const ANSWERS_MAX: u32 = 65_536;

/// Changes that a milter may ask for in one message, a new body aside.
pub const MODIFICATIONS_MAX: usize = 2000;

/// Octets of fields and addresses in them.
const MODIFICATIONS_LEN_MAX: usize = 4 << 20;

/// So much is written at once.
const OUTPUT_ENOUGH: usize = 64 << 10;

/// Fields that are told before the first of them is answered: their answers fit into any socket's
/// buffer, so that neither side waits for the other to read.
const FIELDS_AHEAD_MAX: usize = 100;

/// One milter asked about one message: see the [crate] for how it is driven.
pub struct Conversation<'a> {
    facts: &'a Facts,
    message: &'a Edited<'a>,
    /// The longest body, in octets, that may take the place of another.
    body_max: usize,
    /// Nothing, until it is known.
    negotiated: Option<Negotiated>,
    is_kept: bool,
    /// Whether the milter has said anything.
    is_heard: bool,
    position: Position,
    /// The step whose answer is awaited.
    awaited: Option<Step>,
    /// How many answers are due to it: several fields of a header are told at once.
    due: usize,
    /// How many were due since the last time that none was.
    ahead: usize,
    reader: PacketReader,
    output: Vec<u8>,
    answers: u32,
    /// Octets of changes so far.
    modified: usize,
    answer: Answer,
    /// The milter knows of a message that has not ended for it.
    is_in_message: bool,
    /// How it let the message pass at its end.
    passed: Option<Passed>,
    ended: Option<Result<(), Fault>>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Negotiation,
    Connect,
    Helo,
    Mail,
    /// The recipient of this number.
    Rcpt(usize),
    Data,
    /// The first field from this place on.
    Field(usize),
    EndOfHeader,
    Body,
    EndOfMessage,
    /// Nothing: the end of the message was told.
    Told,
}

/// What a conversation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// Write all that [`Conversation::output`] holds, and clear it.
    Write,
    /// Give what the milter sends to [`Conversation::receive`], or call
    /// [`Conversation::on_closed`].
    Read,
    /// Give the next piece of the body to [`Conversation::body`].
    Body,
    /// Nothing: it is over, see [`Conversation::end`].
    Nothing,
}

/// How a milter lets a message pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// It has nothing against it. libmilter takes another client on a connection only then: behind
    /// every other answer it passes over what we say of one, and is silent.
    Continued,
    /// It accepts it. Another message of the same client may follow.
    Accepted,
}

/// A connection to a milter that takes another message. It belongs to its socket, and what was agreed
/// upon goes on: nobody answers a second offer on it.
#[derive(Debug, Clone)]
pub struct Kept {
    negotiated: Negotiated,
    /// Of whom it was told, with the message before.
    facts: Facts,
    takes_others: bool,
}

impl Kept {
    /// Whether it was told of this client already, so that a message may follow at once.
    pub fn knows(&self, facts: &Facts) -> bool {
        self.facts.is_same_client(facts)
    }

    /// Whether it takes messages of other clients.
    pub fn takes_others(&self) -> bool {
        self.takes_others
    }
}

/// How a conversation ended.
#[derive(Debug)]
pub struct End {
    /// What the milter says, or what broke.
    pub answer: Result<Answer, Fault>,
    /// To be written before the connection is closed; nothing when it is kept, or broke.
    pub output: Vec<u8>,
    /// What the next conversation on this connection begins with; nothing: close it.
    pub kept: Option<Kept>,
    /// The connection had been kept and was dead when it was taken up: nothing was asked on it, so a
    /// new one may be tried.
    pub is_stale: bool,
}

impl<'a> Conversation<'a> {
    /// Asks about a message as milters before this one have made it. `kept` is what the connection's
    /// last conversation ended with, which knows the client or takes others; nothing on a new one.
    /// `body_max` is the longest body, in
    /// octets, that it may put in the place of another.
    pub fn new(
        facts: &'a Facts,
        message: &'a Edited<'a>,
        body_max: usize,
        kept: Option<Kept>,
    ) -> Self {
        let mut output = Vec::new();
        let position = match &kept {
            None => Position::Negotiation,
            Some(kept) if kept.knows(facts) => Position::Mail,
            Some(_) => {
                packet(&mut output, b'K', &[]);
                Position::Connect
            }
        };
        Self {
            facts,
            message,
            body_max,
            position,
            is_kept: kept.is_some(),
            negotiated: kept.map(|kept| kept.negotiated),
            is_heard: false,
            awaited: None,
            due: 0,
            ahead: 0,
            reader: PacketReader::default(),
            output,
            answers: 0,
            modified: 0,
            answer: Answer {
                verdict: Verdict::Accept,
                refused: Vec::new(),
                modifications: Vec::new(),
                quarantine: None,
            },
            is_in_message: false,
            passed: None,
            ended: None,
        }
    }

    /// What is to be done now; to be asked again whenever it is done.
    pub fn wants(&mut self) -> Wants {
        while self.ended.is_none()
            && (self.awaited.is_none() || self.tells_ahead())
            && self.position != Position::Body
            && self.output.len() < OUTPUT_ENOUGH
        {
            self.go_on();
        }
        if !self.output.is_empty() {
            Wants::Write
        } else if self.ended.is_some() {
            Wants::Nothing
        } else if self.awaited.is_some() {
            Wants::Read
        } else {
            Wants::Body
        }
    }

    /// Whether more than one answer may come before the milter waits for us: to fields that were told
    /// at once, and at the end of the message, where changes come before the verdict.
    pub fn awaits_several(&self) -> bool {
        self.due > 1 || self.awaited == Some(Step::EndOfMessage)
    }

    /// What is to be written. Remove what was written.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Takes a piece of the body, from its beginning on, and says how many octets were taken: up to
    /// [`BODY_PIECE_MAX`], the rest is to be given when it is wanted again. An empty piece ends the
    /// body. Nothing is taken when none is wanted.
    pub fn body(&mut self, piece: &[u8]) -> usize {
        if self.position != Position::Body || self.awaited.is_some() || self.ended.is_some() {
            return 0;
        }
        if piece.is_empty() {
            self.position = Position::EndOfMessage;
            return 0;
        }
        let piece = piece.get(..BODY_PIECE_MAX).unwrap_or(piece);
        packet(&mut self.output, Step::Body.command(), &[piece]);
        self.await_answer(Step::Body);
        piece.len()
    }

    /// Takes what the milter sent, cut anywhere.
    pub fn receive(&mut self, input: &[u8]) {
        self.is_heard |= !input.is_empty();
        self.reader.push(input);
        while self.ended.is_none() {
            match self.take_packet() {
                Ok(true) => {}
                Ok(false) => return,
                Err(fault) => self.fail(fault),
            }
        }
    }

    /// The milter has closed the connection, or it broke.
    pub fn on_closed(&mut self) {
        let fault = match self.step() {
            Step::Negotiation => negotiation::closed(),
            step => Fault::Closed(step),
        };
        self.give_up(fault);
    }

    /// The milter has taken longer than it may.
    pub fn on_time_out(&mut self) {
        self.give_up(Fault::TimedOut(self.step()));
    }

    fn give_up(&mut self, fault: Fault) {
        if self.ended.is_none() {
            self.fail(fault);
        }
    }

    /// The step that is at hand.
    fn step(&self) -> Step {
        self.awaited.unwrap_or(match self.position {
            Position::Negotiation => Step::Negotiation,
            Position::Connect => Step::Connect,
            Position::Helo => Step::Helo,
            Position::Mail => Step::Mail,
            Position::Rcpt(_) => Step::Rcpt,
            Position::Data => Step::Data,
            Position::Field(_) => Step::Field,
            Position::EndOfHeader => Step::EndOfHeader,
            Position::Body => Step::Body,
            Position::EndOfMessage | Position::Told => Step::EndOfMessage,
        })
    }

    /// What it came to, once nothing is wanted any more. `keep` says whether the connection is to be
    /// used again. Called before that, it gives the conversation up.
    pub fn end(mut self, keep: bool) -> End {
        self.on_closed();
        let is_sound = self.ended == Some(Ok(())) && self.reader.is_empty();
        let passed = self.passed.filter(|_| keep && is_sound);
        let kept = self
            .negotiated
            .zip(passed)
            .map(|(negotiated, passed)| Kept {
                takes_others: passed == Passed::Continued && negotiated.takes_others(),
                negotiated,
                facts: self.facts.clone(),
            });
        let mut output = Vec::new();
        let answer = match self.ended {
            Some(Err(fault)) => Err(fault),
            _ => {
                if self.is_in_message {
                    packet(&mut output, b'A', &[]);
                }
                if kept.is_none() {
                    packet(&mut output, b'Q', &[]);
                }
                Ok(self.answer)
            }
        };
        End {
            is_stale: self.is_kept && !self.is_heard && matches!(answer, Err(Fault::Closed(_))),
            answer,
            output,
            kept,
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.output.clear();
        self.ended = Some(Err(fault));
    }

    fn finish(&mut self, verdict: Verdict) {
        self.answer.verdict = verdict;
        self.ended = Some(Ok(()));
    }

    fn await_answer(&mut self, step: Step) {
        let is_due = self
            .negotiated
            .as_ref()
            .is_none_or(|terms| terms.answers(step));
        if is_due {
            self.awaited = Some(step);
            self.due += 1;
            self.ahead += 1;
        }
    }

    /// Whether a field may follow before those before it are answered. A header is one thing to a
    /// milter, whose fields it gathers, and one that has made up its mind passes over the rest; a
    /// recipient or a body behind a refusal is another matter, and waits.
    fn tells_ahead(&self) -> bool {
        self.awaited == Some(Step::Field)
            && matches!(self.position, Position::Field(_))
            && self.ahead < FIELDS_AHEAD_MAX
    }
}

/// What is told.
impl Conversation<'_> {
    /// Tells of the next step.
    fn go_on(&mut self) {
        let envelope = self.message.envelope();
        match self.position {
            Position::Negotiation => {
                negotiation::offer(&mut self.output);
                self.await_answer(Step::Negotiation);
                self.position = Position::Connect;
            }
            Position::Connect => {
                self.position = Position::Helo;
                let data = self.connection();
                self.tell(Step::Connect, &[&data]);
            }
            Position::Helo => {
                self.position = Position::Mail;
                self.tell(Step::Helo, &[self.facts.hello.as_bytes(), b"\0"]);
            }
            Position::Mail => {
                self.position = Position::Rcpt(0);
                let path = envelope.sender.to_string();
                let size = self.facts.declared_size;
                let parameters = mail_parameters(&envelope.parameters, size);
                self.is_in_message = true;
                self.tell(Step::Mail, &[path.as_bytes(), b"\0", &parameters]);
            }
            Position::Rcpt(number) => match envelope.recipients.get(number) {
                Some(recipient) => {
                    self.position = Position::Rcpt(number + 1);
                    let path = format!("<{}>", recipient.mailbox);
                    let parameters = words(&recipient.parameters.to_string());
                    self.tell(Step::Rcpt, &[path.as_bytes(), b"\0", &parameters]);
                }
                None => self.on_recipients_told(),
            },
            Position::Data => {
                self.position = Position::Field(0);
                self.tell(Step::Data, &[]);
            }
            Position::Field(place) => match self.message.field_from(place) {
                Some((field, next)) if self.wants_step(Step::Field) => {
                    self.position = Position::Field(next);
                    self.tell_field(field);
                }
                _ => self.position = Position::EndOfHeader,
            },
            Position::EndOfHeader => {
                self.position = match self.wants_step(Step::Body) {
                    true => Position::Body,
                    false => Position::EndOfMessage,
                };
                self.tell(Step::EndOfHeader, &[]);
            }
            Position::Body => {}
            Position::EndOfMessage => {
                self.position = Position::Told;
                self.tell(Step::EndOfMessage, &[]);
            }
            // The answer to it ends the conversation.
            Position::Told => self.finish(Verdict::Accept),
        }
    }

    fn wants_step(&self, step: Step) -> bool {
        self.negotiated
            .as_ref()
            .is_some_and(|terms| terms.wants(step))
    }

    /// Tells of a step, with its macros, when the milter wants to hear of it.
    fn tell(&mut self, step: Step, data: &[&[u8]]) {
        let Some(terms) = self.negotiated.as_ref().filter(|terms| terms.wants(step)) else {
            return;
        };
        let envelope = self.message.envelope();
        let recipient = match (step, self.position) {
            (Step::Rcpt, Position::Rcpt(next)) => envelope.recipients.get(next.saturating_sub(1)),
            _ => None,
        };
        let macros = Macros {
            facts: self.facts,
            envelope,
            recipient: recipient.map(|recipient| &recipient.mailbox),
        };
        macros.write(&mut self.output, step, terms);
        packet(&mut self.output, step.command(), data);
        self.await_answer(step);
    }

    /// The client: name, family, port, address.
    fn connection(&self) -> Vec<u8> {
        let client = &self.facts.client;
        let family = if client.address().is_ipv4() {
            b'4'
        } else {
            b'6'
        };
        let mut data = self.facts.client_name().into_bytes();
        data.extend_from_slice(&[0, family]);
        data.extend_from_slice(&client.peer.port().to_be_bytes());
        data.extend_from_slice(client.address().to_string().as_bytes());
        data.push(0);
        data
    }

    /// Lines end in LF, as Sendmail has them. What no milter could read in one packet is cut.
    fn tell_field(&mut self, field: Shown<'_>) {
        let has_space = self
            .negotiated
            .as_ref()
            .is_some_and(Negotiated::has_leading_space);
        let value = match has_space {
            true => field.value,
            false => field.value.strip_prefix(b" ").unwrap_or(field.value),
        };
        let room = DATA_MAX.saturating_sub(field.name.len() + 2);
        let value = value.iter().copied();
        let value: Vec<u8> = value
            .filter(|octet| !matches!(octet, b'\r' | 0))
            .take(room)
            .collect();
        self.tell(Step::Field, &[field.name, b"\0", &value, b"\0"]);
    }

    /// A message that nobody is to get is not looked at: as many may still come later as were put off.
    fn on_recipients_told(&mut self) {
        self.position = Position::Data;
        let refused = &self.answer.refused;
        let is_for_nobody =
            !refused.is_empty() && refused.len() == self.message.envelope().recipients.len();
        if is_for_nobody {
            let replies = || refused.iter().map(|(_, reply)| reply);
            let reply = replies()
                .find(|reply| reply.is_transient())
                .or(replies().next());
            let verdict = reply.cloned().map_or(Verdict::Accept, Verdict::Refuse);
            self.finish(verdict);
        }
    }
}

/// What is answered.
impl Conversation<'_> {
    /// Reads one packet; `false` when there is none.
    fn take_packet(&mut self) -> Result<bool, Fault> {
        let terms = Terms {
            has_leading_space: self
                .negotiated
                .as_ref()
                .is_some_and(Negotiated::has_leading_space),
            host: &self.facts.host,
        };
        let Some((what, data)) = self.reader.next()? else {
            return Ok(false);
        };
        let response = Response::read(what, data, terms)?;
        // One for each step is what was asked for, however many there are.
        let is_asked_for = self.awaited.is_some() && matches!(response, Response::Continue);
        self.answers += u32::from(!is_asked_for);
        if self.answers > ANSWERS_MAX {
            return Err(Fault::Endless);
        }
        match (self.awaited, response) {
            (Some(Step::Negotiation), Response::Negotiated) => {
                self.negotiated = Some(Negotiated::read(data)?);
                self.on_answered();
            }
            // From a thread of its own, and late.
            (None, Response::Progress) => {}
            (None, _) => return Err(Fault::Unasked(what)),
            (Some(step), response) if response.belongs_to(step) && step != Step::Negotiation => {
                let size = data.len();
                self.on_response(step, response, size)?;
            }
            (Some(step), _) => return Err(Fault::OutOfPlace(what, step)),
        }
        Ok(true)
    }

    fn on_passed(&mut self, step: Step, passed: Passed) {
        if step == Step::EndOfMessage {
            self.passed = Some(passed);
        }
    }

    fn on_answered(&mut self) {
        self.due -= 1;
        if self.due == 0 {
            self.awaited = None;
            self.ahead = 0;
        }
    }

    fn on_response(&mut self, step: Step, response: Response, size: usize) -> Result<(), Fault> {
        match response {
            Response::Progress | Response::Negotiated => return Ok(()),
            Response::Quarantine(reason) => {
                self.answer.quarantine = Some(reason);
                return Ok(());
            }
            Response::Modify(modification) => {
                self.answer.modifications.push(modification);
                self.modified += size;
                return self.within_bounds();
            }
            Response::Body(piece) => return self.on_body(&piece),
            Response::Continue => self.on_passed(step, Passed::Continued),
            Response::Skip => self.skip(step),
            Response::Accept => {
                self.on_passed(step, Passed::Accepted);
                self.finish(Verdict::Accept);
            }
            Response::Discard => self.finish(Verdict::Discard),
            Response::Fail => return Err(Fault::AsksForFailure),
            Response::Refuse(reply) => self.on_refused(step, reply),
            Response::Shutdown(reply) => self.finish(Verdict::Refuse(reply)),
        }
        self.on_answered();
        if step == Step::EndOfMessage {
            self.is_in_message = false;
            self.ended.get_or_insert(Ok(()));
            return self
                .answer
                .modifications
                .iter()
                .try_for_each(Modification::check);
        }
        Ok(())
    }

    /// At RCPT it is that recipient's alone.
    fn on_refused(&mut self, step: Step, reply: Reply) {
        let recipients = &self.message.envelope().recipients;
        let recipient = match (step, self.position) {
            (Step::Rcpt, Position::Rcpt(next)) => recipients.get(next.saturating_sub(1)),
            _ => None,
        };
        match recipient {
            Some(recipient) if reply.code() != 421 => {
                self.answer.refused.push((recipient.mailbox.clone(), reply));
            }
            _ => self.finish(Verdict::Refuse(reply)),
        }
    }

    fn skip(&mut self, step: Step) {
        match step {
            Step::Rcpt => self.position = Position::Rcpt(usize::MAX),
            Step::Field => self.position = Position::EndOfHeader,
            Step::Body => self.position = Position::EndOfMessage,
            // There is one of each.
            Step::Negotiation
            | Step::Connect
            | Step::Helo
            | Step::Mail
            | Step::Data
            | Step::EndOfHeader
            | Step::EndOfMessage => {}
        }
    }

    /// All pieces are one body, whatever comes between them.
    fn on_body(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let modifications = &mut self.answer.modifications;
        let so_far = modifications
            .iter_mut()
            .find_map(|modification| match modification {
                Modification::ReplaceBody(body) => Some(body),
                _ => None,
            });
        let len = so_far.as_ref().map_or(0, |body| body.len()) + piece.len();
        if len > self.body_max {
            return Err(Fault::TooMuch);
        }
        match so_far {
            Some(body) => body.extend_from_slice(piece),
            None => modifications.push(Modification::ReplaceBody(piece.to_vec())),
        }
        Ok(())
    }

    fn within_bounds(&self) -> Result<(), Fault> {
        let is_within = self.answer.modifications.len() <= MODIFICATIONS_MAX
            && self.modified <= MODIFICATIONS_LEN_MAX;
        is_within.then_some(()).ok_or(Fault::TooMuch)
    }
}

/// What MAIL says beside its path, each with a NUL behind it.
fn mail_parameters(parameters: &MailParameters, size: Option<u64>) -> Vec<u8> {
    let size = size.map(|size| format!("SIZE={size} ")).unwrap_or_default();
    words(&format!("{size}{parameters}"))
}

fn words(text: &str) -> Vec<u8> {
    let mut data = Vec::new();
    for word in text.split_ascii_whitespace() {
        data.extend_from_slice(word.as_bytes());
        data.push(0);
    }
    data
}
