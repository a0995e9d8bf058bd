//! One incoming connection: everything that stands around its [`Session`], once for all drivers.
//!
//! What arrived before the session could take it, the body that grows on disk, the store of a
//! finished message under its one queue id, the one timer, pauses, a stop of the relay: the order
//! of all that is decided here. Events go in (`on_*`, [`Incoming::receive`], [`Incoming::begin`]),
//! actions come out ([`Incoming::next_action`]). Whoever drives it owns a connection, a timer and a
//! way to the disk, and decides nothing: it does each action, in order, and says how it went. Time,
//! randomness and answers are arguments.
//!
//! Guarantees: while an answer is awaited nothing further is done; what the client was told stands
//! before what takes long, so it never waits for a reply that is ready; a client that leaves while
//! its message is being stored changes nothing about the storing.

mod advised;
mod body;
mod coming;
mod memory;
mod screening;
mod signing_in;
mod storing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ::screening::Finding;
use admission::{Allowance, Standing, TurnAway};
use bytes::Bytes;
use config::Screening as Terms;
use mail::{Client, Domain, QueueId, Timestamp, TlsFacts};
use reception::{Accepted, Admission, Event, Refusal, Session, SessionFact, StoreTrouble};
use relay_policy::{Answer, Consulted, Question, Requested, Rules};
use smtp::Said;
use spool::{BodyWriter, Content, Health, INLINE_OCTETS_MAX, Receipt, SpoolError};

use self::advised::Advised;
pub use self::body::{BodyWrite, BodyWritten};
pub use self::coming::Coming;
pub use self::memory::ContentMemory;
use self::memory::Share;
pub use self::screening::{
    CannotRelease, ForMilters, Judgement, Late, LateEnd, LateOutcome, NotResumed, Screened,
    ScreenedFact, Screening, WithoutAttachments, begun, facts_for_hooks, reputation, unended,
    unscanned, without_attachments,
};
use self::signing_in::SigningIn;
pub use self::signing_in::{SignInOutcome, SignInStep};
pub(crate) use self::storing::BEING_SCREENED;
pub use self::storing::{Acceptance, Pending, Storing};

use crate::{admission, standing_encrypted, trouble};

/// What the driver is to do next.
pub enum Action {
    /// Write to the log what happened in the session.
    Log(SessionFact),
    /// Keep what was said, in order; only where the session is recorded.
    Said(Said),
    /// The client named a recipient that does not exist: count that against its
    /// [`Incoming::standing`].
    Guessed,
    /// Send all of it, or say [`Incoming::on_send_failed`]; also when the timer runs out before.
    Send(Vec<u8>),
    /// Set the one timer anew: so long from now, [`Incoming::on_timer`].
    Timer(Duration),
    /// A message wants to begin: [`Incoming::begin`], at once.
    Begin,
    /// Find this out: [`Incoming::on_answer`].
    Ask(Question),
    /// Have this mail sent, for which the client asks: [`Incoming::on_started`].
    Start(Requested),
    /// See whether any of this mail waits, which the client takes on this connection:
    /// [`Incoming::on_turned_around`]. If so, the connection is kept at [`Action::Close`] for whoever
    /// brings it.
    TurnAround(Requested),
    /// One step of a sign-in: [`Incoming::on_sign_in`].
    SignIn(SignInStep),
    /// Shake hands as a TLS server, within so long: [`Incoming::on_encrypted`] or
    /// [`Incoming::on_handshake_failed`].
    StartTls(Duration),
    /// Write to the disk, which may block: [`Incoming::on_written`] with what came of it.
    Write(BodyWrite),
    /// Look at this message, as [`Screening`] says: [`Incoming::on_screened`] with what was made of
    /// it.
    Screen(Box<Screening>),
    /// Commit these messages, all or none of them: [`Incoming::on_stored`] with what
    /// [`Pending::on_commit`] made of that; or [`Incoming::on_postponed`].
    Store(Vec<Storing>),
    /// Close the connection: nothing follows.
    Close {
        /// The client may be in the middle of a message. Read on for a moment and keep nothing, or
        /// it gets a reset in place of our last words.
        lingers: bool,
    },
}

/// What the driver owes an answer to. Nothing else is done before it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Begin,
    Answer,
    Start,
    SignIn,
    Handshake,
    /// A piece of a body is being written.
    Piece,
    /// The last piece of it.
    Rest,
    Verdict,
    Receipt,
}

/// One incoming connection, without its input and output.
pub struct Incoming {
    session: Session,
    standing: Standing,
    /// How messages are looked at, where they are.
    screening: Option<Arc<Terms>>,
    kept: Kept,
    /// The message begun last: the one name that it has in the spool, in `Received`, in the reply.
    id: Option<QueueId>,
    /// What policy services said of its recipients.
    advised: Advised,
    /// Tells the spool's writer that it is on its way.
    coming: Option<Coming>,
    /// What its content may have in memory, of what there is for all.
    share: Option<Share>,
    memory: Option<ContentMemory>,
    /// What was spilled of it.
    body: Option<Box<dyn BodyWriter>>,
    awaited: Option<Awaited>,
    /// To be done once the output is written, and whether it has an answer.
    upcoming: Option<(Action, Option<Awaited>)>,
    /// The step of the conversation for which the timer was set.
    timed: Option<u32>,
    /// The timer measures a pause, not the client's time.
    pausing: bool,
    signing_in: SigningIn,
    departure: Departure,
    lingers: bool,
    closed: bool,
}

/// What arrived and was not yet taken by the session: it waits for an answer.
#[derive(Default)]
struct Kept {
    octets: Vec<u8>,
    /// Octets at the front that were taken.
    taken: usize,
    /// When they came.
    at: Timestamp,
}

/// How the client left, if it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Departure {
    Present,
    /// It sends nothing more: what it sent before still counts.
    Ended,
    /// It reads nothing more.
    Deaf,
}

impl Incoming {
    /// A connection with its session, greeting and all, of a client that is held to the limits of
    /// this standing.
    pub fn new(session: Session, standing: Standing) -> Self {
        Self {
            session,
            standing,
            screening: None,
            kept: Kept::default(),
            id: None,
            advised: Advised::default(),
            coming: None,
            share: None,
            memory: None,
            body: None,
            awaited: None,
            upcoming: None,
            timed: None,
            pausing: false,
            signing_in: SigningIn::default(),
            departure: Departure::Present,
            lingers: false,
            closed: false,
        }
    }

    /// Whose messages may have some of this.
    pub fn with_memory(mut self, memory: ContentMemory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Whose messages are looked at on these terms.
    pub fn screened_by(mut self, terms: Arc<Terms>) -> Self {
        // What comes back from a filter was looked at before it went there.
        if self.is_way_back() {
            return self;
        }
        // Where nothing is refused for what is in it, all recipients fare alike.
        if terms.screens.refuses() {
            self.session.offer_prdr();
        }
        self.screening = Some(terms);
        self
    }

    /// Whether the client is a filter that gives back what it had from us.
    pub(crate) fn is_way_back(&self) -> bool {
        self.session.rules().is_way_back()
    }

    /// Who is connected.
    pub fn client(&self) -> &Client {
        self.session.client()
    }

    /// To which limits it is held now.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What the client called itself; empty before it did, and once the session is closed.
    pub fn hello(&self) -> &str {
        self.session.hello()
    }

    /// Whether that was EHLO.
    pub fn is_extended(&self) -> bool {
        self.session.is_extended()
    }

    /// How many octets the client says that its message has, while one of its recipients is being
    /// decided about.
    pub fn announced_size(&self) -> Option<u64> {
        self.session.announced_size()
    }

    /// The client's host name, where it was asked for and leads back to its address.
    pub fn client_name(&self) -> Option<&Domain> {
        self.session.client_name()
    }

    /// The session's number in the log.
    pub fn number(&self) -> u64 {
        self.session.number()
    }

    /// The message begun last: its name in the spool, should it come there.
    pub fn message(&self) -> Option<QueueId> {
        self.id
    }

    /// What the client is doing, in a word or two.
    pub fn state(&self) -> &'static str {
        self.session.state()
    }

    /// By which rules its questions are to be answered.
    pub fn rules(&self) -> &Arc<Rules> {
        self.session.rules()
    }

    /// Whether anything that arrives is of use now. In a pause nothing is read, not even that the
    /// client has left.
    pub fn reads(&self) -> bool {
        self.session.wants_input()
    }

    /// Whether a message is on its way, more of it must come, and no reply will be sent that
    /// acknowledges what came: the driver may have that acknowledged at once.
    pub fn is_amid_content(&mut self) -> bool {
        self.session.wants_content() && self.session.output().is_empty()
    }

    /// The next thing to be done; `None` when there is nothing until something happens. Nothing
    /// may happen between [`Action::Send`] and the action behind it but that it fails.
    pub fn next_action(&mut self) -> Option<Action> {
        while self.awaited.is_none() && !self.closed {
            if let Some((action, awaited)) = self.upcoming.take() {
                self.awaited = awaited;
                return Some(action);
            }
            if let Some(action) = self.next_step() {
                return Some(action);
            }
            if !self.goes_on() {
                if !self.session.has_content() {
                    self.share = None;
                }
                return self.timer();
            }
        }
        None
    }

    /// What the session wants, in order; then its output; then its end.
    fn next_step(&mut self) -> Option<Action> {
        if self.timed.is_none() {
            return self.timer();
        }
        while let Some(event) = self.session.next_event() {
            let action = self.on_event(event);
            if action.is_some() {
                return action;
            }
        }
        let output = self.take_output();
        if output.is_none() && self.session.is_closed() {
            self.closed = true;
            let lingers = self.lingers;
            return Some(Action::Close { lingers });
        }
        output
    }

    fn on_event(&mut self, event: Event) -> Option<Action> {
        match event {
            Event::Log(fact) => {
                if names_nobody(&fact) {
                    self.upcoming = Some((Action::Guessed, None));
                }
                Some(Action::Log(fact))
            }
            Event::Said(said) => Some(Action::Said(said)),
            Event::Begin => {
                self.awaited = Some(Awaited::Begin);
                Some(Action::Begin)
            }
            Event::Ask(question) => self.after_output(Action::Ask(question), Some(Awaited::Answer)),
            Event::Start(requested) => {
                self.after_output(Action::Start(requested), Some(Awaited::Start))
            }
            Event::TurnAround(requested) => {
                self.after_output(Action::TurnAround(requested), Some(Awaited::Start))
            }
            Event::SignIn(step) => self.sign_in(step),
            Event::StartTls => {
                // RFC 3207 section 4.2: what was read before the handshake belongs to nobody.
                self.kept = Kept::default();
                let limit = self.session.time_limit().limit;
                self.after_output(Action::StartTls(limit), Some(Awaited::Handshake))
            }
            Event::Pause(pause) => {
                self.pausing = true;
                self.after_output(Action::Timer(pause), None)
            }
            Event::Spill => self.spill(),
            Event::Abandoned => {
                self.body = None;
                self.coming = None;
                None
            }
            Event::Message(accepted) => self.finish(accepted),
        }
    }

    /// The action, once what is to be sent before it is sent.
    fn after_output(&mut self, action: Action, awaited: Option<Awaited>) -> Option<Action> {
        let output = self.take_output();
        if output.is_some() {
            self.upcoming = Some((action, awaited));
            return output;
        }
        self.awaited = awaited;
        Some(action)
    }

    fn take_output(&mut self) -> Option<Action> {
        let output = std::mem::take(self.session.output());
        let heard = !output.is_empty() && self.departure != Departure::Deaf;
        heard.then_some(Action::Send(output))
    }

    /// Takes up what waits: octets that were kept, then that the client has left. Whether there was
    /// anything.
    fn goes_on(&mut self) -> bool {
        let is_deaf = self.departure == Departure::Deaf;
        if !is_deaf && self.kept.offer(&mut self.session) {
            return true;
        }
        let left = is_deaf || self.departure == Departure::Ended && !self.pausing;
        if left {
            self.session.on_disconnected();
        }
        left
    }

    /// The timer, put back only when the session says that a step is done: a client that trickles
    /// gains nothing.
    fn timer(&mut self) -> Option<Action> {
        let limit = self.session.time_limit();
        if self.pausing || self.timed == Some(limit.phase) {
            return None;
        }
        self.timed = Some(limit.phase);
        Some(Action::Timer(limit.limit))
    }

    /// The content outgrows what each may have in memory: it gets a share of what there is for all, or
    /// a piece of it goes to the disk.
    fn spill(&mut self) -> Option<Action> {
        if self.body.is_none() && self.share.is_none() {
            self.share = self.memory.as_ref().and_then(ContentMemory::share);
            if self.share.is_some() && self.session.keep_content(INLINE_OCTETS_MAX) {
                return None;
            }
        }
        self.share = None;
        let piece = self.session.take_content();
        self.write(piece, None)
    }

    /// The message is complete. Its content is in memory, or the rest of it goes to the disk first.
    fn finish(&mut self, mut accepted: Box<Accepted>) -> Option<Action> {
        let rest = std::mem::take(&mut accepted.content);
        if self.body.is_some() {
            return self.write(rest, Some(accepted));
        }
        let storing = self.storing(accepted, Content::Inline(rest.into()));
        match self.terms().cloned() {
            Some(terms) => {
                let screening = self.screening(storing, None, &terms);
                self.after_output(screening, Some(Awaited::Verdict))
            }
            None => self.after_output(Action::Store(vec![storing]), Some(Awaited::Receipt)),
        }
    }

    fn screening(
        &self,
        storing: Storing,
        body: Option<Box<dyn BodyWriter>>,
        terms: &Arc<Terms>,
    ) -> Action {
        let session = &self.session;
        let rights = session.rights().cloned();
        let screening = Screening::new(storing, body, terms, session.rules(), rights);
        Action::Screen(Box::new(screening.advised(self.advised.clone())))
    }

    /// On which terms messages are looked at; `None`: nothing is asked of them, and nobody signs them.
    fn terms(&self) -> Option<&Arc<Terms>> {
        let terms = self.screening.as_ref();
        terms.filter(|terms| terms.asks() || !terms.dkim.is_empty())
    }

    fn write(&mut self, piece: Vec<u8>, whole: Option<Box<Accepted>>) -> Option<Action> {
        let awaited = match whole {
            None => Awaited::Piece,
            Some(_) => Awaited::Rest,
        };
        let Some(id) = self.id else {
            debug_assert!(false, "content of a message that was not begun");
            let begun = SpoolError::Invalid("no message was begun".into());
            self.not_written(awaited, &begun);
            return None;
        };
        let terms = self.terms().cloned();
        let write = BodyWrite {
            body: self.body.take(),
            id,
            piece,
            whole,
            terms,
        };
        self.after_output(Action::Write(write), Some(awaited))
    }

    fn storing(&mut self, accepted: Box<Accepted>, content: Content) -> Storing {
        Storing {
            coming: self.coming.take(),
            accepted: *accepted,
            held: Vec::new(),
            judged: false,
            parted_from: None,
            content,
            unscreened: None,
            client: self.session.client().clone(),
            client_name: self.session.client_name().cloned(),
            is_extended: self.session.is_extended(),
            session: self.session.number(),
        }
    }

    fn not_written(&mut self, awaited: Awaited, error: &SpoolError) {
        let trouble = trouble(error);
        match awaited {
            Awaited::Rest => self.session.on_stored(Err(trouble)),
            Awaited::Piece
            | Awaited::Begin
            | Awaited::Answer
            | Awaited::Start
            | Awaited::SignIn
            | Awaited::Handshake
            | Awaited::Verdict
            | Awaited::Receipt => self.session.content_taken(Err(trouble)),
        }
    }

    /// Takes note of an answer. One that nobody asked for is a fault of the driver.
    fn answered(&mut self, awaited: &[Awaited]) -> Option<Awaited> {
        let was = self.awaited.take();
        debug_assert!(
            was.is_some_and(|was| awaited.contains(&was)),
            "an answer of {awaited:?}, while {was:?} is awaited"
        );
        was
    }
}

/// What the driver tells the session: what has happened, and the answers to the actions.
impl Incoming {
    /// Octets arrived at `now` (the system's clock). After [`Action::Close`] they are forgotten.
    pub fn receive(&mut self, octets: &[u8], now: Timestamp) {
        if self.closed {
            return;
        }
        let used = if self.kept.is_empty() {
            self.session.receive(octets, now)
        } else {
            0
        };
        self.kept.put(&octets[used..], now);
    }

    /// The client sends nothing more, or the connection broke.
    pub fn on_end(&mut self) {
        if self.departure == Departure::Present {
            self.departure = Departure::Ended;
        }
    }

    /// Output could not be sent.
    pub fn on_send_failed(&mut self) {
        self.departure = Departure::Deaf;
    }

    /// The timer ran out.
    pub fn on_timer(&mut self) {
        if self.awaited.is_some() {
            // Our own side is late, not the client.
        } else if self.pausing {
            self.end_pause();
            self.session.on_paused();
        } else {
            self.session.on_timeout();
        }
    }

    /// The relay stops, or the rules of this session are no longer in force: 421 at the next
    /// moment between two messages, so that the client comes back to the new ones.
    pub fn on_shutdown(&mut self) {
        self.end_pause();
        self.session.on_shutdown();
    }

    /// The relay waits no longer: the session ends where it is.
    pub fn on_cut_off(&mut self) {
        self.lingers = true;
        self.end_pause();
        self.session.on_cut_off();
    }

    /// The timer measured the pause: what is said now has the client's whole time again.
    fn end_pause(&mut self) {
        if std::mem::take(&mut self.pausing) {
            self.upcoming = None;
            self.timed = None;
        }
    }

    /// The answer to [`Action::Begin`]: the name that the message is to have, how the spool is,
    /// what tells its writer of the message on its way, and how many recipients a client of this
    /// standing may name now. Whether it sends too fast is asked, and counted, only where there is
    /// room.
    pub fn begin(
        &mut self,
        id: QueueId,
        health: &Health,
        coming: Coming,
        pace: impl FnOnce(&Standing) -> Result<Allowance, TurnAway>,
    ) {
        self.answered(&[Awaited::Begin]);
        self.id = Some(id);
        self.advised = Advised::default();
        self.coming = Some(coming);
        let admission = match admission(health, id) {
            Admission::Open { id, .. } => match pace(&self.standing) {
                Ok(Allowance {
                    recipients,
                    bounces,
                }) => Admission::Open {
                    id,
                    recipients,
                    bounces,
                },
                Err(why) => Admission::TooFast(why.reply(self.session.hostname())),
            },
            closed @ (Admission::TooFast(_) | Admission::LowSpace | Admission::Failed) => closed,
        };
        self.session.begin_message(admission);
    }

    /// The answer to [`Action::Ask`].
    pub fn on_answer(&mut self, answer: Answer) {
        self.answered(&[Awaited::Answer]);
        self.session.on_fact(answer);
    }

    /// The answer to [`Action::Ask`] of [`Question::Consult`]: whether policy services stand against the
    /// recipient, the fields that they want on top of the message, and what each found where none does.
    pub fn on_consulted(
        &mut self,
        consulted: Consulted,
        fields: Vec<scanner::Edit>,
        findings: Vec<(Arc<str>, Finding)>,
    ) {
        self.advised.hear(fields, findings);
        self.on_answer(Answer::Consulted(consulted));
    }

    /// Nobody waits any more for what [`Action::Ask`] or [`Action::Screen`] wants: the relay stops, or
    /// the session was killed. It ends by 421, and the message is the client's still.
    pub fn on_given_up(&mut self) {
        self.answered(&[Awaited::Answer, Awaited::Verdict]);
        self.lingers = true;
        self.session.on_given_up();
    }

    /// The same where the connection broke meanwhile.
    pub fn on_broken(&mut self) {
        self.answered(&[Awaited::Answer, Awaited::Verdict]);
        self.departure = Departure::Deaf;
        self.session.on_disconnected();
    }

    /// The answer to [`Action::Start`]: whether any of that mail waited.
    pub fn on_started(&mut self, waits: bool) {
        self.answered(&[Awaited::Start]);
        self.session.on_started(waits);
    }

    /// The answer to [`Action::TurnAround`]: whether any of that mail waits.
    pub fn on_turned_around(&mut self, waits: bool) {
        self.answered(&[Awaited::Start]);
        self.session.on_turned_around(waits);
    }

    /// Whether the client has heard all that it was told; what it does not hear it cannot take part
    /// in.
    pub fn is_heard(&self) -> bool {
        self.departure == Departure::Present
    }

    /// The handshake that [`Action::StartTls`] wanted has succeeded.
    pub fn on_encrypted(&mut self, tls: TlsFacts) {
        self.answered(&[Awaited::Handshake]);
        self.session.on_encrypted(tls);
        let (rules, client) = (self.session.rules(), self.session.client());
        self.standing = standing_encrypted(self.standing.clone(), rules, client);
    }

    /// It has failed, and the connection is of no use any more.
    pub fn on_handshake_failed(&mut self) {
        self.answered(&[Awaited::Handshake]);
        self.departure = Departure::Deaf;
    }

    /// What came of [`Action::Write`].
    pub fn on_written(&mut self, written: Result<BodyWritten, SpoolError>) {
        let awaited = self.answered(&[Awaited::Piece, Awaited::Rest]);
        match (written, awaited) {
            (Ok(BodyWritten::Open(body)), _) => {
                self.body = Some(body);
                self.session.content_taken(Ok(()));
            }
            (Ok(BodyWritten::Whole(content, accepted)), _) => {
                let storing = Action::Store(vec![self.storing(accepted, content)]);
                self.upcoming = Some((storing, Some(Awaited::Receipt)));
            }
            (Ok(BodyWritten::Unscreened(body, accepted, terms)), _) => {
                let storing = self.storing(accepted, Content::Inline(Bytes::new()));
                let screening = self.screening(storing, Some(body), &terms);
                self.upcoming = Some((screening, Some(Awaited::Verdict)));
            }
            (Err(error), awaited) => self.not_written(awaited.unwrap_or(Awaited::Piece), &error),
        }
    }

    /// What came of [`Action::Screen`]: what is to be done, and what its client hears first of each
    /// whom it named, where they fare differently.
    pub fn on_screened(&mut self, screened: Screened, each: Vec<Option<Refusal>>) {
        self.answered(&[Awaited::Verdict]);
        if !each.is_empty() {
            self.session.refuse_for_some(each);
        }
        match screened {
            Screened::Store(messages) => {
                self.upcoming = Some((Action::Store(messages), Some(Awaited::Receipt)));
            }
            Screened::Refuse(refusal) => self.session.on_screened_out(refusal),
            Screened::Discard => self.session.on_discarded(),
            Screened::Failed(trouble) => self.session.on_stored(Err(trouble)),
        }
    }

    /// What came of [`Action::Store`].
    pub fn on_stored(&mut self, stored: Result<Receipt, StoreTrouble>) {
        self.answered(&[Awaited::Receipt]);
        self.session.on_stored(stored);
    }

    /// The other answer to [`Action::Store`]: nothing was committed, and the client is to come again.
    pub fn on_postponed(&mut self, why: &TurnAway) {
        self.answered(&[Awaited::Verdict, Awaited::Receipt]);
        let reply = why.reply(self.session.hostname());
        self.session.postpone_message(reply);
    }
}

/// Whether this is the refusal of a recipient that does not exist.
fn names_nobody(fact: &SessionFact) -> bool {
    match fact {
        SessionFact::RefusedRecipient(refused) => {
            let reason = refused.reason.as_ref();
            reason.is_some_and(|reason| reason.why.is_of_nobody())
        }
        _ => false,
    }
}

impl Kept {
    fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    fn put(&mut self, octets: &[u8], now: Timestamp) {
        self.octets.extend_from_slice(octets);
        self.at = now;
    }

    /// Gives the session what it left before; whether it took some. An idle connection holds no
    /// buffer.
    fn offer(&mut self, session: &mut Session) -> bool {
        if self.is_empty() || !session.wants_input() {
            return false;
        }
        let used = session.receive(&self.octets[self.taken..], self.at);
        self.taken += used;
        if self.taken == self.octets.len() {
            *self = Self::default();
        }
        used > 0
    }
}
