mod follow_ups;
mod record;
mod tarpit;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mail::{Client, Domain, Reply, Timestamp};
use relay_policy::{Fact, Facts, Rights, Rules};
use smtp::{Doubt, LineFault, LineReader, Origin, Said, SyntaxError, TimeLimit, Verb};

use crate::incoming::Incoming;
use crate::phase::{PassingOver, Phase, Waiting};
use crate::{Complaint, End, Event, SessionFact, Settings, SignIn, Summary};
pub(crate) use follow_ups::FollowUps;
use record::write_and_note;
use tarpit::Tarpit;

/// Replies waiting to be written, in octets, above which nothing more is read: a client that does
/// not read its replies stops itself.
const OUTPUT_MAX: usize = 16 * 1024;
/// Events waiting to be fetched above which nothing more is read.
const EVENTS_MAX: usize = 64;

/// One incoming connection.
///
/// Drive it so: give octets to [`Session::receive`] as long as [`Session::wants_input`] says so,
/// and keep what it leaves; fetch every event and answer those that ask; write [`Session::output`];
/// and once [`Session::is_closed`], write what is left and close. After an answer, and after output
/// was written, offer the octets that were kept.
#[derive(Debug)]
pub struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) client: Client,
    number: u64,
    pub(crate) facts: Facts,
    /// Where the next message came from before the filter that gives it back, as that says.
    pub(crate) origin: Option<Box<Origin>>,
    pub(crate) phase: Phase,
    pub(crate) lines: LineReader,
    /// The octets of a refused chunk come before anything else is read.
    pub(crate) passing_over: Option<Box<PassingOver>>,
    output: Vec<u8>,
    pub(crate) events: VecDeque<Event>,
    /// Counted up with every step of the conversation: the timer's hand is put back.
    step: u32,
    stopping: bool,
    pub(crate) tarpit: Tarpit,
    pub(crate) follow_ups: FollowUps,
    pub(crate) counts: Counts,
    /// A message may be refused for some of its recipients.
    pub(crate) offers_prdr: bool,
    /// What is said is told ([`Event::Said`]).
    records: bool,
    /// What a line may be where a command belongs.
    pub(crate) doubt: Doubt,
}

/// What a session has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub commands: u32,
    pub messages: u32,
    pub accepted: u32,
    pub recipients: u32,
    pub refused: u32,
    /// Recipients that were refused because they do not exist.
    pub unknown: u32,
    pub failed_sign_ins: u32,
    pub errors: u32,
    pub postponed: u32,
    pub hasty: u32,
    /// Commands since the last accepted message that brought none forward.
    pub idle_commands: u32,
    pub octets: u64,
}

impl Session {
    /// A session with its greeting queued. `number` names it in the log. A client whose TLS facts
    /// are known already came encrypted from the first octet on, and is offered no STARTTLS.
    pub fn new(settings: Arc<Settings>, client: Client, number: u64) -> Self {
        let greeting = Reply::plain(
            220,
            format!("{} ESMTP {}", settings.hostname, settings.banner),
        );
        let mut session = Self::silent(settings, client, number);
        if let Some(tls) = session.client.tls.clone() {
            session.log(SessionFact::Encrypted(tls));
        }
        session.say(&greeting);
        session
    }

    /// A session that ends before it begins: too many connections, in all or from this client.
    pub fn busy(settings: Arc<Settings>, client: Client, number: u64) -> Self {
        // RFC 3463: X.3.2 is a system that does not accept messages now.
        let text = format!(
            "{} Too many connections, try again later",
            settings.hostname
        );
        Self::turned_away(settings, client, number, Reply::new(421, 3, 2, text))
    }

    /// A session that ends with `reply` in place of the greeting, for a client that
    /// [`relay_policy::may_connect`] refuses.
    pub fn turned_away(settings: Arc<Settings>, client: Client, number: u64, reply: Reply) -> Self {
        let mut session = Self::silent(settings, client, number);
        session.complain(None, reply);
        session.close(End::TurnedAway);
        session
    }

    /// A session that ends before it begins, because octets of the client came before the greeting.
    /// RFC 5321 section 4.3.1: "The sender SHOULD wait for this greeting message before sending any
    /// commands." Mail servers do, programs that send spam do not.
    pub fn early_talker(settings: Arc<Settings>, client: Client, number: u64) -> Self {
        let mut session = Self::silent(settings, client, number);
        let text = "You have to wait for the greeting";
        session.complain(None, Reply::new(554, 5, 1, text));
        session.close(End::Hasty);
        session
    }

    fn silent(settings: Arc<Settings>, client: Client, number: u64) -> Self {
        let lines = LineReader::new(settings.limits.command_line);
        let mut session = Self {
            settings,
            client,
            number,
            facts: Facts::default(),
            origin: None,
            phase: Phase::Greeted,
            lines,
            passing_over: None,
            output: Vec::new(),
            events: VecDeque::new(),
            step: 0,
            stopping: false,
            tarpit: Tarpit::default(),
            follow_ups: FollowUps::default(),
            counts: Counts::default(),
            offers_prdr: false,
            records: false,
            doubt: Doubt::Nothing,
        };
        session.lines.set_limits(session.line_limits());
        session
    }

    /// From here on EHLO offers a reply for each recipient of a message (PRDR): whoever looks at
    /// messages may refuse them for some ([`Session::refuse_for_some`]).
    pub fn offer_prdr(&mut self) {
        self.offers_prdr = true;
    }

    /// The session's number, as given.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What the client called itself; empty before it did, and once the session is closed.
    pub fn hello(&self) -> &str {
        self.phase.hello().map_or("", |hello| &hello.name)
    }

    /// Whether that was EHLO.
    pub fn is_extended(&self) -> bool {
        self.phase.hello().is_some_and(|hello| hello.extended)
    }

    /// How many octets the client says that its message has, where it says so and one of its recipients
    /// is being decided about.
    pub fn announced_size(&self) -> Option<u64> {
        match &self.phase {
            Phase::Waiting(Waiting::Fact(deciding)) => deciding.transaction.envelope.announced_size,
            _ => None,
        }
    }

    /// The client's host name, where it was asked for and leads back to its address.
    pub fn client_name(&self) -> Option<&Domain> {
        match &self.facts.confirmed_name {
            Some(Fact::Yes(name)) => Some(name),
            Some(Fact::No | Fact::CannotTell) | None => None,
        }
    }

    /// Our name, as the client hears it.
    pub fn hostname(&self) -> &Domain {
        &self.settings.hostname
    }

    /// Who may send to whom, as this session has it.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.settings.rules
    }

    /// What the user may do who has signed in, if one has.
    pub fn rights(&self) -> Option<&Arc<Rights>> {
        self.facts.rights.as_ref()
    }

    /// Who is connected.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Takes what it can of `input` and gives the number of octets used up; the rest must be
    /// offered again. Stops where an answer is awaited, where much output or many events wait to be
    /// fetched, and takes (and ignores) everything once closed.
    ///
    /// Between [`Event::StartTls`] and [`Session::on_encrypted`] there is nothing to receive: any
    /// octet ends the session.
    pub fn receive(&mut self, input: &[u8], now: Timestamp) -> usize {
        if self.is_shaking_hands() && !input.is_empty() {
            self.drop_plaintext();
        }
        let mut used = 0;
        while used < input.len() && self.wants_input() {
            used += self.advance(&input[used..], now);
            self.after_step();
        }
        if self.is_closed() { input.len() } else { used }
    }

    /// Whether [`Session::receive`] would take anything now.
    pub fn wants_input(&self) -> bool {
        !self.is_closed()
            && !self.phase.awaits_answer()
            && !self.tarpit.is_pausing()
            && self.output.len() < OUTPUT_MAX
            && self.events.len() < EVENTS_MAX
    }

    /// Whether a message is on its way and more of it must come before there is anything to answer.
    pub fn wants_content(&self) -> bool {
        self.wants_input() && !self.reads_lines()
    }

    /// Whether content of a message is in memory, and more of it may come.
    pub fn has_content(&self) -> bool {
        self.phase.incoming().is_some_and(|one| !one.is_refused())
    }

    /// Replies to be written, in order. Whoever writes them takes them out.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// The next event, in order.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How long to wait for the client, or for an answer of our own side.
    pub fn time_limit(&self) -> TimeLimit {
        TimeLimit {
            phase: self.step,
            limit: self.limit(),
        }
    }

    fn limit(&self) -> Duration {
        let timeouts = &self.settings.limits.timeouts;
        if self.is_shaking_hands() {
            return timeouts.handshake;
        }
        if self.tarpit.is_pausing() {
            return timeouts.answer.saturating_add(self.settings.tarpit);
        }
        if self.passing_over.is_some() {
            return timeouts.data_block;
        }
        match &self.phase {
            Phase::Waiting(_) => timeouts.answer,
            Phase::Receiving(incoming) if incoming.is_between_chunks() => timeouts.command,
            Phase::Receiving(incoming) if incoming.has_begun() => timeouts.data_block,
            Phase::Receiving(_) => timeouts.data_initiation,
            Phase::Greeted
            | Phase::Ready(_)
            | Phase::SigningIn(_)
            | Phase::Addressing(_)
            | Phase::Closed => timeouts.command,
        }
    }

    /// Whether the client and whoever drives the session set up TLS, and octets are none of ours.
    fn is_shaking_hands(&self) -> bool {
        matches!(self.phase, Phase::Waiting(Waiting::Handshake(_)))
    }

    /// Whether a line is read next.
    fn reads_lines(&self) -> bool {
        self.passing_over.is_none() && self.phase.reads_lines()
    }

    /// The time limit ran out.
    pub fn on_timeout(&mut self) {
        if self.is_shaking_hands() {
            // In the middle of a handshake nobody reads replies.
            self.close(End::TimedOut);
        } else if !self.is_closed() {
            let text = format!("{} Timeout, closing connection", self.settings.hostname);
            self.end_with(Reply::new(421, 4, 2, text), End::TimedOut);
        }
    }

    /// The process is stopping: 421 at the next moment between two commands. A message that is
    /// being received or stored finishes first; a pause is cut short.
    pub fn on_shutdown(&mut self) {
        self.stopping = true;
        self.release();
        self.after_step();
    }

    /// The process waits no longer: 421 at once, in the middle of a message too, which the client
    /// keeps then. Only an answer that is being found out goes before.
    pub fn on_cut_off(&mut self) {
        self.on_shutdown();
        if !self.is_closed() && !self.phase.awaits_answer() {
            self.end_for_shutdown();
        }
    }

    /// The same while something is being found out, of which nothing will come any more: nothing was
    /// taken.
    pub fn on_given_up(&mut self) {
        if !self.is_closed() {
            self.end_for_shutdown();
        }
    }

    fn end_for_shutdown(&mut self) {
        let hostname = &self.settings.hostname;
        let text = format!("{hostname} Service not available, closing connection");
        self.end_with(Reply::new(421, 3, 2, text), End::Shutdown);
    }

    /// The client went away. After [`Event::Message`], give [`Session::on_stored`] first, unless
    /// nothing is stored.
    pub fn on_disconnected(&mut self) {
        self.close(End::Disconnected);
    }

    /// What the client is doing, in a word or two, for whoever looks at the session.
    pub fn state(&self) -> &'static str {
        self.phase.words()
    }

    /// Whether the session is over: write what is left of the output, then close.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// One step: a command, or a piece of content. Gives the octets used up.
    fn advance(&mut self, input: &[u8], now: Timestamp) -> usize {
        if let Some(passing) = self.passing_over.take() {
            return self.pass_over(passing, input);
        }
        match self.take_phase() {
            Phase::Receiving(incoming) if !incoming.is_between_chunks() => {
                self.read_content(incoming, input, now)
            }
            // The last two read nothing: see `wants_input`.
            phase @ (Phase::Greeted
            | Phase::Ready(_)
            | Phase::SigningIn(_)
            | Phase::Addressing(_)
            | Phase::Receiving(_)
            | Phase::Waiting(_)
            | Phase::Closed) => {
                self.phase = phase;
                self.read_command(input, now)
            }
        }
    }

    fn read_command(&mut self, input: &[u8], now: Timestamp) -> usize {
        let (used, line) = self.lines.take(input);
        let Some(line) = line else { return used };
        self.step += 1;
        self.note_line(line.as_deref());
        match line {
            Ok(line) => self.on_line(line, used < input.len(), now),
            Err(LineFault::TooLong) if matches!(self.phase, Phase::SigningIn(_)) => {
                self.on_response_too_long();
            }
            Err(LineFault::TooLong) => self.on_too_long(),
            Err(_) if self.is_tls(&input[..used]) => self.on_foreign(),
            Err(fault) => {
                self.complain(None, Reply::new(500, 5, 2, fault.to_string()));
                self.close(End::Garbled);
            }
        }
        used
    }

    /// Whether the line that ends with `last` is a TLS handshake record: the client is on the wrong
    /// port, or does not expect STARTTLS.
    fn is_tls(&self, last: &[u8]) -> bool {
        let line = self.lines.partial().iter().chain(last);
        line.take(2).eq(b"\x16\x03")
    }

    fn on_too_long(&mut self) {
        self.complain(None, Reply::new(500, 5, 2, LineFault::TooLong.to_string()));
    }

    fn on_line(&mut self, line: Cow<'_, [u8]>, more_follows: bool, now: Timestamp) {
        if matches!(self.phase, Phase::SigningIn(_)) {
            return self.on_response(&line);
        }
        self.counts.commands += 1;
        // Only AUTH may be longer, and then only where it is offered: see `line_limits`.
        let is_auth = || {
            line.get(..5)
                .is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "))
        };
        if line.len() > self.settings.limits.command_line.line && !is_auth() {
            return self.on_too_long();
        }
        match smtp::Command::parse(&line) {
            Ok(command) if more_follows && self.is_cut_off(command.verb()) => {}
            Ok(command) => self.on_command(command, more_follows, now),
            Err(error) => self.on_syntax_error(error),
        }
    }

    /// Notes a client that sends on where it has to wait for the reply (RFC 2920 section 3.1); a
    /// stranger may be cut off for it behind EHLO and DATA. What follows them depends on the
    /// answer: who does not read it is no mail server, and its message is not read either.
    fn is_cut_off(&mut self, verb: Verb) -> bool {
        if !verb.ends_group() || verb == Verb::Quit {
            return false;
        }
        self.counts.hasty += 1;
        let strict = matches!(verb, Verb::Ehlo | Verb::Helo | Verb::Data)
            && self.settings.strict_pipelining
            && self.is_stranger();
        if strict {
            let text = "Wait for the reply before you send on";
            self.complain(Some(verb), Reply::new(503, 5, 0, text));
            self.close(End::Hasty);
        }
        strict
    }

    fn on_syntax_error(&mut self, error: SyntaxError) {
        self.complain(Some(error.verb), error.reply());
        if error.verb == Verb::Bdat {
            // Octets follow, and nobody knows how many: they must not be read as commands.
            self.close(End::Garbled);
        }
    }

    /// What may have to follow on any step.
    pub(crate) fn after_step(&mut self) {
        if self.is_closed() || self.pause() {
            return;
        }
        let hostname = &self.settings.hostname;
        if let Some(what) = self.has_enough() {
            let text = format!("{hostname} Too many {what}");
            self.end_with(Reply::new(421, 7, 0, text), End::TooManyErrors);
        } else if self.stopping && self.reads_lines() {
            self.end_for_shutdown();
        }
    }

    /// Of what there was more than one session may have.
    fn has_enough(&self) -> Option<&'static str> {
        let (limits, counts) = (&self.settings.limits, &self.counts);
        if counts.failed_sign_ins >= limits.sign_in_failures {
            Some("failed sign-ins")
        } else if counts.unknown >= limits.unknown_recipients {
            Some("unknown recipients")
        } else if counts.errors >= limits.errors || counts.postponed >= limits.postponed {
            Some("errors")
        } else {
            None
        }
    }

    /// Queues a reply.
    pub(crate) fn say(&mut self, reply: &Reply) {
        let records = self.records;
        let outlet = self.outlet(reply);
        let said = write_and_note(reply, outlet, records);
        self.events.extend(said);
    }

    /// Queues a reply that is none of those that [`Reply`] knows: of several lines, or a challenge.
    pub(crate) fn say_raw(&mut self, reply: &[u8]) {
        self.note_said(|| Said::reply(reply));
        self.output.extend_from_slice(reply);
    }

    pub(crate) fn log(&mut self, fact: SessionFact) {
        self.events.push_back(Event::Log(fact));
    }

    pub(crate) fn count_refusal(&mut self, reply: &Reply) {
        if reply.is_permanent() {
            self.counts.errors += 1;
        } else if reply.is_transient() {
            self.counts.postponed += 1;
        }
    }

    /// Starts the timer anew.
    pub(crate) fn renew_time_limit(&mut self) {
        self.step += 1;
    }

    /// Takes the phase, for a transition to the next one or back to it.
    pub(crate) fn take_phase(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Closed)
    }

    /// Goes on in `phase`, in which `step` has no place: an answer to a question that was not asked,
    /// or a command whose phase was looked at before.
    ///
    /// No client can bring this about. Only whoever drives the session gives answers, one to each
    /// event that asks. So it is a fault of our own code, which its tests must not pass over; a
    /// relay that runs goes on as if nothing had been said, as the client is not to suffer for it.
    /// After the end it is no fault: a session may end while a question is open, by its time limit
    /// for instance.
    pub(crate) fn out_of_place(&mut self, phase: Phase, step: &str) {
        self.phase = phase;
        debug_assert!(self.is_closed(), "{step} in {:?}", self.phase);
    }

    pub(crate) fn end_with(&mut self, reply: Reply, end: End) {
        self.say(&reply);
        self.log(SessionFact::Complaint(Complaint { verb: None, reply }));
        self.close(end);
    }

    /// Ends the session: nothing is read any more, and its summary is logged.
    pub(crate) fn close(&mut self, end: End) {
        if self.is_closed() {
            return;
        }
        let phase = self.take_phase();
        if phase.incoming().is_some_and(Incoming::is_spilled) {
            self.events.push_back(Event::Abandoned);
        }
        if phase.is_signing_in() {
            self.events.push_back(Event::SignIn(SignIn::Cancelled));
        }
        self.release();
        let counts = &self.counts;
        let summary = Summary {
            hello: phase.into_hello().map(|hello| hello.name),
            end,
            commands: counts.commands,
            messages: counts.messages,
            accepted: counts.accepted,
            recipients: counts.recipients,
            refused: counts.refused,
            errors: counts.errors,
            hasty: counts.hasty,
            octets: counts.octets,
        };
        self.log(SessionFact::Ended(Box::new(summary)));
    }
}
