use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mail::{Client, Domain, QueueId, Reply, Timestamp};
use relay_policy::{Fact, Facts, Question};
use smtp::{LineFault, LineReader, Patience, SyntaxError, Verb, write_reply};
use spool::Receipt;

use crate::phase::{Committing, Opening, Phase, Transaction};
use crate::{
    AcceptedFact, Admission, Complaint, End, Event, SessionFact, Settings, StoreTrouble, Summary,
};

/// Replies waiting to be written, in octets, above which nothing more is read: a client that does not read its replies stops itself.
const OUTPUT_MAX: usize = 16 * 1024;
/// Events waiting to be fetched above which nothing more is read.
const EVENTS_MAX: usize = 64;

/// One incoming connection.
///
/// Drive it so: give octets to [`Session::receive`] as long as [`Session::wants_input`] says so, and keep what it leaves; fetch every
/// event and answer those that ask; write [`Session::output`]; and once [`Session::is_closed`], write what is left and close. After an
/// answer, and after output was written, offer the octets that were kept.
#[derive(Debug)]
pub struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) client: Client,
    number: u64,
    pub(crate) facts: Facts,
    pub(crate) phase: Phase,
    lines: LineReader,
    output: Vec<u8>,
    pub(crate) events: VecDeque<Event>,
    /// Counted up with every step of the conversation: the timer's hand is put back.
    step: u32,
    stopping: bool,
    pub(crate) counts: Counts,
}

/// What a session has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub commands: u32,
    pub messages: u32,
    pub accepted: u32,
    pub recipients: u32,
    pub refused: u32,
    pub errors: u32,
    pub postponed: u32,
    pub hasty: u32,
    /// Since the last accepted message.
    pub idle_commands: u32,
    pub octets: u64,
}

impl Session {
    /// A session with its greeting queued. `number` names it in the log.
    pub fn new(settings: Arc<Settings>, client: Client, number: u64) -> Self {
        let greeting = Reply::plain(
            220,
            format!("{} ESMTP {}", settings.hostname, settings.banner),
        );
        let mut session = Self::silent(settings, client, number);
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

    /// A session that ends with `reply` in place of the greeting, for a client that [`relay_policy::may_connect`] refuses.
    pub fn turned_away(settings: Arc<Settings>, client: Client, number: u64, reply: Reply) -> Self {
        let mut session = Self::silent(settings, client, number);
        session.complain(None, reply);
        session.close(End::TurnedAway);
        session
    }

    fn silent(settings: Arc<Settings>, client: Client, number: u64) -> Self {
        let lines = LineReader::new(settings.limits.command_line);
        Self {
            settings,
            client,
            number,
            facts: Facts::default(),
            phase: Phase::Greeted,
            lines,
            output: Vec::new(),
            events: VecDeque::new(),
            step: 0,
            stopping: false,
            counts: Counts::default(),
        }
    }

    /// The session's number, as given.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Who is connected.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Takes what it can of `input` and gives the number of octets used up; the rest must be offered again. Stops where an answer is
    /// awaited, where much output or many events wait to be fetched, and takes (and ignores) everything once closed.
    pub fn receive(&mut self, input: &[u8], now: Timestamp) -> usize {
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
            && self.output.len() < OUTPUT_MAX
            && self.events.len() < EVENTS_MAX
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
    pub fn patience(&self) -> Patience {
        Patience {
            phase: self.step,
            limit: self.limit(),
        }
    }

    fn limit(&self) -> Duration {
        let timeouts = &self.settings.limits.timeouts;
        if self.phase.awaits_answer() {
            return timeouts.answer;
        }
        match &self.phase {
            Phase::Receiving(incoming, _) | Phase::Chunk(incoming, _, _) if !incoming.begun => {
                timeouts.data_initiation
            }
            Phase::Receiving(_, _) | Phase::Chunk(_, _, _) | Phase::PassingOver(_) => {
                timeouts.data_block
            }
            Phase::Greeted
            | Phase::Ready(_)
            | Phase::Beginning(_)
            | Phase::Addressing(_)
            | Phase::Deciding(_, _, _)
            | Phase::Chunking(_, _)
            | Phase::Committing(_)
            | Phase::Closed => timeouts.command,
        }
    }

    /// The patience ran out.
    pub fn on_timeout(&mut self) {
        if !self.is_closed() {
            let text = format!("{} Timeout, closing connection", self.settings.hostname);
            self.end_with(Reply::new(421, 4, 2, text), End::TimedOut);
        }
    }

    /// The process is stopping: 421 at the next moment between two commands. A message that is being received or stored finishes first.
    pub fn on_shutdown(&mut self) {
        self.stopping = true;
        self.after_step();
    }

    /// The client went away. After [`Event::Message`], give [`Session::on_stored`] first.
    pub fn on_disconnected(&mut self) {
        self.close(End::Disconnected);
    }

    /// The answer to [`Event::Ask`].
    pub fn on_fact(&mut self, question: Question, fact: Fact<Domain>) {
        self.facts.answer(question, fact);
        match self.take_phase() {
            Phase::Deciding(transaction, rcpt, asked) if asked == question => {
                self.step += 1;
                self.decide(transaction, *rcpt);
            }
            other => self.phase = other,
        }
        self.after_step();
    }

    /// The answer to [`Event::Begin`].
    pub fn begin_message(&mut self, admission: Admission) {
        let opening = match self.take_phase() {
            Phase::Beginning(opening) => opening,
            other => {
                self.phase = other;
                return;
            }
        };
        self.step += 1;
        match admission {
            Admission::Open { id } => self.begin(*opening, id),
            Admission::LowSpace => self.not_begun(*opening, StoreTrouble::Full),
            Admission::Failed => self.not_begun(*opening, StoreTrouble::Failed),
        }
        self.after_step();
    }

    fn begin(&mut self, opening: Opening, id: QueueId) {
        self.counts.messages += 1;
        let Opening { hello, envelope } = opening;
        self.phase = Phase::Addressing(Box::new(Transaction {
            hello,
            id,
            envelope,
            refused: false,
        }));
        self.say(&Reply::new(250, 1, 0, "Ok"));
    }

    fn not_begun(&mut self, opening: Opening, trouble: StoreTrouble) {
        self.phase = Phase::Ready(opening.hello);
        self.refuse_message(None, opening.envelope.reverse_path, trouble.reply(), 0);
    }

    /// The answer to [`Event::Message`]. A 250 needs the receipt: there is no other way to say it.
    pub fn on_stored(&mut self, stored: Result<Receipt, StoreTrouble>) {
        let committing = match self.take_phase() {
            Phase::Committing(committing) => committing,
            other => {
                self.phase = other;
                return;
            }
        };
        self.step += 1;
        let Committing {
            hello,
            id,
            reverse_path,
            recipients,
            size,
        } = *committing;
        self.phase = Phase::Ready(hello);
        let trouble = match stored {
            Ok(receipt) if receipt.id() == id => {
                self.stored(
                    &receipt,
                    AcceptedFact {
                        id,
                        recipients,
                        size,
                    },
                );
                return self.after_step();
            }
            // A receipt for another message proves nothing about this one.
            Ok(_) => StoreTrouble::Failed,
            Err(trouble) => trouble,
        };
        self.refuse_message(Some(id), reverse_path, trouble.reply(), size);
        self.after_step();
    }

    /// The only place that tells a client that its message is taken.
    fn stored(&mut self, receipt: &Receipt, fact: AcceptedFact) {
        self.counts.accepted += 1;
        self.counts.idle_commands = 0;
        self.say(&Reply::new(
            250,
            0,
            0,
            format!("Ok: queued as {}", receipt.id()),
        ));
        self.log(SessionFact::Accepted(fact));
    }

    /// Whether the session is over: write what is left of the output, then close.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// One step: a command, or a piece of content. Gives the octets used up.
    fn advance(&mut self, input: &[u8], now: Timestamp) -> usize {
        if self.phase.reads_commands() {
            self.read_command(input, now)
        } else {
            self.read_content(input, now)
        }
    }

    fn read_command(&mut self, input: &[u8], now: Timestamp) -> usize {
        let (used, line) = self.lines.take(input);
        let Some(line) = line else { return used };
        self.step += 1;
        match line {
            Ok(line) => self.on_line(line, used < input.len(), now),
            Err(LineFault::TooLong) => {
                self.complain(None, Reply::new(500, 5, 2, LineFault::TooLong.to_string()));
            }
            Err(fault) => {
                self.complain(None, Reply::new(500, 5, 2, fault.to_string()));
                self.close(End::Garbled);
            }
        }
        used
    }

    fn on_line(&mut self, line: Cow<'_, [u8]>, more_follows: bool, now: Timestamp) {
        self.counts.commands += 1;
        match smtp::Command::parse(&line) {
            Ok(command) => {
                if more_follows && command.verb().ends_group() && command.verb() != Verb::Quit {
                    self.counts.hasty += 1;
                }
                self.on_command(command, now);
            }
            Err(error) => self.on_syntax_error(error),
        }
    }

    fn on_syntax_error(&mut self, error: SyntaxError) {
        self.complain(Some(error.verb), error.reply());
        if error.verb == Verb::Bdat {
            // Octets follow, and nobody knows how many: they must not be read as commands.
            self.close(End::Garbled);
        }
    }

    /// What may have to follow on any step.
    fn after_step(&mut self) {
        if self.is_closed() {
            return;
        }
        let limits = &self.settings.limits;
        if self.counts.errors >= limits.errors || self.counts.postponed >= limits.postponed {
            let text = format!("{} Too many errors", self.settings.hostname);
            self.end_with(Reply::new(421, 7, 0, text), End::TooManyErrors);
        } else if self.stopping && self.phase.reads_commands() && !self.phase.awaits_answer() {
            let text = format!("{} Service shutting down", self.settings.hostname);
            self.end_with(Reply::new(421, 3, 2, text), End::Shutdown);
        }
    }

    /// Queues a reply.
    pub(crate) fn say(&mut self, reply: &Reply) {
        write_reply(reply, &mut self.output);
    }

    /// Queues output that is no single reply.
    pub(crate) fn raw_output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub(crate) fn log(&mut self, fact: SessionFact) {
        self.events.push_back(Event::Log(fact));
    }

    /// Refuses a command for its form or order, and counts that.
    pub(crate) fn complain(&mut self, verb: Option<Verb>, reply: Reply) {
        self.say(&reply);
        self.count_refusal(&reply);
        self.log(SessionFact::Complaint(Complaint { verb, reply }));
    }

    pub(crate) fn count_refusal(&mut self, reply: &Reply) {
        if reply.is_permanent() {
            self.counts.errors += 1;
        } else if reply.is_transient() {
            self.counts.postponed += 1;
        }
    }

    /// Starts the timer anew.
    pub(crate) fn renew_patience(&mut self) {
        self.step += 1;
    }

    pub(crate) fn take_phase(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Closed)
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
        if phase
            .incoming()
            .is_some_and(|incoming| incoming.spilled > 0)
        {
            self.events.push_back(Event::Abandoned);
        }
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
